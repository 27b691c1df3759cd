"""How long it is known what somebody reads, and when he is asked: without a server."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import SubElement

import pytest
from slixmpp import JID

from slixmpp_e2e.namespaces import DISCO_INFO, E2E, OBJENC
from slixmpp_e2e.plugin.announced_formats import AnnouncedFormats
from slixmpp_e2e.waiting import NotYet
from tests.server.clients import new_client

JULIET = JID("juliet@example.com/balcony")


class Asking:
    """Romeo, who may ask juliet."""

    def __init__(self, *plugins: str) -> None:
        self.time = 0.0
        self.questions: asyncio.Queue[Any] = asyncio.Queue()
        self.xmpp = new_client("romeo@example.net/orchard", plugins=["xep_0030", *plugins])
        self.xmpp.send = self.questions.put_nowait
        self.formats = AnnouncedFormats(self.xmpp, Counter(), ("rfc3923",), lambda: self.time, 0.05)

    def wait(self) -> asyncio.Task[None]:
        """Begin to wait for what is not known."""
        with pytest.raises(NotYet) as needed:
            self.formats.of(JULIET)
        return asyncio.get_running_loop().create_task(needed.value.wait())

    async def ask(self, *features: str) -> None:
        """Wait for an answer, and give it."""
        task = self.wait()
        await self.answer(features)
        await task

    async def answer(self, features: Iterable[str]) -> None:
        question = await self.questions.get()
        answer = self.xmpp.make_iq_result(question["id"], ito=self.xmpp.boundjid.full, ifrom=JULIET.full)
        query = SubElement(answer.xml, f"{{{DISCO_INFO}}}query")
        for feature in features:
            SubElement(query, f"{{{DISCO_INFO}}}feature", {"var": feature})
        self.xmpp._spawn_event(answer.xml)


@pytest.mark.parametrize(
    ("features", "formats"),
    [
        ([E2E, "urn:x"], {"rfc3923"}),
        ([OBJENC], {"objenc"}),
        ([E2E, OBJENC], {"rfc3923", "objenc"}),
        (["urn:x"], set()),
        ([], set()),
    ],
)
async def test_features_say_what_is_read(features, formats):
    asking = Asking()
    await asking.ask(*features)
    assert asking.formats.of(JULIET) == formats


async def test_an_answer_counts_for_ten_minutes():
    asking = Asking()
    await asking.ask(OBJENC)
    asking.time = 599
    assert asking.formats.of(JULIET) == {"objenc"}
    asking.time = 601
    await asking.ask(E2E)  # not what slixmpp has kept of the first one
    assert asking.formats.of(JULIET) == {"rfc3923"}
    assert asking.formats.stats["formats_asked_for"] == 2


async def test_who_gives_none_is_left_alone_for_a_minute():
    asking = Asking()
    await asking.wait()
    asking.time = 59
    assert asking.formats.of(JULIET) == set()
    asking.time = 61
    with pytest.raises(NotYet):
        asking.formats.of(JULIET)
    assert asking.formats.stats["formats_asked_for"] == 1


async def test_several_that_wait_ask_once():
    asking = Asking()
    waiting = [asking.wait() for _ in range(5)]
    await asking.answer([OBJENC])
    await asyncio.gather(*waiting)
    assert asking.formats.of(JULIET) == {"objenc"}
    assert asking.formats.stats["formats_asked_for"] == 1


async def test_one_that_waits_no_more_leaves_the_question_to_the_others():
    asking = Asking()
    first, second = asking.wait(), asking.wait()
    await asyncio.sleep(0)
    first.cancel()
    await asking.answer([OBJENC])
    await second
    assert first.cancelled()
    assert asking.formats.of(JULIET) == {"objenc"}


@pytest.mark.parametrize("rounds", [0, 1, 5])
async def test_whoever_waits_when_it_is_closed_goes_on_without(rounds):
    asking = Asking()
    asking.formats.patience = 60
    waiting = asking.wait()
    for _ in range(rounds):
        await asyncio.sleep(0)
    asking.formats.close()
    await asyncio.wait_for(waiting, 1)
    assert asking.formats.of(JULIET) == set()
    assert not asking.formats._asking


async def test_a_cache_of_the_programs_own_that_fails_is_no_reason_not_to_send(caplog):
    def fail(*_):
        raise OSError("no cache")

    asking = Asking("xep_0115")
    asking.xmpp.plugin["xep_0115"].api.register(fail, "get_verstring", default=True)
    await asking.wait()
    assert asking.formats.of(JULIET) == set()
    assert "what juliet@example.com/balcony reads was not found out" in caplog.text


async def test_nobody_in_particular_is_asked_nothing():
    """A message to a bare JID may reach any client; the account's server knows of none what it reads."""
    asking = Asking()
    account = JID(JULIET.bare)
    with pytest.raises(NotYet) as needed:
        asking.formats.of(account)
    await needed.value.wait()
    assert asking.formats.of(account) == set()
    assert asking.questions.empty()
