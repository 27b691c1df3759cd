"""EnvelopedData and AuthEnvelopedData: for whom they open, and what is said when they do not."""

import os
from typing import Any

import pytest
from asn1crypto import cms as asn1crypto_cms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.cms.algorithms import (
    AES128_CBC,
    AES128_GCM,
    CIPHERS_BY_NAME,
    ID_AUTH_ENVELOPED_DATA,
    ID_DATA,
    ID_ENVELOPED_DATA,
    ID_SIGNED_DATA,
    ContentCipher,
)
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, Reader, integer, octet_string, oid, sequence, tlv
from slixmpp_e2e.cms.enveloped_data import content_type, encrypt, parse_enveloped_data
from slixmpp_e2e.cms.recipients import TRANSPORTS, DecryptionKeys, KeyTransportInfo, KeyTransportRecipient
from slixmpp_e2e.cms.signatures import RSA_ENCRYPTION
from slixmpp_e2e.errors import MalformedError, UndecryptableError
from tests.cms.der_trees import streamed
from tests.pki import PKI, Entity

CONTENT = b"Content-type: text/plain\r\n\r\nO Romeo, Romeo!\r\n"
_CIPHERS = pytest.mark.parametrize("cipher", CIPHERS_BY_NAME.values(), ids=CIPHERS_BY_NAME)


def _keys(*entities: Entity) -> DecryptionKeys:
    return DecryptionKeys((entity.key, entity.parsed) for entity in entities)


def _to(*entities: Entity, **options: Any) -> list[KeyTransportRecipient]:
    return [KeyTransportRecipient(entity.parsed, **options) for entity in entities]


def _fields(data: bytes) -> list[bytes]:
    """Return what stands inside the EnvelopedData or AuthEnvelopedData."""
    outer = Reader(data).enter()
    outer.element()
    return outer.explicit(0).elements(limit=10)


def _object(*fields: bytes, kind: bytes = ID_ENVELOPED_DATA) -> bytes:
    return sequence(kind, tlv(CONSTRUCTED, sequence(*fields)))


# --------------------------------------------------------------------------- there and back


@pytest.mark.requirement("3923-6.10-3", "3923-6.10-4", "3851-2.3-1", "3851-2.6-1", "3851-2.7-3", "3860-4-2")
@_CIPHERS
@pytest.mark.parametrize("key_identifier", [False, True], ids=["issuerAndSerial", "subjectKeyIdentifier"])
@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)
def test_what_is_encrypted_is_decrypted(
    romeo: Entity, cipher: ContentCipher, transport, key_identifier: bool
) -> None:
    to = _to(romeo, transport=transport, key_identifier=key_identifier)
    data = encrypt(CONTENT, to, cipher=cipher)
    parsed = parse_enveloped_data(data)
    decrypted = parsed.decrypt(_keys(romeo))
    assert parsed.size == len(data)
    assert content_type(data) == (ID_AUTH_ENVELOPED_DATA if cipher.authenticated else ID_ENVELOPED_DATA)
    assert decrypted.without_padding() == CONTENT
    assert decrypted.ends_at(len(CONTENT))
    assert decrypted.authenticated == cipher.authenticated
    assert decrypted.cipher is cipher
    assert decrypted.key_management == transport.name
    assert decrypted.certificate.der == romeo.der


@_CIPHERS
@pytest.mark.parametrize("count", [1, 2, 3, 64])
def test_each_recipient_can_decrypt(pki: PKI, cipher: ContentCipher, count: int) -> None:
    entities = [pki["juliet"], pki["romeo"], pki["rsa-3072"]]
    to = (_to(*entities) * 22)[:count]
    parsed = parse_enveloped_data(encrypt(CONTENT, to, cipher=cipher))
    assert len(parsed.recipient_infos) == count
    for entity in entities[:count]:
        decrypted = parsed.decrypt(_keys(entity))
        assert decrypted.without_padding() == CONTENT
        assert decrypted.certificate.der == entity.der


def test_another_content_type_or_something_behind_the_content_is_malformed(romeo: Entity) -> None:
    data = encrypt(CONTENT, _to(romeo))
    fields = Reader(data).enter()
    kind, content = fields.element(), fields.element()
    assert parse_enveloped_data(sequence(kind, content)).size == len(data)
    for other in (
        sequence(oid("1.2.840.113549.1.7.6"), content),
        sequence(kind, content, b"\x05\x00"),
        sequence(kind, content, content),
    ):
        with pytest.raises(MalformedError):
            parse_enveloped_data(other)


@given(content=st.binary(max_size=3000), name=st.sampled_from(["aes128-cbc", "aes256-gcm"]))
def test_content_is_any_octets(romeo: Entity, content: bytes, name: str) -> None:
    data = encrypt(content, _to(romeo), cipher=CIPHERS_BY_NAME[name])
    decrypted = parse_enveloped_data(data).decrypt(_keys(romeo))
    assert decrypted.without_padding() == content


@pytest.mark.requirement("3565-2-1")
@pytest.mark.requirement("reqs-4-4b")
def test_each_object_has_its_own_key_and_nonce(romeo: Entity) -> None:
    drawn: list[bytes] = []

    def random(size: int) -> bytes:
        drawn.append(os.urandom(size))
        return drawn[-1]

    for _ in range(2):
        encrypt(CONTENT, _to(romeo), cipher=AES128_GCM, random=random)
    assert [len(each) for each in drawn] == [16, 12, 16, 12]
    assert len(set(drawn)) == 4


def test_nobody_to_encrypt_to_is_an_error() -> None:
    with pytest.raises(ValueError, match="no recipients"):
        encrypt(CONTENT, [])


@pytest.mark.requirement("3923-2-15", "3851-2.4.1-3", "3923-6.10-4")
@_CIPHERS
@pytest.mark.parametrize("key_identifier", [False, True])
def test_asn1crypto_reads_the_same_structure(pki: PKI, cipher: ContentCipher, key_identifier: bool) -> None:
    to = _to(pki["juliet"], pki["rsa-3072"], key_identifier=key_identifier)
    data = encrypt(CONTENT, to, cipher=cipher)
    theirs = asn1crypto_cms.ContentInfo.load(data, strict=True)
    assert theirs.dump(force=True) == data
    fields, ours = theirs["content"], parse_enveloped_data(data)
    infos = {each.chosen["rid"].chosen.dump(): each.chosen for each in fields["recipient_infos"]}
    assert set(infos) == {info.identifier for info in ours.recipient_infos}
    for info in ours.recipient_infos:
        assert isinstance(info, KeyTransportInfo)
        assert infos[info.identifier]["encrypted_key"].native == info.encrypted_key
        assert infos[info.identifier]["version"].native == ("v2" if key_identifier else "v0")
    if cipher.authenticated:
        assert theirs["content_type"].native == "authenticated_enveloped_data"
        assert fields["version"].native == "v0"  # RFC 5083 2.1
        assert len(fields["mac"].native) == 16
        encrypted = fields["auth_encrypted_content_info"]
        assert len(encrypted["encrypted_content"].native) == len(CONTENT)
    else:
        assert theirs["content_type"].native == "enveloped_data"
        assert fields["version"].native == ("v2" if key_identifier else "v0")  # RFC 5652 6.1
        encrypted = fields["encrypted_content_info"]
        assert len(encrypted["encrypted_content"].native) == len(CONTENT) // 16 * 16 + 16
    assert encrypted["content_type"].native == "data"
    assert encrypted["content_encryption_algorithm"]["algorithm"].native == cipher.name.replace("-", "_")


# --------------------------------------------------------------------------- not for us, or not unchanged


@pytest.mark.requirement("3923-2-3")
@_CIPHERS
def test_what_is_for_others_is_not_for_us(juliet: Entity, romeo: Entity, cipher: ContentCipher) -> None:
    parsed = parse_enveloped_data(encrypt(CONTENT, _to(juliet), cipher=cipher))
    for keys in (_keys(romeo), _keys()):
        with pytest.raises(UndecryptableError) as caught:
            parsed.decrypt(keys)
        assert caught.value.reason == "not-for-us"


@_CIPHERS
def test_the_wrong_private_key_never_gives_the_content(
    juliet: Entity, romeo: Entity, pki: PKI, cipher: ContentCipher
) -> None:
    parsed = parse_enveloped_data(encrypt(CONTENT, _to(romeo), cipher=cipher))
    for key in (juliet.key, pki["rsa-3072"].key, pki["p-256"].key):
        keys = DecryptionKeys([(key, romeo.parsed)])
        if cipher.authenticated:
            with pytest.raises(UndecryptableError) as caught:
                parsed.decrypt(keys)
            assert caught.value.reason == "decryption-failed"
        else:
            assert CONTENT not in parsed.decrypt(keys).plaintext


@_CIPHERS
@pytest.mark.parametrize("length", [0, 15, 17, 40])
def test_an_encrypted_key_of_the_wrong_length_looks_like_a_wrong_key(
    romeo: Entity, cipher: ContentCipher, length: int
) -> None:
    class Careless(KeyTransportRecipient):
        def recipient_info(self, key: bytes) -> bytes:
            return super().recipient_info(os.urandom(length))

    parsed = parse_enveloped_data(encrypt(CONTENT, [Careless(romeo.parsed)], cipher=cipher))
    if cipher.authenticated:
        with pytest.raises(UndecryptableError):
            parsed.decrypt(_keys(romeo))
    else:
        drawn = bytes(range(cipher.key_size))
        decrypted = parsed.decrypt(_keys(romeo), random=lambda size: drawn[:size])
        assert decrypted.plaintext == parsed.decryptor(drawn, b"", b"")
        assert CONTENT not in decrypted.plaintext


@given(data=st.data())
def test_an_authenticated_object_is_opened_unchanged_or_not_at_all(
    romeo: Entity, data: st.DataObject
) -> None:
    encrypted = bytearray(encrypt(CONTENT, _to(romeo), cipher=AES128_GCM))
    encrypted[data.draw(st.integers(0, len(encrypted) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        decrypted = parse_enveloped_data(bytes(encrypted)).decrypt(_keys(romeo))
    except (MalformedError, UndecryptableError):
        return
    assert decrypted.plaintext == CONTENT


def test_the_authenticated_attributes_are_covered_by_the_tag(romeo: Entity) -> None:
    """RFC 5083 2.2: what is covered is the SET OF, the wire has [1] IMPLICIT."""
    attributes = sequence(oid("1.2.3"), tlv(0x31, integer(1)))
    key, nonce = os.urandom(16), os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, CONTENT, tlv(0x31, attributes))
    algorithm = sequence(AES128_GCM.identifier, sequence(octet_string(nonce), integer(16)))

    def built(covered: bytes) -> bytes:
        return _object(
            integer(0),
            tlv(0x31, _to(romeo)[0].recipient_info(key)),
            sequence(ID_DATA, algorithm, tlv(0x80, sealed[:-16])),
            covered,
            octet_string(sealed[-16:]),
            tlv(0xA2, sequence(oid("1.2.4"), tlv(0x31, integer(1)))),  # nobody protects these
            kind=ID_AUTH_ENVELOPED_DATA,
        )

    good = parse_enveloped_data(built(tlv(0xA1, attributes))).decrypt(_keys(romeo))
    assert good.plaintext == CONTENT
    for other in (b"", tlv(0xA1, b""), tlv(0xA1, attributes.replace(integer(1), integer(2)))):
        with pytest.raises(UndecryptableError):
            parse_enveloped_data(built(other)).decrypt(_keys(romeo))


# --------------------------------------------------------------------------- malformed


def test_an_authenticated_cipher_needs_an_auth_enveloped_data(romeo: Entity) -> None:
    version, infos, encrypted, _ = _fields(encrypt(CONTENT, _to(romeo), cipher=AES128_GCM))
    with pytest.raises(MalformedError, match="does not belong here"):
        parse_enveloped_data(_object(version, infos, encrypted))


def test_cbc_needs_an_enveloped_data(romeo: Entity) -> None:
    version, infos, encrypted = _fields(encrypt(CONTENT, _to(romeo), cipher=AES128_CBC))
    with pytest.raises(MalformedError, match="does not belong here"):
        parse_enveloped_data(
            _object(version, infos, encrypted, octet_string(bytes(16)), kind=ID_AUTH_ENVELOPED_DATA)
        )


@pytest.mark.parametrize(
    "encrypted",
    [
        pytest.param(
            sequence(
                ID_DATA, sequence(oid("1.2.840.113549.3.2"), octet_string(bytes(8))), tlv(0x80, bytes(8))
            ),
            id="RC2",
        ),
        pytest.param(
            sequence(
                ID_SIGNED_DATA, sequence(AES128_CBC.identifier, octet_string(bytes(16))), tlv(0x80, bytes(16))
            ),
            id="content that is not id-data",
        ),
        pytest.param(
            sequence(ID_DATA, sequence(AES128_CBC.identifier, octet_string(bytes(16)))), id="no content"
        ),
        pytest.param(
            sequence(ID_DATA, sequence(AES128_CBC.identifier, octet_string(bytes(16))), tlv(0x80, b"")),
            id="empty content",
        ),
        pytest.param(
            sequence(ID_DATA, sequence(AES128_CBC.identifier, octet_string(bytes(16))), tlv(0x80, bytes(20))),
            id="half a block",
        ),
        pytest.param(
            sequence(ID_DATA, sequence(RSA_ENCRYPTION), tlv(0x80, bytes(16))), id="no cipher at all"
        ),
    ],
)
def test_content_that_nobody_could_decrypt_is_malformed(romeo: Entity, encrypted: bytes) -> None:
    """Everybody can see this, so saying it gives nothing away."""
    info = _to(romeo)[0].recipient_info(bytes(16))
    with pytest.raises(MalformedError, match="not an EnvelopedData"):
        parse_enveloped_data(_object(integer(0), tlv(0x31, info), encrypted))


def test_64_recipients_are_read_and_65_are_not(romeo: Entity) -> None:
    version, infos, encrypted = _fields(encrypt(CONTENT, _to(romeo)))
    one = Reader(infos).enter(0x31).element()
    assert len(parse_enveloped_data(_object(version, tlv(0x31, one * 64), encrypted)).recipient_infos) == 64
    with pytest.raises(MalformedError, match="more than 64"):
        parse_enveloped_data(_object(version, tlv(0x31, one * 65), encrypted))


def test_an_originator_and_unprotected_attributes_are_let_through(juliet: Entity, romeo: Entity) -> None:
    version, infos, encrypted = _fields(encrypt(CONTENT, _to(romeo)))
    originator = tlv(0xA0, tlv(0xA0, juliet.der, tlv(0xA2, b"")))
    unprotected = tlv(0xA1, sequence(oid("1.2.3"), tlv(0x31, integer(1))))
    parsed = parse_enveloped_data(_object(version, originator, infos, encrypted, unprotected))
    assert parsed.certificates == (juliet.der,)
    assert parsed.decrypt(_keys(romeo)).without_padding() == CONTENT
    parsed = parse_enveloped_data(_object(version, tlv(0xA0, b""), infos, encrypted))
    assert parsed.certificates == ()
    with pytest.raises(MalformedError):
        parse_enveloped_data(_object(version, infos, encrypted, unprotected, integer(1)))


@given(data=st.data(), name=st.sampled_from(["aes128-cbc", "aes128-gcm"]))
def test_a_cut_off_object_is_malformed(romeo: Entity, data: st.DataObject, name: str) -> None:
    whole = encrypt(CONTENT, _to(romeo), cipher=CIPHERS_BY_NAME[name])
    with pytest.raises(MalformedError):
        parse_enveloped_data(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(data=st.binary(max_size=200))
def test_octets_are_malformed_and_nothing_else(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_enveloped_data(data)


@given(rest=st.binary(min_size=1, max_size=50))
def test_what_follows_an_object_is_left_to_the_caller(romeo: Entity, rest: bytes) -> None:
    data = encrypt(CONTENT, _to(romeo))
    assert parse_enveloped_data(data + rest).size == len(data)


@given(data=st.data(), name=st.sampled_from(["aes128-cbc", "aes128-gcm"]), rest=st.binary(max_size=9))
def test_a_streamed_object_is_read_as_its_der(
    romeo: Entity, data: st.DataObject, name: str, rest: bytes
) -> None:
    version, infos, encrypted, *tag = _fields(encrypt(CONTENT, _to(romeo), cipher=CIPHERS_BY_NAME[name]))
    if data.draw(st.booleans()):  # [0] IMPLICIT OCTET STRING in two pieces
        *first, content = Reader(encrypted).enter().elements(limit=3)
        whole = Reader(content).implicit_octets(0)
        encrypted = sequence(*first, tlv(0xA0, octet_string(whole[:5]), octet_string(whole[5:])))
    kind = ID_AUTH_ENVELOPED_DATA if tag else ID_ENVELOPED_DATA
    rewritten = data.draw(streamed(_object(version, infos, encrypted, *tag, kind=kind)))
    parsed = parse_enveloped_data(rewritten + rest)
    assert parsed.size == len(rewritten)
    assert parsed.decrypt(_keys(romeo)).without_padding() == CONTENT


# --------------------------------------------------------------------------- content types


@pytest.mark.parametrize("kind", [ID_SIGNED_DATA, ID_ENVELOPED_DATA, ID_AUTH_ENVELOPED_DATA, ID_DATA])
@pytest.mark.parametrize("length", [10, 200, 70_000])
def test_the_content_type_is_seen_in_der_and_ber(kind: bytes, length: int) -> None:
    inside = kind + tlv(CONSTRUCTED, octet_string(bytes(length)))
    assert content_type(sequence(inside)) == kind
    assert content_type(b"\x30\x80" + inside + b"\0\0") == kind
    assert content_type(b"\x30\x84" + len(inside).to_bytes(4, "big") + inside) == kind


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x00",
        b"\x30\x03\x02\x01\x00",
        b"\x31" + ID_DATA,
        b"\x30\xff\x06",
        b"Content-Type:",
    ],
    ids=lambda data: data[:5].hex(" ") or "nothing",
)
def test_anything_else_has_no_content_type(data: bytes) -> None:
    with pytest.raises(MalformedError, match="not a CMS object"):
        content_type(data)


@given(data=st.binary(max_size=64))
def test_octets_have_a_content_type_or_are_malformed(data: bytes) -> None:
    try:
        found = content_type(data)
    except MalformedError:
        return
    assert found[0] == 0x06
    assert found in data
