"""What was changed, made by somebody else, or sent on is refused, and nobody learns why."""

from datetime import timedelta

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES256_GCM
from slixmpp_e2e.errors import (
    BAD_TIMESTAMP,
    DECRYPTION_FAILED,
    NOT_ACCEPTABLE,
    UNVERIFIED_SIGNATURE,
    MalformedError,
    RefusedError,
    SignatureError,
    TimestampError,
    UndecryptableError,
)
from slixmpp_e2e.media import mime
from slixmpp_e2e.policy import Level
from tests.accounts import account
from tests.certificates.building import authority, certificate, end_entity, key_usage
from tests.formats.objects import (
    DATED,
    FROM,
    ROMEO,
    TO,
    changed,
    clear_signed,
    der_of,
    enveloped,
    flipped,
    message_cpim,
    opaque,
    outer,
    signer,
    xmpp_entity,
)
from tests.pki import MOMENT, PKI, Entity
from tests.protection.ways import NURSE, protect, refusal, unprotect


class TestTampering:
    """What stands inside an envelope fails in one way only, until a trusted signature has verified."""

    def signed_by(
        self, entity: Entity, *chain: Entity, content: bytes | None = None, scheme: str | None = None
    ) -> bytes:
        return opaque(content or message_cpim(), signer(entity, *chain, scheme=scheme))

    @pytest.fixture
    def strangers(self, pki: PKI, juliet: Entity) -> dict[str, bytes]:
        """Signed objects of people who are not believed to be juliet, by the reason."""
        stranger = authority("Stranger")
        old = {"valid_from": MOMENT - timedelta(days=2), "valid_until": MOMENT - timedelta(days=1)}
        return {
            "untrusted": self.signed_by(end_entity(issuer=stranger), stranger),
            "expired": self.signed_by(end_entity(issuer=pki.intermediate, **old), pki.intermediate),
            "usage": self.signed_by(
                end_entity(key_usage("key_agreement"), issuer=pki.intermediate), pki.intermediate
            ),
            "name-mismatch": self.signed_by(
                end_entity(jid="nurse@example.com", issuer=pki.intermediate), pki.intermediate
            ),
            "nameless": self.signed_by(
                Entity("x", juliet.key, certificate(juliet.key, issuer=pki.intermediate)), pki.intermediate
            ),
            "no path": self.signed_by(juliet),
        }  # fmt: skip

    REASONS = (
        ("untrusted", "untrusted"),
        ("expired", "untrusted"),
        ("usage", "untrusted"),
        ("name-mismatch", "name-mismatch"),
        ("nameless", "name-mismatch"),
        ("no path", "untrusted"),
    )

    @pytest.mark.requirement("3923-6.3-10", "3850-4.2-1")
    @pytest.mark.parametrize(("who", "reason"), REASONS)
    def test_a_signature_of_somebody_else_is_refused(self, receiver, romeo, strangers, who, reason):
        error = refusal(receiver, enveloped(strangers[who], romeo))
        assert (type(error), error.reason) == (SignatureError, reason)
        assert (error.answer, error.concealed) == (DECRYPTION_FAILED, True)
        assert receiver.store.certificates("juliet@example.com") == ()

    @pytest.mark.parametrize(("who", "reason"), REASONS)
    def test_in_clear_the_sender_is_told_that_it_was_the_signature(self, receiver, strangers, who, reason):
        der = mime.parse_entity(strangers[who]).body
        error = refusal(receiver, mime.pkcs7_mime(der, "signed-data", binary=False).decode())
        assert (error.reason, error.answer, error.concealed) == (reason, UNVERIFIED_SIGNATURE, False)

    def test_another_certificate_than_the_pinned_one_is_said(self, pki, romeo, juliet, sender, clock):
        pins = {"juliet@example.com": frozenset({pki["p-256"].parsed.fingerprint})}
        error = refusal(account(pki, romeo, clock, pins=pins), protect(sender))
        assert (error.reason, error.answer, error.concealed) == (
            "certificate-changed",
            DECRYPTION_FAILED,
            True,
        )

    @pytest.mark.requirement("3923-2-1")
    @pytest.mark.parametrize("cipher", [AES128_CBC, AES256_GCM], ids=["CBC", "GCM"])
    @pytest.mark.parametrize("at", [-1, -16, -17, -100, -500, 0.5, 0.3])
    def test_a_bit_of_the_envelope_makes_it_unreadable(self, pki, juliet, romeo, receiver, clock, cipher, at):
        text = protect(account(pki, juliet, clock, peers=[romeo], cipher=cipher))
        place = at if isinstance(at, int) else int(len(der_of(text)) * at)
        error = refusal(receiver, changed(text, lambda der: flipped(der, place)))
        assert (error.answer, error.concealed) == (DECRYPTION_FAILED, True)
        assert isinstance(error, (UndecryptableError, MalformedError, SignatureError))

    @pytest.mark.requirement("3923-2-3", "3923-2-8")
    def test_an_envelope_for_somebody_else_is_not_for_us(self, pki, juliet, romeo, clock, sender):
        error = refusal(account(pki, juliet, clock), protect(sender))
        assert (type(error), error.reason) == (UndecryptableError, "not-for-us")
        assert (error.answer, error.concealed) == (DECRYPTION_FAILED, True)

    @pytest.mark.requirement("3851-3.3-2")
    def test_what_nobody_signed_is_refused_by_default(self, sender, receiver):
        error = refusal(receiver, protect(sender, level=Level.ENCRYPT_UNSIGNED))
        assert (error.reason, error.answer, error.concealed) == ("unsigned", DECRYPTION_FAILED, True)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (message_cpim("From: <im:nurse@example.com>", TO, DATED), "name-mismatch"),
            (message_cpim(FROM, TO, "DateTime: x"), "missing"),
            (message_cpim(FROM, TO, "DateTime: 2026-11-20T08:00:00Z"), "old"),
            (message_cpim(FROM, TO, "DateTime: 2026-11-20T09:00:00Z"), "future"),
            (message_cpim(content="Content-type: text/html\r\n\r\n"), "unsupported"),
            (message_cpim(content=xmpp_entity("<presence/>")), "invalid"),
            (xmpp_entity("<presence/>").encode(), "missing"),
            (b"Content-type: text/plain\r\n\r\nx", "unsupported"),
        ],
    )
    def test_what_nobody_signed_fails_like_anything_else_in_an_envelope(
        self, receiver, romeo, content, reason
    ):
        error = refusal(receiver, enveloped(content, romeo), allow_unsigned=True)
        assert error.reason == reason
        assert (error.answer, error.concealed) == (DECRYPTION_FAILED, True)  # ARCHITECTURE invariant 15
        assert getattr(error, "stale", None) is None

    @pytest.mark.requirement("3923-6.9-9")
    @pytest.mark.parametrize(
        ("content", "kind", "reason", "answer"),
        [
            (message_cpim(NURSE, TO, DATED), SignatureError, "name-mismatch", UNVERIFIED_SIGNATURE),
            (message_cpim(FROM, "cc: <im:a@b>", DATED), SignatureError, "other-recipient", UNVERIFIED_SIGNATURE),
            (message_cpim(content=xmpp_entity("<presence/>")), SignatureError, "invalid", UNVERIFIED_SIGNATURE),
            (message_cpim(FROM, TO), TimestampError, "missing", BAD_TIMESTAMP),
            (message_cpim(FROM, TO, "DateTime: 2026-11-20T08:00:00Z"), TimestampError, "old", BAD_TIMESTAMP),
            (message_cpim(FROM, TO, "DateTime: 9999-12-31T23:59:59-01:00"), TimestampError, "missing", BAD_TIMESTAMP),
            (message_cpim(FROM, TO, "DateTime: 9999-12-31T23:59:59Z"), TimestampError, "future", BAD_TIMESTAMP),
            (message_cpim(FROM, TO, "DateTime: 0001-01-01T00:00:00Z"), TimestampError, "old", BAD_TIMESTAMP),
            (message_cpim(content="Content-type: a/b\r\n\r\n"), RefusedError, "unsupported", NOT_ACCEPTABLE),
            (message_cpim(content=""), MalformedError, "malformed", NOT_ACCEPTABLE),
            (message_cpim(FROM, FROM, TO, DATED), MalformedError, "malformed", NOT_ACCEPTABLE),
        ],
    )  # fmt: skip
    def test_who_is_believed_is_told_what_was_wrong(
        self, pki, receiver, juliet, romeo, content, kind, reason, answer
    ):
        for text in (
            enveloped(self.signed_by(juliet, pki.intermediate, content=content), romeo),
            clear_signed(content, signer(juliet, pki.intermediate)).decode(),
        ):
            error = refusal(receiver, text)
            assert (type(error), error.reason) == (kind, reason)
            assert (error.answer, error.concealed) == (answer, False)

    def test_a_signed_object_that_was_captured_cannot_be_sent_on(self, pki, juliet, romeo, clock):
        """Surreptitious forwarding: romeo encrypts juliet's words to him to somebody else (ERRATA E26)."""
        nurse_jid = JID("nurse@example.com")
        nurse = end_entity(jid=nurse_jid.bare, issuer=pki.intermediate, key=pki["rsa-3072"].key)
        words = self.signed_by(juliet, pki.intermediate)
        by = account(pki, nurse, clock)
        error = refusal(by, enveloped(words, nurse), outer(recipient=nurse_jid))
        assert (error.reason, error.answer) == ("other-recipient", UNVERIFIED_SIGNATURE)
        error = refusal(by, enveloped(words, nurse), outer(sender=ROMEO, recipient=nurse_jid))
        assert (error.reason, error.answer) == ("name-mismatch", DECRYPTION_FAILED)

    @pytest.mark.requirement("3923-6.3-10")
    @pytest.mark.parametrize(
        ("where", "reason"),
        [
            (outer(sender=JID("nurse@example.com")), "name-mismatch"),
            (outer(sender=JID("example.com")), "name-mismatch"),
            (outer(recipient=JID("nurse@example.net")), "other-recipient"),
            (outer("presence", "available"), "unsupported"),
        ],
    )
    def test_what_was_captured_is_nothing_in_another_stanza(self, sender, receiver, where, reason):
        assert refusal(receiver, protect(sender), where).reason == reason

    @pytest.mark.requirement("3923-2-6", "3923-2-7")
    def test_presence_that_was_changed_is_refused(self, sender, receiver):
        text = protect(sender, "<presence><show>away</show><status>gone</status></presence>", Level.SIGN)
        for before, after in (("away", "chat"), ("gone", "here"), ("juliet@", "nurse@"), ("DateTime", "X")):
            assert before in text
            error = refusal(receiver, text.replace(before, after), outer("presence", "available"))
            assert error.reason == "invalid"
        assert unprotect(receiver, text, outer("presence", "available")).report.authenticated

    def test_another_type_of_stanza_is_refused(self, sender, receiver):
        text = protect(sender, "<iq type='get' id='1'><q xmlns='urn:x'/></iq>")
        assert refusal(receiver, text, outer("iq", "set")).reason == "invalid"

    @pytest.mark.requirement("3923-6.3-9")
    def test_another_resource_does_not_matter(self, sender, receiver):
        assert unprotect(receiver, protect(sender), outer(sender=JID("juliet@example.com/chamber")))
