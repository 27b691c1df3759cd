"""The long runs: `python -m tests.security.replay [NAME [HOW_MANY]]`; all of them where none is named."""

import asyncio
import logging
import sys
import time

from tests.security.replay.disguises import DISGUISES
from tests.security.replay.kills import HANDLERS, killing
from tests.security.replay.race import CLIENTS, race
from tests.security.replay.replays import Run
from tests.security.replay.sequences import run_sequences
from tests.security.replay.world import make_world


async def sequences(how_many: int) -> None:
    """Random clocks and timestamps against the model; raise `AssertionError` where it says something else."""
    with make_world() as world:
        verdicts = await run_sequences(world, range(how_many))
    starts = verdicts.pop("start")
    counts = ", ".join(f"{number:,} {mark}" for mark, number in verdicts.most_common())
    print(f"{how_many:,} sequences, {starts:,} restarts, {verdicts.total():,} stanzas: {counts}")
    print("sequences: the plugin said of each of them what the model said")


async def replays(how_many: int) -> None:
    """Replays in every disguise; raise `AssertionError` if one is accepted."""
    with make_world(rsa_keys=True) as world:
        run = Run(world, 0)
        tally = await run.replay(how_many)
        heats = run.heats(how_many // 100)
        takers, _ = race(world, run.clock, world.directory / "race.db", heats)
        run.close()
    for name, number in tally.counts.most_common():
        print(f"{number:9,} {name}")
    for name in DISGUISES:
        print(f"{tally.worn[name]:9,} {name}, {tally.good[name]:,} of them good")
    print(f"{len(heats):9,} stanzas at {CLIENTS} clients at once, taken by {set(takers)}")
    assert not tally.broken, "\n".join(tally.broken[:10])
    assert set(takers) == {1}
    print("replays: none was accepted")


async def kills(how_many: int) -> None:
    """Kill a program as it receives, as often with either kind of handler; raise `AssertionError`: see `Fates`."""
    for how in HANDLERS:
        with make_world() as world:
            async with killing(world, 0) as run:
                for _ in range(how_many // len(HANDLERS)):
                    await run.kill(how)
                await run.finish(how)
        fates = run.fates
        print(f"handler: {how}; {', '.join(f'{number:,} {name}' for name, number in fates.counts.items())}")
        print(f"    {fates.accepted.total():,} accepted, {max(fates.accepted.values())} times at the most")
        print(f"    {len(fates.cut_off)} cut off; by a kill: {dict(sorted(fates.cut_off_by_a_kill.items()))}")
        assert not fates.broken, fates.broken[:10]
        assert set(fates.accepted.values()) == {1}
    print("kills: nothing was accepted twice, and nothing refused that was not taken in before")


RUNS = {"sequences": (sequences, 10_000), "replays": (replays, 100_000), "kills": (kills, 1000)}


def main(name: str = "", how_many: str = "") -> None:
    """Do one of the runs, or all."""
    logging.getLogger("slixmpp_e2e").setLevel(logging.CRITICAL)  # it says whenever a clock is set back
    for each, (run, usual) in RUNS.items():
        if name in {"", each}:
            began = time.monotonic()
            asyncio.run(run(int(how_many or usual)))
            print(f"{each}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
