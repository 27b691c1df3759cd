"""The certificates that come along are those that the signer lists, or he lists none (RFC 5035)."""

import pytest
from asn1crypto import core, tsp

from slixmpp_e2e.cms.algorithms import SHA256, SHA384, SHA512
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, SET, octet_string, sequence, tlv
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.signed_data import Signer, parse_signed_data, sign
from slixmpp_e2e.cms.signing_certificate import (
    SIGNING_CERTIFICATE_V2,
    are_listed,
    means_signer,
    read_signing_certificates,
    signing_certificate_attribute,
)
from slixmpp_e2e.errors import SignatureError
from tests.cms.forge import CONTENT_IS_DATA, SIGNED_NOW, attribute, message_digest, signed_data, signer_info
from tests.pki import MOMENT, PKI

CONTENT = b"Wherefore art thou?"
ONE, TWO, THREE = b"\x30\x01a", b"\x30\x02bc", b"\x30\x03def"
ONE_TOO = b"\x30\x01b"  # as long as the first


def hashes(*certificates: bytes) -> tuple[bytes, ...]:
    return tuple(SHA256.digest(each) for each in certificates)


@pytest.mark.requirement("3851-2.5-3")
def test_who_sends_certificates_lists_them_and_who_sends_none_does_not(pki: PKI):
    by = Signer(pki["juliet"].key, pki["juliet"].parsed, [pki.intermediate.parsed])
    for certificates in (True, False):
        found = parse_signed_data(sign(CONTENT, by, signing_time=MOMENT, certificates=certificates))
        _, signer = found.verify(CertificatePool([pki["juliet"].parsed]))
        listed = read_signing_certificates(signer.attributes)
        assert listed == (hashes(pki["juliet"].der, pki.intermediate.der) if certificates else ())
        found.check_listed(signer)


@pytest.mark.requirement("3851-2.5-3")
def test_asn1crypto_reads_the_same_list():
    value = signing_certificate_attribute([ONE, TWO])
    fields = core.Sequence.load(value)
    assert fields[0].dotted == "1.2.840.113549.1.9.16.2.47"
    theirs = tsp.SigningCertificateV2.load(fields[1].contents)
    assert [each["cert_hash"].native for each in theirs["certs"]] == list(hashes(ONE, TWO))
    assert [each["hash_algorithm"]["algorithm"].native for each in theirs["certs"]] == ["sha256", "sha256"]


@pytest.mark.requirement("3851-2.5-3")
@pytest.mark.parametrize(
    ("came_along", "listed", "wanted"),
    [
        ([ONE, TWO], [], True),  # nobody says anything
        ([ONE, TWO], [ONE, TWO], True),
        ([TWO, ONE], [ONE, TWO], True),
        ([ONE], [ONE, TWO], True),  # the issuer stays at home
        ([], [ONE, TWO], True),
        ([ONE, TWO], [TWO, ONE], False),  # the signer's is listed first
        ([ONE, THREE], [ONE, TWO], False),
        ([ONE, TWO, THREE], [ONE, TWO], False),
        ([ONE, tlv(CONSTRUCTED, b"x")], [ONE, TWO], False),  # something else than a certificate
        ([ONE], [ONE], True),
        ([ONE_TOO], [ONE], False),
        ([ONE, TWO], [ONE], True),  # others list their own alone
        ([TWO, THREE], [ONE], False),
        ([], [ONE], True),
    ],
)
def test_what_comes_along_is_what_is_listed_as_far_as_something_is_said(came_along, listed, wanted):
    assert are_listed(came_along, ONE, hashes(*listed)) is wanted


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x02\x01\x05",
        sequence(),
        sequence(sequence(sequence(sequence(b"\x06\x01\x05"), octet_string(b"x" * 64)))),  # another digest
        sequence(sequence(*[sequence(octet_string(b"x"))] * 17)),
    ],
)
def test_a_list_that_is_none_of_ours_says_nothing(value):
    assert read_signing_certificates({SIGNING_CERTIFICATE_V2: tlv(SET, value)}) == ()


def test_sixteen_are_read_and_no_more_and_one_list_only():
    sixteen = sequence(sequence(*[sequence(octet_string(b"x"))] * 16))
    assert read_signing_certificates({SIGNING_CERTIFICATE_V2: tlv(SET, sixteen)}) == (b"x",) * 16
    assert read_signing_certificates({SIGNING_CERTIFICATE_V2: tlv(SET, sixteen, sixteen)}) == ()


def test_an_issuer_of_hash_and_number_and_policies_may_stand_beside(pki: PKI):
    value = sequence(sequence(sequence(octet_string(SHA256.digest(ONE)), sequence())), sequence())
    attributes = [CONTENT_IS_DATA, SIGNED_NOW, message_digest(CONTENT)]
    forged = signed_data(
        CONTENT, [signer_info(pki["juliet"], [*attributes, attribute(SIGNING_CERTIFICATE_V2, value)])]
    )
    found = parse_signed_data(forged)
    assert read_signing_certificates(found.signer_infos[0].attributes) == hashes(ONE)
    with pytest.raises(SignatureError, match="another certificate") as caught:
        found.verify(CertificatePool([pki["juliet"].parsed]))
    assert caught.value.reason == "invalid"


@pytest.mark.parametrize("digest", [SHA256, SHA384, SHA512])
@pytest.mark.parametrize("certificate", ["juliet", "p-256"])
@pytest.mark.parametrize("signers", [1, 2])
def test_the_first_that_is_listed_is_the_signers_by_whatever_digest(pki: PKI, digest, certificate, signers):
    """Wherever the certificate comes from, and whichever of the signatures says it (RFC 5035 4)."""
    identifier = sequence(digest.algorithm_identifier, octet_string(digest.digest(pki[certificate].der)))
    saying = attribute(SIGNING_CERTIFICATE_V2, sequence(sequence(identifier)))
    attributes = [CONTENT_IS_DATA, SIGNED_NOW, message_digest(CONTENT)]
    infos = [signer_info(pki["juliet"], attributes)] * (signers - 1)
    found = parse_signed_data(
        signed_data(CONTENT, [*infos, signer_info(pki["juliet"], [*attributes, saying])])
    )
    pool = CertificatePool([pki["juliet"].parsed])
    if certificate == "juliet":
        assert found.verify(pool)[0] == CONTENT
    else:
        with pytest.raises(SignatureError, match="another certificate"):
            found.verify(pool)


@pytest.mark.parametrize(
    "value", [b"", b"\x02\x01\x05", sequence(), sequence(sequence()), sequence(sequence(b"\x05\0"))]
)
def test_a_list_that_nobody_can_read_means_nobody_else(value):
    assert means_signer({SIGNING_CERTIFICATE_V2: tlv(SET, value)}, ONE)
    unknown = sequence(sequence(sequence(sequence(b"\x06\x01\x05"), octet_string(b"x" * 64))))
    assert means_signer({SIGNING_CERTIFICATE_V2: tlv(SET, unknown)}, ONE)
    assert means_signer({}, ONE)
