"""The attacks of `tests.security.oracle`, in short: the victim on a real server gives nothing away, weak ones do."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager

import pytest
import pytest_asyncio

from slixmpp_e2e.namespaces import E2E
from tests.security.oracle.__main__ import attack
from tests.security.oracle.attacks import ATTACKS, SHORT, minority
from tests.security.oracle.forms import forms
from tests.security.oracle.scene import Scene, kinds, scene
from tests.security.oracle.ways import all_ways, by_every_way, flood
from tests.server.protected import make_pki

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

#: On this one the attack takes too long for every day; it is the same as the one on the other format.
_SLOW = "objenc: encrypted key"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A victim and two attackers."""
    async with scene(make_pki(tmp_path_factory.mktemp("pki"))) as found:
        yield found


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_recovers_nothing_and_hears_the_same_every_time(live, name):
    outcome = await attack(live, ATTACKS[name], SHORT)
    assert outcome.recovered is None
    assert outcome.answered == outcome.sent
    (heard,) = kinds(live.insider.heard)
    assert "bad-request" in heard
    assert "decryption-failed" in heard
    assert E2E in heard


@pytest.mark.parametrize("name", ["CBC padding", "behind the padding", "among the certificates"])
async def test_who_remembers_keys_gives_nothing_away_either(live, name):
    outcome = await attack(live, ATTACKS[name], SHORT, remembers=True)
    assert outcome.recovered is None
    assert len(kinds(live.insider.heard)) == 2  # the first time, and all others


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != _SLOW])
async def test_the_same_attack_on_a_weak_receiver_recovers_plaintext(live, name):
    for _ in range(3):  # with random blocks it may fail once, and who attacks tries again
        weakness: AbstractContextManager[None] = ATTACKS[name].weakness()
        outcome = await attack(live, ATTACKS[name], SHORT, weakness=weakness)
        if outcome.recovered:
            return
    pytest.fail("nothing was recovered")


async def test_no_way_leads_to_an_answer_that_depends_on_what_was_wrong(live):
    live.forget(for_good=True)
    heard, different = await by_every_way(live, all_ways())
    assert different == []
    answered = {
        way for way, found in heard.items() if any(E2E in text for text in found)
    }  # not by the server
    assert {way.kind for way in answered if way.sender == "insider"} == {"iq", "message", "presence"}
    assert {(way.kind, way.type) for way in answered if way.sender == "stranger"} == {
        ("iq", "get"),
        ("iq", "set"),
    }
    assert not {way.type for way in answered} & {"error", "result", "headline", "groupchat"}
    assert all(sum(found.values()) == 1 for way, found in heard.items() if way in answered)


async def test_what_is_made_by_the_attacker_is_answered_alike_wherever_it_is_broken(live):
    live.forget(for_good=True)
    made = forms(live)
    for attacker in (live.insider, live.stranger):
        answers = dict(zip(made, await attacker.ask_all(list(made.values())), strict=True))
        assert set(answers.values()) == {answers["no object"]}, answers
    assert "decryption-failed" in answers["no object"]


async def test_who_keeps_on_failing_gets_one_answer_and_one_for_each_request(live):
    live.forget(for_good=True)
    flooded = await flood(live, seconds=1, rate=50)
    assert flooded.sent["message"] == flooded.sent["presence"] == flooded.sent["iq"] > 10
    assert flooded.is_bounded
    assert flooded.answered.get("message", 0) + flooded.answered.get("presence", 0) == 1


async def test_a_minority_is_what_is_said_less_often_than_one_thing():
    assert minority(["a", "a", "b", "a", "c"]) == [2, 4]
    assert minority(["a", "a"]) == []
    assert minority(["a", "b"]) == []
