"""Whether a certificate is somebody's: names, pins, paths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import PURPOSES, PathValidator, Purpose, check_usage
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.report import Trust
from slixmpp_e2e.tables import Recent

_FACTS: Final = 1024


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a certificate is believed to be somebody's."""

    trust: Trust
    #: The path to the anchor; the certificate alone where a pin decided.
    chain: tuple[x509.Certificate, ...]


class UntrustedError(CertificateError):
    """A certificate that is not believed to be this JID's; `why` is `name-mismatch`, `weak` or `untrusted`."""

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


class Authority:
    """Decides about certificates: pins first, then paths to trust anchors.

    Where certificates are pinned for a JID, nothing else counts for it. A certificate must name the JID in
    any case (RFC 3923 6.3), be within its validity, allow the use, and have a strong key. **Not** checked:
    revocation.
    """

    def __init__(
        self,
        store: Store,
        *,
        paths: PathValidator | None = None,
        pins: Mapping[str, frozenset[bytes]] | None = None,
    ) -> None:
        self._store = store
        self._paths = paths
        self._pins = dict(pins or {})
        self._facts: Recent[bytes, _Facts] = Recent(_FACTS)

    def judge(
        self,
        jid: str,
        certificate: ParsedCertificate,
        hints: Sequence[ParsedCertificate] = (),
        *,
        at: datetime,
        purpose: Purpose,
    ) -> Decision:
        """Return why a certificate is believed to be the bare JID's at a time; raise `UntrustedError`.

        `hints` are certificates that came along; they may be parts of a path.
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
        pins = self._pins.get(jid, frozenset()) | self._store.pins(jid)
        if pins:
            return self._judge_by_pins(jid, certificate, pins, at)
        if self._paths is None:
            raise UntrustedError(f"no certificate is pinned for {jid}, and there are no trust anchors")
        try:
            chain = self._paths.validate(certificate, hints, at=at)
        except CertificateError as error:
            raise UntrustedError(f"{jid}: {error}") from None
        return Decision(Trust.PKIX, chain)

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
    def _judge_by_pins(
        jid: str, certificate: ParsedCertificate, pins: frozenset[bytes], at: datetime
    ) -> Decision:
        if certificate.fingerprint not in pins:
            raise ChangedCertificateError(f"this is not the certificate that is pinned for {jid}")
        own = certificate.certificate
        if not own.not_valid_before_utc <= at <= own.not_valid_after_utc:
            raise UntrustedError(f"the certificate pinned for {jid} is outside its validity")
        return Decision(Trust.PINNED, (own,))
