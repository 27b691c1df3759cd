"""What must be kept: the contract, and the store that keeps it in memory.

A store keeps peers' certificates, decisions about them and the replay record. What it can't keep or read it must
say with `StoreError`: a decision that gets lost silently is an open door. One that has to be waited for has a
contract of its own, `shared_store.SharedStore`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from slixmpp_e2e.certificates.revocation_list import takes_the_place
from slixmpp_e2e.certificates.sharing import first_to_go
from slixmpp_e2e.cms.asn1 import Reader
from slixmpp_e2e.cms.certificates import read_certificate
from slixmpp_e2e.freshness import Admission, MemoryReplayRecord, ReplayRecord
from slixmpp_e2e.report import Trust

#: A certificate and what came along with it, all DER, the certificate first.
Chain = tuple[bytes, ...]
#: How many certificates are kept for one JID; the oldest goes first.
CERTIFICATES_PER_JID = 8
#: How many are returned for one identifier: one more than signatures are tried with (`cms.signed_data`).
CERTIFICATES_FOUND: Final = 9
#: How many revocation lists are kept; which one goes first, `list_to_go` says.
REVOCATION_LISTS: Final = 256
#: What a list is kept by begins with so many octets for its signer and scope; then come so many for each CA from the
#: anchor down to the signer.
LIST_KEY: Final = 32
OWNER: Final = 16
#: What can be decided about a certificate.
DECISIONS: Final = frozenset({Trust.VERIFIED, Trust.PINNED, Trust.TOFU, Trust.DISTRUSTED})


def check_decision(trust: Trust) -> Trust:
    """Return what can be decided; raise `ValueError` for anything else."""
    if trust not in DECISIONS:
        raise ValueError(f"{trust} can't be decided: it is found out")
    return Trust(trust)


def may_be_first(decided: Mapping[bytes, Trust], fingerprint: bytes) -> bool:
    """Tell whether a certificate may be believed as the first one, where this is decided about those of its JID.

    It may if nothing is decided but that others are distrusted, or if this very decision has been made already.
    """
    return all(
        trust is (Trust.TOFU if each == fingerprint else Trust.DISTRUSTED) for each, trust in decided.items()
    )


def fingerprint_of(certificate: bytes) -> bytes:
    """Return the SHA-256 of a certificate."""
    return hashlib.sha256(certificate).digest()


def split_chain(octets: bytes) -> Chain:
    """Return what stands one after the other in a chain; raise `ASN1Error`."""
    return tuple(Reader(octets).elements(limit=32))


def read_identifiers(der: bytes) -> tuple[bytes | None, bytes | None]:
    """Return what a certificate is found by: IssuerAndSerialNumber, `[0] SubjectKeyIdentifier`; None: it has none."""
    certificate = read_certificate(der)
    return (
        (None, None) if certificate is None else (certificate.issuer_and_serial, certificate.key_identifier)
    )


class Store(ReplayRecord, Protocol):
    """A home for what survives a restart. JIDs are normalised bare JIDs."""

    def certificates(self, jid: str) -> tuple[Chain, ...]:
        """Return the certificates learned for a JID, newest first."""

    def all_certificates(self) -> Iterable[Chain]:
        """Return all learned certificates."""

    def find_certificates(self, identifier: bytes) -> tuple[bytes, ...]:
        """Return the learned certificates, without what came along, that an identifier means (RFC 5652 5.3).

        It is an IssuerAndSerialNumber or a `[0] SubjectKeyIdentifier`, whole. Each certificate once, whoever it
        was learned for, no more than `CERTIFICATES_FOUND`. A signer may ask for what is not there at any time:
        it must be as fast with a hundred thousand certificates.
        """

    def add_certificate(self, jid: str, chain: Chain) -> bool:
        """Keep a certificate; return whether it is new. Trust is not implied: it is judged at every use."""

    def announcements(self, jid: str) -> Mapping[bytes, bytes]:
        """Return what was announced with certificates of a JID (RFC 8551 2.7.1), by their SHA-256 fingerprints."""

    def announce(self, jid: str, fingerprint: bytes, value: bytes) -> None:
        """Keep what was announced with a certificate, instead of what was announced before.

        Only for a certificate that is kept for the JID, and only as long: for others, nothing happens.
        """

    def decisions(self, jid: str) -> Mapping[bytes, Trust]:
        """Return what was decided about certificates of a JID, by their SHA-256 fingerprints."""

    def all_decisions(self) -> Iterable[tuple[str, bytes, Trust]]:
        """Return all decisions: JID, fingerprint, and what was decided; by JID and fingerprint."""

    def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        """Keep a decision about a certificate: one of `DECISIONS`. The last one counts."""

    def decide_first_use(self, jid: str, fingerprint: bytes) -> bool:
        """Keep `Trust.TOFU` if the certificate `may_be_first`; return whether it may.

        In one step: of two processes that believe two certificates at once one is told that it may, and what a
        person has decided meanwhile stays.
        """

    def decide_if_undecided(self, jid: str, fingerprint: bytes) -> None:
        """Keep `Trust.TOFU`, unless something has been decided about this very certificate, whoever did it."""

    def undecide(self, jid: str, fingerprint: bytes) -> None:
        """Take a decision back."""

    def add_revocation_list(self, key: bytes, der: bytes) -> None:
        """Keep a revocation list instead of what the key had, unless that is newer (`takes_the_place`).

        Another process may have kept it, so it is looked at in one step with the rest.
        Keys are the same if their first `LIST_KEY` octets are. No more than `REVOCATION_LISTS`: `list_to_go` says
        which one goes. Nothing about it is verified here.
        """

    def revocation_lists(self) -> Iterable[bytes]:
        """Return the revocation lists, in the order in which they were kept."""

    def close(self) -> None:
        """Release files and connections; the store is not used afterwards."""


def list_to_go(keys: Sequence[bytes]) -> int:
    """Return the place of the revocation list that goes when there are too many, by their keys in order.

    From the anchor down it is of the CA that has most, and the one that was kept first. Keys of earlier versions,
    which don't say whose a list is, belong together.
    """
    return first_to_go(
        [tuple(key[start : start + OWNER] for start in range(LIST_KEY, len(key), OWNER)) for key in keys]
    )


class MemoryStore:
    """A store that forgets everything at the end of the process.

    `started` is the floor of its replay record: nothing dated before is accepted, because nobody knows any
    more what was already seen.
    """

    def __init__(self, *, started: int) -> None:
        self._replay = MemoryReplayRecord(started=started)
        self._certificates: dict[str, list[Chain]] = {}
        #: JIDs and certificates by identifiers: sets in the order of their coming.
        self._by_identifier: dict[bytes, dict[tuple[str, bytes], None]] = {}
        self._decisions: dict[str, dict[bytes, Trust]] = {}
        self._announcements: dict[tuple[str, bytes], bytes] = {}
        self._revocation_lists: dict[bytes, tuple[bytes, bytes]] = {}

    def admit(
        self, signer: str, digest: bytes, timestamp: int, received: int, former: bytes | None = None
    ) -> Admission:
        """See `ReplayRecord`."""
        return self._replay.admit(signer, digest, timestamp, received, former)

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
        for identifier in filter(None, read_identifiers(chain[0])):
            self._by_identifier.setdefault(identifier, {})[jid, chain[0]] = None
        for old in known[:-CERTIFICATES_PER_JID]:
            self._drop(jid, old[0])
        del known[:-CERTIFICATES_PER_JID]
        return True

    def _drop(self, jid: str, leaf: bytes) -> None:
        self._announcements.pop((jid, fingerprint_of(leaf)), None)
        for identifier in filter(None, read_identifiers(leaf)):
            del self._by_identifier[identifier][jid, leaf]
            if not self._by_identifier[identifier]:
                del self._by_identifier[identifier]

    def find_certificates(self, identifier: bytes) -> tuple[bytes, ...]:
        """See `Store`."""
        found: dict[bytes, None] = {}
        for _jid, leaf in self._by_identifier.get(identifier, ()):
            found[leaf] = None
            if len(found) == CERTIFICATES_FOUND:
                break
        return tuple(found)

    def announcements(self, jid: str) -> Mapping[bytes, bytes]:
        """See `Store`."""
        kept = (fingerprint_of(chain[0]) for chain in self._certificates.get(jid, ()))
        return {each: said for each in kept if (said := self._announcements.get((jid, each))) is not None}

    def announce(self, jid: str, fingerprint: bytes, value: bytes) -> None:
        """See `Store`."""
        if any(fingerprint_of(chain[0]) == fingerprint for chain in self._certificates.get(jid, ())):
            self._announcements[jid, fingerprint] = value

    def decisions(self, jid: str) -> Mapping[bytes, Trust]:
        """See `Store`."""
        return dict(self._decisions.get(jid, {}))

    def all_decisions(self) -> Iterable[tuple[str, bytes, Trust]]:
        """See `Store`."""
        return sorted((jid, *each) for jid, made in self._decisions.items() for each in made.items())

    def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        """See `Store`."""
        self._decisions.setdefault(jid, {})[fingerprint] = check_decision(trust)

    def decide_first_use(self, jid: str, fingerprint: bytes) -> bool:
        """See `Store`."""
        decided = self._decisions.setdefault(jid, {})
        if not may_be_first(decided, fingerprint):
            return False
        decided[fingerprint] = Trust.TOFU
        return True

    def decide_if_undecided(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""
        self._decisions.setdefault(jid, {}).setdefault(fingerprint, Trust.TOFU)

    def undecide(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""
        self._decisions.get(jid, {}).pop(fingerprint, None)

    def add_revocation_list(self, key: bytes, der: bytes) -> None:
        """See `Store`."""
        before = self._revocation_lists.get(key[:LIST_KEY])
        if before is not None and not takes_the_place(der, before[1]):
            return
        self._revocation_lists.pop(key[:LIST_KEY], None)
        self._revocation_lists[key[:LIST_KEY]] = key, der
        if len(self._revocation_lists) > REVOCATION_LISTS:
            place = list_to_go([each for each, _ in self._revocation_lists.values()])
            del self._revocation_lists[list(self._revocation_lists)[place]]

    def revocation_lists(self) -> Iterable[bytes]:
        """See `Store`."""
        return [der for _, der in self._revocation_lists.values()]

    def close(self) -> None:
        """See `Store`."""
