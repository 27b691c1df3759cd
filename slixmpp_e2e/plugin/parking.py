"""Stanzas that wait outside the filters, per bare JID and in order (ARCHITECTURE invariant 3).

For a certificate that is looked for; before that, where the store is shared, for its answer which certificates there
are; and for a stream, if there was none when they came by (`hold`): slixmpp would lose them. While there are any of a
JID, newer ones wait behind them.

They come back into slixmpp's queue one by one: for each a `Turn` is sent, and whenever one comes by, the oldest of
the JID leaves. So however many turns there are and wherever they get lost, nothing overtakes, and nothing leaves
twice.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from slixmpp import JID

from slixmpp_e2e.errors import NoCertificateError, StoreError, UnprotectableError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.plugin.stanzas import Stanza, Turn, goes_to, has_stream, to_of
from slixmpp_e2e.waiting import NotYet, patiently

#: How many may wait for the certificate of a JID, and for all of them.
_PER_PEER: Final = 100
_ALTOGETHER: Final = 1000
#: How many may wait for the store.
_FOR_STORE: Final = 10_000


@dataclass(slots=True)
class _Queue:
    """The stanzas of a JID. Where neither `deadline` nor `loading` is set, there is a turn for each."""

    waiting: deque[Stanza] = field(default_factory=deque)
    #: Set while a certificate is looked for.
    deadline: asyncio.TimerHandle | None = None
    #: When the patience of the oldest one ends, in seconds of the loop; None: it lacks nothing.
    until: float | None = None
    #: There will be no certificate: what can't leave without fails.
    is_given_up: bool = False
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

    # ------------------------------------------------------------------ coming

    def hold(self, stanza: Stanza) -> None:
        """Keep a stanza until `resume`: there is no stream."""
        self._queues.setdefault(goes_to(stanza), _Queue()).waiting.append(stanza)

    def take(self, stanza: Stanza) -> bool:
        """Tell whether a stanza waits from now on; if not, it may go its way, or fails there.

        Raises what `lacks_certificate` raises, but `NotYet`; and a `LocalError` if too many wait.
        """
        jid = goes_to(stanza)
        queue = self._queues.get(jid)
        if queue is None:
            queue = _Queue()
            if self._may_leave(jid, queue, stanza):
                return False
            self._queues[jid] = queue
        elif queue.loading is not None and len(self) >= _FOR_STORE:
            raise StoreError("too many stanzas wait for the store")
        elif queue.deadline is not None and (len(queue.waiting) >= _PER_PEER or len(self) >= _ALTOGETHER):
            raise NoCertificateError(f"too many stanzas wait for the certificate of {jid}")
        queue.waiting.append(stanza)
        self._send_turns(jid, queue, 1)
        return True

    # ------------------------------------------------------------------ going

    def next(self, jid: str) -> Stanza | None:
        """Return the oldest stanza of a JID if it may leave now."""
        queue = self._queues.get(jid)
        if queue is None or not self._is_next_free(jid, queue):
            return None
        stanza = queue.waiting.popleft()
        queue.until = None
        self._forget_empty(jid, queue)
        return stanza

    def resume(self, _event: Any = None) -> None:
        """Send what was held: there is a stream again, and slixmpp may have emptied its queue before."""
        for jid, queue in tuple(self._queues.items()):
            self._send_turns(jid, queue, len(queue.waiting))

    def release(self, jid: JID) -> None:
        """Send what waited for a certificate: there is one now."""
        queue = self._queues.get(bare(jid))
        if queue is not None:
            _cancel_deadline(queue)
            self._send_turns(bare(jid), queue, len(queue.waiting))

    def give_up(self, jid: JID) -> None:
        """Fail what waits for a certificate: there will be none."""
        self._give_up(bare(jid))

    def close(self) -> None:
        """Fail all that still waits."""
        for jid, queue in tuple(self._queues.items()):
            self._fail_all(jid, queue, UnprotectableError("the plugin was switched off while this waited"))

    def _send_turns(self, jid: str, queue: _Queue, count: int) -> None:
        if queue.deadline is not None or queue.loading is not None:
            return
        if not has_stream(self.xmpp):  # `resume` does it: behind what slixmpp sends again then
            return
        for _ in range(count):
            turn = Turn(self.xmpp)
            turn.jid = jid
            self.xmpp.send(turn)

    def _is_next_free(self, jid: str, queue: _Queue) -> bool:
        """Tell whether the oldest one may leave, and fail those before it that never will."""
        while queue.waiting and queue.deadline is None and queue.loading is None:
            try:
                if self._may_leave(jid, queue, queue.waiting[0]):
                    return True
            except Exception as error:  # noqa: BLE001 whatever it is, it does not leave
                self._fail_first(jid, queue, error)
            else:
                if queue.is_given_up and queue.loading is None:
                    missing = NoCertificateError(f"no certificate of {jid} was found in time")
                    self._fail_first(jid, queue, missing)
        return False

    def _may_leave(self, jid: str, queue: _Queue, stanza: Stanza) -> bool:
        """Tell whether a stanza may go its way now; what it has to wait for instead is begun."""
        try:
            if not jid or not self.lacks_certificate(stanza):
                return True
        except NotYet as needed:
            loop = asyncio.get_running_loop()
            queue.loading = loop.create_task(self._load(jid, queue, needed, stanza))
            return False
        if queue.is_given_up:
            return False
        if not self.look_for(to_of(stanza)) or self.patience <= 0:
            return True  # it fails where it is protected
        loop = asyncio.get_running_loop()
        if queue.until is None:
            queue.until = loop.time() + self.patience
        queue.deadline = loop.call_at(queue.until, self._give_up, jid)
        return False

    async def _load(self, jid: str, queue: _Queue, needed: NotYet, stanza: Stanza) -> None:
        """Wait for the store, until it is known whether a stanza lacks something."""
        try:
            await needed.wait()
            await patiently(lambda: self.lacks_certificate(stanza))
        except Exception as error:  # noqa: BLE001 whatever it is, nothing leaves
            queue.waiting, waiting = deque(filter(self._lacks_nothing, queue.waiting)), queue.waiting
            self._forget_empty(jid, queue)
            kept = {id(each) for each in queue.waiting}
            for each in waiting:
                if id(each) not in kept:
                    self.fail(each, error)
        queue.loading = None
        self._send_turns(jid, queue, len(queue.waiting))

    def _lacks_nothing(self, stanza: Stanza) -> bool:
        """Tell whether a stanza may leave, whatever the store would say."""
        try:
            return not self.lacks_certificate(stanza)
        except Exception:  # noqa: BLE001 `NotYet`, or it fails for another reason
            return False

    # ------------------------------------------------------------------ failing

    def _give_up(self, jid: str) -> None:
        queue = self._queues.get(jid)
        if queue is None or queue.deadline is None:
            return
        _cancel_deadline(queue)
        queue.is_given_up = True
        if self._is_next_free(jid, queue):
            self._send_turns(jid, queue, len(queue.waiting))

    def _fail_first(self, jid: str, queue: _Queue, error: Exception) -> None:
        stanza = queue.waiting.popleft()
        self._forget_empty(jid, queue)
        self.fail(stanza, error)

    def _fail_all(self, jid: str, queue: _Queue, error: Exception) -> None:
        _cancel_deadline(queue)
        if queue.loading is not None and queue.loading is not asyncio.current_task():
            queue.loading.cancel()
        if self._queues.get(jid) is queue:
            del self._queues[jid]
        while queue.waiting:
            self.fail(queue.waiting.popleft(), error)

    def _forget_empty(self, jid: str, queue: _Queue) -> None:
        if not queue.waiting and self._queues.get(jid) is queue:
            _cancel_deadline(queue)
            del self._queues[jid]


def _cancel_deadline(queue: _Queue) -> None:
    if queue.deadline is not None:
        queue.deadline.cancel()
        queue.deadline = None
