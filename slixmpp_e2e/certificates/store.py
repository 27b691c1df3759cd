"""What must be kept: the contract, and the store that keeps it in memory.

A store keeps peers' certificates, decisions about them and the replay record. What it can't keep or read it must
say with `StoreError`: a decision that gets lost silently is an open door.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from slixmpp_e2e.freshness import Admission, MemoryReplayRecord, ReplayRecord
from slixmpp_e2e.report import Trust

#: A certificate and what came along with it, all DER, the certificate first.
Chain = tuple[bytes, ...]
#: How many certificates are kept for one JID; the oldest goes first.
CERTIFICATES_PER_JID = 8
#: What can be decided about a certificate.
DECISIONS: Final = frozenset({Trust.VERIFIED, Trust.PINNED, Trust.TOFU, Trust.DISTRUSTED})


def check_decision(trust: Trust) -> Trust:
    """Return what can be decided; raise `ValueError` for anything else."""
    if trust not in DECISIONS:
        raise ValueError(f"{trust} can't be decided: it is found out")
    return Trust(trust)


class Store(ReplayRecord, Protocol):
    """A home for what survives a restart. JIDs are normalised bare JIDs."""

    def certificates(self, jid: str) -> tuple[Chain, ...]:
        """Return the certificates learned for a JID, newest first."""

    def all_certificates(self) -> Iterable[Chain]:
        """Return all learned certificates."""

    def add_certificate(self, jid: str, chain: Chain) -> bool:
        """Keep a certificate; return whether it is new. Trust is not implied: it is judged at every use."""

    def decisions(self, jid: str) -> Mapping[bytes, Trust]:
        """Return what was decided about certificates of a JID, by their SHA-256 fingerprints."""

    def all_decisions(self) -> Iterable[tuple[str, bytes, Trust]]:
        """Return all decisions: JID, fingerprint, and what was decided; by JID and fingerprint."""

    def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        """Keep a decision about a certificate: one of `DECISIONS`. The last one counts."""

    def undecide(self, jid: str, fingerprint: bytes) -> None:
        """Take a decision back."""

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
        self._decisions: dict[str, dict[bytes, Trust]] = {}

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

    def decisions(self, jid: str) -> Mapping[bytes, Trust]:
        """See `Store`."""
        return dict(self._decisions.get(jid, {}))

    def all_decisions(self) -> Iterable[tuple[str, bytes, Trust]]:
        """See `Store`."""
        return sorted((jid, *each) for jid, made in self._decisions.items() for each in made.items())

    def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        """See `Store`."""
        self._decisions.setdefault(jid, {})[fingerprint] = check_decision(trust)

    def undecide(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""
        self._decisions.get(jid, {}).pop(fingerprint, None)

    def close(self) -> None:
        """See `Store`."""
