"""Key agreement: who can unwrap, in every form that others may write, and that nobody learns why somebody can't."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
from asn1crypto import cms as oracle
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slixmpp_e2e.cms.asn1 import (
    BIT_STRING,
    CONSTRUCTED,
    CONTEXT,
    GENERALIZED_TIME,
    ASN1Error,
    BERError,
    integer,
    octet_string,
    oid,
    sequence,
    tlv,
)
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.key_agreement import KeyAgreementInfo, KeyAgreementRecipient
from slixmpp_e2e.cms.key_derivation import DERIVATIONS, KEY_ENCRYPTIONS, SHA512_KDF
from slixmpp_e2e.cms.recipients import (
    DecryptionKeys,
    KeyTransportRecipient,
    can_receive,
    read_recipient_infos,
    recipient_for,
)
from slixmpp_e2e.errors import CertificateError
from tests.cms import agreements
from tests.cms.agreements import EC_PUBLIC_KEY, NULL, SCHEMES, X25519, Kari, issuer_and_serial, key_id, make
from tests.pki import PKI, Entity, make_certificate

NAMES = ("p-256", "p-384", "x25519")
_EACH = pytest.mark.parametrize("name", NAMES)
ALGORITHMS = {"p-256": "ecdh-sha256kdf", "p-384": "ecdh-sha384kdf", "x25519": "x25519-hkdf-sha256"}
KEY = bytes(range(16))
FALLBACK = b"\xff" * 16
CURVES = {"p-256": oid("1.2.840.10045.3.1.7"), "p-384": oid("1.3.132.0.34")}


def _read(data: bytes) -> KeyAgreementInfo:
    (info,) = read_recipient_infos([data])
    assert isinstance(info, KeyAgreementInfo)
    return info


def _unwrapped(kari: Kari, entity: Entity) -> bytes:
    return _read(kari.encode()).unwrap(entity.key, FALLBACK)


def _compressed(point: bytes) -> bytes:
    half = len(point) // 2
    return bytes((2 + (point[-1] & 1),)) + point[1 : half + 1]


# --------------------------------------------------------------------------- there and back


@_EACH
@pytest.mark.parametrize("key_identifier", [False, True], ids=["issuerAndSerial", "rKeyId"])
@pytest.mark.parametrize("size", [16, 24, 32])
def test_what_is_wrapped_is_unwrapped(pki: PKI, name: str, key_identifier: bool, size: int) -> None:
    entity, key = pki[name], os.urandom(size)
    to = KeyAgreementRecipient(entity.parsed, key_identifier=key_identifier)
    info = _read(to.recipient_info(key))
    assert to.version == 2  # RFC 5652 6.1
    assert info.name == ALGORITHMS[name]
    assert info.identifier == (
        entity.parsed.key_identifier if key_identifier else entity.parsed.issuer_and_serial
    )
    assert info.unwrap(entity.key, bytes(size)) == key


@_EACH
@pytest.mark.parametrize("derivation", DERIVATIONS.values(), ids=DERIVATIONS)
def test_another_derivation_may_be_asked_for(pki: PKI, name: str, derivation) -> None:
    info = _read(KeyAgreementRecipient(pki[name].parsed, derivation=derivation).recipient_info(KEY))
    assert info.name.endswith(f"-{derivation.name}")
    assert info.unwrap(pki[name].key, FALLBACK) == KEY


@_EACH
def test_every_ephemeral_key_is_used_once(pki: PKI, name: str) -> None:
    to = KeyAgreementRecipient(pki[name].parsed)
    infos = [_read(to.recipient_info(KEY)) for _ in range(20)]
    assert len({info.agreement.ephemeral for info in infos}) == 20
    assert len({info.encrypted_key for info in infos}) == 20


@_EACH
@pytest.mark.parametrize("key_identifier", [False, True], ids=["issuerAndSerial", "rKeyId"])
def test_asn1crypto_reads_it_as_it_is_meant(pki: PKI, name: str, key_identifier: bool) -> None:
    entity = pki[name]
    to = KeyAgreementRecipient(entity.parsed, key_identifier=key_identifier)
    found = oracle.RecipientInfo.load(to.recipient_info(bytes(32)), strict=True)
    assert found.name == "kari"
    kari = found.chosen
    assert kari["version"].native == "v3"
    assert kari["ukm"].native is None
    assert kari["originator"].name == "originator_key"
    # RFC 5753 7.1.2, RFC 8418 3.1: parameters are absent
    assert kari["originator"].chosen["algorithm"].dump() == sequence(
        X25519 if name == "x25519" else EC_PUBLIC_KEY
    )
    assert (
        len(kari["originator"].chosen["public_key"].native) == {"p-256": 65, "p-384": 97, "x25519": 32}[name]
    )
    (to_us,) = kari["recipient_encrypted_keys"]
    if key_identifier:
        assert to_us["rid"].chosen["subject_key_identifier"].native == entity.parsed.key_identifier[2:]
    else:
        assert to_us["rid"].chosen.dump() == entity.parsed.issuer_and_serial
    assert len(to_us["encrypted_key"].native) == 40


def test_algorithms_are_written_as_rfc_5753_prints_them() -> None:
    printed = {
        ("sha256kdf", 16): "30150606 2b8104010B01 300b0609 608648016503040105",
        ("sha384kdf", 24): "30150606 2b8104010B02 300b0609 608648016503040119",
        ("sha512kdf", 32): "30150606 2b8104010B03 300b0609 60864801650304012D",
        ("sha1kdf", 16): "30180609 2b81051086483f0002 300b0609 608648016503040105",
    }
    for (name, size), octets in printed.items():
        found = KEY_ENCRYPTIONS[bytes.fromhex(octets)]
        assert (found.derivation.name, found.size) == (name, size)


# --------------------------------------------------------------------------- what others write


@_EACH
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("ukm", [None, b"", b"user keying material"], ids=["no ukm", "an empty ukm", "ukm"])
def test_what_is_computed_from_the_texts_alone_is_unwrapped(
    pki: PKI, name: str, scheme: str, size: int, ukm: bytes | None
) -> None:
    key = os.urandom(size)
    info = _read(make(pki[name], key, scheme=scheme, ukm=ukm).encode())
    assert info.unwrap(pki[name].key, bytes(size)) == key


@_EACH
def test_what_we_write_is_unwrapped_by_what_is_computed_from_the_texts_alone(pki: PKI, name: str) -> None:
    info = _read(KeyAgreementRecipient(pki[name].parsed).recipient_info(KEY))
    key, ephemeral = pki[name].key, info.agreement.ephemeral
    if name == "x25519":
        secret = key.exchange(x25519.X25519PublicKey.from_public_bytes(ephemeral))
    else:
        secret = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(key.curve, ephemeral))
    wrapping = agreements.key_encryption_key(ALGORITHMS[name].partition("-")[2], secret, 16)
    assert agreements.wrap(wrapping, KEY) == info.encrypted_key


def test_a_key_may_be_wrapped_with_one_of_another_length(pki: PKI) -> None:
    """RFC 8551 2.3 forbids to write it, and lets a recipient choose."""
    assert _unwrapped(make(pki["p-256"], KEY, size=32), pki["p-256"]) == KEY


@pytest.mark.parametrize("name", ["p-256", "p-384"])
@pytest.mark.parametrize("parameters", [NULL, "its curve"], ids=["NULL", "named curve"])
def test_parameters_may_stand_beside_the_ephemeral_key(pki: PKI, name: str, parameters) -> None:
    algorithm = sequence(EC_PUBLIC_KEY, CURVES[name] if parameters == "its curve" else parameters)
    assert _unwrapped(replace(make(pki[name], KEY), algorithm=algorithm), pki[name]) == KEY


@pytest.mark.parametrize("name", ["p-256", "p-384"])
def test_the_ephemeral_key_may_be_compressed(pki: PKI, name: str) -> None:
    kari = make(pki[name], KEY)
    assert _unwrapped(replace(kari, ephemeral=_compressed(kari.ephemeral)), pki[name]) == KEY


def test_null_beside_the_key_wrap_is_a_part_of_the_shared_info(pki: PKI) -> None:
    assert _unwrapped(make(pki["p-256"], KEY, wrap_parameters=NULL), pki["p-256"]) == KEY


@pytest.mark.parametrize(
    "behind",
    [
        (),
        (tlv(GENERALIZED_TIME, b"20261120083015Z"),),
        (sequence(oid("1.2.3")),),
        (tlv(GENERALIZED_TIME, b"20261120083015Z"), sequence(oid("1.2.3"), integer(1))),
    ],
    ids=["nothing", "date", "other", "both"],
)
def test_a_key_identifier_names_us_whatever_stands_behind_it(pki: PKI, behind: tuple[bytes, ...]) -> None:
    entity = pki["p-256"]
    infos = read_recipient_infos([make(entity, KEY, name=key_id(entity, *behind)).encode()])
    found = DecryptionKeys([(entity.key, entity.parsed)]).find(infos)
    assert found is not None
    assert found[2].unwrap(entity.key, FALLBACK) == KEY


@pytest.mark.parametrize("at", [0, 1, 2])
def test_we_find_ours_among_several_recipients_of_one_ephemeral_key(pki: PKI, at: int) -> None:
    entity = pki["x25519"]
    kari = make(entity, KEY)
    others = [(issuer_and_serial(pki["romeo"]), bytes(24)), (key_id(pki["p-256"]), bytes(24))]
    others.insert(at, kari.recipients[0])
    infos = read_recipient_infos([replace(kari, recipients=tuple(others)).encode()])
    assert len(infos) == 3
    found = DecryptionKeys([(entity.key, entity.parsed)]).find(infos)
    assert found is not None
    assert found[2] is infos[at]
    assert found[2].unwrap(entity.key, FALLBACK) == KEY


def test_there_are_no_more_recipients_than_rsa_keys_could_be(pki: PKI) -> None:
    kari = make(pki["p-256"], KEY)
    full = replace(kari, recipients=kari.recipients * 64).encode()
    assert len(read_recipient_infos([full])) == 64
    with pytest.raises(ASN1Error, match="too many recipients"):
        read_recipient_infos([full, kari.encode()])


# --------------------------------------------------------------------------- for somebody else


def _forms(entity: Entity) -> dict[str, bytes]:
    kari = make(entity, KEY)
    assert entity.parsed.key_identifier is not None
    (name, wrapped), point = kari.recipients[0], kari.ephemeral
    return {
        "version 2": replace(kari, version=2).encode(),
        "a certificate instead of an ephemeral key": kari.encode(originator=issuer_and_serial(entity)),
        "a key identifier instead of it": kari.encode(originator=entity.parsed.key_identifier),
        "two ephemeral keys": kari.encode(originator=kari.originator * 2),
        "a curve that we don't have": replace(
            kari, algorithm=sequence(EC_PUBLIC_KEY, oid("1.3.132.0.35"))
        ).encode(),
        "a curve with explicit parameters": replace(
            kari, algorithm=sequence(EC_PUBLIC_KEY, sequence(integer(1)))
        ).encode(),
        "a kind of key that we don't have": replace(kari, algorithm=sequence(oid("1.3.101.111"))).encode(),
        "X25519 with parameters": replace(kari, algorithm=sequence(X25519, NULL)).encode(),
        "a key that is no octets": replace(kari, unused_bits=b"\1").encode(),
        "an empty BIT STRING": replace(kari, unused_bits=b"", ephemeral=b"").encode(),
        "an unknown scheme": replace(kari, scheme=oid("1.3.132.1.15.1")).encode(),
        "a key wrap with strange parameters": replace(kari, wrap_parameters=integer(1)).encode(),
        "something behind": kari.encode(behind=integer(1)),
        "something behind the ukm": replace(kari, ukm=b"ukm")
        .encode()
        .replace(octet_string(b"ukm"), octet_string(b"u") + NULL),
        "something behind the encrypted key": kari.encode().replace(
            sequence(name, octet_string(wrapped)), sequence(name, octet_string(wrapped[:-3]), integer(1))
        ),
        "an unknown name": replace(kari, recipients=((tlv(CONTEXT, b"12"), wrapped),)).encode(),
        "something in the name": replace(kari, recipients=((key_id(entity, integer(1)), wrapped),)).encode(),
        "65 recipients": replace(kari, recipients=kari.recipients * 65).encode(),
        "nothing inside": tlv(CONSTRUCTED + 1, b""),
        "something behind the ephemeral key": kari.encode(
            originator=tlv(CONSTRUCTED + 1, kari.algorithm, tlv(BIT_STRING, b"\0", kari.ephemeral), NULL)
        ),
        "the ephemeral key cut off": kari.encode(originator=tlv(CONSTRUCTED + 1, point)),
    }


def test_what_we_do_not_understand_is_for_somebody_else(pki: PKI) -> None:
    entity = pki["p-256"]
    ours = KeyAgreementRecipient(entity.parsed).recipient_info(KEY)
    for form, element in _forms(entity).items():
        infos = read_recipient_infos([element, ours])
        assert len(infos) == 1, form
        assert infos[0].unwrap(entity.key, FALLBACK) == KEY


def test_one_bad_name_among_several_makes_all_of_it_somebody_elses(pki: PKI) -> None:
    kari = make(pki["p-256"], KEY)
    strange = replace(kari, recipients=(*kari.recipients, (tlv(CONTEXT, b"12"), bytes(24))))
    assert read_recipient_infos([strange.encode()]) == ()


# --------------------------------------------------------------------------- unwrapping what is wrong


def _other_points(entity: Entity, others: Entity) -> dict[str, bytes]:
    point = make(entity, KEY).ephemeral
    return {
        "nothing": b"",
        "the point at infinity": b"\0",
        "not on the curve": point[:-1] + bytes((point[-1] ^ 1,)),
        "zero": b"\4" + bytes(len(point) - 1),
        "hybrid": bytes((6 + (point[-1] & 1),)) + point[1:],
        "cut off": point[:-1],
        "too long": point + b"\0",
        "coordinates above the prime": b"\4" + b"\xff" * (len(point) - 1),
        "on another curve": make(others, KEY).ephemeral,
        "on X25519": bytes(range(32)),
    }


@pytest.mark.parametrize(("name", "other"), [("p-256", "p-384"), ("p-384", "p-256")])
def test_a_point_that_is_not_on_our_curve_becomes_the_fallback(pki: PKI, name: str, other: str) -> None:
    kari = make(pki[name], KEY)
    for kind, point in _other_points(pki[name], pki[other]).items():
        assert _unwrapped(replace(kari, ephemeral=point), pki[name]) is FALLBACK, kind


#: Points of small order on Curve25519 and its twist: each makes every shared secret zero (RFC 7748 6.1).
SMALL = (
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
)


@pytest.mark.parametrize("point", [*SMALL, b"", bytes(31), bytes(33), b"\4" + bytes(64)], ids=bytes.hex)
def test_an_x25519_key_that_agrees_with_nobody_becomes_the_fallback(pki: PKI, point: bytes) -> None:
    kari = replace(make(pki["x25519"], KEY), ephemeral=point)
    assert _unwrapped(kari, pki["x25519"]) is FALLBACK


def test_a_key_wrapped_under_a_secret_of_zero_is_not_accepted(pki: PKI) -> None:
    """What somebody could write who knows no key at all."""
    wrapped = agreements.wrap(agreements.key_encryption_key("hkdf-sha256", bytes(32), 16), KEY)
    kari = replace(make(pki["x25519"], KEY), recipients=((issuer_and_serial(pki["x25519"]), wrapped),))
    for point in SMALL:
        assert _unwrapped(replace(kari, ephemeral=point), pki["x25519"]) is FALLBACK


def test_a_curve_beside_the_ephemeral_key_must_be_ours(pki: PKI) -> None:
    algorithm = sequence(EC_PUBLIC_KEY, CURVES["p-384"])  # RFC 5753 7.1.2
    assert _unwrapped(replace(make(pki["p-256"], KEY), algorithm=algorithm), pki["p-256"]) is FALLBACK


@_EACH
def test_another_private_key_never_finds_the_key(pki: PKI, name: str) -> None:
    info = _read(make(pki[name], KEY).encode())
    for other in set(pki.entities) - {name}:
        assert info.unwrap(pki[other].key, FALLBACK) is FALLBACK


@_EACH
def test_whatever_a_key_elsewhere_raises_or_returns_becomes_the_fallback(pki: PKI, name: str) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("the token was pulled out")

    info, key = _read(make(pki[name], KEY).encode()), pki[name].key
    assert info.unwrap(SimpleNamespace(public_key=fail, exchange=key.exchange), FALLBACK) is FALLBACK
    assert info.unwrap(SimpleNamespace(public_key=key.public_key, exchange=fail), FALLBACK) is FALLBACK
    found = SimpleNamespace(public_key=key.public_key, exchange=lambda *_: None)
    assert info.unwrap(found, FALLBACK) is FALLBACK
    assert info.unwrap(SimpleNamespace(public_key=key.public_key, exchange=key.exchange), FALLBACK) == KEY


@_EACH
def test_a_key_of_another_length_becomes_the_fallback(pki: PKI, name: str) -> None:
    for length in (24, 32, 40):
        assert _unwrapped(make(pki[name], bytes(length), size=16), pki[name]) is FALLBACK


@_EACH
@pytest.mark.parametrize("length", [0, 1, 8, 16, 23, 24, 25, 31, 32, 40, 10_000])
def test_a_wrapped_key_of_a_wrong_length_becomes_the_fallback(pki: PKI, name: str, length: int) -> None:
    kari = make(pki[name], KEY)
    changed = replace(kari, recipients=((kari.recipients[0][0], b"\1" * length),))
    assert _unwrapped(changed, pki[name]) is FALLBACK


def test_the_ukm_and_every_algorithm_are_bound_to_the_key(pki: PKI) -> None:
    kari = make(pki["p-256"], KEY, ukm=b"ukm")
    for changed in (
        replace(kari, ukm=None),
        replace(kari, ukm=b""),
        replace(kari, ukm=b"another"),
        replace(kari, scheme=SCHEMES["sha384kdf"]),
        replace(kari, scheme=SCHEMES["hkdf-sha256"]),
        replace(kari, size=32),
        replace(kari, wrap_parameters=NULL),
    ):
        assert _unwrapped(changed, pki["p-256"]) is FALLBACK


@_EACH
@settings(max_examples=200)
@given(data=st.data())
def test_one_change_gives_the_key_or_the_fallback_and_never_raises(pki, name: str, data) -> None:
    whole = bytearray(make(pki[name], KEY, ukm=b"ukm").encode())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        infos = read_recipient_infos([bytes(whole)])
    except BERError:  # then the whole object is rewritten, and read again
        assume(False)
    assert all(info.unwrap(pki[name].key, FALLBACK) in {KEY, FALLBACK} for info in infos)


@_EACH
def test_one_key_has_one_encrypted_form_however_the_ephemeral_key_is_written(pki: PKI, name: str) -> None:
    """So that nobody can have a captured key used twice (see `formats.rfc3923.Opener.claim`)."""
    kari = make(pki[name], KEY)
    original = kari.ephemeral
    if name == "x25519":
        twins = [original[:-1] + bytes((original[-1] ^ 0x80,))]
    else:
        key = ec.EllipticCurvePublicKey.from_encoded_point(pki[name].key.curve, original)
        half = len(original) // 2
        prime = {"p-256": 2**256 - 2**224 + 2**192 + 2**96 - 1, "p-384": 2**384 - 2**128 - 2**96 + 2**32 - 1}
        negative = (prime[name] - key.public_numbers().y).to_bytes(half, "big")
        twins = [original[: half + 1] + negative, _compressed(original)]
    for twin in twins:
        info = _read(replace(kari, ephemeral=twin).encode())
        assert info.unwrap(pki[name].key, FALLBACK) == KEY
        assert info.encrypted_key == _read(kari.encode()).encrypted_key


# --------------------------------------------------------------------------- recipients


def test_the_key_decides_how_somebody_receives(pki: PKI) -> None:
    for name in NAMES:
        assert can_receive(pki[name].parsed.public_key)
        assert isinstance(recipient_for(pki[name].parsed), KeyAgreementRecipient)
    for name in ("romeo", "rsa-3072"):
        assert can_receive(pki[name].parsed.public_key)
        assert isinstance(recipient_for(pki[name].parsed), KeyTransportRecipient)
    assert not can_receive(pki["ed25519"].parsed.public_key)
    with pytest.raises(CertificateError, match="can't receive"):
        recipient_for(pki["ed25519"].parsed)


def test_elliptic_curve_keys_are_named_by_their_identifier_if_they_have_one(pki: PKI) -> None:
    entity = pki["p-256"]
    bare = make_certificate(entity.key, "x", jid="romeo@example.net", subject_key_identifier=False)
    for parsed, expected in (
        (entity.parsed, entity.parsed.key_identifier),
        (ParsedCertificate.from_x509(bare), ParsedCertificate.from_x509(bare).issuer_and_serial),
    ):
        assert _read(recipient_for(parsed).recipient_info(KEY)).identifier == expected
    (info,) = read_recipient_infos([recipient_for(pki["romeo"].parsed).recipient_info(KEY)])
    assert info.identifier == pki["romeo"].parsed.issuer_and_serial


@pytest.mark.parametrize("name", ["juliet", "ed25519"])
def test_other_keys_agree_on_nothing(pki: PKI, name: str) -> None:
    with pytest.raises(CertificateError, match="can't receive"):
        KeyAgreementRecipient(pki[name].parsed)


@pytest.mark.parametrize(
    "curve", [ec.SECP521R1(), ec.SECP224R1(), ec.SECP256K1()], ids=lambda curve: curve.name
)
def test_a_key_on_another_curve_can_not_receive(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    certificate = make_certificate(key, "x", jid="romeo@example.net")
    with pytest.raises(CertificateError, match=curve.name):
        recipient_for(ParsedCertificate.from_x509(certificate))


@pytest.mark.parametrize("point", SMALL[:2], ids=bytes.hex)
def test_an_x25519_certificate_whose_key_agrees_with_nobody_can_not_receive(pki: PKI, point: bytes) -> None:
    good = pki["x25519"]
    raw = good.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    bad = x509.load_der_x509_certificate(good.der.replace(raw, point))
    to = recipient_for(ParsedCertificate.from_x509(bad))
    with pytest.raises(CertificateError, match="can't receive"):
        to.recipient_info(KEY)


def test_a_recipient_named_by_key_identifier_needs_one(pki: PKI) -> None:
    bare = make_certificate(pki["p-256"].key, "x", jid="romeo@example.net", subject_key_identifier=False)
    with pytest.raises(CertificateError, match="subjectKeyIdentifier"):
        recipient_for(ParsedCertificate.from_x509(bare), key_identifier=True)


def test_sha512_goes_with_every_length_of_key(pki: PKI) -> None:
    to = KeyAgreementRecipient(pki["p-384"].parsed, derivation=SHA512_KDF)
    for size in (16, 32):
        assert _read(to.recipient_info(bytes(size))).unwrap(pki["p-384"].key, b"\1" * size) == bytes(size)
