"""SMIMECapabilities and SMIMEEncryptionKeyPreference: what is announced, what is understood."""

import pytest
from asn1crypto import cms as asn1crypto_cms
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.cms.algorithms import (
    AES128_CBC,
    AES128_GCM,
    AES256_CBC,
    AES256_GCM,
    NULL_PARAMETERS,
)
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, CONTEXT, SET, Reader, octet_string, oid, sequence, tlv
from slixmpp_e2e.cms.capabilities import (
    ENCRYPTION_KEY_PREFERENCE,
    EVERYTHING,
    SMIME_CAPABILITIES,
    UNKNOWN,
    WITHOUT_OAEP,
    Capabilities,
    capabilities_attribute,
    common_cipher,
    preference_attribute,
    read_capabilities,
    read_preference,
)
from slixmpp_e2e.cms.recipients import RSA_OAEP_SHA256, RSA_PKCS1
from tests.pki import Entity, make_certificate

GCM = Capabilities(frozenset({AES256_GCM, AES128_GCM}))
CBC = Capabilities(frozenset({AES256_CBC, AES128_CBC}))


def values(attribute: bytes) -> dict[bytes, bytes]:
    fields = Reader(attribute).enter()
    return {fields.element(): fields.element(SET)}


def announcing(*rows: bytes) -> dict[bytes, bytes]:
    return {SMIME_CAPABILITIES: tlv(SET, sequence(*rows))}


@pytest.mark.requirement("3851-2.5-1", "3851-2.5-2")
def test_what_is_announced_is_what_is_understood():
    assert read_capabilities(values(capabilities_attribute())) == EVERYTHING
    assert EVERYTHING.ciphers == {AES256_GCM, AES128_GCM, AES256_CBC, AES128_CBC}
    assert EVERYTHING.transport is RSA_OAEP_SHA256


def test_without_oaep_it_is_the_same_without_oaep():
    assert read_capabilities(values(capabilities_attribute(WITHOUT_OAEP))) == WITHOUT_OAEP
    assert WITHOUT_OAEP.ciphers == EVERYTHING.ciphers
    assert WITHOUT_OAEP.transport is RSA_PKCS1


@pytest.mark.requirement("3851-2.5-2", "3851-2.5.2-1", "3565-5-1")
def test_others_read_it_too():
    attribute = asn1crypto_cms.CMSAttribute.load(capabilities_attribute(), strict=True)
    assert attribute["type"].dotted == "1.2.840.113549.1.9.15"
    rows_of = Reader(values(capabilities_attribute())[SMIME_CAPABILITIES]).enter(SET)
    rows = rows_of.enter().elements(limit=9)
    rows_of.finish()  # one value
    capabilities = [asn1crypto_cms.EncryptionAlgorithm.load(row) for row in rows]
    assert not any(each["parameters"].contents for each in capabilities[:4])  # RFC 3565 4.1: absent
    found = [each["algorithm"].dotted for each in capabilities]
    aes = "2.16.840.1.101.3.4.1"
    assert found == [f"{aes}.46", f"{aes}.6", f"{aes}.42", f"{aes}.2", "1.2.840.113549.1.1.7"]


@pytest.mark.parametrize(
    "row",
    [
        RSA_OAEP_SHA256.algorithm_identifier,
        bytes.fromhex(  # RFC 3560 5
            "303806092a864886f70d010107302b300d06096086480165030402010500301a06092a864886f70d010108300d0609608648"
            "0165030402010500"
        ),
    ],
)
def test_oaep_is_recognised_in_both_spellings(row):
    assert read_capabilities(announcing(row)) == Capabilities(oaep=True)


@pytest.mark.requirement("3851-2.5.2-2")
def test_what_is_not_known_is_left_out():
    rows = (
        sequence(oid("1.2.3.4")),
        sequence(AES128_GCM.identifier),
        sequence(AES256_CBC.identifier, NULL_PARAMETERS),
    )
    assert read_capabilities(announcing(*rows)).ciphers == {AES128_GCM, AES256_CBC}
    assert read_capabilities(announcing(sequence(oid("1.2.840.113549.1.1.7"), sequence()))) == UNKNOWN


@pytest.mark.requirement("3851-2.5.2-2", "3851-2.5-1")
@given(st.binary(max_size=60))
def test_what_cannot_be_read_announces_nothing(junk):
    found = read_capabilities({SMIME_CAPABILITIES: junk})
    assert found is None or not found.ciphers
    assert read_preference({ENCRYPTION_KEY_PREFERENCE: junk}) is None or junk[:1] == b"\x31"
    assert read_capabilities({}) is None
    assert read_preference({}) is None


@pytest.mark.requirement("3851-2.7.1-5")
@pytest.mark.parametrize(
    ("announced", "chosen"),
    [
        ([], AES128_CBC),
        ([UNKNOWN], AES128_CBC),
        ([GCM], AES256_GCM),
        ([GCM, CBC], AES128_CBC),
        ([GCM, UNKNOWN], AES128_CBC),
        ([CBC, EVERYTHING], AES256_CBC),
        ([GCM, Capabilities(frozenset({AES128_GCM}))], AES128_GCM),
    ],
)
def test_the_best_cipher_that_all_recipients_announced_is_chosen(announced, chosen):
    assert common_cipher(announced) is chosen


def test_pkcs1_is_what_everybody_reads():
    assert (UNKNOWN.transport, Capabilities(oaep=True).transport) == (RSA_PKCS1, RSA_OAEP_SHA256)


class TestPreference:
    @pytest.mark.requirement("3851-2.5-1", "3851-2.5.3-1")
    def test_it_names_the_certificate_by_key_identifier(self, juliet: Entity):
        found = read_preference(values(preference_attribute(juliet.parsed)))
        assert found == juliet.parsed.key_identifier
        assert juliet.parsed.answers_to(found)

    @pytest.mark.requirement("3851-2.5.3-1")
    def test_or_by_issuer_and_serial_number(self, juliet: Entity):
        certificate = make_certificate(
            juliet.key, "x", jid="juliet@example.com", subject_key_identifier=False
        )
        parsed = type(juliet.parsed).from_x509(certificate)
        assert read_preference(values(preference_attribute(parsed))) == parsed.issuer_and_serial

    def test_a_recipient_key_identifier_is_read(self, juliet: Entity):
        identifier = octet_string(juliet.parsed.key_identifier[2:])
        choice = tlv(CONSTRUCTED + 1, identifier, tlv(0x18, b"20261120120000Z"))
        assert read_preference({ENCRYPTION_KEY_PREFERENCE: tlv(SET, choice)}) == juliet.parsed.key_identifier

    @pytest.mark.parametrize("choice", [b"", tlv(CONTEXT + 1, b""), tlv(CONTEXT + 2, b"x") * 2, sequence()])
    def test_anything_else_is_no_preference(self, choice):
        assert read_preference({ENCRYPTION_KEY_PREFERENCE: tlv(SET, choice)}) is None
