"""Who we are: a private key, its certificate, and the chain that leads to a trust anchor.

Where the key that signs can't decrypt (Ed25519), or should not, a second certificate is for what others encrypt
to us: the encryption identity.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from slixmpp_e2e.certificates.keys import is_slow
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import check_usage
from slixmpp_e2e.cms.capabilities import (
    EVERYTHING,
    WITHOUT_OAEP,
    Capabilities,
    capabilities_attribute,
    preference_attribute,
)
from slixmpp_e2e.cms.certificates import ParsedCertificate, read_certificates
from slixmpp_e2e.cms.recipients import RSA_OAEP_SHA256, can_receive
from slixmpp_e2e.cms.signatures import SCHEMES
from slixmpp_e2e.cms.signed_data import Signer
from slixmpp_e2e.errors import CertificateError


@dataclass(frozen=True, slots=True)
class EncryptionIdentity:
    """An own certificate with its key, which need not be able to sign (X25519)."""

    key: Any
    certificate: ParsedCertificate
    chain: tuple[ParsedCertificate, ...]
    #: The normalised bare JIDs that the certificate names.
    jids: frozenset[str]
    #: Whether using the key is nothing to be done while others wait. See `keys.is_slow`.
    is_slow: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_slow", is_slow(self.key))

    @property
    def can_decrypt(self) -> bool:
        """Whether the key can decrypt: RSA, elliptic curve or X25519."""
        return can_receive(self.certificate.public_key)


@dataclass(frozen=True, slots=True)
class Identity(EncryptionIdentity):
    """An own certificate with a key that signs."""

    signer: Signer
    #: The same without what has to be said only once in a while: named by key identifier where the certificate
    #: has one, and without attributes on what we can do. For who has the certificate.
    short_signer: Signer
    #: Whom others encrypt to instead, with a key of its own.
    encryption: EncryptionIdentity | None = None
    #: What we announce that we can decrypt.
    capabilities: Capabilities = EVERYTHING

    @property
    def recipient(self) -> ParsedCertificate | None:
        """The certificate that others encrypt to; None if there is none."""
        if self.encryption is not None:
            return self.encryption.certificate
        return self.certificate if self.can_decrypt and _is_for_encryption(self.certificate) else None

    def check_validity(self, moment: datetime) -> None:
        """Raise `CertificateError` outside the certificate's validity: what it signs nobody would accept."""
        certificate = self.certificate
        if not certificate.valid_from <= moment <= certificate.valid_until:
            raise CertificateError(
                f"our certificate is valid from {certificate.valid_from:%Y-%m-%d} "
                f"to {certificate.valid_until:%Y-%m-%d} only"
            )


def _is_for_encryption(certificate: ParsedCertificate) -> bool:
    try:
        check_usage(certificate.certificate, "encrypt")
    except CertificateError:
        return False
    return True


def encryption_identity(
    key: Any, certificate: x509.Certificate, chain: Sequence[x509.Certificate] = ()
) -> EncryptionIdentity:
    """Return an identity that decrypts; raise `CertificateError`. About the chain see `identity`."""
    own = ParsedCertificate.from_x509(certificate)
    if own.public_key != key.public_key():
        raise CertificateError("the private key is not the one of the encryption certificate")
    if not can_receive(own.public_key):
        raise CertificateError("nothing can be encrypted to the encryption certificate: its key only signs")
    own.check_strength()
    check_usage(certificate, "encrypt")
    return EncryptionIdentity(key, own, _without_roots(chain), certificate_jids(certificate))


def _without_roots(chain: Sequence[x509.Certificate]) -> tuple[ParsedCertificate, ...]:
    return tuple(ParsedCertificate.from_x509(each) for each in chain if each.issuer != each.subject)


def identity(
    key: Any,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate] = (),
    *,
    scheme: str | None = None,
    encryption: EncryptionIdentity | None = None,
) -> Identity:
    """Return an identity; raise `CertificateError`, also where the certificate forbids to sign (RFC 8550 4.4).

    With `encryption`, an identity that decrypts, for the same JIDs, others are asked to encrypt to that one.
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
    check_usage(certificate, "sign")  # nobody would believe what it signs
    above = _without_roots(chain)
    row = SCHEMES[scheme] if scheme else None
    capabilities = _capabilities(encryption.key if encryption is not None else key)
    attributes = [capabilities_attribute(capabilities)]
    along = above
    if encryption is not None:
        if not encryption.can_decrypt or encryption.jids != jids:
            raise CertificateError(
                "the encryption certificate needs a key that decrypts, and the names of the other one"
            )
        attributes.append(preference_attribute(encryption.certificate))
        along = tuple(
            {each.der: each for each in (*above, encryption.certificate, *encryption.chain)}.values()
        )
    signer = Signer(key, own, along, scheme=row, attributes=attributes)
    short_signer = Signer(key, own, along, scheme=row, key_identifier=own.key_identifier is not None)
    return Identity(key, own, above, jids, signer, short_signer, encryption, capabilities)


def _capabilities(key: Any) -> Capabilities:
    """Return what a key can do: one that is not in memory is asked (`can_decrypt_with`), if it can answer."""
    ask = getattr(key, "can_decrypt_with", None)
    return EVERYTHING if ask is None or ask(RSA_OAEP_SHA256.padding) else WITHOUT_OAEP


def load_pem(
    certificates: bytes,
    private_key: bytes,
    *,
    password: bytes | None = None,
    scheme: str | None = None,
    encryption: EncryptionIdentity | None = None,
) -> Identity:
    """Return the identity of PEM data: our certificate and its chain in any order, and the private key.

    Raises `CertificateError`; see `identity` for the rest.
    """
    key, own, chain = _read_pem(certificates, private_key, password)
    return identity(key, own, chain, scheme=scheme, encryption=encryption)


def load_encryption_pem(
    certificates: bytes, private_key: bytes, *, password: bytes | None = None
) -> EncryptionIdentity:
    """Return the encryption identity of PEM data, as `load_pem` does; raise `CertificateError`."""
    return encryption_identity(*_read_pem(certificates, private_key, password))


def _read_pem(
    certificates: bytes, private_key: bytes, password: bytes | None
) -> tuple[Any, x509.Certificate, list[x509.Certificate]]:
    """Return the key, its certificate, and the other certificates."""
    try:
        key = load_pem_private_key(private_key, password)
        found = read_certificates(certificates)
    except (ValueError, TypeError, UnsupportedAlgorithm, CertificateError) as error:
        raise CertificateError(f"unreadable key or certificate: {error}") from None
    return key, *own_certificate(key, found)


def own_certificate(
    key: Any, certificates: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, list[x509.Certificate]]:
    """Return the certificate of a private key, and the other ones; raise `CertificateError`."""
    public_key = key.public_key()
    try:
        own = [each for each in certificates if each.public_key() == public_key]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"unreadable key or certificate: {error}") from None
    if not own:
        raise CertificateError("none of the certificates belongs to the private key")
    return own[0], [each for each in certificates if each is not own[0]]


def load_pkcs12(
    data: bytes,
    *,
    password: bytes | None = None,
    scheme: str | None = None,
    encryption: EncryptionIdentity | None = None,
) -> Identity:
    """Return the identity of a PKCS #12 file; raise `CertificateError`. See `identity` for the rest."""
    return identity(*_read_pkcs12(data, password), scheme=scheme, encryption=encryption)


def load_encryption_pkcs12(data: bytes, *, password: bytes | None = None) -> EncryptionIdentity:
    """Return the encryption identity of a PKCS #12 file; raise `CertificateError`."""
    return encryption_identity(*_read_pkcs12(data, password))


def _read_pkcs12(data: bytes, password: bytes | None) -> tuple[Any, x509.Certificate, list[x509.Certificate]]:
    """Return the key, its certificate, and the other certificates."""
    try:
        key, certificate, chain = pkcs12.load_key_and_certificates(data, password)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"unreadable PKCS #12: {error}") from None
    if key is None or certificate is None:
        raise CertificateError("the PKCS #12 file lacks the private key or its certificate")
    return key, certificate, chain
