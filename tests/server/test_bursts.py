"""More at once than fits into a moment: the event loop gets its turn, and nothing is lost by that."""

import asyncio
from itertools import count

import pytest
from slixmpp import Message

from slixmpp_e2e.cli.loopback import LoopbackServer

from .clients import ACCOUNTS, Inbox, close, connect, new_client, round_trip
from .protected import PKI, Failures, introduce, make_pki, protect

BURST = 300
JULIET = "juliet@localhost/juliet"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def server():
    async with LoopbackServer(ACCOUNTS) as running:
        yield running


@pytest.fixture
async def people(server, pki):
    """romeo, who comes back when his connection is lost, and juliet; what went wrong."""
    clients, failures = [], []
    for name, other in (("romeo", "juliet"), ("juliet", "romeo")):
        xmpp = new_client(f"{name}@localhost/{name}")
        failures.append(protect(xmpp, pki.options(name, peer_certificates=introduce(pki, other))))
        await connect(xmpp, server.port, reconnect=name == "romeo")
        xmpp.send_presence()
        await round_trip(xmpp)
        clients.append(xmpp)
    yield *clients, failures
    await close(*clients)


class Rounds:
    """Counts the rounds of the event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.count += 1

    def stop(self) -> int:
        self._task.cancel()
        return self.count


def bodies(messages: list[Message]) -> list[int]:
    return [int(message["body"]) for message in messages]


def check_unhurt(failures: list[Failures]) -> None:
    for each in failures:
        assert not each.sent
        assert not each.received


async def test_the_loop_turns_while_a_burst_is_sealed(people):
    romeo, juliet, failures = people
    inbox, left = Inbox(juliet), []
    rounds = Rounds()
    romeo.add_filter("out_sce", lambda stanza: left.append(rounds.count) or stanza)
    for number in range(BURST):
        romeo.send_message(JULIET, str(number), mtype="chat")
    assert bodies(await inbox.take(BURST, seconds=60)) == list(range(BURST))
    rounds.stop()
    assert left[-1] - left[0] >= 4  # 300 take more than five times LONGEST on any machine
    check_unhurt(failures)


async def test_the_loop_turns_while_a_burst_is_opened_and_the_order_is_kept(people):
    romeo, juliet, failures = people
    seen: list[tuple[int, int]] = []
    rounds = Rounds()
    juliet.add_event_handler("message", lambda message: seen.append((int(message["body"]), rounds.count)))
    held: list[bytes] = []
    receive = juliet.data_received
    juliet.data_received = held.append  # all of it will come in one piece
    for number in range(BURST):
        romeo.send_message(JULIET, str(number), mtype="chat")
    async with asyncio.timeout(60):
        while b"".join(held).count(b"</message>") < BURST:  # noqa: ASYNC110 nobody could set an event
            await asyncio.sleep(0.02)
    juliet.data_received = receive
    receive(b"".join(held))
    assert 0 < len(seen) < BURST
    assert juliet.plugin["e2e"].stats()["waiting"] == BURST - len(seen)
    async with asyncio.timeout(60):
        while len(seen) < BURST:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    rounds.stop()
    assert [number for number, _ in seen] == list(range(BURST))
    assert seen[-1][1] - seen[0][1] >= 4
    assert juliet.plugin["e2e"].stats()["waiting"] == 0
    check_unhurt(failures)


async def test_strangers_with_many_addresses_do_not_stop_what_is_sent(people):
    romeo, juliet, _ = people
    plugin, inbox = juliet.plugin["e2e"], Inbox(romeo)
    instants = count()
    plugin._arrivals.turns.now = lambda: next(instants)  # whoever asks has waited too long
    waiting: list[int] = []

    def leave(stanza):
        if isinstance(stanza, Message):
            waiting.append(plugin.stats()["waiting"])
        return stanza

    juliet.add_filter("out_sce", leave)
    for number in range(40):
        juliet.send_message("romeo@localhost/romeo", str(number), mtype="chat")
    garbage = "<e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'>AAAA</e2e>"
    strangers = [f"stranger{number}@evil.example/x" for number in range(60)]
    juliet.data_received(
        "".join(
            f"<iq type='get' id='{number}{each[:10]}' from='{each}' to='{JULIET}'>{garbage}</iq>"
            for number in range(5)
            for each in strangers
        ).encode()
    )
    assert plugin.stats()["waiting"] > 290
    assert bodies(await inbox.take(40, seconds=60)) == list(range(40))
    assert waiting[-1] > 150  # 40 have left while 80 or so of the strangers' were looked at
    async with asyncio.timeout(60):
        while plugin.stats()["waiting"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await round_trip(juliet)
    assert juliet.waiting_queue.empty()


def send_burst_and_break(romeo) -> list[int]:
    """Send many messages, and let the connection end when 20 have left; return the numbers of those that leave."""
    left: list[int] = []

    def leave(stanza):
        if isinstance(stanza, Message):
            left.append(len(left))
            if len(left) == 20:
                romeo.abort()
        return stanza

    romeo.add_filter("out_sce", leave)
    for number in range(BURST):
        romeo.send_message(JULIET, str(number), mtype="chat")
    return left


async def test_what_is_queued_when_a_session_ends_in_a_pause_leaves_with_the_next_one(people):
    romeo, juliet, failures = people
    inbox = Inbox(juliet)
    left = send_burst_and_break(romeo)
    async with asyncio.timeout(60):
        while len(left) < BURST:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    got = []
    await round_trip(romeo)
    while not inbox.empty:
        got += bodies([await inbox.next()])
    await round_trip(juliet)
    while not inbox.empty:
        got += bodies([await inbox.next()])
    # without stream management, what was on its way when the connection ended may be lost; what had not left is not
    assert got == sorted(set(got))
    assert set(got) >= set(range(60, BURST))
    assert romeo.plugin["e2e"].stats()["parked"] == 0
    assert not any(each.received for each in failures)


async def test_an_address_that_cannot_be_compared_does_not_keep_the_connection_from_ending(people):
    romeo, juliet, failures = people
    inbox = Inbox(juliet)
    left = send_burst_and_break(romeo)
    romeo.send_message("bob@a!b.example", "x")
    romeo.send_message(JULIET, str(BURST), mtype="chat")
    assert bodies(await inbox.take(1, seconds=60)) == [0]
    async with asyncio.timeout(60):
        while len(left) <= BURST:  # noqa: ASYNC110 he has come back: the rest leaves
            await asyncio.sleep(0.02)
    assert [failure.stanza["to"].bare for failure in failures[0].sent] == ["bob@a!b.example"]
    assert romeo.plugin["e2e"].stats()["parked"] == 0


async def test_disconnecting_waits_for_what_is_queued(people):
    romeo, juliet, failures = people
    inbox = Inbox(juliet)
    for number in range(BURST):
        romeo.send_message(JULIET, str(number), mtype="chat")
    await romeo.disconnect(wait=30)
    assert bodies(await inbox.take(BURST, seconds=60)) == list(range(BURST))
    check_unhurt(failures)


async def test_after_the_plugin_is_gone_the_queue_is_slixmpps_own(people):
    romeo, _, _ = people
    assert "get" in vars(romeo.waiting_queue)
    romeo.plugin.disable("e2e")
    await asyncio.sleep(0)
    assert not {"get", "get_nowait"} & vars(romeo.waiting_queue).keys()
    await round_trip(romeo)
