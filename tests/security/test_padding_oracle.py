"""Invariant 15: nobody learns from a failure what happened behind the private key.

The victim's key is used for whatever an attacker sends with a captured RecipientInfo in it. Here it is: what
he hears is the same each time. The same attack against a receiver that says when padding is wrong, as RFC 3923
7 reads if it is taken literally, recovers plaintext; so the attack is a real one.
"""

import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES128_GCM
from slixmpp_e2e.cms.asn1 import Reader, sequence, tlv
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.enveloped_data import encrypt, parse_enveloped_data
from slixmpp_e2e.cms.key_agreement import KeyAgreementInfo
from slixmpp_e2e.cms.recipients import DecryptionKeys, KeyTransportRecipient, recipient_for
from slixmpp_e2e.cms.signed_data import parse_signed_data
from slixmpp_e2e.errors import RemoteError, StanzaErrorAnswer
from tests.cms import agreements
from tests.cms.composition import protect, unprotect_with_one_error
from tests.pki import PKI, Entity
from tests.security.forgery import BLOCK, Captured, recover_block

SECRET = b"Content-type: text/plain\r\n\r\nPIN 4711 is secret!!\r\n"

#: What the network hears: nothing, or a stanza error and the class and text of what is behind it.
Outcome = tuple[str, str, str, StanzaErrorAnswer] | None
Receive = Callable[[bytes], Outcome]


@pytest.fixture(scope="module", params=["romeo", "p-256", "p-384", "x25519"])
def romeo(request: pytest.FixtureRequest, pki: PKI) -> Entity:
    """Who is attacked, with each kind of key."""
    return pki[request.param]


@pytest.fixture(scope="module")
def keys(romeo: Entity) -> DecryptionKeys:
    return DecryptionKeys([(romeo.key, romeo.parsed)])


@pytest.fixture(scope="module")
def receive(keys: DecryptionKeys) -> Receive:
    """Romeo as he is meant to be."""
    pool = CertificatePool()

    def outcome(data: bytes) -> Outcome:
        try:
            unprotect_with_one_error(data, keys, pool)
        except RemoteError as error:
            return type(error).__name__, error.reason, str(error), error.answer
        return None

    return outcome


@pytest.fixture(scope="module")
def receive_literally(keys: DecryptionKeys) -> Callable[[bytes], str]:
    """RFC 3923 7 taken literally: case 5 for what can't be decrypted, case 4 for a bad signature."""

    def outcome(data: bytes) -> str:
        plaintext = parse_enveloped_data(data).decrypt(keys).without_padding()
        if plaintext is None:
            return "decryption-failed"
        try:
            parse_signed_data(plaintext).verify(CertificatePool())
        except RemoteError:
            return "unverified-signature"
        return "delivered"

    return outcome


@pytest.fixture(scope="module")
def captured(juliet: Entity, romeo: Entity) -> bytes:
    return protect(SECRET, juliet, romeo, cipher=AES128_CBC)


@pytest.fixture(scope="module")
def secret_block(captured: bytes, keys: DecryptionKeys) -> tuple[int, bytes]:
    """Which block of the plaintext the PIN stands in, and what it says."""
    plaintext = parse_enveloped_data(captured).decrypt(keys).plaintext
    block = plaintext.index(b"4711") // BLOCK
    return block, plaintext[block * BLOCK : (block + 1) * BLOCK]


FAILED = ("UndecryptableError", "decryption-failed", "decryption-failed")


def _failures(outcomes: set[Outcome]) -> set[tuple[str, ...]]:
    assert None not in outcomes, "a forgery was accepted"
    return {
        (*outcome[:3], outcome[3].condition, outcome[3].application or "") for outcome in outcomes if outcome
    }


def test_what_was_captured_is_accepted(receive: Receive, captured: bytes) -> None:
    assert receive(captured) is None


def test_a_receiver_that_tells_bad_padding_gives_plaintext_away(
    receive_literally, captured: bytes, secret_block: tuple[int, bytes]
) -> None:
    block, plaintext = secret_block
    found = recover_block(
        Captured.from_der(captured),
        block,
        lambda data: receive_literally(data) != "decryption-failed",
        octets=4,
    )
    assert found == plaintext[-4:]


def test_the_same_attack_recovers_nothing_here(
    receive: Receive, captured: bytes, secret_block: tuple[int, bytes]
) -> None:
    heard: list[Outcome] = []

    def is_padding_good(data: bytes) -> bool:
        heard.append(receive(data))
        return heard[-1] != heard[0]

    block, _ = secret_block
    assert recover_block(Captured.from_der(captured), block, is_padding_good) is None
    assert len(heard) == 256
    assert _failures(set(heard)) == {(*FAILED, "bad-request", "decryption-failed")}


def test_a_forgery_that_keeps_the_captured_beginning_is_answered_like_any_other(
    receive: Receive, juliet: Entity, romeo: Entity, keys: DecryptionKeys
) -> None:
    """One of the 256 has good padding where the object ends; a receiver that looks at padding first sees it."""
    content = next(
        content
        for content in (b"a" * size for size in range(200, 216))
        if _size_of_signed(protect(content, juliet, romeo), keys) % BLOCK == BLOCK - 1
    )
    object_ = Captured.from_der(protect(content, juliet, romeo))
    guesses = object_.guesses(10)
    good = [
        data for data in guesses if parse_enveloped_data(data).decrypt(keys).without_padding() is not None
    ]
    assert len(good) in {1, 2}
    assert _failures({receive(data) for data in guesses}) == {(*FAILED, "bad-request", "decryption-failed")}


def _size_of_signed(data: bytes, keys: DecryptionKeys) -> int:
    return parse_signed_data(parse_enveloped_data(data).decrypt(keys).plaintext).size


@pytest.mark.requirement("3851-5-3")
def test_every_failure_behind_the_private_key_is_answered_alike(
    receive: Receive, captured: bytes, juliet: Entity, romeo: Entity, keys: DecryptionKeys
) -> None:
    parts = Captured.from_der(captured)
    to = [recipient_for(romeo.parsed)]
    signed = parse_enveloped_data(captured).decrypt(keys).without_padding()
    assert signed is not None
    forgeries = {
        "garbage": parts.forge(os.urandom(len(parts.ciphertext))),
        "another IV": parts.forge(parts.ciphertext, iv=os.urandom(16)),
        "the last block missing": parts.forge(parts.ciphertext[:-16]),
        "the last block twice": parts.forge(parts.ciphertext + parts.ciphertext[-16:]),
        **_with_other_keys(captured, romeo),
        "no signature, good padding": encrypt(SECRET, to),
        "a bad signature": encrypt(signed[:-1] + bytes((signed[-1] ^ 1,)), to),
        "other content": encrypt(signed.replace(b"4711", b"4712"), to),
        "something behind the object": encrypt(signed + b"x", to),
        "another object behind it": encrypt(signed + signed, to),
        "no content at all": encrypt(b"", to),
        "an envelope in the envelope": encrypt(captured, to),
        "nobody's signature": encrypt(_without_signers(signed), to),
        "a key of another length": encrypt(SECRET, [_Careless(romeo)]),
        "a bad tag": _flip_last(protect(SECRET, juliet, romeo, cipher=AES128_GCM)),
    }
    outcomes = {name: receive(data) for name, data in forgeries.items()}
    assert _failures(set(outcomes.values())) == {(*FAILED, "bad-request", "decryption-failed")}, outcomes


def _without_signers(signed: bytes) -> bytes:
    outer = Reader(signed).enter()
    kind = outer.element()
    *fields, _ = outer.explicit(0).elements(limit=5)
    return sequence(kind, tlv(0xA0, sequence(*fields, tlv(0x31, b""))))


class _Careless:
    """Hands over a key that is not as long as the cipher's."""

    version = 2

    def __init__(self, recipient: Entity) -> None:
        self._recipient = recipient

    def recipient_info(self, key: bytes) -> bytes:
        if isinstance(self._recipient.key, rsa.RSAPrivateKey):
            return KeyTransportRecipient(self._recipient.parsed).recipient_info(key[:8])
        return agreements.make(self._recipient, key + key[:8], size=16).encode()


def _with_other_keys(captured: bytes, recipient: Entity) -> dict[str, bytes]:
    """Return the object with everything in the place of its encrypted and ephemeral keys that one could try."""
    info = parse_enveloped_data(captured).recipient_infos[0]

    def with_key(value: bytes) -> bytes:
        assert len(value) == len(info.encrypted_key)
        return captured.replace(info.encrypted_key, value)

    size = len(info.encrypted_key)
    found = {
        "a key of zero": with_key(bytes(size)),
        "an encrypted key of ones": with_key(b"\xff" * size),  # RSA: a number above the modulus
        "bad PKCS #1 padding, or no wrapped key": with_key(b"\x02" * size),
    }
    if not isinstance(info, KeyAgreementInfo):
        return found
    ephemeral = info.agreement.ephemeral
    other = agreements.agree(recipient.key.public_key())[0]
    points = {
        "another ephemeral key": other,
        "an ephemeral key of zero": bytes(len(other)),
        "an ephemeral key of ones": b"\xff" * len(other),
        "a point that is not on the curve": ephemeral[:-1] + bytes((ephemeral[-1] ^ 1,)),
        "the point at infinity, and zeros": ephemeral[:1] + bytes(len(other) - 1),
        "a compressed point, and too much": b"\x02" + ephemeral[1:],
        "a hybrid point": b"\x06" + ephemeral[1:],
    }
    # a key of X25519 has no form in its first octet: it may well be 2 or 6
    return found | {
        name: captured.replace(ephemeral, point) for name, point in points.items() if point != ephemeral
    }


def _flip_last(data: bytes) -> bytes:
    return data[:-1] + bytes((data[-1] ^ 1,))


def test_an_authenticated_object_rewritten_for_cbc_is_no_oracle_either(
    receive: Receive, receive_literally, juliet: Entity, romeo: Entity
) -> None:
    """The key of an AuthEnvelopedData also opens an EnvelopedData (what RFC 9709 is about)."""
    parts = Captured.from_der(protect(SECRET, juliet, romeo, cipher=AES128_GCM))
    forgeries = [parts.forge(bytes(16), iv=bytes(15) + bytes((guess,))) for guess in range(256)]
    assert {receive_literally(data) for data in forgeries} == {"decryption-failed", "unverified-signature"}
    assert _failures({receive(data) for data in forgeries}) == {(*FAILED, "bad-request", "decryption-failed")}
