"""The store in a file: it survives, it is private, and what is wrong with it is said, never swallowed."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slixmpp_e2e.cms.asn1 import octet_string
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.schema import VERSION
from slixmpp_e2e.stores.sqlite import SQLiteStore

NOW = 1_772_366_400 * SECOND
JULIET = "juliet@example.com"
PIN = b"p" * 32
CHAIN = (octet_string(b"leaf"), octet_string(b"issuer"))

#: The same in a program of its own.
PROGRAM = f"""
import os, resource, signal, sys
from pathlib import Path
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.sqlite import SQLiteStore
NOW, JULIET, path = {NOW}, {JULIET!r}, Path(sys.argv[1])

def admit(store, number):
    return store.admit(JULIET, b"%032d" % number, NOW + number, NOW).seen
"""


def run(program: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + program, path],
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def seen(store: SQLiteStore, number: int) -> bool:
    return store.admit(JULIET, b"%032d" % number, NOW + number, NOW).seen


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "store.db"


def raw(path: Path, *statements: str) -> None:
    """Do something to the file behind the store's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


class TestSurviving:
    @pytest.mark.requirement("3923-6.2-3", "3851-4-2")
    def test_pins_and_certificates_are_there_when_it_is_opened_again(self, opened, path):
        store = opened(path)
        store.decide(JULIET, PIN, Trust.PINNED)
        store.add_certificate(JULIET, CHAIN)
        store.close()
        store = opened(path)
        assert store.decisions(JULIET) == {PIN: Trust.PINNED}
        assert store.certificates(JULIET) == (CHAIN,)

    def test_what_was_acknowledged_survives_the_death_of_the_process(self, opened, path):
        result = run(
            """
store = SQLiteStore(path)
store.decide(JULIET, b"p" * 32, Trust.PINNED)
for number in range(1, 51):
    assert not admit(store, number)
    print(number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
            path,
        )
        assert result.returncode == -signal.SIGKILL, result.stderr
        assert len(result.stdout.split()) == 50
        store = opened(path)
        assert store.decisions(JULIET) == {PIN: Trust.PINNED}
        assert all(seen(store, int(number)) for number in result.stdout.split())
        assert not seen(store, 51)

    def test_two_processes_at_once_never_both_believe_a_first_certificate(self, opened, path):
        opened(path).close()

        def attempt(worker: int) -> list[bool]:
            store = opened(path)
            return [
                store.decide_first_use(f"{number}@example.com", b"%032d" % worker) for number in range(40)
            ]

        with ThreadPoolExecutor(3) as threads:
            first = list(threads.map(attempt, range(3)))
        assert [sum(each) for each in zip(*first, strict=True)] == [1] * 40
        store = opened(path)
        assert len(list(store.all_decisions())) == 40

    def test_two_processes_at_once_never_both_take_the_same(self, opened, path):
        opened(path).close()

        def attempt(_worker: int) -> list[bool]:
            store = opened(path)
            found = [seen(store, number) for number in range(1, 101)]
            store.close()
            return found

        with ThreadPoolExecutor(4) as workers:
            answers = list(workers.map(attempt, range(4)))
        assert [list(column).count(False) for column in zip(*answers, strict=True)] == [1] * 100

    def test_two_processes_may_make_the_file_at_once(self, opened, path):
        with ThreadPoolExecutor(4) as workers:
            for store in workers.map(lambda _worker: opened(path).close(), range(8)):
                assert store is None
        assert opened(path).decisions(JULIET) == {}


class TestPrivacy:
    @pytest.fixture(autouse=True)
    def generous_mask(self):
        before = os.umask(0)
        yield
        os.umask(before)

    @pytest.mark.requirement("3923-6.2-3", "3851-4-2")
    def test_only_its_owner_can_read_it_and_what_lies_beside_it(self, opened, path):
        store = opened(path)
        store.decide(JULIET, PIN, Trust.PINNED)
        files = sorted(path.parent.iterdir())
        assert [each.name for each in files] == ["store.db", "store.db-shm", "store.db-wal"]
        assert [each.stat().st_mode & 0o777 for each in files] == [0o600] * 3

    def test_a_file_that_others_can_read_is_closed_to_them(self, opened, path):
        opened(path).close()
        path.chmod(0o644)
        store = opened(path)
        store.decide(JULIET, PIN, Trust.PINNED)
        assert [each.stat().st_mode & 0o777 for each in path.parent.iterdir()] == [0o600] * 3

    def test_a_file_that_is_stricter_stays_so(self, opened, path):
        opened(path).close()
        path.chmod(0o400)
        if os.geteuid() == 0:
            opened(path).close()
        else:
            with pytest.raises(StoreError):
                opened(path)
        assert path.stat().st_mode & 0o777 == 0o400


class TestWhatIsNoStore:
    def refused(self, path: Path, words: str) -> None:
        with pytest.raises(StoreError, match=words) as caught:
            SQLiteStore(path)
        assert str(path) in str(caught.value)

    def test_a_file_of_something_else_is_refused_and_left_as_it_is(self, path):
        path.write_bytes(b"-----BEGIN CERTIFICATE-----\n" * 100)
        before = path.read_bytes()
        self.refused(path, "not a database")
        assert path.read_bytes() == before

    @pytest.mark.parametrize("application", [0, 0x4D4F5845])
    def test_a_database_of_something_else_is_refused_and_left_as_it_is(self, path, application):
        raw(path, "CREATE TABLE pin (jid TEXT)", f"PRAGMA application_id = {application}")
        before = path.read_bytes()
        self.refused(path, "something else")
        assert path.read_bytes() == before
        assert [each.name for each in path.parent.iterdir()] == ["store.db"]

    def test_an_empty_database_of_something_else_is_refused(self, path):
        raw(path, "PRAGMA application_id = 1", "CREATE TABLE x (y)", "DROP TABLE x")
        self.refused(path, "something else")

    def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(self, opened, path):
        store = opened(path)
        store.decide(JULIET, PIN, Trust.PINNED)
        store.close()
        raw(path, f"PRAGMA user_version = {VERSION + 1}")
        before = path.read_bytes()
        self.refused(path, "another version")
        assert path.read_bytes() == before

    def test_a_directory_is_no_file(self, tmp_path):
        tmp_path.chmod(0o755)
        self.refused(tmp_path, "unable to open")
        assert tmp_path.stat().st_mode & 0o777 == 0o755

    def test_a_file_in_a_directory_that_does_not_exist_is_not_made(self, tmp_path):
        self.refused(tmp_path / "nowhere" / "store.db", "nowhere")

    def test_a_file_that_is_empty_is_a_new_store(self, opened, path):
        path.touch()
        assert opened(path).decisions(JULIET) == {}


class TestDamage:
    @pytest.fixture
    def filled(self, opened, path) -> Path:
        store = opened(path)
        for number in range(1, 400):
            store.decide(f"juliet{number}@example.com", b"%032d" % number, Trust.PINNED)
            assert not seen(store, number)
        store.close()
        return path

    @pytest.mark.parametrize("part", range(1, 8))
    def test_a_page_that_was_overwritten_is_noticed(self, opened, filled, part):
        data = bytearray(filled.read_bytes())
        at = len(data) * part // 8 // 4096 * 4096
        data[at : at + 4096] = b"\xa5" * 4096
        filled.write_bytes(data)
        with pytest.raises(StoreError):
            opened(filled)

    @pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
    def test_a_file_that_was_cut_is_noticed(self, opened, filled, keep):
        data = filled.read_bytes()
        filled.write_bytes(data[: int(len(data) * keep)])
        with pytest.raises(StoreError):
            opened(filled)

    @pytest.mark.parametrize("table", ["decision", "certificate", "signer", "seen", "everybody"])
    def test_a_table_that_is_missing_is_noticed_when_it_is_needed(self, opened, filled, table):
        raw(filled, f"DROP TABLE {table}")

        def use_everything() -> None:
            store = opened(filled)
            store.decisions(JULIET)
            store.certificates(JULIET)
            store.admit("new@example.com", PIN, NOW + 1, NOW)

        with pytest.raises(StoreError):
            use_everything()

    def test_the_floor_of_all_is_not_forgotten_silently(self, opened, filled):
        raw(filled, "DELETE FROM everybody")
        with pytest.raises(StoreError):
            opened(filled).admit("new@example.com", PIN, NOW + 1, NOW)

    def test_a_number_that_is_none_is_noticed(self, opened, filled):
        raw(filled, "UPDATE seen SET timestamp = 'x'")
        with pytest.raises(StoreError):
            seen(opened(filled), 500)

    def test_a_certificate_that_is_none_is_noticed(self, opened, path):
        store = opened(path)
        store.add_certificate(JULIET, CHAIN)
        raw(path, "UPDATE certificate SET chain = x'3080'")
        with pytest.raises(StoreError):
            store.certificates(JULIET)
        with pytest.raises(StoreError):
            store.all_certificates()

    def test_after_closing_everything_is_an_error(self, opened, path):
        store = opened(path)
        store.close()
        for action in (
            lambda: store.decisions(JULIET),
            lambda: store.decide(JULIET, PIN, Trust.PINNED),
            lambda: store.undecide(JULIET, PIN),
            lambda: store.certificates(JULIET),
            store.all_certificates,
            lambda: store.add_certificate(JULIET, CHAIN),
            lambda: seen(store, 1),
        ):
            with pytest.raises(StoreError):
                action()


class TestWhatCannotBeWritten:
    def test_a_full_disk_is_said_and_what_was_not_kept_is_not_admitted(self, path):
        result = run(
            """
store = SQLiteStore(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
failed = None
for number in range(1, 100_000):
    try:
        assert not admit(store, number)
    except StoreError as error:
        failed = number
        break
print("failed", failed is not None)
try:
    store.decide(JULIET, b"q" * 32, Trust.PINNED)
    print("pinned", b"q" * 32 in store.decisions(JULIET))
except StoreError:
    print("pinned", b"q" * 32 not in store.decisions(JULIET))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("again", not admit(store, failed), admit(store, failed))
print("before", all(admit(store, number) for number in range(max(1, failed - 500), failed)))
""",
            path,
        )
        assert result.stdout.split("\n") == [
            "failed True",
            "pinned True",
            "again True True",
            "before True",
            "",
        ], result.stderr

    @pytest.mark.parametrize("what", ["directory", "file"])
    def test_a_place_that_is_read_only_is_said(self, opened, what):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            file = directory / "store.db"
            if what == "file":
                opened(file).close()
                file.chmod(0o444)
            directory.chmod(0o555)
            # whoever may write everywhere takes another name, and what has to be imported is imported before
            result = run(
                """
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    SQLiteStore(path).decide(JULIET, b"p" * 32, Trust.PINNED)
except StoreError as error:
    print(str(path) in str(error))
""",
                file,
            )
            directory.chmod(0o755)
        assert result.stdout == "True\n", result.stderr

    def test_somebody_who_holds_the_file_for_too_long_is_said(self, opened, path):
        store = opened(path)
        store._connection.execute("PRAGMA busy_timeout = 10")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            seen(store, 1)
        other.execute("ROLLBACK")
        other.close()
        assert not seen(store, 1)

    @pytest.mark.parametrize("ended", [False, True], ids=["still open", "already ended"])
    def test_a_commit_that_fails_leaves_nothing_open(self, opened, path, ended):
        store = opened(path)
        real = store._connection

        class Failing:
            """A connection that can't commit; SQLite ends the transaction itself after some errors."""

            in_transaction = not ended

            def execute(self, statement: str, *arguments: object) -> sqlite3.Cursor:
                if statement != "COMMIT":
                    return real.execute(statement, *arguments)
                if ended:
                    real.execute("ROLLBACK")
                message = "disk I/O error"
                raise sqlite3.OperationalError(message)

        store._connection = Failing()
        with pytest.raises(StoreError, match="disk"):
            seen(store, 1)
        store._connection = real
        assert not seen(store, 1)


def test_a_decision_that_is_none_is_damage(opened, path):
    opened(path).close()
    raw(path, f"INSERT INTO decision VALUES ('{JULIET}', x'{PIN.hex()}', 'adored')")
    with pytest.raises(StoreError, match="damaged"):
        opened(path).decisions(JULIET)
