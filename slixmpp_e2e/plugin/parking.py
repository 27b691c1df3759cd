"""Stanzas that wait for a certificate, per bare JID and in order (ARCHITECTURE invariant 3).

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

_PER_PEER: Final = 100
_ALTOGETHER: Final = 1000
_PARKED: Final = "_e2e_parked"


@dataclass(slots=True)
class _Queue:
    waiting: deque[Stanza] = field(default_factory=deque)
    #: How many were sent again and have not come through yet.
    under_way: int = 0
    deadline: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Parking:
    """Where stanzas wait."""

    xmpp: Any
    #: Tells whether a stanza has to wait: it must be encrypted, and there is no certificate.
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
        if not self._queues and not self.lacks_certificate(stanza):  # nearly always
            return False
        jid = bare(stanza["to"])
        queue = self._queues.get(jid)
        if getattr(stanza, _PARKED, False):
            setattr(stanza, _PARKED, False)
            if queue is not None:
                self._came_through(jid, queue)
            return False
        if queue is None:
            if not self.lacks_certificate(stanza) or not self.look_for(stanza["to"]) or not self.patience:
                return False
            queue = self._queues[jid] = _Queue()
            queue.deadline = asyncio.get_running_loop().call_later(self.patience, self._give_up, jid)
        if len(queue.waiting) >= _PER_PEER or len(self) >= _ALTOGETHER:
            self.fail(stanza, NoCertificateError(f"too many stanzas wait for the certificate of {jid}"))
        else:
            queue.waiting.append(stanza)
        return True

    def release(self, jid: JID) -> None:
        """Send what waited for a certificate: there is one now."""
        queue = self._queues.get(bare(jid))
        if queue is not None:
            self._send(queue)

    def give_up(self, jid: JID) -> None:
        """Fail what waits for a certificate: there will be none."""
        queue = self._queues.get(bare(jid))
        if queue is not None and not queue.under_way:
            self._give_up(bare(jid))

    def close(self) -> None:
        """Fail all that still waits."""
        for jid in tuple(self._queues):
            self._give_up(jid)

    def _send(self, queue: _Queue) -> None:
        if queue.deadline is not None:
            queue.deadline.cancel()
        while queue.waiting:
            stanza = queue.waiting.popleft()
            setattr(stanza, _PARKED, True)
            queue.under_way += 1
            self.xmpp.send(stanza)

    def _came_through(self, jid: str, queue: _Queue) -> None:
        queue.under_way -= 1
        if queue.under_way > 0:
            return
        if queue.waiting:
            self._send(queue)
        else:
            del self._queues[jid]

    def _give_up(self, jid: str) -> None:
        queue = self._queues.pop(jid)
        if queue.deadline is not None:
            queue.deadline.cancel()
        for stanza in queue.waiting:
            self.fail(stanza, NoCertificateError(f"no certificate of {jid} was found in time"))
