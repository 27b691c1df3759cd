"""The store in PostgreSQL: what it is opened on, what it is reached through, and what happens when it is not."""

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from slixmpp_e2e.cms.asn1 import octet_string
from slixmpp_e2e.errors import ConfigurationError, StoreError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores import postgresql_connections, postgresql_schema
from slixmpp_e2e.stores.postgresql import PostgreSQLStore
from slixmpp_e2e.stores.postgresql_connections import choose_tls
from tests.stores.postgresql import Server, Waiting

NOW = 1_772_366_400 * SECOND
JULIET, ROMEO = "juliet@example.com", "romeo@example.net"
PIN = b"a" * 32
#: Kills a process after some seconds; SIGQUIT makes PostgreSQL stop as in a crash.
KILLER = """
import os, signal, sys, time
time.sleep(float(sys.argv[2]))
os.kill(int(sys.argv[1]), signal.SIGQUIT)
"""
CHAIN = (octet_string(b"certificate"),)


def refused(server: Server, words: str, *, database: str = "postgres", **options: object) -> None:
    with pytest.raises(StoreError, match=words):
        Waiting(PostgreSQLStore(server.url(database), **options))


@pytest.mark.postgresql
class TestOpening:
    def test_what_was_kept_is_there_when_it_is_opened_again(self, connected):
        store = connected()
        store.decide(JULIET, PIN, Trust.PINNED)
        store.add_certificate(JULIET, CHAIN)
        store.close()
        known = connected().load(JULIET)
        assert (known.certificates, known.decisions) == ((CHAIN,), {PIN: Trust.PINNED})

    def test_it_may_be_opened_and_closed_several_times(self, connected):
        store = connected()
        store.wait(store.store.open())
        store.decide(JULIET, PIN, Trust.PINNED)
        for _ in range(2):
            store.wait(store.store.close())
            with pytest.raises(StoreError, match="is not open"):
                store.load(JULIET)
        store.wait(store.store.open())
        assert store.decisions(JULIET) == {PIN: Trust.PINNED}

    def test_each_schema_is_a_store_of_its_own(self, connected, schema):
        connected().decide(JULIET, PIN, Trust.PINNED)
        assert connected(schema=schema + "_other").decisions(JULIET) == {}

    def test_a_schema_that_is_there_and_empty_is_used(self, connected, schema):
        connected(schema=schema + "_other").execute(f"CREATE SCHEMA {schema}")
        assert connected().decisions(JULIET) == {}

    @pytest.mark.parametrize(
        "made",
        [
            "CREATE TABLE pin (jid text)",
            "CREATE TABLE store (application text, version integer)",
            "CREATE TABLE store (name text)",
            "CREATE FUNCTION admit() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        ],
    )
    def test_a_schema_of_something_else_is_refused_and_left_as_it_is(self, server, connected, schema, made):
        other = connected(schema=schema + "_other")
        other.execute(f"CREATE SCHEMA {schema}")
        other.execute(made.replace("TABLE ", f"TABLE {schema}.").replace("FUNCTION ", f"FUNCTION {schema}."))
        count = (
            "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = $1::regnamespace) "
            "+ (SELECT count(*) FROM pg_proc WHERE pronamespace = $1::regnamespace)"
        )
        before = other.value(count, schema)
        refused(server, f"schema {schema} .* something else", schema=schema)
        assert other.value(count, schema) == before == 1

    def test_a_store_of_another_application_is_refused(self, server, connected, schema):
        connected().execute("UPDATE store SET application = 'shop'")
        refused(server, "something else", schema=schema)

    @pytest.mark.parametrize("version", [0, postgresql_schema.VERSION + 1])
    def test_a_store_of_an_unknown_version_is_refused(self, server, connected, schema, version):
        connected().execute("UPDATE store SET version = $1", version)
        refused(server, f"another version .*{version}", schema=schema)

    def test_a_database_that_cannot_hold_every_jid_is_refused(self, server, connected):
        connected().execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        refused(server, "UTF8", database="latin")

    def test_who_may_only_use_it_can_open_what_somebody_else_has_made(self, server, connected, schema):
        owner = connected()
        owner.execute(f"CREATE ROLE {schema}_bot LOGIN")
        url = server.url().replace("postgres@", f"{schema}_bot@")
        with pytest.raises(StoreError, match="may not use"):
            Waiting(PostgreSQLStore(url, schema=schema))
        owner.execute(f"GRANT USAGE ON SCHEMA {schema} TO {schema}_bot")
        owner.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {schema}_bot"
        )
        bot = Waiting(PostgreSQLStore(url, schema=schema, signers=1))
        assert not bot.admit(JULIET, PIN, NOW, NOW).seen
        assert not bot.admit(ROMEO, PIN, NOW + 1, NOW).seen
        assert bot.add_certificate(JULIET, CHAIN)
        bot.announce(JULIET, PIN, b"said")
        assert bot.decide_first_use(JULIET, PIN)
        bot.undecide(JULIET, PIN)
        bot.add_revocation_list(b"key", b"list")
        bot.close()
        with pytest.raises(StoreError, match="permission denied"):
            Waiting(PostgreSQLStore(url, schema=f"{schema}_of_its_own"))


#: What the function was called with, in the first version.
FIRST_ADMIT = """
CREATE FUNCTION admit(
    signer_ text, digest_ bytea, timestamp_ bigint, received_ bigint, recent bigint,
    max_entries integer, max_signers integer, OUT seen_ boolean, OUT highest bigint
) LANGUAGE plpgsql AS $$ BEGIN seen_ := true; END $$
"""


@pytest.mark.postgresql
class TestMigration:
    @pytest.fixture
    def today(self, connected, monkeypatch) -> Waiting:
        """A store of today, in a time in which there is a later version."""
        store = connected()
        store.decide(JULIET, PIN, Trust.PINNED)
        monkeypatch.setattr(postgresql_schema, "VERSION", postgresql_schema.VERSION + 1)
        return store

    def test_what_an_earlier_version_had_is_there_after_it(self, today, connected, monkeypatch):
        script = "ALTER TABLE decision ADD COLUMN reason text; UPDATE decision SET reason = 'none'"
        monkeypatch.setattr(postgresql_schema, "MIGRATIONS", {postgresql_schema.VERSION - 1: script})
        for _ in range(2):  # the second time, there is nothing to do
            store = connected()
            assert store.decisions(JULIET) == {PIN: Trust.PINNED}
            assert store.value("SELECT reason FROM decision") == "none"
            assert store.value("SELECT version FROM store") == postgresql_schema.VERSION

    def test_one_that_fails_leaves_everything_as_it_was(self, today, server, schema, monkeypatch):
        script = "DROP TABLE decision; SELECT 1 / 0"
        monkeypatch.setattr(postgresql_schema, "MIGRATIONS", {postgresql_schema.VERSION - 1: script})
        refused(server, "division by zero", schema=schema)
        assert today.value("SELECT version FROM store") == postgresql_schema.VERSION - 1
        assert today.decisions(JULIET) == {PIN: Trust.PINNED}

    def test_a_record_of_the_first_version_is_known_and_bounds_who_is_ahead(self, connected):
        store = connected(signers=2)
        assert not store.admit(JULIET, PIN, NOW, NOW).seen
        store.execute("DROP FUNCTION admit")
        store.execute(FIRST_ADMIT)
        store.execute("UPDATE store SET version = 1")
        store = connected(signers=2)
        assert store.admit(JULIET, PIN, NOW, NOW).seen
        late = NOW + 298 * SECOND
        assert not store.admit(ROMEO, PIN, late, NOW).seen
        assert store.admit(JULIET, b"late", late, NOW).ahead


@pytest.mark.postgresql
class TestDamage:
    @pytest.mark.parametrize(
        ("change", "ask"),
        [
            ("UPDATE decision SET trust = 'pkix'", lambda store: store.decisions(JULIET)),
            ("UPDATE decision SET trust = 'friend'", lambda store: store.all_decisions()),
            ("UPDATE certificate SET chain = 'x'", lambda store: store.certificates(JULIET)),
            ("DELETE FROM store", lambda store: store.admit(ROMEO, PIN, NOW, NOW)),
            ("DELETE FROM store", lambda store: store.admit(JULIET, b"b", NOW + 1, NOW)),
            ("DROP TABLE decision", lambda store: store.load(JULIET)),
        ],
    )
    def test_what_cannot_be_as_it_is_is_said(self, connected, change, ask):
        store = connected()
        store.decide(JULIET, PIN, Trust.PINNED)
        store.add_certificate(JULIET, CHAIN)
        assert not store.admit(JULIET, PIN, NOW, NOW).seen
        store.execute(change)
        with pytest.raises(StoreError):
            ask(store)

    def test_a_page_that_the_disk_has_changed_is_said(self):
        server = Server()
        try:
            store = Waiting(PostgreSQLStore(server.url()))
            store.decide(JULIET, PIN, Trust.PINNED)
            file = server.data / store.value("SELECT pg_relation_filepath('decision')")
            store.close()
            server.stop()
            octets = bytearray(file.read_bytes())
            octets[octets.index(b"pinned")] ^= 1
            file.write_bytes(octets)
            server.start()
            store = Waiting(PostgreSQLStore(server.url()))
            with pytest.raises(StoreError, match="invalid page"):
                store.load(JULIET)
            store.close()
        finally:
            server.close()


@pytest.mark.postgresql
class TestLost:
    @pytest.fixture
    def crashing(self) -> Iterator[Server]:
        """A server of its own, which writes to the disk before it acknowledges."""
        server = Server(durable=True)
        yield server
        server.close()

    def write(self, store: Waiting, admitted: list[int], decided: list[int]) -> None:
        """Write until it fails; what was acknowledged is in the lists."""
        for number in itertools.count(len(admitted) * 2 + 1):
            if not store.admit(JULIET, b"%032d" % number, NOW + number, NOW).seen:
                admitted.append(number)
            store.decide(f"peer{number}@example.net", PIN, Trust.PINNED)
            decided.append(number)

    def test_what_was_acknowledged_is_there_when_the_server_was_killed_and_has_come_back(self, crashing):
        chance = random.Random(os.environ.get("E2E_SEED", "1"))
        store = Waiting(PostgreSQLStore(crashing.url()))
        admitted: list[int] = []
        decided: list[int] = []
        for _ in range(3):
            arguments = [str(crashing.pid), str(chance.uniform(0.05, 0.4))]
            stop = subprocess.Popen([sys.executable, "-c", KILLER, *arguments])
            with pytest.raises(StoreError):
                self.write(store, admitted, decided)
            stop.wait()
            with pytest.raises(StoreError):
                store.load(JULIET)
            while (crashing.data / "postmaster.pid").exists():
                time.sleep(0.01)
            with pytest.raises(StoreError):
                store.load(JULIET)
            crashing.start()
            assert all(store.admit(JULIET, b"%032d" % each, NOW + each, NOW).seen for each in admitted)
            for each in decided:
                assert store.decisions(f"peer{each}@example.net") == {PIN: Trust.PINNED}
        assert len(admitted) > 3
        store.close()

    def test_one_that_answers_no_more_is_given_up_and_comes_back(self, crashing):
        store = Waiting(PostgreSQLStore(crashing.url(), seconds=0.4))
        assert not store.admit(JULIET, PIN, NOW, NOW).seen
        backends = [crashing.pid, store.value("SELECT pg_backend_pid()")]
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        begun = time.monotonic()
        for _ in range(2):  # on the old connection, and for a new one
            with pytest.raises(StoreError, match="no answer in time"):
                store.load(JULIET)
        assert time.monotonic() - begun < 3
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
        assert store.admit(JULIET, PIN, NOW, NOW).seen
        store.close()

    def test_who_waits_for_another_process_for_too_long_is_told(self, connected):
        store = connected(seconds=0.3)
        other = connected()
        store.admit(JULIET, PIN, NOW, NOW)

        async def hold() -> None:
            async with other.store._connections.connection() as connection, connection.transaction():
                await connection.execute("SELECT * FROM signer FOR UPDATE")
                with pytest.raises(StoreError):
                    await other.loop.run_in_executor(None, store.admit, JULIET, b"b" * 32, NOW + 1, NOW)
                await asyncio.sleep(
                    0.3
                )  # else the server might find the lock free before it hears of the end

        other.wait(hold())
        assert not store.admit(JULIET, b"b" * 32, NOW + 1, NOW).seen

    async def test_closing_it_cuts_what_is_still_being_asked(self, server, schema):
        store = PostgreSQLStore(server.url(), schema=schema, seconds=0.4)
        await store.open()

        async def ask() -> None:
            async with store._connections.connection(60) as connection:
                asking.set()
                await connection.execute("SELECT pg_sleep(60)")

        asking = asyncio.Event()
        task = asyncio.create_task(ask())
        await asking.wait()
        await store.close()
        with pytest.raises(StoreError):
            await task
        with pytest.raises(StoreError, match="is not open"):
            await store.load(JULIET)

    def test_where_there_is_no_server_it_cannot_be_opened(self, tmp_path):
        with pytest.raises(StoreError):
            Waiting(PostgreSQLStore(f"postgresql://juliet:secret@/e2e?host={tmp_path}", seconds=1))


class TestConfiguration:
    @pytest.mark.parametrize(
        "url",
        [
            "postgresql:///e2e",
            "postgresql://juliet@/e2e?host=/run/postgresql",
            "postgresql://juliet@%2Frun%2Fpostgresql/e2e",
            "postgresql://localhost/e2e",
            "postgresql://juliet:secret@127.0.0.1:5433/e2e",
            "postgresql://[::1]:5433/e2e?sslmode=disable",
            "postgresql://localhost,127.0.0.2:99/e2e",
            "postgresql://db.example.com/e2e?sslmode=verify-full",
            "postgresql://db.example.com/e2e?sslmode=verify-ca&sslrootcert=ca.pem",
        ],
    )
    def test_what_the_url_says_is_enough(self, url, monkeypatch):
        monkeypatch.delenv("PGHOST", raising=False)
        assert choose_tls(urlsplit(url)) is None

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://db.example.com/e2e",
            "postgresql://localhost,db.example.com/e2e",
            "postgresql:///e2e?host=db.example.com",
            "postgresql:///e2e?service=fleet",
            "postgresql://192.0.2.1:5433/e2e",
            "postgresql://juliet:pass@localhost@db.example.com/e2e",
        ],
    )
    def test_another_machine_must_have_a_certificate_for_its_name(self, url):
        context = choose_tls(urlsplit(url))
        assert context.check_hostname
        assert context.verify_mode.name == "CERT_REQUIRED"
        assert (
            choose_tls(urlsplit(url + ("&" if "?" in url else "?") + "sslrootcert=ca.pem")) == "verify-full"
        )

    def test_the_environment_may_name_another_machine(self, monkeypatch):
        monkeypatch.setenv("PGHOST", "db.example.com")
        assert choose_tls(urlsplit("postgresql:///e2e")) is not None

    @pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
    def test_another_machine_that_is_not_verified_is_refused(self, mode):
        with pytest.raises(ConfigurationError, match="another machine"):
            PostgreSQLStore(f"postgresql://juliet:secret@db.example.com/e2e?sslmode={mode}")

    @pytest.mark.parametrize("url", ["mysql://localhost/e2e", "postgresql://[::1/e2e", "", "e2e"])
    def test_what_is_no_url_of_a_database_is_refused(self, url):
        with pytest.raises(ConfigurationError, match="URL of the database"):
            PostgreSQLStore(url)

    @pytest.mark.parametrize(
        "schema", ["", "E2E", "a.b", "a; DROP SCHEMA e2e", "pg_e2e", "1a", "a" * 64, 'a"']
    )
    def test_what_is_no_name_of_a_schema_is_refused(self, schema):
        with pytest.raises(ConfigurationError, match="schema"):
            PostgreSQLStore("postgresql:///e2e", schema=schema)

    @pytest.mark.parametrize("options", [{"connections": 0}, {"seconds": 0}])
    def test_it_needs_something_to_work_with(self, options):
        with pytest.raises(ConfigurationError, match="needs"):
            PostgreSQLStore("postgresql:///e2e", **options)

    def test_without_asyncpg_it_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr(postgresql_connections, "asyncpg", None)
        with pytest.raises(ConfigurationError, match=r"slixmpp_e2e\[postgresql\]"):
            PostgreSQLStore("postgresql:///e2e")

    async def test_no_error_and_no_text_of_it_tells_the_password(self, tmp_path):
        url = f"postgresql://juliet:secret@/e2e?host={tmp_path}"
        store = PostgreSQLStore(url, seconds=1)
        assert repr(store) == "PostgreSQLStore('postgresql:///e2e', schema='e2e')"
        with pytest.raises(StoreError) as caught:
            await store.open()
        assert "postgresql:///e2e" in str(caught.value)
        assert "secret" not in str(caught.value)
        for wrong in ("postgresql://juliet:secret@localhost:x/e2e", "postgresql://juliet:secret@[::1/e2e"):
            with pytest.raises((ConfigurationError, StoreError)) as caught:
                await PostgreSQLStore(wrong).open()
            assert "secret" not in str(caught.value)
