"""Pauses in the sending loop: what becomes of the queue when a session ends during one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import slixmpp
from slixmpp.exceptions import IqError

from slixmpp_e2e.plugin.reading import MOST_QUEUED
from slixmpp_e2e.plugin.stanzas import mark_sealed
from slixmpp_e2e.plugin.turns import Turns
from tests.plugin.test_filters import Transport
from tests.server.clients import new_client
from tests.server.protected import PKI, Failures, introduce, make_pki, protect

JULIET = "juliet@localhost/juliet"
#: slixmpp takes it; as a domain of the DNS it can't be compared.
INCOMPARABLE = "bob@a!b.example"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


class Wire(Transport):
    """A connection that takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


class Held(Turns):
    """Turns that are always due, and come when a test says so."""

    def __init__(self, xmpp: Any) -> None:
        super().__init__(xmpp)
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    def must_pause(self) -> bool:
        return True

    async def wait(self, *, sends: bool = False) -> None:
        assert sends
        self.begun.set()
        await self.over.wait()


class Sender:
    """romeo, connected, in whose sending loop there is a pause before every stanza."""

    def __init__(self, pki: PKI) -> None:
        self.xmpp = new_client("romeo@localhost/romeo")
        self.failures: Failures = protect(
            self.xmpp, pki.options("romeo", peer_certificates=introduce(pki, "juliet"))
        )
        self.plugin = self.xmpp.plugin["e2e"]
        self.turns = self.plugin._pauses.turns = Held(self.xmpp)
        self.ended: list[str] = []
        for event in ("session_end", "disconnected"):
            self.xmpp.add_event_handler(event, lambda _, event=event: self.ended.append(event))
        self.connect()
        self.loop_task = asyncio.create_task(self.xmpp.run_filters())

    def connect(self) -> None:
        self.wire = self.xmpp.transport = Wire()
        self.xmpp._session_started = True

    def message(self, to: str = JULIET) -> slixmpp.Message:
        return self.xmpp.make_message(to, "x", mtype="chat")

    async def send(self, *stanzas: Any) -> None:
        """Send stanzas behind one that leaves at once, and wait for the pause before the first of them."""
        for stanza in (self.message(), *stanzas):
            self.xmpp.send(stanza)
        async with asyncio.timeout(10):
            await self.turns.begun.wait()

    async def lose(self) -> None:
        """Lose the connection for good."""
        self.xmpp.connection_lost(None)
        for _ in range(10):
            await asyncio.sleep(0)

    async def empty(self) -> None:
        """Let all leave that is queued."""
        self.turns.over.set()
        async with asyncio.timeout(30):
            await self.xmpp.waiting_queue.join()

    @property
    def failed(self) -> list[Any]:
        return [failure.stanza for failure in self.failures.sent]


@pytest.fixture
async def romeo(pki) -> AsyncIterator[Sender]:
    made = Sender(pki)
    yield made
    made.loop_task.cancel()
    made.plugin._renewal.stop()


async def test_what_cannot_be_parked_is_reported_and_the_connection_ends_as_always(romeo):
    bad = romeo.message(INCOMPARABLE)
    await romeo.send(romeo.message(), bad, romeo.message())
    await romeo.lose()
    assert romeo.ended == ["session_end", "disconnected"]
    assert romeo.failed == [bad]
    assert romeo.xmpp.waiting_queue.empty()
    assert romeo.plugin.stats()["parked"] == 2


async def test_who_sends_again_what_failed_is_not_told_for_ever_while_the_queue_is_emptied(romeo):
    romeo.xmpp.add_event_handler("e2e_send_failed", lambda failure: romeo.xmpp.send(failure.stanza))
    await romeo.send(romeo.message(INCOMPARABLE))
    romeo.xmpp.connection_lost(None)
    assert romeo.ended == ["session_end", "disconnected"]


async def test_what_makes_a_session_is_not_kept_for_the_next_one(romeo):
    bind = romeo.xmpp.make_iq_set()
    bind.enable("bind")
    await romeo.send(romeo.message(), bind)
    await romeo.lose()
    assert (romeo.plugin.stats()["parked"], romeo.failed) == (1, [])


async def test_what_was_protected_explicitly_is_reported_and_not_kept_until_it_is_too_old(romeo):
    iq = romeo.xmpp.make_iq_get("urn:example:x", ito=JULIET)
    outers = [await romeo.plugin.protect(each) for each in (romeo.message(), iq)]
    await romeo.send(romeo.message(), *outers)
    await romeo.lose()
    assert romeo.failed == outers
    assert {failure.error.code for failure in romeo.failures.sent} == {"local-error"}
    assert romeo.plugin.stats()["parked"] == 1
    assert len(romeo.wire.written) == 1


async def test_who_awaits_a_request_that_was_protected_explicitly_hears_at_once_that_it_did_not_leave(romeo):
    outer = await romeo.plugin.protect(romeo.xmpp.make_iq_get("urn:example:x", ito=JULIET))
    await romeo.send(romeo.message())
    answer = outer.send(timeout=60)
    await romeo.lose()
    with pytest.raises(IqError):
        async with asyncio.timeout(5):
            await answer


async def test_a_protected_answer_is_not_kept_for_another_session(romeo):
    result = romeo.xmpp.make_iq_result("q1", ito=JULIET)
    mark_sealed(result)
    await romeo.send(result)
    await romeo.lose()
    assert (romeo.plugin.stats()["parked"], romeo.failed) == (0, [])


def arriving(romeo: Sender) -> slixmpp.Message:
    """Return a stanza in clear that comes from a stranger."""
    return slixmpp.Message(romeo.xmpp, sfrom="stranger@localhost/x", sto="romeo@localhost/romeo", recv=True)


async def test_the_stream_is_not_read_while_too_much_is_queued(romeo):
    pings = [romeo.xmpp.make_iq_get("urn:xmpp:ping", ito="localhost") for _ in range(MOST_QUEUED)]
    await romeo.send(*pings[1:])
    romeo.xmpp.recv_stanza(arriving(romeo))
    assert romeo.wire.told == []
    romeo.xmpp.send(pings[0])
    romeo.xmpp.recv_stanza(arriving(romeo))
    assert romeo.wire.told == ["pause"]
    await romeo.empty()
    assert romeo.wire.told == ["pause", "resume"]
    assert len(romeo.wire.written) == 1 + MOST_QUEUED


async def test_the_next_connection_is_read_whatever_was_queued_for_the_last_one(romeo):
    await romeo.send(*(romeo.message() for _ in range(MOST_QUEUED)))
    romeo.xmpp.recv_stanza(arriving(romeo))
    assert romeo.wire.told == ["pause"]
    await romeo.lose()
    romeo.connect()
    for full in (True, False):
        romeo.plugin._arrivals.reading.lanes_are_full(full)
    assert romeo.wire.told == ["pause", "resume"]


async def test_without_the_plugin_the_stream_is_read_whatever_is_queued(romeo):
    await romeo.send(*(romeo.message() for _ in range(MOST_QUEUED)))
    romeo.xmpp.recv_stanza(arriving(romeo))
    romeo.xmpp.plugin.disable("e2e")
    romeo.plugin._arrivals.reading.lanes_are_full(False)  # as what was being done ends
    assert romeo.wire.told == ["pause", "resume", "resume"]
    await romeo.plugin._closing
