"""When somebody is looked up, when he is asked, and what happens to what waits: without a server."""

import asyncio
from collections import Counter
from collections.abc import Iterable

import pytest
from slixmpp import JID

from slixmpp_e2e import ConfigurationError
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.plugin.certificate_search import CertificateSearch
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.plugin.parking import Parking
from slixmpp_e2e.plugin.stanzas import Stanza, to_of
from slixmpp_e2e.protection import Protection
from tests.accounts import Clock, account
from tests.pki import PKI, Entity
from tests.server.clients import new_client
from tests.server.protected import make_pki, protect

JULIET = JID("juliet@example.com/balcony")


class Shelf:
    """A resolver that has what was put there."""

    def __init__(self, *certificates: bytes) -> None:
        self.asked: list[str] = []
        self.certificates = certificates

    async def find(self, jid: JID) -> Iterable[bytes]:
        self.asked.append(jid.full)
        return self.certificates


class Room:
    """A search by romeo, and all that it needs."""

    def __init__(self, protection: Protection, *shelves: Shelf, asks: bool = True) -> None:
        self.protection, self.asks = protection, asks
        self.time = 0.0
        self.asked: list[str] = []
        self.sent: list[Stanza] = []
        self.failed: list[Stanza] = []
        self.xmpp = new_client("romeo@example.net/orchard")
        self.xmpp._always_send_everything = True  # as if there were a stream
        self.xmpp.send = self.sent.append
        self.parking = Parking(
            self.xmpp,
            lambda stanza: not protection.can_encrypt_to(stanza["to"]),
            lambda stanza, _: self.failed.append(stanza),
            60,
        )
        self.search = CertificateSearch(
            self.xmpp,
            Opening(protection),
            shelves,
            self.ask,
            self.parking,
            Counter(),
            lambda: self.time,
            0.05,
        )
        self.parking.look_for = self.search.find

    def ask(self, jid: JID) -> bool:
        self.asked.append(jid.full)
        return self.asks

    def send(self, to: JID = JULIET) -> bool:
        return self.parking.take(self.xmpp.make_message(to, "x"))

    async def settle(self) -> None:
        await asyncio.gather(*self.search._tasks.values())


@pytest.fixture
def romeo_alone(pki: PKI, romeo: Entity) -> Protection:
    return account(pki, romeo, Clock())


@pytest.fixture
def hers(pki: PKI, juliet: Entity) -> list[bytes]:
    return [juliet.parsed.der, pki.intermediate.parsed.der]


async def test_what_is_found_lets_go_what_waits(romeo_alone, hers):
    room = Room(romeo_alone, shelf := Shelf(*hers))
    assert room.send()
    assert room.send()
    await room.settle()
    assert (len(room.sent), room.failed, room.asked) == (2, [], [])
    assert shelf.asked == [JULIET.full]
    room.parking.close()


async def test_without_patience_it_fails_at_once_and_the_next_one_can_leave(romeo_alone, hers):
    room = Room(romeo_alone, Shelf(*hers))
    room.parking.patience = 0
    assert not room.send()
    assert not romeo_alone.can_encrypt_to(JULIET)
    await room.settle()
    assert romeo_alone.can_encrypt_to(JULIET)


async def test_who_is_nowhere_is_asked_and_everything_waits_on(romeo_alone):
    room = Room(romeo_alone, Shelf(), Shelf(b"nonsense"))
    assert room.send()
    await room.settle()
    assert (room.sent, room.failed, room.asked) == ([], [], [JULIET.full])
    assert len(room.parking) == 1
    room.parking.close()


async def test_if_he_is_not_asked_what_waits_fails(romeo_alone):
    room = Room(romeo_alone, Shelf(), asks=False)
    assert room.send()
    await room.settle()
    assert (room.sent, len(room.failed), len(room.parking)) == ([], 1, 0)
    assert not room.send()  # and the next one at once


async def test_a_peer_is_looked_up_once_in_ten_minutes(romeo_alone):
    room = Room(romeo_alone, shelf := Shelf(), asks=False)
    for seconds, times in [(0, 1), (599, 1), (601, 2)]:
        room.time = seconds
        room.send()
        await room.settle()
        assert len(shelf.asked) == times


async def test_all_resources_are_one_peer(romeo_alone):
    room = Room(romeo_alone, shelf := Shelf())
    assert room.search.find(JULIET)
    assert room.search.find(JID("juliet@example.com"))
    await room.settle()
    room.search.find(JID("JULIET@example.com/chamber"))
    assert len(shelf.asked) == 1


async def test_our_own_account_is_not_looked_up(romeo_alone):
    room = Room(romeo_alone, shelf := Shelf())
    room.search.find(JID("romeo@example.net/other"))
    await room.settle()
    assert shelf.asked == []


async def test_a_hundred_are_looked_up_at_once_and_the_others_asked(romeo_alone):
    room = Room(romeo_alone, shelf := Shelf())
    for number in range(120):
        assert room.search.find(JID(f"peer{number}@example.com"))
    assert len(room.asked) == 20
    room.asked.clear()
    await room.settle()
    assert (len(shelf.asked), len(room.asked)) == (100, 100)
    assert room.search._tasks == {}


async def test_certificates_of_others_are_not_learned(pki, romeo, romeo_alone):
    room = Room(romeo_alone, Shelf(romeo.parsed.der, pki.intermediate.parsed.der, pki.root.parsed.der))
    room.send()
    await room.settle()
    assert room.asked == [JULIET.full]
    assert list(romeo_alone.store.all_certificates()) == []
    room.parking.close()


class Raising(Shelf):
    """A resolver that fails, in one way or another."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error

    async def find(self, jid: JID) -> Iterable[bytes]:
        await super().find(jid)
        if self.error is not None:
            raise self.error
        return [None, 1, "text"]  # type: ignore[list-item]


@pytest.mark.parametrize(
    "error", [RuntimeError(), TimeoutError(), ValueError("\ud800"), StoreError("x"), None]
)
async def test_a_resolver_that_fails_counts_as_one_that_has_nothing(romeo_alone, hers, error):
    room = Room(romeo_alone, Raising(error), Shelf(*hers))
    assert room.send()
    await room.settle()
    assert (len(room.sent), room.failed) == (1, [])


async def test_one_that_hangs_is_left_after_its_time(romeo_alone, hers):
    class Hanging(Shelf):
        async def find(self, jid: JID) -> Iterable[bytes]:
            await asyncio.Event().wait()
            return ()

    room = Room(romeo_alone, Hanging(), Shelf(*hers))
    assert room.send()
    await room.settle()
    assert len(room.sent) == 1


async def test_a_store_that_fails_is_no_end(romeo_alone, hers, monkeypatch):
    def full(*_: object) -> bool:
        raise StoreError("full")

    room = Room(romeo_alone, Shelf(*hers))
    monkeypatch.setattr(romeo_alone.store, "add_certificate", full)
    assert room.send()
    await room.settle()
    assert (room.failed, room.asked) == ([], [JULIET.full])
    room.parking.close()


async def test_what_asking_raises_fails_what_waits(romeo_alone):
    room = Room(romeo_alone, Shelf())

    def broken(_: JID) -> bool:
        raise RuntimeError

    room.search.request = broken
    assert room.send()
    await room.settle()
    assert len(room.failed) == 1


@pytest.mark.parametrize("wrong", ["ldap", ["ldap"], [None], [Shelf], object()])
async def test_an_option_that_names_no_resolver_is_an_error(tmp_path, wrong):
    options = make_pki(tmp_path).options("romeo", resolvers=wrong)
    with pytest.raises(ConfigurationError, match="resolvers"):
        protect(new_client("romeo@localhost/r"), options)


class Careless:
    """A resolver that changes the JID that it is given."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def find(self, jid: JID) -> Iterable[bytes]:
        self.asked.append(jid.full)
        jid.full = "mercutio@example.org/elsewhere"
        return []


async def test_a_resolver_that_changes_its_jid_changes_nobody_elses(romeo_alone):
    first, second = Careless(), Careless()
    room = Room(romeo_alone, first, second)
    assert room.send()
    await room.settle()
    assert first.asked == second.asked == room.asked == [JULIET.full]
    assert to_of(room.xmpp.make_message(JULIET, "x")) == JULIET
