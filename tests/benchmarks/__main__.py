"""Run the benchmarks: `python -m tests.benchmarks [--quick] [--markdown] [--profile] [SECTION ...]`."""

import argparse
import asyncio
import os
import platform
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import Final

import cryptography
from cryptography.hazmat.backends.openssl.backend import backend

from tests.benchmarks import cms_level, formats, hot_spots, memory, stores, whole_way, wire_size
from tests.benchmarks.clock import FULL, QUICK, Effort
from tests.benchmarks.tables import Table

SECTIONS: Final[dict[str, Callable[[Effort], Awaitable[list[Table]]]]] = {
    "cms": cms_level.run,
    "formats": formats.run,
    "stanzas": whole_way.run,
    "wire": wire_size.run,
    "memory": memory.run,
    "store": stores.run,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)}; all by default"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 5,000 stanzas for memory")
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    parser.add_argument("--profile", action="store_true", help="only say where the time goes (cProfile)")
    options = parser.parse_args(arguments)
    unknown = set(options.sections) - SECTIONS.keys()
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    asyncio.run(_run(options, QUICK if options.quick else FULL))


async def _run(options: argparse.Namespace, effort: Effort) -> None:
    print(_surroundings(), end="\n\n")
    if options.profile:
        print(await hot_spots.run(effort))
        return
    for name in options.sections or SECTIONS:
        for table in await SECTIONS[name](effort):
            print(table.as_markdown() if options.markdown else table.as_text(), flush=True)
    print(f"Load when it ended: {_load()}")


def _surroundings() -> str:
    return (
        f"Python {platform.python_version()}, slixmpp {version('slixmpp')}, "
        f"cryptography {cryptography.__version__} ({backend.openssl_version_text()}), "
        f"{platform.machine()}, {os.cpu_count()} processors, load {_load()}"
    )


def _load() -> str:
    return " ".join(f"{each:.1f}" for each in os.getloadavg())


if __name__ == "__main__":
    main()
