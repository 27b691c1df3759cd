"""Certification paths (RFC 5280 6) with the rules of RFC 8550 for the end entity.

Finding the path and its signatures, validity and constraints are the library's; what an end entity may do
is checked here. **Not** checked: revocation, certificate policies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from slixmpp_e2e.cms.certificates import UNREADABLE, ParsedCertificate
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.tables import Recent

_MAX_DEPTH: Final = 5
#: Certificates of CAs that came along: two chains of the greatest depth. With more of them that all fit together a
#: stranger could have hundreds of signatures verified.
_MAX_HINTS: Final = 8
_CACHE: Final = 1024
#: RFC 8550 4.4.4.
_USAGES: Final = frozenset({ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})

Purpose = Literal["sign", "encrypt"]
PURPOSES: Final[tuple[Purpose, ...]] = ("sign", "encrypt")


def check_usage(certificate: x509.Certificate, purpose: Purpose) -> None:
    """Raise `CertificateError` if the certificate's extensions forbid to use its key so (RFC 8550 4.4)."""
    try:
        extensions = certificate.extensions
    except UNREADABLE as error:
        raise CertificateError(f"a certificate with unreadable extensions: {error}") from None
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.KeyUsage):
            allowed = (
                value.digital_signature or value.content_commitment
                if purpose == "sign"
                else value.key_encipherment
            )
            if not allowed:
                raise CertificateError(f"the certificate's key usage forbids to {purpose}")
        elif isinstance(value, x509.ExtendedKeyUsage):
            if not _USAGES & set(value):
                raise CertificateError("the certificate's extended key usage does not allow messages")
        elif isinstance(value, x509.BasicConstraints) and value.ca:
            raise CertificateError("a CA's certificate is not an end entity's")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


@dataclass(frozen=True, slots=True)
class _Path:
    chain: tuple[x509.Certificate, ...]
    not_before: datetime
    not_after: datetime


class PathValidator:
    """Paths from end entities to trust anchors; every path found is remembered for as long as it is valid."""

    def __init__(
        self, anchors: Iterable[x509.Certificate], intermediates: Iterable[x509.Certificate] = ()
    ) -> None:
        self._anchors = list(anchors)
        if not self._anchors:
            raise CertificateError("there are no trust anchors")
        self._store = verification.Store(self._anchors)
        self._intermediates = list(intermediates)
        self._cache: Recent[bytes, _Path] = Recent(_CACHE)

    def validate(
        self, certificate: ParsedCertificate, hints: Sequence[ParsedCertificate] = (), *, at: datetime
    ) -> tuple[x509.Certificate, ...]:
        """Return the path from a certificate to an anchor, both included; raise `CertificateError`.

        `hints` are certificates that came along; they are used only as parts of a path, and of CAs only eight of
        them. Key usage is not looked at: `check_usage`.
        """
        known = self._cache.get(certificate.fingerprint)
        if known is not None and known.not_before <= at <= known.not_after:
            return known.chain
        verifier = (
            verification.PolicyBuilder()
            .store(self._store)
            .time(at)
            .max_chain_depth(_MAX_DEPTH)
            .extension_policies(
                ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
                ee_policy=verification.ExtensionPolicy.permit_all(),
            )
            .build_client_verifier()
        )
        above = [hint.certificate for hint in hints if _is_authority(hint.certificate)]
        intermediates = [*self._intermediates, *above[:_MAX_HINTS]]
        try:
            chain = tuple(verifier.verify(certificate.certificate, intermediates).chain)
        except (verification.VerificationError, *UNREADABLE) as error:
            raise CertificateError(f"there is no path to a trust anchor: {error}") from None
        path = _Path(
            chain,
            max(each.not_valid_before_utc for each in chain),
            min(each.not_valid_after_utc for each in chain),
        )
        self._cache.put(certificate.fingerprint, path)
        return chain
