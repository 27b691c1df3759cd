"""What is learned from what arrives, and how fresh it has to be."""

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.certificates.peers import index_by_name
from slixmpp_e2e.certificates.store import Chain, MemoryStore
from slixmpp_e2e.cms.algorithms import AES256_GCM
from slixmpp_e2e.errors import (
    BAD_TIMESTAMP,
    DECRYPTION_FAILED,
    RemoteError,
    SignatureError,
    StoreError,
    TimestampError,
)
from slixmpp_e2e.freshness import SECOND, Freshness
from slixmpp_e2e.media import mime
from slixmpp_e2e.policy import Level
from slixmpp_e2e.report import Trust
from tests.accounts import account
from tests.certificates.building import certificate, end_entity, names, new_key
from tests.elements import CLIENT, same
from tests.formats.objects import (
    DATED,
    JULIET,
    ROMEO,
    TO,
    clear_signed,
    enveloped,
    message_cpim,
    opaque,
    outer,
    signed_der,
    signer,
    xmpp_entity,
)
from tests.pki import Entity
from tests.protection.ways import changes, outcome, protect, refusal, unprotect


class TestLearning:
    @pytest.mark.requirement("3923-6.2-1", "3923-6.2-3", "3851-4-1", "3851-4-2")
    def test_what_was_learned_survives_in_the_store(self, pki, sender, romeo, juliet, clock):
        kept = MemoryStore(started=0)
        first = account(pki, romeo, clock, store=kept)
        assert unprotect(first, protect(sender)).learned
        assert kept.certificates("juliet@example.com") == ((juliet.der, pki.intermediate.der),)
        again = account(pki, romeo, clock, store=kept)
        assert again.can_encrypt_to(JULIET)
        assert again.trusts_somebody_as(JULIET)
        assert not unprotect(again, protect(sender)).learned

    def test_what_came_along_when_it_was_learned_still_leads_to_the_anchor(self, pki, sender, romeo, clock):
        kept = MemoryStore(started=0)
        assert unprotect(account(pki, romeo, clock, store=kept), protect(sender)).learned
        again = account(pki, romeo, clock, store=kept)  # after a restart; now the certificate does not travel
        assert unprotect(again, protect(sender)).report.trust is Trust.PKIX

    def test_what_was_configured_with_a_certificate_may_lead_to_the_anchor(self, pki, juliet, romeo, clock):
        other = end_entity(jid=JULIET.bare, issuer=pki.intermediate)
        by = account(pki, romeo, clock, peers=[other, juliet])
        alone = opaque(message_cpim(), signer(juliet))
        assert unprotect(by, enveloped(alone, romeo)).report.trust is Trust.PKIX

    def test_what_came_along_with_somebody_elses_certificate_does_not(self, pki, juliet, romeo, clock):
        nurse = end_entity(jid="nurse@example.com", issuer=pki.intermediate)
        by = account(pki, romeo, clock, peers=[juliet, nurse])
        alone = opaque(message_cpim(), signer(nurse), certificates=False)
        assert refusal(by, enveloped(alone, romeo)).reason == "name-mismatch"

    def test_what_was_configured_is_not_learned(self, pki, sender, romeo, juliet, clock):
        by = account(pki, romeo, clock, peers=[juliet])
        assert not unprotect(by, protect(sender)).learned
        assert by.store.certificates("juliet@example.com") == ()

    def test_a_second_certificate_is_learned_beside_the_first(self, pki, sender, receiver, romeo, clock):
        assert unprotect(receiver, protect(sender)).learned
        other = account(pki, pki["p-256"], clock, peers=[romeo])
        clock.pass_seconds(1)
        assert unprotect(receiver, protect(other)).learned
        assert len(receiver.store.certificates("juliet@example.com")) == 2

    def test_from_somebody_who_is_not_believed_nothing_is_learned(self, pki, sender, romeo, clock):
        by = account(pki, romeo, clock, anchors=[])
        refusal(by, protect(sender))
        assert by.store.certificates("juliet@example.com") == ()
        assert not by.trusts_somebody_as(JULIET)

    def test_from_a_stanza_that_is_refused_nothing_is_learned(self, sender, receiver):
        refusal(receiver, protect(sender), outer(sender=JID("nurse@example.com")))
        refusal(receiver, protect(sender), outer("presence", "available"))
        assert receiver.store.certificates("juliet@example.com") == ()

    def test_a_certificate_in_the_store_that_nobody_can_read_does_no_harm(self, pki, romeo, clock, sender):
        kept = MemoryStore(started=0)
        kept.add_certificate("juliet@example.com", (b"\x30\x00",))
        by = account(pki, romeo, clock, store=kept)
        assert not by.can_encrypt_to(JULIET)
        assert unprotect(by, protect(sender)).learned

    def test_what_was_admitted_is_delivered_even_if_its_certificate_cannot_be_kept(
        self, pki, sender, romeo, clock
    ):
        class Full(MemoryStore):
            def add_certificate(self, jid: str, chain: Chain) -> bool:
                raise StoreError("the disk is full")

        found = unprotect(account(pki, romeo, clock, store=Full(started=0)), protect(sender))
        assert (found.report.authenticated, found.learned) == (True, False)

    def test_a_store_that_cannot_be_read_answers_as_every_failure_before_the_signature_does(
        self, pki, sender, romeo, clock
    ):
        class Broken(MemoryStore):
            def find_certificates(self, identifier: bytes) -> tuple[bytes, ...]:
                raise StoreError("the disk is gone")

        error = refusal(account(pki, romeo, clock, store=Broken(started=0)), protect(sender))
        assert (error.reason, error.answer) == ("unknown-signer", DECRYPTION_FAILED)
        assert "the disk is gone" in str(error)

    def test_a_certificate_that_somebody_else_learned_meanwhile_is_found(self, pki, sender, romeo, clock):
        kept = MemoryStore(started=0)
        first, second = (account(pki, romeo, clock, store=kept) for _ in range(2))
        assert unprotect(first, protect(sender)).learned
        assert unprotect(second, protect(sender)).report.authenticated

    def test_certificates_are_found_by_every_name_in_them(self, pki, juliet, romeo):
        several = Entity("x", juliet.key, certificate(juliet.key, [names("a@example.com", "b@example.com")]))
        found = index_by_name([[several.parsed, pki.intermediate.parsed], [romeo.parsed]])
        assert set(found) == {"a@example.com", "b@example.com", "romeo@example.net"}
        assert [each.der for each in found["a@example.com"][0]] == [several.der, pki.intermediate.der]


class TestFreshness:
    @pytest.mark.requirement("3923-2-2")
    @pytest.mark.parametrize("level", [Level.SIGN, Level.REQUIRED])
    def test_a_replay_is_seen(self, sender, receiver, level):
        text = protect(sender, level=level)
        unprotect(receiver, text)
        error = refusal(receiver, text)
        assert (type(error), error.reason, error.answer) == (TimestampError, "seen", BAD_TIMESTAMP)

    def test_a_replay_in_clear_is_shown_as_what_it_is(self, sender, receiver):
        text = protect(sender, level=Level.SIGN)
        first = unprotect(receiver, text)
        stale, report = refusal(receiver, text).stale
        assert same(stale, first.stanza)
        assert (report.timestamp_state, report.authenticated, report.signed) == ("seen", False, True)

    def test_an_encrypted_key_that_came_before_is_not_used_again(self, sender, receiver):
        """Whatever follows it: so nobody can try one change of a captured stanza after the other."""
        text = protect(sender)
        head, _, body = text.partition("\n\n")
        unprotect(receiver, text)
        for at in (each for each in range(700, len(body) - 8, 97) if body[each] != "\n"):
            changed = body[:at] + ("A" if body[at] != "A" else "B") + body[at + 1 :]
            error = refusal(receiver, f"{head}\n\n{changed}")
            assert (error.reason, error.answer, error.stale) == ("seen", BAD_TIMESTAMP, None)

    def test_a_failure_uses_the_encrypted_key_up_too(self, sender, receiver):
        text = protect(sender)
        lines = text.rstrip().split("\n")
        lines[-2] = lines[-3]
        assert refusal(receiver, "\n".join(lines)).answer == DECRYPTION_FAILED
        assert refusal(receiver, text).reason == "seen"

    def test_where_stale_ones_are_wanted_a_replay_is_opened_and_nobody_is_told(
        self, pki, romeo, sender, clock
    ):
        receiver = account(pki, romeo, clock, open_repeated=True)
        text = protect(sender)
        first = unprotect(receiver, text)
        error = refusal(receiver, text)
        assert (error.reason, error.silent) == ("seen", True)
        assert same(error.stale[0], first.stanza)

    def test_otherwise_what_came_before_is_not_opened_again_and_its_sender_is_told(self, sender, receiver):
        text = protect(sender)
        unprotect(receiver, text)
        error = refusal(receiver, text)
        assert (error.reason, error.silent, error.stale) == ("seen", False, None)

    def test_a_request_is_not_opened_again_even_then(self, pki, romeo, sender, clock):
        receiver = account(pki, romeo, clock, open_repeated=True)
        request = outer("iq", "set")
        text = protect(sender, "<iq type='set' id='1'><query xmlns='urn:x'/></iq>")
        unprotect(receiver, text, request)
        error = refusal(receiver, text, request)
        assert (error.reason, error.stale) == ("seen", None)

    def test_where_stale_ones_are_wanted_a_change_of_it_is_not_opened(self, pki, romeo, sender, clock):
        receiver = account(pki, romeo, clock, open_repeated=True)
        text = protect(sender)
        unprotect(receiver, text)
        for changed in changes(text)[:3]:
            error = refusal(receiver, changed)
            assert (error.reason, error.silent, error.stale) == ("seen", True, None)

    def test_where_stale_ones_are_wanted_what_nobody_signed_comes_once(self, pki, romeo, sender, clock):
        """Nothing would mark it as seen: it leaves no trace in the replay record."""
        receiver = account(pki, romeo, clock, open_repeated=True)
        text = protect(sender, level=Level.ENCRYPT_UNSIGNED)
        assert not unprotect(receiver, text, allow_unsigned=True).report.signed
        assert refusal(receiver, text, allow_unsigned=True).reason == "seen"

    def test_a_replay_from_another_resource_is_seen(self, sender, receiver):
        text = protect(sender)
        unprotect(receiver, text)
        assert refusal(receiver, text, outer(sender=JID("juliet@example.com/chamber"))).reason == "seen"

    def test_what_does_not_say_who_sent_it_is_not_new_as_each_of_those_whom_the_certificate_names(
        self, pki, romeo, clock
    ):
        paris = JID("paris@example.org/x")
        key = new_key()
        both = certificate(key, (names(JULIET.bare, paris.bare),), issuer=pki.intermediate)
        by = account(pki, romeo, clock)

        def outcomes(sender: str) -> list[str]:
            content = xmpp_entity(
                f"<message {sender} to='{ROMEO.bare}' type='chat'><body>Adieu</body></message>"
            )
            der = signed_der(content.encode(), signer(Entity("both", key, both), pki.intermediate))
            text = mime.pkcs7_text(der, "signed-data")
            found = [outcome(by, text, outer(sender=jid)) for jid in (JULIET, paris)]
            return [each.reason if isinstance(each, RemoteError) else "new" for each in found]

        assert outcomes("") == ["name-mismatch", "name-mismatch"]
        assert outcomes(f"from='{JULIET.bare}'") == ["new", "name-mismatch"]

    def test_a_replay_in_another_envelope_is_seen(self, pki, juliet, romeo, receiver):
        words = opaque(message_cpim(), signer(juliet, pki.intermediate))
        assert unprotect(receiver, enveloped(words, romeo))
        assert refusal(receiver, enveloped(words, romeo, cipher=AES256_GCM)).reason == "seen"
        der = signed_der(message_cpim(), signer(juliet, pki.intermediate))
        assert refusal(receiver, enveloped(der, romeo)).reason == "seen"

    @pytest.mark.requirement("3923-6.9-6", "3923-6.9-8")
    @pytest.mark.parametrize(("seconds", "reason"), [(301, "old"), (-301, "future")])
    def test_outside_the_window_it_is_stale(self, sender, receiver, clock, seconds, reason):
        text = protect(sender, level=Level.SIGN)
        clock.pass_seconds(seconds)
        error = refusal(receiver, text)
        assert (error.reason, error.skew, error.answer) == (reason, float(-seconds), BAD_TIMESTAMP)
        stanza_, report = error.stale
        assert (report.timestamp_state, report.skew, report.authenticated) == (reason, float(-seconds), False)
        assert stanza_.findtext(f"{{{CLIENT}}}body").startswith("Wherefore")
        clock.pass_seconds(-seconds)
        assert unprotect(receiver, text).report.authenticated  # it was not recorded: ERRATA E33

    @pytest.mark.requirement("3923-6.9-6")
    @pytest.mark.parametrize("seconds", [300, -300])
    def test_inside_the_window_it_is_fresh(self, sender, receiver, clock, seconds):
        text = protect(sender)
        clock.pass_seconds(seconds)
        assert unprotect(receiver, text).report.timestamp_state == "ok"

    def test_another_window_may_be_chosen(self, pki, romeo, sender, clock):
        by = account(pki, romeo, clock, window=SECOND)
        text = protect(sender)
        clock.pass_seconds(2)
        assert refusal(by, text).reason == "old"

    @pytest.mark.requirement("3923-6.9-7", "3923-6.9-8")
    def test_what_comes_in_the_wrong_order_is_marked_and_delivered(self, pki, sender, juliet, romeo, clock):
        receiver = account(pki, romeo, clock, peers=[juliet])  # the certificate comes with the first one
        first = protect(sender)
        clock.pass_seconds(1)
        unprotect(receiver, protect(sender))
        report = unprotect(receiver, first).report
        assert (report.timestamp_state, report.authenticated) == ("decreasing", True)

    @pytest.mark.requirement("3863-6-2")
    def test_presence_older_than_the_last_of_that_resource_is_refused(
        self, pki, sender, juliet, romeo, clock
    ):
        receiver = account(pki, romeo, clock, peers=[juliet])  # the certificate comes with the first one
        older, newer = (protect(sender, "<presence to='romeo@example.net'/>") for _ in range(2))
        where = outer("presence", "available")
        assert unprotect(receiver, newer, where).report.authenticated
        error = refusal(receiver, older, where)
        assert (type(error), error.reason, error.answer) == (TimestampError, "decreasing", BAD_TIMESTAMP)
        assert (error.stale[1].timestamp_state, error.stale[1].authenticated) == ("old", False)
        elsewhere = outer("presence", "available", sender=JID("juliet@example.com/chamber"))
        again = protect(sender, "<presence to='romeo@example.net'/>")
        assert unprotect(receiver, again, elsewhere).report.authenticated

    def test_what_our_server_stored_is_compared_with_that_time(self, sender, receiver, clock):
        text = protect(sender, level=Level.SIGN)
        stored = clock.now + SECOND
        clock.pass_seconds(86_400)
        assert refusal(receiver, text).reason == "old"
        report = unprotect(receiver, text, delayed_since=stored).report
        assert (report.timestamp_state, report.arrival, report.skew, report.authenticated) == (
            "ok",
            "delayed",
            -1.0,
            True,
        )
        assert refusal(receiver, text, delayed_since=stored).reason == "seen"

    def test_what_nobody_signed_leaves_no_trace(self, sender, receiver):
        for _ in range(2):
            text = protect(sender, level=Level.ENCRYPT_UNSIGNED)
            assert unprotect(receiver, text, allow_unsigned=True).report.timestamp_state == "ok"
        assert unprotect(receiver, protect(sender)).report.timestamp_state == "ok"

    def test_a_stanza_of_somebody_else_does_not_touch_our_signers_record(
        self, pki, receiver, romeo, sender, clock
    ):
        clock.pass_seconds(100)
        nurse = end_entity(jid="nurse@example.com", issuer=pki.intermediate)
        later = opaque(
            message_cpim("From: <im:nurse@example.com>", TO, DATED), signer(nurse, pki.intermediate)
        )
        assert unprotect(receiver, enveloped(later, romeo), outer(sender=JID("nurse@example.com")))
        clock.pass_seconds(-50)
        assert unprotect(receiver, protect(sender)).report.timestamp_state == "ok"

    def test_older_presence_does_not_undo_a_newer_one(self, sender, receiver, clock):
        unprotect(receiver, protect(sender))
        older, newer = (
            protect(sender, f"<presence to='{ROMEO}'><status>{n}</status></presence>") for n in "12"
        )
        where = outer("presence", "available")
        assert unprotect(receiver, newer, where).report.authenticated
        assert refusal(receiver, older, where).reason == "decreasing"
        other = outer("presence", "available", sender=JID("juliet@example.com/chamber"))
        clock.pass_seconds(1)
        assert unprotect(receiver, protect(sender, f"<presence to='{ROMEO}'/>"), other).report.authenticated

    def test_whoever_has_many_resources_does_not_make_older_presence_of_others_new(
        self, sender, receiver, clock
    ):
        unprotect(receiver, protect(sender))
        older, newer = (
            protect(sender, f"<presence to='{ROMEO}'><status>{n}</status></presence>") for n in "12"
        )
        where = outer("presence", "available")
        assert unprotect(receiver, newer, where).report.authenticated
        fresh = Freshness("ok", 0.0, "live")
        for number in range(5000):
            mallory = JID(f"mallory@evil.example/{number}")
            receiver._arriving._check_order(mallory, clock(), fresh)
        assert refusal(receiver, older, where).reason == "decreasing"

    def test_presence_of_the_same_second_is_not_older(self, pki, juliet, receiver):
        """A bare stanza is dated by its signature, in whole seconds."""
        for status in ("1", "2"):
            entity = xmpp_entity(f"<presence><status>{status}</status></presence>").encode()
            text = clear_signed(entity, signer(juliet, pki.intermediate)).decode()
            assert unprotect(receiver, text, outer("presence", "available")).report.authenticated


class TestWhomItIsFrom:
    @pytest.mark.parametrize("sender", ["ᴬlice@example.com", "alice@ᴬ.example"])
    @pytest.mark.parametrize("archived", [False, True])
    def test_an_address_that_can_not_be_compared_is_nobodys(self, receiver, sender, archived):
        error = refusal(receiver, "", outer(sender=JID(sender)), archived=archived)
        assert (type(error), error.reason) == (SignatureError, "name-mismatch")


class TestInTwoSteps:
    def test_what_nobody_could_answer_for_may_come_again(self, sender, receiver):
        text = protect(sender)
        judged = receiver.judge(text, outer())
        assert refusal(receiver, text).reason == "seen"
        receiver.release(judged)
        assert unprotect(receiver, text).report.authenticated
