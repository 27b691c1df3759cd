"""Runs a target many times, and looks at time and memory."""

import base64
import gc
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutations import Mutator
from tests.fuzz.readers import Target

#: Seconds of this process that one execution may take.
LONGEST = 2.0
#: Octets that a process may grow by after its first tenth.
GROWTH = 48 << 20


class FindingError(AssertionError):
    """An input that broke a rule; it is in the text, in base64."""

    def __init__(self, name: str, data: bytes, what: str) -> None:
        super().__init__(f"{name}: {what}: {base64.b64encode(data).decode()}")
        self.data = data


@dataclass(frozen=True, slots=True)
class Run:
    """What executions of a target came to."""

    name: str
    executions: int
    seconds: float
    #: Of the process, for the slowest one.
    slowest: float
    #: Octets that the process has grown by since the first tenth.
    growth: int

    def __str__(self) -> str:
        rate = self.executions / self.seconds if self.seconds else 0
        return (
            f"| {self.name} | {self.executions:,} | {rate:,.0f} | {1000 * self.slowest:.1f} | "
            f"{self.growth / (1 << 20):.1f} |"
        )


def resident() -> int:
    """Return the memory of this process, in octets."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def execute(name: str, run: Callable[[bytes], None], data: bytes) -> float:
    """Run a target once and return the seconds of CPU that it took; raise `FindingError`."""
    begin = time.process_time()
    try:
        run(data)
    except Exception as error:
        raise FindingError(name, data, f"{type(error).__name__}: {error}") from error
    taken = time.process_time() - begin
    if taken > LONGEST:
        raise FindingError(name, data, f"{taken:.1f} seconds")
    return taken


def run_target(target: Target, executions: int, seed: int = 0) -> Run:
    """Run a target with changed inputs; raise `FindingError`."""
    mutator = Mutator(target.seeds, random.Random(f"{target.name} {seed}"))
    return repeat(target.name, target.read, mutator.draw, executions, target.seeds)


def repeat(
    name: str,
    run: Callable[[bytes], None],
    draw: Callable[[], bytes],
    executions: int,
    seeds: tuple[bytes, ...] = (),
) -> Run:
    """Run something with its seeds and then with what is drawn, and measure it."""
    begin, slowest, before = time.perf_counter(), 0.0, 0
    for data in seeds:
        slowest = max(slowest, execute(name, run, data))
    for number in range(executions):
        if number == executions // 10:
            gc.collect()
            before = resident()
        slowest = max(slowest, execute(name, run, draw()))
    gc.collect()
    growth = max(0, resident() - before)
    if executions >= 100_000 and growth > GROWTH:
        raise FindingError(name, b"", f"{growth} octets were never given back")
    return Run(name, executions, time.perf_counter() - begin, slowest, growth)
