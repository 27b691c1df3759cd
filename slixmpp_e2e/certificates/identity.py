"""Who we are: a private key, its certificate, and the chain that leads to a trust anchor.

Where the key that signs can't decrypt (P-256, Ed25519), or should not, a second certificate is for what others
encrypt to us: the encryption identity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.cms.capabilities import capabilities_attribute, preference_attribute
from slixmpp_e2e.cms.certificates import ParsedCertificate, read_certificates
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
    #: The same without what has to be said only once in a while: named by key identifier where the certificate
    #: has one, and without attributes on what we can do. For who has the certificate.
    short_signer: Signer
    #: Whom others encrypt to instead, with a key of its own.
    encryption: "Identity | None" = None

    @property
    def can_decrypt(self) -> bool:
        """Whether others can encrypt to it: so far that takes an RSA key."""
        return isinstance(self.certificate.public_key, rsa.RSAPublicKey)

    @property
    def recipient(self) -> ParsedCertificate | None:
        """The certificate that others encrypt to; None if there is none."""
        if self.encryption is not None:
            return self.encryption.certificate
        return self.certificate if self.can_decrypt else None

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
    encryption: Identity | None = None,
) -> Identity:
    """Return an identity; raise `CertificateError`.

    With `encryption`, an identity with an RSA key for the same JIDs, others are asked to encrypt to that one.
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
    attributes = [capabilities_attribute()]
    along = above
    if encryption is not None:
        if not encryption.can_decrypt or encryption.jids != jids:
            raise CertificateError(
                "the encryption certificate needs an RSA key, and the names of the other one"
            )
        attributes.append(preference_attribute(encryption.certificate))
        along = tuple(
            {each.der: each for each in (*above, encryption.certificate, *encryption.chain)}.values()
        )
    signer = Signer(key, own, along, scheme=row, attributes=attributes)
    short_signer = Signer(key, own, along, scheme=row, key_identifier=own.key_identifier is not None)
    return Identity(key, own, above, jids, signer, short_signer, encryption)


def load_pem(
    certificates: bytes,
    private_key: bytes,
    *,
    password: bytes | None = None,
    scheme: str | None = None,
    encryption: Identity | None = None,
) -> Identity:
    """Return the identity of PEM data: our certificate and its chain in any order, and the private key.

    Raises `CertificateError`; see `identity` for the rest.
    """
    try:
        key = load_pem_private_key(private_key, password)
        found = read_certificates(certificates)
        own = [each for each in found if each.public_key() == key.public_key()]
    except (ValueError, TypeError, UnsupportedAlgorithm, CertificateError) as error:
        raise CertificateError(f"unreadable key or certificate: {error}") from None
    if not own:
        raise CertificateError("none of the certificates belongs to the private key")
    chain = [each for each in found if each is not own[0]]
    return identity(key, own[0], chain, scheme=scheme, encryption=encryption)


def load_pkcs12(
    data: bytes,
    *,
    password: bytes | None = None,
    scheme: str | None = None,
    encryption: Identity | None = None,
) -> Identity:
    """Return the identity of a PKCS #12 file; raise `CertificateError`. See `identity` for the rest."""
    try:
        key, certificate, chain = pkcs12.load_key_and_certificates(data, password)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"unreadable PKCS #12: {error}") from None
    if key is None or certificate is None:
        raise CertificateError("the PKCS #12 file lacks the private key or its certificate")
    return identity(key, certificate, chain, scheme=scheme, encryption=encryption)
