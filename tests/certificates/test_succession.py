"""One identity follows another when its time has come."""

from datetime import timedelta

import pytest

from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.certificates.succession import Succession
from slixmpp_e2e.errors import CertificateError
from tests.certificates.building import JULIET, end_entity
from tests.pki import MOMENT

DAY = timedelta(days=1)


def own(jid: str = JULIET, *, begins=MOMENT - DAY, ends=MOMENT + 100 * DAY):
    entity = end_entity(jid=jid, valid_from=begins, valid_until=ends)
    return identity(entity.key, entity.certificate)


def test_what_is_valid_follows_at_once():
    first, second = own(), own()
    succession = Succession(first)
    succession.add(second, MOMENT)
    assert len(succession) == 1
    assert succession.advance(MOMENT)
    assert succession.current is second
    assert len(succession) == 0
    assert not succession.advance(MOMENT)


def test_what_is_not_valid_yet_waits():
    first, second = own(), own(begins=MOMENT + DAY)
    succession = Succession(first)
    succession.add(second, MOMENT)
    assert not succession.advance(MOMENT)
    assert len(succession) == 1
    assert succession.advance(MOMENT + DAY)
    assert succession.current is second


def test_of_several_the_newest_that_is_valid_counts_and_later_ones_keep_waiting():
    first, second, third, fourth = own(), own(), own(), own(begins=MOMENT + DAY)
    succession = Succession(first)
    for each in (second, third, fourth):
        succession.add(each, MOMENT)
    assert succession.advance(MOMENT)
    assert succession.current is third
    assert not succession.advance(MOMENT)
    assert succession.advance(MOMENT + DAY)
    assert succession.current is fourth


def test_one_that_ended_meanwhile_keeps_no_valid_one_from_following():
    first, second = own(ends=MOMENT + 5 * DAY), own(begins=MOMENT + DAY)
    third = own(begins=MOMENT + 2 * DAY, ends=MOMENT + 3 * DAY)
    succession = Succession(first)
    for each in (second, third):
        succession.add(each, MOMENT)
    assert succession.advance(MOMENT + 9 * DAY)  # nothing was sent for a while
    assert succession.current is second
    assert not succession.advance(MOMENT + 9 * DAY)


def test_all_of_them_are_ours():
    first, second = own(), own(begins=MOMENT + DAY)
    succession = Succession(first)
    succession.add(second, MOMENT)
    assert all(succession.includes(each.certificate.fingerprint) for each in (first, second))
    assert not succession.includes(own().certificate.fingerprint)


def test_another_name_or_an_expired_certificate_does_not_follow():
    first = own()
    succession = Succession(first)
    for wrong in (own("romeo@example.net"), own(begins=MOMENT - 9 * DAY, ends=MOMENT - DAY)):
        with pytest.raises(CertificateError):
            succession.add(wrong, MOMENT)
        assert not succession.includes(wrong.certificate.fingerprint)
    assert len(succession) == 0
