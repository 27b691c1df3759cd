"""Whether certificates of a path were revoked (RFC 5280 6.3, RFC 6960), and who is asked for what is missing.

What lists and OCSP responses say is put together: revoked anywhere is revoked, else good anywhere is good. Nothing
here waits for anybody: sources are asked by `refresh`, outside the filters.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, runtime_checkable

from cryptography import x509
from cryptography.x509 import ReasonFlags

from slixmpp_e2e.certificates.ocsp import OCSPResponse
from slixmpp_e2e.certificates.ocsp_responses import OCSPResponses
from slixmpp_e2e.certificates.revocation_list import RevocationList
from slixmpp_e2e.certificates.revocation_lists import RevocationLists
from slixmpp_e2e.certificates.revocation_status import Path, RevocationState, Status
from slixmpp_e2e.certificates.sharing import Shares, branch_of
from slixmpp_e2e.cms.algorithms import SHA256
from slixmpp_e2e.errors import CertificateError, E2EError, StoreError
from slixmpp_e2e.tables import Recent

#: `hard`: whatever is not good is refused; `soft`: what was revoked is refused; `off`: nobody asks.
RevocationPolicy = Literal["off", "soft", "hard"]

#: The largest list that a message may bring along, in octets.
_HINT: Final = 64 << 10
_HINTS: Final = 8
_REMEMBERED: Final = 1024
#: How long an answer is good for without being looked up again.
_KEPT: Final = timedelta(minutes=1)
#: How long before it ends something newer is wanted.
SOON: Final = timedelta(minutes=15)
_WORST_FIRST: Final = (
    RevocationState.REVOKED,
    RevocationState.UNKNOWN,
    RevocationState.EXPIRED,
    RevocationState.GOOD,
)
#: Of what two kinds of evidence say about one certificate, what counts.
_STRONGEST_FIRST: Final = (
    RevocationState.REVOKED,
    RevocationState.GOOD,
    RevocationState.EXPIRED,
    RevocationState.UNKNOWN,
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a source has found since it was asked last. Nothing in it is believed before it is verified.

    But it takes the place of older lists: what strangers can send in any number is not for here.
    """

    lists: tuple[RevocationList, ...] = ()
    #: What went wrong, to be reported; what was known before stays.
    problems: tuple[E2EError, ...] = ()
    responses: tuple[OCSPResponse, ...] = ()
    #: Lists that were fetched where a CA says, with the path, from the certificate to its anchor, whose CA made them.
    #: They count beside the others, and CAs share the room for them.
    fetched: tuple[tuple[RevocationList, Path], ...] = ()
    #: Of what was wanted, what there was no room or time to ask for: it stays wanted.
    left: frozenset[Path] = frozenset()


@runtime_checkable
class RevocationSource(Protocol):
    """Where lists and responses come from: files, servers. Asked outside the filters, so it may take its time."""

    async def fetch(self, wanted: Sequence[Path], *, at: datetime) -> Evidence:
        """Return what is new.

        `wanted` are paths whose state was not known when somebody asked lately, or was known from what was too old
        or soon will be. Never raises: what goes wrong is among the `problems`.
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
        self.responses = OCSPResponses()
        self.sources = tuple(sources)
        #: Called when something is wanted of the sources that was not wanted before; also within a filter.
        self.on_wanted: Callable[[], None] = lambda: None
        #: Called with a list that came along with a message and counts from now on, and with what it is kept by;
        #: also within a filter. May raise `StoreError`: then it is forgotten at the end of the process.
        self.on_learned: Callable[[bytes, bytes], None] = lambda _key, _der: None
        self._known: Recent[Path, tuple[int, datetime, datetime, Status]] = Recent(_REMEMBERED)
        self._wanted: Shares[Path, bool] = Shares(_REMEMBERED)
        #: Digests of lists that came along with messages, with whose path: their issuers, if they can be read.
        self._seen: Recent[tuple[bytes, Path], x509.Name | None] = Recent(_REMEMBERED)
        self.lists.on_dropped = self._look_again

    def size(self) -> int:
        """Return how much is remembered, in entries: answers, lists, responses, and what is asked for."""
        own = len(self._known) + len(self._wanted) + len(self._seen)
        return own + self.lists.size() + self.responses.size()

    @property
    def generation(self) -> int:
        """Return a number that grows whenever an answer may become another."""
        return self.lists.generation + self.responses.generation

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing can be known, whatever is asked."""
        return not (self.sources or len(self.lists) or len(self.responses))

    @property
    def wanted(self) -> tuple[Path, ...]:
        """Return the paths of which more is to be known; the sources are asked for them the next time."""
        return tuple(self._wanted)

    def check(self, path: Path, *, at: datetime, hints: Sequence[bytes] = ()) -> Status:
        """Return the worst that is known of any certificate of a validated path but its anchor.

        There must be one below the anchor.

        `hints` are lists in DER that came along with a message; they count if they verify.
        """
        if not hints and self.is_idle:
            return Status(RevocationState.UNKNOWN, certificate=path[0])  # as with most users, at every stanza
        for der in hints[:_HINTS]:
            self._take(der, path)
        known = self._known.get(path)
        if known is not None and known[0] == self.generation and known[1] <= at <= known[2]:
            return known[3]
        found = self._check(path, at)
        until = at + _KEPT if found.until is None else min(at + _KEPT, found.until)
        self._known.put(path, (self.generation, at, until, found))
        if self.sources and _should_be_newer(found, at):
            is_new = path not in self._wanted
            self._wanted.put(path, True, branch_of(path[1:]))
            if is_new:
                self.on_wanted()
        return found

    def _check(self, path: Path, at: datetime) -> Status:
        each = [
            self._check_one(certificate, path[place + 1 :], at) for place, certificate in enumerate(path[:-1])
        ]
        worst = min(each, key=lambda status: _WORST_FIRST.index(status.state))
        ends = [status.until for status in each if status.until is not None]
        return replace(worst, until=min(ends) if ends else None)

    def _check_one(self, certificate: x509.Certificate, above: Path, at: datetime) -> Status:
        def is_revoked(responder: x509.Certificate) -> bool:
            return self.lists.status(responder, above, at=at).state is RevocationState.REVOKED

        said = (
            self.lists.status(certificate, above, at=at),
            self.responses.status(certificate, above[0], at=at, is_revoked=is_revoked),
        )
        found = min(said, key=lambda status: _STRONGEST_FIRST.index(status.state))
        if found.state is RevocationState.GOOD:  # for as long as one of them says so
            return replace(found, until=max(each.until for each in said if each.until is not None))
        return found

    def _take(self, der: bytes, path: Path) -> None:
        if len(der) > _HINT:
            return
        seen = SHA256.digest(der), path
        if seen in self._seen:
            return
        self._seen.put(seen, None)
        try:
            found = RevocationList.from_der(der)
        except CertificateError:
            return
        self._seen.put(seen, found.issuer)
        key = self.lists.learn(found, path)
        if key is not None:
            with suppress(StoreError):
                self.on_learned(key, der)

    def _look_again(self, issuer: x509.Name) -> None:
        """Forget what was seen of an issuer: it may be news again."""
        for seen in self._seen:
            if self._seen.get(seen) == issuer:
                self._seen.pop(seen)

    def recall(self, kept: Iterable[bytes]) -> None:
        """Know again what came along with messages and was verified then; it is verified again when it is used.

        It counts like what comes along, and takes nobody's place.
        """
        for der in kept:
            with suppress(CertificateError):
                self.lists.recall(der)

    async def refresh(self, *, at: datetime) -> tuple[E2EError, ...]:
        """Ask the sources, and return what went wrong; never within a filter."""
        wanted = self.wanted
        problems: list[E2EError] = []
        left: set[Path] = set()
        for source in self.sources:
            evidence = await source.fetch(wanted, at=at)
            problems += evidence.problems
            left |= evidence.left
            for found in evidence.lists:
                try:
                    self.lists.put(found)
                except CertificateError as error:
                    problems.append(error)
            for found, path in evidence.fetched:
                problems += self.lists.take(found, path, at=at)
            for response in evidence.responses:
                self.responses.put(response)
        for path in wanted:
            if path not in left:
                self._wanted.pop(path)
        return tuple(problems)


def _should_be_newer(status: Status, at: datetime) -> bool:
    """Tell whether sources are asked for more: what is known is too little, too old, or may be taken back."""
    if status.state is RevocationState.REVOKED:
        return status.entry is not None and status.entry.reason == ReasonFlags.certificate_hold.value
    return status.state is not RevocationState.GOOD or status.until is None or status.until < at + SOON
