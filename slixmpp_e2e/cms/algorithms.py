"""The tables: object identifiers to digests and content ciphers.

Each row knows its AlgorithmIdentifier and what to do; a new algorithm is a new row. Signature schemes are
in `signatures`, the ways to hand over a content-encryption key in `recipients`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from slixmpp_e2e.cms.asn1 import (
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    ASN1Error,
    Reader,
    integer,
    octet_string,
    oid,
    sequence,
)

ID_DATA: Final = oid("1.2.840.113549.1.7.1")
ID_SIGNED_DATA: Final = oid("1.2.840.113549.1.7.2")
ID_ENVELOPED_DATA: Final = oid("1.2.840.113549.1.7.3")
ID_AUTH_ENVELOPED_DATA: Final = oid("1.2.840.113549.1.9.16.1.23")  # RFC 5083

ABSENT: Final = b""
NULL_PARAMETERS: Final = b"\x05\x00"

Random = Callable[[int], bytes]
#: Decrypts with a key, a tag and what else the tag covers. It never raises: None is a wrong tag.
#: Without a tag the padding is still there.
Decryptor = Callable[[bytes, bytes, bytes], bytes | None]


def read_algorithm(data: Reader) -> tuple[bytes, bytes]:
    """Return identifier and parameters of the AlgorithmIdentifier at the cursor, both with tag, or empty."""
    fields = data.enter()
    identifier = fields.element(OID)
    parameters = fields.element() if fields else ABSENT
    fields.finish()
    return identifier, parameters


# --------------------------------------------------------------------------- digests


@dataclass(frozen=True, slots=True)
class Digest:
    """A message digest: RFC 5754; SHA-1 (RFC 3370 2.1) is `weak` and only policy may let it through."""

    name: str
    identifier: bytes
    algorithm: hashes.HashAlgorithm
    digest: Callable[[bytes], bytes]
    weak: bool = False

    def attribute_value(self, digest: bytes) -> bytes:
        """Return the values of a message-digest attribute (RFC 5652 11.2): a SET with one OCTET STRING."""
        size = len(digest)
        return bytes((SET, size + 2, OCTET_STRING, size)) + digest

    @property
    def algorithm_identifier(self) -> bytes:
        """The AlgorithmIdentifier; parameters are absent (RFC 5754 2)."""
        return sequence(self.identifier)


SHA1: Final = Digest(
    "sha1",
    oid("1.3.14.3.2.26"),
    hashes.SHA1(),  # noqa: S303 RFC 3923 6.10 demands it; `weak` keeps it out unless a policy says otherwise
    lambda data: hashlib.sha1(data).digest(),  # noqa: S324
    weak=True,
)
SHA256: Final = Digest(
    "sha256", oid("2.16.840.1.101.3.4.2.1"), hashes.SHA256(), lambda data: hashlib.sha256(data).digest()
)
SHA384: Final = Digest(
    "sha384", oid("2.16.840.1.101.3.4.2.2"), hashes.SHA384(), lambda data: hashlib.sha384(data).digest()
)
SHA512: Final = Digest(
    "sha512", oid("2.16.840.1.101.3.4.2.3"), hashes.SHA512(), lambda data: hashlib.sha512(data).digest()
)

#: By the whole AlgorithmIdentifier: parameters are absent or NULL (RFC 5754 2).
DIGESTS: Final[dict[bytes, Digest]] = {
    sequence(row.identifier, parameters): row
    for row in (SHA1, SHA256, SHA384, SHA512)
    for parameters in (ABSENT, NULL_PARAMETERS)
}


def read_digest(data: Reader) -> Digest:
    """Return the digest that the AlgorithmIdentifier at the cursor names."""
    row = DIGESTS.get(data.element(SEQUENCE))
    if row is None:
        raise ASN1Error("an unknown digest algorithm")
    return row


MGF1: Final = oid("1.2.840.113549.1.1.8")


def read_mask_digest(data: Reader) -> Digest:
    """Return the digest of the mask generation function that the AlgorithmIdentifier at the cursor names."""
    identifier, parameters = read_algorithm(data)
    if identifier != MGF1:
        raise ASN1Error("an unknown mask generation function")
    digest = read_digest(Reader(parameters))  # one value, whole: nothing is left over
    data.finish()
    return digest


# --------------------------------------------------------------------------- content ciphers


class ContentCipher(Protocol):
    """How content is encrypted: a row of `CIPHERS`."""

    @property
    def name(self) -> str:
        """The name in policies and reports."""

    @property
    def identifier(self) -> bytes:
        """The OBJECT IDENTIFIER."""

    @property
    def key_size(self) -> int:
        """The length of its keys in octets."""

    @property
    def authenticated(self) -> bool:
        """Whether it detects changes: then it belongs into an AuthEnvelopedData."""

    @property
    def block_size(self) -> int:
        """What the plaintext is padded to, in octets; 1 where it is not."""

    @property
    def weak(self) -> bool:
        """Whether only an explicit policy lets it through; such ciphers are read, never written."""

    def encrypt(self, key: bytes, plaintext: bytes, random: Random) -> tuple[bytes, bytes, bytes]:
        """Return the AlgorithmIdentifier, the ciphertext and the authentication tag (empty without one)."""

    def read(self, parameters: bytes, ciphertext: bytes) -> Decryptor:
        """Judge what anybody can see of the ciphertext, and return how to decrypt it; raise `ASN1Error`."""


@dataclass(frozen=True, slots=True)
class CBC:
    """A block cipher in CBC mode: AES (RFC 3565), Triple-DES (RFC 3370 5.1).

    It proves nothing about the plaintext; padding is for the caller to judge.
    """

    name: str
    identifier: bytes
    key_size: int
    algorithm: Callable[[bytes], Any] = algorithms.AES
    block_size: int = 16
    weak: bool = False
    authenticated: bool = False

    def encrypt(self, key: bytes, plaintext: bytes, random: Random) -> tuple[bytes, bytes, bytes]:
        """See `ContentCipher`."""
        if self.weak:
            raise ValueError(f"{self.name} is never written")
        iv = random(self.block_size)
        fill = self.block_size - len(plaintext) % self.block_size
        encryptor = Cipher(self.algorithm(key), modes.CBC(iv)).encryptor()
        ciphertext = encryptor.update(plaintext + bytes((fill,)) * fill)
        return sequence(self.identifier, octet_string(iv)), ciphertext, b""

    def read(self, parameters: bytes, ciphertext: bytes) -> Decryptor:
        """See `ContentCipher`."""
        iv = Reader(parameters).contents(OCTET_STRING)
        if len(iv) != self.block_size or not ciphertext or len(ciphertext) % self.block_size:
            raise ASN1Error("an IV or a ciphertext of the wrong length")

        def decrypt(key: bytes, _tag: bytes, _covered: bytes) -> bytes | None:
            return Cipher(self.algorithm(key), modes.CBC(iv)).decryptor().update(ciphertext)

        return decrypt


@dataclass(frozen=True, slots=True)
class AESInGCM:
    """AES in GCM mode (RFC 5084): 12-octet nonce, 16-octet tag written; tags of 12 to 16 octets read."""

    name: str
    identifier: bytes
    key_size: int
    block_size: int = 1
    weak: bool = False
    authenticated: bool = True

    def encrypt(self, key: bytes, plaintext: bytes, random: Random) -> tuple[bytes, bytes, bytes]:
        """See `ContentCipher`."""
        nonce = random(12)
        sealed = AESGCM(key).encrypt(nonce, plaintext, None)
        parameters = sequence(
            octet_string(nonce), integer(16)
        )  # aes-ICVlen: RFC 5084 3.2 (the default is 12)
        return sequence(self.identifier, parameters), sealed[:-16], sealed[-16:]

    def read(self, parameters: bytes, ciphertext: bytes) -> Decryptor:
        """See `ContentCipher`."""
        fields = Reader(parameters).enter()
        nonce = fields.contents(OCTET_STRING)
        tag_size = fields.integer(maximum=16) if fields else 12
        fields.finish()
        if (
            len(nonce) != 12 or not 12 <= tag_size <= 16
        ):  # RFC 5084 3.2 recommends 12; longer nonces have no user
            raise ASN1Error("a nonce or a tag of an unusual length")

        def decrypt(key: bytes, tag: bytes, covered: bytes) -> bytes | None:
            if len(tag) != tag_size:
                return None
            decryptor = Cipher(algorithms.AES(key), modes.GCM(nonce, tag, tag_size)).decryptor()
            try:
                decryptor.authenticate_additional_data(covered)
                return decryptor.update(ciphertext) + decryptor.finalize()
            except InvalidTag:
                return None

        return decrypt


AES128_CBC: Final = CBC("aes128-cbc", oid("2.16.840.1.101.3.4.1.2"), 16)
AES192_CBC: Final = CBC("aes192-cbc", oid("2.16.840.1.101.3.4.1.22"), 24)
AES256_CBC: Final = CBC("aes256-cbc", oid("2.16.840.1.101.3.4.1.42"), 32)
AES128_GCM: Final = AESInGCM("aes128-gcm", oid("2.16.840.1.101.3.4.1.6"), 16)
AES192_GCM: Final = AESInGCM("aes192-gcm", oid("2.16.840.1.101.3.4.1.26"), 24)
AES256_GCM: Final = AESInGCM("aes256-gcm", oid("2.16.840.1.101.3.4.1.46"), 32)
#: S/MIME 3.1 (RFC 3851 2.7); 64-bit blocks.
DES_EDE3_CBC: Final = CBC(
    "des-ede3-cbc", oid("1.2.840.113549.3.7"), 24, algorithm=TripleDES, block_size=8, weak=True
)

_ROWS: Final[tuple[ContentCipher, ...]] = (
    AES128_CBC,
    AES192_CBC,
    AES256_CBC,
    AES128_GCM,
    AES192_GCM,
    AES256_GCM,
)
#: What can be read, by OBJECT IDENTIFIER.
CIPHERS: Final[dict[bytes, ContentCipher]] = {row.identifier: row for row in (*_ROWS, DES_EDE3_CBC)}
#: What can be written.
CIPHERS_BY_NAME: Final[dict[str, ContentCipher]] = {row.name: row for row in _ROWS}
