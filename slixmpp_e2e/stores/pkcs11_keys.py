"""Private keys in PKCS #11 tokens, with the methods of `cryptography`'s private keys that are used here.

They never leave the token: there is no `private_bytes`. Digests are ours, the token signs what they return, so that
every token with CKM_RSA_PKCS, CKM_RSA_PKCS_PSS, CKM_ECDSA or CKM_EDDSA will do.

A token answers bad RSA padding with an error and in a time of its own: it knows no implicit rejection. Whatever it
says when something can't be decrypted is a `ValueError` here, so that the caller goes on as with every failure, and
the log gets the reason where it is not the data.
"""

import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import OAEP, PSS, AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import KDF, MGF, Attribute, KeyType, Mechanism

from slixmpp_e2e.cms.algorithms import NULL_PARAMETERS, SHA1, SHA256, SHA384, SHA512, Digest
from slixmpp_e2e.cms.asn1 import octet_string, sequence
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.stores.pkcs11 import Token
from slixmpp_e2e.stores.pkcs11_objects import PublicKey
from slixmpp_e2e.stores.pkcs11_uri import PKCS11URI

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_DIGESTS: Final[dict[str, tuple[Digest, Mechanism, MGF]]] = {
    "sha1": (SHA1, Mechanism.SHA_1, MGF.SHA1),
    "sha256": (SHA256, Mechanism.SHA256, MGF.SHA256),
    "sha384": (SHA384, Mechanism.SHA384, MGF.SHA384),
    "sha512": (SHA512, Mechanism.SHA512, MGF.SHA512),
}
#: What tokens say of data that can't be decrypted. Anybody can send such data: not worth a line in the log.
_BAD_DATA: Final = (
    pkcs11.DataInvalid,
    pkcs11.DataLenRange,
    pkcs11.EncryptedDataInvalid,
    pkcs11.EncryptedDataLenRange,
    pkcs11.FunctionFailed,
    pkcs11.GeneralError,
)


class PKCS11Key:
    """A private key in a token. See `open_key`."""

    #: Whoever uses it may have to wait for the token, or for the person at it.
    is_slow: Final = True

    def __init__(self, token: Token, uri: PKCS11URI, public_key: Any) -> None:
        self._token = token
        self._uri = uri
        self._public_key = public_key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._uri}>"

    def _sign(self, data: bytes, mechanism: Mechanism, parameters: Any = None) -> bytes:
        """Return a signature; raise `CertificateError`, or `ConfigurationError` if the token is not there."""

        def operation(key: Any, pin: str | None) -> bytes:
            return bytes(key.sign(data, mechanism=mechanism, mechanism_param=parameters, pin=pin))

        try:
            return self._token.use(self._uri.object, self._uri.id, operation)
        except (pkcs11.PKCS11Error, AttributeError) as error:
            raise CertificateError(f"{self._uri} can't sign: {_reason(error, mechanism)}") from None

    def _secretly(
        self,
        mechanism: Mechanism,
        operation: Callable[[Any, str | None], _T],
        *,
        level: int = logging.WARNING,
    ) -> _T:
        """Return what an operation on a secret returns; raise `ValueError`, whatever it was.

        `level` is that of the log for reasons that are not in the data.
        """
        try:
            return self._token.use(self._uri.object, self._uri.id, operation)
        except _BAD_DATA as error:
            log.debug("%s: not decrypted (%s)", self._uri, type(error).__name__)
        except ConfigurationError as error:
            log.log(level, "not decrypted: %s", error)
        except (pkcs11.PKCS11Error, AttributeError) as error:
            log.log(level, "%s can't decrypt: %s", self._uri, _reason(error, mechanism))
        raise ValueError("the token did not decrypt it")


class RSAKey(PKCS11Key):
    """An RSA key, as `rsa.RSAPrivateKey`."""

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the public half."""
        found: rsa.RSAPublicKey = self._public_key
        return found

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self.public_key().key_size

    def sign(self, data: bytes, padding: AsymmetricPadding, algorithm: hashes.HashAlgorithm) -> bytes:
        """Return a PKCS #1 v1.5 or PSS signature; raise `CertificateError` or `ConfigurationError`."""
        digest, name, _ = _DIGESTS[algorithm.name]
        if isinstance(padding, PSS):
            mask, length = _DIGESTS[padding.mgf._algorithm.name], padding._salt_length  # noqa: SLF001 no other way
            parameters = name, mask[2], length
            return self._sign(digest.digest(data), Mechanism.RSA_PKCS_PSS, parameters)
        # DigestInfo, RFC 8017 9.2
        info = sequence(sequence(digest.identifier, NULL_PARAMETERS), octet_string(digest.digest(data)))
        return self._sign(info, Mechanism.RSA_PKCS)

    def decrypt(self, ciphertext: bytes, padding: AsymmetricPadding) -> bytes:
        """Return what was encrypted with PKCS #1 v1.5 or OAEP; raise `ValueError`, whatever is wrong."""
        return self._decrypt(ciphertext, padding, logging.WARNING)

    def _decrypt(self, ciphertext: bytes, padding: AsymmetricPadding, level: int) -> bytes:
        mechanism, parameters = Mechanism.RSA_PKCS, None
        if isinstance(padding, OAEP):
            mechanism = Mechanism.RSA_PKCS_OAEP
            _, name, _ = _DIGESTS[padding.algorithm.name]
            mask = _DIGESTS[padding.mgf._algorithm.name]  # noqa: SLF001 no other way
            parameters = name, mask[2], None

        def operation(key: Any, pin: str | None) -> bytes:
            return bytes(key.decrypt(ciphertext, mechanism=mechanism, mechanism_param=parameters, pin=pin))

        return self._secretly(mechanism, operation, level=level)

    def can_decrypt_with(self, padding: AsymmetricPadding) -> bool:
        """Tell whether the token knows a padding: it is tried, because tokens don't say with which digests."""
        sample = bytes(16)
        encrypted = self.public_key().encrypt(sample, padding)
        try:
            return self._decrypt(encrypted, padding, logging.DEBUG) == sample
        except ValueError:
            return False


class ECKey(PKCS11Key):
    """A key on P-256 or P-384, as `ec.EllipticCurvePrivateKey`."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        found: ec.EllipticCurvePublicKey = self._public_key
        return found

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self.public_key().curve

    @property
    def key_size(self) -> int:
        """Bits of the curve's field."""
        return self.curve.key_size

    def sign(self, data: bytes, signature_algorithm: ec.ECDSA) -> bytes:
        """Return an ECDSA signature in DER; raise `CertificateError` or `ConfigurationError`."""
        digest = _DIGESTS[signature_algorithm.algorithm.name][0].digest(data)  # type: ignore[union-attr]
        size = self.key_size // 8
        raw = self._sign(digest[:size], Mechanism.ECDSA)  # FIPS 186-5 6.4.1: the leftmost bits
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Return the secret shared with the holder of a public key; raise `ValueError`, whatever is wrong."""
        point = peer_public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        size = self.key_size

        def operation(key: Any, pin: str | None) -> bytes:
            del pin  # C_DeriveKey has no place for it
            secret = key.derive_key(
                KeyType.GENERIC_SECRET,
                size,
                mechanism=Mechanism.ECDH1_DERIVE,
                mechanism_param=(KDF.NULL, None, point),
                template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True, Attribute.TOKEN: False},
            )
            try:
                return bytes(secret[Attribute.VALUE])
            finally:
                secret.destroy()

        return self._secretly(Mechanism.ECDH1_DERIVE, operation)


class Ed25519Key(PKCS11Key):
    """An Ed25519 key, as `ed25519.Ed25519PrivateKey`."""

    def public_key(self) -> ed25519.Ed25519PublicKey:
        """Return the public half."""
        found: ed25519.Ed25519PublicKey = self._public_key
        return found

    def sign(self, data: bytes) -> bytes:
        """Return a signature; raise `CertificateError` or `ConfigurationError`."""
        return self._sign(data, Mechanism.EDDSA)


def open_key(token: Token, uri: PKCS11URI) -> tuple[PKCS11Key, list[x509.Certificate]]:
    """Return the private key that a URI names, and the certificates that are in the token.

    The PIN is asked for. Raises `ConfigurationError` if the token can't be used, if not exactly one key is meant,
    or if the token has neither its public half nor its certificate.
    """
    found = token.find(uri.object, uri.id)
    kind = _kind(found.public_key)
    if kind is None:
        raise ConfigurationError(
            f"{uri}: the token tells no public key for it that is RSA, P-256, P-384 or Ed25519; "
            "put its certificate or public key into the token, with the same id"
        )
    exact = PKCS11URI(uri.module_path, token=uri.token, serial=uri.serial, object=uri.object, id=uri.id)
    return kind(token, exact, found.public_key), found.certificates


def _kind(public_key: PublicKey | None) -> type[PKCS11Key] | None:
    match public_key:
        case rsa.RSAPublicKey():
            return RSAKey
        case ec.EllipticCurvePublicKey():
            return ECKey
        case ed25519.Ed25519PublicKey():
            return Ed25519Key
    return None


def _reason(error: Exception, mechanism: Mechanism) -> str:
    """Say why an operation failed; python-pkcs11 gives a key no method for what its attributes forbid."""
    if isinstance(error, AttributeError):
        return f"the key's attributes don't allow it ({mechanism.name})"
    return f"{type(error).__name__} ({mechanism.name})"
