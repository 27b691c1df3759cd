"""What 2 MiB of any input may cost: CPU, memory, operations of keys; and it opens no file and no connection."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.parties import Parties, make_parties
from tests.fuzz.costs import VERIFICATIONS, Scales
from tests.fuzz.worst import LARGEST, worst_cases

#: Those that take most memory; `make fuzz-worst` looks at all.
GREEDY = ("pieces of ciphertext", "quoted printable", "a long text", "large certificates with many names")


@pytest.fixture(scope="module")
def parties() -> Iterator[Parties]:
    with make_parties() as made:
        yield made


@pytest.fixture(scope="module")
def cases(parties) -> dict[str, bytes]:
    return dict(worst_cases(parties.pki))


@pytest.fixture
async def scales(parties) -> Scales:
    return Scales(parties)


async def test_the_keys_count(scales):
    """Of the harness: one operation to decrypt, one verification."""
    captured = {each.name: each.wire for each in scales.recipient.captured}
    for name in ("CBC, text", "GCM, stanza", "CBC, presence", "GCM, iq"):
        cost = scales.weigh(captured[name])
        assert (cost.private, cost.verified) == (1, 1), name
    cost = scales.weigh(captured["signed, text"])
    assert (cost.private, cost.verified) == (0, 1)


async def test_nothing_costs_more_than_it_may(scales, cases):
    assert len(cases) > 50
    for name, wire in cases.items():
        assert len(wire) <= LARGEST, name
        cost = scales.weigh(wire)
        assert cost.is_bounded, f"{name}: {cost}"


async def test_the_cases_are_as_bad_as_they_say(scales, cases):
    assert scales.weigh(cases["four signers and sixteen twins"]).verified == VERIFICATIONS
    assert scales.weigh(cases["many recipients that are us"]).private == 1
    assert scales.recipient.reasons == ["malformed"]


async def test_nothing_takes_more_memory_than_it_may(scales, cases):
    for name in GREEDY:
        cost = scales.weigh(cases[name], memory=True)
        assert cost.memory > len(cases[name]) / 2  # it was looked at
        assert cost.is_bounded, f"{name}: {cost}"


async def test_what_strangers_send_is_not_kept(scales, cases):
    """The pool remembers what it has read; not what is too large to be a certificate."""
    pool = scales.recipient.romeo.plugin.protection.peers.pool
    before = pool.size()
    scales.weigh(cases["a signer with very many addresses"])
    scales.weigh(cases["large certificates with many names"])
    assert pool.size() == before


def test_content_makes_nobody_open_a_file_or_a_connection():
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.sealed_off"], cwd=root, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    assert "0 files or connections" in ended.stdout
