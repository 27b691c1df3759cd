"""A stanza goes in, a protected payload comes out, and the stanza again with a report."""

from dataclasses import replace
from typing import get_args
from xml.etree.ElementTree import tostring

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.cms.algorithms import CIPHERS_BY_NAME
from slixmpp_e2e.cms.recipients import TRANSPORTS
from slixmpp_e2e.errors import (
    DECRYPTION_FAILED,
    SignatureError,
)
from slixmpp_e2e.formats.decoy import Missed
from slixmpp_e2e.policy import Level
from slixmpp_e2e.report import Trust
from tests.accounts import account
from tests.certificates.building import end_entity
from tests.elements import same, stanza
from tests.pki import MOMENT
from tests.protection.ways import (
    TEXT_MESSAGE,
    addressed,
    outer_of,
    protect,
    refusal,
    unprotect,
)

STANZAS = {
    "text": TEXT_MESSAGE,
    "text and subject": "<message id='m1'><subject>Näme</subject><body>]]&gt; &amp; Ä\U0001f600</body></message>",
    "extended message": "<message type='chat' id='m1'><body>x</body><active xmlns='urn:x'/></message>",
    "no body": "<message type='headline'><x xmlns='urn:x' a='&#10;&#13;'>a&#13;\nb</x></message>",
    "presence": "<presence id='p1'><show>away</show><status xml:lang='de'>weg</status></presence>",
    "iq get": "<iq type='get' id='i1'><query xmlns='urn:x' xmlns:p='urn:p' p:a='1'/></iq>",
    "iq result": "<iq type='result' id='i1'/>",
}


class TestThereAndBack:
    @pytest.mark.requirement("3923-5-1", "3923-5-2", "3923-6.6-3", "3923-2-14", "3923-2-15")
    @pytest.mark.parametrize("name", ["juliet", "p-256", "p-384", "ed25519"])
    @pytest.mark.parametrize(
        "level", [Level.SIGN, Level.REQUIRED, Level.OPPORTUNISTIC, Level.ENCRYPT_UNSIGNED]
    )
    @pytest.mark.parametrize("xml", STANZAS.values(), ids=STANZAS)
    def test_every_stanza_comes_back_at_every_level_from_every_kind_of_key(
        self, pki, receiver, romeo, clock, xml, level, name
    ):
        by = account(pki, pki[name], clock, peers=[romeo])
        element = stanza(xml)
        before = tostring(element)
        text = protect(by, element, level)
        assert tostring(element) == before
        found = unprotect(receiver, text, outer_of(element), allow_unsigned=level is Level.ENCRYPT_UNSIGNED)
        assert same(found.stanza, addressed(element))
        assert found.report.authenticated is (level is not Level.ENCRYPT_UNSIGNED)
        assert found.report.encrypted is (level is not Level.SIGN)

    @pytest.mark.requirement("3923-2-16", "3923-6.10-5", "3860-4-2")
    @pytest.mark.parametrize("scheme", ["rsa-sha256", "rsa-pss-sha256", "rsa-sha512"])
    @pytest.mark.parametrize("transport", TRANSPORTS)
    @pytest.mark.parametrize("cipher", CIPHERS_BY_NAME)
    @pytest.mark.requirement("reqs-5-5a", "reqs-5-5b")
    def test_every_cipher_goes_with_every_key_transport_and_every_scheme(
        self, pki, juliet, romeo, receiver, clock, cipher, transport, scheme
    ):
        choice = {"cipher": CIPHERS_BY_NAME[cipher], "transport": TRANSPORTS[transport]}
        by = account(pki, juliet, clock, peers=[romeo], scheme=scheme, **choice)
        report = unprotect(receiver, protect(by)).report
        assert report.authenticated
        assert (report.encryption_algorithm, report.key_management_algorithm) == (cipher, transport)
        assert report.signature_algorithm == scheme


class TestReport:
    @pytest.mark.requirement("3923-6.5-1", "3923-6.7-1", "3923-6.10-3", "3923-6.10-4", "3850-3-1", "3851-5-2")
    @pytest.mark.requirement("3860-4-1")
    @pytest.mark.requirement("reqs-4-6")
    def test_it_says_what_was_proven(self, sender, receiver, juliet, clock):
        text = protect(sender)
        clock.pass_seconds(2)
        report = unprotect(receiver, text).report
        assert (report.format, report.signed, report.encrypted) == ("rfc3923", True, True)
        assert (report.signer, report.certificate) == (JID("juliet@example.com"), juliet.certificate)
        assert (report.trust, report.timestamp, report.skew) == (Trust.PKIX, MOMENT, -2.0)
        assert (report.timestamp_state, report.arrival, report.legacy) == ("ok", "live", False)
        assert report.signature_algorithm == "rsa-sha256"
        assert (report.encryption_algorithm, report.key_management_algorithm) == ("aes128-cbc", "rsa-pkcs1")
        assert report.checks == (
            "decryption", "signature", "names", "validity", "key-usage", "pkix", "binding", "timestamp", "replay"
        )  # fmt: skip
        assert report.outer_id == "outer-1"

    def test_what_is_only_signed_was_not_decrypted(self, sender, receiver):
        report = unprotect(receiver, protect(sender, level=Level.SIGN)).report
        assert (report.encrypted, report.encryption_algorithm, report.key_management_algorithm) == (
            False,
            None,
            None,
        )
        assert report.checks[0] == "signature"

    def test_what_nobody_signed_proves_nothing(self, sender, receiver):
        found = unprotect(receiver, protect(sender, level=Level.ENCRYPT_UNSIGNED), allow_unsigned=True)
        report = found.report
        assert (report.signed, report.authenticated, report.trust) == (False, False, Trust.UNTRUSTED)
        assert (report.signer, report.certificate, report.signature_algorithm) == (None, None, None)
        assert (report.encryption_algorithm, report.checks, report.skew) == (
            "aes128-cbc",
            ("decryption",),
            0.0,
        )
        assert not found.learned

    def test_a_pin_is_named(self, pki, juliet, romeo, sender, clock):
        pins = {"juliet@example.com": frozenset({juliet.parsed.fingerprint})}
        report = unprotect(account(pki, romeo, clock, pins=pins, anchors=[]), protect(sender)).report
        assert (report.trust, report.authenticated) == (Trust.PINNED, True)
        assert "pinned" in report.checks

    @pytest.mark.requirement("3923-2-16", "3923-6.10-1", "3923-6.10-2", "3851-2.1-1", "3851-5-2")
    def test_sha1_is_marked(self, pki, juliet, romeo, clock, receiver):
        text = protect(account(pki, juliet, clock, peers=[romeo], scheme="rsa-sha1"))
        error = refusal(receiver, text)
        assert (error.reason, error.answer, error.concealed) == ("weak", DECRYPTION_FAILED, True)
        report = unprotect(account(pki, romeo, clock, allow_sha1=True), text).report
        assert (report.legacy, report.authenticated) == (True, True)


class TestOurKeys:
    def test_what_was_encrypted_to_an_older_certificate_stays_readable(self, pki, romeo, sender, clock):
        new = end_entity(jid="romeo@example.net", issuer=pki.intermediate, key=pki["rsa-3072"].key)
        by = account(pki, new, clock)
        text = protect(sender)
        assert refusal(by, text).reason == "not-for-us"
        by.add_decryption_key(identity(romeo.key, romeo.certificate))
        assert unprotect(by, text).report.authenticated

    def test_a_key_that_cannot_decrypt_is_no_decryption_key(self, pki, clock):
        by = account(pki, pki["ed25519"], clock)
        by.add_decryption_key(identity(pki["ed25519"].key, pki["ed25519"].certificate))
        assert by._keys._keys == {}

    @pytest.mark.parametrize("name", ["juliet", "rsa-3072", "p-256", "p-384", "ed25519"])
    def test_time_can_be_spent_in_vain_with_every_key(self, pki, clock, name):
        decoy = account(pki, pki[name], clock)._arriving._decoy
        for missed in get_args(Missed):
            decoy(b"x", missed)
        with pytest.raises(SignatureError) as caught:
            decoy.verify(b"x")
        assert caught.value.reason == "invalid"  # so a signature was verified

    def test_time_is_still_spent_when_a_key_of_another_kind_has_followed(self, pki, clock):
        spender = account(pki, pki["juliet"], clock)
        other = end_entity(jid="juliet@example.com", issuer=pki.intermediate, key=pki["p-256"].key)
        spender.add_identity(identity(other.key, other.certificate))
        with pytest.raises(SignatureError) as caught:
            spender._arriving._decoy.verify(b"x")
        assert caught.value.reason == "invalid"

    def test_who_can_only_sign_still_answers_envelopes_alike(self, pki, clock, sender):
        error = refusal(account(pki, pki["ed25519"], clock), protect(sender))
        assert (error.reason, error.answer, error.concealed) == ("not-for-us", DECRYPTION_FAILED, True)


def test_options_are_never_changed_in_place(sender):
    assert replace(sender.options, allow_sha1=True) != sender.options
    assert not sender.options.allow_sha1
