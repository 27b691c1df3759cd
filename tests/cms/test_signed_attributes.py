"""What is demanded of signed attributes (RFC 5652 5.3, 5.4, 11): each object here has a valid signature."""

import pytest

from slixmpp_e2e.cms.algorithms import ID_DATA, ID_ENVELOPED_DATA, SHA1, SHA256, SHA384, SHA512
from slixmpp_e2e.cms.asn1 import SET, UTF8_STRING, octet_string, oid, sequence, time, tlv
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.signatures import SCHEMES
from slixmpp_e2e.cms.signed_data import CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME, parse_signed_data
from slixmpp_e2e.errors import MalformedError, SignatureError
from tests.cms.forge import CONTENT_IS_DATA, SIGNED_NOW, attribute, message_digest, signed_data, signer_info
from tests.pki import MOMENT, Entity

CONTENT = b"Wherefore art thou Romeo?"
DIGEST = message_digest(CONTENT)
_ANOTHER = sequence(oid("1.2.840.113549.1.9.15"), tlv(SET, sequence()))


def _verify(entity: Entity, *attributes: bytes) -> bytes:
    data = signed_data(CONTENT, [signer_info(entity, attributes)], [entity.der])
    return parse_signed_data(data).verify(CertificatePool())[0]


@pytest.mark.requirement("3851-2.5-1")
def test_content_type_and_message_digest_are_enough(juliet: Entity) -> None:
    assert _verify(juliet, CONTENT_IS_DATA, DIGEST) == CONTENT


@pytest.mark.requirement("3851-2.5-1", "3851-2.5-4")
def test_attributes_in_any_order_are_read_as_they_were_signed(juliet: Entity) -> None:
    assert _verify(juliet, DIGEST, _ANOTHER, SIGNED_NOW, CONTENT_IS_DATA) == CONTENT


@pytest.mark.requirement("3851-2.5-1", "5652-5.3-1", "5652-5.6-2")
@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param([], id="none at all"),
        pytest.param([DIGEST], id="contentType missing"),
        pytest.param([CONTENT_IS_DATA], id="messageDigest missing"),
        pytest.param([CONTENT_IS_DATA, CONTENT_IS_DATA, DIGEST], id="contentType twice"),
        pytest.param([CONTENT_IS_DATA, DIGEST, DIGEST], id="messageDigest twice"),
        pytest.param([CONTENT_IS_DATA, DIGEST, SIGNED_NOW, SIGNED_NOW], id="signingTime twice"),
        pytest.param([CONTENT_IS_DATA, DIGEST, _ANOTHER, _ANOTHER], id="any attribute twice"),
        pytest.param([attribute(CONTENT_TYPE, ID_DATA, ID_DATA), DIGEST], id="contentType with two values"),
        pytest.param([attribute(CONTENT_TYPE), DIGEST], id="contentType without a value"),
        pytest.param([attribute(CONTENT_TYPE, ID_ENVELOPED_DATA), DIGEST], id="another contentType"),
        pytest.param(
            [CONTENT_IS_DATA, DIGEST, attribute(SIGNING_TIME, time(MOMENT), time(MOMENT))],
            id="signingTime with two values",
        ),
        pytest.param([CONTENT_IS_DATA, DIGEST, attribute(SIGNING_TIME)], id="signingTime without a value"),
        pytest.param(
            [CONTENT_IS_DATA, DIGEST, attribute(SIGNING_TIME, tlv(UTF8_STRING, b"now"))],
            id="signingTime of another kind",
        ),
        pytest.param([CONTENT_IS_DATA, DIGEST, sequence(oid("1.2.3"))], id="an attribute without values"),
        pytest.param(
            [CONTENT_IS_DATA, DIGEST, sequence(oid("1.2.3"), tlv(SET, b""), tlv(SET, b""))],
            id="an attribute with something behind",
        ),
        pytest.param(
            [CONTENT_IS_DATA, DIGEST, *(attribute(oid(f"1.2.{n}"), b"\x05\x00") for n in range(31))],
            id="33 attributes",
        ),
    ],
)
def test_attributes_against_the_rules_are_malformed(juliet: Entity, attributes: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        _verify(juliet, *attributes)


@pytest.mark.requirement("3851-2.5-4")
def test_32_attributes_are_read(juliet: Entity) -> None:
    others = (attribute(oid(f"1.2.{n}"), b"\x05\x00") for n in range(30))
    assert _verify(juliet, CONTENT_IS_DATA, DIGEST, *others) == CONTENT


@pytest.mark.requirement("5652-5.6-1", "5652-5.6-2")
@pytest.mark.parametrize(
    "digest",
    [
        pytest.param(message_digest(b"other content"), id="of other content"),
        pytest.param(message_digest(CONTENT, SHA384), id="by another digest"),
        pytest.param(attribute(MESSAGE_DIGEST), id="without a value"),
        pytest.param(attribute(MESSAGE_DIGEST, octet_string(b"")), id="empty"),
        pytest.param(
            attribute(MESSAGE_DIGEST, *[octet_string(SHA256.digest(CONTENT))] * 2), id="with two values"
        ),
        pytest.param(
            attribute(MESSAGE_DIGEST, octet_string(SHA256.digest(CONTENT)[:20])), id="cut to twenty octets"
        ),
        pytest.param(
            attribute(MESSAGE_DIGEST, octet_string(SHA256.digest(CONTENT)), octet_string(bytes(32))),
            id="with another one behind",
        ),
    ],
)
def test_a_message_digest_that_is_not_the_contents_is_refused(juliet: Entity, digest: bytes) -> None:
    with pytest.raises(SignatureError) as caught:
        _verify(juliet, CONTENT_IS_DATA, digest)
    assert caught.value.reason == "invalid"


def test_a_signature_without_signed_attributes_is_refused(juliet: Entity) -> None:
    info = signer_info(juliet, None, over=CONTENT)
    with pytest.raises(MalformedError):
        parse_signed_data(signed_data(CONTENT, [info], [juliet.der]))


def test_signed_attributes_can_not_be_passed_off_as_content(juliet: Entity) -> None:
    """The attributes that Juliet signed become the content, and no signed attributes are left over."""
    attributes = tlv(SET, CONTENT_IS_DATA, DIGEST)
    info = signer_info(juliet, None, over=attributes)
    with pytest.raises(MalformedError):
        parse_signed_data(signed_data(attributes, [info], [juliet.der]))


def test_a_signature_over_the_implicit_tag_is_refused(juliet: Entity) -> None:
    """RFC 5652 5.4: what is signed begins with the tag of SET OF, not with the one on the wire."""
    attributes = CONTENT_IS_DATA + DIGEST
    info = signer_info(juliet, [attributes], over=tlv(0xA0, attributes))
    with pytest.raises(SignatureError) as caught:
        parse_signed_data(signed_data(CONTENT, [info], [juliet.der])).verify(CertificatePool())
    assert caught.value.reason == "invalid"


def test_unsigned_attributes_are_not_believed(juliet: Entity) -> None:
    forged = tlv(0xA1, attribute(SIGNING_TIME, time(MOMENT)))
    info = signer_info(juliet, [CONTENT_IS_DATA, DIGEST], unsigned=forged)
    _, signer = parse_signed_data(signed_data(CONTENT, [info], [juliet.der])).verify(CertificatePool())
    assert signer.signing_time is None
    assert SIGNING_TIME not in signer.attributes


def test_nothing_follows_the_unsigned_attributes(juliet: Entity) -> None:
    unsigned = tlv(0xA1, attribute(SIGNING_TIME, time(MOMENT)))
    info = signer_info(juliet, [CONTENT_IS_DATA, DIGEST], unsigned=unsigned + b"\x05\x00")
    with pytest.raises(MalformedError, match="left over"):
        parse_signed_data(signed_data(CONTENT, [info], [juliet.der]))


@pytest.mark.parametrize("named", [SHA1, SHA384, SHA512], ids=lambda digest: digest.name)
@pytest.mark.parametrize("made_with", ["rsa-pss-sha256", "ecdsa-sha256"])
def test_a_digest_named_that_the_scheme_does_not_use_is_refused(pki, named, made_with) -> None:
    entity = pki["juliet" if "rsa" in made_with else "p-256"]
    attributes = [CONTENT_IS_DATA, message_digest(CONTENT, named)]
    info = signer_info(entity, attributes, scheme=SCHEMES[made_with], digest=named)
    with pytest.raises(MalformedError):
        parse_signed_data(signed_data(CONTENT, [info], [entity.der]))


def test_the_digest_of_a_plain_rsa_signature_is_the_one_named(juliet: Entity) -> None:
    """Here the algorithm names no digest, so the one beside it is used, and the signature is over another."""
    attributes = [CONTENT_IS_DATA, message_digest(CONTENT, SHA512)]
    info = signer_info(juliet, attributes, scheme=SCHEMES["rsa-sha256"], digest=SHA512)
    with pytest.raises(SignatureError) as caught:
        parse_signed_data(signed_data(CONTENT, [info], [juliet.der])).verify(CertificatePool())
    assert caught.value.reason == "invalid"


def test_an_ed25519_signature_goes_with_sha512_only(pki) -> None:
    attributes = [CONTENT_IS_DATA, DIGEST]
    info = signer_info(pki["ed25519"], attributes, scheme=SCHEMES["ed25519"], digest=SHA256)
    with pytest.raises(MalformedError):  # RFC 8419 3.1
        parse_signed_data(signed_data(CONTENT, [info], [pki["ed25519"].der]))
