"""What comes from an archive: it may come again, and its keeper could have put anything authentic into it."""

import pytest

from slixmpp_e2e.certificates import identity as identities
from slixmpp_e2e.errors import DECRYPTION_FAILED
from slixmpp_e2e.freshness import SECOND, from_datetime
from slixmpp_e2e.policy import Level
from tests.accounts import account
from tests.certificates.building import certificate, key_usage, names
from tests.formats.objects import JULIET, ROMEO, outer
from tests.pki import VALID_UNTIL, Entity
from tests.protection.ways import changes, protect, refusal, unprotect


def test_it_can_be_read_again_and_is_never_authenticated(sender, receiver, clock):
    text = protect(sender)
    for seconds in (0, 10, 100_000):
        clock.pass_seconds(seconds)
        report = unprotect(receiver, text, archived=True, delayed_since=0).report
        assert (report.arrival, report.signer_trusted, report.authenticated) == ("archived", True, False)


def test_it_neither_blocks_nor_replaces_the_one_that_arrives(sender, receiver):
    text = protect(sender)
    unprotect(receiver, text, archived=True)
    assert unprotect(receiver, text).report.authenticated
    assert refusal(receiver, text).reason == "seen"
    assert unprotect(receiver, text, archived=True).report.arrival == "archived"


def test_nothing_is_learned_from_it(sender, receiver):
    unprotect(receiver, protect(sender), archived=True)
    assert not receiver.can_encrypt_to(JULIET)


@pytest.mark.parametrize("live_before", [False, True])
def test_its_keeper_cannot_try_one_change_after_the_other(sender, receiver, live_before):
    """He says whom it is from, so it may be from somebody whose unsigned objects are taken."""
    text = protect(sender)
    unprotect(receiver, text, archived=not live_before)
    for forged in changes(text)[:8]:
        error = refusal(receiver, forged, archived=True, allow_unsigned=True)
        assert (error.reason, error.stale) == ("seen", None)
    assert unprotect(receiver, text, archived=True).report.signer_trusted
    assert len(receiver._arriving._claimed) == 1


def test_a_change_that_came_first_blocks_the_one_that_arrives_not_the_other_way_round(sender, receiver):
    """The keeper of the archive delivers the others too: what he tried first was the only try."""
    text = protect(sender)
    assert refusal(receiver, changes(text)[0], archived=True).reason != "seen"
    assert refusal(receiver, text).reason == "seen"


def test_what_nobody_signed_is_shown_as_that(sender, receiver):
    text = protect(sender, level=Level.ENCRYPT_UNSIGNED)
    for _ in range(2):
        report = unprotect(receiver, text, archived=True, allow_unsigned=True).report
        assert (report.arrival, report.signed, report.signer) == ("archived", False, None)
    assert refusal(receiver, text, archived=True).answer == DECRYPTION_FAILED


def test_a_copy_of_our_own_is_judged_as_the_report_says(sender, clock):
    text = protect(sender, level=Level.SIGN)
    copied = outer(recipient=ROMEO)
    assert "validity" in unprotect(sender, text, copied, archived=True).report.checks
    clock.now = from_datetime(VALID_UNTIL) + SECOND
    assert refusal(sender, text, copied, archived=True).reason == "untrusted"


def test_so_is_one_whose_certificate_does_not_allow_signatures(pki, juliet, clock, monkeypatch):
    monkeypatch.setattr(identities, "check_usage", lambda *_: None)  # no such identity can be loaded
    own = certificate(
        juliet.key,
        [names("juliet@example.com"), key_usage("key_encipherment")],
        issuer=pki.intermediate,
    )
    sender = account(pki, Entity("juliet", juliet.key, own), clock)
    error = refusal(sender, protect(sender, level=Level.SIGN), outer(recipient=ROMEO), archived=True)
    assert (error.reason, "key usage" in str(error)) == ("untrusted", True)
