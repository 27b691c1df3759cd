"""A missing certificate is looked up where it may be published, and asked for if it is nowhere (RFC 3923 6.2).

Lookups are tasks of their own, outside the filters (ARCHITECTURE invariant 3). What they bring is a hint: only
certificates that name the JID and are trusted are learned, as if they had come by themselves in an object with
certificates alone. What waits for one has one deadline, whatever is tried meanwhile (`certificate_wait`).
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from slixmpp import JID
from slixmpp.exceptions import XMPPError

from slixmpp_e2e.certificates.store import CERTIFICATES_PER_JID
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.plugin.parking import Parking
from slixmpp_e2e.plugin.pubkeys import SECONDS, bounded
from slixmpp_e2e.plugin.stanzas import own_jid
from slixmpp_e2e.tables import Table

log = logging.getLogger(__name__)

#: Seconds until somebody is looked up again.
_PAUSE: Final = 600
_PEERS: Final = 1000
#: Lookups at the same time; beyond, the peer is asked at once.
_TASKS: Final = 100


@runtime_checkable
class CertificateResolver(Protocol):
    """A place where certificates of peers may be found: their accounts, a directory, a web server."""

    async def find(self, jid: JID) -> Iterable[bytes]:
        """Return certificates in DER that may be the JID's, in any order, and those that lead to the root.

        `jid` is what a stanza is to be sent to, full or bare. What is returned is judged before it is used,
        and only the first sixteen or 64 KiB of it are. It is cancelled after three seconds; what it raises is
        logged, and counts as nothing found.
        """


@dataclass(slots=True)
class CertificateSearch:
    """Looks for missing certificates."""

    xmpp: Any
    opening: Opening
    #: Asked in their order, until there is a usable certificate.
    resolvers: Sequence[CertificateResolver]
    #: Asks the peer himself; returns whether an answer is worth waiting for (`CertificateRequests.find`).
    request: Callable[[JID], bool]
    parking: Parking
    stats: Counter[str]
    now: Callable[[], float] = time.monotonic
    #: Seconds for each resolver.
    patience: float = SECONDS
    #: Asks whether what was found was revoked, if that is missing; returns whether (`RevocationRefresh.settle`).
    settle: Callable[[JID], Awaitable[bool]] | None = None
    _looked_up: Table[str, bool] = field(init=False)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._looked_up = Table(_PAUSE, _PEERS, self.now)

    def __len__(self) -> int:
        return len(self._looked_up) + len(self._tasks)

    def find(self, jid: JID) -> bool:
        """Start looking for the certificate of a peer; return whether it is worth waiting for. Never raises.

        Everybody is looked up once in ten minutes.
        """
        name = bare(jid)
        if name in self._tasks:
            return True
        looked_up = not self.resolvers or self._looked_up.get(name) or len(self._tasks) >= _TASKS
        if looked_up or jid.bare == own_jid(self.xmpp).bare:
            return self.request(jid)
        self._looked_up.put(name, True)
        self._tasks[name] = asyncio.get_running_loop().create_task(self._search(name, jid))
        return True

    def close(self) -> None:
        """Cancel all lookups; they end in the next round of the loop."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _search(self, name: str, jid: JID) -> None:
        try:
            for resolver in self.resolvers:
                self.stats["certificates_looked_up"] += 1
                if await self._try(resolver, jid):
                    self.stats["certificates_found"] += 1
                    break
        except Exception:
            log.exception("looking for the certificate of %s failed", jid.bare)
        finally:
            if self._tasks.get(name) is asyncio.current_task():
                del self._tasks[name]
        await self._conclude(jid)

    async def _conclude(self, jid: JID) -> None:
        """Let go what waits, or ask the peer; if he isn't asked either, nothing is worth waiting for."""
        try:
            if await self.opening.can_encrypt_to(jid):
                self.parking.release(jid)
            elif not self.request(jid):
                self.parking.give_up(jid)
        except Exception:
            log.exception("the certificate of %s was not asked for", jid.bare)
            self.parking.give_up(jid)

    async def _try(self, resolver: CertificateResolver, jid: JID) -> bool:
        """Learn what a resolver finds; tell whether the peer can be encrypted to now."""
        try:
            async with asyncio.timeout(self.patience):
                # a copy: a program may change a JID, and others have the same one (`to_of`)
                found = bounded(await resolver.find(JID(jid)))
        except Exception as error:  # noqa: BLE001 whatever somebody else's code raises
            log.info(
                "%s did not find the certificate of %s: %s", type(resolver).__name__, jid.bare, _why(error)
            )
            return False
        try:
            await self.opening.take_certificates(found, jid, at_once=CERTIFICATES_PER_JID)
            if self.settle and not await self.opening.can_encrypt_to(jid) and await self.settle(jid):
                await self.opening.take_certificates(found, jid, at_once=CERTIFICATES_PER_JID)
        except StoreError as error:
            log.warning("a certificate of %s was found, and can't be kept: %s", jid.bare, error.diagnostics())
        return await self.opening.can_encrypt_to(jid)


def _why(error: Exception) -> str:
    """Say what a resolver raised; the text of slixmpp's exceptions is a whole stanza."""
    said = error.condition if isinstance(error, XMPPError) else str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
