"""Certificates as nobody should issue them: any extensions, any validity, any issuer."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from slixmpp_e2e.certificates.names import subject_alternative_name
from slixmpp_e2e.cms.asn1 import Reader, sequence, tlv
from slixmpp_e2e.cms.certificates import ParsedCertificate
from tests.pki import VALID_FROM, VALID_UNTIL, Entity

JULIET = "juliet@example.com"

MAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
#: When revocation lists are issued and what they name was revoked, unless a test says otherwise.
LISTED = datetime(2026, 11, 1, tzinfo=UTC)
REVOKED_ON = datetime(2026, 10, 31, tzinfo=UTC)

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


def costly_key() -> rsa.RSAPrivateKey:
    """Return a key with an exponent as long as its modulus: who verifies with it works harder than who signs."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=3072).private_numbers()
    order, exponent = math.lcm(made.p - 1, made.q - 1), (1 << 3070) + 1
    while math.gcd(exponent, order) != 1:
        exponent += 2
    private = pow(exponent, -1, order)
    exponents = private % (made.p - 1), private % (made.q - 1)
    public = rsa.RSAPublicNumbers(exponent, made.p * made.q)
    return rsa.RSAPrivateNumbers(made.p, made.q, private, *exponents, made.iqmp, public).private_key()


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


def with_key_identifier_of(somebody: x509.Certificate) -> ParsedCertificate:
    """Return a certificate that anybody can make, with somebody else's key identifier."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anybody")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(somebody.public_key())  # type: ignore[arg-type]
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(VALID_FROM).not_valid_after(VALID_UNTIL)
    return ParsedCertificate.from_x509(
        builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())
    )


def again(authority: Entity, issuer: Entity) -> x509.Certificate:
    """Return another certificate for a CA that has one, from the same issuer."""
    extensions = (x509.BasicConstraints(ca=True, path_length=None), key_usage("key_cert_sign", "crl_sign"))
    return certificate(authority.key, extensions, subject=authority.name, issuer=issuer)


def revocation_list(
    issuer: Entity,
    *revoked: Entity,
    number: int | None = 1,
    issued: datetime = LISTED,
    until: datetime = VALID_UNTIL,
    reason: x509.ReasonFlags | None = None,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    entry_extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    key: Any = None,
) -> bytes:
    """Return a revocation list of an issuer in DER; extensions come with whether they are critical."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(issued)
        .next_update(until)
    )
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    for each in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(each.certificate.serial_number)
            .revocation_date(REVOKED_ON)
        )
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        for extension, critical in entry_extensions:
            entry = entry.add_extension(extension, critical=critical)
        builder = builder.add_revoked_certificate(entry.build())
    signing_key = key or issuer.key
    unhashed = isinstance(signing_key, ed25519.Ed25519PrivateKey)
    return builder.sign(signing_key, None if unhashed else hashes.SHA256()).public_bytes(Encoding.DER)


def distribution_point(
    uri: str | None = None,
    *,
    only_users: bool = False,
    only_cas: bool = False,
    only_attributes: bool = False,
    indirect: bool = False,
    reasons: frozenset[x509.ReasonFlags] | None = None,
    relative: x509.RelativeDistinguishedName | None = None,
) -> tuple[x509.IssuingDistributionPoint, bool]:
    """Return what says what a revocation list covers, and that it is critical."""
    names = None if uri is None else [x509.UniformResourceIdentifier(uri)]
    return (
        x509.IssuingDistributionPoint(
            names, relative, only_users, only_cas, reasons, indirect, only_attributes
        ),
        True,
    )


def with_sha1(der: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """Return a certificate or revocation list as it would be with an RSA-SHA-1 signature."""
    sha256, sha1 = (bytes.fromhex(f"300d06092a864886f70d0101{last}0500") for last in ("0b", "05"))
    signed = Reader(der).enter().element().replace(sha256, sha1)
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA1())
    return sequence(signed, sha1, tlv(0x03, b"\0" + signature))
