"""Key agreement once more, from RFC 5753, RFC 8418, RFC 5869 and RFC 3394, and from primitives alone.

It writes every form that a KeyAgreeRecipientInfo may have, also those that ours never has, and shares no code
with `slixmpp_e2e.cms.key_agreement` but the encoding of DER.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from slixmpp_e2e.cms.asn1 import BIT_STRING, CONSTRUCTED, integer, octet_string, oid, sequence, tlv
from tests.pki import Entity

EC_PUBLIC_KEY = oid("1.2.840.10045.2.1")
X25519 = oid("1.3.101.110")
NULL = b"\x05\x00"
SCHEMES = {
    "sha1kdf": oid("1.3.133.16.840.63.0.2"),
    "sha256kdf": oid("1.3.132.1.11.1"),
    "sha384kdf": oid("1.3.132.1.11.2"),
    "sha512kdf": oid("1.3.132.1.11.3"),
    "hkdf-sha256": oid("1.2.840.113549.1.9.16.3.19"),
}
WRAPS = {size: oid(f"2.16.840.1.101.3.4.1.{last}") for size, last in ((16, 5), (24, 25), (32, 45))}


def key_encryption_key(
    scheme: str, secret: bytes, size: int, ukm: bytes | None = None, wrap_parameters: bytes = b""
) -> bytes:
    """Derive as SEC 1 3.6.1 and RFC 5869 say."""
    entity = b"" if ukm is None else tlv(CONSTRUCTED, octet_string(ukm))
    length = tlv(CONSTRUCTED + 2, octet_string(bytes((0, 0, size * 8 >> 8, size * 8 & 255))))
    info = sequence(sequence(WRAPS[size], wrap_parameters), entity, length)
    if scheme == "hkdf-sha256":
        extracted = hmac.digest(ukm or bytes(32), secret, "sha256")
        return hmac.digest(extracted, info + b"\1", "sha256")[:size]
    name = scheme.removesuffix("kdf")
    blocks = (hashlib.new(name, secret + bytes((0, 0, 0, count)) + info).digest() for count in (1, 2))
    return b"".join(blocks)[:size]


def wrap(key_encryption_key: bytes, key: bytes) -> bytes:
    """Wrap as RFC 3394 2.2.1 says."""
    block = Cipher(algorithms.AES(key_encryption_key), modes.ECB()).encryptor()
    check, registers = b"\xa6" * 8, [key[at : at + 8] for at in range(0, len(key), 8)]
    for step in range(6 * len(registers)):
        at = step % len(registers)
        out = block.update(check + registers[at])
        check = bytes(a ^ b for a, b in zip(out[:8], (step + 1).to_bytes(8, "big"), strict=True))
        registers[at] = out[8:]
    return check + b"".join(registers)


def agree(public_key: Any) -> tuple[bytes, bytes]:
    """Return a new ephemeral public key, uncompressed, and the secret that it shares with `public_key`."""
    if isinstance(public_key, x25519.X25519PublicKey):
        ephemeral = x25519.X25519PrivateKey.generate()
        return ephemeral.public_key().public_bytes_raw(), ephemeral.exchange(public_key)
    ours = ec.generate_private_key(public_key.curve)
    point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return point, ours.exchange(ec.ECDH(), public_key)


def issuer_and_serial(entity: Entity) -> bytes:
    """Name a recipient."""
    return entity.parsed.issuer_and_serial


def key_id(entity: Entity, *behind: bytes) -> bytes:
    """Name a recipient by its key identifier; `behind` are date and other."""
    assert entity.parsed.key_identifier is not None
    return tlv(CONSTRUCTED, octet_string(entity.parsed.key_identifier[2:]), *behind)


@dataclass(frozen=True, slots=True)
class Kari:
    """A KeyAgreeRecipientInfo in its parts: everything that can be got wrong."""

    ephemeral: bytes
    #: Pairs of KeyAgreeRecipientIdentifier and encrypted key.
    recipients: tuple[tuple[bytes, bytes], ...]
    scheme: bytes = SCHEMES["sha256kdf"]
    size: int = 16
    ukm: bytes | None = None
    wrap_parameters: bytes = b""
    algorithm: bytes = sequence(EC_PUBLIC_KEY)
    version: int = 3
    unused_bits: bytes = b"\0"

    @property
    def originator(self) -> bytes:
        """OriginatorIdentifierOrKey: an originatorKey."""
        return tlv(CONSTRUCTED + 1, self.algorithm, tlv(BIT_STRING, self.unused_bits, self.ephemeral))

    def encode(self, *, originator: bytes | None = None, behind: bytes = b"") -> bytes:
        """Return the RecipientInfo."""
        return tlv(
            CONSTRUCTED + 1,
            integer(self.version),
            tlv(CONSTRUCTED, self.originator if originator is None else originator),
            b"" if self.ukm is None else tlv(CONSTRUCTED + 1, octet_string(self.ukm)),
            sequence(self.scheme, sequence(WRAPS[self.size], self.wrap_parameters)),
            sequence(*(sequence(name, octet_string(key)) for name, key in self.recipients)),
            behind,
        )


def make(
    entity: Entity,
    key: bytes,
    *,
    scheme: str | None = None,
    ukm: bytes | None = None,
    wrap_parameters: bytes = b"",
    size: int | None = None,
    name: bytes | None = None,
) -> Kari:
    """Hand `key` over to an entity."""
    on_x25519 = isinstance(entity.key, x25519.X25519PrivateKey)
    scheme = scheme or ("hkdf-sha256" if on_x25519 else "sha256kdf")
    size = size or len(key)
    ephemeral, secret = agree(entity.key.public_key())
    wrapped = wrap(key_encryption_key(scheme, secret, size, ukm, wrap_parameters), key)
    return Kari(
        ephemeral,
        ((name or issuer_and_serial(entity), wrapped),),
        scheme=SCHEMES[scheme],
        size=size,
        ukm=ukm,
        wrap_parameters=wrap_parameters,
        algorithm=sequence(X25519 if on_x25519 else EC_PUBLIC_KEY),
    )
