"""The table of signature schemes (RFC 3370 3.2, RFC 4056, RFC 5753, RFC 5754, RFC 8419).

`SCHEMES` are what we write, by name. `read_scheme` turns the signatureAlgorithm of a SignerInfo into one; the
digest that the SignerInfo names must be the one that the scheme uses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from slixmpp_e2e.cms.algorithms import (
    ABSENT,
    MGF1,
    NULL_PARAMETERS,
    SHA1,
    SHA256,
    SHA384,
    SHA512,
    Digest,
    read_algorithm,
    read_digest,
    read_mask_digest,
)
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, SEQUENCE, ASN1Error, Reader, integer, oid, sequence, tlv
from slixmpp_e2e.errors import CertificateError, SignatureError

RSA_ENCRYPTION: Final = oid("1.2.840.113549.1.1.1")
_RSASSA_PSS: Final = oid("1.2.840.113549.1.1.10")
_ED25519: Final = oid("1.3.101.112")


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """How a signature is made and checked."""

    name: str
    digest: Digest
    #: The AlgorithmIdentifier as we write it.
    algorithm_identifier: bytes
    key_type: type
    #: The arguments after the data (sign) or after signature and data (verify).
    arguments: tuple[Any, ...]

    def sign(self, key: Any, data: bytes) -> bytes:
        """Return the signature over `data`."""
        signature: bytes = key.sign(data, *self.arguments)
        return signature

    def verify(self, key: Any, signature: bytes, data: bytes) -> None:
        """Raise `SignatureError` unless `signature` is one over `data` by the holder of `key`.

        `weak` is a key that does not go with the scheme: nothing was verified then, which takes no time.
        """
        if not issubclass(type(key), self.key_type):
            raise SignatureError("the key does not go with the signature's algorithm", reason="weak")
        try:
            key.verify(signature, data, *self.arguments)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            raise SignatureError("the signature is not over this content", reason="invalid") from None


def _pkcs1(digest: Digest) -> SignatureScheme:
    # RFC 3370 3.2: rsaEncryption whatever the digest; parameters NULL
    identifier = sequence(RSA_ENCRYPTION, NULL_PARAMETERS)
    arguments = (padding.PKCS1v15(), digest.algorithm)
    return SignatureScheme(f"rsa-{digest.name}", digest, identifier, rsa.RSAPublicKey, arguments)


def _pss(digest: Digest, mask_digest: Digest, salt_length: int) -> SignatureScheme:
    mask = sequence(MGF1, mask_digest.algorithm_identifier)
    parameters = sequence(
        tlv(CONSTRUCTED, digest.algorithm_identifier),
        tlv(CONSTRUCTED + 1, mask),
        tlv(CONSTRUCTED + 2, integer(salt_length)),
    )
    arguments = (padding.PSS(padding.MGF1(mask_digest.algorithm), salt_length), digest.algorithm)
    return SignatureScheme(
        f"rsa-pss-{digest.name}",
        digest,
        sequence(_RSASSA_PSS, parameters),
        rsa.RSAPublicKey,
        arguments,
    )


def _ecdsa(digest: Digest, identifier: bytes) -> SignatureScheme:
    return SignatureScheme(
        f"ecdsa-{digest.name}",
        digest,
        sequence(identifier),
        ec.EllipticCurvePublicKey,
        (ec.ECDSA(digest.algorithm),),
    )


_PKCS1: Final = {digest.name: _pkcs1(digest) for digest in (SHA1, SHA256, SHA384, SHA512)}
_PSS: Final = {
    digest.name: _pss(digest, digest, digest.algorithm.digest_size) for digest in (SHA256, SHA384, SHA512)
}
_ECDSA: Final = {
    digest.name: _ecdsa(digest, oid(f"1.2.840.10045.4.3.{last}"))
    for last, digest in ((2, SHA256), (3, SHA384), (4, SHA512))
}
_EDDSA: Final = SignatureScheme("ed25519", SHA512, sequence(_ED25519), ed25519.Ed25519PublicKey, ())

#: The schemes that we can write, by name. `rsa-sha1` is what RFC 3923 6.10 demands; nothing writes it unasked.
SCHEMES: Final[dict[str, SignatureScheme]] = {
    scheme.name: scheme
    for scheme in (
        *_PKCS1.values(),
        *_PSS.values(),
        *_ECDSA.values(),
        _EDDSA,
    )
}


def default_scheme(key: Any) -> SignatureScheme:
    """Return the scheme to sign with unless somebody says otherwise; raise `CertificateError`.

    A private key is known by its public half: it may be an object of anybody's class (a token's, for example).
    """
    public_key = key.public_key()
    if isinstance(public_key, rsa.RSAPublicKey):
        return SCHEMES["rsa-sha256"]
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return SCHEMES["ecdsa-sha256" if isinstance(public_key.curve, ec.SECP256R1) else "ecdsa-sha384"]
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return SCHEMES["ed25519"]
    raise CertificateError("this kind of key can't sign")


# --------------------------------------------------------------------------- reading

#: Schemes without parameters to read, by the whole AlgorithmIdentifier and the digest beside it.
_FIXED: Final[dict[tuple[bytes, str], SignatureScheme]] = {
    # rsaEncryption goes with any digest (RFC 3370 3.2); its NULL is missing in some old software
    **{(sequence(RSA_ENCRYPTION, NULL_PARAMETERS), name): scheme for name, scheme in _PKCS1.items()},
    **{(sequence(RSA_ENCRYPTION), name): scheme for name, scheme in _PKCS1.items()},
    **{
        (sequence(oid(f"1.2.840.113549.1.1.{last}"), parameters), name): _PKCS1[name]
        for last, name in ((5, "sha1"), (11, "sha256"), (12, "sha384"), (13, "sha512"))
        for parameters in (NULL_PARAMETERS, ABSENT)
    },
    **{(scheme.algorithm_identifier, scheme.digest.name): scheme for scheme in _ECDSA.values()},
    (_EDDSA.algorithm_identifier, SHA512.name): _EDDSA,  # RFC 8419 2.3, 3.1
}


def _read_pss(parameters: bytes, digest: Digest) -> SignatureScheme:
    """Read RSASSA-PSS-params (RFC 4055 3.1); what is absent has the default that the RFC gives it."""
    fields = Reader(parameters).enter()
    used, mask_digest, salt_length, trailer = SHA1, SHA1, 20, 1
    if fields.peek() == CONSTRUCTED:
        used = read_digest(fields.enter(CONSTRUCTED))
    if fields.peek() == CONSTRUCTED + 1:
        mask_digest = read_mask_digest(fields.enter(CONSTRUCTED + 1))
    if fields.peek() == CONSTRUCTED + 2:
        salt_length = fields.enter(CONSTRUCTED + 2).integer(maximum=1024)
    if fields.peek() == CONSTRUCTED + 3:
        trailer = fields.enter(CONSTRUCTED + 3).integer(maximum=255)
    fields.finish()
    if used is not digest or trailer != 1:
        raise ASN1Error("the digest named is not the one that was used")
    return _pss(digest, mask_digest, salt_length)


#: Schemes with parameters to read, by OBJECT IDENTIFIER.
_READERS: Final[dict[bytes, Callable[[bytes, Digest], SignatureScheme]]] = {_RSASSA_PSS: _read_pss}


def read_scheme(data: Reader, digest: Digest) -> SignatureScheme:
    """Return the scheme that the AlgorithmIdentifier at the cursor names for a digest; raise `ASN1Error`."""
    element = data.element(SEQUENCE)
    fixed = _FIXED.get((element, digest.name))
    if fixed is not None:
        return fixed
    identifier, parameters = read_algorithm(Reader(element))
    if identifier not in _READERS:
        raise ASN1Error("a signature algorithm that is unknown, or does not go with the digest named")
    return _READERS[identifier](parameters, digest)
