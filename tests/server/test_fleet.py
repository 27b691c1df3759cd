"""Two clients of an account share a store in PostgreSQL: each message is accepted by exactly one of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
import slixmpp

from slixmpp_e2e import Trust
from slixmpp_e2e.stores.postgresql import PostgreSQLStore
from tests.stores.postgresql import Server

from .clients import Clients
from .protected import PKI, Failures, introduce, make_pki, protect

pytestmark = [
    pytest.mark.server,
    pytest.mark.postgresql,
    pytest.mark.parametrize("server", ["prosody"], indirect=True),
]
_SCHEMAS = count()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@dataclass
class Member:
    """A client, and what it saw."""

    xmpp: Any
    failures: Failures
    bodies: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.xmpp.add_event_handler("message", lambda message: self.bodies.append(message["body"]))

    @property
    def plugin(self) -> Any:
        return self.xmpp.plugin["e2e"]

    @property
    def seen(self) -> int:
        """How many it got, one way or the other."""
        return len(self.bodies) + len(self.failures.received)


@dataclass
class Fleet:
    """juliet's two, and romeo who writes to them."""

    clients: Clients
    pki: PKI
    romeo: Member
    members: list[Member]
    database: Server
    stores: list[PostgreSQLStore]

    def write(self, body: str) -> None:
        self.romeo.xmpp.send_message("juliet@localhost", body, mtype="chat")

    async def got(self, number: int) -> None:
        """Wait until both have got so many."""
        await until(lambda: all(each.seen == number for each in self.members))

    @property
    def accepted(self) -> list[str]:
        return [body for member in self.members for body in member.bodies]

    @property
    def reasons(self) -> set[str]:
        return {reason for member in self.members for reason in member.failures.reasons}


async def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 nobody could set an event
            await asyncio.sleep(0.02)


@pytest.fixture
async def fleet(server, clients, pki, database, request) -> AsyncIterator[Fleet]:
    """`request.param`: options of juliet's clients beyond those of everybody."""
    schema = f"fleet_{next(_SCHEMAS)}"
    stores, members = [], []
    for resource in "ab":
        stores.append(PostgreSQLStore(database.url(), schema=schema, seconds=2))
        xmpp = await clients.log_in(f"juliet@localhost/{resource}", plugins=["xep_0198"], available=False)
        options = pki.options("juliet", store=stores[-1], **getattr(request, "param", {}))
        members.append(Member(xmpp, protect(xmpp, options)))
        xmpp.send_presence()
    xmpp = await clients.log_in("romeo@localhost/r", plugins=["xep_0198"])
    romeo = Member(xmpp, protect(xmpp, pki.options("romeo", peer_certificates=introduce(pki, "juliet"))))
    yield Fleet(clients, pki, romeo, members, database, stores)
    for member in members:
        plugin = member.plugin
        member.xmpp.plugin.disable("e2e")
        await plugin._closing


async def test_each_message_is_accepted_by_exactly_one(fleet):
    for number in range(200):
        fleet.write(str(number))
        if number % 20 == 19:
            await asyncio.sleep(0.01)
    await fleet.got(200)
    assert sorted(fleet.accepted, key=int) == [str(number) for number in range(200)]
    # the first stanza alone brings the certificate, which whoever takes it has to keep before the other one knows it
    assert {"seen"} <= fleet.reasons <= {"seen", "unknown-signer"}
    assert not fleet.romeo.failures.sent
    for member in fleet.members:
        assert member.bodies == sorted(member.bodies, key=int)  # in order, as far as it got them


TOFU = pytest.mark.parametrize("fleet", [{"trust": "tofu", "trust_anchors": None}], indirect=True)


@TOFU
async def test_of_a_first_use_one_is_the_first_and_both_believe_it(fleet):
    for number in range(20):
        fleet.write(str(number))
    await fleet.got(20)
    # who comes second refuses: the first stanza alone brings the certificate, which the other one has to keep first
    assert len(set(fleet.accepted)) == len(fleet.accepted)
    assert fleet.reasons <= {"seen", "store", "unknown-signer"}
    assert len(fleet.accepted) >= 19
    (decision,) = {tuple((await store.load("romeo@localhost")).decisions.items()) for store in fleet.stores}
    assert [trust for _, trust in decision] == [Trust.TOFU]


@TOFU
async def test_a_decision_of_one_counts_for_the_other_within_two_seconds(fleet):
    fleet.write("0")
    await fleet.got(1)
    one, other = fleet.members
    known = await fleet.stores[0].load("romeo@localhost")
    (fingerprint,) = known.decisions
    await one.plugin.decide("romeo@localhost", fingerprint, "distrusted")
    decided = time.monotonic()
    romeo_writes = count(1)
    while "distrusted" not in other.failures.reasons:
        assert time.monotonic() - decided < 2.5
        fleet.write(str(next(romeo_writes)))
        await asyncio.sleep(0.1)
    sent = next(romeo_writes) - 1
    await until(lambda: all(each.seen == sent + 1 for each in fleet.members))
    assert "distrusted" in one.failures.reasons
    accepted = len(fleet.accepted)
    fleet.write("last")
    await until(lambda: all(each.seen == sent + 2 for each in fleet.members))
    assert len(fleet.accepted) == accepted


@pytest.mark.parametrize("fleet", [{"policy": {"*": "required"}}], indirect=True)
async def test_when_the_database_goes_nothing_is_shown_and_it_goes_on_when_it_is_back(fleet):
    fleet.write("0")
    await fleet.got(1)
    (one,) = (each for each in fleet.members if each.bodies)  # who has his certificate
    heard: list[str] = []
    fleet.romeo.xmpp.add_event_handler("message", lambda message: heard.append(message["body"]))
    one.xmpp.send_message("romeo@localhost/r", "before", mtype="chat")
    await until(lambda: heard == ["before"])

    fleet.database.stop("immediate")
    for number in range(1, 6):
        fleet.write(str(number))
    await fleet.got(6)
    assert fleet.accepted == ["0"]
    assert all(reason in {"store", "seen", "unknown-signer"} for reason in fleet.reasons)
    await asyncio.sleep(2.1)  # nothing is known any more
    one.xmpp.send_message("romeo@localhost/r", "while it is away", mtype="chat")
    await until(lambda: one.failures.sent)
    assert [each.error.code for each in one.failures.sent] == ["store"]
    assert isinstance(one.failures.sent[0].stanza, slixmpp.Message)

    fleet.database.start()
    fleet.write("6")
    one.xmpp.send_message("romeo@localhost/r", "after", mtype="chat")
    await fleet.got(7)
    await until(lambda: "after" in heard)
    assert sorted(fleet.accepted) == ["0", "6"]
    assert heard == ["before", "after"]
    for member in fleet.members:
        assert member.plugin.stats()["waiting"] == member.plugin.stats()["parked"] == 0
        assert "internal_errors" not in member.plugin.stats()
