"""What came once never comes again, in whatever disguise."""

from collections.abc import Iterator

import pytest

from slixmpp_e2e.formats.claims import ClaimedKeys
from slixmpp_e2e.freshness import Admission
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.security.replay.disguises import DISGUISES
from tests.security.replay.race import race
from tests.security.replay.replays import Run
from tests.security.replay.world import World, make_world

REPLAYS = 1200
HEATS = 40


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with make_world(rsa_keys=True) as made:
        yield made


@pytest.mark.requirement("3923-2-2", "reqs-4-3")
async def test_no_replay_is_accepted_in_any_disguise(world):
    run = Run(world, 1)
    tally = await run.replay(REPLAYS)
    run.close()
    assert not tally.broken, tally.broken[0]
    counts = tally.counts
    assert counts["replays"] == REPLAYS
    # most of them would have been taken by who does not remember: it is the memory that stops them
    assert counts["good"] > REPLAYS / 2
    for name in DISGUISES:
        assert tally.good[name] >= 5, f"{name} does not fit any more"
    assert counts["honest"] > 20
    assert counts["restarts"] > 2


async def test_who_forgets_is_noticed(world, monkeypatch):
    monkeypatch.setattr(SQLiteStore, "admit", lambda *_asked: Admission(seen=False, highest=None))
    monkeypatch.setattr(ClaimedKeys, "claim", lambda *_key: True)
    run = Run(world, 2)
    tally = await run.replay(50)
    run.close()
    assert tally.broken


async def test_of_several_clients_exactly_one_takes_a_stanza(world, tmp_path):
    run = Run(world, 3)
    heats = run.heats(HEATS)
    takers, reasons = race(world, run.clock, tmp_path / "race.db", heats)
    run.close()
    assert takers == [1] * HEATS
    assert set(reasons) == {"seen"}
