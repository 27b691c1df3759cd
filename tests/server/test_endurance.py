"""A thousand messages each way while the connections are cut again and again (issue: nothing lost, none twice)."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from slixmpp import ClientXMPP

from slixmpp_e2e.cli.prosody import ThrowAwayProsody

from .clients import close, connect, new_client, round_trip
from .conftest import ROOM_FOR_BURSTS
from .protected import Failures, introduce, make_pki, protect
from .proxy import RecordingProxy

MESSAGES = 1000
CUTS = 24
SECRET = "the-canary-of-verona"


@pytest.fixture
def prosody_configuration() -> str:
    return ROOM_FOR_BURSTS


class Talker:
    """One client behind its own proxy."""

    def __init__(self, xmpp: ClientXMPP, proxy: RecordingProxy, failures: Failures) -> None:
        self.xmpp, self.proxy, self.failures = xmpp, proxy, failures
        self.received: list[int] = []
        self.all_received = asyncio.Event()
        self.back = asyncio.Event()
        self.resumed = 0
        self.unproven = 0
        xmpp.add_event_handler("message", self._take)
        xmpp.add_event_handler("session_resumed", self._count)

    def _count(self, _) -> None:
        self.resumed += 1
        self.back.set()

    def _take(self, message) -> None:
        report = self.xmpp.plugin["e2e"].report(message)
        if report is None or not report.authenticated or not report.encrypted:
            self.unproven += 1
        self.received.append(int(message["body"].partition(" ")[0]))
        if len(self.received) == MESSAGES:
            self.all_received.set()

    async def speak(self, to: str) -> None:
        for number in range(MESSAGES):
            self.xmpp.send_message(to, f"{number} {SECRET}", mtype="chat")
            if number % 10 == 9:
                await asyncio.sleep(0.06)  # Prosody keeps up with that on a busy machine


async def test_a_thousand_messages_each_way_survive_two_dozen_cuts(server, tmp_path):
    pki = make_pki(tmp_path)
    async with AsyncExitStack() as stack:
        talkers = []
        for name, other in (("romeo", "juliet"), ("juliet", "romeo")):
            proxy = await stack.enter_async_context(RecordingProxy(server.port))
            client = new_client(f"{name}@localhost/{name}", plugins=["xep_0198"])
            failures = protect(client, pki.options(name, peer_certificates=introduce(pki, other)))
            stack.push_async_callback(close, client)
            await connect(client, proxy.port, reconnect=True)
            client.send_presence()
            await round_trip(client)
            talkers.append(Talker(client, proxy, failures))
        romeo, juliet = talkers
        async with asyncio.timeout(90):
            await asyncio.gather(
                romeo.speak("juliet@localhost/juliet"),
                juliet.speak("romeo@localhost/romeo"),
                _cut(talkers, gently=isinstance(server, ThrowAwayProsody)),
            )
            await asyncio.gather(romeo.all_received.wait(), juliet.all_received.wait())
        await asyncio.sleep(0.2)  # what came twice would come now
        for talker in talkers:
            assert talker.received == list(range(MESSAGES))
            assert talker.unproven == 0
            assert talker.failures.received == []
            assert talker.failures.sent == []
            assert SECRET.encode() not in talker.proxy.recorded_from_clients
            assert SECRET.encode() not in talker.proxy.recorded_to_clients
        assert romeo.resumed + juliet.resumed >= 20
        for talker in talkers:
            assert talker.xmpp.plugin["e2e"].stats()["sealed"] >= MESSAGES


async def _cut(talkers: list[Talker], *, gently: bool) -> None:
    for number in range(CUTS):
        await asyncio.sleep(0.2)
        talker = talkers[number % 2]
        if number % 3 == 0:  # some of it is lost in flight
            talker.proxy.swallow("to_clients" if gently or number % 2 else "from_clients")
            await asyncio.sleep(0.01)
        talker.back.clear()
        if gently:
            talker.proxy.cut_between_stanzas()
        else:
            talker.proxy.cut()
        await talker.back.wait()
