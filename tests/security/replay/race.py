"""The same stanza at the same moment at several clients that share a store: exactly one of them takes it."""

import asyncio
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.accounts import Clock
from tests.security.replay.world import Client, World, is_taken

CLIENTS = 4


@dataclass(frozen=True, slots=True)
class Heat:
    """One stanza, as each of the clients gets it."""

    secret: str
    wires: tuple[str, ...]


class _Runner(threading.Thread):
    """A client in a thread of its own, with its own connection to the file."""

    def __init__(
        self, world: World, clock: Clock, path: Path, heats: list[Heat], lane: int, start: threading.Barrier
    ):
        super().__init__()
        self.taken: list[bool] = []
        self.reasons: list[str] = []
        self._arguments = world, clock, path
        self._heats = heats
        self._lane = lane
        self._start = start

    def run(self) -> None:
        """Take part in every heat."""
        try:
            asyncio.run(self._compete())
        except BaseException:
            self._start.abort()
            raise

    async def _compete(self) -> None:
        world, clock, path = self._arguments
        client = Client(world, clock, SQLiteStore(path))
        chance = random.Random(self._lane)
        for heat in self._heats:
            self._start.wait(30)
            await asyncio.sleep(chance.choice([0, 0, 0.0002, 0.001]))
            outcome = client.receive(heat.wires[self._lane])
            self.taken.append(is_taken(outcome, heat.secret))
            self.reasons += outcome.reasons
        client.close()


def race(world: World, clock: Clock, path: Path, heats: Sequence[Heat]) -> tuple[list[int], list[str]]:
    """Return how many took the stanza of each heat, and why it was refused by the others."""
    start = threading.Barrier(CLIENTS)
    runners = [_Runner(world, clock, path, heats, lane, start) for lane in range(CLIENTS)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    takers = [sum(each) for each in zip(*(runner.taken for runner in runners), strict=True)]
    return takers, [reason for runner in runners for reason in runner.reasons]
