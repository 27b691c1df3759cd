"""SignedData: what is signed is verified, what is changed is not, and how much work it may be is bounded."""

from datetime import UTC, datetime
from typing import Any

import pytest
from asn1crypto import cms as asn1crypto_cms
from asn1crypto import tsp  # noqa: F401 knows more signed attributes
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.cms.algorithms import ID_ENVELOPED_DATA, SHA256
from slixmpp_e2e.cms.asn1 import CONTEXT, Reader, octet_string, sequence, tlv
from slixmpp_e2e.cms.certificates import CertificatePool, ParsedCertificate
from slixmpp_e2e.cms.signatures import SCHEMES
from slixmpp_e2e.cms.signed_data import Signer, certificates_only, parse_signed_data, sign
from slixmpp_e2e.errors import CertificateError, MalformedError, SignatureError
from tests.cms.der_trees import streamed
from tests.cms.forge import CONTENT_IS_DATA, message_digest, signed_data, signer_info
from tests.pki import MOMENT, PKI, Entity, make_certificate

CONTENT = b"Content-type: Message/CPIM\r\n\r\nWherefore art thou Romeo?\r\n"

#: Schemes, and whose key each is made with.
KEYS = {
    name: "p-384" if name == "ecdsa-sha384" else "p-256" if name.startswith("ecdsa") else "ed25519"
    for name in SCHEMES
    if not name.startswith("rsa")
} | {name: "juliet" for name in SCHEMES if name.startswith("rsa")}


def _signer(pki: PKI, scheme: str, **options: Any) -> Signer:
    entity = pki[KEYS[scheme]]
    return Signer(entity.key, entity.parsed, [pki.intermediate.parsed], scheme=SCHEMES[scheme], **options)


def _info(entity: Entity, content: bytes = CONTENT) -> bytes:
    return signer_info(entity, [CONTENT_IS_DATA, message_digest(content)])


@pytest.fixture(scope="module")
def signer(juliet: Entity, pki: PKI) -> Signer:
    return Signer(juliet.key, juliet.parsed, [pki.intermediate.parsed])


@pytest.fixture(scope="module")
def weak() -> Entity:
    """An RSA key of 1024 bits with a certificate."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return Entity("weak", key, make_certificate(key, "weak", jid="juliet@example.com"))


# --------------------------------------------------------------------------- there and back


@pytest.mark.requirement("3923-6.10-1", "3923-6.10-2", "3851-2.1-1", "3851-2.4.2-1", "3851-2.6-1")
@pytest.mark.requirement("3851-2.4.1-2")
@pytest.mark.parametrize("key_identifier", [False, True], ids=["issuerAndSerial", "subjectKeyIdentifier"])
@pytest.mark.parametrize("detached", [False, True], ids=["opaque", "detached"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_signed_is_verified(pki: PKI, scheme: str, detached: bool, key_identifier: bool) -> None:
    by = _signer(pki, scheme, key_identifier=key_identifier)
    data = sign(CONTENT, by, signing_time=MOMENT, detached=detached)
    parsed = parse_signed_data(data)
    content, signer = parsed.verify(
        CertificatePool(), content=CONTENT if detached else None, allow_sha1=scheme == "rsa-sha1"
    )
    assert (parsed.content is None) == detached
    assert parsed.size == len(data)
    assert content == CONTENT
    assert signer.certificate.der == pki[KEYS[scheme]].der
    assert signer.scheme.name == scheme
    assert signer.signing_time == MOMENT
    assert signer.attributes_digest == SHA256.digest(parsed.signer_infos[0].signed_attributes)


@given(content=st.binary(max_size=5000))
def test_content_is_any_octets(signer: Signer, content: bytes) -> None:
    data = sign(content, signer, signing_time=MOMENT)
    assert parse_signed_data(data).verify(CertificatePool())[0] == content


@pytest.mark.requirement("3850-2.3-3")
def test_the_chain_travels_along(signer: Signer, juliet: Entity, pki: PKI) -> None:
    parsed = parse_signed_data(sign(CONTENT, signer, signing_time=MOMENT))
    assert set(parsed.certificates) == {juliet.der, pki.intermediate.der}


def test_without_certificates_the_signer_is_looked_up_in_the_pool(signer: Signer, juliet: Entity) -> None:
    parsed = parse_signed_data(sign(CONTENT, signer, signing_time=MOMENT, certificates=False))
    assert parsed.certificates == ()
    known = juliet.parsed
    assert parsed.verify(CertificatePool([known]))[1].certificate is known
    with pytest.raises(SignatureError) as caught:
        parsed.verify(CertificatePool())
    assert caught.value.reason == "unknown-signer"


def test_a_certificate_of_somebody_else_does_not_verify(signer: Signer, romeo: Entity) -> None:
    parsed = parse_signed_data(sign(CONTENT, signer, signing_time=MOMENT, certificates=False))
    with pytest.raises(SignatureError) as caught:
        parsed.verify(CertificatePool([romeo.parsed]))
    assert caught.value.reason == "unknown-signer"


def test_signing_twice_in_one_second_gives_the_same_octets(signer: Signer) -> None:
    """RSA PKCS #1 v1.5 is deterministic, and so is everything around it."""
    later = MOMENT.replace(microsecond=999_999)
    assert sign(CONTENT, signer, signing_time=MOMENT) == sign(CONTENT, signer, signing_time=later)


def test_the_digest_of_the_attributes_tells_two_seconds_apart(signer: Signer) -> None:
    first, second = (
        parse_signed_data(sign(CONTENT, signer, signing_time=datetime(2026, 1, 1, 0, 0, each, tzinfo=UTC)))
        for each in (1, 2)
    )
    pool = CertificatePool()
    assert first.verify(pool)[1].attributes_digest != second.verify(pool)[1].attributes_digest


# --------------------------------------------------------------------------- as asn1crypto sees it


@pytest.mark.requirement("3923-2-14", "3851-2.4.1-1", "3851-2.4.1-2", "3851-2.4.2-1", "3851-2.5-2")
@pytest.mark.requirement("3851-3.4.3.1-1", "5652-5.3-1")
@pytest.mark.parametrize("key_identifier", [False, True])
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_asn1crypto_reads_the_same_structure(
    pki: PKI, scheme: str, detached: bool, key_identifier: bool
) -> None:
    by = _signer(pki, scheme, key_identifier=key_identifier)
    data = sign(CONTENT, by, signing_time=MOMENT, detached=detached)
    theirs = asn1crypto_cms.ContentInfo.load(data, strict=True)
    assert theirs.dump(force=True) == data
    assert theirs["content_type"].native == "signed_data"
    fields, ours = theirs["content"], parse_signed_data(data)
    info, our_info = fields["signer_infos"][0], ours.signer_infos[0]
    # RFC 5652 5.1, 5.3
    assert fields["version"].native == info["version"].native == ("v3" if key_identifier else "v1")
    assert fields["encap_content_info"]["content_type"].native == "data"
    assert fields["encap_content_info"]["content"].native == ours.content
    assert tuple(each.dump() for each in fields["certificates"]) == ours.certificates
    assert [each["algorithm"].native for each in fields["digest_algorithms"]] == [SCHEMES[scheme].digest.name]
    assert info["sid"].chosen.dump() == our_info.identifier
    assert info["digest_algorithm"]["algorithm"].native == our_info.scheme.digest.name
    assert info["signature"].native == our_info.signature
    assert info["signed_attrs"].untag().dump() == our_info.signed_attributes
    attributes = {each["type"].native: each["values"].native for each in info["signed_attrs"]}
    (listed,) = attributes.pop("signing_certificate_v2")
    assert [each["cert_hash"] for each in listed["certs"]][:1] == [by.certificate.fingerprint]
    assert attributes == {
        "content_type": ["data"],
        "message_digest": [SCHEMES[scheme].digest.digest(CONTENT)],
        "signing_time": [MOMENT],
    }


@pytest.mark.requirement("3851-3.7-1")
def test_certificates_only_holds_certificates_only(pki: PKI, juliet: Entity) -> None:
    data = certificates_only([juliet.parsed, pki.intermediate.parsed])
    theirs = asn1crypto_cms.ContentInfo.load(data, strict=True)["content"]
    assert len(theirs["signer_infos"]) == len(theirs["digest_algorithms"]) == 0
    assert theirs["encap_content_info"]["content"].native is None
    parsed = parse_signed_data(data)
    assert set(parsed.certificates) == {juliet.der, pki.intermediate.der}
    with pytest.raises(SignatureError) as caught:
        parsed.verify(CertificatePool(), content=b"")
    assert caught.value.reason == "unsigned"


# --------------------------------------------------------------------------- refusals


@pytest.mark.requirement("5652-5.6-1", "3923-2-9")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_detached_signature_over_other_content_is_refused(pki: PKI, scheme: str) -> None:
    data = sign(CONTENT, _signer(pki, scheme), signing_time=MOMENT, detached=True)
    for other in (CONTENT + b"!", CONTENT[:-1], b"", CONTENT.replace(b"\r\n", b"\n")):
        with pytest.raises(SignatureError) as caught:
            parse_signed_data(data).verify(CertificatePool(), content=other, allow_sha1=True)
        assert caught.value.reason == "invalid"


def test_content_has_to_be_there_once(signer: Signer) -> None:
    opaque = parse_signed_data(sign(CONTENT, signer, signing_time=MOMENT))
    detached = parse_signed_data(sign(CONTENT, signer, signing_time=MOMENT, detached=True))
    with pytest.raises(SignatureError) as twice:
        opaque.verify(CertificatePool(), content=CONTENT)
    with pytest.raises(SignatureError) as never:
        detached.verify(CertificatePool())
    assert twice.value.reason == never.value.reason == "invalid"


def test_sha1_is_refused_unless_a_policy_says_otherwise(pki: PKI) -> None:
    parsed = parse_signed_data(sign(CONTENT, _signer(pki, "rsa-sha1"), signing_time=MOMENT))
    with pytest.raises(SignatureError) as caught:
        parsed.verify(CertificatePool())
    assert caught.value.reason == "weak"
    assert parsed.verify(CertificatePool(), allow_sha1=True)[0] == CONTENT


@pytest.mark.requirement("3851-4.1-2")
def test_a_weak_key_is_refused(weak: Entity) -> None:
    parsed = parse_signed_data(signed_data(CONTENT, [_info(weak)], [weak.der]))
    with pytest.raises(SignatureError) as caught:
        parsed.verify(CertificatePool())
    assert caught.value.reason == "weak"


def test_a_signature_of_another_key_under_the_signers_name_is_refused(juliet: Entity, romeo: Entity) -> None:
    attributes = [CONTENT_IS_DATA, message_digest(CONTENT)]
    info = signer_info(romeo, attributes, identifier=juliet.parsed.issuer_and_serial)
    parsed = parse_signed_data(signed_data(CONTENT, [info], [juliet.der, romeo.der]))
    with pytest.raises(SignatureError) as caught:
        parsed.verify(CertificatePool([juliet.parsed, romeo.parsed]))
    assert caught.value.reason == "invalid"


def test_a_certificate_that_can_not_be_read_is_as_good_as_none(juliet: Entity) -> None:
    broken = juliet.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)
    data = signed_data(CONTENT, [_info(juliet)], [broken, b"\xa1\x02\x05\x00", juliet.der])
    assert parse_signed_data(data).verify(CertificatePool())[0] == CONTENT


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x30\x00", id="an empty sequence"),
        pytest.param(b"not ASN.1 at all", id="text"),
        pytest.param(sequence(ID_ENVELOPED_DATA, tlv(0xA0, sequence())), id="another content type"),
        pytest.param(signed_data(CONTENT, [sequence()]), id="an empty SignerInfo"),
        pytest.param(signed_data(CONTENT, [], kind=ID_ENVELOPED_DATA), id="content that is not id-data"),
    ],
)
def test_another_structure_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError, match="not a SignedData"):
        parse_signed_data(data)


def test_revocation_lists_in_the_object_are_handed_over_as_they_are(juliet: Entity) -> None:
    ocsp = tlv(0xA1, b"\x06\x01\x2a")  # OtherRevocationInfoFormat, which nobody here reads
    lists = [sequence(b"\x02\x01\x01"), sequence()]
    data = signed_data(CONTENT, [_info(juliet)], [juliet.der], crls=[lists[0], ocsp, lists[1]])
    parsed = parse_signed_data(data)
    assert parsed.crls == tuple(lists)
    assert parsed.verify(CertificatePool())[0] == CONTENT
    assert parse_signed_data(signed_data(CONTENT, [_info(juliet)], [juliet.der])).crls == ()


def test_no_more_than_sixteen_of_them_are_read(juliet: Entity) -> None:
    for number in (16, 17):
        data = signed_data(CONTENT, [_info(juliet)], crls=[sequence()] * number)
        if number == 16:
            assert len(parse_signed_data(data).crls) == 16
        else:
            with pytest.raises(MalformedError):
                parse_signed_data(data)


def test_content_with_something_behind_it_is_malformed(juliet: Entity) -> None:
    data = signed_data(CONTENT, [_info(juliet)])
    inside = tlv(0xA0, octet_string(CONTENT))
    assert inside in data
    rest = Reader(data).enter()
    kind, fields = rest.element(), Reader(rest.element()).enter(0xA0).enter().elements(limit=4)
    fields[2] = sequence(Reader(fields[2]).enter().element(), tlv(0xA0, octet_string(CONTENT), b"\x05\x00"))
    with pytest.raises(MalformedError):
        parse_signed_data(sequence(kind, tlv(0xA0, sequence(*fields))))


@given(data=st.binary(max_size=200))
def test_octets_are_malformed_and_nothing_else(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_signed_data(data)


@given(data=st.data())
def test_a_cut_off_object_is_malformed(signer: Signer, data: st.DataObject) -> None:
    whole = sign(CONTENT, signer, signing_time=MOMENT)
    with pytest.raises(MalformedError):
        parse_signed_data(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(rest=st.binary(min_size=1, max_size=100))
def test_what_follows_an_object_is_left_to_the_caller(signer: Signer, rest: bytes) -> None:
    data = sign(CONTENT, signer, signing_time=MOMENT)
    parsed = parse_signed_data(data + rest)
    assert parsed.size == len(data)
    assert parsed.verify(CertificatePool())[0] == CONTENT


@given(data=st.data(), rest=st.binary(max_size=9))
def test_a_streamed_object_is_read_as_its_der(signer: Signer, data: st.DataObject, rest: bytes) -> None:
    whole = sign(CONTENT, signer, signing_time=MOMENT)
    rewritten = data.draw(streamed(whole))
    parsed, expected = parse_signed_data(rewritten + rest), parse_signed_data(whole)
    assert parsed.size == len(rewritten)
    assert parsed.certificates == expected.certificates
    assert parsed.signer_infos == expected.signer_infos
    assert parsed.verify(CertificatePool())[0] == CONTENT


# --------------------------------------------------------------------------- several signers, and bounds


@given(st.data())
def test_a_streamed_object_is_read_where_it_was_secret_too(signer: Signer, data: st.DataObject) -> None:
    der = sign(CONTENT, signer, signing_time=MOMENT)
    ber = data.draw(streamed(der))
    assert parse_signed_data(ber, secret=True).signer_infos == parse_signed_data(der).signer_infos


def test_what_was_secret_and_begins_in_der_is_der(signer: Signer) -> None:
    """To rewrite it would take a time of its own, and a changed block may put 80 where a length is."""
    der = sign(CONTENT, signer, signing_time=MOMENT, certificates=False)
    version = der.index(b"\x02\x01\x01")
    ber = der[:version] + b"\x02\x81\x01\x01" + der[version + 3 :]
    for at in (2, 17, 21):  # the three lengths around it
        size = int.from_bytes(ber[at : at + 2], "big") + 1
        ber = ber[:at] + size.to_bytes(2, "big") + ber[at + 2 :]
    assert parse_signed_data(ber).signer_infos == parse_signed_data(der).signer_infos
    with pytest.raises(MalformedError, match="a length longer than it needs to be"):
        parse_signed_data(ber, secret=True)


def test_all_of_several_signatures_must_be_good(juliet: Entity, romeo: Entity) -> None:
    good = signed_data(CONTENT, [_info(juliet), _info(romeo)], [juliet.der, romeo.der])
    content, signer = parse_signed_data(good).verify(CertificatePool())
    assert content == CONTENT
    assert signer.certificate.der == juliet.der
    for infos in (
        [_info(juliet), _info(romeo, b"other")],
        [_info(juliet, b"other"), _info(romeo)],
    ):
        with pytest.raises(SignatureError) as caught:
            parse_signed_data(signed_data(CONTENT, infos, [juliet.der, romeo.der])).verify(CertificatePool())
        assert caught.value.reason == "invalid"


def test_an_unknown_second_signer_spoils_the_first(juliet: Entity, romeo: Entity) -> None:
    parsed = parse_signed_data(signed_data(CONTENT, [_info(juliet), _info(romeo)], [juliet.der]))
    with pytest.raises(SignatureError) as caught:
        parsed.verify(CertificatePool())
    assert caught.value.reason == "unknown-signer"


def test_four_signers_are_read_and_five_are_not(juliet: Entity) -> None:
    info = _info(juliet)
    assert len(parse_signed_data(signed_data(CONTENT, [info] * 4)).signer_infos) == 4
    with pytest.raises(MalformedError, match="more than 4"):
        parse_signed_data(signed_data(CONTENT, [info] * 5))


@pytest.mark.requirement("3850-2.3-1")
def test_sixteen_certificates_are_read_and_seventeen_are_not(juliet: Entity) -> None:
    infos = [_info(juliet)]
    assert len(parse_signed_data(signed_data(CONTENT, infos, [juliet.der] * 16)).certificates) == 16
    with pytest.raises(MalformedError, match="more than 16"):
        parse_signed_data(signed_data(CONTENT, infos, [juliet.der] * 17))


@pytest.mark.requirement("3851-2.6-2")
def test_no_more_than_eight_certificates_are_tried(pki: PKI, juliet: Entity) -> None:
    """Many certificates with the signer's key identifier, all but the last one with another key."""
    names = (pki["romeo"], pki["rsa-3072"])
    assert juliet.parsed.key_identifier is not None
    decoys = [_decoy(each, juliet) for each in names for _ in range(4)]
    attributes = [CONTENT_IS_DATA, message_digest(CONTENT)]
    info = signer_info(juliet, attributes, identifier=juliet.parsed.key_identifier)
    pool = CertificatePool([juliet.parsed])
    parsed = parse_signed_data(signed_data(CONTENT, [info], [each.der for each in decoys[:7]]))
    assert parsed.verify(pool)[1].certificate.der == juliet.der
    parsed = parse_signed_data(signed_data(CONTENT, [info], [each.der for each in decoys]))
    with pytest.raises(SignatureError) as caught:
        parsed.verify(pool)
    assert caught.value.reason == "invalid"
    parsed = parse_signed_data(signed_data(CONTENT, [info] * 2, [each.der for each in decoys[:7]]))
    with pytest.raises(SignatureError, match="too many certificates") as caught:
        parsed.verify(pool)
    assert caught.value.reason == "invalid"


def _decoy(entity: Entity, named: Entity) -> ParsedCertificate:
    """Return a certificate for the one's key with the other's key identifier."""
    made = Entity("decoy", entity.key, make_certificate(entity.key, "decoy", jid="romeo@example.net"))
    assert named.parsed.key_identifier is not None
    ours, theirs = made.parsed.key_identifier, named.parsed.key_identifier
    assert ours is not None
    parsed = CertificatePool().parse(made.der.replace(ours[2:], theirs[2:]))
    assert parsed is not None
    assert parsed.key_identifier == theirs
    return parsed


# --------------------------------------------------------------------------- signers that can't be


@pytest.mark.requirement("3851-3.8-1")
def test_a_signer_needs_the_key_of_the_certificate(juliet: Entity, romeo: Entity) -> None:
    with pytest.raises(CertificateError, match="not the one of the certificate"):
        Signer(romeo.key, juliet.parsed)


def test_a_signer_needs_a_strong_key(weak: Entity) -> None:
    with pytest.raises(CertificateError, match="1024 bits"):
        Signer(weak.key, weak.parsed)


@pytest.mark.parametrize(("name", "scheme"), [("juliet", "ed25519"), ("p-256", "rsa-sha256")])
def test_a_signer_needs_a_scheme_of_its_kind_of_key(pki: PKI, name: str, scheme: str) -> None:
    with pytest.raises(CertificateError, match=scheme):
        Signer(pki[name].key, pki[name].parsed, scheme=SCHEMES[scheme])


def test_a_signer_named_by_key_identifier_needs_one(juliet: Entity) -> None:
    bare = make_certificate(juliet.key, "Juliet", jid="juliet@example.com", subject_key_identifier=False)
    with pytest.raises(CertificateError, match="subjectKeyIdentifier"):
        Signer(juliet.key, ParsedCertificate.from_x509(bare), key_identifier=True)


def test_a_signer_without_a_key_identifier_is_not_found_by_an_empty_one(juliet: Entity) -> None:
    bare = make_certificate(juliet.key, "Juliet", jid="juliet@example.com", subject_key_identifier=False)
    attributes = [CONTENT_IS_DATA, message_digest(CONTENT)]
    info = signer_info(juliet, attributes, identifier=tlv(CONTEXT, b""))
    pool = CertificatePool([ParsedCertificate.from_x509(bare)])
    with pytest.raises(SignatureError) as caught:
        parse_signed_data(signed_data(CONTENT, [info])).verify(pool)
    assert caught.value.reason == "unknown-signer"
