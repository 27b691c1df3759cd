"""What peers announce decides how they are written to (ERRATA E30), and what a policy allows is read."""

from dataclasses import replace

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.certificates.announcement import Announcement
from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.cms.algorithms import AES128_CBC
from slixmpp_e2e.cms.asn1 import SET, sequence, tlv
from slixmpp_e2e.cms.capabilities import EVERYTHING, SMIME_CAPABILITIES, UNKNOWN, preference_attribute
from slixmpp_e2e.cms.certificates import CertificatePool, ParsedCertificate
from slixmpp_e2e.cms.recipients import RSA_PKCS1
from slixmpp_e2e.cms.signed_data import Signer, parse_signed_data
from slixmpp_e2e.errors import DECRYPTION_FAILED, CertificatesOnlyError, NoCertificateError, StoreError
from slixmpp_e2e.formats.rfc3923 import write_certificates
from slixmpp_e2e.freshness import SECOND, format_date_time, to_datetime
from slixmpp_e2e.media import mime
from slixmpp_e2e.policy import Level
from tests.accounts import account
from tests.certificates.building import with_key_identifier_of
from tests.cms.test_triple_des import enveloped as in_triple_des
from tests.formats.objects import JULIET, ROMEO, TO, message_cpim, opaque, outer, signed_der, signer
from tests.pki import make_certificate
from tests.protection.ways import protect, refusal, unprotect

MALLORY = JID("mallory@example.org/den")


def algorithms(report) -> tuple[str, str]:
    return report.encryption_algorithm, report.key_management_algorithm


def back(by, to, **options):
    """Romeo answers juliet; what she makes of it."""
    text = by.protect(_message(), sender=ROMEO, recipient=JULIET, level=Level.REQUIRED).text
    return unprotect(to, text, outer(sender=ROMEO, recipient=JULIET)).report


def _message():
    from tests.elements import stanza

    return stanza("<message type='chat'><body>It is the east</body></message>")


class TestCapabilities:
    def test_a_stranger_gets_what_everybody_reads(self, sender, receiver):
        assert algorithms(unprotect(receiver, protect(sender)).report) == ("aes128-cbc", "rsa-pkcs1")

    @pytest.mark.requirement("3851-2.7.1-1", "3851-2.7.1-5")
    def test_who_has_announced_better_gets_better(self, sender, receiver):
        unprotect(receiver, protect(sender))
        assert algorithms(back(receiver, sender)) == ("aes256-gcm", "rsa-oaep-sha256")

    def test_what_was_configured_goes_before_what_was_announced(self, pki, romeo, sender, clock):
        by = account(pki, romeo, clock, cipher=AES128_CBC, transport=RSA_PKCS1)
        unprotect(by, protect(sender))
        assert algorithms(back(by, sender)) == ("aes128-cbc", "rsa-pkcs1")

    def test_a_copy_for_ourselves_does_not_hold_the_choice_back(self, pki, romeo, sender, clock):
        by = account(pki, romeo, clock, encrypt_to_self=True)
        unprotect(by, protect(sender))
        assert algorithms(back(by, sender)) == ("aes256-gcm", "rsa-oaep-sha256")

    @pytest.mark.requirement("3851-2.7.1-2", "3851-2.7.1-1")
    def test_what_is_not_trusted_announces_nothing(self, pki, romeo, juliet, sender, clock):
        by = account(pki, romeo, clock, anchors=[], pins={}, peers=[juliet])
        refusal(by, protect(sender))
        assert not by.can_encrypt_to(JULIET)
        assert len(by.peers._announced) == 0

    @pytest.mark.requirement("3851-2.7.1-1", "3851-2.5.3-2")
    def test_an_older_announcement_does_not_undo_a_newer_one(self, pki, sender, receiver, romeo, clock):
        first = protect(sender)  # announces
        clock.pass_seconds(1)
        sender.forget_inclusion(ROMEO)
        unprotect(receiver, protect(sender))
        said_by = (JULIET.bare, sender.identity.certificate.fingerprint)
        newest = receiver.peers._announced.get(said_by)
        unprotect(receiver, first)
        assert newest is not None
        assert receiver.peers._announced.get(said_by) is newest
        assert algorithms(back(receiver, sender)) == ("aes256-gcm", "rsa-oaep-sha256")

    @pytest.mark.requirement("3851-2.7.1-2", "3851-2.5.3-2")
    @pytest.mark.parametrize("seconds", [301, -301])
    def test_an_announcement_of_another_time_is_not_kept(self, sender, receiver, juliet, clock, seconds):
        text = protect(sender)
        clock.pass_seconds(seconds)
        refusal(receiver, text)
        assert len(receiver.peers._announced) == 0


class CountingStore(MemoryStore):
    """A store that counts what is written of announcements."""

    def __init__(self) -> None:
        super().__init__(started=0)
        self.written = 0

    def announce(self, jid: str, fingerprint: bytes, value: bytes) -> None:
        self.written += 1
        super().announce(jid, fingerprint, value)


class TestAnnouncementsAreKept:
    @pytest.fixture
    def store(self):
        return CountingStore()

    @pytest.fixture
    def romeos(self, pki, romeo, clock, store):
        """Romeo, as often as he is started."""
        return lambda: account(pki, romeo, clock, store=store)

    @pytest.mark.requirement("3851-2.7.1-1")
    def test_what_was_announced_counts_after_a_restart(self, sender, romeos):
        unprotect(romeos(), protect(sender))
        assert algorithms(back(romeos(), sender)) == ("aes256-gcm", "rsa-oaep-sha256")

    def test_what_cannot_be_read_was_never_said_and_is_said_again(self, sender, romeos, store, clock):
        unprotect(romeos(), protect(sender))
        fingerprint = sender.identity.certificate.fingerprint
        store.announce(JULIET.bare, fingerprint, b"of a later version")
        assert algorithms(back(romeos(), sender)) == ("aes128-cbc", "rsa-pkcs1")
        clock.pass_seconds(1)
        sender.forget_inclusion(ROMEO)
        unprotect(romeos(), protect(sender))
        assert algorithms(back(romeos(), sender)) == ("aes256-gcm", "rsa-oaep-sha256")

    def test_it_is_written_once_a_day_and_not_with_every_stanza(self, sender, romeos, store, clock):
        by = romeos()
        for hour in range(24):
            unprotect(by, protect(sender))
            sender.forget_inclusion(ROMEO)
            unprotect(romeos(), protect(sender))
            sender.forget_inclusion(ROMEO)
            assert store.written == 1, hour
            clock.pass_seconds(3600)
        unprotect(by, protect(sender))
        assert store.written == 2

    def test_another_announcement_is_written_at_once(self, sender, romeos, store, clock):
        by = romeos()
        unprotect(by, protect(sender))
        (before,) = store.announcements(JULIET.bare).values()
        clock.pass_seconds(1)
        changed = replace(Announcement.from_der(before), capabilities=UNKNOWN)
        store.announce(JULIET.bare, sender.identity.certificate.fingerprint, changed.to_der())
        sender.forget_inclusion(ROMEO)
        unprotect(romeos(), protect(sender))
        (after,) = store.announcements(JULIET.bare).values()
        assert Announcement.from_der(after).capabilities == EVERYTHING
        assert store.written == 3

    @pytest.mark.parametrize(
        ("later", "counts"),
        [(3600, "what was kept"), (-3600, "what was kept"), (24 * 3600, "what comes late")],
    )
    def test_after_a_restart_what_comes_late_must_be_newer_than_any_repetition(
        self, sender, romeos, store, clock, later, counts
    ):
        unprotect(romeos(), protect(sender))
        ((fingerprint, said),) = store.announcements(JULIET.bare).items()
        kept = replace(Announcement.from_der(said), capabilities=UNKNOWN)
        sender.forget_inclusion(ROMEO)
        clock.pass_seconds(48 * 3600)
        late, dated = protect(sender), clock()
        store.announce(JULIET.bare, fingerprint, replace(kept, timestamp=dated - later * SECOND).to_der())
        clock.pass_seconds(72 * 3600)
        by = romeos()
        unprotect(by, late, delayed_since=dated)
        expected = (
            ("aes128-cbc", "rsa-pkcs1") if counts == "what was kept" else ("aes256-gcm", "rsa-oaep-sha256")
        )
        assert algorithms(back(by, sender)) == expected

    def test_a_store_that_cannot_write_it_loses_nothing_else(self, sender, romeos, store, monkeypatch):
        def fail(*_: object) -> None:
            raise StoreError("the disk is full")

        monkeypatch.setattr(store, "announce", fail)
        by = romeos()
        assert unprotect(by, protect(sender)).learned
        assert algorithms(back(by, sender)) == ("aes256-gcm", "rsa-oaep-sha256")
        assert store.written == 0


class TestEncryptionKeyPreference:
    @pytest.fixture
    def two_keys(self, pki, juliet, romeo, clock):
        """Juliet, who signs with Ed25519 and is encrypted to with RSA."""
        signing = pki["ed25519"]
        by = account(pki, signing, clock, peers=[romeo])
        second = identity(juliet.key, juliet.certificate, [pki.intermediate.certificate])
        by.succession.current = identity(
            signing.key, signing.certificate, [pki.intermediate.certificate], encryption=second
        )
        by.add_decryption_key(second)
        return by

    @pytest.mark.requirement("3851-2.5.3-2", "3851-2.5.3.1-1")
    def test_the_preferred_certificate_is_learned_from_the_signature_and_used(
        self, two_keys, receiver, juliet
    ):
        with pytest.raises(NoCertificateError):
            back(receiver, two_keys)
        assert unprotect(receiver, protect(two_keys)).report.signature_algorithm == "ed25519"
        assert back(receiver, two_keys).authenticated
        keys = receiver.peers.keys(JULIET.bare, juliet.certificate.not_valid_before_utc)
        assert [key.certificate.der for key in keys] in ([], [juliet.der])

    @pytest.mark.requirement("3851-2.5.3-2", "3851-2.5.3.1-1")
    def test_of_two_usable_certificates_the_preferred_one_is_used(self, pki, juliet, romeo, receiver, clock):
        older = account(pki, juliet, clock, peers=[romeo])
        unprotect(receiver, protect(older))
        other = pki["rsa-3072"]
        clock.pass_seconds(1)
        newer = account(pki, juliet, clock, peers=[romeo])
        second = identity(other.key, other.certificate, [pki.intermediate.certificate])
        newer.succession.current = identity(
            juliet.key, juliet.certificate, [pki.intermediate.certificate], encryption=second
        )
        newer.add_decryption_key(second)
        unprotect(receiver, protect(newer))
        clock.pass_seconds(120)
        keys = receiver.peers.keys(JULIET.bare, to_datetime(clock.now))
        assert [key.certificate.der for key in keys] == [other.der]

    def test_two_certificates_that_name_each_other_are_both_used(self, pki, juliet, romeo, receiver, clock):
        other = pki["rsa-3072"]
        for one, preferred in ((juliet, other), (other, juliet)):
            by = account(pki, one, clock, peers=[romeo])
            second = identity(preferred.key, preferred.certificate, [pki.intermediate.certificate])
            by.succession.current = identity(
                one.key, one.certificate, [pki.intermediate.certificate], encryption=second
            )
            unprotect(receiver, protect(by))
            clock.pass_seconds(1)
        clock.pass_seconds(120)
        keys = receiver.peers.keys(JULIET.bare, to_datetime(clock.now))
        assert {key.certificate.der for key in keys} == {juliet.der, other.der}

    @pytest.fixture
    def mallory(self, pki, clock):
        """Somebody with a good certificate of his own, who puts others beside it and names one as preferred."""
        key = pki["p-256"].key
        own = make_certificate(key, "Mallory", issuer=pki.intermediate, jid=MALLORY.bare)

        def message(preferred: ParsedCertificate, *beside: ParsedCertificate) -> str:
            attributes = [
                sequence(SMIME_CAPABILITIES, tlv(SET, sequence())),
                preference_attribute(preferred),
            ]
            along = [pki.intermediate.parsed, preferred, *beside]
            by = Signer(key, ParsedCertificate.from_x509(own), along, attributes=attributes)
            clock.pass_seconds(1)
            dated = f"DateTime: {format_date_time(clock.now)}"
            signed = signed_der(message_cpim(f"From: <im:{MALLORY.bare}>", TO, dated), by)
            return mime.pkcs7_mime(signed, "signed-data", binary=False).decode()

        return message

    def test_nobody_announces_anything_for_somebody_elses_certificate(
        self, sender, receiver, juliet, clock, mallory
    ):
        unprotect(receiver, protect(sender))
        found = unprotect(receiver, mallory(juliet.parsed), outer(sender=MALLORY))
        assert found.report.authenticated
        clock.pass_seconds(120)
        assert algorithms(back(receiver, sender)) == ("aes256-gcm", "rsa-oaep-sha256")

    def test_a_certificate_that_nobody_vouches_for_is_not_kept_because_it_is_preferred(
        self, sender, receiver, juliet, romeo, clock, mallory
    ):
        unprotect(receiver, protect(sender))
        by_key = juliet.parsed.key_identifier
        assert by_key is not None
        forged = [with_key_identifier_of(juliet.certificate) for _ in range(9)]
        unprotect(receiver, mallory(juliet.parsed, *forged), outer(sender=MALLORY))
        assert [found.der for found in receiver.peers.pool.find(by_key)] == [juliet.der]
        assert len(receiver.store.certificates(MALLORY.bare)) == 1
        # she sends no certificate now, and is found by her key identifier
        assert unprotect(receiver, protect(sender)).report.authenticated


class TestCertificatesOnly:
    @pytest.mark.requirement("3850-4-1", "3851-3.7-1")
    def test_they_are_learned_where_they_are_the_senders_and_trusted(self, sender, receiver):
        error = refusal(receiver, sender.certificates_only())
        assert isinstance(error, CertificatesOnlyError)
        assert (error.learned, error.silent) == (True, True)
        assert receiver.can_encrypt_to(JULIET)
        assert not refusal(receiver, sender.certificates_only()).learned

    def test_somebody_elses_are_not(self, receiver, pki, romeo, clock):
        theirs = account(pki, romeo, clock).certificates_only()
        assert not refusal(receiver, theirs).learned
        assert not receiver.can_encrypt_to(JULIET)

    def test_nor_are_those_that_nobody_vouches_for(self, pki, romeo, sender, clock):
        by = account(pki, romeo, clock, anchors=[], pins={JULIET.bare: frozenset({bytes(32)})})
        assert not refusal(by, sender.certificates_only()).learned

    def test_one_that_signs_and_one_that_is_encrypted_to_are_judged_at_once(self, pki, receiver):
        """Nobody signed for them: a stranger decides how many paths are looked for."""
        hers = [pki[name].parsed for name in ("juliet", "rsa-3072", "p-256", "p-384")]
        text = write_certificates([pki["romeo"].parsed, pki.intermediate.parsed, *hers])
        assert refusal(receiver, text).learned
        assert len(receiver.store.certificates(JULIET.bare)) == 2

    @pytest.mark.requirement("3851-3.2.2-1", "3851-3.7-1", "3850-4-1")
    def test_they_look_as_rfc_3851_wants_it(self, sender, pki, juliet):
        entity = mime.parse_entity(mime.canonical_line_breaks(sender.certificates_only().encode()))
        assert entity.media_type == "application/pkcs7-mime"
        assert entity.parameters == {"smime-type": "certs-only", "name": "smime.p7c"}


class TestTripleDES:
    @pytest.mark.requirement("3851-2.7-1")
    def test_a_policy_lets_it_through_as_legacy(self, pki, romeo, juliet, clock):
        inside = mime.pkcs7_mime(opaque_der(juliet, pki.intermediate), "signed-data", binary=True)
        text = mime.pkcs7_mime(in_triple_des(romeo, inside), "enveloped-data", binary=False).decode()
        report = unprotect(account(pki, romeo, clock, allow_3des=True), text).report
        assert (report.encryption_algorithm, report.legacy, report.authenticated) == (
            "des-ede3-cbc",
            True,
            True,
        )
        error = refusal(account(pki, romeo, clock), text)
        assert (error.reason, error.answer) == ("malformed", DECRYPTION_FAILED)


def opaque_der(by, *chain) -> bytes:
    return mime.parse_entity(opaque(message_cpim(), signer(by, *chain))).decoded_body()


def test_certificates_with_the_key_identifier_of_somebody_do_not_keep_his_own_from_being_tried(juliet):
    data = signed_der(message_cpim(), Signer(juliet.key, juliet.parsed, key_identifier=True))
    pool = CertificatePool([with_key_identifier_of(juliet.certificate) for _ in range(9)])
    _, found = parse_signed_data(data).verify(pool)
    assert found.certificate.fingerprint == juliet.parsed.fingerprint
