"""Asks the sources of revocation lists again, once a minute while there is a stream, outside the filters."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from slixmpp_e2e.freshness import to_datetime
from slixmpp_e2e.protection import Protection

log = logging.getLogger(__name__)

#: Seconds from one time to the next.
PERIOD: Final = 60
_NAME: Final = "e2e_revocation"


@dataclass(slots=True)
class RevocationRefresh:
    """Keeps revocation lists current (ARCHITECTURE invariant 3)."""

    xmpp: Any
    protection: Protection
    stats: Counter[str]
    _running: "asyncio.Task[None] | None" = field(default=None, init=False)

    def start(self) -> None:
        """Begin, if there are sources to ask; needs the stream's event loop."""
        checker = self.protection.authority.revocation
        if checker is not None and checker.sources and _NAME not in self.xmpp.scheduled_events:
            self.xmpp.schedule(_NAME, PERIOD, self._begin, repeat=True)

    def stop(self) -> None:
        """End it."""
        if _NAME in self.xmpp.scheduled_events:
            self.xmpp.cancel_schedule(_NAME)
        if self._running is not None:
            self._running.cancel()

    def _begin(self) -> None:
        if self._running is None or self._running.done():  # else a source takes its time
            self._running = asyncio.ensure_future(self.refresh())

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
            log.warning("revocation lists could not be renewed: %s", problem.diagnostics())
            self.stats["revocation_failed"] += 1
            self.xmpp.event("e2e_revocation_failed", problem)
