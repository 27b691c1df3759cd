"""Damage, a WAL that was cut, a disk that is full: said, and never the silent loss of a decision."""

import random
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores import decisions
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.stores.test_sqlite import run

NOW = 1_772_366_400 * SECOND
ROMEO = "romeo@example.net"
PAGE = 4096
PEERS = 300
CHANCE = random.Random(3923)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "store.db"


def peer(number: int) -> str:
    return f"juliet{number}@example.com"


@pytest.fixture
def filled(opened, path) -> bytes:
    """The octets of a file with many pages of decisions and of the replay record."""
    store = opened(path)
    with store._transaction():  # one commit for all of them
        for number in range(PEERS):
            decisions.change(store._connection, peer(number), b"%032d" % number, "pinned")
    for number in range(PEERS):
        assert not store.admit(ROMEO, b"%032d" % number, NOW + number, NOW).seen
    store.close()
    return path.read_bytes()


def lost(path: Path) -> list[str]:
    """Open the file and use all of it: return whose decisions are not there, or raise `StoreError`."""
    store = SQLiteStore(path)
    try:
        for number in range(PEERS + 1):
            store.admit(ROMEO, b"%032d" % number, NOW + number, NOW)
        store.admit("nurse@example.com", b"d", NOW, NOW)
        assert len(list(store.all_decisions())) == PEERS
        list(store.all_certificates())
        return [
            peer(each)
            for each in range(PEERS)
            if store.decisions(peer(each)) != {b"%032d" % each: Trust.PINNED}
        ]
    finally:
        store.close()


def said_or_harmless(path: Path, data: bytes) -> bool:
    """Put octets in the place of the file; return whether they are refused. If not, nothing may be lost."""
    for each in path.parent.glob("store.db*"):
        each.unlink()
    path.write_bytes(data)
    try:
        assert lost(path) == []
    except StoreError:
        return True
    return False


def flip(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[CHANCE.randrange(len(data))] ^= 1 << CHANCE.randrange(8)
    return bytes(changed)


def exchange(data: bytes, *, both: bool) -> bytes:
    """Return the octets with one page in the place of another, and, with `both`, the other in its place."""
    one, other = (PAGE * each for each in CHANCE.sample(range(len(data) // PAGE), 2))
    changed = bytearray(data)
    changed[one : one + PAGE] = data[other : other + PAGE]
    if both:
        changed[other : other + PAGE] = data[one : one + PAGE]
    return bytes(changed)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(flip, id="a bit"),
        pytest.param(lambda data: exchange(data, both=False), id="a page over another"),
        pytest.param(lambda data: exchange(data, both=True), id="two pages exchanged"),
    ],
)
def test_what_a_disk_does_to_a_file_is_said_or_harmless(path, filled, spoil: Callable[[bytes], bytes]):
    refused = [said_or_harmless(path, spoil(filled)) for _ in range(60)]
    assert any(refused)


def test_a_file_that_was_cut_anywhere_is_refused(path, filled):
    for pages in range(1, len(filled) // PAGE):
        assert said_or_harmless(path, filled[: pages * PAGE])
        assert said_or_harmless(path, filled[: pages * PAGE + CHANCE.randrange(1, PAGE)])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE decision SET jid = 'somebody@example.com' WHERE jid = 'juliet1@example.com'",
        "UPDATE decision SET trust = 'verified' WHERE jid = 'juliet1@example.com'",
        "UPDATE decision SET fingerprint = 'x' WHERE jid = 'juliet1@example.com'",
        "DELETE FROM decision WHERE jid = 'juliet1@example.com'",
        "INSERT INTO decision VALUES ('juliet1@example.com', x'00', 'pinned')",
        "UPDATE everybody SET decisions = x'00'",
        "DELETE FROM everybody",
    ],
)
def test_a_decision_that_nobody_took_is_noticed(path, filled, change):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(change)
    connection.close()
    with pytest.raises(StoreError):
        SQLiteStore(path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE signer SET floor = x'00'",
        "UPDATE signer SET entries = 1000, newest = 'x'",
        "UPDATE seen SET digest = 'x' WHERE digest = (SELECT digest FROM seen ORDER BY timestamp LIMIT 1)",
    ],
)
def test_a_replay_record_that_contradicts_itself_is_an_error_of_the_store(path, filled, change):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(change)
    connection.execute("UPDATE signer SET entries = 1000")  # so that the oldest one has to go
    connection.close()
    with pytest.raises(StoreError):
        SQLiteStore(path).admit(ROMEO, b"new", NOW + PEERS + 1, NOW)


def test_decisions_are_taken_back_without_a_trace(opened, path):
    store = opened(path)
    for trust in (Trust.TOFU, Trust.PINNED, Trust.DISTRUSTED):
        store.decide(ROMEO, b"a", trust)
    store.decide(ROMEO, b"b", Trust.PINNED)
    for fingerprint in (b"a", b"b", b"c"):
        store.undecide(ROMEO, fingerprint)
    store.close()
    assert opened(path).decisions(ROMEO) == {}


@pytest.mark.parametrize("how", ["decide_first_use", "decide_if_undecided"])
@pytest.mark.parametrize("harm", ["cut", "flip"])
def test_a_wal_that_is_damaged_takes_no_decision_with_it(path, harm, how):
    result = run(
        f"""
store = SQLiteStore(path)
for number in range(40):
    assert not admit(store, number)
    if number < 20 and not number % 2:  # the last one is of the other kind
        store.decide(f"juliet{{number}}@example.com", b"%032d" % number, Trust.TOFU)
    elif number < 20:
        store.{how}(f"juliet{{number}}@example.com", b"%032d" % number)
os.kill(os.getpid(), signal.SIGKILL)
""",
        path,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    data, wal = path.read_bytes(), path.with_name("store.db-wal").read_bytes()
    assert len(wal) > 20 * PAGE
    remembered = set()
    for _ in range(40):
        for each in path.parent.glob("store.db*"):
            each.unlink()
        path.write_bytes(data)
        damaged = flip(wal) if harm == "flip" else wal[: CHANCE.randrange(len(wal))]
        path.with_name("store.db-wal").write_bytes(damaged)
        store = SQLiteStore(path)
        made = [store.decisions(peer(each)) for each in range(20)]
        assert made == [{b"%032d" % each: Trust.TOFU} for each in range(20)]
        remembered.add(store._integer("SELECT count(*) FROM seen"))
        store.close()
    assert min(remembered) >= 20  # what came before the last decision is in the file
    assert len(remembered) > 1  # or nothing was damaged at all


WRITES = {
    "admit": "assert not admit(store, number)",
    "decide": 'store.decide(f"juliet{number}@example.com", b"%032d" % number, Trust.PINNED)',
    "decide_first_use": 'assert store.decide_first_use(f"juliet{number}@example.com", b"%032d" % number)',
    "decide_if_undecided": 'store.decide_if_undecided(f"juliet{number}@example.com", b"%032d" % number)',
    "undecide": """store.decide(JULIET, b"%032d" % number, Trust.PINNED)
        store.undecide(JULIET, b"%032d" % number)
        store.decide(JULIET + str(number), b"%032d" % number, Trust.PINNED)""",
    "add_certificate": """store.add_certificate(JULIET + str(number), (b"\\x30\\x82\\x01\\x00" + bytes(256),))""",
}
THERE = {
    "admit": lambda store, number: (
        store.admit("juliet@example.com", b"%032d" % number, NOW + number, NOW).seen
    ),
    "decide": lambda store, number: store.decisions(peer(number)) == {b"%032d" % number: Trust.PINNED},
    "decide_first_use": lambda store, number: (
        store.decisions(peer(number)) == {b"%032d" % number: Trust.TOFU}
    ),
    "decide_if_undecided": lambda store, number: (
        store.decisions(peer(number)) == {b"%032d" % number: Trust.TOFU}
    ),
    "undecide": lambda store, number: bool(store.decisions(f"juliet@example.com{number}")),
    "add_certificate": lambda store, number: len(store.certificates(f"juliet@example.com{number}")) == 1,
}


@pytest.mark.parametrize("kind", WRITES)
def test_a_disk_that_is_full_is_said_and_what_was_acknowledged_stays(path, kind):
    """The limit is one for each file: the WAL meets it first, or, where decisions go at once, the file."""
    limit = 60_000 if "decide" in kind else 400_000
    result = run(
        f"""
store = SQLiteStore(path)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
for number in range(1, 5_000):
    try:
        {WRITES[kind]}
    except StoreError as error:
        print("failed", number, str(path) in str(error))
        break
    print(number)
""",
        path,
    )
    *written, last = result.stdout.splitlines()
    assert last == f"failed {len(written) + 1} True", result.stderr
    assert len(written) > 10
    store = SQLiteStore(path)
    assert store._value("PRAGMA integrity_check") == "ok"
    assert all(THERE[kind](store, int(number)) for number in written)
    store.decide(ROMEO, b"a", Trust.PINNED)  # there is room again
    store.close()


@pytest.mark.parametrize("limit", [0, 100, PAGE, 2 * PAGE, 5 * PAGE, 10 * PAGE])
def test_a_disk_that_is_full_while_the_file_is_made_is_said(opened, path, limit):
    result = run(
        f"""
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
try:
    SQLiteStore(path)
except StoreError as error:
    print(str(path) in str(error))
""",
        path,
    )
    assert result.stdout == "True\n", result.stderr
    assert opened(path).decisions(ROMEO) == {}
