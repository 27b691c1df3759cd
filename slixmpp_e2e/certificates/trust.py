"""Whether a certificate is somebody's: names, decisions, paths, first use.

The ladder, as `report.Trust` has it. A person's or a configuration's decision about the very certificate comes
first, then a path to a trust anchor, then that it was the first one seen. Where a certificate is decided for a
JID, another one is not believed without anybody noticing: where the configuration pinned it, never; where a
person verified it or it was the first one, only by a path, so that a renewed certificate of a PKI needs nobody.
Nor is there a first one where another was believed by a path before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from slixmpp_e2e.certificates.algorithm_dates import AlgorithmDates
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import PURPOSES, PathValidator, Purpose, check_usage
from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.certificates.revocation_status import RevocationState, Status
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.twins import twin_fingerprints
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.report import Revocation, Trust
from slixmpp_e2e.tables import Recent

_FACTS: Final = 1024
#: How often another path is looked for because a CA of the last one was revoked.
_DETOURS: Final = 3
_REPORTED: Final[Mapping[RevocationState, Revocation]] = {
    RevocationState.GOOD: "good",
    RevocationState.UNKNOWN: "unknown",
    RevocationState.EXPIRED: "expired",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a certificate is believed to be somebody's."""

    trust: Trust
    #: The path to the anchor; the certificate alone where no path decided.
    chain: tuple[x509.Certificate, ...]
    #: It is believed because nothing was known of the JID: to be kept if the stanza is taken.
    first_use: bool = False
    revocation: Revocation = "off"


class UntrustedError(CertificateError):
    """A certificate that is not believed to be this JID's.

    `why` is `name-mismatch`, `weak`, `distrusted`, `revoked`, `revocation-unknown` or `untrusted`.
    """

    code = "untrusted"

    def __init__(self, detail: str, why: str = "untrusted") -> None:
        super().__init__(detail)
        self.why = why


class ChangedCertificateError(UntrustedError):
    """Other certificates are known of this JID (pinned, decided for, or by a path), and this is none of them."""

    code = "certificate-changed"


@dataclass(frozen=True, slots=True)
class _Facts:
    jids: frozenset[str]
    #: Why the certificate may not be used so, or None.
    forbidden: Mapping[Purpose, str | None]


def _forbidden(certificate: x509.Certificate, purpose: Purpose) -> str | None:
    try:
        check_usage(certificate, purpose)
    except CertificateError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class _Question:
    """Is this certificate this JID's, at this time? With what came along with it."""

    jid: str
    certificate: ParsedCertificate
    hints: Sequence[ParsedCertificate]
    crls: Sequence[bytes]
    at: datetime


def _is_distrusted(certificate: ParsedCertificate, decided: Mapping[bytes, Trust]) -> bool:
    """Tell whether a certificate is distrusted, or its twin, which anybody can make of it (`cms.twins`)."""
    distrusted = {print_ for print_, trust in decided.items() if trust is Trust.DISTRUSTED}
    return bool(distrusted) and not distrusted.isdisjoint(
        {certificate.fingerprint, *twin_fingerprints(certificate.der)}
    )


class Authority:
    """Decides about certificates.

    A certificate must name the JID in any case (RFC 3923 6.3), be within its validity, allow the use, and have
    a strong key. `paths` leads to the trust anchors for everybody, or by domain with `*` for the rest: the CA
    of one domain then says nothing about another. With `first_use`, a JID of which nothing is known is believed
    once: the caller then keeps that decision (`Decision.first_use`). But none of ours (`is_ours`), for which a first
    use that was kept does not count either. With `revocation`, no certificate of the
    path but its anchor may have been revoked; of a certificate that was decided for, it counts only if it is
    known to be revoked. `dates` say until when the keys of all of them count.
    """

    def __init__(
        self,
        store: Store,
        *,
        paths: PathValidator | Mapping[str, PathValidator] | None = None,
        pins: Mapping[str, frozenset[bytes]] | None = None,
        first_use: bool = False,
        revocation: RevocationChecker | None = None,
        dates: AlgorithmDates | None = None,
    ) -> None:
        self._store = store
        self._paths = {"*": paths} if isinstance(paths, PathValidator) else dict(paths or {})
        self._pins = dict(pins or {})
        self._first_use = first_use
        self._dates = dates or AlgorithmDates()
        #: None: nobody asks.
        self.revocation = None if revocation is None or revocation.policy == "off" else revocation
        self._facts: Recent[bytes, _Facts] = Recent(_FACTS)
        #: Whether a bare JID is our own: whose it is need not be found out by who writes first.
        self.is_ours: Callable[[str], bool] = lambda _jid: False

    def size(self) -> int:
        """Return how much is remembered, in entries: what certificates say, paths, revocation."""
        paths = sum(each.size() for each in self._paths.values())
        return len(self._facts) + paths + (0 if self.revocation is None else self.revocation.size())

    def judge(
        self,
        jid: str,
        certificate: ParsedCertificate,
        hints: Sequence[ParsedCertificate] = (),
        *,
        at: datetime,
        purpose: Purpose,
        crls: Sequence[bytes] = (),
        others: Iterable[Sequence[ParsedCertificate]] = (),
        was_ours: bool = False,
    ) -> Decision:
        """Return why a certificate is believed to be the bare JID's at a time; raise `UntrustedError`.

        `hints` are certificates that came along; they may be parts of a path. `crls` are revocation lists that
        came along; they count if they verify. `others` are the certificates that are at hand for the JID, each with
        what came along with it: who takes a first use for one has to name them, for they may rule it out. With
        `was_ours`, we have the certificate's key ourselves: it counts as pinned, unless something else is decided.
        """
        facts = self._read(certificate)
        if jid not in facts.jids:
            raise UntrustedError(
                f"the certificate names {', '.join(sorted(facts.jids)) or 'nobody'}, not {jid}",
                "name-mismatch",
            )
        if certificate.weakness is not None:
            raise UntrustedError(f"the certificate of {jid} has {certificate.weakness}", "weak")
        try:
            self._dates.check([certificate.public_key], at)
        except CertificateError as error:
            raise UntrustedError(f"the certificate of {jid} has {error}", "weak") from None
        decided = self.decisions(jid)
        if _is_distrusted(certificate, decided):
            raise UntrustedError(f"the certificate of {jid} is distrusted", "distrusted")
        if facts.forbidden[purpose] is not None:
            raise UntrustedError(f"{jid}: {facts.forbidden[purpose]}")
        question = _Question(jid, certificate, hints, crls, at)
        believed = {print_: trust for print_, trust in decided.items() if trust is not Trust.DISTRUSTED}
        trust = believed.get(certificate.fingerprint, Trust.PINNED if was_ours else None)
        if trust is not None and trust is not Trust.TOFU:
            return self._decided(question, trust)
        if Trust.PINNED in believed.values() or self._pins.get(jid):
            raise ChangedCertificateError(f"this is not the certificate that is pinned for {jid}")
        try:
            return self._judge_by_path(question)
        except UntrustedError as error:
            if error.why != "untrusted":  # it is known to be bad, or must be known to be good
                raise
            if certificate.fingerprint in believed:
                return self._decided(question, Trust.TOFU)
            if believed:
                raise ChangedCertificateError(
                    f"this is not the certificate that is known of {jid}, and {error}"
                ) from None
            may_be_first = self._first_use and not self.is_ours(jid)
            if may_be_first and purpose == "sign":  # who signs has the key
                if any(
                    self._was_believed(question, other)
                    for other in others
                    if other[0].fingerprint not in decided
                ):
                    raise ChangedCertificateError(
                        f"another certificate of {jid} has a path to a trust anchor, and {error}"
                    ) from None
                return self._decided(question, Trust.TOFU, first_use=True)
            raise

    def _was_believed(self, question: _Question, other: Sequence[ParsedCertificate]) -> bool:
        """Tell whether another certificate of the JID has a path to a trust anchor, or had one while it was valid.

        Whether it was revoked since does not matter. One without a path says nothing: nobody ever believed it,
        or a person no longer does.
        """
        found, paths, facts = other[0], self._paths_for(question.jid), self._read(other[0])
        is_another = found.fingerprint != question.certificate.fingerprint and question.jid in facts.jids
        if paths is None or not is_another or found.weakness is not None or all(facts.forbidden.values()):
            return False
        last = min(max(question.at, found.valid_from), found.valid_until)
        moments = {last, found.valid_from, max(each.valid_from for each in other)}
        return any(_has_path(paths, other, moment) for moment in moments)

    def decisions(self, jid: str) -> Mapping[bytes, Trust]:
        """Return what is decided about certificates of a bare JID, by fingerprint; a person's word counts most.

        A first use that was kept takes the place of no pin, and does not count for our own JIDs.
        """
        kept, pins = self._store.decisions(jid), self._pins.get(jid, frozenset())
        if Trust.TOFU in kept.values():
            passed_over = kept if self.is_ours(jid) else pins
            kept = {
                print_: trust
                for print_, trust in kept.items()
                if trust is not Trust.TOFU or print_ not in passed_over
            }
        return {**dict.fromkeys(pins, Trust.PINNED), **kept}

    def _decided(self, question: _Question, trust: Trust, *, first_use: bool = False) -> Decision:
        own = question.certificate
        if not own.valid_from <= question.at <= own.valid_until:
            raise UntrustedError(f"the certificate of {question.jid} is outside its validity")
        paths = self._paths_for(question.jid)
        if paths is not None and self.revocation is not None and self.may_know_revoked(question.crls):
            self._check_decided(paths, self.revocation, question)
        return Decision(trust, (own.certificate,), first_use)

    def _paths_for(self, jid: str) -> PathValidator | None:
        return self._paths.get(jid.rpartition("@")[2]) or self._paths.get("*")

    def _judge_by_path(self, question: _Question) -> Decision:
        jid, paths = question.jid, self._paths_for(question.jid)
        if paths is None:
            raise UntrustedError(f"{jid}: there are no trust anchors for it, and it is not pinned")
        chain, status = self._find_path(paths, question)
        if status is None:
            return Decision(Trust.PKIX, chain)
        if status.state is RevocationState.REVOKED:
            raise _revoked(jid, status)
        if status.state is not RevocationState.GOOD and self._demands_good:
            raise UntrustedError(
                f"{jid}: revocation is {status.state} for {_name(status)}", "revocation-unknown"
            )
        return Decision(Trust.PKIX, chain, revocation=_REPORTED[status.state])

    @property
    def generation(self) -> int:
        """Return a number that grows when decisions may become others; pins are not counted."""
        return 0 if self.revocation is None else self.revocation.generation

    def may_know_revoked(self, crls: Sequence[bytes]) -> bool:
        """Tell whether anything can be known of revocation, `crls` being the lists that came along."""
        return self.revocation is not None and (bool(crls) or not self.revocation.is_idle)

    @property
    def _demands_good(self) -> bool:
        return self.revocation is not None and self.revocation.policy == "hard"

    def _find_path(
        self, paths: PathValidator, question: _Question
    ) -> tuple[tuple[x509.Certificate, ...], Status | None]:
        """Return a path and what is known of its revocation; None where nobody asks, or it is an anchor itself.

        Around a CA that was revoked another path is looked for: it may have a newer certificate.
        """
        avoiding: list[bytes] = []
        revoked: UntrustedError | None = None
        while True:
            try:
                chain = paths.validate(
                    question.certificate, question.hints, at=question.at, avoiding=avoiding
                )
                self._dates.check((each.public_key() for each in chain), question.at)
            except CertificateError as error:
                raise revoked or UntrustedError(f"{question.jid}: {error}") from None
            if self.revocation is None or len(chain) == 1:
                return chain, None
            status = self.revocation.check(chain, at=question.at, hints=question.crls)
            about = status.certificate
            is_final = status.state is not RevocationState.REVOKED or about is None or about == chain[0]
            if is_final or len(avoiding) == _DETOURS:
                return chain, status
            assert about is not None
            revoked = _revoked(question.jid, status)
            avoiding.append(about.fingerprint(hashes.SHA256()))

    def _read(self, certificate: ParsedCertificate) -> "_Facts":
        """Return what a certificate says of itself; remembered, because it is asked for every stanza."""
        known = self._facts.get(certificate.fingerprint)
        if known is None:
            known = _Facts(
                certificate_jids(certificate.certificate),
                {purpose: _forbidden(certificate.certificate, purpose) for purpose in PURPOSES},
            )
            self._facts.put(certificate.fingerprint, known)
        return known

    @staticmethod
    def _check_decided(paths: PathValidator, revocation: RevocationChecker, question: _Question) -> None:
        """Refuse a certificate that somebody decided for and its CA has revoked.

        What became of the CA itself does not matter to it.
        """
        try:
            chain = paths.validate(question.certificate, question.hints, at=question.at)
        except CertificateError:
            return
        if len(chain) > 1:
            status = revocation.check(chain, at=question.at, hints=question.crls)
            if status.state is RevocationState.REVOKED and status.certificate == chain[0]:
                raise _revoked(question.jid, status)


def _has_path(paths: PathValidator, known: Sequence[ParsedCertificate], at: datetime) -> bool:
    try:
        paths.validate(known[0], known[1:], at=at)
    except CertificateError:
        return False
    return True


def _revoked(jid: str, status: Status) -> UntrustedError:
    assert status.entry is not None
    since = status.entry.since.date().isoformat()
    return UntrustedError(f"{jid}: {_name(status)} was revoked on {since} ({status.entry.reason})", "revoked")


def _name(status: Status) -> str:
    found = status.certificate
    return "a certificate" if found is None else f"the certificate {found.serial_number:x} of its issuer"
