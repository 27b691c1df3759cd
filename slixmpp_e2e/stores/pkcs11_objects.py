"""What stands in a PKCS #11 token, read: public keys, certificates, and words for a person.

Tokens say different things of their objects; what one does not say is None here, and no error.
"""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias, get_args

import pkcs11
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pkcs11 import Attribute, KeyType

from slixmpp_e2e.cms.asn1 import OCTET_STRING, Reader, oid
from slixmpp_e2e.errors import RemoteError

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

#: CKA_EC_PARAMS of the curves that we know.
_CURVES: Final[dict[bytes, ec.EllipticCurve]] = {
    oid("1.2.840.10045.3.1.7"): ec.SECP256R1(),
    oid("1.3.132.0.34"): ec.SECP384R1(),
}
_MISSING: Final = (pkcs11.PKCS11Error, ValueError, NotImplementedError, KeyError)


def read_public_key(found: Any) -> PublicKey | None:
    """Return the public key that a private or public key object speaks of, None if it does not."""
    try:
        match found[Attribute.KEY_TYPE]:
            case KeyType.RSA:
                exponent, modulus = found[Attribute.PUBLIC_EXPONENT], found[Attribute.MODULUS]
                numbers = rsa.RSAPublicNumbers(
                    int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")
                )
                return numbers.public_key()
            case KeyType.EC:
                curve = _CURVES[found[Attribute.EC_PARAMS]]
                return ec.EllipticCurvePublicKey.from_encoded_point(
                    curve, _unwrapped(found[Attribute.EC_POINT])
                )
            case KeyType.EC_EDWARDS:
                return ed25519.Ed25519PublicKey.from_public_bytes(_unwrapped(found[Attribute.EC_POINT]))
    except _MISSING:
        pass
    return None


def _unwrapped(point: bytes) -> bytes:
    """Return a point that PKCS #11 2.30 wants in an OCTET STRING, which not all tokens write."""
    try:
        data = Reader(point)
        found = data.contents(OCTET_STRING)
        data.finish()
    except (ValueError, RemoteError):
        return point
    return found


def read_certificate(found: Any) -> x509.Certificate | None:
    """Return a certificate object's certificate, None if it is none that can be read."""
    try:
        return x509.load_der_x509_certificate(found[Attribute.VALUE])
    except (*_MISSING, x509.InvalidVersion, TypeError):
        return None


def own_key(certificate: x509.Certificate) -> PublicKey | None:
    """Return the public key of a certificate, None for one of a kind that is not used."""
    try:
        found = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, get_args(PublicKey)) else None


def id_of(found: Any) -> bytes:
    """Return the id (CKA_ID) of an object: it is the same for a key pair and its certificate. Empty: none."""
    try:
        return bytes(found[Attribute.ID])
    except _MISSING:
        return b""


def needs_pin_each_time(key: Any) -> bool:
    """Tell whether every use of a private key needs the PIN (CKA_ALWAYS_AUTHENTICATE)."""
    try:
        return bool(key[Attribute.ALWAYS_AUTHENTICATE])
    except _MISSING:
        return False


def describe(objects: Iterable[Any]) -> str:
    """Name objects for a person: label and id."""
    named = []
    for each in objects:
        try:
            named.append(f"{each[Attribute.LABEL]!r} (id {bytes(each[Attribute.ID]).hex() or 'none'})")
        except _MISSING:
            named.append("one without a name")
    return ", ".join(sorted(named)) or "none that can be seen"
