"""Whether a certificate is somebody's: names, pins, paths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import PathValidator, Purpose, check_usage
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.report import Trust


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
        named = certificate_jids(certificate.certificate)
        if jid not in named:
            raise UntrustedError(
                f"the certificate names {', '.join(sorted(named)) or 'nobody'}, not {jid}", "name-mismatch"
            )
        if certificate.weakness is not None:
            raise UntrustedError(f"the certificate of {jid} has {certificate.weakness}", "weak")
        try:
            check_usage(certificate.certificate, purpose)
        except CertificateError as error:
            raise UntrustedError(f"{jid}: {error}") from None
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
