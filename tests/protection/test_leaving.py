"""What leaves, to whom, with which certificates, and what does not leave."""

import re
from datetime import timedelta

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.arriving import Unprotected
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.cms.enveloped_data import parse_enveloped_data
from slixmpp_e2e.errors import (
    DECRYPTION_FAILED,
    CertificateError,
    InvalidStanzaError,
    NoCertificateError,
    RemoteError,
    UnprotectableError,
)
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.media import mime
from slixmpp_e2e.policy import Level
from slixmpp_e2e.protection import Protection
from tests.accounts import account
from tests.certificates.building import end_entity, key_usage
from tests.elements import stanza
from tests.formats.objects import (
    JULIET,
    ROMEO,
    outer,
)
from tests.pki import MOMENT, VALID_UNTIL, Entity
from tests.protection.ways import TEXT_MESSAGE, outcome, protect, refusal, unprotect


class TestLeaving:
    def test_off_is_not_a_way_to_protect(self, sender):
        with pytest.raises(UnprotectableError):
            protect(sender, level=Level.OFF)

    @pytest.mark.parametrize("level", [Level.REQUIRED, Level.OPPORTUNISTIC, Level.ENCRYPT_UNSIGNED])
    def test_without_a_certificate_of_the_peer_nothing_leaves(self, pki, juliet, clock, level):
        by = account(pki, juliet, clock)
        assert not by.can_encrypt_to(ROMEO)
        with pytest.raises(NoCertificateError, match=r"romeo@example\.net"):
            protect(by, level=level)
        assert protect(by, level=Level.SIGN)

    def test_a_certificate_that_nobody_vouches_for_is_none(self, pki, juliet, romeo, clock):
        assert not account(pki, juliet, clock, peers=[romeo], anchors=[]).can_encrypt_to(ROMEO)

    def test_a_certificate_that_may_not_encrypt_is_none(self, pki, juliet, romeo, clock):
        for extension in (key_usage("digital_signature"), key_usage("data_encipherment")):
            own = end_entity(extension, jid="romeo@example.net", issuer=pki.intermediate, key=romeo.key)
            assert not account(pki, juliet, clock, peers=[own]).can_encrypt_to(ROMEO)

    def test_a_key_that_cannot_decrypt_receives_nothing(self, pki, romeo, clock):
        by = account(pki, romeo, clock, peers=[pki["ed25519"]])
        assert not by.can_encrypt_to(JULIET)

    def test_an_elliptic_curve_key_that_may_only_sign_receives_nothing(self, pki, romeo, clock):
        own = end_entity(key_usage("digital_signature"), issuer=pki.intermediate)
        assert not account(pki, romeo, clock, peers=[own]).can_encrypt_to(JULIET)

    def test_with_an_expired_certificate_of_our_own_nothing_is_signed(self, sender, clock):
        clock.now += int((VALID_UNTIL - MOMENT + timedelta(seconds=1)).total_seconds()) * SECOND
        for level in (Level.SIGN, Level.REQUIRED):
            with pytest.raises((CertificateError, NoCertificateError)):
                protect(sender, level=level)
        with pytest.raises(CertificateError, match="our certificate is valid from"):
            protect(sender, level=Level.SIGN)

    def test_what_xml_cannot_carry_does_not_leave(self, sender):
        element = stanza(TEXT_MESSAGE)
        element[0].text = "\0"
        with pytest.raises(InvalidStanzaError):
            protect(sender, element)

    def test_every_certificate_of_the_peer_can_read_it(self, pki, juliet, romeo, clock):
        second = end_entity(jid="romeo@example.net", issuer=pki.intermediate, key=pki["rsa-3072"].key)
        text = protect(account(pki, juliet, clock, peers=[romeo, second]))
        for entity in (romeo, second):
            assert unprotect(account(pki, entity, clock), text)

    def test_no_more_than_eight_certificates_are_encrypted_to(self, pki, juliet, romeo, clock):
        many = [end_entity(jid="romeo@example.net", issuer=pki.intermediate, key=romeo.key) for _ in range(9)]
        text = protect(account(pki, juliet, clock, peers=many))
        opened = [
            each for each in many if not isinstance(outcome(account(pki, each, clock), text), RemoteError)
        ]
        assert opened == many[:8]

    @pytest.mark.requirement("3851-3.3-1")
    def test_we_can_read_our_own_copy_if_we_want_to(self, pki, juliet, romeo, clock):
        copy = outer(sender=JULIET, recipient=ROMEO)
        for wanted in (False, True):
            by = account(pki, juliet, clock, peers=[romeo], encrypt_to_self=wanted)
            result = outcome(account(pki, juliet, clock), protect(by), copy)
            assert isinstance(result, Unprotected) is wanted

    def test_our_own_copy_is_found_by_our_key_identifier_and_costs_less_than_half_a_kilobyte(
        self, pki, juliet, romeo, clock
    ):
        """Others are named by issuer and serial number, as S/MIME always did."""
        alone, copied = (
            protect(account(pki, juliet, clock, peers=[romeo], encrypt_to_self=wanted))
            for wanted in (False, True)
        )
        _, _, encoded = copied.partition("\n\n")
        infos = parse_enveloped_data(mime.decode_base64(encoded.encode())).recipient_infos
        identifiers = {info.identifier for info in infos}
        assert identifiers == {juliet.parsed.key_identifier, romeo.parsed.issuer_and_serial}
        assert len(copied) - len(alone) <= 500

    def test_who_cannot_decrypt_does_not_encrypt_to_himself(self, pki, romeo, clock):
        only_signs = end_entity(key_usage("digital_signature"), issuer=pki.intermediate)
        for own in (pki["ed25519"], only_signs):
            by = account(pki, own, clock, peers=[romeo], encrypt_to_self=True)
            assert by.identity.recipient is None
            assert protect(by)

    @pytest.mark.requirement("3923-6.9-5")
    def test_timestamps_never_repeat(self, sender, receiver, clock):
        stamps = [unprotect(receiver, protect(sender)).report for _ in range(3)]
        assert [report.timestamp - MOMENT for report in stamps] == [
            timedelta(microseconds=each) for each in range(3)
        ]
        assert [report.timestamp_state for report in stamps] == ["ok"] * 3

    @pytest.mark.requirement("3863-4.1.7-4", "3923-6.9-5")
    def test_no_two_presence_documents_have_the_same_timestamp(self, sender):
        presence = "<presence to='romeo@example.net'><show>away</show></presence>"
        stamps = [
            re.search("<timestamp>(.*)</timestamp>", protect(sender, presence, Level.SIGN))[1]
            for _ in range(3)
        ]
        assert stamps == sorted(set(stamps))
        assert len(stamps) == 3

    def test_a_clock_that_was_set_back_is_said(self, pki, juliet, romeo, clock):
        adjusted: list[float] = []
        by = account(pki, juliet, clock, peers=[romeo], adjusted=adjusted)
        protect(by)
        clock.pass_seconds(-3600)
        protect(by)
        assert adjusted == [3600.0]

    def test_nobody_has_to_hear_of_clocks(self, pki, juliet, clock):
        kept = MemoryStore(started=0)
        made = account(pki, juliet, clock, store=kept)
        by = Protection(made.identity, made.authority, kept, clock)
        protect(by, level=Level.SIGN)
        clock.pass_seconds(-3600)
        assert protect(by, level=Level.SIGN)


class TestRecipients:
    """Who can be encrypted to is remembered for a minute, or until a certificate ends."""

    def test_a_certificate_is_used_until_it_ends_and_not_longer(self, pki, juliet, romeo, clock):
        short = end_entity(
            jid="romeo@example.net",
            issuer=pki.intermediate,
            key=romeo.key,
            valid_until=MOMENT + timedelta(seconds=30),
        )
        by = account(pki, juliet, clock, peers=[short])
        assert by.can_encrypt_to(ROMEO)
        clock.pass_seconds(30)
        assert by.can_encrypt_to(ROMEO)
        clock.pass_seconds(1)
        assert not by.can_encrypt_to(ROMEO)

    def test_when_the_clock_goes_back_it_is_looked_up_again(self, pki, juliet, romeo, clock):
        young = end_entity(
            jid="romeo@example.net",
            issuer=pki.intermediate,
            key=romeo.key,
            valid_from=MOMENT - timedelta(seconds=1),
        )
        by = account(pki, juliet, clock, peers=[young])
        assert by.can_encrypt_to(ROMEO)
        clock.pass_seconds(-2)
        assert not by.can_encrypt_to(ROMEO)

    @pytest.mark.requirement("3923-6.2-1", "3851-4-1")
    def test_a_certificate_that_was_learned_is_used_at_once(self, pki, juliet, romeo, clock):
        by = account(pki, romeo, clock)
        assert not by.can_encrypt_to(JULIET)
        assert unprotect(by, protect(account(pki, juliet, clock), level=Level.SIGN)).learned
        assert by.can_encrypt_to(JULIET)

    def test_what_is_remembered_is_bounded(self, pki, juliet, romeo, clock, monkeypatch):
        monkeypatch.setattr("slixmpp_e2e.protection._JIDS", 2)
        monkeypatch.setattr("slixmpp_e2e.certificates.peers._SIZE", 2)
        by = account(pki, juliet, clock, peers=[romeo])
        for number in range(5):
            by.can_encrypt_to(JID(f"somebody{number}@example.net"))
            protect(by, level=Level.SIGN, to=JID(f"somebody{number}@example.net"))
        assert len(by.peers._keys) == len(by._inclusions) == 2
        assert "somebody4@example.net" in by.peers._keys
        assert ("juliet@example.com", "somebody4@example.net") in by._inclusions


class TestInclusion:
    """RFC 3923 6.6: our certificate travels with the first stanza, and then once in five minutes."""

    def includes(self, text: str, juliet: Entity) -> bool:
        return juliet.der in der_of_signature(text)

    @pytest.mark.requirement("3923-6.6-1", "3923-6.6-4")
    def test_it_travels_once_in_five_minutes(self, pki, juliet, clock):
        by = account(pki, juliet, clock)
        expected = {0: True, 1: False, 299: False, 300: True, 301: False, 599: False, 600: True}
        passed = 0
        for seconds, included in expected.items():
            clock.pass_seconds(seconds - passed)
            passed = seconds
            assert self.includes(protect(by, level=Level.SIGN), juliet) is included, seconds

    @pytest.mark.requirement("3923-6.6-2")
    def test_each_device_of_the_peer_gets_it(self, pki, juliet, clock):
        by = account(pki, juliet, clock)
        for to in (
            ROMEO,
            JID("romeo@example.net/balcony"),
            JID("romeo@example.net"),
            JID("nurse@example.net"),
        ):
            assert self.includes(protect(by, level=Level.SIGN, to=to), juliet)
            assert not self.includes(protect(by, level=Level.SIGN, to=to), juliet)

    def test_a_peer_who_does_not_have_it_gets_it_again(self, pki, juliet, clock):
        by = account(pki, juliet, clock)
        nurse = JID("nurse@example.net")
        for to in (ROMEO, nurse):
            protect(by, level=Level.SIGN, to=to)
        by.forget_inclusion(JID("romeo@example.net/elsewhere"))
        assert self.includes(protect(by, level=Level.SIGN), juliet)
        assert not self.includes(protect(by, level=Level.SIGN, to=nurse), juliet)

    def test_when_the_clock_goes_back_it_travels_again(self, pki, juliet, clock):
        by = account(pki, juliet, clock)
        protect(by, level=Level.SIGN)
        clock.pass_seconds(-1)
        assert self.includes(protect(by, level=Level.SIGN), juliet)

    def test_a_stanza_that_did_not_leave_does_not_count(self, pki, juliet, romeo, clock):
        by = account(pki, juliet, clock)
        with pytest.raises(NoCertificateError):
            protect(by)
        element = stanza(TEXT_MESSAGE)
        element[0].text = "\0"
        with pytest.raises(InvalidStanzaError):
            protect(by, element, Level.SIGN)
        assert self.includes(protect(by, level=Level.SIGN), juliet)

    def test_what_nobody_signs_carries_none_and_does_not_count(self, sender, receiver, juliet):
        text = protect(sender, level=Level.ENCRYPT_UNSIGNED)
        assert unprotect(receiver, text, allow_unsigned=True)
        assert self.includes(protect(sender, level=Level.SIGN), juliet)

    @pytest.mark.requirement("3923-6.6-1")
    def test_who_has_it_can_verify_without_it(self, sender, receiver):
        assert unprotect(receiver, protect(sender)).learned
        again = unprotect(receiver, protect(sender))
        assert (again.learned, again.report.authenticated) == (False, True)

    @pytest.mark.requirement("3923-6.6-4")
    def test_who_lost_it_says_that_he_does_not_know_us(self, sender, pki, romeo, clock):
        protect(sender)
        error = refusal(account(pki, romeo, clock), protect(sender))
        assert (error.reason, error.answer, error.concealed) == ("unknown-signer", DECRYPTION_FAILED, True)


def der_of_signature(text: str) -> bytes:
    """The signature of a multipart/signed."""
    entity = mime.parse_entity(text.encode())
    return mime.split_signed(entity).signature.decoded_body()
