"""What must be kept, where it has to be waited for: the contract of a store that several processes share.

It keeps what `store.Store` keeps, and answers as that does; but it is asked outside the filters, and of any number
of processes that ask at once, each answer is given as if they had asked one after the other. What it can't keep,
read or reach it says with `StoreError`, within its time limit; the next call may succeed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from slixmpp_e2e.certificates.store import Chain
from slixmpp_e2e.freshness import Admission
from slixmpp_e2e.report import Trust


@dataclass(frozen=True, slots=True)
class Known:
    """All that is kept about a JID, as it was at one moment."""

    #: Newest first.
    certificates: tuple[Chain, ...]
    #: By SHA-256 fingerprint.
    decisions: Mapping[bytes, Trust]
    #: By SHA-256 fingerprint, of kept certificates only.
    announcements: Mapping[bytes, bytes]


class SharedStore(Protocol):
    """A home for what survives a restart, and is shared. JIDs are normalised bare JIDs.

    A call that ended with `StoreError` because of a lost connection or the time limit may have been carried out
    all the same: a stanza whose `admit` failed is refused, and may count as seen when it comes again.
    """

    async def open(self) -> None:
        """Connect, and make or migrate what is kept there; nothing happens where it is open already."""

    async def load(self, jid: str) -> Known:
        """Return all that is kept about a JID, in one round trip."""

    async def admit(
        self, signer: str, digest: bytes, timestamp: int, received: int, former: bytes | None = None
    ) -> Admission:
        """See `freshness.ReplayRecord`; of any number of processes, one takes the stanza in. One round trip."""

    async def add_certificate(self, jid: str, chain: Chain) -> bool:
        """See `Store`."""

    async def find_certificates(self, identifier: bytes) -> tuple[bytes, ...]:
        """See `Store`."""

    async def all_certificates(self) -> Iterable[Chain]:
        """See `Store`."""

    async def announce(self, jid: str, fingerprint: bytes, value: bytes) -> None:
        """See `Store`; what was announced is read with `load`."""

    async def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        """See `Store`."""

    async def decide_first_use(self, jid: str, fingerprint: bytes) -> None:
        """Keep `Trust.TOFU`, unless another process has decided something in the meantime.

        It is kept if the certificate `store.may_be_first`. Otherwise, `StoreError`: what was decided is to be
        loaded again.
        """

    async def decide_if_undecided(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""

    async def undecide(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""

    async def all_decisions(self) -> Iterable[tuple[str, bytes, Trust]]:
        """See `Store`."""

    async def add_revocation_list(self, key: bytes, der: bytes) -> None:
        """See `Store`."""

    async def revocation_lists(self) -> Iterable[bytes]:
        """See `Store`."""

    async def close(self) -> None:
        """Release the connections; nothing happens where it is closed already."""
