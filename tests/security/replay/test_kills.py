"""A program that is killed at any moment of receiving: what it accepted it never accepts again."""

import pytest

from tests.security.replay.kills import killing
from tests.security.replay.world import make_world


@pytest.mark.parametrize(("how", "kills"), [("function", 11), ("coroutine", 5)])
async def test_what_was_accepted_before_a_kill_is_not_accepted_after_it_and_the_rest_is(how, kills):
    with make_world() as world:
        async with killing(world, 1) as run:
            for _ in range(kills):
                await run.kill(how)
            await run.finish(how)
    fates = run.fates
    assert not fates.broken
    assert set(fates.accepted.values()) == {1}
    assert fates.counts["replays refused"] > 5 * kills
    # what was taken in and not shown to the program stays refused: one stanza at the most for a plain function
    assert sum(lost * often for lost, often in fates.cut_off_by_a_kill.items()) == len(fates.cut_off)
    if how == "function":
        assert set(fates.cut_off_by_a_kill) <= {0, 1}


async def test_a_record_that_forgets_is_noticed():
    with make_world() as world:
        async with killing(world, 2) as run:
            await run.finish("function")
            for path in world.directory.glob("killed.db*"):
                path.unlink()
            await run.finish("function")
    assert run.fates.broken
