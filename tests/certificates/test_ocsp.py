"""What OCSP responders say, and who may say it (RFC 6960)."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.ocsp import (
    MAX_OCTETS,
    SKEW,
    WITHOUT_NEXT_UPDATE,
    OCSPResponse,
    build_request,
)
from slixmpp_e2e.certificates.ocsp_responses import OCSPResponses
from slixmpp_e2e.certificates.revocation_status import RevocationState, Status
from slixmpp_e2e.errors import RevocationError
from tests.certificates import responses as answers
from tests.certificates.building import (
    ANY,
    LISTED,
    REVOKED_ON,
    authority,
    end_entity,
    key_usage,
    new_key,
    purposes,
)
from tests.certificates.building import with_sha1 as certificate_with_sha1
from tests.certificates.responses import about_two, changed, responder, response, with_sha1
from tests.pki import MOMENT, PKI, VALID_UNTIL, Entity

GOOD, REVOKED, UNKNOWN, EXPIRED = RevocationState
DAY = timedelta(days=1)
OCSP = purposes(ExtendedKeyUsageOID.OCSP_SIGNING)
UNHEARD_OF = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")


@pytest.fixture(scope="module")
def leaf(root) -> Entity:
    return end_entity(issuer=root)


@pytest.fixture(scope="module")
def delegate(root) -> Entity:
    return responder(root)


def status(leaf: Entity, issuer: Entity, *found: bytes, at=MOMENT, revoked: Entity | None = None) -> Status:
    known = OCSPResponses()
    for der in found:
        known.put(OCSPResponse.from_der(der))
    return known.status(
        leaf.certificate,
        issuer.certificate,
        at=at,
        is_revoked=lambda each: revoked is not None and each == revoked.certificate,
    )


def why(der: bytes, issuer: Entity) -> str:
    """Return why nobody may believe a response."""
    with pytest.raises(RevocationError) as caught:
        OCSPResponse.from_der(der).responder(issuer.certificate)
    return str(caught.value)


class TestRequest:
    def test_it_names_one_certificate_by_sha1_and_has_no_nonce(self, root, leaf):
        found = ocsp.load_der_ocsp_request(build_request(leaf.certificate, root.certificate))
        assert found.serial_number == leaf.certificate.serial_number
        assert found.hash_algorithm.name == "sha1"
        assert len(found.extensions) == 0


class TestStates:
    @pytest.mark.requirement("6120-13.7.2-1")
    def test_good_until_the_next_update(self, root, leaf):
        der = response(root, leaf, until=MOMENT + DAY)
        assert status(leaf, root, der) == Status(GOOD, until=MOMENT + DAY)
        assert OCSPResponse.from_der(der).entry is None
        assert status(leaf, root, der, at=MOMENT + DAY + timedelta(seconds=1)).state is EXPIRED

    @pytest.mark.requirement("6120-13.7.2-1")
    def test_revoked_since_a_day_for_a_reason(self, root, leaf):
        der = response(root, leaf, answers.REVOKED, reason=x509.ReasonFlags.certificate_hold)
        found = status(leaf, root, der)
        assert (found.state, found.certificate) == (REVOKED, leaf.certificate)
        assert (found.entry.since, found.entry.reason) == (REVOKED_ON, "certificateHold")

    def test_revoked_stays_revoked_beyond_the_next_update(self, root, leaf):
        der = response(root, leaf, answers.REVOKED, until=LISTED + DAY)
        found = status(leaf, root, der)
        assert (found.state, found.entry.reason) == (REVOKED, "unspecified")

    def test_what_a_responder_does_not_know_is_unknown(self, root, leaf):
        assert status(leaf, root, response(root, leaf, answers.UNKNOWN)).state is UNKNOWN

    def test_without_a_next_update_it_counts_for_a_short_time(self, root, leaf):
        der = response(root, leaf, until=None, issued=MOMENT)
        assert status(leaf, root, der).until == MOMENT + timedelta(hours=1)
        assert status(leaf, root, der, at=MOMENT + WITHOUT_NEXT_UPDATE + SKEW).state is EXPIRED

    def test_what_is_of_the_future_does_not_count_yet(self, root, leaf):
        der = response(root, leaf, issued=MOMENT)
        assert timedelta(minutes=5) == SKEW
        assert status(leaf, root, der, at=MOMENT - SKEW).state is GOOD
        assert status(leaf, root, der, at=MOMENT - SKEW - timedelta(seconds=1)).state is UNKNOWN

    def test_the_newest_counts_whatever_came_last(self, root, leaf):
        old = response(root, leaf, issued=LISTED)
        new = response(root, leaf, answers.REVOKED, issued=LISTED + DAY, algorithm=hashes.SHA256())
        newest = response(root, leaf, issued=LISTED + 2 * DAY)
        for order in ((old, new), (new, old)):
            assert status(leaf, root, *order).state is REVOKED
            assert status(leaf, root, newest, *order).state is GOOD

    def test_it_is_about_one_certificate_of_one_issuer(self, root, leaf):
        der = response(root, leaf)
        other = end_entity(issuer=root)
        assert status(other, root, der).state is UNKNOWN
        same_name = authority("Root")
        same_serial = Entity("", leaf.key, leaf.certificate)
        assert status(same_serial, same_name, der).state is UNKNOWN
        found = OCSPResponse.from_der(der)
        assert found.is_about(leaf.certificate, root.certificate)
        assert not found.is_about(other.certificate, root.certificate)
        assert not found.is_about(leaf.certificate, same_name.certificate)


class TestWhoMayAnswer:
    @pytest.mark.parametrize("by", list(ocsp.OCSPResponderEncoding))
    def test_the_issuer_and_whom_it_charged_with_it(self, root, leaf, delegate, by):
        assert status(leaf, root, response(root, leaf, by=by)).state is GOOD
        der = response(root, leaf, signer=delegate, by=by)
        assert status(leaf, root, der).state is GOOD
        assert OCSPResponse.from_der(der).responder(root.certificate) == delegate.certificate

    @pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()], ids=lambda each: each.name)
    def test_certificates_are_named_by_sha1_or_sha256(self, root, leaf, algorithm):
        assert status(leaf, root, response(root, leaf, algorithm=algorithm)).state is GOOD
        named_otherwise = response(root, leaf, algorithm=hashes.SHA384())
        assert status(leaf, root, named_otherwise).state is UNKNOWN

    def test_with_any_key_that_may_sign_a_certificate(self, root, leaf, pki: PKI):
        key = ed25519.Ed25519PrivateKey.generate()
        assert status(leaf, root, response(root, leaf, signer=responder(root, key=key))).state is GOOD
        juliet = pki["juliet"]
        assert status(juliet, pki.intermediate, response(pki.intermediate, juliet)).state is GOOD

    def test_nobody_else_however_he_is_called(self, root, leaf):
        stranger = authority("Root")
        assert "not there" in why(response(root, leaf, signer=stranger, attached=[]), root)
        by_name = ocsp.OCSPResponderEncoding.NAME
        assert "no certificate of that issuer" in why(response(root, leaf, signer=stranger, by=by_name), root)
        assert status(leaf, root, response(root, leaf, signer=stranger)).state is UNKNOWN

    def test_a_signature_of_another_key_is_none(self, root, leaf, delegate):
        assert "not its responder's" in why(response(root, leaf, key=new_key()), root)
        assert "not its responder's" in why(response(root, leaf, signer=delegate, key=new_key()), root)

    def test_a_changed_answer_is_nobodys(self, root, leaf):
        der = response(root, leaf, issued=LISTED)
        later = changed(der, lambda signed, *rest: (signed.replace(b"20261101", b"20261102"), *rest))
        assert later != der
        assert "not its responder's" in why(later, root)

    def test_without_a_signature_it_is_nobodys(self, root, leaf):
        empty = changed(
            response(root, leaf), lambda signed, algorithm, _: (signed, algorithm, b"\x03\x01\x00")
        )
        assert "not its responder's" in why(empty, root)

    def test_sha1_is_too_weak(self, pki: PKI):
        der = with_sha1(response(pki.intermediate, pki["juliet"]), pki.intermediate.key)
        assert "unknown or weak" in why(der, pki.intermediate)

    @pytest.mark.parametrize(
        ("extensions", "reason"),
        [
            ((key_usage("digital_signature"),), "not for OCSP"),
            ((purposes(ANY),), "not for OCSP"),
            ((purposes(ExtendedKeyUsageOID.EMAIL_PROTECTION),), "not for OCSP"),
            ((OCSP, key_usage("key_encipherment")), "does not allow signatures"),
            ((OCSP, x509.BasicConstraints(ca=True, path_length=None)), "a CA's"),
            (
                (OCSP, x509.NameConstraints([x509.DNSName("example.com")], None)),
                "critical extension 2.5.29.30",
            ),
        ],
    )
    def test_a_responder_needs_a_certificate_for_it(self, root, leaf, extensions, reason):
        assert reason in why(response(root, leaf, signer=responder(root, *extensions)), root)

    def test_what_a_responders_certificate_may_have_besides(self, root, leaf):
        for extra in (
            x509.OCSPNoCheck(),
            key_usage("content_commitment"),
            x509.BasicConstraints(ca=False, path_length=None),
        ):
            delegate = responder(root, OCSP, extra)
            assert status(leaf, root, response(root, leaf, signer=delegate)).state is GOOD

    def test_it_must_be_from_that_issuer_itself(self, root, leaf):
        middle = authority("Middle", issuer=root)
        below = responder(middle)
        assert "no certificate of that issuer" in why(
            response(root, leaf, signer=below, attached=[below, middle]), root
        )

    def test_it_must_be_valid_when_he_answers(self, root, leaf):
        for options in ({"valid_until": LISTED}, {"valid_from": VALID_UNTIL - DAY}):
            delegate = responder(root, **options)
            assert "not valid when" in why(response(root, leaf, signer=delegate), root)

    def test_an_answer_is_good_no_longer_than_his_certificate_is_valid(self, root, leaf):
        end = datetime(2048, 1, 1, tzinfo=UTC)
        der = response(root, leaf, signer=responder(root, valid_until=end))
        assert status(leaf, root, der).until == end
        assert status(leaf, root, der, at=end + DAY).state is EXPIRED

    def test_a_weak_certificate_is_none(self, pki: PKI):
        issuer = pki.intermediate
        plain = responder(issuer)
        sha1 = x509.load_der_x509_certificate(certificate_with_sha1(plain.der, issuer.key))
        small = responder(issuer, key=rsa.generate_private_key(public_exponent=65537, key_size=1024))
        for weak in (Entity("sha1", plain.key, sha1), small):
            found = why(response(issuer, pki["juliet"], signer=weak), issuer)
            assert "no certificate of that issuer" in found or "1024" in found

    def test_who_was_revoked_says_nothing_any_more(self, root, leaf, delegate):
        der = response(root, leaf, signer=delegate)
        assert status(leaf, root, der, revoked=delegate).state is UNKNOWN

    def test_of_many_certificates_that_come_along_the_first_are_looked_at(self, root, leaf, delegate):
        others = [responder(root, name=str(number)) for number in range(8)]
        assert (
            status(leaf, root, response(root, leaf, signer=delegate, attached=[*others[:7], delegate])).state
            is GOOD
        )
        late = response(root, leaf, signer=delegate, attached=[*others, delegate])
        assert "not there" in why(late, root)


class TestReading:
    @pytest.mark.parametrize(
        "refusal", [each for each in ocsp.OCSPResponseStatus if each.name != "SUCCESSFUL"], ids=str
    )
    def test_a_responder_that_gives_no_answer(self, refusal):
        der = ocsp.OCSPResponseBuilder.build_unsuccessful(refusal).public_bytes(Encoding.DER)
        with pytest.raises(RevocationError, match=refusal.name.lower()):
            OCSPResponse.from_der(der)

    def test_one_answer_at_a_time(self, root, leaf):
        with pytest.raises(RevocationError, match="several"):
            OCSPResponse.from_der(about_two(response(root, leaf)))

    def test_what_is_critical_and_not_known(self, root, leaf):
        assert OCSPResponse.from_der(response(root, leaf, extensions=[(UNHEARD_OF, False)]))
        with pytest.raises(RevocationError, match="critical"):
            OCSPResponse.from_der(response(root, leaf, extensions=[(UNHEARD_OF, True)]))

    def test_what_ends_before_it_begins(self, root, leaf):
        der = response(root, leaf, issued=LISTED, until=LISTED + DAY)
        turned = changed(der, lambda signed, *rest: (signed.replace(b"20261102", b"20261002"), *rest))
        with pytest.raises(RevocationError, match="before it begins"):
            OCSPResponse.from_der(turned)
        assert OCSPResponse.from_der(response(root, leaf, issued=LISTED, until=LISTED)).until == LISTED

    def test_what_is_too_large(self):
        assert MAX_OCTETS == 64 * 1024
        for more, refused in ((0, "that can be read"), (1, "octets")):
            with pytest.raises(RevocationError, match=refused):
                OCSPResponse.from_der(b"\x30" * (MAX_OCTETS + more))

    @given(st.binary(max_size=300))
    def test_any_octets_are_refused_without_another_exception(self, octets):
        with pytest.raises(RevocationError):
            OCSPResponse.from_der(octets)

    @given(st.data())
    def test_any_change_is_refused_without_another_exception(self, data):
        octets = bytearray(RESPONSE)
        for _ in range(data.draw(st.integers(1, 3))):
            octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
        if bytes(octets) == RESPONSE:
            return
        try:
            found = OCSPResponse.from_der(bytes(octets))
            found.responder(ROOT.certificate)
        except RevocationError:
            return
        # what is outside the signature may change: which certificates came along, and how it is wrapped
        assert found.response.tbs_response_bytes == ocsp.load_der_ocsp_response(RESPONSE).tbs_response_bytes


ROOT = authority("Root of a changed response")
RESPONSE = response(ROOT, end_entity(issuer=ROOT), signer=responder(ROOT))


class TestKeeping:
    def test_the_same_again_changes_nothing(self, root, leaf):
        known, found = OCSPResponses(), response(root, leaf)
        assert known.put(OCSPResponse.from_der(found))
        generation = known.generation
        assert not known.put(OCSPResponse.from_der(found))
        assert known.generation == generation
        assert len(known) == 1

    def test_what_does_not_verify_is_forgotten(self, root, leaf):
        known = OCSPResponses()
        forged = [response(root, leaf, key=new_key(), issued=LISTED + DAY) for _ in range(3)]
        for der in (*forged, response(root, leaf, answers.REVOKED)):
            known.put(OCSPResponse.from_der(der))
        found = known.status(leaf.certificate, root.certificate, at=MOMENT, is_revoked=lambda _: False)
        assert found.state is REVOKED
        other = end_entity(issuer=root)
        known.put(OCSPResponse.from_der(response(root, other, key=new_key())))
        assert len(known) == 2
        known.status(other.certificate, root.certificate, at=MOMENT, is_revoked=lambda _: False)
        assert len(known) == 1

    def test_it_is_bounded(self, root, leaf, monkeypatch):
        known, oldest = OCSPResponses(), response(root, leaf, issued=LISTED - DAY)
        known.put(OCSPResponse.from_der(oldest))
        for number in range(4):
            known.put(OCSPResponse.from_der(response(root, leaf, issued=LISTED + number * DAY)))
        assert known.put(OCSPResponse.from_der(oldest))  # it had been dropped
        monkeypatch.setattr("slixmpp_e2e.certificates.ocsp_responses._CERTIFICATES", 2)
        known = OCSPResponses()
        for _ in range(3):
            known.put(OCSPResponse.from_der(response(root, end_entity(issuer=root))))
        assert len(known) == 2
