"""Certificates as CMS sees them, and the pool they are found in."""

import warnings
from typing import Any

import pytest
from asn1crypto import cms as asn1crypto_cms
from asn1crypto import x509 as asn1crypto_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x448
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.cms.asn1 import CONTEXT, SEQUENCE, SET, Reader, integer, oid, sequence, tlv
from slixmpp_e2e.cms.certificates import (
    LARGEST,
    CertificatePool,
    ParsedCertificate,
    PreferringPool,
    is_affordable,
    read_certificate,
    read_certificates,
)
from slixmpp_e2e.errors import CertificateError
from tests.pki import PKI, VALID_FROM, VALID_UNTIL, Entity, make_certificate

_COMMON_NAME = oid("2.5.4.3")


def _with_key(issuer: Entity, public_key: Any) -> ParsedCertificate:
    """Return a certificate for any public key."""
    return ParsedCertificate.from_x509(
        x509.CertificateBuilder()
        .subject_name(issuer.certificate.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(public_key)
        .serial_number(7)
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .sign(issuer.key, hashes.SHA256())
    )


def _with_issuer(entity: Entity, issuer: bytes) -> bytes:
    """Return a certificate with another issuer name; its signature is not renewed."""
    fields = Reader(entity.der).enter()
    inside = Reader(fields.element()).enter()
    parts = inside.elements(limit=10)
    parts[3] = issuer
    return sequence(sequence(*parts), *fields.elements(limit=2))


def _with_version(entity: Entity, version: int) -> bytes:
    return entity.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + bytes((version,)), 1)


# --------------------------------------------------------------------------- one certificate


def test_identifiers_are_what_asn1crypto_makes_of_the_certificate(pki: PKI) -> None:
    for entity in (pki.root, pki.intermediate, *pki.entities.values()):
        certificate = asn1crypto_x509.Certificate.load(entity.der, strict=True)
        expected = asn1crypto_cms.IssuerAndSerialNumber(
            {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        )
        assert entity.parsed.issuer_and_serial == expected.dump()
        assert entity.parsed.key_identifier == tlv(CONTEXT, certificate.key_identifier)
        assert entity.parsed.fingerprint == certificate.sha256
        assert entity.parsed.der == entity.der


def test_a_certificate_answers_to_its_two_identifiers_only(juliet: Entity, romeo: Entity) -> None:
    parsed = juliet.parsed
    assert parsed.answers_to(parsed.issuer_and_serial)
    assert parsed.key_identifier is not None
    assert parsed.answers_to(parsed.key_identifier)
    assert not parsed.answers_to(romeo.parsed.issuer_and_serial)
    assert not parsed.answers_to(b"")


def test_a_certificate_without_a_key_identifier_has_none(juliet: Entity) -> None:
    certificate = make_certificate(
        juliet.key, "Juliet", jid="juliet@example.com", subject_key_identifier=False
    )
    assert ParsedCertificate.from_x509(certificate).key_identifier is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(tlv(0x14, b"caf\xe9"), id="TeletexString"),
        pytest.param(tlv(0x1E, "é".encode("utf-16-be")), id="BMPString"),
        pytest.param(tlv(0x1C, "é".encode("utf-32-be")), id="UniversalString"),
        pytest.param(tlv(0x16, b"verona"), id="IA5String"),
        pytest.param(tlv(0x13, b""), id="an empty PrintableString"),
        pytest.param(tlv(0x0C, b"\xff\xfe"), id="invalid UTF-8"),
        pytest.param(tlv(0x03, b"\x00\x01"), id="BIT STRING"),
    ],
)
def test_an_issuer_name_stays_as_it_is_written(juliet: Entity, value: bytes) -> None:
    issuer = sequence(tlv(SET, sequence(_COMMON_NAME, value)))
    parsed = CertificatePool().parse(_with_issuer(juliet, issuer))
    assert parsed is not None
    assert parsed.issuer_and_serial == sequence(issuer, integer(juliet.certificate.serial_number))


def test_an_empty_issuer_name_is_a_name(juliet: Entity) -> None:
    nobody = tlv(SEQUENCE, b"")
    parsed = CertificatePool().parse(_with_issuer(juliet, nobody))
    assert parsed is not None
    assert parsed.issuer_and_serial == sequence(nobody, integer(juliet.certificate.serial_number))


def test_a_certificate_of_version_1_has_identifiers_too(juliet: Entity) -> None:
    fields = Reader(juliet.der).enter()
    _version, *parts, _extensions = Reader(fields.element()).enter().elements(limit=10)
    parsed = CertificatePool().parse(sequence(sequence(*parts), *fields.elements(limit=2)))
    assert parsed is not None
    assert parsed.certificate.version is x509.Version.v1
    assert parsed.issuer_and_serial == juliet.parsed.issuer_and_serial
    assert parsed.key_identifier is None


# --------------------------------------------------------------------------- strength


@pytest.mark.parametrize("name", ["juliet", "rsa-3072", "p-256", "p-384", "ed25519", "x25519"])
def test_the_usual_keys_are_strong(pki: PKI, name: str) -> None:
    assert pki[name].parsed.weakness is None
    pki[name].parsed.check_strength()


@pytest.mark.parametrize(
    "public_key",
    [
        pytest.param(lambda: rsa.RSAPublicNumbers(65537, (1 << 1023) + 1).public_key(), id="rsa-1024"),
        pytest.param(lambda: rsa.RSAPublicNumbers(65537, (1 << 2046) + 1).public_key(), id="rsa-2047"),
        pytest.param(lambda: rsa.RSAPublicNumbers(65537, (1 << 8192) + 1).public_key(), id="rsa-8193"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP256K1()).public_key(), id="secp256k1"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP521R1()).public_key(), id="p-521"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP224R1()).public_key(), id="p-224"),
        pytest.param(lambda: x448.X448PrivateKey.generate().public_key(), id="x448"),
        pytest.param(lambda: ed448.Ed448PrivateKey.generate().public_key(), id="ed448"),
        pytest.param(lambda: dsa.generate_private_key(1024).public_key(), id="dsa"),
    ],
)
def test_weak_huge_and_unusual_keys_are_refused(pki: PKI, public_key: Any) -> None:
    parsed = _with_key(pki.intermediate, public_key())
    with pytest.raises(CertificateError, match="key"):
        parsed.check_strength()


@pytest.mark.parametrize(("bits", "refused"), [(17, False), (64, False), (65, True), (2000, True)])
def test_an_exponent_that_makes_every_verification_long_is_refused(
    pki: PKI, bits: int, refused: bool
) -> None:
    key = rsa.RSAPublicNumbers((1 << (bits - 1)) + 1, (1 << 2047) + 1).public_key()
    assert ("exponent" in (_with_key(pki.intermediate, key).weakness or "")) == refused


@pytest.mark.parametrize("size", [2048, 8192])
def test_the_sizes_at_the_limits_are_let_through(pki: PKI, size: int) -> None:
    _with_key(
        pki.intermediate, rsa.RSAPublicNumbers(65537, (1 << (size - 1)) + 1).public_key()
    ).check_strength()


# --------------------------------------------------------------------------- certificates that can't be read


def _with_extension(issuer: Entity, *extensions: tuple[str, bytes]) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer.certificate.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(issuer.key.public_key())
        .serial_number(7)
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
    )
    for dotted, value in extensions:
        unrecognised = x509.UnrecognizedExtension(x509.ObjectIdentifier(dotted), value)
        builder = builder.add_extension(unrecognised, critical=False)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda _: b"", id="nothing"),
        pytest.param(lambda _: b"\x30\x00", id="an empty sequence"),
        pytest.param(lambda entity: entity.der[:-1], id="cut off"),
        pytest.param(lambda entity: entity.der + b"\0", id="something behind"),
        pytest.param(lambda entity: _with_version(entity, 0), id="version 1 with extensions"),
        pytest.param(lambda entity: _with_version(entity, 3), id="version 4"),
        pytest.param(lambda entity: _with_version(entity, 0x80), id="a negative version"),
        pytest.param(
            lambda entity: _with_extension(entity, ("2.5.29.17", sequence(b"\xa3\x02\x05\x00"))),
            id="an x400Address",
        ),
        pytest.param(
            lambda entity: _with_extension(entity, ("2.5.29.17", sequence(b"\xa5\x02\x05\x00"))),
            id="an ediPartyName",
        ),
        pytest.param(
            lambda entity: _with_extension(entity, ("2.5.29.14", b"\x05\x00")), id="a key identifier of NULL"
        ),
    ],
)
def test_what_is_no_certificate_or_beyond_the_library_is_none(juliet: Entity, make: Any) -> None:
    pool = CertificatePool()
    assert pool.parse(make(juliet)) is None
    assert pool.parse(make(juliet)) is None


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(data=st.data())
def test_octets_changed_in_a_certificate_never_raise(data: st.DataObject, juliet: Entity) -> None:
    changed = bytearray(juliet.der)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    parsed = CertificatePool().parse(bytes(changed))
    assert parsed is None or parsed.der == changed


# --------------------------------------------------------------------------- the pool


def test_a_pool_finds_by_both_identifiers(juliet: Entity, romeo: Entity) -> None:
    known = juliet.parsed
    pool = CertificatePool([known])
    assert known.key_identifier is not None
    assert pool.find(known.issuer_and_serial) == (known,)
    assert pool.find(known.key_identifier) == (known,)
    assert pool.find(romeo.parsed.issuer_and_serial) == ()


def test_a_pool_keeps_each_certificate_once(juliet: Entity, romeo: Entity) -> None:
    first, again = juliet.parsed, juliet.parsed
    pool = CertificatePool([first, again, romeo.parsed])
    assert pool.find(first.issuer_and_serial) == (first,)
    assert [known.der for known in pool] == [juliet.der, romeo.der]


def test_certificates_of_one_key_are_all_found_by_its_identifier(juliet: Entity, pki: PKI) -> None:
    renewed = Entity(
        "renewed",
        juliet.key,
        make_certificate(juliet.key, "Juliet", issuer=pki.intermediate, jid="juliet@example.com"),
    )
    pool = CertificatePool([juliet.parsed, renewed.parsed])
    assert juliet.parsed.key_identifier is not None
    assert {found.der for found in pool.find(juliet.parsed.key_identifier)} == {juliet.der, renewed.der}
    assert {found.der for found in pool.find(renewed.parsed.issuer_and_serial)} == {renewed.der}


def test_what_was_parsed_is_remembered_but_not_findable(juliet: Entity) -> None:
    pool = CertificatePool()
    parsed = pool.parse(juliet.der)
    assert parsed is not None
    assert pool.parse(juliet.der) is parsed
    assert pool.find(parsed.issuer_and_serial) == ()
    assert list(pool) == []


def test_the_memory_of_what_was_parsed_is_bounded(pki: PKI) -> None:
    pool = CertificatePool(capacity=2)
    first = pool.parse(pki["juliet"].der)
    second = pool.parse(pki["romeo"].der)
    assert pool.parse(pki["juliet"].der) is first  # now the second is the one that was not used for longest
    pool.parse(pki["p-256"].der)
    assert pool.parse(pki["juliet"].der) is first
    assert pool.parse(pki["romeo"].der) is not second


def test_what_is_too_large_to_be_a_certificate_is_not_read_and_not_remembered(pki: PKI) -> None:
    """Whoever sends it has not been looked at yet."""
    pool = CertificatePool()
    fits, too_large = (
        _with_extension(
            pki.intermediate,
            ("2.5.29.17", sequence(*[tlv(CONTEXT + 2, b"a" * 60)] * number)),
        )
        for number in (200, 300)
    )
    assert len(fits) < LARGEST < len(too_large)
    assert pool.parse(fits) is not None
    size = pool.size()
    assert pool.parse(too_large) is None
    assert pool.size() == size


def test_the_largest_certificate_is_read_and_remembered(pki: PKI) -> None:
    def of(*sizes: int) -> bytes:
        names = [tlv(CONTEXT + 2, b"a" * size) for size in sizes]
        return _with_extension(pki.intermediate, ("2.5.29.17", sequence(*names)))

    number = (LARGEST - len(of(60))) // 62  # a name of 60 has 62 octets
    missing = LARGEST - len(of(*[60] * number, 1))
    largest, larger = (of(*[60] * number, 1 + missing + more) for more in (0, 1))
    assert (len(largest), len(larger)) == (16_384, 16_385)
    pool = CertificatePool()
    assert pool.parse(larger) is None
    assert pool.size() == 0
    assert pool.parse(largest) is not None
    assert pool.size() == 1


@pytest.mark.parametrize(
    ("modulus", "exponent", "affordable"),
    [
        (1 << 8191, 17, True),
        (1 << 8192, 17, False),
        (1 << 2047, 1 << 63, True),
        (1 << 2047, 1 << 64, False),
    ],
)
def test_a_key_of_unusual_size_is_a_way_to_burn_our_time(
    modulus: int, exponent: int, affordable: bool
) -> None:
    assert is_affordable(rsa.RSAPublicNumbers(exponent | 1, modulus | 1).public_key()) is affordable


def test_a_key_of_another_kind_is_not(pki: PKI) -> None:
    assert all(is_affordable(pki[name].key.public_key()) for name in ("p-256", "ed25519", "x25519", "juliet"))


def test_an_odd_certificate_is_none_where_warnings_are_errors(pki: PKI) -> None:
    """A name that is empty, and a serial number that is not positive."""
    serial = pki["juliet"].certificate.serial_number
    old = Reader(pki["juliet"].der).enter().element()
    zero = sequence(old.replace(integer(serial), integer(0), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert CertificatePool().parse(zero) is None
        with pytest.raises(CertificateError, match="not a certificate"):
            read_certificates(zero)


def test_a_pool_looks_up_what_was_not_added_and_remembers_what_it_found(
    juliet: Entity, romeo: Entity
) -> None:
    asked: list[bytes] = []
    kept: list[bytes] = []

    def look_up(identifier: bytes) -> list[bytes]:
        asked.append(identifier)
        return kept

    pool = CertificatePool([romeo.parsed], look_up=look_up)
    known = juliet.parsed
    assert pool.find(known.issuer_and_serial) == ()
    kept += [juliet.der, romeo.der, b"no certificate"]  # what does not answer to the identifier is left out
    assert [found.der for found in pool.find(known.issuer_and_serial)] == [juliet.der]
    assert pool.find(known.issuer_and_serial) == (pool.parse(juliet.der),)
    assert asked == [known.issuer_and_serial] * 2
    pool.forget(known)
    assert pool.find(known.issuer_and_serial) == (pool.parse(juliet.der),)
    assert asked == [known.issuer_and_serial] * 3
    assert len(pool.find(romeo.parsed.issuer_and_serial)) == 1  # the one that was added is not there twice
    assert [found.der for found in pool] == [romeo.der]


def test_a_pool_finds_preferred_ones_first_each_once_and_asks_only_where_several_answer(
    pki: PKI, juliet: Entity, romeo: Entity
) -> None:
    known, nobody = juliet.parsed, romeo.parsed
    renewed = Entity("", juliet.key, make_certificate(juliet.key, "Juliet", issuer=pki.intermediate)).parsed
    other = Entity("", juliet.key, make_certificate(juliet.key, "Juliet", issuer=pki.intermediate)).parsed
    pool = CertificatePool([known, nobody, renewed])
    asked: list[int] = []

    def first() -> list[ParsedCertificate]:
        asked.append(1)
        return [nobody, other, renewed]

    preferring = PreferringPool(pool, first)
    assert preferring.find(known.issuer_and_serial) == (known,)
    assert preferring.find(b"nobody") == ()
    assert asked == []
    by_key = known.key_identifier
    assert by_key is not None
    assert pool.find(by_key) == (known, renewed)
    assert preferring.find(by_key) == (other, renewed, known)
    assert preferring.parse(juliet.der) is pool.parse(juliet.der)


def test_the_memory_of_what_was_looked_up_is_bounded(juliet: Entity) -> None:
    asked: list[bytes] = []

    def look_up(identifier: bytes) -> list[bytes]:
        asked.append(identifier)
        return [juliet.der]

    pool = CertificatePool(capacity=2, look_up=look_up)
    for identifier in (b"1", b"2", b"3", b"3", b"2", b"1"):
        assert pool.find(identifier) == ()
    assert asked == [b"1", b"2", b"3", b"1"]


def test_a_signature_of_half_an_octet_is_refused(juliet: Entity) -> None:
    """The library takes it if the bit is zero: then one certificate would have several fingerprints."""
    while True:
        der = make_certificate(juliet.key, "x", jid="juliet@example.com").public_bytes(Encoding.DER)
        if not der[-1] & 1:  # every other one
            break
    fields = Reader(der).enter()
    signed = fields.element() + fields.element()
    value = fields.contents(0x03)
    changed = sequence(signed, tlv(0x03, b"\1" + value[1:]))
    x509.load_der_x509_certificate(changed)
    assert read_certificate(changed) is None
    assert read_certificate(sequence(signed, tlv(0x03, value))).der == der
