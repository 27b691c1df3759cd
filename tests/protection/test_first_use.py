"""trust="tofu": the first certificate that signs for a JID is kept, and another one is a change."""

from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e.arriving import Judged, Unprotected
from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.peers import index_by_name
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.errors import DECRYPTION_FAILED, UNVERIFIED_SIGNATURE, SignatureError
from slixmpp_e2e.media import mime
from slixmpp_e2e.policy import Level
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.accounts import account
from tests.certificates.building import end_entity, names, new_key
from tests.cms.forge import signed_data
from tests.elements import stanza
from tests.formats.objects import JULIET, ROMEO, message_cpim, outer, signer
from tests.pki import MOMENT, VALID_FROM, VALID_UNTIL
from tests.protection.test_choices import back
from tests.protection.ways import TEXT_MESSAGE, protect, refusal, unprotect


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


@pytest.mark.parametrize("before", [None, Trust.TOFU])
def test_our_own_server_does_not_become_one_of_our_devices(pki, trusting, kept, clock, before):
    made_up = end_entity(jid=ROMEO.bare)
    if before is not None:  # it was kept when nobody looked
        kept.add_certificate(ROMEO.bare, (made_up.der,))
        kept.decide(ROMEO.bare, made_up.parsed.fingerprint, before)
    by = account(pki, made_up, clock)
    text = by.protect(stanza(TEXT_MESSAGE), sender=ROMEO, recipient=ROMEO, level=Level.SIGN).text
    error = refusal(trusting, text, outer(sender=ROMEO))
    assert (type(error), error.reason) == (SignatureError, "untrusted")
    assert not trusting.can_encrypt_to(ROMEO)
    assert not trusting.trusts_somebody_as(ROMEO)
    trusting.peers.decide(ROMEO.bare, made_up.parsed.fingerprint, Trust.VERIFIED)
    assert unprotect(trusting, text, outer(sender=ROMEO)).report.trust is Trust.VERIFIED
    assert trusting.can_encrypt_to(ROMEO)


@pytest.mark.parametrize("place", ["store", "configuration"])
def test_who_is_known_by_a_path_is_not_joined_by_anybody(pki, sender, juliet, romeo, clock, kept, place):
    def beginning() -> Protection:
        judging = Authority(kept, paths=PathValidator([pki.root.certificate]), first_use=True)
        files = [[juliet.parsed, pki.intermediate.parsed]] if place == "configuration" else []
        own = identity(romeo.key, romeo.certificate)
        return Protection(own, judging, kept, clock, configured=index_by_name(files))

    if place == "store":
        assert unprotect(beginning(), protect(sender)).report.trust is Trust.PKIX
    trusting = beginning()
    text = protect(account(pki, end_entity(jid=JULIET.bare), clock, peers=[romeo]))
    assert refusal(trusting, text).reason == "certificate-changed"
    assert kept.decisions(JULIET.bare) == {}
    keys = trusting.peers.keys(JULIET.bare, MOMENT)
    assert [each.certificate.fingerprint for each in keys] == [juliet.parsed.fingerprint]
    sender.forget_inclusion(ROMEO)
    assert unprotect(trusting, protect(sender)).report.trust is Trust.PKIX


def test_certificates_alone_decide_nothing(sender, trusting, kept):
    assert not refusal(trusting, sender.certificates_only()).learned
    assert kept.certificates(JULIET.bare) == ()
    assert kept.decisions(JULIET.bare) == {}
    assert not trusting.can_encrypt_to(JULIET)


@pytest.fixture
def preferring(pki, juliet, romeo, clock) -> Protection:
    """Juliet, who signs with one key and would rather be encrypted to another."""
    signing = pki["p-256"]
    by = account(pki, signing, clock, peers=[romeo])
    second = identity(juliet.key, juliet.certificate)
    by.succession.current = identity(signing.key, signing.certificate, encryption=second)
    by.add_decryption_key(second)
    return by


def test_the_preferred_certificate_is_kept_with_the_signers(pki, juliet, preferring, trusting, kept):
    unprotect(trusting, protect(preferring))
    assert kept.decisions(JULIET.bare) == {
        pki["p-256"].parsed.fingerprint: Trust.TOFU,
        juliet.parsed.fingerprint: Trust.TOFU,
    }
    assert trusting.can_encrypt_to(JULIET)


def test_unless_somebody_has_decided_about_it(pki, juliet, preferring, trusting, kept):
    """Who signs first may name any certificate, and nobody has seen that he has its key: it may be a stolen one."""
    kept.decide(JULIET.bare, juliet.parsed.fingerprint, Trust.DISTRUSTED)
    assert unprotect(trusting, protect(preferring)).report.trust is Trust.TOFU
    assert kept.decisions(JULIET.bare) == {
        pki["p-256"].parsed.fingerprint: Trust.TOFU,
        juliet.parsed.fingerprint: Trust.DISTRUSTED,
    }
    assert [chain[0] for chain in kept.certificates(JULIET.bare)] == [pki["p-256"].der]


def conclude(by: Protection, judged: Judged) -> Unprotected:
    """Do the second step of `unprotect`."""
    asked = judged.question
    return by.conclude(judged, by.store.admit(asked.signer, asked.digest, asked.timestamp, asked.received))


@pytest.fixture(params=["memory", "sqlite"])
def processes(request, tmp_path, romeo, clock) -> Iterator[tuple[Protection, Protection]]:
    """Romeo, who knows no CA, in two processes with one store."""
    if request.param == "memory":
        stores = [MemoryStore(started=0)] * 2
    else:
        stores = [SQLiteStore(tmp_path / "store.db") for _ in range(2)]
    own = identity(romeo.key, romeo.certificate)
    first, second = (Protection(own, Authority(each, first_use=True), each, clock) for each in stores)
    yield first, second
    for each in stores:
        each.close()


@pytest.mark.parametrize("level", [Level.SIGN, Level.REQUIRED])
def test_of_two_that_are_judged_at_once_one_is_the_first(pki, sender, processes, juliet, romeo, clock, level):
    first, second = processes
    other = account(pki, end_entity(jid=JULIET.bare), clock, peers=[romeo])
    one = first.judge(protect(sender, level=level), outer())
    clock.pass_seconds(1)  # else it would be the same stanza
    two = second.judge(protect(other, level=level), outer())
    assert conclude(first, one).report.trust is Trust.TOFU
    with pytest.raises(SignatureError) as caught:
        conclude(second, two)
    assert caught.value.reason == "certificate-changed"
    assert caught.value.answer == (UNVERIFIED_SIGNATURE if level is Level.SIGN else DECRYPTION_FAILED)
    for each in processes:
        assert each.store.decisions(JULIET.bare) == {juliet.parsed.fingerprint: Trust.TOFU}
        assert [chain[0] for chain in each.store.certificates(JULIET.bare)] == [juliet.der]


def test_what_a_person_distrusts_meanwhile_is_not_the_first(sender, processes, juliet):
    first, second = processes
    judged = first.judge(protect(sender), outer())
    second.peers.decide(JULIET.bare, juliet.parsed.fingerprint, Trust.DISTRUSTED)
    with pytest.raises(SignatureError) as caught:
        conclude(first, judged)
    assert (caught.value.reason, caught.value.answer) == ("distrusted", DECRYPTION_FAILED)
    assert first.store.decisions(JULIET.bare) == {juliet.parsed.fingerprint: Trust.DISTRUSTED}
    assert first.store.certificates(JULIET.bare) == ()


@pytest.mark.parametrize("trust", [Trust.VERIFIED, Trust.PINNED])
def test_what_a_person_vouches_for_meanwhile_is_taken_as_it_was_judged(sender, processes, juliet, trust):
    first, second = processes
    judged = first.judge(protect(sender), outer())
    second.peers.decide(JULIET.bare, juliet.parsed.fingerprint, trust)
    report = conclude(first, judged).report
    assert (report.trust, report.authenticated) == (Trust.TOFU, True)
    assert first.store.decisions(JULIET.bare) == {juliet.parsed.fingerprint: trust}


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
