"""The contract of a replay record: what it has seen it never takes again, whatever it forgets."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.freshness import AHEAD, RECENT, SECOND, Admission, MemoryReplayRecord, ReplayRecord
from slixmpp_e2e.stores.postgresql import PostgreSQLStore
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.stores.postgresql import Server, Waiting

#: When the tests happen; long after the floor of a new record.
NOW = 1_772_366_400 * SECOND
JULIET, NURSE, ROMEO = "juliet@example.com", "nurse@example.com", "romeo@example.net"

Make = Callable[..., ReplayRecord]


POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.postgresql)


@pytest.fixture(params=["memory", "sqlite", POSTGRESQL])
def make(request, tmp_path, opened) -> Make:
    """Return a function that makes a record of a certain size."""
    match request.param:
        case "memory":
            return lambda **sizes: MemoryReplayRecord(started=0, **sizes)
        case "postgresql":
            return request.getfixturevalue("connected")
    numbers = iter(range(100))
    return lambda **sizes: opened(tmp_path / f"{next(numbers)}.db", **sizes)


@pytest.fixture(params=["record", "memory", "sqlite", POSTGRESQL])
def record(request, tmp_path, opened) -> ReplayRecord:
    """Every implementation in its usual size."""
    match request.param:
        case "record":
            return MemoryReplayRecord(started=0)
        case "memory":
            return MemoryStore(started=0)
        case "postgresql":
            return request.getfixturevalue("connected")()
    return opened(tmp_path / "store.db")


def seen(
    record: ReplayRecord, digest: int, timestamp: int, *, signer: str = JULIET, received: int = NOW
) -> bool:
    return record.admit(signer, b"%032d" % digest, timestamp, received).seen


def highest(record: ReplayRecord, digest: int, timestamp: int, *, received: int = NOW) -> int | None:
    return record.admit(JULIET, b"%032d" % digest, timestamp, received).highest


class TestSeen:
    @pytest.mark.requirement("3923-2-2")
    def test_what_is_new_is_new_once(self, record):
        assert not seen(record, 1, NOW)
        assert seen(record, 1, NOW)
        assert seen(record, 1, NOW, received=NOW + 3600 * SECOND)

    def test_a_timestamp_alone_is_no_replay(self, record):
        assert not seen(record, 1, NOW)
        assert not seen(record, 2, NOW)

    def test_the_same_octets_of_another_signer_are_something_else(self, record):
        assert not seen(record, 1, NOW)
        assert not seen(record, 1, NOW, signer=ROMEO)

    def test_what_an_earlier_version_recorded_is_seen(self, record):
        assert not seen(record, 1, NOW)
        assert record.admit(JULIET, b"%032d" % 2, NOW, NOW, b"%032d" % 1).seen
        assert not record.admit(ROMEO, b"%032d" % 2, NOW, NOW, b"%032d" % 1).seen
        assert not record.admit(JULIET, b"%032d" % 3, NOW, NOW, b"%032d" % 4).seen
        assert not seen(record, 4, NOW)

    def test_what_was_refused_leaves_no_trace(self, record):
        assert not seen(record, 1, NOW)
        assert seen(record, 1, NOW + SECOND)
        assert highest(record, 2, NOW) == NOW


class TestHighest:
    def test_the_first_stanza_has_nothing_before_it(self, record):
        assert highest(record, 1, NOW) is None

    def test_it_is_the_highest_of_those_that_came_before(self, record):
        assert highest(record, 1, NOW) is None
        assert highest(record, 2, NOW + 5) == NOW
        assert highest(record, 3, NOW + 3) == NOW + 5
        assert highest(record, 4, NOW + 5) == NOW + 5

    @pytest.mark.requirement("3923-6.9-7")
    def test_it_looks_back_ten_minutes_of_our_time(self, record):
        assert highest(record, 1, NOW + 300 * SECOND) is None
        assert highest(record, 2, NOW, received=NOW + 1) == NOW + 300 * SECOND
        assert highest(record, 3, NOW, received=NOW + RECENT) == NOW + 300 * SECOND
        assert highest(record, 4, NOW, received=NOW + RECENT + 1) == NOW
        assert highest(record, 5, NOW, received=NOW + 2 * RECENT + 2) is None

    def test_a_window_may_be_longer_than_that(self, opened, tmp_path):
        long_ago = NOW - 3000 * SECOND
        for record in (MemoryReplayRecord(started=0), opened(tmp_path / "store.db")):
            assert highest(record, 1, long_ago) is None
            assert highest(record, 2, long_ago - 1) == long_ago

    def test_a_clock_that_was_set_forwards_and_back_makes_nothing_forgotten(self, record):
        assert highest(record, 1, NOW + 300 * SECOND) is None
        assert seen(record, 1, NOW + 300 * SECOND, received=NOW + 2 * RECENT)
        assert highest(record, 2, NOW, received=NOW + 1) == NOW + 300 * SECOND
        assert highest(record, 3, NOW + 301 * SECOND, received=NOW - RECENT) == NOW + 300 * SECOND
        assert highest(record, 4, NOW, received=NOW + 2) == NOW + 300 * SECOND

    def test_what_others_sent_does_not_count(self, record):
        assert not seen(record, 1, NOW, signer=ROMEO)
        assert highest(record, 2, NOW) is None


class TestFloors:
    def test_when_an_entry_is_dropped_its_signers_floor_rises_to_it(self, make):
        record = make(entries_per_signer=3)
        assert [seen(record, number, NOW + number) for number in (5, 1, 4, 3)] == [False] * 4
        assert seen(record, 1, NOW + 1)  # dropped, but below the floor
        assert seen(record, 6, NOW + 1)
        assert not seen(record, 7, NOW + 2)
        assert seen(record, 8, NOW + 2)  # now this is the floor
        assert not seen(record, 9, NOW + 1, signer=ROMEO)

    def test_the_entry_that_is_dropped_may_be_the_new_one(self, make):
        record = make(entries_per_signer=1)
        assert not seen(record, 2, NOW + 2)
        assert not seen(record, 1, NOW + 1)
        assert seen(record, 1, NOW + 1)
        assert seen(record, 2, NOW + 2)

    def test_entries_of_one_timestamp_fall_together(self, make):
        record = make(entries_per_signer=2)
        assert [seen(record, number, NOW) for number in range(3)] == [False] * 3
        assert [seen(record, number, NOW) for number in range(4)] == [True] * 4

    def test_when_a_signer_is_dropped_everybodys_floor_rises_to_his_newest(self, make):
        record = make(signers=2)
        assert not seen(record, 1, NOW + 1)
        assert not seen(record, 3, NOW + 3)
        assert not seen(record, 2, NOW + 9, signer=NURSE)
        assert not seen(record, 4, NOW + 9, signer=ROMEO)  # juliet's newest is the oldest
        assert seen(record, 3, NOW + 3)
        assert seen(record, 5, NOW + 3, signer=ROMEO)
        assert seen(record, 5, NOW + 3, signer=NURSE)
        assert not seen(record, 6, NOW + 4, signer=ROMEO)

    def test_a_stanza_that_is_refused_drops_nobody(self, make):
        record = make(signers=2)
        assert not seen(record, 1, NOW + 1)
        assert not seen(record, 2, NOW + 9, signer=NURSE)
        assert not seen(record, 3, NOW + 9, signer=ROMEO)
        assert seen(record, 1, NOW + 1)  # replayed, and juliet is not known any more
        assert seen(
            record, 4, NOW + 9
        )  # nor would this one be above the floor, if somebody were dropped for it
        assert not seen(record, 5, NOW + 2, signer=ROMEO)
        assert not seen(record, 6, NOW + 2, signer=NURSE)

    def test_a_floor_never_sinks(self, make):
        record = make(signers=1)
        assert not seen(record, 1, NOW + 9)
        assert not seen(record, 2, NOW + 10, signer=ROMEO)
        assert not seen(record, 3, NOW + 11, signer=NURSE)
        assert seen(record, 4, NOW + 10)
        assert seen(record, 1, NOW + 9)

    def test_who_has_sent_only_what_is_below_the_floor_leaves_none_behind(self, make):
        record = make(signers=1)
        assert not seen(record, 1, NOW + 1)
        assert not seen(record, 2, NOW + 5, signer=ROMEO)  # everybody's floor is NOW + 1 from here on
        assert seen(record, 3, NOW, signer=NURSE)
        assert not seen(record, 4, NOW + 9, signer=NURSE)
        assert seen(record, 5, NOW + 1)

    def test_the_floor_of_a_signer_goes_with_him_and_is_kept_for_all(self, make):
        record = make(signers=1, entries_per_signer=1)
        assert not seen(record, 1, NOW + 1)
        assert not seen(record, 2, NOW + 2)
        assert not seen(record, 3, NOW + 3, signer=ROMEO)
        assert seen(record, 2, NOW + 2)
        assert seen(record, 1, NOW + 1)


class TestAhead:
    """Nobody can fill the record with timestamps of the future, and silence others until then."""

    LATE: Final = NOW + 298 * SECOND

    def admit(self, record: ReplayRecord, number: int, timestamp: int, received: int = NOW) -> Admission:
        """One stanza of a signer of his own."""
        return record.admit(f"m{number}@evil.example", b"%032d" % number, timestamp, received)

    @pytest.mark.parametrize("begin", [False, True], ids=["strangers", "known"])
    def test_a_thousand_signers_of_the_future_silence_nobody(self, make, begin):
        record = make(signers=20)
        assert not seen(record, 1, NOW - SECOND, signer=ROMEO, received=NOW - SECOND)
        for number in range(25 if begin else 0):  # first they get their places with the right time
            assert not self.admit(record, 900 + number, NOW + number).seen
        for renewed in range(3):
            now = NOW + renewed * 290 * SECOND
            for number in range(50):
                signer, digest = f"m{900 + number}@evil.example", b"%16d%16d" % (renewed, number)
                record.admit(signer, digest, now + 298 * SECOND, now)
            for number in range(50):
                record.admit(f"n{number}@evil.example", b"%032d" % renewed, now + AHEAD, now)
            at = now + AHEAD + 1
            assert not seen(record, 100 + renewed, at, signer=ROMEO, received=at)
            assert not seen(record, 200 + renewed, at, signer=NURSE, received=at)

    def test_half_of_the_signers_may_be_ahead(self, make):
        record = make(signers=4)
        assert [self.admit(record, each, self.LATE) for each in range(2)] == [Admission(False, None)] * 2
        assert self.admit(record, 2, self.LATE) == Admission(True, None, ahead=True)
        assert self.admit(record, 2, NOW + AHEAD + 1) == Admission(True, None, ahead=True)
        assert self.admit(record, 2, NOW + AHEAD) == Admission(False, None)
        late = record.admit("m2@evil.example", b"late", self.LATE, NOW)
        assert late == Admission(True, NOW + AHEAD, ahead=True)

    def test_who_is_ahead_goes_on(self, make):
        record = make(signers=2)
        assert not seen(record, 1, self.LATE)
        assert not seen(record, 2, self.LATE + 1)
        assert not seen(record, 3, NOW)
        assert seen(record, 1, self.LATE)

    def test_who_is_known_becomes_no_more_ahead_than_others(self, make):
        record = make(signers=4)
        for number in range(4):
            assert not self.admit(record, number, NOW).seen
        late = [record.admit(f"m{each}@evil.example", b"late", self.LATE, NOW + SECOND) for each in range(4)]
        assert late == [Admission(False, NOW)] * 2 + [Admission(True, NOW, ahead=True)] * 2

    def test_what_was_refused_for_it_leaves_no_trace(self, make):
        record = make(signers=2)
        assert not seen(record, 1, self.LATE, signer=ROMEO)
        assert seen(record, 2, self.LATE)
        assert highest(record, 2, self.LATE, received=self.LATE - AHEAD) is None
        assert seen(record, 2, self.LATE, received=self.LATE - AHEAD)

    def test_a_place_is_free_again_when_its_time_has_come(self, make):
        record = make(signers=2)
        assert not seen(record, 1, self.LATE, signer=ROMEO)
        assert seen(record, 2, self.LATE + AHEAD)
        assert not seen(record, 2, self.LATE + AHEAD, received=self.LATE - AHEAD)

    def test_a_replay_of_the_future_is_a_replay_whatever_else_it_is(self, make):
        record = make(signers=2)
        assert not seen(record, 1, self.LATE)
        assert record.admit(JULIET, b"%032d" % 1, self.LATE, NOW) == Admission(True, self.LATE)
        assert not seen(record, 2, self.LATE - 1, received=self.LATE, signer=ROMEO)
        assert not seen(record, 3, self.LATE + 1, received=self.LATE, signer=NURSE)  # romeo goes for her
        assert record.admit(ROMEO, b"%032d" % 2, self.LATE - 1, NOW) == Admission(True, None)

    def test_nobody_goes_for_others_who_is_far_ahead(self, make):
        record = make(signers=2)
        at = self.LATE
        assert not seen(record, 1, at, received=at)
        assert not seen(record, 2, at + 9, received=at, signer=ROMEO)
        # the clock was set back
        assert record.admit(NURSE, b"n", at + 1, NOW) == Admission(True, None, ahead=True)
        assert record.admit(NURSE, b"n", NOW, NOW) == Admission(True, None)
        assert not seen(record, 3, NOW)  # juliet has her place, and there is no floor
        assert record.admit(NURSE, b"n", at + 1, at) == Admission(False, None)
        assert seen(record, 1, at)


class TestRestart:
    @pytest.fixture(params=["sqlite", POSTGRESQL])
    def restarted(self, request, tmp_path, opened) -> Make:
        """Return a function that opens the same record again."""
        if request.param == "postgresql":
            return request.getfixturevalue("connected")
        return partial(opened, tmp_path / "store.db")

    def test_what_is_kept_outside_remembers(self, restarted):
        store = restarted(entries_per_signer=2, signers=2)
        for number in range(3):
            assert not seen(store, number, NOW + number)
        assert not seen(store, 9, NOW + 9, signer=ROMEO)
        store.close()
        store = restarted(entries_per_signer=2, signers=2)
        assert highest(store, 5, NOW + 5) == NOW + 2
        assert all(seen(store, number, NOW + number) for number in range(3))
        assert seen(store, 9, NOW + 9, signer=ROMEO)

    def test_a_record_that_is_larger_than_it_may_be_now_does_not_grow(self, restarted):
        store = restarted(entries_per_signer=3, signers=2)
        assert [seen(store, number, NOW + number) for number in range(3)] == [False] * 3
        store.close()
        store = restarted(entries_per_signer=2, signers=2)
        assert not seen(store, 3, NOW + 3)
        assert seen(store, 9, NOW)  # what was dropped for it, and is the floor
        assert not seen(store, 4, NOW + 1, signer=ROMEO)
        assert not seen(store, 4, NOW + 4)
        assert seen(store, 9, NOW + 1)

    def test_memory_takes_nothing_from_before_it_began(self):
        for record in (MemoryReplayRecord(started=NOW), MemoryStore(started=NOW)):
            assert seen(record, 1, NOW)
            assert not seen(record, 2, NOW + 1)


SIGNERS = st.sampled_from([JULIET, NURSE, ROMEO, "mercutio@example.net"])
OFFSETS = st.integers(-5, 7) | st.sampled_from([-300, -299, 298, 300]) | st.integers(-3600, -600)


class Comparison(RuleBasedStateMachine):
    """Memory and a file against a model that never forgets: nothing it has seen is ever admitted again."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "store.db"
        self.now = NOW
        self.known: dict[tuple[str, bytes], int] = {}
        self.number = self.floor = 0

    def open(self) -> ReplayRecord:
        return SQLiteStore(self.path, **self.sizes)

    def value(self, query: str) -> int:
        return self.store._value(query)

    @initialize(entries=st.integers(1, 4), signers=st.integers(1, 3))
    def begin(self, entries: int, signers: int) -> None:
        self.sizes = {"entries_per_signer": entries, "signers": signers}
        self.memory = MemoryReplayRecord(started=0, **self.sizes)
        self.store = self.open()

    def admit(self, signer: str, digest: bytes, timestamp: int) -> None:
        answers = [each.admit(signer, digest, timestamp, self.now) for each in (self.memory, self.store)]
        assert (answers[0].seen, answers[0].ahead) == (answers[1].seen, answers[1].ahead)
        if (signer, digest) in self.known:
            assert answers[0].seen
            assert not answers[0].ahead
        floor = self.memory._floor
        assert floor == self.floor or floor <= self.now + AHEAD
        self.floor = floor
        if answers[0].seen:
            return
        self.known[signer, digest] = timestamp
        if abs(timestamp - self.now) <= 300 * SECOND:  # what is older is never asked for
            decreasing = [each.highest is not None and timestamp <= each.highest for each in answers]
            assert decreasing[0] == decreasing[1]

    @rule(signer=SIGNERS, offset=OFFSETS)
    def receive_something_new(self, signer: str, offset: int) -> None:
        self.number += 1
        self.admit(signer, b"%032d" % self.number, self.now + offset * SECOND)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        (signer, digest), timestamp = data.draw(st.sampled_from(sorted(self.known.items())))
        self.admit(signer, digest, timestamp)

    @rule(seconds=st.integers(1, 700))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(seconds=st.integers(-700, -1))
    def set_the_clock_back(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def stays_small(self) -> None:
        if not hasattr(self, "store"):
            return
        entries, signers = self.sizes["entries_per_signer"], self.sizes["signers"]
        value = self.value
        assert value("SELECT count(*) FROM seen") <= entries * signers
        assert value("SELECT count(*) FROM everybody") == 1
        records = self.memory._signers.values()
        assert len(records) == value("SELECT count(*) FROM signer") <= signers
        assert self.memory._floor == value("SELECT floor FROM everybody")
        for each in records:
            assert len(each.digests) == len(each._by_timestamp) <= entries

    def teardown(self) -> None:
        for (signer, digest), timestamp in self.known.items():
            assert self.memory.admit(signer, digest, timestamp, self.now).seen
            assert self.store.admit(signer, digest, timestamp, self.now).seen
        self.store.close()
        self.directory.cleanup()


TestComparison = Comparison.TestCase
TestComparison.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class InPostgreSQL(Comparison):
    """The same with a database."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.schema = f"comparison_{uuid4().hex}"

    def open(self) -> ReplayRecord:
        return Waiting(PostgreSQLStore(self.server.url(), schema=self.schema, **self.sizes))

    def value(self, query: str) -> int:
        return self.store.value(query.replace("everybody", "store"))


@pytest.mark.postgresql
def test_a_database_answers_as_memory_does(server):
    run_state_machine_as_test(
        lambda: InPostgreSQL(server),
        settings=settings(max_examples=15, stateful_step_count=30, deadline=None),
    )


def test_what_is_dropped_takes_no_memory():
    record = MemoryReplayRecord(started=0, entries_per_signer=3)
    for number in range(50):
        record.admit(JULIET, b"%032d" % number, NOW + number, NOW)
    assert len(record._signers[JULIET].digests) == 3


def test_who_was_never_admitted_does_not_lower_the_floor_when_he_is_dropped():
    record = MemoryReplayRecord(started=NOW, signers=1)
    assert seen(record, 1, NOW - 9, signer=NURSE)
    assert not seen(record, 2, NOW + 1, signer=ROMEO)
    assert seen(record, 3, NOW - 1, signer=ROMEO)
    assert seen(record, 4, NOW, signer=ROMEO)


def test_a_record_has_a_thousand_signers_with_a_thousand_entries_each():
    record = MemoryReplayRecord(started=0)
    for number in range(1001):
        record.admit(JULIET, b"%032d" % number, NOW + number, NOW)
        record.admit(f"{number}@example.com", b"", NOW + number, NOW)
    assert len(record._signers[JULIET].digests) == 1000
    assert len(record._signers) == 1000
    assert RECENT == 600 * SECOND
