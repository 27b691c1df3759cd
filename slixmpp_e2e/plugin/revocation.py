"""Asks the sources of revocation lists and OCSP responses while there is a stream, outside the filters.

Once a minute, and a second after something is wanted that was not wanted before. What leaves waits for the answer
where without it there is no usable certificate (`revocation="hard"`), and the sources are asked at once. What arrives
is refused meanwhile.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from slixmpp import JID

from slixmpp_e2e.certificates.mirror import Mirror
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import to_datetime
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.plugin.parking import Parking
from slixmpp_e2e.protection import Protection

log = logging.getLogger(__name__)

#: Seconds from one time to the next.
PERIOD: Final = 60
#: Seconds after something has become wanted: more may follow.
DELAY: Final = 1
_NAME: Final = "e2e_revocation"


@dataclass(slots=True)
class RevocationRefresh:
    """Keeps what is known of revocation current (ARCHITECTURE invariant 3)."""

    xmpp: Any
    protection: Protection
    stats: Counter[str]
    opening: Opening
    parking: Parking
    #: Looks for another certificate of a peer; returns whether it is worth waiting for (`CertificateSearch.find`).
    search: Callable[[JID], bool]
    _running: "asyncio.Task[None] | None" = field(default=None, init=False)
    _recalling: "asyncio.Task[None] | None" = field(default=None, init=False)
    _soon: asyncio.TimerHandle | None = field(default=None, init=False)
    #: Peers for whom something is parked that waits for a round, by their bare JIDs.
    _waiting: "dict[str, asyncio.Task[None]]" = field(default_factory=dict, init=False)

    def start(self) -> None:
        """Begin, if there are sources to ask; needs the stream's event loop."""
        checker = self.protection.authority.revocation
        if checker is not None and self.opening.mirror is not None and self._recalling is None:
            self._recalling = asyncio.ensure_future(self._recall(checker, self.opening.mirror))
        if checker is not None and checker.sources and _NAME not in self.xmpp.scheduled_events:
            self.xmpp.schedule(_NAME, PERIOD, self._begin, repeat=True)
            checker.on_wanted = self._begin_soon
            if checker.wanted:
                self._begin_soon()

    async def _recall(self, checker: RevocationChecker, mirror: Mirror) -> None:
        """Know again what a shared store keeps."""
        try:
            checker.recall(await mirror.fetch_revocation_lists())
        except StoreError as error:
            self._recalling = None  # the next session tries again
            log.warning("revocation lists that were kept are not known: %s", error.diagnostics())

    def stop(self) -> None:
        """End it."""
        checker = self.protection.authority.revocation
        if checker is not None:
            checker.on_wanted = lambda: None
        if _NAME in self.xmpp.scheduled_events:
            self.xmpp.cancel_schedule(_NAME)
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        for task in (*self._waiting.values(), *filter(None, [self._running, self._recalling])):
            task.cancel()
        self._waiting.clear()

    def _begin(self) -> None:
        if not self._is_running:  # else a source takes its time
            self._running = asyncio.ensure_future(self.refresh())

    @property
    def _is_running(self) -> bool:
        return self._running is not None and not self._running.done()

    def _begin_soon(self) -> None:
        if self._soon is None:
            self._soon = self.xmpp.loop.call_later(DELAY, self._its_time)

    def _its_time(self) -> None:
        self._soon = None
        if self._is_running:  # what it was asked for may be less than what is wanted now
            self._begin_soon()
        else:
            self._begin()

    async def refresh(self) -> None:
        """Ask every source once, and tell the program what went wrong. Never raises."""
        checker = self.protection.authority.revocation
        if checker is None:
            return
        try:
            problems = await checker.refresh(at=to_datetime(self.protection.now()))
        except Exception:
            log.exception("a source of revocation lists failed")
            self.stats["internal_errors"] += 1
            return
        for problem in problems:
            log.warning("what is known of revocation could not be renewed: %s", problem.diagnostics())
            self.stats["revocation_failed"] += 1
            self.xmpp.event("e2e_revocation_failed", problem)

    # ------------------------------------------------------------------ what waits for it

    def find(self, jid: JID) -> bool:
        """Ask at once whether the certificates of a peer were revoked, if only this is missing; else look for others.

        Return whether it is worth waiting for. Never raises.
        """
        name = bare(jid)
        if name in self._waiting:
            return True
        if not self._is_wanted(name):
            return self.search(jid)
        self._waiting[name] = asyncio.ensure_future(self._find(name, jid))
        return True

    async def _find(self, name: str, jid: JID) -> None:
        try:
            await self.settle(jid)
        finally:
            if self._waiting.get(name) is asyncio.current_task():
                del self._waiting[name]
        try:
            if await self.opening.can_encrypt_to(jid):
                self.parking.release(jid)
            elif not self.search(jid):
                self.parking.give_up(jid)
        except Exception:
            log.exception("what waits for %s is given up", jid.bare)
            self.parking.give_up(jid)

    async def settle(self, jid: JID) -> bool:
        """Wait until all has been asked that is wanted about a peer; return whether there was anything.

        Never raises.
        """
        if not self._is_wanted(bare(jid)):
            return False
        await self._finish()
        if self._is_wanted(bare(jid)):  # not by that round
            self._begin()
            await self._finish()
        return True

    async def _finish(self) -> None:
        while self._running is not None and not self._running.done():
            await asyncio.wait([self._running])

    def _is_wanted(self, name: str) -> bool:
        """Tell whether sources shall be asked about a certificate of a bare JID, and without it he has none."""
        checker = self.protection.authority.revocation
        if checker is None or checker.policy != "hard":
            return False
        return any(name in certificate_jids(path[0]) for path in checker.wanted)
