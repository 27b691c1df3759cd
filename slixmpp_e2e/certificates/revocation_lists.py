"""The revocation lists that are known, by issuer, and what they say of a certificate (RFC 5280 6.3).

A list is kept unverified and believed when it is used: it must be signed by a certificate that stands above in
a path that was validated. Newer lists go before older ones, whatever came last. What can't be known is `unknown`,
never `good`.

**Not** done: delta and indirect lists (RFC 5280 5.2.4, 5.2.5), lists signed by a certificate that is not in the
path.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509

from slixmpp_e2e.certificates.revocation_list import ALL_REASONS, RevocationList
from slixmpp_e2e.certificates.revocation_status import Path, RevocationState, Status
from slixmpp_e2e.certificates.verified_lists import VerifiedLists, kept_as
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.tables import Recent

#: How many lists are kept that were configured, and that were fetched; of the former, of one issuer for one scope.
_LISTS: Final = 1024
_PER_SCOPE: Final = 4
#: How large either are altogether, in octets.
_OCTETS: Final = 256 << 20
#: How many lists from messages are kept.
_LEARNED: Final = 256
_REMEMBERED: Final = 1024


class RevocationLists:
    """Revocation lists by issuer: those that were configured, those that were fetched, and those from messages.

    What was fetched or came along, now or before the start, never takes the place of what was configured.
    """

    def __init__(self) -> None:
        #: What was configured. Whoever is a CA changes nothing about it.
        self._lists: dict[x509.Name, list[RevocationList]] = {}
        #: From where CAs say that they are.
        self._fetched = VerifiedLists(_LISTS, _OCTETS)
        #: From messages.
        self._learned = VerifiedLists(_LEARNED)
        #: From messages of earlier processes, until somebody is seen to have signed them.
        self._recalled: dict[x509.Name, list[RevocationList]] = {}
        #: Called with the issuer of a list that came with a message and had to go for another.
        self.on_dropped: Callable[[x509.Name], None] = lambda _issuer: None
        self._verified: Recent[tuple[bytes, x509.Certificate], bool] = Recent(_REMEMBERED)
        #: Grows whenever an answer may become another.
        self.generation = 0

    def __len__(self) -> int:
        configured = sum(map(len, self._lists.values()))
        return configured + len(self._fetched) + len(self._learned) + sum(map(len, self._recalled.values()))

    def size(self) -> int:
        """Return how much is remembered, in entries: lists, and which of them somebody's signature is on."""
        return len(self) + len(self._verified)

    def add(self, der: bytes) -> bool:
        """Keep a list in DER and return whether it was new; raise `CertificateError`. Nobody has verified it."""
        return self.put(RevocationList.from_der(der))

    def put(self, found: RevocationList) -> bool:
        """Keep a list and return whether it was new; raise `CertificateError` when there are too many.

        Who made it is looked at when it is used: until then several of the same scope are kept, the newest.
        """
        known = self._lists.get(found.issuer, [])
        if any(each.fingerprint == found.fingerprint for each in known):
            return False
        alike = [
            each
            for each in known
            if each.scope == found.scope and (each.unusable is None) == (found.unusable is None)
        ]
        oldest = min(alike, key=lambda each: each.age) if len(alike) >= _PER_SCOPE else None
        if oldest is not None and oldest.age >= found.age:
            return False
        self._check_room(found, instead=oldest)
        if oldest is not None:
            known.remove(oldest)
        known.append(found)
        self._lists[found.issuer] = known
        self.generation += 1
        return True

    def _check_room(self, found: RevocationList, instead: RevocationList | None) -> None:
        others = [each for kept in self._lists.values() for each in kept if each is not instead]
        if len(others) >= _LISTS:
            raise CertificateError(f"too many revocation lists: {_LISTS} are kept")
        if sum(each.octets for each in others) + found.octets > _OCTETS:
            raise CertificateError(f"too many revocation lists: {_OCTETS} octets are kept")

    def take(self, found: RevocationList, path: Path, *, at: datetime) -> tuple[CertificateError, ...]:
        """Keep a list that was fetched if a CA of the path made it; return what there is to be told.

        What has to go for it is of the CA that has most. One that does not count yet takes nobody's place.
        """
        if found.this_update > at:
            return ()
        signers = self._signers(found, path[1:])
        if found.unusable is not None or not signers:
            return (CertificateError("a revocation list was fetched that can't count: it is not kept"),)
        gone = self._fetched.put(found, signers)
        self.generation += gone is not None
        return tuple(
            CertificateError(f"too many revocation lists: one of {each.rfc4514_string()[:200]!r} had to go")
            for each in gone or ()
        )

    def learn(self, found: RevocationList, path: Path) -> bytes | None:
        """Keep a list that somebody sent if a CA above him made it; return what it replaces the older ones of.

        None if it is no news. One that can't be used is not kept: nobody shall make good ones doubtful by sending
        it.
        """
        if found.unusable is not None:
            return None
        signers = self._signers(found, path[1:])
        if not signers:
            return None
        self._adopt(found.issuer, path[1:])
        if not self._keep(found, signers):
            return None
        self.generation += 1
        return kept_as(signers[0], found, signers[1:])

    def recall(self, der: bytes) -> None:
        """Know a list again that `learn` has kept once; raise `CertificateError` for what is none.

        No more of them than `learn` keeps: others are ignored. Who signed it is looked at when it is used.
        """
        found = RevocationList.from_der(der)
        if found.unusable is not None or sum(map(len, self._recalled.values())) >= _LEARNED:
            return
        self._recalled.setdefault(found.issuer, []).append(found)
        self.generation += 1

    def _adopt(self, issuer: x509.Name, above: Path) -> None:
        """Let what was recalled count as learned if somebody in a validated path has signed it."""
        recalled = self._recalled.pop(issuer, ())
        for found in recalled:
            if signers := self._signers(found, above):
                self._keep(found, signers)
            else:
                self._recalled.setdefault(issuer, []).append(found)

    def _keep(self, found: RevocationList, signers: Path) -> bool:
        dropped = self._learned.put(found, signers)
        for issuer in dropped or ():
            self.generation += 1
            self.on_dropped(issuer)
        return dropped is not None

    def status(
        self, certificate: x509.Certificate, above: Sequence[x509.Certificate], *, at: datetime
    ) -> Status:
        """Return what is known about a certificate at a time.

        `above` is the rest of its validated path: whoever has the issuer's name there may have made the list.
        """
        covered: frozenset[x509.ReasonFlags] = frozenset()
        until: datetime | None = None
        expired = unreadable = False
        scopes: list[x509.IssuingDistributionPoint | None] = []
        for found in self._believed(certificate.issuer, above, at):
            if found.unusable is not None:
                unreadable = True  # what follows is older: it is not the last word (RFC 5280 5.2, 5.3)
                continue
            reasons = found.covers(certificate)
            if not reasons or found.scope in scopes:
                continue
            scopes.append(found.scope)
            if entry := found.entry(certificate):
                return Status(RevocationState.REVOKED, entry, certificate)
            if found.next_update < at:
                expired = True
            elif not unreadable:
                covered |= reasons
                until = min(until or found.next_update, found.next_update)
        if covered >= ALL_REASONS:
            return Status(RevocationState.GOOD, until=until)
        state = RevocationState.EXPIRED if expired and not unreadable else RevocationState.UNKNOWN
        return Status(state, certificate=certificate)

    def _believed(
        self, issuer: x509.Name, above: Sequence[x509.Certificate], at: datetime
    ) -> list[RevocationList]:
        """Return the lists of an issuer that count, the newest first.

        What sources gave us is dropped when newer ones of theirs have replaced it.
        """
        self._adopt(issuer, tuple(above))
        kept = self._lists.get(issuer, [])
        candidates = [*kept, *self._fetched.of(issuer), *self._learned.of(issuer)]
        believed: list[RevocationList] = []
        newest: set[tuple[x509.Certificate, x509.IssuingDistributionPoint | None]] = set()
        for found in sorted(candidates, key=lambda each: each.age, reverse=True):
            if found.this_update > at:
                continue
            signers = self._signers(found, tuple(above))
            if not signers:
                continue
            believed.append(found)
            if found in kept and (signers[0], found.scope) in newest:
                kept.remove(found)
            elif found in kept and found.unusable is None:
                newest.add((signers[0], found.scope))
        return believed

    def _signers(self, found: RevocationList, above: Path) -> Path:
        """Return who in a path signed a list, and who stands above; nobody may have."""
        place = next((place for place, each in enumerate(above) if self._is_signed_by(found, each)), None)
        return () if place is None else above[place:]

    def _is_signed_by(self, found: RevocationList, certificate: x509.Certificate) -> bool:
        key = found.fingerprint, certificate
        known = self._verified.get(key)
        if known is None:
            known = found.is_signed_by(certificate)
            self._verified.put(key, known)
        return known
