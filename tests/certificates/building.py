"""Certificates as nobody should issue them: any extensions, any validity, any issuer."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from slixmpp_e2e.certificates.names import subject_alternative_name
from tests.pki import VALID_FROM, VALID_UNTIL, Entity

JULIET = "juliet@example.com"

MAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE

_BITS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def key_usage(*bits: str) -> x509.KeyUsage:
    """A key usage with just these bits."""
    return x509.KeyUsage(**{bit: bit in bits for bit in _BITS})


def purposes(*identifiers: ObjectIdentifier) -> x509.ExtendedKeyUsage:
    """An extended key usage."""
    return x509.ExtendedKeyUsage(identifiers)


def names(*jids: str) -> x509.SubjectAlternativeName:
    """A subjectAltName with the three forms of each JID."""
    return subject_alternative_name(jids)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key that is made quickly."""
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    key: Any,
    extensions: Iterable[x509.ExtensionType] = (),
    *,
    subject: str = "somebody",
    issuer: Entity | None = None,
    valid_from: datetime = VALID_FROM,
    valid_until: datetime = VALID_UNTIL,
) -> x509.Certificate:
    """Return a certificate with these extensions and the two key identifiers; self-signed without `issuer`."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    signing_key = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )
    for extension in extensions:
        critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage | x509.NameConstraints)
        builder = builder.add_extension(extension, critical=critical)
    unhashed = isinstance(signing_key, ed25519.Ed25519PrivateKey)
    return builder.sign(signing_key, None if unhashed else hashes.SHA256())


def end_entity(
    *extensions: x509.ExtensionType,
    issuer: Entity | None = None,
    jid: str = JULIET,
    key: Any = None,
    **options: Any,
) -> Entity:
    """Return somebody with a certificate that names `jid`; the extensions come on top."""
    key = key or new_key()
    return Entity("end entity", key, certificate(key, (names(jid), *extensions), issuer=issuer, **options))


def authority(
    name: str,
    *extensions: x509.ExtensionType,
    issuer: Entity | None = None,
    path_length: int | None = None,
    **options: Any,
) -> Entity:
    """Return a CA."""
    key = new_key()
    basic = (x509.BasicConstraints(ca=True, path_length=path_length), key_usage("key_cert_sign", "crl_sign"))
    return Entity(name, key, certificate(key, (*basic, *extensions), subject=name, issuer=issuer, **options))
