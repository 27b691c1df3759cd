"""Interleaved timing: every contestant runs one short batch a round, in a new order each round.

The frequency of a processor changes and other programs take turns with us; neighbours in time are hit alike.
So a ratio is taken between two batches of the same round, and the median over all rounds is what counts. What
a call needs is made outside the clock, and the garbage collector rests during a batch, as it does in `timeit`.
"""

import gc
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import isawaitable, iscoroutinefunction
from time import perf_counter
from typing import Any


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    #: Batches of each contestant.
    rounds: int
    #: Calls in a batch.
    calls: int
    #: Stanzas that every client has handled before it is measured: its bounded records are full then.
    warm_up: int
    #: Stanzas for the measurement of memory.
    stanzas: int


FULL = Effort(rounds=120, calls=20, warm_up=1100, stanzas=100_000)
QUICK = Effort(rounds=30, calls=10, warm_up=1100, stanzas=5_000)
ONCE = Effort(rounds=1, calls=1, warm_up=1, stanzas=2)


def _nothing(calls: int) -> Sequence[None]:
    return [None] * calls


@dataclass(frozen=True, slots=True)
class Contestant:
    """What is timed: `call` gets one of the arguments that `prepare` made a sequence of.

    Both may be coroutine functions.
    """

    name: str
    call: Callable[[Any], Any]
    prepare: Callable[[int], Any] = _nothing
    #: The name of the contestant that it is compared with.
    floor: str | None = None
    #: The largest ratio that is aimed at.
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """One contestant, in microseconds a call."""

    median: float
    #: Half of the batches lie in a range of this size.
    spread: float
    #: The median of the ratios to the floor's batches of the same rounds.
    ratio: float | None


async def measure(contestants: Sequence[Contestant], effort: Effort) -> dict[str, Timing]:
    """Time the contestants against each other."""
    clocked: dict[str, list[float]] = {each.name: [] for each in contestants}
    order = list(contestants)
    for each in order:  # what happens once only (imports, caches) is not measured
        await _batch(each, effort.calls)
    for _ in range(effort.rounds):
        random.shuffle(order)
        for each in order:
            clocked[each.name].append(await _batch(each, effort.calls))
    return {each.name: _timing(each, clocked) for each in contestants}


async def _batch(contestant: Contestant, calls: int) -> float:
    arguments = contestant.prepare(calls)
    if isawaitable(arguments):
        arguments = await arguments
    call = contestant.call
    gc.collect(0)
    gc.disable()
    try:
        if iscoroutinefunction(call):
            started = perf_counter()
            for argument in arguments:
                await call(argument)
        else:
            started = perf_counter()
            for argument in arguments:
                call(argument)
        return (perf_counter() - started) / calls * 1e6
    finally:
        gc.enable()


def _timing(contestant: Contestant, clocked: dict[str, list[float]]) -> Timing:
    own = clocked[contestant.name]
    spread = 0.0
    if len(own) > 1:
        first, _, third = statistics.quantiles(own, n=4)
        spread = third - first
    ratio = None
    if contestant.floor is not None:
        floor = clocked[contestant.floor]
        ratio = statistics.median(mine / its for mine, its in zip(own, floor, strict=True))
    return Timing(statistics.median(own), spread, ratio)
