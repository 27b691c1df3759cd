"""Certificates end, are revoked and are followed by others while both sides talk: nothing is lost, nothing twice.

E2E_ROLL_OVERS=20 lets each happen twenty times in a conversation, which `make replays` does.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.pki import Entity

from .clients import Clients
from .roll_over import NAMES, Conversation, Office, conversation, now, other

ROUNDS = int(os.environ.get("E2E_ROLL_OVERS", "1"))
LOOPBACK = pytest.mark.parametrize("server", ["loopback"], indirect=True)


@pytest.fixture
def office(tmp_path) -> Office:
    return Office(tmp_path)


@pytest.fixture
async def talk(server, clients: Clients, office: Office) -> AsyncIterator[Conversation]:
    async with conversation(clients, office) as found:
        yield found


@pytest.fixture
def chance() -> random.Random:
    return random.Random(os.environ.get("E2E_SEED", "1"))


def check(talk: Conversation, *, late: int = 0) -> None:
    """Nothing is lost and nothing comes twice; no more is judged late than so many, and its sender knows."""
    for side in talk.sides.values():
        assert side.sent > 15
        assert not side.lost()
        assert not side.twice()
        assert not side.failed
        assert side.refused.total() <= late
        assert len(side.rejected) == side.refused.total()
    total = sum(side.sent for side in talk.sides.values())
    refused = sum(side.refused.total() for side in talk.sides.values())
    rate = total / len(NAMES) / talk.seconds
    print(
        f"{ROUNDS} times; {total:,} stanzas, {rate:.0f} a second each way, {refused} judged late, none lost or twice"
    )


async def test_new_keys_on_both_sides(talk, office, chance):
    issued = dict.fromkeys(NAMES, 1)
    async with talk.going_on():
        for _ in range(6 * ROUNDS):
            name = chance.choice(NAMES)
            office.issue(name)
            await talk.renew(name)
            issued[name] += 1
            await asyncio.sleep(chance.uniform(0.02, 0.2))
    check(talk)
    for name, side in talk.sides.items():
        serials = [serial for serial, _ in side.signed_with]
        assert serials == sorted(serials, key=serials.index)  # none that was followed comes back
        assert 1 < len({*serials}) <= issued[name]
        assert side.plugin.stats()["identities_renewed"] == issued[name] - 1


@LOOPBACK
async def test_certificates_expire_and_others_were_there_in_time(talk, office, chance):
    ended = []
    async with talk.going_on():
        for _ in range(ROUNDS):
            end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
            short = {name: office.issue(name, until=end) for name in NAMES}
            for name in NAMES:
                await talk.renew(name)
            await asyncio.sleep(chance.uniform(0.1, 0.4))
            for name in NAMES:
                office.issue(name)
                await talk.renew(name)
                await asyncio.sleep(chance.uniform(0.02, 0.2))
            ended.append((await until(end), short))
            await asyncio.sleep(0.2)
    check(talk, late=ROUNDS)
    check_over(talk, ended)


@LOOPBACK
async def test_certificates_expire_and_there_are_no_others(talk, office):
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    last = {name: office.issue(name, until=end) for name in NAMES}
    async with talk.going_on():
        for name in NAMES:
            await talk.renew(name)
        over = await until(end)
        await asyncio.sleep(0.5)
    for side in talk.sides.values():
        assert not side.lost()
        assert not side.twice()
        assert side.failed  # each was heard of
        assert max(side.delivered) < min(side.failed)
        assert side.refused.total() == len(side.rejected) <= 1
    check_over(talk, [(over, last)])


@LOOPBACK
async def test_certificates_are_revoked_and_others_were_there_in_time(talk, office, chance):
    old = {name: office.issue(name) for name in NAMES}
    ended = []
    async with talk.going_on():
        for name in NAMES:
            await talk.renew(name)
        for _ in range(ROUNDS):
            await asyncio.sleep(chance.uniform(0.1, 0.3))
            new = {}
            for name in NAMES:
                new[name] = office.issue(name)
                await talk.renew(name)
                await asyncio.sleep(chance.uniform(0.02, 0.2))
            office.revoke(*old.values())
            for name in chance.sample(NAMES, len(NAMES)):
                ended.append((await talk.look_up(name), {other(name): old[other(name)]}))
                await asyncio.sleep(chance.uniform(0.02, 0.2))
            old = new
        await asyncio.sleep(0.2)
    check(talk, late=ROUNDS)
    check_over(talk, ended)


@LOOPBACK
async def test_who_was_revoked_is_not_heard_any_more(talk, office):
    thief = office.issue("juliet")
    juliet, romeo = talk.sides["juliet"], talk.sides["romeo"]
    async with talk.going_on(patience=0.5):  # most of what is refused is not answered
        await talk.renew("juliet")
        await asyncio.sleep(0.2)
        office.revoke(thief)
        over = await talk.look_up("romeo")
        await asyncio.sleep(0.5)
    assert juliet.was_signed_with(thief, after=0) > 5
    assert juliet.was_signed_with(thief, after=over) == 0
    assert set(juliet.refused) == {"revoked"}
    assert juliet.rejected  # once in ten seconds somebody is told
    assert romeo.was_encrypted_to(thief, after=over) == 0
    assert not romeo.lost()  # there is an older certificate of hers


def check_over(talk: Conversation, ended: list[tuple[float, dict[str, Entity]]]) -> None:
    """Nothing that this certificate signed is delivered after it is over, and nothing is encrypted to it any more."""
    for moment, entities in ended:
        for name, entity in entities.items():
            assert talk.sides[name].was_signed_with(entity, after=moment) == 0
            assert talk.sides[other(name)].was_encrypted_to(entity, after=moment) == 0


async def until(moment: datetime) -> float:
    """Return the loop's time after a moment that a certificate ends with: the whole second belongs to it."""
    await asyncio.sleep((moment - datetime.now(UTC)).total_seconds() + 1.001)
    return now()
