"""The contract of a store: certificates and decisions, in memory, in a file and in a database."""

import random

import pytest

from slixmpp_e2e.certificates.store import (
    CERTIFICATES_FOUND,
    CERTIFICATES_PER_JID,
    REVOCATION_LISTS,
    Chain,
    MemoryStore,
    Store,
    fingerprint_of,
)
from slixmpp_e2e.cms.asn1 import octet_string
from slixmpp_e2e.report import Trust
from tests.certificates.building import revocation_list
from tests.pki import Entity, make_certificate

JULIET, ROMEO = "juliet@example.com", "romeo@example.net"


def chain(number: int, *above: int) -> Chain:
    """A leaf with what came along; any DER elements will do, nothing here reads a certificate."""
    return tuple(octet_string(b"%d" % each * 50) for each in (number, *above))


def leaf(number: int) -> bytes:
    """Return the fingerprint of the leaf of `chain`."""
    return fingerprint_of(chain(number)[0])


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def store(request, tmp_path, opened) -> Store:
    match request.param:
        case "memory":
            return MemoryStore(started=0)
        case "sqlite":
            return opened(tmp_path / "store.db")
    return request.getfixturevalue("connected")()


class TestCertificates:
    def test_at_first_there_are_none(self, store):
        assert store.certificates(JULIET) == ()
        assert list(store.all_certificates()) == []

    def test_the_newest_comes_first_with_all_that_came_along(self, store):
        assert store.add_certificate(JULIET, chain(1))
        assert store.add_certificate(JULIET, chain(2, 9, 8))
        assert store.certificates(JULIET) == (chain(2, 9, 8), chain(1))

    def test_a_certificate_is_kept_once_for_each_jid(self, store):
        assert store.add_certificate(JULIET, chain(1, 9))
        assert not store.add_certificate(JULIET, chain(1))
        assert store.add_certificate(ROMEO, chain(1))
        assert store.certificates(JULIET) == (chain(1, 9),)
        assert store.certificates(ROMEO) == (chain(1),)
        assert sorted(store.all_certificates()) == sorted([chain(1, 9), chain(1)])

    def test_the_oldest_goes_when_there_are_too_many(self, store):
        for number in range(CERTIFICATES_PER_JID + 3):
            assert store.add_certificate(JULIET, chain(number))
            assert store.add_certificate(ROMEO, chain(number)) if number < 2 else True
        newest = range(CERTIFICATES_PER_JID + 2, 2, -1)
        assert store.certificates(JULIET) == tuple(chain(number) for number in newest)
        assert len(store.certificates(ROMEO)) == 2

    def test_what_has_gone_may_come_back_as_the_newest(self, store):
        for number in range(CERTIFICATES_PER_JID + 1):
            store.add_certificate(JULIET, chain(number))
        assert store.add_certificate(JULIET, chain(0))
        assert store.certificates(JULIET)[0] == chain(0)

    def test_a_certificate_that_is_known_does_not_become_newer(self, store):
        store.add_certificate(JULIET, chain(1))
        store.add_certificate(JULIET, chain(2))
        store.add_certificate(JULIET, chain(1))
        assert store.certificates(JULIET) == (chain(2), chain(1))


class TestFinding:
    def found(self, store: Store, entity: Entity) -> list[tuple[bytes, ...]]:
        """Return what is found by each of the two identifiers."""
        parsed = entity.parsed
        assert parsed.key_identifier is not None
        return [store.find_certificates(each) for each in (parsed.issuer_and_serial, parsed.key_identifier)]

    def test_a_learned_certificate_is_found_by_both_identifiers(self, store, juliet, romeo):
        assert self.found(store, juliet) == [(), ()]
        store.add_certificate(JULIET, (juliet.der, romeo.der))
        assert self.found(store, juliet) == [(juliet.der,)] * 2
        assert self.found(store, romeo) == [(), ()]  # it only came along

    def test_a_certificate_of_several_jids_is_found_once(self, store, juliet):
        store.add_certificate(JULIET, (juliet.der,))
        store.add_certificate(ROMEO, (juliet.der,))
        assert self.found(store, juliet) == [(juliet.der,)] * 2

    def test_what_had_to_go_is_not_found_any_more_unless_somebody_else_has_it(self, store, juliet, romeo):
        for leaf in (juliet.der, romeo.der):
            store.add_certificate(JULIET, (leaf,))
        store.add_certificate(ROMEO, (romeo.der,))
        for number in range(CERTIFICATES_PER_JID):
            store.add_certificate(JULIET, chain(number))
        assert self.found(store, juliet) == [(), ()]
        assert self.found(store, romeo) == [(romeo.der,)] * 2

    def test_of_many_with_one_key_identifier_no_more_are_read_than_are_tried(self, store, pki, juliet):
        for number in range(CERTIFICATES_FOUND + 3):
            made = make_certificate(juliet.key, "Juliet", issuer=pki.intermediate, jid=JULIET)
            store.add_certificate(f"juliet{number}@example.com", (Entity("", juliet.key, made).der,))
        by_issuer, by_key = self.found(store, juliet)
        assert by_issuer == ()
        assert len(set(by_key)) == len(by_key) == CERTIFICATES_FOUND

    def test_what_cannot_be_read_is_kept_and_never_found(self, store):
        assert store.add_certificate(JULIET, chain(1))
        assert store.find_certificates(b"") == ()
        assert store.certificates(JULIET) == (chain(1),)


class TestAnnouncements:
    def test_at_first_nothing_was_announced(self, store):
        store.add_certificate(JULIET, chain(1))
        assert store.announcements(JULIET) == {}

    def test_the_last_one_counts_for_this_certificate_and_this_jid(self, store):
        for jid, number in ((JULIET, 1), (JULIET, 2), (ROMEO, 1)):
            store.add_certificate(jid, chain(number))
        store.announce(JULIET, leaf(1), b"before")
        store.announce(JULIET, leaf(1), b"now")
        store.announce(JULIET, leaf(2), b"")
        assert store.announcements(JULIET) == {leaf(1): b"now", leaf(2): b""}
        assert store.announcements(ROMEO) == {}

    def test_of_a_certificate_that_is_not_kept_for_the_jid_nothing_is_kept(self, store):
        store.add_certificate(ROMEO, chain(1))
        store.announce(JULIET, leaf(1), b"said")
        store.add_certificate(JULIET, chain(1))
        assert store.announcements(JULIET) == store.announcements(ROMEO) == {}

    def test_it_goes_with_its_certificate_and_does_not_come_back_with_it(self, store):
        store.add_certificate(JULIET, chain(0))
        store.add_certificate(ROMEO, chain(0))
        for jid in (JULIET, ROMEO):
            store.announce(jid, leaf(0), b"said")
        for number in range(1, CERTIFICATES_PER_JID):
            store.add_certificate(JULIET, chain(number))
        assert store.announcements(JULIET) == {leaf(0): b"said"}
        store.add_certificate(JULIET, chain(CERTIFICATES_PER_JID))
        assert store.announcements(JULIET) == {}
        store.add_certificate(JULIET, chain(0))
        assert store.announcements(JULIET) == {}
        assert store.announcements(ROMEO) == {leaf(0): b"said"}

    def test_learning_a_known_certificate_again_leaves_it_alone(self, store):
        store.add_certificate(JULIET, chain(1))
        store.announce(JULIET, leaf(1), b"said")
        assert not store.add_certificate(JULIET, chain(1, 9))
        assert store.announcements(JULIET) == {leaf(1): b"said"}


class TestRevocationLists:
    def test_at_first_there_are_none(self, store):
        assert list(store.revocation_lists()) == []

    def test_each_key_has_one_and_what_was_kept_last_is_the_last(self, store):
        for key, value in ((b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"", b"4")):
            store.add_revocation_list(key, value)
        assert list(store.revocation_lists()) == [b"2", b"3", b"4"]

    def test_a_key_and_a_list_may_be_long(self, store):
        noise = random.Random(3923).randbytes  # of which nothing is saved by compression
        key, value = noise(10_000), noise(1 << 20)
        store.add_revocation_list(key, value[:-1])
        store.add_revocation_list(key, value)
        assert list(store.revocation_lists()) == [value]

    def test_the_one_that_was_kept_first_goes_when_there_are_too_many(self, store):
        for number in range(REVOCATION_LISTS):
            store.add_revocation_list(b"%d" % number, b"old %d" % number)
        store.add_revocation_list(b"0", b"new 0")
        store.add_revocation_list(b"x", b"new x")
        kept = [b"old %d" % number for number in range(2, REVOCATION_LISTS)]
        assert list(store.revocation_lists()) == [*kept, b"new 0", b"new x"]

    def test_too_many_of_one_ca_push_out_only_its_own(self, store, monkeypatch):
        for module in ("certificates.store", "stores.sqlite", "stores.postgresql"):
            monkeypatch.setattr(f"slixmpp_e2e.{module}.REVOCATION_LISTS", 4)
        root, company, evil = (letter * 16 for letter in (b"r", b"c", b"e"))
        store.add_revocation_list(b"a" * 32 + root + company, b"company's")
        for number in range(6):
            store.add_revocation_list(b"%032d" % number + root + evil + b"%016d" % number, b"%d" % number)
        assert list(store.revocation_lists()) == [b"company's", b"3", b"4", b"5"]

    def test_a_newer_one_that_another_process_has_kept_is_not_replaced(self, store, pki):
        key = b"a" * 32
        new, old = (revocation_list(pki.root, number=number) for number in (7, 6))
        for each in (new, old, b"none"):
            store.add_revocation_list(key + b"c" * 16, each)
        assert list(store.revocation_lists()) == [new]
        newer = revocation_list(pki.root, number=8)
        store.add_revocation_list(key, newer)
        assert list(store.revocation_lists()) == [newer]
        store.add_revocation_list(b"b" * 32, old)  # another CA's, or for another scope
        assert list(store.revocation_lists()) == [newer, old]

    def test_whose_a_list_is_does_not_make_it_another(self, store):
        store.add_revocation_list(b"a" * 32, b"of an earlier version")
        store.add_revocation_list(b"a" * 32 + b"c" * 16, b"the newer one")
        assert list(store.revocation_lists()) == [b"the newer one"]


class TestDecisions:
    def test_at_first_nothing_is_decided(self, store):
        assert store.decisions(JULIET) == {}
        assert list(store.all_decisions()) == []

    def test_a_decision_stays_until_it_is_taken_back(self, store):
        store.decide(JULIET, b"a" * 32, Trust.PINNED)
        store.decide(JULIET, b"b" * 32, Trust.DISTRUSTED)
        assert store.decisions(JULIET) == {b"a" * 32: Trust.PINNED, b"b" * 32: Trust.DISTRUSTED}
        assert store.decisions(ROMEO) == {}
        store.undecide(JULIET, b"a" * 32)
        assert store.decisions(JULIET) == {b"b" * 32: Trust.DISTRUSTED}

    def test_the_last_one_counts(self, store):
        for trust in (Trust.TOFU, Trust.VERIFIED, Trust.DISTRUSTED):
            store.decide(JULIET, b"a" * 32, trust)
            assert store.decisions(JULIET) == {b"a" * 32: trust}

    def test_all_of_them_are_listed_in_order(self, store):
        store.decide(ROMEO, b"a" * 32, Trust.TOFU)
        store.decide(JULIET, b"b" * 32, Trust.VERIFIED)
        store.decide(JULIET, b"a" * 32, Trust.PINNED)
        assert list(store.all_decisions()) == [
            (JULIET, b"a" * 32, Trust.PINNED),
            (JULIET, b"b" * 32, Trust.VERIFIED),
            (ROMEO, b"a" * 32, Trust.TOFU),
        ]

    def test_what_was_not_decided_can_be_taken_back(self, store):
        store.undecide(JULIET, b"a" * 32)
        assert store.decisions(JULIET) == {}

    @pytest.mark.parametrize("trust", [Trust.PKIX, Trust.UNTRUSTED])
    def test_what_is_found_out_cannot_be_decided(self, store, trust):
        with pytest.raises(ValueError, match="can't be decided"):
            store.decide(JULIET, b"a" * 32, trust)
        assert store.decisions(JULIET) == {}


class TestFirstUse:
    def test_it_is_kept_where_nothing_is_decided(self, store):
        assert store.decide_first_use(JULIET, b"a" * 32)
        assert store.decisions(JULIET) == {b"a" * 32: Trust.TOFU}

    def test_it_is_kept_where_others_are_distrusted(self, store):
        store.decide(JULIET, b"b" * 32, Trust.DISTRUSTED)
        store.decide(ROMEO, b"b" * 32, Trust.PINNED)
        assert store.decide_first_use(JULIET, b"a" * 32)
        assert store.decisions(JULIET) == {b"a" * 32: Trust.TOFU, b"b" * 32: Trust.DISTRUSTED}

    def test_the_very_same_may_be_decided_again(self, store):
        assert store.decide_first_use(JULIET, b"a" * 32)
        assert store.decide_first_use(JULIET, b"a" * 32)
        assert store.decisions(JULIET) == {b"a" * 32: Trust.TOFU}

    @pytest.mark.parametrize(
        ("fingerprint", "trust"),
        [
            (b"b" * 32, Trust.TOFU), (b"b" * 32, Trust.PINNED), (b"b" * 32, Trust.VERIFIED),
            (b"a" * 32, Trust.DISTRUSTED), (b"a" * 32, Trust.PINNED), (b"a" * 32, Trust.VERIFIED),
        ],
    )  # fmt: skip
    def test_whatever_else_was_decided_stays(self, store, fingerprint, trust):
        store.decide(JULIET, fingerprint, trust)
        assert not store.decide_first_use(JULIET, b"a" * 32)
        assert store.decisions(JULIET) == {fingerprint: trust}


class TestDecidingIfUndecided:
    def test_it_is_kept_where_nothing_is_decided_about_the_certificate(self, store):
        store.decide(JULIET, b"a" * 32, Trust.DISTRUSTED)
        store.decide(ROMEO, b"b" * 32, Trust.DISTRUSTED)
        store.decide_if_undecided(JULIET, b"b" * 32)
        assert store.decisions(JULIET) == {b"a" * 32: Trust.DISTRUSTED, b"b" * 32: Trust.TOFU}
        assert store.decisions(ROMEO) == {b"b" * 32: Trust.DISTRUSTED}

    @pytest.mark.parametrize("trust", [Trust.DISTRUSTED, Trust.PINNED, Trust.VERIFIED, Trust.TOFU])
    def test_whatever_was_decided_stays(self, store, trust):
        store.decide(JULIET, b"a" * 32, trust)
        store.decide_if_undecided(JULIET, b"a" * 32)
        assert store.decisions(JULIET) == {b"a" * 32: trust}

    def test_it_can_be_decided_again_after_it_was_taken_back(self, store):
        store.decide(JULIET, b"a" * 32, Trust.DISTRUSTED)
        store.undecide(JULIET, b"a" * 32)
        store.decide_if_undecided(JULIET, b"a" * 32)
        assert store.decisions(JULIET) == {b"a" * 32: Trust.TOFU}


def test_closing_it_is_all_that_is_left_to_do(store):
    store.decide(JULIET, b"a" * 32, Trust.PINNED)
    store.close()
