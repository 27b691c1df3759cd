"""A CA that writes what it likes into its certificates, asked over real HTTP: others' answers come all the same."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web

from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.certificates.revocation_status import Path, RevocationState
from slixmpp_e2e.stores import http_revocation
from slixmpp_e2e.stores.http_revocation import PAUSE, HTTPRevocation
from tests.certificates.building import authority, end_entity, revocation_list
from tests.pki import MOMENT, Entity
from tests.stores.test_http_revocation import LOOPBACK, access, path_of, points
from tests.stores.web import served

GOOD, REVOKED, UNKNOWN, EXPIRED = RevocationState
#: Those that nobody listens at: who is asked there fails at once.
HOSTS = [f"127.0.0.{number}" for number in range(2, 7)]


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")


@pytest.fixture(scope="module")
def company(root) -> Entity:
    return authority("Company", issuer=root)


@pytest.fixture(scope="module")
def evil(root) -> Entity:
    return authority("Evil", issuer=root)


@pytest.fixture
async def server():
    async with served() as found:
        yield found


@pytest.fixture
def victim(root, company, server) -> Path:
    """The path of somebody who was revoked, as the company's list says, and nothing else."""
    leaf = end_entity(points((server.url("/company.crl"),)), issuer=company)
    server.content["/company.crl"] = revocation_list(company, leaf)
    return path_of(leaf, company, root)


@pytest.fixture
def checker() -> RevocationChecker:
    return RevocationChecker("soft", sources=[HTTPRevocation(LOOPBACK)])


async def ask_about(checker: RevocationChecker, *paths: Path) -> None:
    for path in paths:
        checker.check(path, at=MOMENT)
    await checker.refresh(at=MOMENT)


@pytest.mark.parametrize("mallory_first", [True, False])
async def test_who_names_the_list_of_another_ca_does_not_keep_it_away(
    root, evil, server, victim, checker, mallory_first
):
    leaf = end_entity(points((server.url("/company.crl"),)), issuer=evil)
    both = [path_of(leaf, evil, root), victim]
    await ask_about(checker, *(both if mallory_first else reversed(both)))
    assert checker.check(victim, at=MOMENT).state is REVOKED


async def test_nor_by_having_it_asked_before(root, evil, server, victim, checker):
    leaf = end_entity(points((server.url("/company.crl"),)), issuer=evil)
    await ask_about(checker, path_of(leaf, evil, root))
    await ask_about(checker, victim)
    assert checker.check(victim, at=MOMENT).state is REVOKED


async def test_who_has_many_responders_does_not_take_the_turn_of_others(root, evil, victim, checker):
    many = [
        path_of(end_entity(access(f"http://{HOSTS[number % 5]}:1/{number}"), issuer=evil), evil, root)
        for number in range(70)
    ]
    await ask_about(checker, *many, victim)
    assert checker.check(victim, at=MOMENT).state is REVOKED


async def test_nor_by_being_many_cas(root, evil, victim, checker):
    many = []
    for number in range(70):
        below = authority(f"Evil {number}", issuer=evil)
        leaf = end_entity(points((f"http://{HOSTS[number % 5]}:1/{number}",)), issuer=below)
        many.append(path_of(leaf, below, evil, root))
    await ask_about(checker, *many, victim)
    assert checker.check(victim, at=MOMENT).state is REVOKED


async def test_nor_by_naming_the_same_host(root, evil, server, victim, checker):
    many = [
        path_of(end_entity(points((server.url(f"/{number}"),)), issuer=evil), evil, root)
        for number in range(20)
    ]
    await ask_about(checker, *many, victim)
    assert checker.check(victim, at=MOMENT).state is REVOKED
    assert server.asked.total() == 16


async def test_what_there_was_no_room_for_stays_wanted(root, company, server, checker):
    paths = [
        path_of(end_entity(points((server.url(f"/{number}"),)), issuer=company), company, root)
        for number in range(20)
    ]
    await ask_about(checker, *paths)
    assert checker.wanted == tuple(paths[16:])
    await checker.refresh(at=MOMENT)
    assert checker.wanted == ()
    assert server.asked.total() == 20


async def test_so_does_what_is_left_after_many_octets(root, company, server, checker, monkeypatch):
    monkeypatch.setattr(http_revocation, "_OCTETS", 1)
    monkeypatch.setattr(http_revocation, "_AT_ONCE", 1)
    paths = []
    for number in range(3):
        server.content[f"/{number}"] = revocation_list(company, number=number)
        paths.append(path_of(end_entity(points((server.url(f"/{number}"),)), issuer=company), company, root))
    await ask_about(checker, *paths)
    assert checker.wanted == tuple(paths[1:])
    assert server.asked == {"/0": 1}


async def test_a_second_address_that_answers_is_enough(root, company, server, checker, monkeypatch):
    monkeypatch.setattr(http_revocation, "_PER_HOST", 1)
    server.content["/other.crl"] = revocation_list(company)
    first = end_entity(points((server.url("/first"),)), issuer=company)
    second = end_entity(
        points((server.url("/second"), server.url("/other.crl", "localhost"))), issuer=company
    )
    await ask_about(checker, path_of(first, company, root), path_of(second, company, root))
    assert server.asked == {"/first": 1, "/other.crl": 1}
    assert checker.wanted == ()


async def test_an_address_that_failed_is_passed_over_for_the_next_one(root, company, server, checker):
    server.content["/other.crl"] = revocation_list(company)
    first = end_entity(points((server.url("/gone"),)), issuer=company)
    second = end_entity(points((server.url("/gone"), server.url("/other.crl"))), issuer=company)
    await ask_about(checker, path_of(first, company, root))
    await ask_about(checker, path_of(second, company, root))
    assert server.asked == {"/gone": 1, "/other.crl": 1}


async def test_what_there_was_no_time_for_stays_wanted(root, company, server, checker, monkeypatch):
    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(http_revocation, "ROUND_SECONDS", 1.0)
    paths = []
    for number in range(10):
        server.content[f"/{number}"] = slow
        paths.append(path_of(end_entity(points((server.url(f"/{number}"),)), issuer=company), company, root))
    await ask_about(checker, *paths)
    assert checker.wanted == tuple(paths[8:])


async def test_a_list_that_does_not_count_yet_takes_nobodys_place(root, company, server, victim, checker):
    leaf = end_entity(points((server.url("/next.crl"),)), issuer=company)
    server.content["/next.crl"] = revocation_list(company, number=9, issued=MOMENT + timedelta(hours=1))
    await ask_about(checker, victim, path_of(leaf, company, root))
    assert checker.check(victim, at=MOMENT).state is REVOKED
    found = await HTTPRevocation(LOOPBACK).fetch([path_of(leaf, company, root)], at=MOMENT)
    assert "does not count yet" in str(found.problems[0])


async def test_it_is_asked_for_again(root, company, server):
    leaf = end_entity(points((server.url("/next.crl"),)), issuer=company)
    server.content["/next.crl"] = revocation_list(company, number=9, issued=MOMENT + timedelta(minutes=1))
    source = HTTPRevocation(LOOPBACK)
    for at in (MOMENT, MOMENT + PAUSE):
        found = await source.fetch([path_of(leaf, company, root)], at=at)
    assert server.asked.total() == 2
    assert not found.problems
