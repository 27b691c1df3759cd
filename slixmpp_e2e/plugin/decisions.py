"""What a program decides about certificates, kept by whatever store there is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from slixmpp import JID

from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.report import Trust
from slixmpp_e2e.waiting import NotYet

log = logging.getLogger(__name__)


class _Done:
    """Something to await that has happened already."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


@dataclass(slots=True)
class Decisions:
    """See the methods of `E2EPlugin`; JIDs that are strings are normalised bare JIDs."""

    xmpp: Any
    opening: Opening
    #: Called with a JID that can be encrypted to now.
    release: Callable[[JID], None]
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def of(self, jid: str) -> Mapping[bytes, Trust]:
        """Return what is decided about a JID; raise `StoreError`."""
        try:
            return self.opening.protection.authority.decisions(jid)
        except NotYet:
            raise StoreError("the store is shared, and has to be waited for: await fetch() first") from None

    async def fetch(self, jid: str) -> None:
        """Fetch what a shared store keeps about a JID; raise `StoreError`."""
        if self.opening.mirror is not None:
            await self.opening.mirror.fetch(jid)

    def decide(self, jid: JID, fingerprint: bytes, trust: Trust | None) -> Awaitable[None]:
        """Keep a decision, or take it back; see `E2EPlugin.decide`."""
        protection, mirror = self.opening.protection, self.opening.mirror
        protection.peers.decide(bare(jid), fingerprint, trust)
        if mirror is not None:
            # what is written about him is what there is now: nothing that fails from here on is missed
            task = asyncio.get_running_loop().create_task(self._keep(mirror.keep(bare(jid)), jid))
            self._tasks.add(task)
            task.add_done_callback(self._done)
            return task
        if protection.can_encrypt_to(jid):
            self.release(jid)
        return _Done()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the program was told, whether or not it awaits this

    async def _keep(self, keeping: Awaitable[None], jid: JID) -> None:
        try:
            await keeping
        except StoreError as error:
            log.warning("what was decided about %s is not kept: %s", jid.bare, error.diagnostics())
            self.xmpp.event("e2e_store_failed", error)
            raise
        with suppress(StoreError):  # it is kept; who sends something will hear of the store
            if await self.opening.can_encrypt_to(jid):
                self.release(jid)
