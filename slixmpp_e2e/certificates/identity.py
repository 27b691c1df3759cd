"""Who we are: a private key, its certificate, and the chain that leads to a trust anchor."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.signatures import SCHEMES
from slixmpp_e2e.cms.signed_data import Signer
from slixmpp_e2e.errors import CertificateError


@dataclass(frozen=True, slots=True)
class Identity:
    """An own certificate with its key."""

    key: Any
    certificate: ParsedCertificate
    chain: tuple[ParsedCertificate, ...]
    #: The normalised bare JIDs that the certificate names.
    jids: frozenset[str]
    signer: Signer
    #: The same, named by key identifier where the certificate has one: shorter, for who has the certificate.
    short_signer: Signer

    @property
    def can_decrypt(self) -> bool:
        """Whether others can encrypt to it: so far that takes an RSA key."""
        return isinstance(self.certificate.public_key, rsa.RSAPublicKey)

    def check_validity(self, moment: datetime) -> None:
        """Raise `CertificateError` outside the certificate's validity: what it signs nobody would accept."""
        certificate = self.certificate.certificate
        if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
            raise CertificateError(
                f"our certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} "
                f"to {certificate.not_valid_after_utc:%Y-%m-%d} only"
            )


def identity(
    key: Any,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate] = (),
    *,
    scheme: str | None = None,
) -> Identity:
    """Return an identity; raise `CertificateError`.

    `scheme` is a name of `cms.signatures.SCHEMES`; by default the key decides. Self-signed certificates of
    the chain (the root) are left out: nobody believes a root because it came along (RFC 3850 2.3).
    """
    own = ParsedCertificate.from_x509(certificate)
    jids = certificate_jids(certificate)
    if not jids:
        raise CertificateError(
            "our certificate names no JID (id-on-xmppAddr, im: or pres: in subjectAltName)"
        )
    if scheme is not None and scheme not in SCHEMES:
        raise CertificateError(
            f"there is no signature scheme {scheme!r}; there are {', '.join(sorted(SCHEMES))}"
        )
    above = tuple(ParsedCertificate.from_x509(each) for each in chain if each.issuer != each.subject)
    row = SCHEMES[scheme] if scheme else None
    signer = Signer(key, own, above, scheme=row)
    short_signer = Signer(key, own, above, scheme=row, key_identifier=True) if own.key_identifier else signer
    return Identity(key, own, above, jids, signer, short_signer)


def load_pem(
    certificates: bytes, private_key: bytes, *, password: bytes | None = None, scheme: str | None = None
) -> Identity:
    """Return the identity of PEM data: our certificate and its chain in any order, and the private key.

    Raises `CertificateError`.
    """
    try:
        key = load_pem_private_key(private_key, password)
        found = x509.load_pem_x509_certificates(certificates)
        own = [each for each in found if each.public_key() == key.public_key()]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"unreadable key or certificate: {error}") from None
    if not own:
        raise CertificateError("none of the certificates belongs to the private key")
    return identity(key, own[0], [each for each in found if each is not own[0]], scheme=scheme)


def load_pkcs12(data: bytes, *, password: bytes | None = None, scheme: str | None = None) -> Identity:
    """Return the identity of a PKCS #12 file; raise `CertificateError`."""
    try:
        key, certificate, chain = pkcs12.load_key_and_certificates(data, password)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"unreadable PKCS #12: {error}") from None
    if key is None or certificate is None:
        raise CertificateError("the PKCS #12 file lacks the private key or its certificate")
    return identity(key, certificate, chain, scheme=scheme)
