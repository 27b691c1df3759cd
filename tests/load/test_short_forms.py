"""Short forms of `make load`, `make soak` and `make flood`: what must be true on a machine however busy."""

import gc
from pathlib import Path

import pytest

from tests.benchmarks.clock import ONCE
from tests.load.flood import flood
from tests.load.garbage import FullCollections
from tests.load.soak import soak
from tests.load.throughput import Effort, run

pytestmark = pytest.mark.server


async def test_some_hundred_messages_arrive_once_and_in_order(tmp_path: Path):
    found = await soak(300, tmp_path, intervals=2)
    assert found.sent == 300
    assert not any(found.wrong.values()), found.wrong
    assert found.intervals[-1].sizes["waiting"] == 0


async def test_an_honest_peer_is_heard_beside_attackers(tmp_path: Path):
    found = await flood(5, 60, tmp_path, looks=3)
    assert all(len(table.rows) > 1 for table in found.tables())
    assert len(found.arrived) == found.honest == 50
    assert found.reached > 30
    assert "malformed" in found.errors
    # each of the attackers once in ten seconds, and what is answered when the last of them is read
    assert found.answers.get("message error", 0) <= 5 * (found.seconds / 10 + 2)
    for moment in found.moments:
        assert moment.sizes["peers"] < 2_000
        assert moment.sizes["certificates"] < 2_000


def test_only_collections_that_nobody_asked_the_notes_to_leave_out_are_noted():
    with FullCollections() as garbage:
        gc.collect()
        gc.collect(0)
        garbage.collect()
    gc.collect()
    assert garbage.count == 1
    assert 0 < garbage.longest == garbage.total


async def test_clear_and_protected_are_compared(tmp_path: Path):
    found = await run(Effort(rounds=1, burst=5, paced=5, way=ONCE), tmp_path)
    figures, expected = found.tables()
    assert len(figures.rows) == 12
    assert len(expected.rows) == 9
    assert all("nan" not in cell for row in (*figures.rows, *expected.rows) for cell in row)
