"""Who waits, begins again; who can't, says so."""

import asyncio

import pytest

from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.waiting import ROUNDS, NotYet, at_once, patiently


class Steps:
    """Needs something `rounds` times, then returns."""

    def __init__(self, rounds: int) -> None:
        self.rounds, self.begun, self.waited = rounds, 0, 0

    async def wait(self) -> None:
        await asyncio.sleep(0)
        self.waited += 1

    def __call__(self) -> str:
        self.begun += 1
        if self.waited < self.rounds:
            raise NotYet(self.wait)
        return "there"


async def test_a_step_begins_again_until_all_is_there():
    steps = Steps(3)
    assert await patiently(steps) == "there"
    assert (steps.begun, steps.waited) == (4, 3)


async def test_nobody_begins_again_forever():
    steps = Steps(ROUNDS + 1)
    with pytest.raises(StoreError):
        await patiently(steps)
    assert steps.begun == ROUNDS


async def test_what_the_step_or_the_waiting_raises_ends_it():
    def step() -> None:
        raise ZeroDivisionError

    async def fail() -> None:
        raise StoreError("away")

    def ask() -> None:
        raise NotYet(fail)

    with pytest.raises(ZeroDivisionError):
        await patiently(step)
    with pytest.raises(StoreError, match="away"):
        await patiently(ask)


def test_what_need_not_wait_is_done_without_a_loop():
    async def answer() -> int:
        return await inner()

    async def inner() -> int:
        return 42

    assert at_once(answer()) == 42


def test_what_waits_all_the_same_is_an_error_and_is_closed():
    cleaned = []

    class Never:
        def __await__(self):
            yield

    async def wait() -> None:
        try:
            await Never()
        finally:
            cleaned.append(True)

    with pytest.raises(RuntimeError):
        at_once(wait())
    assert cleaned
