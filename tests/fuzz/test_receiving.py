"""A slice of `make fuzz-receive`: nobody is believed who did not sign, and the stream lives on."""

import os
from collections.abc import Iterator

import pytest

from slixmpp_e2e.policy import Policy
from tests.benchmarks.parties import Parties, make_parties
from tests.fuzz.__main__ import receive
from tests.fuzz.receiving import Forger, Recipient
from tests.fuzz.running import LONGEST, FindingError

EXECUTIONS = int(os.environ.get("E2E_FUZZ_RECEIVE", "800"))


@pytest.fixture(scope="module")
def parties() -> Iterator[Parties]:
    with make_parties() as made:
        yield made


@pytest.fixture
async def recipient(parties) -> Recipient:
    return Recipient(parties)


@pytest.mark.timeout(600)
async def test_nothing_is_delivered_that_was_not_signed_and_nothing_raises_into_the_stream(recipient):
    run = receive(recipient, EXECUTIONS, seed=1)
    assert run.slowest < LONGEST
    reached = {"malformed", "invalid", "unprotected", "name-mismatch", "decryption-failed", "delivered"}
    assert reached <= recipient.tally.keys()


async def test_every_way_and_kind_is_captured_and_delivered_as_it_is(recipient):
    assert len(recipient.captured) == 16
    for captured in recipient.captured:
        recipient.try_changed(captured.wire)
    assert recipient.tally == {"delivered": 16}


async def test_the_same_seed_draws_the_same_kinds(recipient):
    drawn = [[Forger(recipient, seed).draw()[1] for _ in range(1)] for seed in (1, 1)]
    assert drawn[0] == drawn[1]


class TestHarness:
    """It notices."""

    async def test_clear_text_that_is_delivered(self, recipient):
        recipient.romeo.plugin._inbound.policy = Policy({})
        with pytest.raises(AssertionError, match="in clear"):
            recipient.try_changed(
                b"<message from='juliet@example.com/balcony' type='chat'><body>hi</body></message>"
            )

    async def test_something_else_than_what_was_signed(self, recipient):
        recipient.originals.clear()
        with pytest.raises(AssertionError, match="delivered"):
            recipient.try_changed(recipient.captured[0].wire)

    async def test_an_exception_that_nobody_expected(self, recipient, monkeypatch):
        def fail(*_arguments, **_options):
            raise LookupError

        monkeypatch.setattr(type(recipient.romeo.plugin._inbound), "open", fail)
        with pytest.raises(AssertionError, match="an unexpected exception"):
            recipient.try_changed(recipient.captured[0].wire)

    async def test_an_exception_into_the_stream(self, recipient):
        recipient.romeo.xmpp.add_filter("in", lambda _stanza: 1 / 0)
        with pytest.raises(FindingError, match="ZeroDivisionError"):
            receive(recipient, 50, seed=1)

    async def test_answers_to_what_is_never_answered(self, recipient):
        recipient.romeo.xmpp.add_filter("in", lambda stanza: recipient.answers.append("<message/>") or stanza)
        with pytest.raises(AssertionError):
            recipient.try_changed(b"<message from='juliet@example.com' type='error'/>")
