"""Receivers that make a mistake: the victim with one function replaced, as somebody might have written it.

On each of them an attack of `attacks` must recover what it is after; otherwise that it recovers nothing from the
real one would prove nothing.
"""

import email
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final
from unittest.mock import patch

from slixmpp_e2e.cms.enveloped_data import Decrypted
from slixmpp_e2e.cms.recipients import KeyTransportInfo
from slixmpp_e2e.cms.signed_data import SignedData
from slixmpp_e2e.errors import (
    DECRYPTION_FAILED,
    UNVERIFIED_SIGNATURE,
    RemoteError,
    SignatureError,
    StanzaErrorAnswer,
    UndecryptableError,
)
from slixmpp_e2e.formats import objenc, rfc3923
from slixmpp_e2e.formats.objenc_envelope import Envelope

Weakness = Callable[[], AbstractContextManager[None]]


class _ToldError(UndecryptableError):
    """A failure that the network hears of in words of its own."""

    def __init__(self, answer: StanzaErrorAnswer) -> None:
        super().__init__()
        self.answer = answer

    def conceal(self) -> None:
        """Don't."""


@contextmanager
def padding_is_told() -> Iterator[None]:
    """RFC 3923 7 taken literally: case 5 for what can't be decrypted, case 4 for a bad signature."""
    decrypt = rfc3923.Opener._decrypt

    def literal(self: rfc3923.Opener, envelope: Any) -> rfc3923.Opened:
        if not envelope.cipher.authenticated and envelope.decrypt(self.keys).without_padding() is None:
            raise UndecryptableError
        try:
            return decrypt(self, envelope)
        except RemoteError:
            raise _ToldError(UNVERIFIED_SIGNATURE) from None

    with patch.object(rfc3923.Opener, "_decrypt", literal):
        yield


@contextmanager
def first_octet_is_told() -> Iterator[None]:
    """A decoder of PKCS #1 blocks that says when a number is too large (Manger 2001)."""
    unwrap = KeyTransportInfo.unwrap
    known: dict[Any, Any] = {}  # taking a key apart takes its time

    def frank(self: KeyTransportInfo, key: Any, fallback: bytes) -> bytes:
        numbers = known.get(key) or known.setdefault(key, key.private_numbers())
        block, modulus = int.from_bytes(self.encrypted_key, "big"), numbers.public_numbers.n
        found = [
            pow(block % prime, power, prime)
            for prime, power in ((numbers.p, numbers.dmp1), (numbers.q, numbers.dmq1))
        ]
        plain = found[1] + (found[0] - found[1]) * numbers.iqmp % numbers.p * numbers.q
        if plain >> (modulus.bit_length() - 1) // 8 * 8:
            raise _ToldError(UNVERIFIED_SIGNATURE)
        return unwrap(self, key, fallback)

    with patch.object(KeyTransportInfo, "unwrap", frank):
        yield


@contextmanager
def a_broken_object_is_told() -> Iterator[None]:
    """What looks like a SignedData and is none has an answer of its own."""
    open_inside = rfc3923.Opener._open_inside

    def frank(self: rfc3923.Opener, plaintext: bytes) -> tuple[rfc3923.Opened, int]:
        try:
            return open_inside(self, plaintext)
        except SignatureError as error:
            if error.reason == "malformed":
                raise _ToldError(UNVERIFIED_SIGNATURE) from None
            raise

    with patch.object(rfc3923.Opener, "_open_inside", frank):
        yield


@contextmanager
def text_is_read_out() -> Iterator[None]:
    """A program that shows what it can't verify, and quotes it in its answer (EFAIL, 2018)."""

    def quote(self: rfc3923.Opener, envelope: Any) -> rfc3923.Opened:
        plaintext = envelope.decrypt(self.keys).plaintext
        text = email.message_from_bytes(plaintext).get_payload()
        digits = "".join(each for each in str(text) if each.isalnum() and each.isascii())
        raise _ToldError(StanzaErrorAnswer("not-acceptable", f"q{digits}"))

    with patch.object(rfc3923.Opener, "_decrypt", quote):
        yield


@contextmanager
def padding_alone_counts() -> Iterator[None]:
    """Good padding is enough, whatever stands between it and the signed object."""

    def lax(self: Decrypted, _end: int) -> bool:
        fill = self.plaintext[-1]
        return 1 <= fill <= 16 and self.plaintext.endswith(bytes((fill,)) * fill)

    with patch.object(Decrypted, "ends_at", lax):
        yield


@contextmanager
def certificates_are_not_compared() -> Iterator[None]:
    """No signature is over the certificates that come along (RFC 5652), and nobody compares them with a list."""

    def ignore(_self: SignedData, _signer: Any) -> None:
        pass

    with patch.object(SignedData, "check_listed", ignore):
        yield


@contextmanager
def mac_is_not_checked() -> Iterator[None]:
    """The MAC of draft-miller-3923bis-02 is not looked at, and padding is told."""
    decrypt = objenc.Opener._decrypt

    def frank(self: objenc.Opener, envelope: Envelope, key: bytes) -> bytes:
        plaintext = decrypt(self, envelope, key)
        fill = plaintext[-1]
        if not (1 <= fill <= 16 and plaintext.endswith(bytes((fill,)) * fill)):
            raise _ToldError(DECRYPTION_FAILED)
        raise _ToldError(UNVERIFIED_SIGNATURE)

    with (
        patch.object(Envelope, "is_authentic", lambda _self, _key: True),
        patch.object(objenc.Opener, "_decrypt", frank),
    ):
        yield


#: The victim as she is.
NOBODY: Final[Weakness] = nullcontext
