"""The table of signature schemes: what is written, and which other spellings of it are read."""

import pytest
from asn1crypto import algos
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, x25519

from slixmpp_e2e.cms.algorithms import NULL_PARAMETERS, SHA1, SHA256, SHA384, SHA512
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, ASN1Error, Reader, integer, oid, sequence, tlv
from slixmpp_e2e.cms.signatures import MGF1, SCHEMES, default_scheme, read_scheme
from slixmpp_e2e.errors import CertificateError, SignatureError
from tests.pki import PKI, Entity

_DIGESTS = {digest.name: digest for digest in (SHA1, SHA256, SHA384, SHA512)}
_PSS = oid("1.2.840.113549.1.1.10")
_DATA = b"to be signed"


def _keys(pki: PKI, name: str) -> Entity:
    return pki["juliet" if name.startswith("rsa") else "p-256" if name.startswith("ecdsa") else "ed25519"]


@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_verifies_what_it_signs(pki: PKI, name: str) -> None:
    key, scheme = _keys(pki, name).key, SCHEMES[name]
    signature = scheme.sign(key, _DATA)
    scheme.verify(key.public_key(), signature, _DATA)
    for other in (_DATA + b"!", b""):
        with pytest.raises(SignatureError):
            scheme.verify(key.public_key(), signature, other)
    for bad in (signature[:-1], signature + b"\0", b"", bytes(len(signature))):
        with pytest.raises(SignatureError):
            scheme.verify(key.public_key(), bad, _DATA)


@pytest.mark.parametrize(
    ("name", "dotted"),
    [
        ("rsa-sha256", "1.2.840.113549.1.1.1"),
        ("rsa-pss-sha256", "1.2.840.113549.1.1.10"),
        ("ecdsa-sha256", "1.2.840.10045.4.3.2"),
        ("ecdsa-sha384", "1.2.840.10045.4.3.3"),
        ("ecdsa-sha512", "1.2.840.10045.4.3.4"),
        ("ed25519", "1.3.101.112"),
    ],
)
def test_a_scheme_is_called_as_others_call_it(name: str, dotted: str) -> None:
    assert Reader(SCHEMES[name].algorithm_identifier).enter().element() == oid(dotted)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_refuses_keys_of_another_kind(pki: PKI, name: str) -> None:
    signature = SCHEMES[name].sign(_keys(pki, name).key, _DATA)
    for other in {"juliet", "p-256", "ed25519", "x25519"} - {_keys(pki, name).name}:
        with pytest.raises(SignatureError):
            SCHEMES[name].verify(pki[other].key.public_key(), signature, _DATA)


@pytest.mark.requirement("3851-2.2-3")
@pytest.mark.parametrize("name", SCHEMES)
def test_asn1crypto_reads_the_algorithm_as_it_is_meant(name: str) -> None:
    scheme = SCHEMES[name]
    parsed = algos.SignedDigestAlgorithm.load(scheme.algorithm_identifier, strict=True)
    assert parsed.dump(force=True) == scheme.algorithm_identifier
    if name.startswith("rsa-pss"):
        assert parsed.signature_algo == "rsassa_pss"
        assert parsed.hash_algo == scheme.digest.name
        assert (
            parsed["parameters"]["mask_gen_algorithm"]["parameters"]["algorithm"].native == scheme.digest.name
        )
        assert parsed["parameters"]["salt_length"].native == scheme.digest.algorithm.digest_size
        assert parsed["parameters"]["trailer_field"].native == "trailer_field_bc"
    elif name.startswith("rsa"):
        assert parsed["algorithm"].native == "rsassa_pkcs1v15"
    else:
        assert parsed.signature_algo == name.partition("-")[0]


@pytest.mark.requirement("3370-3.2-1")
@pytest.mark.parametrize("digest", _DIGESTS)
def test_plain_rsa_is_written_alike_whatever_the_digest_with_a_null(digest: str) -> None:
    assert SCHEMES[f"rsa-{digest}"].algorithm_identifier.hex() == "300d06092a864886f70d0101010500"


@pytest.mark.requirement("3851-2.2-2")
@pytest.mark.parametrize("name", SCHEMES)
def test_what_is_written_is_read_with_its_own_digest_only(name: str) -> None:
    scheme = SCHEMES[name]
    assert read_scheme(Reader(scheme.algorithm_identifier), scheme.digest) == scheme
    if name in {"rsa-sha1", "rsa-sha256", "rsa-sha384", "rsa-sha512"}:
        return  # one identifier for all digests
    for other in _DIGESTS.values():
        if other is not scheme.digest:
            with pytest.raises(ASN1Error):
                read_scheme(Reader(scheme.algorithm_identifier), other)


@pytest.mark.requirement("3851-2.2-2")
@pytest.mark.parametrize(("last", "digest"), [(5, "sha1"), (11, "sha256"), (12, "sha384"), (13, "sha512")])
@pytest.mark.parametrize("parameters", [b"", NULL_PARAMETERS], ids=["absent", "NULL"])
def test_rsa_identifiers_with_a_digest_in_them_are_read(last: int, digest: str, parameters: bytes) -> None:
    element = sequence(oid(f"1.2.840.113549.1.1.{last}"), parameters)
    assert read_scheme(Reader(element), _DIGESTS[digest]) is SCHEMES[f"rsa-{digest}"]
    for other in set(_DIGESTS) - {digest}:
        with pytest.raises(ASN1Error):
            read_scheme(Reader(element), _DIGESTS[other])


@pytest.mark.parametrize(
    "element",
    [
        pytest.param(sequence(oid("1.2.840.113549.1.1.4"), NULL_PARAMETERS), id="md5WithRSAEncryption"),
        pytest.param(sequence(oid("1.2.840.113549.1.1.1"), integer(1)), id="rsaEncryption with a parameter"),
        pytest.param(sequence(oid("1.2.840.10045.4.1")), id="ecdsa-with-SHA1"),
        pytest.param(sequence(oid("1.2.840.10040.4.3")), id="dsa-with-sha1"),
        pytest.param(sequence(oid("1.2.840.10045.4.3.2"), NULL_PARAMETERS), id="ecdsa-with-SHA256 with NULL"),
        pytest.param(sequence(oid("1.3.101.112"), NULL_PARAMETERS), id="Ed25519 with NULL"),
        pytest.param(sequence(oid("1.3.101.113")), id="Ed448"),
        pytest.param(sequence(), id="nothing"),
        pytest.param(sequence(_PSS), id="PSS without parameters"),
        pytest.param(sequence(_PSS, NULL_PARAMETERS), id="PSS with NULL"),
    ],
)
@pytest.mark.parametrize("digest", _DIGESTS.values(), ids=_DIGESTS)
def test_other_algorithms_are_not_read(element: bytes, digest) -> None:
    with pytest.raises(ASN1Error):
        read_scheme(Reader(element), digest)


# --------------------------------------------------------------------------- RSASSA-PSS-params


def _pss(*fields: bytes) -> Reader:
    return Reader(sequence(_PSS, sequence(*fields) if fields else sequence(b"")))


_SHA256_FIELDS = (
    tlv(CONSTRUCTED, SHA256.algorithm_identifier),
    tlv(CONSTRUCTED + 1, sequence(MGF1, SHA256.algorithm_identifier)),
)


@pytest.mark.parametrize("salt_length", [0, 1, 20, 31, 32, 64, 222])
def test_pss_is_verified_with_the_salt_length_that_stands_there(juliet: Entity, salt_length: int) -> None:
    scheme = read_scheme(_pss(*_SHA256_FIELDS, tlv(CONSTRUCTED + 2, integer(salt_length))), SHA256)
    how = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length)
    signature = juliet.key.sign(_DATA, how, hashes.SHA256())
    scheme.verify(juliet.key.public_key(), signature, _DATA)
    other = read_scheme(_pss(*_SHA256_FIELDS, tlv(CONSTRUCTED + 2, integer(salt_length + 1))), SHA256)
    with pytest.raises(SignatureError):
        other.verify(juliet.key.public_key(), signature, _DATA)


def test_pss_parameters_that_are_absent_mean_sha1(juliet: Entity) -> None:
    scheme = read_scheme(_pss(), SHA1)
    signature = juliet.key.sign(_DATA, padding.PSS(padding.MGF1(hashes.SHA1()), 20), hashes.SHA1())
    scheme.verify(juliet.key.public_key(), signature, _DATA)
    assert scheme.digest.weak
    with pytest.raises(ASN1Error):
        read_scheme(_pss(), SHA256)


def test_pss_may_mask_with_another_digest(juliet: Entity) -> None:
    fields = (
        tlv(CONSTRUCTED, sequence(SHA256.identifier, NULL_PARAMETERS)),
        tlv(CONSTRUCTED + 1, sequence(MGF1, sequence(SHA512.identifier, NULL_PARAMETERS))),
        tlv(CONSTRUCTED + 2, integer(32)),
        tlv(CONSTRUCTED + 3, integer(1)),
    )
    scheme = read_scheme(_pss(*fields), SHA256)
    signature = juliet.key.sign(_DATA, padding.PSS(padding.MGF1(hashes.SHA512()), 32), hashes.SHA256())
    scheme.verify(juliet.key.public_key(), signature, _DATA)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param((*_SHA256_FIELDS, tlv(CONSTRUCTED + 2, integer(-1))), id="a negative salt length"),
        pytest.param((*_SHA256_FIELDS, tlv(CONSTRUCTED + 2, integer(1 << 70))), id="an absurd salt length"),
        pytest.param((*_SHA256_FIELDS, tlv(CONSTRUCTED + 3, integer(2))), id="another trailer"),
        pytest.param((*_SHA256_FIELDS, tlv(CONSTRUCTED + 4, integer(2))), id="an unknown field"),
        pytest.param(tuple(reversed(_SHA256_FIELDS)), id="another order"),
        pytest.param(
            (_SHA256_FIELDS[0], tlv(CONSTRUCTED + 1, sequence(_PSS, SHA256.algorithm_identifier))),
            id="another mask generation function",
        ),
        pytest.param((_SHA256_FIELDS[0], tlv(CONSTRUCTED + 1, sequence(MGF1))), id="a mask without a digest"),
    ],
)
def test_other_pss_parameters_are_refused(fields: tuple[bytes, ...]) -> None:
    with pytest.raises(ASN1Error):
        read_scheme(_pss(*fields), SHA256)


def test_a_salt_that_can_not_fit_fails_as_any_bad_signature(juliet: Entity) -> None:
    scheme = read_scheme(_pss(*_SHA256_FIELDS, tlv(CONSTRUCTED + 2, integer(1024))), SHA256)
    with pytest.raises(SignatureError):
        scheme.verify(juliet.key.public_key(), bytes(256), _DATA)


# --------------------------------------------------------------------------- defaults


@pytest.mark.requirement("3851-2.2-3")
@pytest.mark.parametrize(
    ("key", "scheme"),
    [
        ("juliet", "rsa-sha256"),
        ("rsa-3072", "rsa-sha256"),
        ("p-256", "ecdsa-sha256"),
        ("p-384", "ecdsa-sha384"),
        ("ed25519", "ed25519"),
    ],
)
def test_each_kind_of_key_has_a_scheme(pki: PKI, key: str, scheme: str) -> None:
    assert default_scheme(pki[key].key) is SCHEMES[scheme]


def test_a_key_that_can_not_sign_has_none() -> None:
    with pytest.raises(CertificateError):
        default_scheme(x25519.X25519PrivateKey.generate())


def test_a_key_that_does_not_go_with_the_scheme_is_told_from_a_wrong_signature(pki: PKI) -> None:
    """It takes no time: whoever needs every refusal to take the same adds what is missing (see `formats`)."""
    for name, scheme in (("p-256", "rsa-sha256"), ("juliet", "ecdsa-sha256"), ("ed25519", "rsa-pss-sha256")):
        with pytest.raises(SignatureError) as caught:
            SCHEMES[scheme].verify(pki[name].parsed.public_key, bytes(256), b"content")
        assert caught.value.reason == "weak"
