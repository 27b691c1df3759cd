"""OCSP responses as nobody should sign them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from slixmpp_e2e.cms.asn1 import CONSTRUCTED, OCTET_STRING, OID, SEQUENCE, Reader, octet_string, sequence, tlv
from tests.certificates.building import LISTED, REVOKED_ON, certificate, key_usage, new_key, purposes
from tests.pki import VALID_UNTIL, Entity

GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus
_SHA256_WITH_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")
_SHA1_WITH_RSA = bytes.fromhex("300d06092a864886f70d0101050500")


def responder(
    issuer: Entity, *extensions: x509.ExtensionType, key: Any = None, name: str = "Responder", **options: Any
) -> Entity:
    """Return somebody who answers for an issuer; the extensions come instead of those that it takes."""
    key = key or new_key()
    found = extensions or (key_usage("digital_signature"), purposes(ExtendedKeyUsageOID.OCSP_SIGNING))
    return Entity(name, key, certificate(key, found, subject=name, issuer=issuer, **options))


def response(
    issuer: Entity,
    subject: Entity,
    state: ocsp.OCSPCertStatus = GOOD,
    *,
    signer: Entity | None = None,
    attached: Iterable[Entity] | None = None,
    issued: datetime = LISTED,
    until: datetime | None = VALID_UNTIL,
    reason: x509.ReasonFlags | None = None,
    algorithm: hashes.HashAlgorithm | None = None,
    by: ocsp.OCSPResponderEncoding = ocsp.OCSPResponderEncoding.HASH,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    key: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """Return what the issuer's responder (`signer`; without one the issuer) says of a certificate, in DER.

    `attached` are whose certificates come along; extensions come with whether they are critical. With `key`, it is
    signed with that one instead of the signer's.
    """
    by_whom = signer or issuer
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            subject.certificate,
            issuer.certificate,
            algorithm or hashes.SHA1(),
            state,
            issued,
            until,
            REVOKED_ON if state is REVOKED else None,
            reason,
        )
        .responder_id(by, by_whom.certificate)
    )
    along = [each.certificate for each in ([signer] if signer and attached is None else attached or ())]
    if along:
        builder = builder.certificates(along)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    unhashed = isinstance(by_whom.key, ed25519.Ed25519PrivateKey)
    der = builder.sign(by_whom.key, None if unhashed else hashes.SHA256()).public_bytes(Encoding.DER)
    return (
        der if key is None else changed(der, lambda signed, name, _: (signed, name, _signature(key, signed)))
    )


def _signature(key: ec.EllipticCurvePrivateKey, signed: bytes) -> bytes:
    return tlv(0x03, b"\0" + key.sign(signed, ec.ECDSA(hashes.SHA256())))


def changed(der: bytes, change: Callable[[bytes, bytes, bytes], tuple[bytes, bytes, bytes]]) -> bytes:
    """Return a response with another tbsResponseData, signatureAlgorithm and signature."""
    fields = Reader(der).enter()
    status = fields.element(0x0A)
    inside = fields.enter(CONSTRUCTED).enter()
    kind = inside.element(OID)
    basic = Reader(inside.contents(OCTET_STRING)).enter()
    parts = change(basic.element(SEQUENCE), basic.element(SEQUENCE), basic.element(0x03))
    whole = sequence(*parts, *basic.elements(limit=1))
    return sequence(status, tlv(CONSTRUCTED, sequence(kind, octet_string(whole))))


def with_sha1(der: bytes, key: Any) -> bytes:
    """Return a response as it would be with an RSA-SHA-1 signature."""

    def change(signed: bytes, algorithm: bytes, _: bytes) -> tuple[bytes, bytes, bytes]:
        assert algorithm == _SHA256_WITH_RSA
        signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA1())
        return signed, _SHA1_WITH_RSA, tlv(0x03, b"\0" + signature)

    return changed(der, change)


def about_two(der: bytes) -> bytes:
    """Return a response that says the same twice."""

    def change(signed: bytes, *rest: bytes) -> tuple[bytes, bytes, bytes]:
        *before, responses = Reader(signed).enter().elements(limit=8)
        single = Reader(responses).enter().element()
        return sequence(*before, sequence(single, single)), *rest

    return changed(der, change)
