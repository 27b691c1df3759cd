"""The tables of digests and content ciphers."""

import hashlib
import os

import pytest
from asn1crypto import algos
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from slixmpp_e2e.cms.algorithms import (
    CIPHERS,
    CIPHERS_BY_NAME,
    DIGESTS,
    NULL_PARAMETERS,
    SHA1,
    SHA256,
    SHA384,
    SHA512,
    read_algorithm,
    read_digest,
)
from slixmpp_e2e.cms.asn1 import ASN1Error, Reader, integer, octet_string, oid, sequence

_DIGESTS = pytest.mark.parametrize("digest", [SHA1, SHA256, SHA384, SHA512], ids=lambda digest: digest.name)
_CIPHERS = pytest.mark.parametrize("name", CIPHERS_BY_NAME)
_IN_CBC = pytest.mark.parametrize("name", [name for name in CIPHERS_BY_NAME if name.endswith("cbc")])
_IN_GCM = pytest.mark.parametrize("name", [name for name in CIPHERS_BY_NAME if name.endswith("gcm")])


@_DIGESTS
def test_a_digest_is_what_its_name_says(digest) -> None:
    assert digest.digest(b"abc") == hashlib.new(digest.name, b"abc").digest()
    assert digest.algorithm.name == digest.name
    assert len(digest.digest(b"")) == digest.algorithm.digest_size
    parsed = algos.DigestAlgorithm.load(digest.algorithm_identifier, strict=True)
    assert parsed["algorithm"].native == digest.name


@pytest.mark.requirement("3370-2.1-1")
@_DIGESTS
@pytest.mark.parametrize("parameters", [b"", NULL_PARAMETERS], ids=["absent", "NULL"])
def test_a_digest_is_read_with_and_without_its_null(digest, parameters: bytes) -> None:
    assert read_digest(Reader(sequence(digest.identifier, parameters))) is digest


def test_only_sha1_is_weak() -> None:
    assert {digest.name for digest in DIGESTS.values() if digest.weak} == {"sha1"}


@pytest.mark.parametrize(
    "element",
    [
        pytest.param(sequence(oid("1.2.840.113549.2.5"), NULL_PARAMETERS), id="MD5"),
        pytest.param(sequence(SHA256.identifier, integer(1)), id="other parameters"),
        pytest.param(sequence(SHA256.identifier, NULL_PARAMETERS, NULL_PARAMETERS), id="two parameters"),
        pytest.param(sequence(oid("2.16.840.1.101.3.4.2.4")), id="SHA-224"),
        pytest.param(SHA256.identifier, id="no sequence"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_another_digest_is_refused(element: bytes) -> None:
    with pytest.raises(ASN1Error):
        read_digest(Reader(element))


def test_an_algorithm_has_one_parameter_at_the_most() -> None:
    identifier = oid("1.2.3")
    assert read_algorithm(Reader(sequence(identifier))) == (identifier, b"")
    assert read_algorithm(Reader(sequence(identifier, integer(1)))) == (identifier, integer(1))
    with pytest.raises(ASN1Error):
        read_algorithm(Reader(sequence(identifier, integer(1), integer(2))))


# --------------------------------------------------------------------------- content ciphers


def _encrypted(name: str, plaintext: bytes, key: bytes) -> tuple[bytes, bytes, bytes]:
    algorithm, ciphertext, tag = CIPHERS_BY_NAME[name].encrypt(key, plaintext, os.urandom)
    identifier, parameters = read_algorithm(Reader(algorithm))
    assert CIPHERS[identifier] is CIPHERS_BY_NAME[name]
    return parameters, ciphertext, tag


@_CIPHERS
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 1000])
def test_what_is_encrypted_is_decrypted(name: str, length: int) -> None:
    cipher, plaintext = CIPHERS_BY_NAME[name], os.urandom(length)
    key = os.urandom(cipher.key_size)
    parameters, ciphertext, tag = _encrypted(name, plaintext, key)
    decrypted = cipher.read(parameters, ciphertext)(key, tag, b"")
    assert decrypted is not None
    if cipher.authenticated:
        assert decrypted == plaintext
    else:
        fill = 16 - length % 16
        assert decrypted == plaintext + bytes((fill,)) * fill


@pytest.mark.requirement("3565-4.1-1", "3851-2.7-3")
@_CIPHERS
def test_asn1crypto_reads_the_algorithm_as_it_is_meant(name: str) -> None:
    cipher = CIPHERS_BY_NAME[name]
    algorithm, _, _ = cipher.encrypt(bytes(cipher.key_size), b"", lambda size: b"\x5a" * size)
    parsed = algos.EncryptionAlgorithm.load(algorithm, strict=True)
    assert parsed["algorithm"].native == name.replace("-", "_")
    if not cipher.authenticated:
        assert parsed.key_length == cipher.key_size
        assert parsed.encryption_iv == b"\x5a" * 16


@_CIPHERS
def test_each_encryption_draws_its_own_nonce(name: str) -> None:
    key = bytes(CIPHERS_BY_NAME[name].key_size)
    assert _encrypted(name, b"x", key)[0] != _encrypted(name, b"x", key)[0]


@_IN_CBC
@pytest.mark.parametrize(
    ("parameters", "ciphertext"),
    [
        pytest.param(octet_string(bytes(15)), bytes(16), id="a short IV"),
        pytest.param(octet_string(bytes(17)), bytes(16), id="a long IV"),
        pytest.param(NULL_PARAMETERS, bytes(16), id="NULL for an IV"),
        pytest.param(b"", bytes(16), id="no IV"),
        pytest.param(octet_string(bytes(16)), b"", id="no ciphertext"),
        pytest.param(octet_string(bytes(16)), bytes(17), id="half a block"),
    ],
)
def test_cbc_with_wrong_lengths_is_refused(name: str, parameters: bytes, ciphertext: bytes) -> None:
    with pytest.raises(ASN1Error):
        CIPHERS_BY_NAME[name].read(parameters, ciphertext)


@_IN_CBC
def test_cbc_does_not_look_at_padding(name: str) -> None:
    cipher = CIPHERS_BY_NAME[name]
    decrypt = cipher.read(octet_string(bytes(16)), bytes(64))
    garbage = decrypt(bytes(cipher.key_size), b"", b"")
    assert garbage is not None
    assert len(garbage) == 64


def _sealed(key: bytes, nonce: bytes, plaintext: bytes, covered: bytes) -> tuple[bytes, bytes]:
    encryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(covered)
    return encryptor.update(plaintext) + encryptor.finalize(), encryptor.tag


@_IN_GCM
@pytest.mark.parametrize("size", [12, 13, 14, 15, 16])
def test_gcm_reads_tags_of_12_to_16_octets(name: str, size: int) -> None:
    cipher, nonce = CIPHERS_BY_NAME[name], os.urandom(12)
    key = os.urandom(cipher.key_size)
    ciphertext, tag = _sealed(key, nonce, b"plaintext", b"covered")
    parameters = sequence(octet_string(nonce), integer(size) if size != 12 else b"")  # 12 is the default
    decrypt = cipher.read(parameters, ciphertext)
    assert decrypt(key, tag[:size], b"covered") == b"plaintext"
    assert decrypt(key, tag[:size], b"") is None
    for other in {0, 4, 11, 12, 13, 14, 15, 16} - {size}:  # RFC 5084 1.5: not shorter than was said
        assert decrypt(key, tag[:other], b"covered") is None


@_IN_GCM
def test_gcm_answers_none_to_whatever_was_changed(name: str) -> None:
    cipher, key = CIPHERS_BY_NAME[name], os.urandom(CIPHERS_BY_NAME[name].key_size)
    parameters, ciphertext, tag = _encrypted(name, b"plaintext", key)
    changed = bytes((ciphertext[0] ^ 1,)) + ciphertext[1:]
    assert cipher.read(parameters, changed)(key, tag, b"") is None
    decrypt = cipher.read(parameters, ciphertext)
    assert decrypt(key, bytes((tag[0] ^ 1,)) + tag[1:], b"") is None
    assert decrypt(bytes(cipher.key_size), tag, b"") is None
    assert decrypt(key, tag, b"more") is None
    assert decrypt(key, tag, b"") == b"plaintext"


@_IN_GCM
@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param(sequence(octet_string(bytes(12)), integer(4)), id="a tag of 4 octets"),
        pytest.param(sequence(octet_string(bytes(12)), integer(11)), id="a tag of 11 octets"),
        pytest.param(sequence(octet_string(bytes(12)), integer(17)), id="a tag of 17 octets"),
        pytest.param(sequence(octet_string(bytes(12)), integer(-1)), id="a tag of -1 octets"),
        pytest.param(sequence(octet_string(bytes(8)), integer(16)), id="a short nonce"),
        pytest.param(sequence(octet_string(bytes(16)), integer(16)), id="a long nonce"),
        pytest.param(sequence(octet_string(bytes(12)), integer(16), integer(1)), id="something behind"),
        pytest.param(octet_string(bytes(12)), id="a nonce alone"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_gcm_with_unusual_parameters_is_refused(name: str, parameters: bytes) -> None:
    with pytest.raises(ASN1Error):
        CIPHERS_BY_NAME[name].read(parameters, b"ciphertext")
