"""`python -m tests.server.all_cuts`: cut at every octet of the exchange, on every server, and write it down.

What was done is kept in a directory, one line of JSON for each cut, and not done again: a run can be stopped and
goes on where it was. Offsets are taken in an order without a pattern, so that a part of them stands for all. In the
end, and with `--table` at once, a table for docs/reliability.md is printed.
"""

import argparse
import asyncio
import json
import logging
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, get_args

from .cut_servers import CUT_SERVERS, cut_server
from .cuts import Cuts, cuts
from .outcome import Outcome
from .protected import PKI, make_pki
from .proxy import Direction

#: Octets behind the longest exchange that was measured: they show that nothing was left out.
_BEYOND: Final = 20
_STREAMS: Final = ("spared", "resumed", "anew", "deaf", "broken")
#: A pair of clients lives for so many cuts.
_LIFE: Final = 2000


@dataclass(frozen=True, slots=True)
class Series:
    """All cuts of one kind."""

    server: str
    resume: bool

    @property
    def name(self) -> str:
        """The name of the file that its outcomes are in."""
        return f"{self.server}-{'resumed' if self.resume else 'anew'}"

    @property
    def patience(self) -> float:
        """Seconds that are waited for a server that may be deaf."""
        return 1.0 if self.server == "prosody" and self.resume else 5.0


ALL_SERIES: Final = [Series(server, resume) for resume in (True, False) for server in CUT_SERVERS]


class Results:
    """What was done, on disk."""

    def __init__(self, directory: Path, series: Series) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{series.name}.jsonl"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._path.exists():
            yield from map(json.loads, self._path.read_text().splitlines())

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")

    @property
    def done(self) -> set[tuple[str, int]]:
        """Where was cut already."""
        return {(each["direction"], each["offset"]) for each in self}


async def make(series: Series, pki: PKI, results: Results, *, every: int, until: float) -> None:
    """Make the cuts of a series that were not made yet, every so many octets, until a time (monotonic seconds)."""
    async with cut_server(series.server) as (port, counters):
        todo: list[tuple[Direction, int]] | None = None
        while todo is None or todo:
            async with cuts(port, pki, counters, resume=series.resume, patience=series.patience) as talk:
                if todo is None:
                    todo = await _offsets(talk, every, results.done)
                for _ in range(_LIFE):
                    if not todo or time.monotonic() > until:
                        return
                    direction, offset = todo.pop()
                    try:
                        outcome = await talk.run(direction, offset)
                    except Exception as error:
                        results.add(
                            Outcome(direction, offset, "broken", wrong=(f"{type(error).__name__}: {error}",))
                        )
                        break
                    results.add(outcome)


async def _offsets(talk: Cuts, every: int, done: set[tuple[str, int]]) -> list[tuple[Direction, int]]:
    longest: Counter[Direction] = Counter()
    for _ in range(5):
        before = {each: talk.romeo.proxy.passed(each) for each in get_args(Direction)}
        await talk.run()
        for each, passed in before.items():
            longest[each] = max(longest[each], talk.romeo.proxy.passed(each) - passed)
    offsets = [
        (direction, offset)
        for direction, length in longest.items()
        for offset in range(1, length + _BEYOND, every)
        if (direction, offset) not in done
    ]
    random.Random(0).shuffle(offsets)
    return offsets


def table(directory: Path) -> Iterable[str]:
    """Yield the lines of a table of all that was done."""
    names = [
        "server",
        "romeo has",
        "cut in what",
        "cuts",
        *_STREAMS,
        "lost",
        "twice",
        "reported",
        "copies",
        "wrong",
        "ms",
    ]
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * 3}{'--:|' * (len(names) - 3)}"
    for series in ALL_SERIES:
        outcomes = list(Results(directory, series))
        for direction, what in (("from_clients", "he sends"), ("to_clients", "he gets")):
            some = [each for each in outcomes if each["direction"] == direction]
            if not some:
                continue
            streams = Counter(each["stream"] for each in some)
            numbers = [
                len(some),
                *(streams[each] for each in _STREAMS),
                *(sum(len(each[name]) for each in some) for name in ("lost", "twice", "reported")),
                sum(each.get("copies", 0) for each in some),
                sum(bool(each["wrong"]) for each in some),
                round(1000 * sum(each["seconds"] for each in some) / len(some)),
            ]
            has = "his session" if series.resume else "a new session"
            yield f"| {series.server} | {has} | {what} | {' | '.join(f'{each:,}' for each in numbers)} |"


def main() -> None:
    """Run it."""
    logging.disable(logging.CRITICAL)  # cutting is what it is about
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=Path(".cuts"))
    parser.add_argument("--series", nargs="*", default=[each.name for each in ALL_SERIES])
    parser.add_argument("--every", type=int, default=1, help="octets from one cut to the next")
    parser.add_argument("--minutes", type=float, default=10_000.0, help="for each series, at the most")
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    if not options.table:
        with tempfile.TemporaryDirectory() as directory:
            pki = make_pki(Path(directory))
            for series in ALL_SERIES:
                if series.name in options.series:
                    until = time.monotonic() + options.minutes * 60
                    results = Results(options.results, series)
                    asyncio.run(make(series, pki, results, every=options.every, until=until))
    print("\n".join(table(options.results)))


if __name__ == "__main__":
    main()
