"""Stanzas that wait for a certificate, per bare JID and in order (ARCHITECTURE invariant 3).

First, where the store is shared, they wait until it has said which certificates there are.

They wait outside the filters: `take` keeps a stanza away from the rest of the way, and when the certificate is
there, or the time is up, all that waited is sent again or fails. What slixmpp still has in its own queue when
that happens must not overtake, so until the last one has come through again newer ones wait, too.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from slixmpp import JID

from slixmpp_e2e.errors import NoCertificateError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.plugin.stanzas import Stanza
from slixmpp_e2e.waiting import NotYet, patiently

_PER_PEER: Final = 100
_ALTOGETHER: Final = 1000
_PARKED: Final = "_e2e_parked"


@dataclass(slots=True)
class _Queue:
    waiting: deque[Stanza] = field(default_factory=deque)
    #: How many were sent again and have not come through yet.
    under_way: int = 0
    #: Set while a certificate is looked for.
    deadline: asyncio.TimerHandle | None = None
    #: What waits for the store; None: it has answered.
    loading: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Parking:
    """Where stanzas wait."""

    xmpp: Any
    #: Tells whether a stanza has to wait: it must be encrypted, and there is no certificate. Or raises `NotYet`.
    lacks_certificate: Callable[[Stanza], bool]
    #: Tells the program that a stanza did not leave (`Outbound.fail`).
    fail: Callable[[Stanza, Exception], None]
    #: Seconds that a stanza waits at the most; 0: not at all.
    patience: float
    #: Starts looking for a certificate; returns whether it is worth waiting for.
    look_for: Callable[[JID], bool] = field(default=lambda _jid: False)
    _queues: dict[str, _Queue] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    def take(self, stanza: Stanza) -> bool:
        """Tell whether a stanza waits from now on; if not, it may go its way."""
        if not stanza["to"].bare:
            return False
        needed: NotYet | None = None
        lacks = False
        try:
            lacks = self.lacks_certificate(stanza)
        except NotYet as error:
            needed = error
        if not self._queues and not lacks and needed is None:  # nearly always
            return False
        jid = bare(stanza["to"])
        queue = self._queues.get(jid)
        if getattr(stanza, _PARKED, False):
            setattr(stanza, _PARKED, False)
            if queue is not None:
                self._came_through(jid, queue)
            return False
        if queue is None:
            if needed is not None:
                queue = self._queues[jid] = _Queue()
                queue.loading = asyncio.get_running_loop().create_task(self._load(jid, queue, needed))
            elif lacks and self._is_worth_waiting_for(stanza["to"]):
                queue = self._queues[jid] = _Queue()
                self._set_deadline(jid, queue)
            else:
                return False
        if len(queue.waiting) >= _PER_PEER or len(self) >= _ALTOGETHER:
            self.fail(stanza, NoCertificateError(f"too many stanzas wait for the certificate of {jid}"))
        else:
            queue.waiting.append(stanza)
        return True

    def _is_worth_waiting_for(self, jid: JID) -> bool:
        return self.look_for(jid) and self.patience > 0

    def _set_deadline(self, jid: str, queue: _Queue) -> None:
        loop = asyncio.get_running_loop()
        queue.deadline = loop.call_later(self.patience, self._give_up, jid)

    async def _load(self, jid: str, queue: _Queue, needed: NotYet) -> None:
        """Wait for the store, and let go what lacks nothing."""
        try:
            await needed.wait()
            lacking = await patiently(lambda: self._first_that_lacks(queue))
        except Exception as error:  # noqa: BLE001 whatever it is, nothing leaves
            if self._queues.get(jid) is queue:
                self._fail_all(jid, error)
            return
        if self._queues.get(jid) is not queue:
            return
        queue.loading = None
        if lacking is None:
            self._send(queue)
            return
        if not self._is_worth_waiting_for(queue.waiting[lacking]["to"]):
            self._send(queue)  # each fails on its own, or leaves if it lacks nothing
            return
        self._set_deadline(jid, queue)
        for _ in range(lacking):
            self._send_first(queue)

    def _first_that_lacks(self, queue: _Queue) -> int | None:
        return next((i for i, each in enumerate(queue.waiting) if self.lacks_certificate(each)), None)

    def release(self, jid: JID) -> None:
        """Send what waited for a certificate: there is one now."""
        queue = self._queues.get(bare(jid))
        if queue is not None and queue.loading is None:
            self._send(queue)

    def give_up(self, jid: JID) -> None:
        """Fail what waits for a certificate: there will be none."""
        queue = self._queues.get(bare(jid))
        if queue is not None and queue.deadline is not None:
            self._give_up(bare(jid))

    def close(self) -> None:
        """Fail all that still waits."""
        for jid in tuple(self._queues):
            self._give_up(jid)

    def _send(self, queue: _Queue) -> None:
        if queue.deadline is not None:
            queue.deadline.cancel()
            queue.deadline = None
        while queue.waiting:
            self._send_first(queue)

    def _send_first(self, queue: _Queue) -> None:
        stanza = queue.waiting.popleft()
        setattr(stanza, _PARKED, True)
        queue.under_way += 1
        self.xmpp.send(stanza)

    def _came_through(self, jid: str, queue: _Queue) -> None:
        queue.under_way -= 1
        if queue.under_way > 0 or queue.deadline is not None:
            return
        if queue.waiting:
            self._send(queue)
        else:
            del self._queues[jid]

    def _give_up(self, jid: str) -> None:
        self._fail_all(jid, NoCertificateError(f"no certificate of {jid} was found in time"))

    def _fail_all(self, jid: str, error: Exception) -> None:
        queue = self._queues.pop(jid)
        if queue.deadline is not None:
            queue.deadline.cancel()
        if queue.loading is not None and queue.loading is not asyncio.current_task():
            queue.loading.cancel()
        for stanza in queue.waiting:
            self.fail(stanza, error)
