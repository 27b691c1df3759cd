"""What peers announce decides how they are written to (ERRATA E30), and what a policy allows is read."""

import pytest

from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.cms.algorithms import AES128_CBC
from slixmpp_e2e.cms.recipients import RSA_PKCS1
from slixmpp_e2e.errors import DECRYPTION_FAILED, CertificatesOnlyError, NoCertificateError
from slixmpp_e2e.media import mime
from slixmpp_e2e.policy import Level
from tests.accounts import account
from tests.cms.test_triple_des import enveloped as in_triple_des
from tests.formats.objects import JULIET, ROMEO, message_cpim, opaque, outer, signer
from tests.protection.ways import protect, refusal, unprotect


def algorithms(report) -> tuple[str, str]:
    return report.encryption_algorithm, report.key_management_algorithm


def back(by, to, **options):
    """Romeo answers juliet; what she makes of it."""
    text = by.protect(_message(), sender=ROMEO, recipient=JULIET, level=Level.REQUIRED)
    return unprotect(to, text, outer(sender=ROMEO, recipient=JULIET)).report


def _message():
    from tests.elements import stanza

    return stanza("<message type='chat'><body>It is the east</body></message>")


class TestCapabilities:
    def test_a_stranger_gets_what_everybody_reads(self, sender, receiver):
        assert algorithms(unprotect(receiver, protect(sender)).report) == ("aes128-cbc", "rsa-pkcs1")

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

    def test_what_is_not_trusted_announces_nothing(self, pki, romeo, juliet, sender, clock):
        by = account(pki, romeo, clock, anchors=[], pins={}, peers=[juliet])
        refusal(by, protect(sender))
        assert not by.can_encrypt_to(JULIET)
        assert by.peers._announced.get(juliet.parsed.fingerprint) is None

    def test_an_older_announcement_does_not_undo_a_newer_one(self, pki, sender, receiver, romeo, clock):
        first = protect(sender)  # announces
        clock.pass_seconds(1)
        sender.forget_inclusion(ROMEO)
        unprotect(receiver, protect(sender))
        newest = receiver.peers._announced.get(sender.identity.certificate.fingerprint)
        unprotect(receiver, first)
        assert receiver.peers._announced.get(sender.identity.certificate.fingerprint) is newest
        assert algorithms(back(receiver, sender)) == ("aes256-gcm", "rsa-oaep-sha256")


class TestEncryptionKeyPreference:
    @pytest.fixture
    def two_keys(self, pki, juliet, romeo, clock):
        """Juliet, who signs with Ed25519 and is encrypted to with RSA."""
        signing = pki["ed25519"]
        by = account(pki, signing, clock, peers=[romeo])
        second = identity(juliet.key, juliet.certificate, [pki.intermediate.certificate])
        by.identity = identity(
            signing.key, signing.certificate, [pki.intermediate.certificate], encryption=second
        )
        by.add_decryption_key(second)
        return by

    def test_the_preferred_certificate_is_learned_from_the_signature_and_used(
        self, two_keys, receiver, juliet
    ):
        with pytest.raises(NoCertificateError):
            back(receiver, two_keys)
        assert unprotect(receiver, protect(two_keys)).report.signature_algorithm == "ed25519"
        assert back(receiver, two_keys).authenticated
        keys = receiver.peers.keys(JULIET.bare, juliet.certificate.not_valid_before_utc)
        assert [key.certificate.der for key in keys] in ([], [juliet.der])

    def test_of_two_usable_certificates_the_preferred_one_is_used(self, pki, juliet, romeo, receiver, clock):
        older = account(pki, juliet, clock, peers=[romeo])
        unprotect(receiver, protect(older))
        other = pki["rsa-3072"]
        clock.pass_seconds(1)
        newer = account(pki, juliet, clock, peers=[romeo])
        second = identity(other.key, other.certificate, [pki.intermediate.certificate])
        newer.identity = identity(
            juliet.key, juliet.certificate, [pki.intermediate.certificate], encryption=second
        )
        newer.add_decryption_key(second)
        unprotect(receiver, protect(newer))
        clock.pass_seconds(120)
        from slixmpp_e2e.freshness import to_datetime

        keys = receiver.peers.keys(JULIET.bare, to_datetime(clock.now))
        assert [key.certificate.der for key in keys] == [other.der]


class TestCertificatesOnly:
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

    def test_they_look_as_rfc_3851_wants_it(self, sender, pki, juliet):
        entity = mime.parse_entity(mime.canonical_line_breaks(sender.certificates_only().encode()))
        assert entity.media_type == "application/pkcs7-mime"
        assert entity.parameters == {"smime-type": "certs-only", "name": "smime.p7c"}


class TestTripleDES:
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
