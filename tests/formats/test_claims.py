"""An encrypted key counts once; from an archive the very same object may come again."""

import pytest

from slixmpp_e2e.errors import SignatureError
from slixmpp_e2e.formats.claims import ClaimedKeys, Claims


def test_what_arrives_counts_once_whatever_it_bears():
    claims = ClaimedKeys()
    assert claims.claim(b"key", b"object")
    assert not claims.claim(b"key", b"object")
    assert not claims.claim(b"key", b"changed")
    assert claims.claim(b"another key", b"object")


def test_from_an_archive_the_same_object_comes_as_often_as_it_is_read():
    claims = ClaimedKeys()
    assert claims.claim_archived(b"key", b"object")
    assert claims.claim_archived(b"key", b"object")
    assert not claims.claim_archived(b"key", b"changed")


def test_the_archive_does_not_block_what_arrives_and_is_not_blocked_by_it():
    claims = ClaimedKeys()
    assert claims.claim_archived(b"key", b"object")
    assert claims.claim(b"key", b"object")
    assert claims.claim_archived(b"key", b"object")


def test_a_change_is_refused_wherever_the_first_one_came_from():
    claims = ClaimedKeys()
    assert claims.claim(b"arrived", b"object")
    assert not claims.claim_archived(b"arrived", b"changed")
    assert claims.claim_archived(b"archived", b"object")
    assert not claims.claim(b"archived", b"changed")


def test_unless_it_is_asked_for_nothing_is_shown_again_and_nothing_kept_silent():
    keys = ClaimedKeys()
    keys.claim(b"key", b"object")
    claims, error = Claims(keys), SignatureError("bad", reason="invalid")
    assert not claims.claim(b"key", b"object")
    claims.__exit__(SignatureError, error, None)
    assert not error.silent
    assert Claims(keys, show_repeated=True).claim(b"key", b"object")
    assert not Claims(keys, show_repeated=True).claim(b"key", b"changed")


def test_it_is_known_which_object_bore_a_key():
    claims = ClaimedKeys()
    claims.claim(b"key", b"object")
    assert claims.bore(b"key", b"object")
    assert not claims.bore(b"key", b"changed")
    assert not claims.bore(b"another key", b"object")


def test_what_was_not_judged_may_come_again():
    claims = ClaimedKeys()
    claims.claim(b"key", b"object")
    claims.release(b"key")
    assert len(claims) == 0
    assert claims.claim(b"key", b"object")


def test_what_an_archive_holds_pushes_nothing_out_that_arrived():
    claims = ClaimedKeys()
    claims.claim(b"key", b"object")
    for number in range(60_000):
        claims.claim_archived(b"%d" % number, b"object")
    assert len(claims) == 10_001
    assert not claims.claim(b"key", b"object")


def test_what_was_released_is_not_released_again_from_under_somebody_else():
    keys = ClaimedKeys()
    first, second = Claims(keys), Claims(keys)
    assert first.claim(b"key", b"object")
    first.release()
    assert second.claim(b"key", b"object")
    first.release()
    assert not keys.claim(b"key", b"object")


@pytest.mark.parametrize(
    ("silent", "again", "expected"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_nobody_hears_of_what_came_again_where_that_is_asked_for(silent, again, expected):
    keys = ClaimedKeys()
    if again:
        keys.claim(b"key", b"object")
    claims, error = Claims(keys, silent=silent), SignatureError("bad", reason="invalid")
    claims.claim(b"key", b"object")
    claims.__exit__(SignatureError, error, None)
    assert error.silent is expected
