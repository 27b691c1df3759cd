"""Triple-DES is read where a policy allows it, and never written (RFC 3851 2.7)."""

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from slixmpp_e2e.cms.algorithms import CIPHERS_BY_NAME, DES_EDE3_CBC, ID_DATA, ID_ENVELOPED_DATA
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, CONTEXT, integer, octet_string, sequence, set_of, tlv
from slixmpp_e2e.cms.enveloped_data import encrypt, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys, KeyTransportRecipient
from slixmpp_e2e.errors import MalformedError
from tests.pki import Entity

CONTENT = b"O Romeo, Romeo!"


def enveloped(to: Entity, content: bytes = CONTENT, *, iv: bytes = bytes(8), cut: int = 0) -> bytes:
    key = bytes(range(24))
    fill = 8 - len(content) % 8
    encryptor = Cipher(TripleDES(key), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(content + bytes((fill,)) * fill)
    algorithm = sequence(DES_EDE3_CBC.identifier, octet_string(iv))
    encrypted = sequence(ID_DATA, algorithm, tlv(CONTEXT, ciphertext[: len(ciphertext) - cut]))
    infos = set_of([KeyTransportRecipient(to.parsed).recipient_info(key)])
    return sequence(ID_ENVELOPED_DATA, tlv(CONSTRUCTED, sequence(integer(0), infos, encrypted)))


def decrypt(data: bytes, by: Entity):
    return parse_enveloped_data(data).decrypt(DecryptionKeys([(by.key, by.parsed)]))


@pytest.mark.requirement("3851-2.7-1")
def test_it_is_read_and_marked_as_weak(romeo: Entity):
    found = decrypt(enveloped(romeo), romeo)
    assert found.without_padding() == CONTENT
    assert (found.cipher.name, found.cipher.weak, found.authenticated) == ("des-ede3-cbc", True, False)


def test_its_padding_is_one_block_at_most(romeo: Entity):
    longer = CONTENT[:8] + bytes((16,)) * 15  # with the 1 behind it: no padding of sixteen
    assert decrypt(enveloped(romeo, longer), romeo).without_padding() == longer
    assert not decrypt(enveloped(romeo, bytes((16,)) * 16), romeo).ends_at(0)


@pytest.mark.parametrize("options", [{"cut": 1}, {"cut": 16}])
def test_a_ciphertext_of_another_length_is_malformed(romeo: Entity, options):
    with pytest.raises(MalformedError):
        parse_enveloped_data(enveloped(romeo, **options))


@pytest.mark.requirement("3851-2.7-1")
def test_it_is_never_written(romeo: Entity):
    assert DES_EDE3_CBC.name not in CIPHERS_BY_NAME
    with pytest.raises(ValueError, match="never written"):
        encrypt(CONTENT, [KeyTransportRecipient(romeo.parsed)], cipher=DES_EDE3_CBC)
