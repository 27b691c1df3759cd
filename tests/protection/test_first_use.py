"""trust="tofu": the first certificate that signs for a JID is kept, and another one is a change."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.errors import SignatureError
from slixmpp_e2e.media import mime
from slixmpp_e2e.policy import Level
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.report import Trust
from tests.accounts import account
from tests.certificates.building import end_entity, names, new_key
from tests.cms.forge import signed_data
from tests.formats.objects import JULIET, message_cpim, signer
from tests.pki import MOMENT, VALID_FROM, VALID_UNTIL
from tests.protection.test_choices import back
from tests.protection.ways import protect, refusal, unprotect


@pytest.fixture
def kept() -> MemoryStore:
    return MemoryStore(started=0)


@pytest.fixture
def trusting(romeo, clock, kept) -> Protection:
    """Romeo, who knows no CA."""
    return Protection(identity(romeo.key, romeo.certificate), Authority(kept, first_use=True), kept, clock)


@pytest.mark.requirement("reqs-4-5a", "reqs-4-6")
def test_the_first_one_is_believed_and_kept(sender, trusting, kept, juliet):
    report = unprotect(trusting, protect(sender)).report
    assert (report.trust, report.authenticated) == (Trust.TOFU, True)
    assert kept.decisions(JULIET.bare) == {juliet.parsed.fingerprint: Trust.TOFU}
    assert unprotect(trusting, protect(sender)).report.authenticated
    assert trusting.can_encrypt_to(JULIET)
    assert back(trusting, sender).encrypted


def test_another_one_is_a_change(pki, sender, trusting, kept, romeo, clock):
    unprotect(trusting, protect(sender))
    clock.pass_seconds(1)
    other = account(pki, end_entity(jid=JULIET.bare), clock, peers=[romeo])
    error = refusal(trusting, protect(other))
    assert (type(error), error.reason) == (SignatureError, "certificate-changed")
    assert len(kept.decisions(JULIET.bare)) == 1


def test_a_refused_stanza_decides_nothing(sender, trusting, kept, clock):
    text = protect(sender)
    clock.pass_seconds(1000)
    assert refusal(trusting, text).reason == "old"
    assert kept.decisions(JULIET.bare) == {}


def test_nor_does_an_archive(sender, trusting, kept, clock):
    found = unprotect(trusting, protect(sender), archived=True, delayed_since=clock.now)
    assert (found.report.trust, found.report.signer_trusted) == (Trust.UNTRUSTED, False)
    assert kept.decisions(JULIET.bare) == {}


def test_certificates_alone_decide_nothing(sender, trusting, kept):
    assert not refusal(trusting, sender.certificates_only()).learned
    assert kept.certificates(JULIET.bare) == ()
    assert kept.decisions(JULIET.bare) == {}
    assert not trusting.can_encrypt_to(JULIET)


def test_the_preferred_certificate_is_kept_with_the_signers(pki, juliet, romeo, trusting, kept, clock):
    signing = pki["p-256"]
    by = account(pki, signing, clock, peers=[romeo])
    second = identity(juliet.key, juliet.certificate)
    by.succession.current = identity(signing.key, signing.certificate, encryption=second)
    by.add_decryption_key(second)
    unprotect(trusting, protect(by))
    assert kept.decisions(JULIET.bare) == {
        signing.parsed.fingerprint: Trust.TOFU,
        juliet.parsed.fingerprint: Trust.TOFU,
    }
    assert trusting.can_encrypt_to(JULIET)


def test_a_person_can_take_trust_away_at_once(sender, trusting, juliet):
    unprotect(trusting, protect(sender))
    assert trusting.can_encrypt_to(JULIET)
    trusting.peers.decide(JULIET.bare, juliet.parsed.fingerprint, Trust.DISTRUSTED)
    assert not trusting.can_encrypt_to(JULIET)
    assert refusal(trusting, protect(sender)).reason == "distrusted"
    trusting.peers.decide(JULIET.bare, juliet.parsed.fingerprint, Trust.VERIFIED)
    assert unprotect(trusting, protect(sender)).report.trust is Trust.VERIFIED


def test_nobody_puts_another_certificate_with_the_signers_key_in_the_place_of_his(
    sender, trusting, kept, juliet
):
    """Of his own making, with other names or another validity: his own would be a change for ever."""
    own = juliet.certificate
    builder = x509.CertificateBuilder(own.issuer, own.subject, own.public_key(), own.serial_number)
    builder = builder.not_valid_before(VALID_FROM).not_valid_after(VALID_UNTIL)
    forged = builder.add_extension(names(JULIET.bare), critical=False).sign(new_key(), hashes.SHA256())
    content = message_cpim()
    info = signer(juliet).signer_info(content, MOMENT, certificates=True)
    der = signed_data(content, [info], [forged.public_bytes(Encoding.DER)])
    assert refusal(trusting, mime.pkcs7_text(der, "signed-data")).reason == "invalid"
    assert kept.decisions(JULIET.bare) == {}
    assert unprotect(trusting, protect(sender, level=Level.SIGN)).report.authenticated
    assert kept.decisions(JULIET.bare) == {juliet.parsed.fingerprint: Trust.TOFU}
