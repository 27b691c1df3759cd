"""A sample of `make bits`: no change of a stanza on its way makes it say something else."""

from collections.abc import Iterator

import pytest

from slixmpp_e2e.namespaces import E2E
from slixmpp_e2e.policy import Policy
from tests.benchmarks.parties import Parties, make_parties
from tests.security.bits import WAYS, Receiver, Tally, are_good

#: Primes, so that every bit of an octet has its turn.
FLIPS, CUTS = 139, 101


@pytest.fixture(scope="module")
def parties() -> Iterator[Parties]:
    with make_parties() as made:
        yield made


@pytest.fixture(params=WAYS)
async def receiver(parties, request) -> Receiver:
    return Receiver(parties, WAYS[request.param])


def is_decryption_failed(tally: Tally) -> bool:
    (answer,) = tally.secret_answers
    return "<bad-request " in answer and f'<decryption-failed xmlns="{E2E}"' in answer


async def test_no_bit_of_the_wire_makes_a_stanza_say_something_else(receiver):
    tally = receiver.flip_wire(FLIPS, 7)
    assert are_good([tally]), tally.broken
    assert tally.counts["refused"] > 30
    assert not receiver.captured.plaintext or is_decryption_failed(tally)


async def test_no_bit_of_the_object_makes_a_stanza_say_something_else(receiver):
    tally = receiver.flip_object(FLIPS, 5)
    assert are_good([tally]), tally.broken
    assert tally.counts["refused"] > 30
    assert not receiver.captured.plaintext or is_decryption_failed(tally)


async def test_no_truncation_makes_a_stanza_say_something_else(receiver):
    tally = receiver.cut(CUTS)
    assert are_good([tally]), tally.broken
    assert tally.counts["delivered as it was"] == 0


async def test_a_ciphertext_that_is_shortened_with_care_is_refused_like_any_other(parties):
    tally = Receiver(parties, WAYS["AES-CBC"]).shorten(FLIPS)
    assert are_good([tally]), tally.broken
    assert tally.counts.keys() == {"refused"}
    assert is_decryption_failed(tally)


async def test_of_gcm_nothing_is_delivered_that_is_not_octet_for_octet_what_was_encrypted(parties):
    receiver = Receiver(parties, WAYS["AES-GCM with certificates"])
    assert not receiver.unsigned
    assert receiver.flip_object(FLIPS, 11).counts.keys() <= {"refused", "delivered as it was"}


async def test_what_is_delivered_as_it_was_is_told_from_what_is_not(parties):
    """Of the harness: it notices."""
    receiver = Receiver(parties, WAYS["signed"])
    tally = Tally("the stanza itself, and one that somebody else wrote")
    receiver.try_changed(receiver.captured.wire, tally, "as it is")
    assert (tally.counts["delivered as it was"], tally.broken) == (1, [])
    receiver.romeo.plugin._inbound.policy = Policy({})
    clear = b"<message from='juliet@example.com/balcony' type='chat'><body>in clear</body></message>"
    receiver.try_changed(clear, tally, "in clear")
    assert len(tally.broken) == 1
