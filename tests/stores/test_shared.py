"""Several processes share a store: each stanza is taken in by one of them, and one is the first."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slixmpp_e2e.certificates.mirror import Mirror
from slixmpp_e2e.certificates.store import CERTIFICATES_PER_JID, fingerprint_of
from slixmpp_e2e.cms.asn1 import octet_string
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.postgresql import PostgreSQLStore
from tests.stores.claimant import admit, peer

pytestmark = pytest.mark.postgresql

ROOT = Path(__file__).parents[2]
JULIET = "juliet@example.com"
ONE, OTHER = b"1" * 32, b"2" * 32
Ask = Callable[[str], dict[str, set[int]]]


@pytest.fixture
def ask(server, schema) -> Iterator[Ask]:
    """Start two processes that make the schema at once; return what lets both do the same."""
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-m", "tests.stores.claimant", server.url(), schema, name],
            cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for name in ("one", "other")
    }  # fmt: skip
    for process in processes.values():
        assert process.stdout.readline() == "ready\n"

    def tell(line: str) -> dict[str, set[int]]:
        for process in processes.values():
            process.stdin.write(line + "\n")
            process.stdin.flush()
        return {name: set(map(int, each.stdout.readline().split())) for name, each in processes.items()}

    yield tell
    for process in processes.values():
        process.stdin.close()
        assert process.wait(30) == 0
        process.stdout.close()


def race(ask: Ask, what: str, count: int) -> dict[str, set[int]]:
    """Let both do the same with so many numbers, again with others where one was through before the other began."""
    given: dict[str, set[int]] = {"one": set(), "other": set()}
    for begin in range(0, 10 * count, count):
        for name, numbers in ask(f"{what} {begin} {begin + count}").items():
            given[name] |= numbers
        assert given["one"] | given["other"] == set(range(begin + count))
        assert not given["one"] & given["other"]
        if all(given.values()):
            return given
    raise AssertionError("there was no race")


class TestTwoProcesses:
    def test_each_of_the_stanzas_that_both_got_is_accepted_by_exactly_one(self, ask):
        race(ask, "admit", 300)
        assert ask("admit 0 300") == {"one": set(), "other": set()}

    def test_of_two_certificates_that_are_used_first_one_is(self, ask, connected):
        first = race(ask, "first", 100)
        store = connected()
        for name, numbers in first.items():
            for number in numbers:
                assert store.decisions(peer(number)) == {fingerprint_of(name.encode()): Trust.TOFU}


class TestMirrors:
    """Two processes, each with what the synchronous floors see of the store."""

    async def test_who_was_not_the_first_is_told_and_sees_who_was(self, server, schema):
        stores = [PostgreSQLStore(server.url(), schema=schema) for _ in range(2)]
        first, second = (Mirror(each, lambda: 0, asyncio.Lock) for each in stores)
        for mirror, fingerprint in ((first, ONE), (second, OTHER)):
            await mirror.fetch(JULIET)
            assert mirror.decide_first_use(JULIET, fingerprint)
        await first.keep(JULIET)
        with pytest.raises(StoreError, match="something else has been decided"):
            await second.keep(JULIET)
        await second.fetch(JULIET)
        assert second.decisions(JULIET) == first.decisions(JULIET) == {ONE: Trust.TOFU}
        for mirror in (first, second):
            await mirror.close_shared()


class TestManyAtOnce:
    """Several stores in one process; what they ask the server at once is just as much at once."""

    @pytest.fixture
    async def stores(self, server, schema):
        stores = [
            PostgreSQLStore(server.url(), schema=schema, entries_per_signer=5, signers=3) for _ in range(4)
        ]
        await asyncio.gather(*(each.open() for each in stores))  # one of them makes the schema
        yield stores
        for each in stores:
            await each.close()

    async def count(self, store: PostgreSQLStore, what: str) -> int:
        async with store._connections.connection() as connection:
            return await connection.fetchval(f"SELECT {what}")

    async def test_while_entries_and_signers_go_nothing_is_taken_in_twice(self, stores):
        everything = []
        for begin in range(0, 400, 50):
            numbers = [*range(begin, begin + 50)] * 4
            taken = await asyncio.gather(
                *(admit(stores[at % 4], number) for at, number in enumerate(numbers + numbers[::-1]))
            )
            accepted = [
                number for number, is_new in zip(numbers + numbers[::-1], taken, strict=True) if is_new
            ]
            assert len(set(accepted)) == len(accepted)
            assert accepted
            everything += accepted
        store = stores[0]
        assert await self.count(store, "count(*) FROM signer") <= 3
        assert await self.count(store, "max(c) FROM (SELECT count(*) AS c FROM seen GROUP BY jid) AS x") <= 5
        wrong = (
            "count(*) FROM signer WHERE entries <> (SELECT count(*) FROM seen WHERE seen.jid = signer.jid) "
            "OR newest <> (SELECT max(timestamp) FROM seen WHERE seen.jid = signer.jid)"
        )
        assert await self.count(store, wrong) == 0
        assert await self.count(store, "count(*) FROM seen WHERE jid NOT IN (SELECT jid FROM signer)") == 0
        assert not any([await admit(store, number) for number in everything])

    async def test_no_jid_has_more_certificates_than_it_may(self, stores):
        def chain(number: int) -> tuple[bytes, ...]:
            return (octet_string(b"%d" % number),)

        added = await asyncio.gather(
            *(stores[at % 4].add_certificate(JULIET, chain(at // 2)) for at in range(80))
        )
        assert sum(added) >= 40
        known = await stores[0].load(JULIET)
        assert len(known.certificates) == CERTIFICATES_PER_JID == len(set(known.certificates))

    async def test_no_more_connections_are_open_than_allowed(self, stores, schema):
        await asyncio.gather(*(admit(stores[0], number) for number in range(200)))
        mine = (
            "count(*) FROM pg_stat_activity WHERE application_name = 'slixmpp_e2e' AND query LIKE '%admit(%'"
        )
        assert 0 < await self.count(stores[1], mine) <= 5  # four, and the one that asks

    async def test_each_question_is_one_round_trip(self, server, schema, stores):
        trips = 0

        async def pass_on(read: asyncio.StreamReader, write: asyncio.StreamWriter, *, count: bool) -> None:
            nonlocal trips
            while octets := await read.read(1 << 20):
                trips += count
                write.write(octets)
            write.close()

        async def between(read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
            there = await asyncio.open_unix_connection(server.directory / ".s.PGSQL.5432")
            await asyncio.gather(pass_on(read, there[1], count=True), pass_on(there[0], write, count=False))

        listener = await asyncio.start_unix_server(between, server.directory / ".s.PGSQL.5433")
        store = PostgreSQLStore(server.url() + "&port=5433", schema=schema)
        await store.open()
        for number in (1000, 1001):  # a statement is prepared when it is used for the first time
            await admit(store, number)
            await store.load(JULIET)
        before = trips
        assert await admit(store, 1002)
        assert trips == before + 1
        await store.load(JULIET)
        assert trips == before + 2
        await store.decide_first_use(JULIET, ONE)
        await store.close()
        listener.close()
        await listener.wait_closed()
