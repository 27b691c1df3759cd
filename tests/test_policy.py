"""What must be done for whom, and what may be accepted."""

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.policy import Level, Policy, read_policy
from slixmpp_e2e.stanza import KINDS

JULIET = JID("juliet@example.com/balcony")
OWN = frozenset({"romeo@example.net"})


def policy(entries) -> Policy:
    return read_policy(entries, OWN)


ENTRIES = {
    "*": "opportunistic",
    "example.com": "required",
    "juliet@example.com": "sign",
    "jid:example.com": "encrypt-unsigned",
    "bücher.example": "required",
}


class TestWhoseEntryCounts:
    @pytest.mark.parametrize(
        ("jid", "level"),
        [
            ("juliet@example.com", "sign"),
            ("JULIET@Example.COM/anywhere", "sign"),
            ("nurse@example.com", "required"),
            ("nurse@sub.example.com", "opportunistic"),
            ("mercutio@example.org", "opportunistic"),
            ("example.com", "encrypt-unsigned"),
            ("example.com/resource", "encrypt-unsigned"),
            ("example.org", "off"),
            ("romeo@example.net", "off"),
            ("romeo@example.net/elsewhere", "off"),
            ("benvolio@example.net", "opportunistic"),
            ("someone@xn--bcher-kva.example", "required"),
        ],
    )
    def test_the_closest_one(self, jid, level):
        assert policy(ENTRIES).level(JID(jid), "message") == level

    def test_without_entries_nothing_is_done(self):
        assert policy({}).level(JULIET, "message") is Level.OFF
        assert not policy({}).must_be_protected(JULIET, "message")
        assert not policy({}).takes_unsigned(JULIET, "message")

    def test_a_key_may_be_a_jid(self):
        assert policy({JID("juliet@example.com"): "sign"}).level(JULIET, "iq") is Level.SIGN

    def test_our_own_account_may_have_an_entry_of_its_own(self):
        assert (
            policy({"romeo@example.net": "required"}).level(JID("romeo@example.net/x"), "iq")
            is Level.REQUIRED
        )
        assert policy({"example.net": "required"}).level(JID("romeo@example.net/x"), "iq") is Level.OFF

    @pytest.mark.parametrize(
        ("entries", "own"),
        [
            ({"*": "required", "example.com": "required"}, False),
            ({"juliet@example.com": "off"}, True),
            ({"jid:juliet@example.com": "off"}, True),
        ],
    )
    def test_who_has_an_entry_of_his_own_is_known(self, entries, own):
        assert policy(entries).has_own_entry(JULIET) is own
        assert policy({"jid:room.example.com": "sign"}).has_own_entry(JID("room.example.com/nick"))


class TestLevels:
    @pytest.mark.parametrize("level", list(Level))
    def test_one_level_is_for_every_kind(self, level):
        found = policy({"*": level.value})
        assert {found.level(JULIET, kind) for kind in KINDS} == {level}

    def test_kinds_that_are_left_out_are_off(self):
        found = policy({"*": {"message": "required", "inbound": "sign"}})
        levels = {kind: found.level(JULIET, kind) for kind in KINDS}
        assert levels == {"message": Level.REQUIRED, "presence": Level.OFF, "iq": Level.OFF}

    def test_an_exact_entry_hides_the_others_whole(self):
        found = policy({"*": "required", "juliet@example.com": {"message": "sign"}})
        assert found.level(JULIET, "iq") is Level.OFF
        assert not found.must_be_protected(JULIET, "iq")


class TestInbound:
    @pytest.mark.parametrize(
        ("entry", "required", "unsigned"),
        [
            ("off", False, False),
            ("opportunistic", False, False),
            ("sign", True, False),
            ("required", True, False),
            ("encrypt-unsigned", False, True),
            ({"message": "required", "inbound": "opportunistic"}, False, False),
            ({"message": "required", "inbound": "off"}, False, False),
            ({"message": "off", "inbound": "required"}, True, False),
            ({"message": "opportunistic", "inbound": "sign"}, True, False),
            ({"message": "encrypt-unsigned", "inbound": "required"}, True, False),
            ({"message": "required", "inbound": "encrypt-unsigned"}, False, True),
        ],
    )
    def test_what_may_come_in(self, entry, required, unsigned):
        found = policy({"example.com": entry})
        assert found.must_be_protected(JULIET, "message") is required
        assert found.takes_unsigned(JULIET, "message") is unsigned

    def test_each_kind_may_come_in_as_it_goes_out(self):
        found = policy({"*": {"message": "required", "iq": "off", "presence": "encrypt-unsigned"}})
        assert [found.must_be_protected(JULIET, kind) for kind in ("message", "iq", "presence")] == [
            True,
            False,
            False,
        ]
        assert [found.takes_unsigned(JULIET, kind) for kind in ("message", "iq", "presence")] == [
            False,
            False,
            True,
        ]


class TestMistakes:
    @pytest.mark.parametrize(
        ("entries", "words"),
        [
            ({"": "off"}, "no JID"),
            ({"@": "off"}, "no JID"),
            ({"a@b@c": "off"}, "no JID"),
            ({"jid:": "off"}, "no JID"),
            ({"**": "off"}, "no JID"),
            ({"*.example.com": "off"}, "no JID"),
            ({"juliet@example.com/balcony": "off"}, "resource"),
            ({"jid:example.com/x": "off"}, "resource"),
            ({"*": "on"}, "levels are off, opportunistic, sign, required, encrypt-unsigned"),
            ({"*": "Required"}, "levels are"),
            ({"*": ""}, "levels are"),
            ({"*": {"message": "on"}}, "levels are"),
            ({"*": 5}, "levels are"),
            ({"*": None}, "levels are"),
            ({5: "off"}, "no JID"),
            ({"*": {"inbound": "on"}}, "levels are"),
            ({"*": {"mesage": "off", "query": "off"}}, "mesage, query is no kind of stanza"),
        ],
    )
    def test_they_are_said(self, entries, words):
        with pytest.raises(ConfigurationError, match="policy") as caught:
            policy(entries)
        assert words in str(caught.value)
        assert repr(next(iter(entries))).strip("'") in str(caught.value)
