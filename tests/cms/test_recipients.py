"""Key transport: who can unwrap, and that nobody learns why somebody can't."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from asn1crypto import algos
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.cms.algorithms import NULL_PARAMETERS, SHA1, SHA256, SHA512
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, BERError, Reader, integer, octet_string, oid, sequence, tlv
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.recipients import (
    TRANSPORTS,
    DecryptionKeys,
    KeyTransportInfo,
    KeyTransportRecipient,
    read_recipient_infos,
)
from slixmpp_e2e.cms.signatures import MGF1, RSA_ENCRYPTION
from slixmpp_e2e.errors import CertificateError
from tests.pki import PKI, Entity, make_certificate

_OAEP = oid("1.2.840.113549.1.1.7")
_P_SPECIFIED = oid("1.2.840.113549.1.1.9")
_TRANSPORTS = pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)
KEY = bytes(range(16))
FALLBACK = b"\xff" * 16


def _info(algorithm: bytes, encrypted_key: bytes, *, identifier: bytes = sequence()) -> bytes:
    return sequence(integer(0), identifier, algorithm, octet_string(encrypted_key))


def _oaep(*fields: bytes) -> bytes:
    return sequence(_OAEP, sequence(*fields) if fields else sequence(b""))


# --------------------------------------------------------------------------- there and back


@pytest.mark.requirement("3923-6.10-3", "3851-2.3-1")
@_TRANSPORTS
@pytest.mark.parametrize("key_identifier", [False, True], ids=["issuerAndSerial", "subjectKeyIdentifier"])
@pytest.mark.parametrize("size", [16, 24, 32])
def test_what_is_wrapped_is_unwrapped(romeo: Entity, transport, key_identifier: bool, size: int) -> None:
    recipient = KeyTransportRecipient(romeo.parsed, transport=transport, key_identifier=key_identifier)
    key = os.urandom(size)
    (info,) = read_recipient_infos([recipient.recipient_info(key)])
    assert recipient.version == (2 if key_identifier else 0)  # RFC 5652 6.2.1
    assert info.name == transport.name
    assert info.identifier == (
        romeo.parsed.key_identifier if key_identifier else romeo.parsed.issuer_and_serial
    )
    assert info.unwrap(romeo.key, bytes(size)) == key


@_TRANSPORTS
def test_asn1crypto_reads_the_algorithm_as_it_is_meant(transport) -> None:
    parsed = algos.EncryptionAlgorithm.load(transport.algorithm_identifier, strict=True)
    if transport.name == "rsa-pkcs1":
        assert parsed["algorithm"].native == "rsaes_pkcs1v15"
        return
    digest = transport.name.rpartition("-")[2]
    assert parsed["algorithm"].native == "rsaes_oaep"
    assert parsed["parameters"]["hash_algorithm"]["algorithm"].native == digest
    assert parsed["parameters"]["mask_gen_algorithm"]["parameters"]["algorithm"].native == digest
    assert parsed["parameters"]["p_source_algorithm"]["parameters"].native == b""


@pytest.mark.requirement("3370-4.2.1-1")
def test_pkcs1_is_written_with_a_null() -> None:
    assert TRANSPORTS["rsa-pkcs1"].algorithm_identifier.hex() == "300d06092a864886f70d0101010500"


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        pytest.param(sequence(RSA_ENCRYPTION), "rsa-pkcs1", id="PKCS1 without NULL"),
        pytest.param(sequence(_OAEP), "rsa-oaep-sha1", id="OAEP without parameters"),
        pytest.param(_oaep(), "rsa-oaep-sha1", id="OAEP with the defaults"),
        pytest.param(
            _oaep(
                tlv(CONSTRUCTED, sequence(SHA256.identifier, NULL_PARAMETERS)),
                tlv(CONSTRUCTED + 1, sequence(MGF1, sequence(SHA256.identifier, NULL_PARAMETERS))),
                tlv(CONSTRUCTED + 2, sequence(_P_SPECIFIED, octet_string(b""))),
            ),
            "rsa-oaep-sha256",
            id="OAEP with all fields",
        ),
    ],
)
def test_other_spellings_are_read(algorithm: bytes, name: str) -> None:
    (info,) = read_recipient_infos([_info(algorithm, bytes(256))])
    assert info.name == name


def test_oaep_may_mask_with_another_digest(romeo: Entity) -> None:
    """What Java does: SHA-256, masked with SHA-1."""
    how = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA256(), None)
    wrapped = romeo.key.public_key().encrypt(KEY, how)
    (info,) = read_recipient_infos([_info(_oaep(tlv(CONSTRUCTED, SHA256.algorithm_identifier)), wrapped)])
    assert info.unwrap(romeo.key, FALLBACK) == KEY


@pytest.mark.parametrize(
    "element",
    [
        pytest.param(tlv(0xA1, integer(3)), id="KeyAgreeRecipientInfo"),
        pytest.param(tlv(0xA2, integer(4)), id="KEKRecipientInfo"),
        pytest.param(tlv(0xA4, oid("1.2.3")), id="OtherRecipientInfo"),
        pytest.param(_info(sequence(oid("1.2.3")), bytes(256)), id="an unknown algorithm"),
        pytest.param(_info(sequence(RSA_ENCRYPTION, integer(1)), bytes(256)), id="a strange parameter"),
        pytest.param(_info(sequence(_OAEP, NULL_PARAMETERS), bytes(256)), id="OAEP with NULL"),
        pytest.param(_info(_oaep(tlv(CONSTRUCTED + 3, b"")), bytes(256)), id="an unknown OAEP field"),
        pytest.param(
            _info(_oaep(tlv(CONSTRUCTED + 2, sequence(_P_SPECIFIED, octet_string(b"label")))), bytes(256)),
            id="an OAEP label",
        ),
        pytest.param(
            _info(_oaep(tlv(CONSTRUCTED + 1, sequence(oid("1.2.3"), SHA1.algorithm_identifier))), bytes(256)),
            id="another mask generation function",
        ),
        pytest.param(sequence(), id="nothing inside"),
        pytest.param(sequence(integer(0), sequence()), id="cut off"),
        pytest.param(
            sequence(
                integer(0),
                sequence(),
                sequence(RSA_ENCRYPTION, NULL_PARAMETERS),
                octet_string(b""),
                integer(1),
            ),
            id="something behind",
        ),
    ],
)
def test_what_we_do_not_understand_is_for_somebody_else(romeo: Entity, element: bytes) -> None:
    ours = KeyTransportRecipient(romeo.parsed).recipient_info(KEY)
    infos = read_recipient_infos([element, ours])
    assert [info.identifier for info in infos] == [romeo.parsed.issuer_and_serial]


# --------------------------------------------------------------------------- unwrapping what is wrong


def _wrapped(entity: Entity, transport, key: bytes) -> KeyTransportInfo:
    info = KeyTransportRecipient(entity.parsed, transport=transport).recipient_info(key)
    (found,) = read_recipient_infos([info])
    assert isinstance(found, KeyTransportInfo)
    return found


@_TRANSPORTS
def test_a_key_of_another_length_becomes_the_fallback(romeo: Entity, transport) -> None:
    for length in (0, 1, 15, 17, 24, 32):
        assert _wrapped(romeo, transport, bytes(length)).unwrap(romeo.key, FALLBACK) is FALLBACK


@_TRANSPORTS
def test_another_private_key_never_finds_the_key(pki: PKI, romeo: Entity, transport) -> None:
    info = _wrapped(romeo, transport, KEY)
    for name in ("juliet", "rsa-3072", "p-256", "p-384", "ed25519"):
        assert info.unwrap(pki[name].key, FALLBACK) != KEY


@_TRANSPORTS
@pytest.mark.parametrize("length", [0, 1, 128, 255, 257, 384, 10_000])
def test_an_encrypted_key_of_a_wrong_length_becomes_the_fallback(romeo, transport, length: int) -> None:
    info = KeyTransportInfo(sequence(), transport, b"\x01" * length)
    assert info.unwrap(romeo.key, FALLBACK) is FALLBACK


@_TRANSPORTS
def test_a_number_above_the_modulus_becomes_the_fallback(romeo: Entity, transport) -> None:
    assert KeyTransportInfo(sequence(), transport, b"\xff" * 256).unwrap(romeo.key, FALLBACK) is FALLBACK


@_TRANSPORTS
def test_what_was_read_can_be_looked_up(romeo: Entity, transport) -> None:
    """Who has to wait for a slow key finds its answer by this."""
    info = _wrapped(romeo, transport, KEY)
    known = {info: KEY}
    assert known[info._replace(encrypted_key=bytes(info.encrypted_key))] == KEY
    for other in TRANSPORTS.values():
        assert (info._replace(transport=other) in known) is (other is transport)


@pytest.mark.parametrize("error", [RuntimeError, KeyError, OSError, ZeroDivisionError])
@_TRANSPORTS
def test_whatever_a_key_elsewhere_raises_or_returns_becomes_the_fallback(romeo, transport, error) -> None:
    def fail(*_: object) -> bytes:
        raise error("the token was pulled out")

    info = _wrapped(romeo, transport, KEY)
    assert info.unwrap(SimpleNamespace(decrypt=fail), FALLBACK) is FALLBACK
    assert info.unwrap(SimpleNamespace(decrypt=lambda *_: None), FALLBACK) is FALLBACK
    assert info.unwrap(SimpleNamespace(decrypt=romeo.key.decrypt), FALLBACK) == KEY


@pytest.mark.requirement("3851-5-3")
@_TRANSPORTS
@given(data=st.data())
def test_a_changed_encrypted_key_gives_some_key_and_never_raises(romeo, transport, data) -> None:
    info = _wrapped(romeo, transport, KEY)
    changed = bytearray(info.encrypted_key)
    changed[data.draw(st.integers(0, 255))] ^= data.draw(st.integers(1, 255))
    found = KeyTransportInfo(sequence(), transport, bytes(changed)).unwrap(romeo.key, FALLBACK)
    assert len(found) == 16
    assert found != KEY


@pytest.mark.requirement("3851-5-3")
def test_bad_pkcs1_padding_gives_the_same_answer_each_time(romeo: Entity) -> None:
    """Implicit rejection: an attacker who asks twice learns nothing from a difference."""
    info = KeyTransportInfo(sequence(), TRANSPORTS["rsa-pkcs1"], b"\x02" * 256)
    answers = {info.unwrap(romeo.key, FALLBACK) for _ in range(20)}
    assert len(answers) == 1


# --------------------------------------------------------------------------- recipients and our keys


@pytest.mark.parametrize("name", ["p-256", "ed25519"])
def test_only_rsa_keys_can_receive(pki: PKI, name: str) -> None:
    with pytest.raises(CertificateError, match="not an RSA key"):
        KeyTransportRecipient(pki[name].parsed)


def test_a_weak_key_can_not_receive() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    certificate = make_certificate(key, "weak", jid="romeo@example.net")
    with pytest.raises(CertificateError, match="1024 bits"):
        KeyTransportRecipient(ParsedCertificate.from_x509(certificate))


def test_a_recipient_named_by_key_identifier_needs_one(romeo: Entity) -> None:
    bare = make_certificate(romeo.key, "Romeo", jid="romeo@example.net", subject_key_identifier=False)
    with pytest.raises(CertificateError, match="subjectKeyIdentifier"):
        KeyTransportRecipient(ParsedCertificate.from_x509(bare), key_identifier=True)


def test_our_keys_are_found_by_both_identifiers(juliet: Entity, romeo: Entity) -> None:
    keys = DecryptionKeys([(romeo.key, romeo.parsed)])
    for key_identifier in (False, True):
        info = KeyTransportRecipient(romeo.parsed, key_identifier=key_identifier).recipient_info(KEY)
        found = keys.find(read_recipient_infos([info]))
        assert found is not None
        assert found[0] is romeo.key
    info = KeyTransportRecipient(juliet.parsed).recipient_info(KEY)
    assert keys.find(read_recipient_infos([info])) is None


def test_one_in_ber_is_not_passed_over_so_that_it_is_read_again_in_der(romeo: Entity) -> None:
    info = KeyTransportRecipient(romeo.parsed).recipient_info(KEY)
    fields = Reader(info).enter().elements(limit=4)
    assert fields[3].startswith(b"\x04\x82\x01\x00")
    with pytest.raises(BERError):
        read_recipient_infos([sequence(*fields[:3], b"\x04\x83\x00\x01\x00" + fields[3][4:])])


def test_a_key_transport_of_a_later_version_is_for_somebody_else(romeo: Entity) -> None:
    info = KeyTransportRecipient(romeo.parsed).recipient_info(KEY)
    for version, found in ((2, 1), (3, 0)):
        other = info.replace(b"\x02\x01\x00", b"\x02\x01" + bytes((version,)), 1)
        assert len(read_recipient_infos([other])) == found


def test_a_key_whose_certificate_has_no_key_identifier_is_found_by_the_other(romeo: Entity) -> None:
    bare = make_certificate(romeo.key, "Romeo", jid="romeo@example.net", subject_key_identifier=False)
    parsed = ParsedCertificate.from_x509(bare)
    keys = DecryptionKeys([(romeo.key, parsed)])
    found = keys.find(read_recipient_infos([KeyTransportRecipient(parsed).recipient_info(KEY)]))
    assert found is not None
    assert found[1] is parsed
    assert keys.find(read_recipient_infos([_info(sequence(RSA_ENCRYPTION), b"")])) is None


def test_only_the_first_recipient_info_for_us_is_taken(juliet: Entity, romeo: Entity) -> None:
    """Trying the next one would tell which was good (CVE-2019-1563)."""
    keys = DecryptionKeys([(juliet.key, juliet.parsed), (romeo.key, romeo.parsed)])
    pkcs1, oaep = TRANSPORTS["rsa-pkcs1"], TRANSPORTS["rsa-oaep-sha512"]
    first = KeyTransportInfo(romeo.parsed.issuer_and_serial, pkcs1, bytes(256))
    second = _wrapped(romeo, oaep, KEY)
    found = keys.find([first, second])
    assert found is not None
    assert found[2] is first
    assert SHA512.name in second.name


def test_each_of_our_keys_comes_once_and_those_of_the_newest_certificates_first(pki: PKI) -> None:
    found = [
        replace(
            pki[name].parsed,
            certificate=SimpleNamespace(not_valid_before_utc=datetime(year, 1, 1, tzinfo=UTC)),
        )
        for name, year in (("juliet", 2021), ("romeo", 2023), ("rsa-3072", 2022))
    ]
    keys = DecryptionKeys((each.fingerprint, each) for each in found)
    keys.add(found[0].fingerprint, found[0])
    newest = [found[1], found[2], found[0]]
    assert list(keys) == [(each.fingerprint, each) for each in newest]
