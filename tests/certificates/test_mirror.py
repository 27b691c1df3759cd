"""What is known here of a shared store: for how long, and in which order it is kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from slixmpp_e2e.certificates.mirror import FRESH, Mirror
from slixmpp_e2e.certificates.store import fingerprint_of
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.report import Trust
from slixmpp_e2e.waiting import NotYet, patiently
from tests.patience import WaitedFor
from tests.pki import Entity

JULIET = "juliet@example.com"
ONE, OTHER = b"1" * 32, b"2" * 32


class Held(WaitedFor):
    """A store whose answers to some calls come when a test lets them; what they say is what was there before."""

    def __init__(self) -> None:
        super().__init__(longest=0)
        self.holding: set[str] = set()
        self.held: list[tuple[str, asyncio.Future[None]]] = []

    async def _hold(self, call: str) -> None:
        if call in self.holding:
            gate = asyncio.get_running_loop().create_future()
            self.held.append((call, gate))
            await gate

    async def load(self, jid: str) -> Any:
        known = await super().load(jid)
        await self._hold("load")
        return known

    async def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        await self._hold("decide")
        await super().decide(jid, fingerprint, trust)

    def let_go(self, place: int = 0) -> None:
        self.held.pop(place)[1].set_result(None)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared() -> Held:
    return Held()


@pytest.fixture
def mirror(shared: Held, clock: Clock) -> Mirror:
    return Mirror(shared, clock, asyncio.Lock)


def begin(awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
    return asyncio.ensure_future(awaitable)


async def rounds() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class TestReading:
    async def test_it_is_asked_and_then_known_for_two_seconds(self, mirror, shared, clock):
        with pytest.raises(NotYet):
            mirror.decisions(JULIET)
        assert await patiently(lambda: mirror.decisions(JULIET)) == {}
        shared.store.decide(JULIET, ONE, Trust.DISTRUSTED)
        clock.now += FRESH - 0.01
        assert mirror.decisions(JULIET) == {}
        clock.now += 0.01
        for ask in (mirror.decisions, mirror.certificates, mirror.announcements):
            with pytest.raises(NotYet):
                ask(JULIET)
        assert await patiently(lambda: mirror.decisions(JULIET)) == {ONE: Trust.DISTRUSTED}

    async def test_while_it_is_away_nothing_old_is_said(self, mirror, shared, clock):
        await mirror.fetch(JULIET)
        clock.now += FRESH
        shared.reachable = False
        with pytest.raises(StoreError):
            await patiently(lambda: mirror.decisions(JULIET))

    async def test_a_step_that_follows_may_go_on_with_what_was_known(self, mirror, clock):
        await mirror.fetch(JULIET)
        clock.now += 100
        with mirror.settling():
            assert mirror.decisions(JULIET) == {}
            with pytest.raises(StoreError):
                mirror.decisions("romeo@example.net")
        with pytest.raises(NotYet):
            mirror.decisions(JULIET)

    async def test_who_asked_later_is_right(self, mirror, shared):
        shared.holding = {"load"}
        first = begin(mirror.fetch(JULIET))
        await rounds()
        shared.store.decide(JULIET, ONE, Trust.DISTRUSTED)
        second = begin(mirror.fetch(JULIET))
        await rounds()
        shared.let_go(1)
        await second
        shared.let_go()
        await first
        assert mirror.decisions(JULIET) == {ONE: Trust.DISTRUSTED}

    async def test_another_process_change_is_told_and_ours_is_not(self, mirror, shared, clock):
        heard: list[str] = []
        mirror.changed = heard.append
        await mirror.fetch(JULIET)
        mirror.decide(JULIET, ONE, Trust.PINNED)
        await mirror.fetch(JULIET)
        await mirror.keep(JULIET)
        await mirror.fetch(JULIET)
        assert heard == []
        shared.store.decide(JULIET, OTHER, Trust.DISTRUSTED)
        await mirror.fetch(JULIET)
        assert heard == [JULIET]

    async def test_it_is_bounded(self, mirror):
        for number in range(5000):
            await mirror.fetch(f"{number}@example.com")
            with pytest.raises(NotYet):
                mirror.find_certificates(b"%d" % number)
            await mirror._find(b"%d" % number)
        assert len(mirror) == 2 * 4096

    async def test_a_certificate_that_was_not_there_is_found_when_it_is_kept(self, mirror, juliet: Entity):
        identifier = juliet.parsed.issuer_and_serial
        assert await patiently(lambda: mirror.find_certificates(identifier)) == ()
        await mirror.fetch(JULIET)
        assert mirror.add_certificate(JULIET, (juliet.parsed.der,))
        assert not mirror.add_certificate(JULIET, (juliet.parsed.der,))
        await mirror.keep(JULIET)
        assert await patiently(lambda: mirror.find_certificates(identifier)) == (juliet.parsed.der,)

    async def test_what_another_process_learns_is_found_soon(self, mirror, shared, clock, juliet: Entity):
        identifier = juliet.parsed.issuer_and_serial
        assert await patiently(lambda: mirror.find_certificates(identifier)) == ()
        shared.store.add_certificate(JULIET, (juliet.parsed.der,))
        clock.now += 0.1
        assert await patiently(lambda: mirror.find_certificates(identifier)) == (juliet.parsed.der,)
        clock.now += 0.1
        assert mirror.find_certificates(identifier) == (juliet.parsed.der,)

    async def test_what_only_the_store_itself_answers(self, mirror):
        for ask in (
            lambda: mirror.admit(JULIET, b"x", 1, 1),
            mirror.all_certificates,
            mirror.all_decisions,
        ):
            with pytest.raises(StoreError, match="has to be waited for"):
                ask()


class TestWriting:
    async def test_it_counts_at_once_and_a_fetch_does_not_undo_it(self, mirror, shared):
        shared.holding = {"load", "decide"}
        fetching = begin(mirror.fetch(JULIET))
        await rounds()
        mirror.decide(JULIET, ONE, Trust.DISTRUSTED)
        shared.let_go()
        await fetching
        assert mirror.decisions(JULIET) == {ONE: Trust.DISTRUSTED}

    async def test_a_fetch_that_began_before_it_was_kept_does_not_undo_it(self, mirror, shared):
        await mirror.fetch(JULIET)
        shared.holding = {"load"}
        fetching = begin(mirror.fetch(JULIET))
        await rounds()
        mirror.decide(JULIET, ONE, Trust.DISTRUSTED)
        await mirror.keep(JULIET)
        shared.let_go()
        await rounds()
        shared.let_go()  # it asked again
        await fetching
        assert mirror.decisions(JULIET) == {ONE: Trust.DISTRUSTED}

    async def test_what_is_decided_last_is_kept_last(self, mirror, shared):
        shared.holding = {"decide"}
        mirror.decide(JULIET, ONE, Trust.VERIFIED)
        first = begin(mirror.keep(JULIET))
        await rounds()
        mirror.decide(JULIET, ONE, Trust.DISTRUSTED)
        second = begin(mirror.keep(JULIET))
        await rounds()
        assert len(shared.held) == 1  # one after the other
        shared.let_go()
        await rounds()
        shared.let_go()
        await asyncio.gather(first, second)
        assert shared.store.decisions(JULIET) == {ONE: Trust.DISTRUSTED}
        assert not mirror._pending

    async def test_what_can_not_be_kept_is_forgotten_and_said_to_everybody_who_decided(self, mirror, shared):
        heard: list[str] = []
        mirror.changed = heard.append
        await mirror.fetch(JULIET)
        shared.holding = {"decide"}
        mirror.decide(JULIET, ONE, Trust.VERIFIED)
        first = begin(mirror.keep(JULIET))
        await rounds()
        mirror.decide(JULIET, OTHER, Trust.VERIFIED)
        second = mirror.keep(JULIET)  # called, and not awaited before all has failed
        shared.reachable = False
        shared.let_go()
        for keeping in (first, second):
            with pytest.raises(StoreError):
                await keeping
        assert heard == [JULIET]
        shared.reachable = True
        assert await patiently(lambda: mirror.decisions(JULIET)) == {}
        await mirror.keep(JULIET)  # nothing is left

    async def test_what_merely_can_be_learned_again_is_no_error(self, mirror, shared, juliet: Entity):
        await mirror.fetch(JULIET)
        mirror.add_certificate(JULIET, (juliet.parsed.der,))
        mirror.announce(JULIET, fingerprint_of(juliet.parsed.der), b"x")
        assert mirror.announcements(JULIET) == {fingerprint_of(juliet.parsed.der): b"x"}
        shared.reachable = False
        await mirror.keep(JULIET)
        shared.reachable = True
        assert await patiently(lambda: mirror.certificates(JULIET)) == ()

    async def test_first_use_loses_against_another_process(self, mirror, shared):
        await mirror.fetch(JULIET)
        assert mirror.decide_first_use(JULIET, ONE)
        mirror.decide_if_undecided(JULIET, OTHER)  # what the first one would rather be encrypted to
        shared.store.decide(JULIET, b"3" * 32, Trust.TOFU)
        with pytest.raises(StoreError, match="another process was first"):
            await mirror.keep(JULIET)
        await mirror.fetch(JULIET)
        assert mirror.decisions(JULIET) == shared.store.decisions(JULIET) == {b"3" * 32: Trust.TOFU}

    async def test_what_the_first_one_names_is_kept_with_it(self, mirror, shared):
        await mirror.fetch(JULIET)
        assert mirror.decide_first_use(JULIET, ONE)
        mirror.decide_if_undecided(JULIET, OTHER)
        assert mirror.decisions(JULIET) == {ONE: Trust.TOFU, OTHER: Trust.TOFU}
        await mirror.keep(JULIET)
        assert shared.store.decisions(JULIET) == {ONE: Trust.TOFU, OTHER: Trust.TOFU}

    @pytest.mark.parametrize("is_known", [True, False])
    async def test_unless_somebody_has_decided_about_it(self, mirror, shared, is_known):
        if is_known:
            shared.store.decide(JULIET, OTHER, Trust.DISTRUSTED)
        await mirror.fetch(JULIET)
        shared.store.decide(JULIET, OTHER, Trust.DISTRUSTED)
        assert mirror.decide_first_use(JULIET, ONE)
        mirror.decide_if_undecided(JULIET, OTHER)
        assert mirror.decisions(JULIET)[OTHER] is (Trust.DISTRUSTED if is_known else Trust.TOFU)
        await mirror.keep(JULIET)
        await mirror.fetch(JULIET)
        decided = {ONE: Trust.TOFU, OTHER: Trust.DISTRUSTED}
        assert mirror.decisions(JULIET) == shared.store.decisions(JULIET) == decided

    async def test_first_use_of_what_is_known_not_to_be_the_first_is_not_even_tried(self, mirror, shared):
        shared.store.decide(JULIET, OTHER, Trust.TOFU)
        await mirror.fetch(JULIET)
        assert not mirror.decide_first_use(JULIET, ONE)
        await mirror.keep(JULIET)
        assert mirror.decisions(JULIET) == shared.store.decisions(JULIET) == {OTHER: Trust.TOFU}

    async def test_first_use_of_what_nothing_is_known_about_is_left_to_the_shared_store(self, mirror, shared):
        assert mirror.decide_first_use(JULIET, ONE)
        assert mirror.decide_first_use(JULIET, OTHER)
        with pytest.raises(StoreError, match="another process was first"):
            await mirror.keep(JULIET)
        assert shared.store.decisions(JULIET) == {ONE: Trust.TOFU}

    async def test_a_decision_is_taken_back(self, mirror, shared):
        shared.store.decide(JULIET, ONE, Trust.PINNED)
        await mirror.fetch(JULIET)
        mirror.undecide(JULIET, ONE)
        assert mirror.decisions(JULIET) == {}
        await mirror.keep(JULIET)
        assert shared.store.decisions(JULIET) == {}
        with pytest.raises(ValueError, match="can't be decided"):
            mirror.decide(JULIET, ONE, Trust.PKIX)

    async def test_who_is_cancelled_leaves_it_to_the_next(self, mirror, shared):
        shared.holding = {"decide"}
        mirror.decide(JULIET, ONE, Trust.VERIFIED)
        first = begin(mirror.keep(JULIET))
        await rounds()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        shared.holding = set()
        await mirror.keep(JULIET)
        assert shared.store.decisions(JULIET) == {ONE: Trust.VERIFIED}


class TestRevocationLists:
    async def test_they_are_kept_with_the_next_keep_and_fetched_from_the_store(self, mirror, shared):
        mirror.add_revocation_list(b"x", b"y")
        assert mirror.revocation_lists() == ()
        await mirror.keep(JULIET)
        assert list(await mirror.fetch_revocation_lists()) == [b"y"]

    async def test_one_that_can_not_be_kept_is_no_error(self, mirror, shared):
        mirror.add_revocation_list(b"x", b"y")
        shared.reachable = False
        await mirror.keep(JULIET)
        shared.reachable = True
        assert list(await mirror.fetch_revocation_lists()) == []

    async def test_until_then_too_many_of_one_ca_push_out_only_its_own(self, mirror, shared, monkeypatch):
        monkeypatch.setattr("slixmpp_e2e.certificates.mirror.REVOCATION_LISTS", 3)
        mirror.add_revocation_list(b"x" * 32 + b"c" * 16, b"company's")
        for number in range(4):
            mirror.add_revocation_list(b"%032d" % number + b"e" * 16, b"%d" % number)
        await mirror.keep(JULIET)
        assert list(await mirror.fetch_revocation_lists()) == [b"company's", b"2", b"3"]


class TestClosing:
    async def test_what_is_written_is_kept_first_and_nothing_opens_it_again(self, mirror, shared):
        mirror.decide(JULIET, ONE, Trust.VERIFIED)
        await mirror.close_shared()
        assert shared.store.decisions(JULIET) == {ONE: Trust.VERIFIED}
        assert not shared.is_open
        asks: list[Callable[[], Awaitable[Any]]] = [
            lambda: mirror.fetch(JULIET),
            lambda: mirror.take_in(JULIET, b"x", 1, 1),
        ]
        for ask in asks:
            with pytest.raises(StoreError, match="closed"):
                await ask()
        assert not shared.is_open
