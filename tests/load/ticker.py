"""How long an event loop does nothing else: a timer that takes note of how late it is."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Self

#: Seconds from one tick to the next.
INTERVAL: Final = 0.002


@dataclass(frozen=True, slots=True)
class Lateness:
    """The worst since it was asked for last, in seconds."""

    #: By the clock on the wall: also what other programs did on this processor.
    wall: float
    #: What this thread itself worked meanwhile.
    own: float

    def worse(self, other: "Lateness") -> "Lateness":
        """Return the worse of both."""
        return Lateness(max(self.wall, other.wall), max(self.own, other.own))


PUNCTUAL: Final = Lateness(0.0, 0.0)


class Ticker:
    """Ticks within `async with`."""

    def __init__(self) -> None:
        self._worst = PUNCTUAL
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def take(self) -> Lateness:
        """Return the worst since this was called last, after the tick that is due."""
        await asyncio.sleep(2 * INTERVAL)
        worst, self._worst = self._worst, PUNCTUAL
        return worst

    async def _tick(self) -> None:
        due, worked = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(INTERVAL)
            now, work = time.perf_counter(), time.thread_time()
            self._worst = self._worst.worse(Lateness(now - due - INTERVAL, work - worked))
            due, worked = now, work
