"""Certificates octet by octet, as no library would write them: any version, serial number, encoding, extension."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from slixmpp_e2e.cms.asn1 import integer, octet_string, oid, sequence, set_of, time, tlv

UTF8, PRINTABLE, TELETEX, IA5, UNIVERSAL, BMP = 0x0C, 0x13, 0x14, 0x16, 0x1C, 0x1E
_ENCODINGS = {UNIVERSAL: "utf-32-be", BMP: "utf-16-be", TELETEX: "latin-1"}
TYPES = {
    "C": "2.5.4.6",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "CN": "2.5.4.3",
    "E": "1.2.840.113549.1.9.1",
}
NULL = b"\x05\x00"
ECDSA = sequence(oid("1.2.840.10045.4.3.2"))
RSA = sequence(oid("1.2.840.113549.1.1.11"), NULL)

#: Type, text and the tag of its string.
Attribute = tuple[str, str, int]


def attribute(kind: str, text: str, tag: int) -> bytes:
    """Return an AttributeTypeAndValue."""
    return sequence(oid(TYPES[kind]), tlv(tag, text.encode(_ENCODINGS.get(tag, "utf-8"))))


def name(*rdns: Attribute | list[Attribute]) -> bytes:
    """Return a Name; an RDN of several attributes is a list."""
    return sequence(
        *(set_of(attribute(*each) for each in (rdn if isinstance(rdn, list) else [rdn])) for rdn in rdns)
    )


def mail(text: str) -> bytes:
    """Return an rfc822Name, as a GeneralName."""
    return tlv(0x81, text.encode())


def dns(text: str) -> bytes:
    """Return a dNSName, as a GeneralName."""
    return tlv(0x82, text.encode())


def directory(der: bytes) -> bytes:
    """Return a directoryName, as a GeneralName."""
    return tlv(0xA4, der)


def uri(text: str) -> bytes:
    """Return a uniformResourceIdentifier, as a GeneralName."""
    return tlv(0x86, text.encode())


def address(octets: bytes) -> bytes:
    """Return an iPAddress, as a GeneralName."""
    return tlv(0x87, octets)


def jid(text: str) -> bytes:
    """Return an id-on-xmppAddr, as a GeneralName."""
    return tlv(0xA0, oid("1.3.6.1.5.5.7.8.5"), tlv(0xA0, tlv(UTF8, text.encode())))


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """Return an Extension."""
    return sequence(oid(dotted), *([b"\x01\x01\xff"] if critical else []), octet_string(value))


def basic_constraints(*, ca: bool = True, length: int | None = None, critical: bool = True) -> bytes:
    """Return basicConstraints."""
    fields = [b"\x01\x01\xff"] if ca else []
    return extension(
        "2.5.29.19", sequence(*fields, *([] if length is None else [integer(length)])), critical=critical
    )


def key_usage(octet: int = 0x06, *, critical: bool = True) -> bytes:
    """Return keyUsage; 0x06 is keyCertSign and cRLSign."""
    unused = (octet & -octet).bit_length() - 1
    return extension("2.5.29.15", tlv(0x03, bytes((unused, octet))), critical=critical)


def purposes(*dotted: str, critical: bool = False) -> bytes:
    """Return extKeyUsage."""
    return extension("2.5.29.37", sequence(*map(oid, dotted)), critical=critical)


def alternative_name(*names: bytes, critical: bool = False) -> bytes:
    """Return subjectAltName."""
    return extension("2.5.29.17", sequence(*names), critical=critical)


def subject_key(identifier: bytes, *, critical: bool = False) -> bytes:
    """Return subjectKeyIdentifier."""
    return extension("2.5.29.14", octet_string(identifier), critical=critical)


def authority_key(identifier: bytes | None, *, critical: bool = False, rest: bytes = b"") -> bytes:
    """Return authorityKeyIdentifier."""
    fields = b"" if identifier is None else tlv(0x80, identifier)
    return extension("2.5.29.35", sequence(fields, rest), critical=critical)


def name_constraints(
    permitted: Iterable[bytes] = (),
    excluded: Iterable[bytes] = (),
    *,
    critical: bool = True,
    rest: bytes = b"",
) -> bytes:
    """Return nameConstraints; `rest` is what stands behind the base of each subtree: minimum and maximum."""
    fields = [
        tlv(tag, *(sequence(base, rest) for base in bases))
        for tag, bases in ((0xA0, tuple(permitted)), (0xA1, tuple(excluded)))
        if bases
    ]
    return extension("2.5.29.30", sequence(*fields), critical=critical)


@dataclass(frozen=True)
class Draft:
    """A certificate that was not signed yet."""

    subject: bytes
    issuer: bytes
    key: Any
    extensions: tuple[bytes, ...] = ()
    version: bytes = b"\xa0\x03\x02\x01\x02"
    serial: bytes = b"\x11"
    valid_from: bytes = field(default_factory=lambda: time(datetime(2020, 1, 1, tzinfo=UTC)))
    valid_until: bytes = field(default_factory=lambda: time(datetime(2049, 12, 31, tzinfo=UTC)))
    #: What stands outside, or None: the same.
    outer_algorithm: bytes | None = None
    inner_algorithm: bytes | None = None
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)

    def but(self, **changes: Any) -> "Draft":
        """Return the same with something else in it."""
        return replace(self, **changes)

    def sign(self, key: Any) -> x509.Certificate:
        """Return the certificate with the signature of this key."""
        inner = self.inner_algorithm or _algorithm(key)
        public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        body = sequence(
            self.version,
            tlv(0x02, self.serial),
            inner,
            self.issuer,
            sequence(self.valid_from, self.valid_until),
            self.subject,
            public,
            *([tlv(0xA3, sequence(*self.extensions))] if self.extensions else []),
        )
        signature = tlv(0x03, b"\0" + _signature(key, body, self.digest))
        return x509.load_der_x509_certificate(sequence(body, self.outer_algorithm or inner, signature))


def _algorithm(key: Any) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSA
    return sequence(oid("1.3.101.112")) if isinstance(key, ed25519.Ed25519PrivateKey) else ECDSA


def _signature(key: Any, data: bytes, digest: hashes.HashAlgorithm) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), digest)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, ec.ECDSA(digest))
