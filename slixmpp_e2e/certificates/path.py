"""Certification paths (RFC 5280 6) with the rules of RFC 8550 for the end entity.

Finding the path and its signatures, validity and constraints are the library's; what an end entity may do
is checked here. **Not** checked: revocation, certificate policies.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError

_MAX_DEPTH: Final = 5
_CACHE: Final = 1024
#: RFC 8550 4.4.4.
_USAGES: Final = frozenset({ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
# What cryptography raises for parts of a certificate that it reads only when it needs them.
_UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

Purpose = Literal["sign", "encrypt"]
PURPOSES: Final[tuple[Purpose, ...]] = ("sign", "encrypt")


def check_usage(certificate: x509.Certificate, purpose: Purpose) -> None:
    """Raise `CertificateError` if the certificate's extensions forbid to use its key so (RFC 8550 4.4)."""
    try:
        extensions, public_key = certificate.extensions, certificate.public_key()
    except _UNREADABLE as error:
        raise CertificateError(f"a certificate with an unreadable key or extensions: {error}") from None
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.KeyUsage):
            if not _allows(value, purpose, is_rsa=isinstance(public_key, rsa.RSAPublicKey)):
                raise CertificateError(f"the certificate's key usage forbids to {purpose}")
        elif isinstance(value, x509.ExtendedKeyUsage):
            if not _USAGES & set(value):
                raise CertificateError("the certificate's extended key usage does not allow messages")
        elif isinstance(value, x509.BasicConstraints) and value.ca:
            raise CertificateError("a CA's certificate is not an end entity's")


def _allows(usage: x509.KeyUsage, purpose: Purpose, *, is_rsa: bool) -> bool:
    if purpose == "sign":
        return usage.digital_signature or usage.content_commitment
    if is_rsa:
        return usage.key_encipherment
    return usage.key_agreement and not usage.decipher_only  # RFC 5652 6.2.2, RFC 5280 4.2.1.3


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
        self._cache: OrderedDict[bytes, _Path] = OrderedDict()

    def validate(
        self, certificate: ParsedCertificate, hints: Sequence[ParsedCertificate] = (), *, at: datetime
    ) -> tuple[x509.Certificate, ...]:
        """Return the path from a certificate to an anchor, both included; raise `CertificateError`.

        `hints` are certificates that came along; they are used only as parts of a path. Key usage is not
        looked at: `check_usage`.
        """
        known = self._cache.get(certificate.fingerprint)
        if known is not None and known.not_before <= at <= known.not_after:
            self._cache.move_to_end(certificate.fingerprint)
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
        intermediates = [*self._intermediates, *(hint.certificate for hint in hints)]
        try:
            chain = tuple(verifier.verify(certificate.certificate, intermediates).chain)
        except (verification.VerificationError, *_UNREADABLE) as error:
            raise CertificateError(f"there is no path to a trust anchor: {error}") from None
        path = _Path(
            chain,
            max(each.not_valid_before_utc for each in chain),
            min(each.not_valid_after_utc for each in chain),
        )
        self._cache[certificate.fingerprint] = path
        if len(self._cache) > _CACHE:
            self._cache.popitem(last=False)
        return chain
