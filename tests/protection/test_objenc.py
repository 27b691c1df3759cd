"""The second format for the same account: encrypted as the draft has it, signed as RFC 3923 has it, or by nobody."""

from xml.etree.ElementTree import Element, fromstring, tostring

import pytest

from slixmpp_e2e.arriving import Unprotected
from slixmpp_e2e.cms.algorithms import AES256_CBC, AES256_GCM
from slixmpp_e2e.errors import (
    DECRYPTION_FAILED,
    NoCertificateError,
    RemoteError,
    SignatureError,
    TimestampError,
    UndecryptableError,
    UnprotectableError,
)
from slixmpp_e2e.outer import E2E_TAG, OBJENC_TAG
from slixmpp_e2e.policy import Level
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.accounts import account
from tests.elements import same, stanza
from tests.formats.objects import JULIET, ROMEO, outer
from tests.protection.ways import TEXT_MESSAGE

STANZAS = {
    "message": TEXT_MESSAGE,
    "presence": "<presence><show>away</show></presence>",
    "iq": "<iq type='set' id='i1'><query xmlns='urn:x'>w</query></iq>",
}


def protect(by: Protection, xml: str = TEXT_MESSAGE, level: Level = Level.REQUIRED) -> Element:
    element = by.protect(stanza(xml), sender=JULIET, recipient=ROMEO, level=level, written_as="objenc")
    return fromstring(tostring(element))


def refusal(by: Protection, element: Element, where=None, **options) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        by.unprotect(element, where or outer(), **options)
    return caught.value


def where(kind: str):
    return outer(kind, stanza(STANZAS[kind]).get("type", "available"))


class TestSigned:
    @pytest.mark.parametrize("kind", STANZAS)
    @pytest.mark.requirement("reqs-4-6")
    def test_it_comes_out_with_its_signer(self, sender, receiver, kind):
        element = protect(sender, STANZAS[kind])
        assert element.tag == OBJENC_TAG
        found = receiver.unprotect(element, where(kind))
        report = found.report
        assert (report.format, report.signed, report.encrypted, report.authenticated) == (
            "objenc",
            True,
            True,
            True,
        )
        assert (report.signer, report.trust) == (JULIET.bare, Trust.PKIX)
        assert (report.encryption_algorithm, report.key_management_algorithm) == (
            "aes128-cbc",
            "rsa-oaep-sha256",
        )
        assert report.decrypted_with == receiver.identity.certificate.fingerprint
        assert found.learned
        inner = stanza(STANZAS[kind])
        inner.attrib.update({"from": JULIET.bare, "to": ROMEO.bare})
        assert found.stanza.tag == inner.tag
        assert [child.text for child in found.stanza] == [child.text for child in inner]

    def test_it_comes_once(self, sender, receiver):
        element = protect(sender)
        assert receiver.unprotect(element, outer()).report.authenticated
        assert refusal(receiver, element).reason == "seen"

    def test_what_was_signed_counts_once_whatever_is_around_it(self, pki, sender, receiver, romeo):
        """Romeo encrypts what juliet signed once more: to himself, to anybody."""
        from slixmpp_e2e.formats import objenc, objenc_signed

        signed = sender.protect(stanza(TEXT_MESSAGE), sender=JULIET, recipient=ROMEO, level=Level.SIGN)
        moment = sender.now()
        for expected in (None, "seen"):
            carrier = objenc_signed.wrap_signed(stanza(TEXT_MESSAGE), signed.text)
            element = objenc.protect(
                carrier, objenc.Sealing(romeo.parsed), sender=JULIET, recipient=ROMEO, moment=moment
            )
            if expected is None:
                assert receiver.unprotect(element, outer()).report.authenticated
            else:
                assert refusal(receiver, element).reason == expected

    def test_the_time_around_it_has_to_be_fresh_as_well(self, sender, receiver, romeo):
        from slixmpp_e2e.formats import objenc, objenc_signed

        signed = sender.protect(stanza(TEXT_MESSAGE), sender=JULIET, recipient=ROMEO, level=Level.SIGN)
        carrier = objenc_signed.wrap_signed(stanza(TEXT_MESSAGE), signed.text)
        for seconds in (-600, 600):
            element = objenc.protect(
                carrier,
                objenc.Sealing(romeo.parsed),
                sender=JULIET,
                recipient=ROMEO,
                moment=sender.now() + seconds * 10**9,
            )
            error = refusal(receiver, element)
            assert (type(error), error.answer) == (TimestampError, DECRYPTION_FAILED)

    def test_what_is_old_is_refused_by_its_signed_time(self, sender, receiver, clock):
        element = protect(sender)
        clock.pass_seconds(900)
        assert refusal(receiver, element).reason == "old"

    def test_a_stranger_is_no_better_for_it(self, pki, clock, romeo, sender):
        error = refusal(account(pki, romeo, clock, anchors=[]), protect(sender))
        assert (type(error), error.answer) == (SignatureError, DECRYPTION_FAILED)


class TestUnsigned:
    @pytest.mark.requirement("reqs-4-6")
    def test_it_is_delivered_only_where_that_is_accepted_and_as_what_it_is(self, sender, receiver):
        element = protect(sender, level=Level.ENCRYPT_UNSIGNED)
        error = refusal(receiver, element)
        assert (error.reason, error.answer, error.concealed) == ("unsigned", DECRYPTION_FAILED, True)
        found = _unsigned(receiver, protect(sender, level=Level.ENCRYPT_UNSIGNED))
        report = found.report
        assert (report.signed, report.encrypted, report.authenticated, report.signer) == (
            False,
            True,
            False,
            None,
        )
        assert (report.trust, report.format) == (Trust.UNTRUSTED, "objenc")
        assert not found.learned

    def test_it_touches_no_signers_record(self, sender, receiver):
        _unsigned(receiver, protect(sender, level=Level.ENCRYPT_UNSIGNED))
        assert len(receiver.store._replay._signers) == 0

    @pytest.mark.requirement("bis-6-5", "bis-6-7")
    def test_it_comes_once_and_is_fresh(self, sender, receiver, clock):
        element = protect(sender, level=Level.ENCRYPT_UNSIGNED)
        _unsigned(receiver, element)
        assert refusal(receiver, element, allow_unsigned=True).reason == "seen"
        element = protect(sender, level=Level.ENCRYPT_UNSIGNED)
        clock.pass_seconds(900)
        error = refusal(receiver, element, allow_unsigned=True)
        assert (error.reason, error.concealed) == ("old", True)

    @pytest.mark.requirement("bis-6-10", "bis-6-11")
    @pytest.mark.requirement("reqs-5-6b")
    def test_what_our_server_stored_is_compared_with_when_it_did(self, sender, receiver, clock):
        element = protect(sender, level=Level.ENCRYPT_UNSIGNED)
        stored = clock.now
        clock.pass_seconds(3_600)
        other = protect(sender, level=Level.ENCRYPT_UNSIGNED)
        clock.pass_seconds(86_400)
        found = receiver.unprotect(element, outer(), allow_unsigned=True, delayed_since=stored)
        assert found.report.skew == 0
        assert refusal(receiver, other, allow_unsigned=True, delayed_since=stored).reason in {"old", "future"}

    @pytest.mark.requirement("bis-6-6")
    def test_its_order_counts_for_nothing(self, sender, receiver):
        """Else whoever dates an object ahead would shut out the honest sender."""
        first, second = (protect(sender, level=Level.ENCRYPT_UNSIGNED) for _ in range(2))
        reports = [_unsigned(receiver, each).report for each in (second, first)]
        assert reports[0].timestamp > reports[1].timestamp
        assert [each.timestamp_state for each in reports] == ["ok", "ok"]

    @pytest.mark.requirement("reqs-4-3")
    def test_only_what_is_signed_is_known_again_after_a_restart(self, pki, romeo, sender, clock, tmp_path):
        """docs/objenc.md says so."""
        signed, unsigned = protect(sender), protect(sender, level=Level.ENCRYPT_UNSIGNED)
        for is_first in (True, False):
            store = SQLiteStore(tmp_path / "store.db")
            receiver = account(pki, romeo, clock, store=store)
            if is_first:
                assert receiver.unprotect(signed, outer()).report.authenticated
            else:
                assert refusal(receiver, signed).reason == "seen"
            assert _unsigned(receiver, unsigned).report.timestamp_state == "ok"
            store.close()


def _unsigned(by: Protection, element: Element) -> Unprotected:
    return by.unprotect(element, outer(), allow_unsigned=True)


class TestLeaving:
    @pytest.mark.requirement("reqs-5-5b")
    def test_the_cipher_is_one_that_the_format_has_a_name_for(self, pki, juliet, romeo, clock, receiver):
        by = account(pki, juliet, clock, peers=[romeo], cipher=AES256_CBC)
        assert receiver.unprotect(protect(by), outer()).report.encryption_algorithm == "aes256-cbc"
        with pytest.raises(UnprotectableError):
            protect(account(pki, juliet, clock, peers=[romeo], cipher=AES256_GCM))

    def test_who_has_no_rsa_key_can_t_be_written_to(self, pki, juliet, clock):
        other = pki["p-256"]
        by = account(pki, juliet, clock, peers=[other])
        (name,) = by.peers._configured
        with pytest.raises(NoCertificateError, match="RSA"):
            by.protect(
                stanza(TEXT_MESSAGE), sender=JULIET, recipient=type(ROMEO)(name), level=Level.REQUIRED,
                written_as="objenc",
            )  # fmt: skip

    def test_it_is_never_encrypted_to_ourselves_instead_of_the_recipient(self, pki, juliet, romeo, clock):
        """It has room for one: a copy for us is left out, also where the recipient has no key for it."""
        element = protect(account(pki, juliet, clock, peers=[romeo], encrypt_to_self=True))
        assert account(pki, romeo, clock).unprotect(element, outer()).report.authenticated
        by = account(pki, juliet, clock, peers=[pki["p-256"]], encrypt_to_self=True)
        (name,) = by.peers._configured
        with pytest.raises(NoCertificateError, match="RSA"):
            by.protect(
                stanza(TEXT_MESSAGE), sender=JULIET, recipient=type(ROMEO)(name), level=Level.REQUIRED,
                written_as="objenc",
            )  # fmt: skip

    @pytest.mark.requirement("bis-6-4")
    def test_timestamps_never_repeat(self, sender, receiver):
        elements = [protect(sender, level=Level.ENCRYPT_UNSIGNED) for _ in range(5)]  # the clock stands still
        moments = [_unsigned(receiver, each).report.timestamp for each in elements]
        assert moments == sorted(set(moments))

    def test_what_is_only_signed_is_rfc_3923(self, sender):
        assert protect(sender, level=Level.SIGN).tag == E2E_TAG

    def test_somebody_else_can_t_read_it(self, pki, sender, clock):
        error = refusal(account(pki, pki["juliet"], clock), protect(sender))
        assert (type(error), error.answer) == (UndecryptableError, DECRYPTION_FAILED)


def test_the_same_stanza_comes_out_of_either_format(pki, juliet, romeo, clock):
    found = []
    for written_as in ("rfc3923", "objenc"):
        by, to = account(pki, juliet, clock, peers=[romeo]), account(pki, romeo, clock)
        element = by.protect(
            stanza(STANZAS["iq"]), sender=JULIET, recipient=ROMEO, level=Level.REQUIRED, written_as=written_as
        )
        payload = element if written_as == "objenc" else element.text
        found.append(to.unprotect(payload, where("iq")).stanza)
    assert same(*found)
