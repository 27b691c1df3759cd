"""The floor for elliptic curves: digest, signature, key agreement, key wrap and AES-128-GCM, and nothing around them.

As `floor` has it for RSA. An ephemeral key has to be made and written for each object, and read from each.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_SHA256: Final = hashes.SHA256()
_ATTRIBUTES: Final = os.urandom(105)
#: ECC-CMS-SharedInfo has about this many octets.
_SHARED_INFO: Final = os.urandom(23)


@dataclass(frozen=True, slots=True)
class AgreementFloor:
    """The primitives for objects of one size."""

    #: P-256 or Ed25519, and P-256 or X25519.
    signer: Any
    recipient: Any
    #: Octets that are hashed, and octets that are encrypted.
    content: int
    encrypted: int

    def outward(self) -> Callable[[object], None]:
        """Return digest, signature, key and nonce, encryption, ephemeral key, agreement, and key wrap."""
        digest, sign = self._digest(), self._sign()
        make = self._make_x25519() if self._on_x25519 else self._make_ec()
        content, plaintext = os.urandom(self.content), os.urandom(self.encrypted)

        def run(_: object) -> None:
            digest(content)
            sign(_ATTRIBUTES)
            key, nonce = os.urandom(16), os.urandom(12)
            AESGCM(key).encrypt(nonce, plaintext, None)
            aes_key_wrap(self._derive(make()), key)

        return run

    def inward(self) -> Callable[[object], None]:
        """Return agreement, key unwrap, decryption, digest, and verification."""
        digest, verify, agree = self._digest(), self._verify(), self._agree()
        key, nonce, content = os.urandom(16), os.urandom(12), os.urandom(self.content)
        sealed = AESGCM(key).encrypt(nonce, os.urandom(self.encrypted), None)
        wrapped = aes_key_wrap(self._derive(agree()), key)

        def run(_: object) -> None:
            found = aes_key_unwrap(self._derive(agree()), wrapped)
            AESGCM(found).decrypt(nonce, sealed, None)
            digest(content)
            verify()

        return run

    @property
    def _on_x25519(self) -> bool:
        return isinstance(self.recipient, x25519.X25519PrivateKey)

    def _digest(self) -> Callable[[bytes], object]:
        hashing = hashlib.sha512 if isinstance(self.signer, ed25519.Ed25519PrivateKey) else hashlib.sha256
        return lambda content: hashing(content).digest()

    def _sign(self) -> Callable[[bytes], bytes]:
        if isinstance(self.signer, ed25519.Ed25519PrivateKey):
            return self.signer.sign
        scheme = ec.ECDSA(_SHA256)
        return lambda data: self.signer.sign(data, scheme)

    def _verify(self) -> Callable[[], None]:
        signature, verify = self._sign()(_ATTRIBUTES), self.signer.public_key().verify
        if isinstance(self.signer, ed25519.Ed25519PrivateKey):
            return lambda: verify(signature, _ATTRIBUTES)
        scheme = ec.ECDSA(_SHA256)
        return lambda: verify(signature, _ATTRIBUTES, scheme)

    def _derive(self, secret: bytes) -> bytes:
        if self._on_x25519:
            return HKDF(_SHA256, 16, None, _SHARED_INFO).derive(secret)
        return X963KDF(_SHA256, 16, _SHARED_INFO).derive(secret)

    def _make_ec(self) -> Callable[[], bytes]:
        theirs, curve, ecdh = self.recipient.public_key(), self.recipient.curve, ec.ECDH()

        def make() -> bytes:
            ours = ec.generate_private_key(curve)
            ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return ours.exchange(ecdh, theirs)

        return make

    def _make_x25519(self) -> Callable[[], bytes]:
        theirs = self.recipient.public_key()

        def make() -> bytes:
            ours = x25519.X25519PrivateKey.generate()
            ours.public_key().public_bytes_raw()
            return ours.exchange(theirs)

        return make

    def _agree(self) -> Callable[[], bytes]:
        exchange, ecdh = self.recipient.exchange, ec.ECDH()
        if self._on_x25519:
            raw = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
            return lambda: exchange(x25519.X25519PublicKey.from_public_bytes(raw))
        curve = self.recipient.curve
        ephemeral = ec.generate_private_key(curve).public_key()
        point = ephemeral.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return lambda: exchange(ecdh, ec.EllipticCurvePublicKey.from_encoded_point(curve, point))
