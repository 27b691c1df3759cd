"""A key of ours that another one has followed: ours as long as nothing else is said of it."""

from datetime import timedelta

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.errors import RemoteError
from slixmpp_e2e.policy import Level
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.report import Trust
from tests.accounts import account
from tests.certificates.building import certificate, end_entity, names, new_key, revocation_list
from tests.elements import stanza
from tests.formats.objects import JULIET, outer
from tests.pki import MOMENT, PKI, Entity
from tests.protection.ways import TEXT_MESSAGE, refusal, unprotect

HOUR = timedelta(hours=1)


@pytest.fixture
def old(pki: PKI) -> Entity:
    return end_entity(issuer=pki.intermediate, valid_until=MOMENT + HOUR)


@pytest.fixture
def by_old(pki, old, clock) -> Protection:
    """Who has the old key: we ourselves a moment ago, or a thief."""
    return account(pki, old, clock)


def followed(pki: PKI, old: Entity, new: Entity, clock, **options) -> Protection:
    """Juliet, whose old certificate has been followed by a new one; `options` as for `account`."""
    made = account(pki, old, clock, **options)
    made.add_identity(identity(new.key, new.certificate, [pki.intermediate.certificate]))
    return made


def to_ourselves(by: Protection) -> str:
    return by.protect(stanza(TEXT_MESSAGE), sender=JULIET, recipient=JULIET, level=Level.SIGN).text


def refused(by: Protection, text: str) -> RemoteError:
    return refusal(by, text, outer(sender=JULIET, recipient=JULIET))


def taken(by: Protection, text: str) -> Trust:
    return unprotect(by, text, outer(sender=JULIET, recipient=JULIET)).report.trust


@pytest.mark.parametrize("anchors", [None, ()], ids=["with a path", "without"])
def test_what_was_signed_before_it_was_followed_is_still_ours(pki, old, by_old, juliet, clock, anchors):
    assert taken(followed(pki, old, juliet, clock, anchors=anchors), to_ourselves(by_old)) is Trust.PINNED


def test_it_is_ours_no_more_when_it_has_ended(pki, old, by_old, juliet, clock):
    by = followed(pki, old, juliet, clock)
    clock.pass_seconds(HOUR.total_seconds() - 1)
    text = to_ourselves(by_old)
    clock.pass_seconds(2)
    assert refused(by, text).reason == "untrusted"


def test_nor_when_we_distrust_it(pki, old, by_old, juliet, clock):
    by = followed(pki, old, juliet, clock)
    by.peers.decide(JULIET.bare, old.parsed.fingerprint, Trust.DISTRUSTED)
    assert refused(by, to_ourselves(by_old)).reason == "distrusted"


@pytest.mark.parametrize("along", [True, False], ids=["with its CA", "without"])
def test_nor_when_its_ca_has_revoked_it(pki, old, by_old, juliet, clock, along):
    checker = RevocationChecker("soft")
    checker.lists.add(revocation_list(pki.intermediate, old))
    by = followed(pki, old, juliet, clock, revocation=checker)
    if not along:
        by_old.succession.current = identity(old.key, old.certificate)
    assert refused(by, to_ourselves(by_old)).reason == "revoked"


def test_nor_as_somebody_whom_only_the_new_one_names(pki, old, by_old, clock):
    key = new_key()
    names_both = [names(JULIET.bare, "nurse@example.com")]
    both = Entity("both", key, certificate(key, names_both, issuer=pki.intermediate))
    by = followed(pki, old, both, clock)
    nurse = JID("nurse@example.com/home")
    error = refusal(by, to_ourselves(by_old), outer(sender=nurse, recipient=JULIET))
    assert error.reason == "name-mismatch"
