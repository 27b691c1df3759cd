"""Whether certificates of a path were revoked (RFC 5280 6.3): lists by issuer, and who is asked for them.

A list is kept unverified and believed when it is used: it must be signed by a certificate that stands above in
a path that was validated. Newer lists go before older ones, whatever came last. What can't be known is `unknown`,
never `good`. Nothing here waits for anybody: sources are asked by `refresh`, outside the filters.

**Not** done: delta and indirect lists (RFC 5280 5.2.4, 5.2.5), lists signed by a certificate that is not in the
path, OCSP.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, Protocol

from cryptography import x509

from slixmpp_e2e.certificates.revocation_list import ALL_REASONS, Entry, RevocationList
from slixmpp_e2e.cms.algorithms import SHA256
from slixmpp_e2e.errors import CertificateError, E2EError
from slixmpp_e2e.tables import Recent

#: `hard`: whatever is not good is refused; `soft`: what was revoked is refused; `off`: nobody asks.
RevocationPolicy = Literal["off", "soft", "hard"]
#: From the end entity up to the anchor.
Path = tuple[x509.Certificate, ...]

#: How many lists from sources are kept, in all and of one issuer for one scope.
_LISTS: Final = 1024
_PER_SCOPE: Final = 4
#: How many lists from messages are kept.
_LEARNED: Final = 256
#: The largest list that a message may bring along, in octets.
_HINT: Final = 64 << 10
_HINTS: Final = 8
_REMEMBERED: Final = 1024
#: How long an answer is good for without being looked up again.
_KEPT: Final = timedelta(minutes=1)


class RevocationState(StrEnum):
    """What is known about whether a certificate was revoked."""

    GOOD = "good"
    REVOKED = "revoked"
    #: No list that can be used covers it.
    UNKNOWN = "unknown"
    #: The lists that cover it did not name it, and there should have been newer ones.
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Status:
    """What is known about a certificate, or about a whole path."""

    state: RevocationState
    #: Where `revoked`: since when, and why.
    entry: Entry | None = None
    #: Where not `good`: the certificate that it is about.
    certificate: x509.Certificate | None = None
    #: Where `good`: until when.
    until: datetime | None = None


_WORST_FIRST: Final = (
    RevocationState.REVOKED,
    RevocationState.UNKNOWN,
    RevocationState.EXPIRED,
    RevocationState.GOOD,
)


class RevocationLists:
    """Revocation lists by issuer: those that sources gave us, and those that came along with messages."""

    def __init__(self) -> None:
        self._lists: dict[x509.Name, list[RevocationList]] = {}
        #: From messages, verified: the newest of each signer and scope.
        self._learned: Recent[
            tuple[x509.Certificate, x509.IssuingDistributionPoint | None], RevocationList
        ] = Recent(_LEARNED)
        self._verified: Recent[tuple[bytes, x509.Certificate], bool] = Recent(_REMEMBERED)
        #: Grows whenever an answer may become another.
        self.generation = 0

    def __len__(self) -> int:
        return sum(map(len, self._lists.values())) + len(self._learned)

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
        if len(alike) >= _PER_SCOPE:
            oldest = min(alike, key=lambda each: each.age)
            if oldest.age >= found.age:
                return False
            known.remove(oldest)
        elif sum(map(len, self._lists.values())) >= _LISTS:
            raise CertificateError(f"too many revocation lists: {_LISTS} are kept")
        known.append(found)
        self._lists[found.issuer] = known
        self.generation += 1
        return True

    def learn(self, found: RevocationList, path: Path) -> bool:
        """Keep a list that somebody sent if a CA above him made it; return whether it was news.

        One that can't be used is not kept: nobody shall make good ones doubtful by sending it.
        """
        if found.unusable is not None:
            return False
        signer = next((each for each in path[1:] if self._is_signed_by(found, each)), None)
        if signer is None:
            return False
        known = self._learned.get((signer, found.scope))
        if known is not None and known.age >= found.age:
            return False
        self._learned.put((signer, found.scope), found)
        self.generation += 1
        return True

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
        kept = self._lists.get(issuer, [])
        learned = (known for key in self._learned if (known := self._learned.get(key)) is not None)
        candidates = [*kept, *(each for each in learned if each.issuer == issuer)]
        believed: list[RevocationList] = []
        newest: set[tuple[x509.Certificate, x509.IssuingDistributionPoint | None]] = set()
        for found in sorted(candidates, key=lambda each: each.age, reverse=True):
            if found.this_update > at:
                continue
            signer = next((each for each in above if self._is_signed_by(found, each)), None)
            if signer is None:
                continue
            believed.append(found)
            if found in kept and (signer, found.scope) in newest:
                kept.remove(found)
            elif found in kept and found.unusable is None:
                newest.add((signer, found.scope))
        return believed

    def _is_signed_by(self, found: RevocationList, certificate: x509.Certificate) -> bool:
        key = found.fingerprint, certificate
        known = self._verified.get(key)
        if known is None:
            known = found.is_signed_by(certificate)
            self._verified.put(key, known)
        return known


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a source has found since it was asked last. Nothing in it is believed before it is verified.

    But it takes the place of older lists: what strangers can send in any number is not for here.
    """

    lists: tuple[RevocationList, ...] = ()
    #: What went wrong, to be reported; what was known before stays.
    problems: tuple[E2EError, ...] = ()


class RevocationSource(Protocol):
    """Where revocation lists come from: files, later servers. Asked outside the filters, so it may take its time."""

    async def fetch(self, wanted: Sequence[Path], *, at: datetime) -> Evidence:
        """Return what is new.

        `wanted` are paths whose state was not known, or whose lists were too old, when somebody asked lately.
        Never raises: what goes wrong is among the `problems`.
        """


class RevocationChecker:
    """Answers for whole paths, and asks sources for what is missing. Answers are remembered for a minute."""

    def __init__(
        self,
        policy: RevocationPolicy = "soft",
        *,
        lists: RevocationLists | None = None,
        sources: Sequence[RevocationSource] = (),
    ) -> None:
        self.policy: Final = policy
        self.lists = RevocationLists() if lists is None else lists
        self.sources = tuple(sources)
        self._known: Recent[Path, tuple[int, datetime, datetime, Status]] = Recent(_REMEMBERED)
        self._wanted: Recent[Path, bool] = Recent(_REMEMBERED)
        #: Digests of lists that came along with messages, and whose path could not vouch for them again.
        self._seen: Recent[tuple[bytes, Path], bool] = Recent(_REMEMBERED)

    def check(self, path: Path, *, at: datetime, hints: Sequence[bytes] = ()) -> Status:
        """Return the worst that is known of any certificate of a validated path but its anchor.

        There must be one below the anchor.

        `hints` are lists in DER that came along with a message; they count if they verify.
        """
        if not hints and not self.sources and not len(self.lists):
            return Status(RevocationState.UNKNOWN, certificate=path[0])  # as with most users, at every stanza
        for der in hints[:_HINTS]:
            self._take(der, path)
        known = self._known.get(path)
        if known is not None and known[0] == self.lists.generation and known[1] <= at <= known[2]:
            return known[3]
        found = self._check(path, at)
        until = at + _KEPT if found.until is None else min(at + _KEPT, found.until)
        self._known.put(path, (self.lists.generation, at, until, found))
        if found.state in {RevocationState.UNKNOWN, RevocationState.EXPIRED} and self.sources:
            self._wanted.put(path, True)
        return found

    def _check(self, path: Path, at: datetime) -> Status:
        each = [
            self.lists.status(certificate, path[place + 1 :], at=at)
            for place, certificate in enumerate(path[:-1])
        ]
        worst = min(each, key=lambda status: _WORST_FIRST.index(status.state))
        ends = [status.until for status in each if status.until is not None]
        return replace(worst, until=min(ends) if ends else None)

    def _take(self, der: bytes, path: Path) -> None:
        if len(der) > _HINT:
            return
        key = SHA256.digest(der), path
        if key in self._seen:
            return
        self._seen.put(key, True)
        try:
            found = RevocationList.from_der(der)
        except CertificateError:
            return
        self.lists.learn(found, path)

    async def refresh(self, *, at: datetime) -> tuple[E2EError, ...]:
        """Ask the sources, and return what went wrong; never within a filter."""
        wanted = tuple(self._wanted)
        problems: list[E2EError] = []
        for source in self.sources:
            evidence = await source.fetch(wanted, at=at)
            problems += evidence.problems
            for found in evidence.lists:
                try:
                    self.lists.put(found)
                except CertificateError as error:
                    problems.append(error)
        for path in wanted:
            self._wanted.pop(path)
        return tuple(problems)
