"""The event loop gets its turn."""

import asyncio
from types import SimpleNamespace

import pytest

from slixmpp_e2e.plugin.turns import LONGEST, Turns


@pytest.fixture
def turns() -> Turns:
    """Turns with a clock that somebody sets: `turns.xmpp.clock`."""
    xmpp = SimpleNamespace(transport=object(), clock=0.0)
    return Turns(xmpp, now=lambda: xmpp.clock)


async def test_it_is_due_when_the_loop_was_kept_too_long_and_not_after_a_round(turns):
    assert not turns.is_due()
    turns.xmpp.clock = LONGEST / 2
    assert not turns.is_due()
    turns.xmpp.clock = LONGEST * 1.1
    assert turns.is_due()
    await asyncio.sleep(0)
    assert not turns.is_due()


async def test_it_is_never_due_without_a_connection(turns):
    turns.xmpp.transport = None
    assert not turns.is_due()
    turns.xmpp.clock = LONGEST * 10
    assert not turns.is_due()


def test_it_is_not_due_where_there_is_no_loop(turns):
    turns.xmpp.transport = None
    assert not turns.must_pause()


async def test_who_is_alone_goes_on_until_it_is_due(turns):
    waited = asyncio.ensure_future(turns.pause())
    await asyncio.sleep(0)
    assert waited.done()
    turns.is_due()
    turns.xmpp.clock = LONGEST * 2
    waited = asyncio.ensure_future(turns.wait())
    await asyncio.sleep(0)
    assert not waited.done()
    await waited


async def test_several_take_turns_in_the_order_in_which_they_asked(turns):
    done: list[str] = []

    async def work(name: str) -> None:
        for _ in range(3):
            await turns.wait()
            done.append(name)

    await asyncio.gather(*(work(name) for name in "abc"))
    assert done == list("abcabcabc")


async def test_one_piece_of_work_is_done_in_a_round(turns):
    done: list[int] = []
    tasks = [asyncio.ensure_future(turns.wait()) for _ in range(5)]
    for number, task in enumerate(tasks):
        task.add_done_callback(lambda _, number=number: done.append(number))
    most = 0
    while len(done) < 5:
        before = len(done)
        await asyncio.sleep(0)
        most = max(most, len(done) - before)
    assert most == 1


async def test_who_is_cancelled_does_not_hold_up_the_others(turns):
    first, second = asyncio.ensure_future(turns.wait()), asyncio.ensure_future(turns.wait())
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(1):
        await second
    assert first.cancelled()


async def test_what_is_sent_has_every_second_round_however_many_others_there_are(turns):
    done: list[str] = []

    async def work(name: str, *, sends: bool = False) -> None:
        for _ in range(4):
            await turns.wait(sends=sends)
            done.append(name)

    await asyncio.gather(*(work(name) for name in "abc"), work("-", sends=True))
    assert "".join(done) == "-a-b-c-abcabcabc"


async def test_while_something_is_to_be_sent_others_must_pause(turns):
    task = asyncio.ensure_future(turns.wait(sends=True))
    await asyncio.sleep(0)
    assert turns.must_pause()
    await task
    assert not turns.must_pause()
