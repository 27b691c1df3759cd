"""What stands in a certificate, octet by octet (RFC 5280 4.1), where the library gives only what it makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e.cms.asn1 import (
    BIT_STRING,
    CONSTRUCTED,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    ASN1Error,
    Reader,
)

_BOOLEAN = 0x01
_MAX_EXTENSIONS = 64


@dataclass(frozen=True, slots=True, eq=False)
class CertificateFields:
    """The fields of one certificate; those in octets are whole, with tag and length."""

    certificate: x509.Certificate
    fingerprint: bytes
    #: Whether it says that it is of version 3.
    is_v3: bool
    #: The contents of the INTEGER.
    serial_number: bytes
    signature_algorithm: bytes
    #: What stands outside of what is signed.
    outer_algorithm: bytes
    issuer: bytes
    subject: bytes
    #: The tags of notBefore and notAfter.
    time_tags: tuple[int, int]
    #: The AlgorithmIdentifier of the subject's key.
    key_algorithm: bytes
    #: The contents of each extnValue, by its extnID.
    extensions: Mapping[bytes, bytes]

    @property
    def is_self_issued(self) -> bool:
        """Whether issuer and subject are the same, octet by octet."""
        return self.issuer == self.subject


def read_fields(certificate: x509.Certificate) -> CertificateFields:
    """Take a certificate apart; raise `ASN1Error` for what is not in DER, or not in its place."""
    outer = Reader(certificate.public_bytes(Encoding.DER)).enter()
    fields = outer.enter()
    outer_algorithm = outer.element(SEQUENCE)
    is_v3 = fields.peek() == CONSTRUCTED and fields.element() == b"\xa0\x03\x02\x01\x02"
    serial_number = fields.contents(INTEGER)
    signature_algorithm, issuer = fields.element(SEQUENCE), fields.element(SEQUENCE)
    validity = fields.enter()
    time_tags = validity.element()[0], validity.element()[0]
    subject = fields.element(SEQUENCE)
    key = fields.enter()
    key_algorithm = key.element(SEQUENCE)
    key.element(BIT_STRING)
    for number in (1, 2):  # issuerUniqueID, subjectUniqueID
        if fields.peek() == 0x80 + number:
            fields.element()
    extensions = _extensions(fields.explicit(3)) if fields else {}
    for each in (validity, key, fields):
        each.finish()
    return CertificateFields(
        certificate=certificate,
        fingerprint=certificate.fingerprint(hashes.SHA256()),
        is_v3=is_v3,
        serial_number=serial_number,
        signature_algorithm=signature_algorithm,
        outer_algorithm=outer_algorithm,
        issuer=issuer,
        subject=subject,
        time_tags=time_tags,
        key_algorithm=key_algorithm,
        extensions=extensions,
    )


def _extensions(inside: Reader) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for extension in inside.each(limit=_MAX_EXTENSIONS):
        kind = extension.element(OID)
        if extension.peek() == _BOOLEAN:
            extension.element()
        if kind in found:
            raise ASN1Error("an extension that is there twice")
        found[kind] = extension.contents(OCTET_STRING)
        extension.finish()
    return found
