"""The floor: the primitives alone, on objects that were made before, with nothing around them.

SHA-256, RSA PKCS #1 v1.5 and AES-128-CBC through `cryptography` and `hashlib`, over as many octets as the real
object has. Nothing that does this work with these libraries can be faster.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_SHA256: Final = hashes.SHA256()
_PKCS1: Final = padding.PKCS1v15()
#: What is signed are the signed attributes: about this many octets (content type, signing time, digest).
_ATTRIBUTES: Final = os.urandom(105)


@dataclass(frozen=True, slots=True)
class Floor:
    """The primitives for objects of one size."""

    #: RSA private keys.
    signer: Any
    recipient: Any
    #: Octets that are hashed, and octets that are encrypted.
    content: int
    encrypted: int

    def outward(self) -> Callable[[object], None]:
        """Return digest, signature, key and IV, encryption, and transport of the key."""
        sign, encrypt = self.signer.sign, self.recipient.public_key().encrypt
        content, plaintext = os.urandom(self.content), os.urandom(self._whole_blocks)

        def run(_: object) -> None:
            hashlib.sha256(content).digest()
            sign(_ATTRIBUTES, _PKCS1, _SHA256)
            key, iv = os.urandom(16), os.urandom(16)
            Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor().update(plaintext)
            encrypt(key, _PKCS1)

        return run

    def inward(self) -> Callable[[object], None]:
        """Return recovery of the key, decryption, digest, and verification."""
        decrypt, verify = self.recipient.decrypt, self.signer.public_key().verify
        content, ciphertext, iv = os.urandom(self.content), os.urandom(self._whole_blocks), os.urandom(16)
        signature = self.signer.sign(_ATTRIBUTES, _PKCS1, _SHA256)
        encrypted_key = self.recipient.public_key().encrypt(os.urandom(16), _PKCS1)

        def run(_: object) -> None:
            key = decrypt(encrypted_key, _PKCS1)
            Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor().update(ciphertext)
            hashlib.sha256(content).digest()
            verify(signature, _ATTRIBUTES, _PKCS1, _SHA256)

        return run

    def signing(self) -> Callable[[object], None]:
        """Return digest and signature alone."""
        sign, content = self.signer.sign, os.urandom(self.content)

        def run(_: object) -> None:
            hashlib.sha256(content).digest()
            sign(_ATTRIBUTES, _PKCS1, _SHA256)

        return run

    @property
    def _whole_blocks(self) -> int:
        return self.encrypted // 16 * 16 + 16
