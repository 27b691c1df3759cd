"""What waits for a stream, a store or a certificate; each turn lets the oldest go."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slixmpp import JID

from slixmpp_e2e.errors import NoCertificateError, StoreError
from slixmpp_e2e.plugin import parking as parkings
from slixmpp_e2e.plugin.parking import Parking
from slixmpp_e2e.plugin.stanzas import Turn
from slixmpp_e2e.waiting import NotYet
from tests.server.clients import new_client

JULIET = JID("juliet@example.com/balcony")


class Place:
    """A parking, with a store that may have to be waited for and certificates that may be missing."""

    def __init__(self, patience: float = 60) -> None:
        self.xmpp = new_client("romeo@example.net/orchard")
        self.xmpp._always_send_everything = True  # as if there were a stream
        self.turns: list[Turn] = []
        self.xmpp.send = self.turns.append
        self.failed: list[tuple[str, str]] = []
        self.looked_for: list[str] = []
        self.lacking = False
        self.is_worth_it = True
        self.store: asyncio.Future[None] | None = None
        self.parking = Parking(self.xmpp, self.lacks, self.fail, patience)
        self.parking.look_for = self.look_for

    def look_for(self, jid: JID) -> bool:
        self.looked_for.append(jid.bare)
        return self.is_worth_it

    def lacks(self, stanza: Any) -> bool:
        if stanza["body"].startswith("clear"):
            return False
        if self.store is not None:
            raise NotYet(self.wait)
        return self.lacking

    async def wait(self) -> None:
        assert self.store is not None
        await self.store
        self.store = None

    def fail(self, stanza: Any, error: Exception) -> None:
        self.failed.append((stanza["body"], getattr(error, "code", type(error).__name__)))

    def send(self, body: str, to: JID = JULIET) -> bool:
        return self.parking.take(self.xmpp.make_message(to, body))

    def hold(self, body: str, to: JID | None = JULIET) -> None:
        message = self.xmpp.make_message(to or "", body)
        if to is None:
            del message["to"]
        self.parking.hold(message)

    def left(self) -> list[str]:
        """Let all turns come by; return what left."""
        stanzas = []
        while self.turns:
            if (stanza := self.parking.next(self.turns.pop(0).jid)) is not None:
                stanzas.append(stanza["body"])
        return stanzas


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    yield made
    made.parking.close()


async def rounds() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class TestHold:
    async def test_what_is_held_leaves_in_order_when_there_is_a_stream(self, place):
        for body in ("1", "2"):
            place.hold(body)
        assert place.send("3")  # the stream is there, its turn is not
        assert place.left() == ["1"]
        place.parking.resume()
        assert place.left() == ["2", "3"]
        assert len(place.parking) == 0
        assert not place.send("4")

    async def test_turns_that_got_lost_are_no_matter_and_neither_are_too_many(self, place):
        place.hold("1")
        place.hold("2")
        place.parking.resume()
        place.turns.clear()  # slixmpp emptied its queue
        place.parking.resume()
        place.parking.resume()
        assert place.left() == ["1", "2"]

    async def test_what_goes_to_nobody_in_particular_keeps_its_order_too(self, place):
        place.lacking = True
        place.hold("1", None)
        place.hold("2", None)
        place.parking.resume()
        assert place.left() == ["1", "2"]
        assert place.looked_for == []

    async def test_what_was_held_is_looked_for_when_it_is_its_turn(self, place):
        place.hold("clear 1")
        place.hold("2")
        place.hold("clear 3")
        place.lacking = True
        place.parking.resume()
        assert place.left() == ["clear 1"]
        assert place.looked_for == [JULIET.bare]
        place.lacking = False
        place.parking.release(JULIET)
        assert place.left() == ["2", "clear 3"]

    async def test_when_it_closes_all_of_it_is_reported(self, place):
        place.hold("1")
        place.store = asyncio.get_running_loop().create_future()
        place.send("2", JID("mercutio@example.com"))
        place.parking.close()
        await rounds()
        assert place.failed == [("1", "unprotectable"), ("2", "unprotectable")]
        assert len(place.parking) == 0


class TestStore:
    async def test_what_needs_nobody_does_not_ask(self, place):
        place.store = asyncio.get_running_loop().create_future()
        assert not place.send("clear")

    async def test_all_wait_for_its_answer_and_leave_in_order(self, place):
        place.store = asyncio.get_running_loop().create_future()
        for body in ("1", "clear 2", "3"):
            assert place.send(body)
        await rounds()
        assert place.turns == []
        place.store.set_result(None)
        await rounds()
        assert place.left() == ["1", "clear 2", "3"]

    async def test_a_burst_is_not_limited_as_for_a_certificate(self, place):
        place.store = asyncio.get_running_loop().create_future()
        for number in range(300):
            assert place.send(str(number))
        await rounds()
        place.store.set_result(None)
        await rounds()
        assert place.left() == [str(number) for number in range(300)]

    async def test_there_is_a_limit_all_the_same(self, place, monkeypatch):
        monkeypatch.setattr(parkings, "_FOR_STORE", 2)
        place.store = asyncio.get_running_loop().create_future()
        place.send("1")
        place.send("2")
        with pytest.raises(StoreError):
            place.send("3")

    async def test_if_it_fails_what_needs_it_fails_and_the_rest_leaves(self, place):
        place.store = asyncio.get_running_loop().create_future()
        for body in ("1", "clear 2", "3"):
            place.send(body)
        await rounds()
        place.store.set_exception(StoreError("away"))
        await rounds()
        assert place.failed == [("1", "store"), ("3", "store")]
        assert place.left() == ["clear 2"]
        assert len(place.parking) == 0

    async def test_then_a_certificate_may_be_missing(self, place):
        place.store, place.lacking = asyncio.get_running_loop().create_future(), True
        place.send("1")
        await rounds()
        place.store.set_result(None)
        await rounds()
        assert place.left() == []
        assert place.looked_for == [JULIET.bare]
        place.parking.give_up(JULIET)
        assert place.failed == [("1", "no-certificate")]

    async def test_a_release_meanwhile_lets_nothing_go(self, place):
        place.store = asyncio.get_running_loop().create_future()
        place.send("1")
        place.parking.release(JULIET)
        assert place.left() == []
        place.parking.give_up(JULIET)
        assert place.failed == []


class TestCertificate:
    async def test_the_time_is_up_for_what_lacks_it(self):
        place = Place(patience=0.01)
        place.lacking = True
        for body in ("1", "clear 2", "3"):
            place.send(body)
        await asyncio.sleep(0.05)
        assert place.left() == ["clear 2"]
        assert place.failed == [("1", "no-certificate"), ("3", "no-certificate")]
        assert len(place.parking) == 0

    async def test_being_released_for_nothing_does_not_make_the_time_longer(self):
        place = Place(patience=0.05)
        place.lacking = True
        place.send("1")
        for _ in range(10):
            await asyncio.sleep(0.01)
            place.parking.release(JULIET)
            assert place.left() == []
        await asyncio.sleep(0)
        assert place.failed == [("1", "no-certificate")]

    async def test_where_it_is_not_worth_it_it_goes_to_fail_where_it_is_protected(self, place):
        place.lacking, place.is_worth_it = True, False
        assert not place.send("1")

    async def test_there_is_a_limit_for_a_peer_and_for_all(self, place, monkeypatch):
        monkeypatch.setattr(parkings, "_PER_PEER", 2)
        monkeypatch.setattr(parkings, "_ALTOGETHER", 3)
        place.lacking = True
        mercutio = JID("mercutio@example.com")
        for to, body in ((JULIET, "1"), (JULIET, "2"), (mercutio, "3")):
            assert place.send(body, to)
        for to in (JULIET, mercutio):
            with pytest.raises(NoCertificateError):
                place.send("4", to)

    async def test_what_can_not_be_judged_fails_alone(self, place):
        place.hold("1")
        place.hold("clear 2")
        place.parking.resume()
        place.store = asyncio.get_running_loop().create_future()
        lacks = place.lacks

        def broken(stanza: Any) -> bool:
            if stanza["body"] == "1":
                raise ZeroDivisionError
            return lacks(stanza)

        place.parking.lacks_certificate = broken
        assert place.left() == ["clear 2"]
        assert place.failed == [("1", "ZeroDivisionError")]
