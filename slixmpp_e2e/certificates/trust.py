"""Whether a certificate is somebody's: names, pins, paths."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import PURPOSES, PathValidator, Purpose, check_usage
from slixmpp_e2e.certificates.revocation import RevocationChecker, RevocationState, Status
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.report import Revocation, Trust

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
    #: The path to the anchor; the certificate alone where a pin decided.
    chain: tuple[x509.Certificate, ...]
    revocation: Revocation = "off"


class UntrustedError(CertificateError):
    """A certificate that is not believed to be this JID's.

    `why` is `name-mismatch`, `weak`, `untrusted`, `revoked` or `revocation-unknown`.
    """

    code = "untrusted"

    def __init__(self, detail: str, why: str = "untrusted") -> None:
        super().__init__(detail)
        self.why = why


class ChangedCertificateError(UntrustedError):
    """Certificates are pinned for this JID, and this is none of them."""

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


class Authority:
    """Decides about certificates: pins first, then paths to trust anchors.

    Where certificates are pinned for a JID, nothing else counts for it. A certificate must name the JID in
    any case (RFC 3923 6.3), be within its validity, allow the use, and have a strong key. With `revocation`,
    no certificate of the path but its anchor may have been revoked. A pin stands for itself as an anchor does:
    of a pinned certificate it counts only if it is known to be revoked.
    """

    def __init__(
        self,
        store: Store,
        *,
        paths: PathValidator | None = None,
        pins: Mapping[str, frozenset[bytes]] | None = None,
        revocation: RevocationChecker | None = None,
    ) -> None:
        self._store = store
        self._paths = paths
        self._pins = dict(pins or {})
        #: None: nobody asks.
        self.revocation = None if revocation is None or revocation.policy == "off" else revocation
        self._facts: OrderedDict[bytes, _Facts] = OrderedDict()

    def judge(
        self,
        jid: str,
        certificate: ParsedCertificate,
        hints: Sequence[ParsedCertificate] = (),
        *,
        at: datetime,
        purpose: Purpose,
        crls: Sequence[bytes] = (),
    ) -> Decision:
        """Return why a certificate is believed to be the bare JID's at a time; raise `UntrustedError`.

        `hints` are certificates that came along; they may be parts of a path. `crls` are revocation lists that
        came along; they count if they verify.
        """
        facts = self._read(certificate)
        if jid not in facts.jids:
            raise UntrustedError(
                f"the certificate names {', '.join(sorted(facts.jids)) or 'nobody'}, not {jid}",
                "name-mismatch",
            )
        if certificate.weakness is not None:
            raise UntrustedError(f"the certificate of {jid} has {certificate.weakness}", "weak")
        if facts.forbidden[purpose] is not None:
            raise UntrustedError(f"{jid}: {facts.forbidden[purpose]}")
        question = _Question(jid, certificate, hints, crls, at)
        pins = self._pins.get(jid, frozenset()) | self._store.pins(jid)
        if pins:
            return self._judge_by_pins(question, pins)
        if self._paths is None:
            raise UntrustedError(f"no certificate is pinned for {jid}, and there are no trust anchors")
        chain, status = self._find_path(self._paths, question)
        if status is None:
            return Decision(Trust.PKIX, chain)
        if status.state is RevocationState.REVOKED:
            raise _revoked(jid, status)
        if status.state is not RevocationState.GOOD and self._demands_good:
            raise UntrustedError(
                f"{jid}: revocation is {status.state} for {_name(status)}", "revocation-unknown"
            )
        return Decision(Trust.PKIX, chain, _REPORTED[status.state])

    @property
    def generation(self) -> int:
        """Return a number that grows when decisions may become others; pins are not counted."""
        return 0 if self.revocation is None else self.revocation.lists.generation

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
            self._facts[certificate.fingerprint] = known
            if len(self._facts) > _FACTS:
                self._facts.popitem(last=False)
        return known

    def _judge_by_pins(self, question: _Question, pins: frozenset[bytes]) -> Decision:
        jid, certificate, at = question.jid, question.certificate, question.at
        if certificate.fingerprint not in pins:
            raise ChangedCertificateError(f"this is not the certificate that is pinned for {jid}")
        own = certificate.certificate
        if not own.not_valid_before_utc <= at <= own.not_valid_after_utc:
            raise UntrustedError(f"the certificate pinned for {jid} is outside its validity")
        if self._paths is not None and self.revocation is not None:
            self._check_pinned(self._paths, self.revocation, question)
        return Decision(Trust.PINNED, (own,))

    @staticmethod
    def _check_pinned(paths: PathValidator, revocation: RevocationChecker, question: _Question) -> None:
        """Refuse a pinned certificate that its CA has revoked; what became of the CA does not matter to it."""
        if not question.crls and not len(revocation.lists):
            return
        try:
            chain = paths.validate(question.certificate, question.hints, at=question.at)
        except CertificateError:
            return
        if len(chain) > 1:
            status = revocation.check(chain, at=question.at, hints=question.crls)
            if status.state is RevocationState.REVOKED and status.certificate == chain[0]:
                raise _revoked(question.jid, status)


def _revoked(jid: str, status: Status) -> UntrustedError:
    assert status.entry is not None
    since = status.entry.since.date().isoformat()
    return UntrustedError(f"{jid}: {_name(status)} was revoked on {since} ({status.entry.reason})", "revoked")


def _name(status: Status) -> str:
    found = status.certificate
    return "a certificate" if found is None else f"the certificate {found.serial_number:x} of its issuer"
