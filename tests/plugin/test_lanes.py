"""Work in lanes: in order in each, at the same time in several, and each job is done or abandoned."""

import asyncio
from dataclasses import dataclass, field

import pytest

from slixmpp_e2e.plugin.lanes import FULL, FULL_OCTETS, Lanes


@dataclass
class Diary:
    entries: list[tuple[str, object]] = field(default_factory=list)

    def of(self, what: str) -> list[object]:
        return [each for said, each in self.entries if said == what]


@dataclass
class Work:
    """A job that waits until it may end."""

    name: object
    diary: Diary
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False

    async def do(self) -> None:
        self.diary.entries.append(("begun", self.name))
        await self.may_end.wait()
        if self.fails:
            raise ZeroDivisionError
        self.diary.entries.append(("done", self.name))

    def abandon(self) -> None:
        self.diary.entries.append(("abandoned", self.name))


@pytest.fixture
def diary() -> Diary:
    return Diary()


async def rounds() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_after_the_other_in_a_lane_and_several_lanes_at_once(diary):
    lanes = Lanes()
    work = {name: Work(name, diary) for name in ("a1", "a2", "b1")}
    for name, each in work.items():
        lanes.put(name[0], each)
    await rounds()
    assert diary.of("begun") == ["a1", "b1"]
    assert len(lanes) == 3
    work["a1"].may_end.set()
    work["b1"].may_end.set()
    await rounds()
    assert diary.of("done") == ["a1", "b1"]
    assert diary.of("begun") == ["a1", "b1", "a2"]
    assert lanes.is_busy("a")
    assert not lanes.is_busy("b")
    work["a2"].may_end.set()
    await rounds()
    assert (len(lanes), lanes.is_busy("a"), lanes._tasks) == (0, False, {})


async def test_what_fails_is_abandoned_and_the_next_one_is_done(diary, caplog):
    lanes = Lanes()
    bad, good = Work("bad", diary, fails=True), Work("good", diary)
    for each in (bad, good):
        each.may_end.set()
        lanes.put("a", each)
    await rounds()
    assert diary.of("abandoned") == ["bad"]
    assert diary.of("done") == ["good"]
    assert "not done" in caplog.text


async def test_when_it_closes_each_is_abandoned_once(diary):
    lanes = Lanes()
    for number in range(3):
        lanes.put("a", Work(number, diary))
    await rounds()
    lanes.put("b", Work("not begun", diary))
    ending = lanes.close()
    assert diary.of("abandoned") == [1, 2, "not begun"]
    await asyncio.gather(*ending, return_exceptions=True)
    assert diary.of("abandoned") == [1, 2, "not begun", 0]
    assert len(lanes) == 0


async def test_a_job_that_closes_its_own_lane_is_done_and_the_others_are_not(diary):
    lanes = Lanes()

    class Closing(Work):
        async def do(self) -> None:
            lanes.close()
            diary.entries.append(("done", self.name))

    lanes.put("a", Closing("last", diary))
    other = Work("other", diary)
    other.may_end.set()
    lanes.put("a", other)
    await rounds()
    assert diary.entries == [("abandoned", "other"), ("done", "last")]
    assert len(lanes) == 0


async def test_whoever_cancels_the_task_leaves_nothing_unsaid(diary):
    lanes = Lanes()
    for number in range(2):
        lanes.put("a", Work(number, diary))
    await rounds()
    lanes._tasks["a"].cancel()
    await rounds()
    assert diary.of("abandoned") == [0, 1]
    assert not lanes.is_busy("a")
    assert len(lanes) == 0


async def test_it_is_full_until_most_of_it_is_done(diary):
    told: list[bool] = []
    lanes = Lanes(told.append)
    work = [Work(number, diary) for number in range(FULL)]
    for each in work:
        lanes.put("a", each)
    assert told == [True]
    for each in work[:-101]:
        each.may_end.set()
    for _ in range(FULL):
        await rounds()
    assert told == [True]
    work[-101].may_end.set()
    await rounds()
    assert told == [True, False]
    lanes.close()


async def test_a_few_large_ones_fill_it_too_until_a_fifth_of_the_octets_is_left(diary):
    told: list[bool] = []
    lanes = Lanes(told.append)
    work = [Work(number, diary) for number in range(10)]
    for each in work[:-1]:
        lanes.put("a", each, FULL_OCTETS // 10)
    assert told == []
    lanes.put("a", work[-1], FULL_OCTETS // 10 + 10)
    assert told == [True]
    for each in work[:7]:
        each.may_end.set()
    for _ in work:
        await rounds()
    assert (len(lanes), told) == (3, [True])
    work[7].may_end.set()
    await rounds()
    assert (len(lanes), told) == (2, [True])  # ten octets too many
    work[8].may_end.set()
    await rounds()
    assert (len(lanes), told) == (1, [True, False])
    work[9].may_end.set()
    await rounds()
    assert lanes._octets == 0


async def test_what_is_abandoned_holds_nothing(diary):
    told: list[bool] = []
    lanes = Lanes(told.append)
    for number in range(3):
        lanes.put("a", Work(number, diary), FULL_OCTETS)
    await rounds()
    await asyncio.gather(*lanes.close(), return_exceptions=True)
    assert lanes._octets == 0
    assert told == [True, True, True, False]


async def test_when_it_closes_it_is_not_full_any_more(diary):
    told: list[bool] = []
    lanes = Lanes(told.append)
    for number in range(FULL):
        lanes.put(str(number % 7), Work(number, diary))
    await rounds()
    await asyncio.gather(*lanes.close(), return_exceptions=True)
    assert told == [True, False]
    assert sorted(diary.of("abandoned")) == list(range(FULL))
