"""`python -m tests.fuzz readers`, `receive` and `worst`: many executions, or what is dear; and a table.

Readers are run with atheris, which is guided by what code an input reaches, if it is installed, each in a process
of its own; else, and with `--blind`, with our own mutator alone. The whole way is run with our own mutator: its
seeds are made anew for every run, and what is signed is beyond what guidance finds.

Where something is wrong, the input is printed in base64, and the exit code is not 0.
"""

import argparse
import asyncio
import gc
import importlib.util
import logging
import random
import subprocess
import sys
import time
import warnings

from tests.benchmarks.parties import make_parties
from tests.fuzz.corpora import Corpus
from tests.fuzz.costs import weigh_all
from tests.fuzz.readers import Readers
from tests.fuzz.receiving import Forger, Recipient
from tests.fuzz.running import GROWTH, LONGEST, FindingError, Run, resident, run_target
from tests.pki import make_pki

_HEAD = "| what | executions | a second | slowest, ms | grown by, MB |\n|---|--:|--:|--:|--:|"


def run_readers(executions: int, seed: int, only: list[str], *, blind: bool) -> bool:
    """Run every reader; return whether nothing was found."""
    guided = not blind and importlib.util.find_spec("atheris") is not None
    pki = make_pki()
    targets = Readers(pki, Corpus(pki)).targets
    print(f"{'atheris' if guided else 'our own mutator'}, seed {seed}\n\n{_HEAD}", flush=True)
    good = True
    for name in only or targets:
        if guided:
            command = [sys.executable, "-m", "tests.fuzz.guided", name, str(executions), str(seed)]
            ended = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
            if ended.returncode != 0:
                print(ended.stderr[-4000:], flush=True)
                good = False
            continue
        try:
            print(run_target(targets[name], executions, seed), flush=True)
        except FindingError as error:
            print(error, flush=True)
            good = False
    return good


async def run_receive(executions: int, seed: int) -> bool:
    """Let changed stanzas come in; return whether nothing was found."""
    logging.disable(logging.CRITICAL)
    with make_parties() as parties:
        recipient = Recipient(parties)
        try:
            run = receive(recipient, executions, seed)
        except FindingError as error:
            print(error)
            return False
    print(f"{_HEAD}\n{run}\n")
    print(", ".join(f"{number:,} {what}" for what, number in recipient.tally.most_common()))
    return True


def receive(recipient: Recipient, executions: int, seed: int) -> Run:
    """Let changed stanzas come in, and measure it; raise `FindingError`."""
    forger, begin, slowest, before = Forger(recipient, seed), time.perf_counter(), 0.0, 0
    for number in range(executions):
        if number == executions // 10:
            gc.collect()
            before = resident()
        wire, insider = forger.draw()
        start = time.process_time()
        try:
            recipient.try_changed(wire, insider=insider)
        except Exception as error:
            raise FindingError("receive", wire, f"{type(error).__name__}: {error}") from error
        slowest = max(slowest, time.process_time() - start)
        if slowest > LONGEST:
            raise FindingError("receive", wire, f"{slowest:.1f} seconds")
    gc.collect()
    growth = max(0, resident() - before)
    if executions >= 100_000 and growth > GROWTH:
        raise FindingError("receive", b"", f"{growth} octets were never given back")
    return Run("the whole way", executions, time.perf_counter() - begin, slowest, growth)


async def run_worst() -> bool:
    """Weigh the worst cases, print what they cost, and return whether that is bounded."""
    good = True
    logging.disable(logging.CRITICAL)
    print("| stanza | octets | ms | MB | private | verified |\n|---|--:|--:|--:|--:|--:|")
    with make_parties() as parties:
        for name, cost in weigh_all(parties):
            print(f"| {name} | {cost} |{'' if cost.is_bounded else ' TOO MUCH'}", flush=True)
            good &= cost.is_bounded
    return good


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("readers", "receive", "worst"))
    parser.add_argument("only", nargs="*", help="names of readers")
    parser.add_argument("--executions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--blind", action="store_true", help="without atheris")
    arguments = parser.parse_intermixed_args()
    warnings.simplefilter("error")  # as the tests have it
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    if arguments.what == "readers":
        return not run_readers(arguments.executions, arguments.seed, arguments.only, blind=arguments.blind)
    if arguments.what == "worst":
        return not asyncio.run(run_worst())
    return not asyncio.run(run_receive(arguments.executions, arguments.seed))


if __name__ == "__main__":
    raise SystemExit(main())
