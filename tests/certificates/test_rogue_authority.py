"""A CA that we trust for its own people takes nothing from the people of another: no list, no room, no turn."""

from collections.abc import Callable, Sequence
from datetime import datetime

import pytest

from slixmpp_e2e.certificates import revocation, revocation_lists
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.revocation import Evidence, RevocationChecker
from slixmpp_e2e.certificates.revocation_list import RevocationList
from slixmpp_e2e.certificates.revocation_status import Path, RevocationState
from slixmpp_e2e.certificates.store import MemoryStore
from tests.certificates.building import authority, distribution_point, end_entity, revocation_list
from tests.pki import MOMENT, Entity

GOOD, REVOKED, UNKNOWN = RevocationState.GOOD, RevocationState.REVOKED, RevocationState.UNKNOWN


class World:
    """A company with a victim whose certificate was revoked, and a rogue CA below the same root."""

    def __init__(self) -> None:
        self.root = authority("Root")
        self.company = authority("Company", issuer=self.root)
        self.evil = authority("Evil", issuer=self.root)
        self.victim = end_entity(issuer=self.company)
        self.path = self.path_of(self.victim, self.company)
        self.revoking = revocation_list(self.company, self.victim, number=7)

    def path_of(self, leaf: Entity, *above: Entity) -> Path:
        validator = PathValidator([self.root.certificate])
        return validator.validate(leaf.parsed, [each.parsed for each in above], at=MOMENT)

    def mallory(self, *above: Entity) -> Path:
        leaf = end_entity(issuer=above[0], jid="mallory@evil.example")
        return self.path_of(leaf, *above)

    def state(self, checker: RevocationChecker, *hints: bytes) -> RevocationState:
        return checker.check(self.path, at=MOMENT, hints=hints).state


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def namesakes(world) -> tuple[Path, list[bytes]]:
    """A path with four CAs that are called like the company, and a list of each."""
    named = [authority("Company", issuer=world.evil)]
    for _ in range(3):
        named.append(authority("Company", issuer=named[-1]))
    path = world.mallory(*reversed(named), world.evil)
    return path, [revocation_list(each, number=2**100 + place) for place, each in enumerate(named)]


def remembering() -> tuple[RevocationChecker, MemoryStore]:
    """A checker that keeps what it learns."""
    checker, store = RevocationChecker("soft"), MemoryStore(started=0)
    checker.on_learned = store.add_revocation_list
    return checker, store


def restarted(store: MemoryStore) -> RevocationChecker:
    checker = RevocationChecker("soft")
    checker.recall(store.revocation_lists())
    checker.on_learned = store.add_revocation_list
    return checker


class TestAfterARestart:
    @pytest.mark.parametrize("configured_first", [True, False])
    def test_what_came_along_does_not_displace_what_is_configured(self, world, namesakes, configured_first):
        path, lists = namesakes
        checker, store = remembering()
        checker.check(path, at=MOMENT, hints=lists)
        assert len(list(store.revocation_lists())) == 4
        checker = RevocationChecker("soft")
        steps: list[Callable[[], object]] = [
            lambda: checker.lists.add(world.revoking),
            lambda: checker.recall(store.revocation_lists()),
        ]
        for step in steps if configured_first else reversed(steps):
            step()
        assert world.state(checker) is REVOKED
        assert checker.lists.add(revocation_list(world.company, number=8))
        assert (
            world.state(checker) is UNKNOWN
        )  # the victim is good again, and of the company nothing is known
        checker.lists.add(revocation_list(world.root))
        assert world.state(checker) is GOOD

    def test_what_came_along_still_counts(self, world):
        checker, store = remembering()
        assert world.state(checker, world.revoking) is REVOKED
        assert world.state(restarted(store)) is REVOKED

    def test_an_older_list_does_not_take_its_place(self, world):
        checker, store = remembering()
        world.state(checker, world.revoking)
        checker = restarted(store)
        assert world.state(checker, revocation_list(world.company, number=6)) is REVOKED
        assert list(store.revocation_lists()) == [world.revoking]

    def test_a_newer_one_does(self, world):
        checker, store = remembering()
        world.state(checker, world.revoking)
        newer = revocation_list(world.company, number=8)
        assert world.state(restarted(store), newer) is UNKNOWN
        assert list(store.revocation_lists()) == [newer]

    def test_how_many_are_known_again_is_bounded(self, world, monkeypatch):
        monkeypatch.setattr(revocation_lists, "_LEARNED", 2)
        checker = RevocationChecker("soft")
        checker.recall([revocation_list(world.evil, number=number) for number in range(3)])
        assert len(checker.lists) == 2

    def test_what_is_damaged_or_can_t_be_used_is_passed_over(self, world):
        checker = RevocationChecker("soft")
        indirect = revocation_list(world.company, number=9, extensions=[distribution_point(indirect=True)])
        checker.recall([b"nothing", indirect, world.revoking])
        assert world.state(checker) is REVOKED
        assert len(checker.lists) == 1


class TestRoomForWhatCameAlong:
    """Of 256 lists, and of fewer here."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch) -> None:
        monkeypatch.setattr(revocation_lists, "_LEARNED", 4)
        monkeypatch.setattr("slixmpp_e2e.certificates.store.REVOCATION_LISTS", 4)

    def test_lists_for_many_points_push_out_only_others_of_theirs(self, world):
        checker, store = remembering()
        world.state(checker, world.revoking)
        path = world.mallory(world.evil)
        for number in range(8):
            scope = [distribution_point(f"http://evil.example/{number}")]
            checker.check(path, at=MOMENT, hints=[revocation_list(world.evil, extensions=scope)])
        assert world.state(checker) is REVOKED
        assert world.state(restarted(store)) is REVOKED
        assert len(checker.lists) == len(list(store.revocation_lists())) == 4

    def test_lists_of_many_cas_below_one_do_neither(self, world):
        checker, store = remembering()
        world.state(checker, world.revoking)
        for number in range(8):
            below = authority(f"Evil {number}", issuer=world.evil)
            checker.check(world.mallory(below, world.evil), at=MOMENT, hints=[revocation_list(below)])
        assert world.state(checker) is REVOKED
        assert world.state(restarted(store)) is REVOKED

    def test_nor_after_a_restart(self, world):
        checker, store = remembering()
        world.state(checker, world.revoking)
        checker = restarted(store)
        path = world.mallory(world.evil)
        for number in range(8):
            scope = [distribution_point(f"http://evil.example/{number}")]
            checker.check(path, at=MOMENT, hints=[revocation_list(world.evil, extensions=scope)])
        assert world.state(checker) is REVOKED

    def test_what_had_to_go_is_learned_when_it_comes_again(self, world):
        checker, _ = remembering()
        lists = [
            revocation_list(world.company, extensions=[distribution_point(f"http://example.com/{number}")])
            for number in range(4)
        ]
        assert world.state(checker, world.revoking, *lists) is UNKNOWN  # it was the first of five
        assert world.state(checker, world.revoking) is REVOKED

    def test_who_it_is_about_is_asked_anew_when_it_had_to_go(self, world):
        checker, _ = remembering()
        world.state(checker, world.revoking)
        before = checker.generation
        for number in range(4):
            scope = [distribution_point(f"http://example.com/{number}")]
            checker.lists.learn(
                RevocationList.from_der(revocation_list(world.company, extensions=scope)), world.path
            )
        assert checker.generation > before
        assert world.state(checker) is UNKNOWN


class TestRoomForWhatWasFetched:
    """Of 1024 lists and 256 MiB, and of less here."""

    @staticmethod
    def points_of_evil(world: World) -> list[RevocationList]:
        return [
            RevocationList.from_der(
                revocation_list(
                    world.evil,
                    extensions=[distribution_point(f"http://evil.example/{number}")],
                    number=number,
                )
            )
            for number in range(4)
        ]

    async def fetched(self, checker: RevocationChecker, *lists: tuple[RevocationList, Path]) -> list[str]:
        checker.sources = (Found(Evidence(fetched=lists)),)
        return [str(each) for each in await checker.refresh(at=MOMENT)]

    async def test_a_ca_that_fills_it_keeps_no_list_of_another_out(self, world, monkeypatch):
        monkeypatch.setattr(revocation_lists, "_LISTS", 3)
        checker, path = RevocationChecker("soft"), world.mallory(world.evil)
        problems = await self.fetched(checker, *((each, path) for each in self.points_of_evil(world)))
        assert problems == ["too many revocation lists: one of 'CN=Evil' had to go"]
        problems = await self.fetched(checker, (RevocationList.from_der(world.revoking), world.path))
        assert problems == ["too many revocation lists: one of 'CN=Evil' had to go"]
        assert world.state(checker) is REVOKED
        await self.fetched(checker, *((each, path) for each in self.points_of_evil(world)))
        assert world.state(checker) is REVOKED
        assert len(checker.lists) == 3

    async def test_nor_by_their_length(self, world, monkeypatch):
        lists, victims = self.points_of_evil(world), RevocationList.from_der(world.revoking)
        both = victims.octets + sum(each.octets for each in lists)
        monkeypatch.setattr(revocation_lists, "_OCTETS", both - 1)
        checker, path = RevocationChecker("soft"), world.mallory(world.evil)
        assert await self.fetched(checker, *((each, path) for each in lists)) == []
        assert len(await self.fetched(checker, (victims, world.path))) == 1
        assert world.state(checker) is REVOKED

    async def test_it_takes_no_room_of_what_is_configured_nor_its_place(self, world, monkeypatch):
        monkeypatch.setattr(revocation_lists, "_LISTS", 1)
        checker = RevocationChecker("soft")
        checker.lists.add(world.revoking)
        await self.fetched(
            checker, *((each, world.mallory(world.evil)) for each in self.points_of_evil(world))
        )
        assert world.state(checker) is REVOKED
        assert len(checker.lists) == 2

    async def test_the_newer_one_counts_wherever_it_is_from(self, world):
        checker = RevocationChecker("soft")
        checker.lists.add(world.revoking)
        for number, state in ((6, REVOKED), (8, UNKNOWN)):
            newer = RevocationList.from_der(revocation_list(world.company, number=number))
            assert await self.fetched(checker, (newer, world.path)) == []
            assert world.state(checker) is state

    async def test_what_the_path_can_t_vouch_for_is_not_kept(self, world):
        checker = RevocationChecker("soft")
        indirect = revocation_list(world.company, extensions=[distribution_point(indirect=True)])
        for der in (revocation_list(world.evil), indirect):
            problems = await self.fetched(checker, (RevocationList.from_der(der), world.path))
            assert len(problems) == 1
        assert len(checker.lists) == 0


class Found:
    """A source that has found something."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    async def fetch(self, wanted: Sequence[Path], *, at: datetime) -> Evidence:
        return self.evidence


class TestWhatIsWanted:
    def test_who_is_asked_about_often_keeps_nobody_from_being_asked_about(self, world, monkeypatch):
        monkeypatch.setattr(revocation, "_REMEMBERED", 4)
        checker = RevocationChecker("soft", sources=[Found(Evidence())])
        world.state(checker)
        for _ in range(8):
            checker.check(world.mallory(world.evil), at=MOMENT)
        assert world.path in checker.wanted
        assert len(checker.wanted) == 4

    async def test_what_a_source_had_no_room_for_stays_wanted(self, world):
        other = world.mallory(world.evil)
        checker = RevocationChecker("soft", sources=[Found(Evidence(left=frozenset({world.path})))])
        world.state(checker)
        checker.check(other, at=MOMENT)
        await checker.refresh(at=MOMENT)
        assert checker.wanted == (world.path,)
