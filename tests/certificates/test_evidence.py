"""What lists and OCSP responses say together, and when somebody is asked for more."""

from datetime import timedelta

import pytest
from cryptography import x509

from slixmpp_e2e.certificates.ocsp import OCSPResponse
from slixmpp_e2e.certificates.revocation import SOON, Evidence, RevocationChecker
from slixmpp_e2e.certificates.revocation_list import RevocationList
from slixmpp_e2e.certificates.revocation_status import RevocationState
from tests.certificates import responses as answers
from tests.certificates.building import LISTED, authority, end_entity, revocation_list
from tests.certificates.responses import responder, response
from tests.pki import MOMENT, Entity

GOOD, REVOKED, UNKNOWN, EXPIRED = RevocationState
DAY = timedelta(days=1)


class Source:
    """A `RevocationSource` that says what a test has put in."""

    def __init__(self) -> None:
        self.evidence, self.wanted = Evidence(), []

    async def fetch(self, wanted, *, at):
        self.wanted.append(tuple(wanted))
        return self.evidence


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")


@pytest.fixture(scope="module")
def middle(root) -> Entity:
    return authority("Middle", issuer=root)


@pytest.fixture(scope="module")
def leaf(middle) -> Entity:
    return end_entity(issuer=middle)


@pytest.fixture(scope="module")
def path(root, middle, leaf):
    return leaf.certificate, middle.certificate, root.certificate


def checker_with(*found: bytes, lists: tuple[bytes, ...] = (), sources=()) -> RevocationChecker:
    checker = RevocationChecker(sources=sources)
    for der in lists:
        checker.lists.add(der)
    for der in found:
        checker.responses.put(OCSPResponse.from_der(der))
    return checker


class TestTogether:
    def test_one_of_them_is_enough_for_each_certificate(self, root, middle, leaf, path):
        of_leaf, of_middle = response(middle, leaf), response(root, middle)
        assert checker_with(of_leaf, of_middle).check(path, at=MOMENT).state is GOOD
        assert checker_with(of_leaf, lists=(revocation_list(root),)).check(path, at=MOMENT).state is GOOD
        assert checker_with(of_leaf).check(path, at=MOMENT).state is UNKNOWN
        assert checker_with(of_leaf).check(path, at=MOMENT).certificate == middle.certificate

    def test_revoked_anywhere_is_revoked(self, middle, leaf, path):
        newer = MOMENT - timedelta(hours=1)
        says_good, names_him = response(middle, leaf, issued=newer), revocation_list(middle, leaf)
        assert checker_with(says_good, lists=(names_him,)).check(path, at=MOMENT).state is REVOKED
        says_revoked = response(middle, leaf, answers.REVOKED)
        does_not = revocation_list(middle, issued=newer)
        assert checker_with(says_revoked, lists=(does_not,)).check(path, at=MOMENT).state is REVOKED

    def test_good_counts_for_as_long_as_one_of_them_says_so(self, root, middle, leaf, path):
        old, long = response(middle, leaf, until=LISTED + DAY), response(root, middle)
        checker = checker_with(old, long, lists=(revocation_list(middle, until=MOMENT + DAY),))
        found = checker.check(path, at=MOMENT)
        assert (found.state, found.until) == (GOOD, MOMENT + DAY)
        assert checker_with(old, long).check(path, at=MOMENT).state is EXPIRED

    def test_a_list_names_a_responder_who_then_says_nothing(self, root, middle, leaf, path):
        delegate = responder(middle)
        says_good, of_middle = response(middle, leaf, signer=delegate), response(root, middle)
        old = revocation_list(
            middle, delegate, until=LISTED + DAY
        )  # so it is no word about the leaf any more
        assert checker_with(says_good, of_middle).check(path, at=MOMENT).state is GOOD
        assert checker_with(says_good, of_middle, lists=(old,)).check(path, at=MOMENT).state is EXPIRED

    def test_an_answer_changes_when_a_response_comes(self, root, middle, leaf, path):
        checker = checker_with(response(middle, leaf), response(root, middle))
        generation = checker.generation
        assert checker.check(path, at=MOMENT).state is GOOD
        revoked = response(root, middle, answers.REVOKED, issued=LISTED + DAY)
        checker.responses.put(OCSPResponse.from_der(revoked))
        assert checker.generation > generation
        assert checker.check(path, at=MOMENT).certificate == middle.certificate
        assert checker.check(path, at=MOMENT).state is REVOKED


class TestAsking:
    def wanted(self, path, *found: bytes, lists: tuple[bytes, ...] = ()) -> int:
        """Return how often somebody was told that a path is wanted; he is told at once, or not at all."""
        checker, told = checker_with(*found, lists=lists, sources=[Source()]), []
        checker.on_wanted = lambda: told.append(1)
        checker.check(path, at=MOMENT)
        at_once = len(told)
        for seconds in (1, 61):
            checker.check(path, at=MOMENT + timedelta(seconds=seconds))
        assert len(told) == at_once
        return at_once

    def test_what_is_missing_is_wanted_once(self, root, middle, leaf, path):
        assert self.wanted(path) == 1
        assert self.wanted(path, response(middle, leaf)) == 1
        assert self.wanted(path, response(root, middle)) == 1
        assert self.wanted(path, response(middle, leaf), response(root, middle)) == 0

    def test_what_is_too_old_or_soon_will_be_is_wanted(self, root, middle, leaf, path):
        for until, count in ((LISTED + DAY, 1), (MOMENT + SOON / 2, 1), (MOMENT + 2 * SOON, 0)):
            assert self.wanted(path, response(middle, leaf, until=until), response(root, middle)) == count

    def test_what_ends_in_a_quarter_of_an_hour_is_not_wanted_yet(self, root, middle, leaf, path):
        for until, count in ((timedelta(minutes=15), 0), (timedelta(minutes=14, seconds=59), 1)):
            found = response(middle, leaf, until=MOMENT + until), response(root, middle)
            checker, told = checker_with(*found, sources=[Source()]), []
            checker.on_wanted = lambda told=told: told.append(1)
            checker.check(path, at=MOMENT)
            assert len(told) == count

    def test_of_who_was_revoked_nothing_is_wanted_unless_it_may_be_taken_back(self, middle, leaf, path):
        hold = x509.ReasonFlags.certificate_hold
        assert self.wanted(path, response(middle, leaf, answers.REVOKED)) == 0
        assert self.wanted(path, response(middle, leaf, answers.REVOKED, reason=hold)) == 1
        assert self.wanted(path, lists=(revocation_list(middle, leaf, reason=hold),)) == 1

    async def test_what_sources_bring_counts(self, root, middle, leaf, path):
        source = Source()
        checker = RevocationChecker(sources=[source])
        checker.check(path, at=MOMENT)
        source.evidence = Evidence(
            (RevocationList.from_der(revocation_list(root)),),
            responses=(OCSPResponse.from_der(response(middle, leaf)),),
        )
        assert await checker.refresh(at=MOMENT) == ()
        assert source.wanted == [(path,)]
        assert checker.check(path, at=MOMENT).state is GOOD
        await checker.refresh(at=MOMENT)
        assert source.wanted[1] == ()

    def test_without_sources_nothing_is_wanted(self, path):
        checker, told = RevocationChecker(), []
        checker.on_wanted = lambda: told.append(1)
        assert checker.is_idle
        checker.check(path, at=MOMENT)
        assert not told
        assert not RevocationChecker(sources=[Source()]).is_idle
