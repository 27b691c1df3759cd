"""From a shared secret to a wrapped key: the algorithms that a key agreement is made of (RFC 5753, RFC 8418).

`DERIVATIONS` knows how a key-encryption key is derived, `WRAPS` the key wrap of AES (RFC 3394); a
KeyEncryptionAlgorithmIdentifier names one of each, and all pairs are in `KEY_ENCRYPTIONS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from slixmpp_e2e.cms.algorithms import ABSENT, NULL_PARAMETERS, SHA1, SHA256, SHA384, SHA512, Digest
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, octet_string, oid, sequence, tlv


@dataclass(frozen=True, slots=True)
class KeyDerivation:
    """How a key-encryption key comes from a shared secret: a row of `DERIVATIONS`."""

    name: str
    identifier: bytes
    #: Takes the secret, the length of the key in octets, ECC-CMS-SharedInfo, and the ukm if there is one.
    derive: Callable[[bytes, int, bytes, bytes | None], bytes]


def _x963(digest: Digest, identifier: str) -> KeyDerivation:
    """RFC 5753 7.1.8: the function of SEC 1 3.6.1, where the ukm is a part of the shared info."""

    def derive(secret: bytes, size: int, shared_info: bytes, _: bytes | None) -> bytes:
        return X963KDF(digest.algorithm, size, shared_info).derive(secret)

    return KeyDerivation(f"{digest.name}kdf", oid(identifier), derive)


def _hkdf(digest: Digest, identifier: str) -> KeyDerivation:
    """RFC 8418 2.2: the ukm is also the salt."""

    def derive(secret: bytes, size: int, shared_info: bytes, ukm: bytes | None) -> bytes:
        return HKDF(digest.algorithm, size, ukm, shared_info).derive(secret)

    return KeyDerivation(f"hkdf-{digest.name}", oid(identifier), derive)


SHA256_KDF: Final = _x963(SHA256, "1.3.132.1.11.1")
SHA384_KDF: Final = _x963(SHA384, "1.3.132.1.11.2")
SHA512_KDF: Final = _x963(SHA512, "1.3.132.1.11.3")
HKDF_SHA256: Final = _hkdf(SHA256, "1.2.840.113549.1.9.16.3.19")
#: OpenSSL 3.0 writes it unless it is told otherwise; we never do. What is wrong with SHA-1 does no harm here.
SHA1_KDF: Final = _x963(SHA1, "1.3.133.16.840.63.0.2")

#: What can be read, by name.
DERIVATIONS: Final[dict[str, KeyDerivation]] = {
    row.name: row for row in (SHA256_KDF, SHA384_KDF, SHA512_KDF, HKDF_SHA256, SHA1_KDF)
}
#: AES key wrap, by the length of its key in octets (RFC 3565 2.3.2).
WRAPS: Final = {
    size: oid(f"2.16.840.1.101.3.4.1.{last}") for size, last in ((16, "5"), (24, "25"), (32, "45"))
}


@dataclass(frozen=True, slots=True)
class KeyEncryption:
    """A key derivation and a key wrap."""

    derivation: KeyDerivation
    #: The AlgorithmIdentifier of the key wrap, and the length of its key in octets.
    wrap: bytes
    size: int
    algorithm_identifier: bytes
    #: ECC-CMS-SharedInfo without a ukm.
    shared_info: bytes

    @classmethod
    def of(cls, derivation: KeyDerivation, size: int, parameters: bytes = ABSENT) -> "KeyEncryption":
        """Return the pair for a key wrap with keys of `size` octets."""
        wrap = sequence(WRAPS[size], parameters)
        identifier = sequence(derivation.identifier, wrap)
        return cls(derivation, wrap, size, identifier, _shared_info(wrap, size, None))

    def derive(self, secret: bytes, ukm: bytes | None = None) -> bytes:
        """Return the key-encryption key for a shared secret."""
        shared_info = self.shared_info if ukm is None else _shared_info(self.wrap, self.size, ukm)
        return self.derivation.derive(secret, self.size, shared_info, ukm)


def _shared_info(wrap: bytes, size: int, ukm: bytes | None) -> bytes:
    """Return ECC-CMS-SharedInfo (RFC 5753 7.2)."""
    entity = b"" if ukm is None else tlv(CONSTRUCTED, octet_string(ukm))
    bits = (size * 8).to_bytes(4, "big")
    return sequence(wrap, entity, tlv(CONSTRUCTED + 2, octet_string(bits)))


#: What can be read, by KeyEncryptionAlgorithmIdentifier. The parameters of the key wrap are absent; where they
#: are NULL, as some old software has it, they are so in the shared info too.
KEY_ENCRYPTIONS: Final[dict[bytes, KeyEncryption]] = {
    (row := KeyEncryption.of(derivation, size, parameters)).algorithm_identifier: row
    for derivation in DERIVATIONS.values()
    for size in WRAPS
    for parameters in (ABSENT, NULL_PARAMETERS)
}
