"""What must be kept: the contract, and the store that keeps it in memory.

A store keeps peers' certificates, pins and the replay record. What it can't keep or read it must say with
`StoreError`: a pin that gets lost silently is an open door.
"""

from collections.abc import Iterable
from typing import Protocol

from slixmpp_e2e.freshness import Admission, MemoryReplayRecord, ReplayRecord

#: A certificate and what came along with it, all DER, the certificate first.
Chain = tuple[bytes, ...]
#: How many certificates are kept for one JID; the oldest goes first.
CERTIFICATES_PER_JID = 8


class Store(ReplayRecord, Protocol):
    """A home for what survives a restart. JIDs are normalised bare JIDs."""

    def certificates(self, jid: str) -> tuple[Chain, ...]:
        """Return the certificates learned for a JID, newest first."""

    def all_certificates(self) -> Iterable[Chain]:
        """Return all learned certificates."""

    def add_certificate(self, jid: str, chain: Chain) -> bool:
        """Keep a certificate; return whether it is new. Trust is not implied: it is judged at every use."""

    def pins(self, jid: str) -> frozenset[bytes]:
        """Return the SHA-256 fingerprints of the certificates pinned for a JID."""

    def add_pin(self, jid: str, fingerprint: bytes) -> None:
        """Pin a certificate for a JID: from now on only pinned ones are accepted for it."""

    def remove_pin(self, jid: str, fingerprint: bytes) -> None:
        """Take a pin back."""

    def close(self) -> None:
        """Release files and connections; the store is not used afterwards."""


class MemoryStore:
    """A store that forgets everything at the end of the process.

    `started` is the floor of its replay record: nothing dated before is accepted, because nobody knows any
    more what was already seen.
    """

    def __init__(self, *, started: int) -> None:
        self._replay = MemoryReplayRecord(started=started)
        self._certificates: dict[str, list[Chain]] = {}
        self._pins: dict[str, frozenset[bytes]] = {}

    def admit(self, signer: str, digest: bytes, timestamp: int, received: int) -> Admission:
        """See `ReplayRecord`."""
        return self._replay.admit(signer, digest, timestamp, received)

    def certificates(self, jid: str) -> tuple[Chain, ...]:
        """See `Store`."""
        return tuple(reversed(self._certificates.get(jid, [])))

    def all_certificates(self) -> Iterable[Chain]:
        """See `Store`."""
        return [chain for group in self._certificates.values() for chain in group]

    def add_certificate(self, jid: str, chain: Chain) -> bool:
        """See `Store`."""
        known = self._certificates.setdefault(jid, [])
        if any(each[0] == chain[0] for each in known):
            return False
        known.append(chain)
        del known[:-CERTIFICATES_PER_JID]
        return True

    def pins(self, jid: str) -> frozenset[bytes]:
        """See `Store`."""
        return self._pins.get(jid, frozenset())

    def add_pin(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""
        self._pins[jid] = self.pins(jid) | {fingerprint}

    def remove_pin(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""
        self._pins[jid] = self.pins(jid) - {fingerprint}

    def close(self) -> None:
        """See `Store`."""
