"""Work that has to wait for something, in order for each peer, and for several peers at the same time.

Stanzas of one peer must not overtake each other (RFC 6120 10.1). So while one is being worked on, those behind it
wait in its lane, whether or not they have anything to wait for themselves.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from slixmpp_e2e.plugin.discretion import where

log = logging.getLogger(__name__)

#: How much waits until the stream is no longer read, and until it is again.
FULL: Final = 500
_RELIEVED: Final = 100
#: The same for the octets of it: 500 of the largest stanzas that servers let through would be gigabytes.
FULL_OCTETS: Final = 1 << 24
_RELIEVED_OCTETS: Final = FULL_OCTETS // 5


class Job(Protocol):
    """A piece of work."""

    async def do(self) -> None:
        """Do it."""

    def abandon(self) -> None:
        """Say that it will not be done, unless it was: it may be cancelled while it is being done."""


@dataclass(slots=True)
class Lanes:
    """Who waits for what."""

    #: Called whenever too much waits (True), and when that is over (False).
    on_full: Callable[[bool], None] = field(default=lambda _full: None)
    #: Called before each job; it returns when that may begin (`Turns.pause`).
    pause: Callable[[], Awaitable[None]] = field(default=lambda: asyncio.sleep(0))
    #: What waits behind what is being done, and how many octets of memory each holds.
    _lanes: dict[str, deque[tuple[Job, int]]] = field(default_factory=dict)
    #: References to the tasks: the loop has none of its own.
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _waiting: int = 0
    _octets: int = 0
    _is_full: bool = False

    def __len__(self) -> int:
        return self._waiting

    def is_busy(self, name: str) -> bool:
        """Tell whether something of this name would be overtaken."""
        return name in self._lanes

    def put(self, name: str, job: Job, octets: int = 0) -> None:
        """Do a job after all others of its name; it holds that much memory, more or less."""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = deque()
            self._tasks[name] = asyncio.get_running_loop().create_task(self._run(name, lane))
        lane.append((job, octets))
        self._waiting += 1
        self._octets += octets
        if self._waiting >= FULL or self._octets >= FULL_OCTETS:
            self._is_full = True
            self.on_full(True)

    async def _run(self, name: str, lane: deque[tuple[Job, int]]) -> None:
        try:
            while lane:
                await self.pause()
                await self._do(name, *lane.popleft())
        finally:
            if self._lanes.get(name) is lane:
                del self._lanes[name], self._tasks[name]
            self._abandon(lane)

    async def _do(self, name: str, job: Job, octets: int) -> None:
        try:
            await job.do()
        except asyncio.CancelledError:
            job.abandon()
            raise
        except Exception as error:  # noqa: BLE001 those behind it have nothing to do with it
            log.error("something for %s was not done: %s", name, where(error))  # noqa: TRY400 without its text
            job.abandon()
        finally:
            self._one_less(octets)

    def _abandon(self, lane: deque[tuple[Job, int]]) -> None:
        while lane:
            job, octets = lane.popleft()
            job.abandon()
            self._one_less(octets)

    def _one_less(self, octets: int) -> None:
        self._waiting -= 1
        self._octets -= octets
        if self._is_full and self._waiting <= _RELIEVED and self._octets <= _RELIEVED_OCTETS:
            self._is_full = False
            self.on_full(False)

    def close(self) -> tuple[asyncio.Task[None], ...]:
        """Abandon what waits at once; return what is being done and was cancelled, which is abandoned as it ends."""
        lanes, tasks = self._lanes, self._tasks
        self._lanes, self._tasks = {}, {}
        for task in tasks.values():
            task.cancel()
        for lane in lanes.values():
            self._abandon(lane)
        return tuple(tasks.values())
