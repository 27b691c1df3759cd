"""One reader under atheris: `python -m tests.fuzz.guided NAME EXECUTIONS SEED`.

Two mutations in three are our own, which know DER; the others are libFuzzer's. What is guided by is the code of this
package that an input reaches.
"""

import random
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris  # type: ignore[import-not-found, unused-ignore]

_INSTRUMENTED = (
    *("cms", "media", "certificates", "formats", "stanza", "outer", "freshness"),
    *("plugin.pubkeys", "cli.structure", "cli.encoding"),
)
with atheris.instrument_imports(include=[f"slixmpp_e2e.{each}" for each in _INSTRUMENTED]):
    from tests.fuzz.corpora import Corpus
    from tests.fuzz.mutations import Mutator
    from tests.fuzz.readers import Readers
    from tests.fuzz.running import GROWTH, FindingError, Run, execute, resident
    from tests.pki import make_pki

_LONGEST_INPUT = 65_536


def main(name: str, executions: int, seed: int) -> None:
    """Run a reader; libFuzzer ends the process, with another exit code than 0 where something was found."""
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    pki = make_pki()
    target = Readers(pki, Corpus(pki)).targets[name]
    mutator = Mutator(target.seeds, random.Random(seed))
    # libFuzzer runs some inputs of its own besides, such as the seeds
    count, begin, slowest, before = 0, time.perf_counter(), 0.0, 0

    def run(data: bytes) -> None:
        nonlocal count, slowest, before
        try:
            slowest = max(slowest, execute(name, target.read, data))
        except FindingError as error:
            print(error, flush=True)
            raise
        count += 1
        if count == max(1, executions // 10):
            before = resident()
        if count == executions:
            growth = max(0, resident() - before)
            print(Run(name, count, time.perf_counter() - begin, slowest, growth), flush=True)
            if executions >= 100_000 and growth > GROWTH:
                raise FindingError(name, b"", f"{growth} octets were never given back")

    def mutate(data: bytes, size: int, draw: int) -> bytes:
        mutator.random.seed(draw)
        kind = draw % 3
        if kind == 0:
            return atheris.Mutate(data, size)
        return (mutator.draw() if kind == 1 else mutator.change(data))[:size]

    with TemporaryDirectory() as directory:
        for number, each in enumerate(target.seeds):
            (Path(directory) / str(number)).write_bytes(each)
        options = [
            f"-runs={executions}",
            f"-seed={seed % (1 << 32)}",
            f"-max_len={_LONGEST_INPUT}",
            f"-artifact_prefix={directory}/",
            "-verbosity=0",
            "-timeout=60",
            "-rss_limit_mb=0",
        ]
        atheris.Setup([sys.argv[0], directory, *options], run, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
