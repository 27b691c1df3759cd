"""A throw-away PKI in memory: a root, an intermediate CA, and end entities with every kind of key.

Everything but the keys is fixed: validity from 2020 through 2049, whatever the clock of this machine or of a
program that reads the certificates says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from slixmpp_e2e.cms.asn1 import UTF8_STRING, tlv
from slixmpp_e2e.cms.certificates import ParsedCertificate

XMPP_ADDRESS = ObjectIdentifier("1.3.6.1.5.5.7.8.5")
VALID_FROM = datetime(2020, 1, 1, tzinfo=UTC)
VALID_UNTIL = datetime(2049, 12, 31, tzinfo=UTC)
#: When the tests sign, unless they say otherwise.
MOMENT = datetime(2026, 11, 20, 8, 30, 15, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entity:
    """A private key with its certificate; a CA's or an end entity's."""

    name: str
    key: Any
    certificate: x509.Certificate

    @property
    def parsed(self) -> ParsedCertificate:
        """The certificate as floor 1 wants it."""
        return ParsedCertificate.from_x509(self.certificate)

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate, armoured."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_der(self) -> bytes:
        """The private key, in a PKCS #8 structure that is not encrypted."""
        return bytes(self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))

    @property
    def key_pem(self) -> bytes:
        """The private key, armoured."""
        return bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@dataclass(frozen=True, slots=True)
class PKI:
    """The root, the CA below it, and who has certificates of the latter, by name."""

    root: Entity
    intermediate: Entity
    entities: Mapping[str, Entity]

    def __getitem__(self, name: str) -> Entity:
        return self.entities[name]


def make_certificate(
    subject_key: Any,
    subject: str,
    *,
    issuer: Entity | None = None,
    jid: str | None = None,
    path_length: int | None = None,
    subject_key_identifier: bool = True,
) -> x509.Certificate:
    """Return a certificate: with a JID it is an end entity's, without one a CA's; self-signed without `issuer`."""
    public_key = subject_key.public_key()
    name = _name(subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .add_extension(x509.BasicConstraints(ca=jid is None, path_length=path_length), critical=True)
        .add_extension(_key_usage(public_key, authority=jid is None), critical=True)
    )
    if subject_key_identifier:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    if issuer is not None:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    if jid is not None:
        names = (
            x509.OtherName(XMPP_ADDRESS, tlv(UTF8_STRING, jid.encode())),
            x509.UniformResourceIdentifier(f"im:{jid}"),
            x509.UniformResourceIdentifier(f"pres:{jid}"),
        )
        purposes = (ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CLIENT_AUTH)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    signing_key = issuer.key if issuer else subject_key
    unhashed = isinstance(signing_key, ed25519.Ed25519PrivateKey)
    return builder.sign(signing_key, None if unhashed else hashes.SHA256())


def make_pki() -> PKI:
    """Return a new PKI. Five RSA keys are made, which takes a good part of a second."""
    root_key, intermediate_key = _rsa(3072), _rsa(2048)
    root = Entity("root", root_key, make_certificate(root_key, "Verona Root CA"))
    intermediate = Entity(
        "intermediate",
        intermediate_key,
        make_certificate(intermediate_key, "Verona User CA", issuer=root, path_length=0),
    )
    keys = {
        "juliet": ("juliet@example.com", _rsa(2048)),
        "romeo": ("romeo@example.net", _rsa(2048)),
        "rsa-3072": ("juliet@example.com", _rsa(3072)),
        "p-256": ("juliet@example.com", ec.generate_private_key(ec.SECP256R1())),
        "p-384": ("juliet@example.com", ec.generate_private_key(ec.SECP384R1())),
        "ed25519": ("juliet@example.com", ed25519.Ed25519PrivateKey.generate()),
        "x25519": ("juliet@example.com", x25519.X25519PrivateKey.generate()),
    }
    entities = {
        name: Entity(name, key, make_certificate(key, f"{jid} ({name})", issuer=intermediate, jid=jid))
        for name, (jid, key) in keys.items()
    }
    return PKI(root, intermediate, entities)


def _rsa(size: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=size)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(public_key: object, *, authority: bool) -> x509.KeyUsage:
    agrees = isinstance(public_key, (ec.EllipticCurvePublicKey, x25519.X25519PublicKey))
    return x509.KeyUsage(
        digital_signature=not (authority or isinstance(public_key, x25519.X25519PublicKey)),
        content_commitment=False,
        key_encipherment=not authority and isinstance(public_key, rsa.RSAPublicKey),
        data_encipherment=False,
        key_agreement=not authority and agrees,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
