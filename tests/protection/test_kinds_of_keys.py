"""Romeo receives with each kind of key that a PKI issues; whatever it is, the rules are the same."""

from base64 import b64decode, encodebytes

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from slixmpp_e2e.certificates.identity import encryption_identity, identity
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.cms.algorithms import AES256_GCM, CIPHERS_BY_NAME
from slixmpp_e2e.errors import BAD_TIMESTAMP, DECRYPTION_FAILED
from slixmpp_e2e.options import Options
from slixmpp_e2e.policy import Level
from slixmpp_e2e.protection import Protection
from tests.accounts import account
from tests.certificates.building import end_entity, key_usage
from tests.elements import stanza
from tests.formats.objects import JULIET, ROMEO, outer
from tests.pki import Entity
from tests.protection.ways import protect, refusal, unprotect

ALGORITHMS = {"p-256": "ecdh-sha256kdf", "p-384": "ecdh-sha384kdf", "x25519": "x25519-hkdf-sha256"}
_KEYS = {
    "p-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "x25519": x25519.X25519PrivateKey.generate,
}


@pytest.fixture(params=ALGORITHMS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def entity(pki, kind) -> Entity:
    """What is encrypted to for romeo."""
    bits = ("key_agreement",) if kind == "x25519" else ("digital_signature", "key_agreement")
    return end_entity(key_usage(*bits), jid="romeo@example.net", issuer=pki.intermediate, key=_KEYS[kind]())


@pytest.fixture
def receiver(pki, kind, entity, clock) -> Protection:
    """Romeo; where his key can't sign, he has an Ed25519 key for that."""
    if kind != "x25519":
        return account(pki, entity, clock)
    signing = end_entity(
        jid="romeo@example.net", issuer=pki.intermediate, key=ed25519.Ed25519PrivateKey.generate()
    )
    store, chain = MemoryStore(started=0), [pki.intermediate.certificate]
    second = encryption_identity(entity.key, entity.certificate, chain)
    own = identity(signing.key, signing.certificate, chain, encryption=second)
    return Protection(own, Authority(store, paths=PathValidator([pki.root.certificate])), store, clock)


@pytest.fixture
def sender(pki, juliet, entity, clock) -> Protection:
    return account(pki, juliet, clock, peers=[entity])


@pytest.mark.parametrize("cipher", CIPHERS_BY_NAME)
def test_what_is_encrypted_to_it_is_read(pki, juliet, receiver, entity, kind, clock, cipher):
    by = account(pki, juliet, clock, peers=[entity], cipher=CIPHERS_BY_NAME[cipher])
    assert by.can_encrypt_to(ROMEO)
    report = unprotect(receiver, protect(by)).report
    assert report.authenticated
    assert report.decrypted_with == entity.parsed.fingerprint
    assert not report.legacy
    assert (report.encryption_algorithm, report.key_management_algorithm) == (cipher, ALGORITHMS[kind])


def test_whom_it_answers_learns_it_from_the_signature_and_uses_it(pki, juliet, receiver, sender, kind, clock):
    """Juliet knows nothing but the root; then romeo writes to her."""
    fresh = account(pki, juliet, clock)
    assert not fresh.can_encrypt_to(ROMEO)
    receiver.peers.add("juliet@example.com", juliet.parsed, [pki.intermediate.parsed])
    element = protect_back(receiver)
    assert unprotect(fresh, element, outer(sender=ROMEO, recipient=JULIET)).report.authenticated
    report = unprotect(receiver, protect(fresh)).report
    assert (report.encryption_algorithm, report.key_management_algorithm) == ("aes256-gcm", ALGORITHMS[kind])


def protect_back(by: Protection) -> str:
    element = stanza("<message type='chat' id='m2'><body>Neither, fair maid</body></message>")
    return by.protect(element, sender=ROMEO, recipient=JULIET, level=Level.REQUIRED).text


def test_our_own_copy_is_read_too(pki, receiver, juliet, entity, clock, kind):
    receiver.options = Options(encrypt_to_self=True)
    receiver.peers.add("juliet@example.com", juliet.parsed, [pki.intermediate.parsed])
    copy = unprotect(receiver, protect_back(receiver), outer(sender=ROMEO, recipient=JULIET))
    assert copy.report.key_management_algorithm == ALGORITHMS[kind]


def test_a_changed_object_is_refused_like_any_other(sender, receiver):
    head, _, body = protect(sender).partition("\n\n")
    data = bytearray(b64decode(body))
    refused = set()
    for at in range(40, len(data), 29):
        data[at] ^= 0x10
        changed = encodebytes(bytes(data)).decode()
        data[at] ^= 0x10
        error = refusal(receiver, f"{head}\n\n{changed}")
        refused.add(error.answer)
    assert refused <= {DECRYPTION_FAILED, BAD_TIMESTAMP}
    assert DECRYPTION_FAILED in refused


def test_an_encrypted_key_is_used_once_whatever_ephemeral_key_stands_beside_it(
    pki, juliet, receiver, entity, kind, clock
):
    """The same secret in other octets: what follows it would be decrypted with the same key a second time."""
    text = protect(account(pki, juliet, clock, peers=[entity], cipher=AES256_GCM))
    head, _, body = text.partition("\n\n")
    data = b64decode(body)
    assert unprotect(receiver, text).report.authenticated
    if kind == "x25519":
        at = data.index(bytes.fromhex("2b656e032100")) + 6 + 31
        changed = data[:at] + bytes((data[at] ^ 0x80,)) + data[at + 1 :]
    else:
        size = entity.key.key_size // 8
        at = data.index(b"\x00\x04", data.index(bytes.fromhex("2a8648ce3d0201"))) + 1
        point = ec.EllipticCurvePublicKey.from_encoded_point(
            entity.key.curve, data[at : at + 2 * size + 1]
        ).public_numbers()
        prime = {256: 2**256 - 2**224 + 2**192 + 2**96 - 1, 384: 2**384 - 2**128 - 2**96 + 2**32 - 1}
        negative = (prime[size * 8] - point.y).to_bytes(size, "big")
        changed = data[: at + 1 + size] + negative + data[at + 1 + 2 * size :]
    assert changed != data
    error = refusal(receiver, f"{head}\n\n{encodebytes(changed).decode()}")
    assert (error.reason, error.answer) == ("seen", BAD_TIMESTAMP)
