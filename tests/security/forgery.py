"""What an attacker does with a captured object: keep the RecipientInfos, replace what is encrypted."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slixmpp_e2e.cms.algorithms import AES128_CBC, ID_DATA, ID_ENVELOPED_DATA
from slixmpp_e2e.cms.asn1 import (
    CONSTRUCTED,
    CONTEXT,
    OCTET_STRING,
    Reader,
    integer,
    octet_string,
    sequence,
    tlv,
)

BLOCK = 16


@dataclass(frozen=True, slots=True)
class Captured:
    """An EnvelopedData or AuthEnvelopedData in its parts."""

    recipient_infos: bytes
    #: The IV or nonce.
    iv: bytes
    ciphertext: bytes

    @classmethod
    def from_der(cls, data: bytes) -> "Captured":
        """Take an object apart."""
        outer = Reader(data).enter()
        outer.element()
        fields = outer.explicit(0)
        fields.element()
        recipient_infos = fields.element()
        encrypted = fields.enter()
        encrypted.element()
        algorithm = encrypted.enter()
        algorithm.element()
        parameters = algorithm.enter() if algorithm.peek() != OCTET_STRING else algorithm
        return cls(recipient_infos, parameters.contents(OCTET_STRING), encrypted.contents(CONTEXT))

    def forge(self, ciphertext: bytes, iv: bytes | None = None) -> bytes:
        """Return an EnvelopedData in CBC mode with the captured RecipientInfos and another ciphertext."""
        algorithm = sequence(AES128_CBC.identifier, octet_string(self.iv if iv is None else iv))
        return sequence(
            ID_ENVELOPED_DATA,
            tlv(
                CONSTRUCTED,
                sequence(
                    integer(0),
                    self.recipient_infos,
                    sequence(ID_DATA, algorithm, tlv(CONTEXT, ciphertext)),
                ),
            ),
        )

    def guesses(self, block: int) -> list[bytes]:
        """Return 256 forgeries, of which one has good padding: that which guesses the last octet of a block.

        Everything but the last two blocks is the captured ciphertext: what stands in front of the padding
        reads as it did, and 16 octets of the signature are garbage. If the end of the content falls where
        the guess is right, only the padding tells that forgery from the others.
        """
        assert len(self.iv) == BLOCK
        victim = self.ciphertext[block * BLOCK : (block + 1) * BLOCK]
        before = self.ciphertext[-2 * BLOCK : -BLOCK - 1]
        kept = self.ciphertext[: -2 * BLOCK]
        return [self.forge(kept + before + bytes((guess,)) + victim) for guess in range(256)]


def recover_block(
    captured: Captured, block: int, is_padding_good: Callable[[bytes], bool], *, octets: int = BLOCK
) -> bytes | None:
    """Recover the last octets of a plaintext block by asking about padding (Vaudenay 2002); None if that fails.

    `is_padding_good` is what the attacker believes to hear in the answer to a forgery.
    """
    start = block * BLOCK
    victim = captured.ciphertext[start : start + BLOCK]
    before = (captured.iv + captured.ciphertext)[start : start + BLOCK]
    intermediate = bytearray(BLOCK)
    for fill in range(1, octets + 1):
        at = BLOCK - fill
        probe = bytearray(b"\xa5" * BLOCK)
        for known in range(at + 1, BLOCK):
            probe[known] = intermediate[known] ^ fill
        heard = [guess for guess in range(256) if _ask(captured, probe, at, guess, victim, is_padding_good)]
        if (
            fill == 1 and len(heard) > 1
        ):  # 02 02 is good as well; it is not any more with another octet before
            probe[at - 1] ^= 0xFF
            heard = [guess for guess in heard if _ask(captured, probe, at, guess, victim, is_padding_good)]
        if len(heard) != 1:
            return None
        intermediate[at] = heard[0] ^ fill
    return bytes(a ^ b for a, b in zip(intermediate, before, strict=True))[-octets:]


def _ask(
    captured: Captured,
    probe: bytearray,
    at: int,
    guess: int,
    victim: bytes,
    is_padding_good: Callable[[bytes], bool],
) -> bool:
    probe[at] = guess
    return is_padding_good(captured.forge(victim, iv=bytes(probe)))


def raw_rsa(block: bytes, public_key: Any) -> bytes:
    """Encrypt a block as it is."""
    numbers = public_key.public_numbers()
    return pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(len(block), "big")


def pkcs1_blocks(size: int) -> Mapping[str, Callable[[], bytes]]:
    """Return what makes blocks of so many octets by what is wrong with them (RFC 8017 7.2.2); keys are random."""

    def block(key: int, *, start: bytes = b"\0\2", zero_at: int | None = None, end: bytes = b"\0") -> bytes:
        fill = bytearray(octet or 1 for octet in os.urandom(size - len(start) - len(end) - key))
        if zero_at is not None:
            fill[zero_at] = 0
        return start + bytes(fill) + end + bytes(octet or 1 for octet in os.urandom(key))

    return {
        "right, a random key": lambda: block(16),
        "version 1": lambda: block(16, start=b"\1\2"),
        "block type 1": lambda: block(16, start=b"\0\1"),
        "padding of 4 octets": lambda: block(16, zero_at=4),
        "no zero": lambda: block(16, end=b"\7"),
        "no key": lambda: block(0),
        "a key of 15 octets": lambda: block(15),
        "a key of 32 octets": lambda: block(32),
    }
