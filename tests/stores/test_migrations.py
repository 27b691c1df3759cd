"""Files of earlier versions: opened once, they are files of this one, and nothing in them is lost."""

import sqlite3
from pathlib import Path

import pytest

from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.sqlite import SQLiteStore

NOW = 1_772_366_400 * SECOND
JULIET, ROMEO = "juliet@example.com", "romeo@example.net"
PIN = b"p" * 32

#: As the first two versions wrote it.
COMMON = """
CREATE TABLE certificate (
    jid TEXT NOT NULL, leaf BLOB NOT NULL, chain BLOB NOT NULL, PRIMARY KEY (jid, leaf)
);
CREATE TABLE signer (
    jid TEXT PRIMARY KEY, floor INTEGER NOT NULL, newest INTEGER NOT NULL, entries INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE seen (
    jid TEXT NOT NULL, digest BLOB NOT NULL, timestamp INTEGER NOT NULL, received INTEGER NOT NULL,
    PRIMARY KEY (jid, digest)
) WITHOUT ROWID;
CREATE INDEX seen_by_timestamp ON seen (jid, timestamp);
CREATE TABLE everybody (floor INTEGER NOT NULL);
INSERT INTO everybody VALUES (0);
PRAGMA application_id = 0x65326578;
"""
FIRST = (
    COMMON
    + """
CREATE TABLE pin (jid TEXT NOT NULL, fingerprint BLOB NOT NULL, PRIMARY KEY (jid, fingerprint)) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
)
SECOND_VERSION = (
    COMMON
    + """
CREATE TABLE decision (
    jid TEXT NOT NULL, fingerprint BLOB NOT NULL, trust TEXT NOT NULL, PRIMARY KEY (jid, fingerprint)
) WITHOUT ROWID;
PRAGMA user_version = 2;
"""
)
#: As the third version wrote it, with a certificate and a decision.
THIRD = """
CREATE TABLE certificate (
    id INTEGER PRIMARY KEY, jid TEXT NOT NULL, fingerprint BLOB NOT NULL, chain BLOB NOT NULL,
    issuer_and_serial BLOB, key_identifier BLOB, UNIQUE (jid, fingerprint)
);
CREATE INDEX certificate_by_issuer ON certificate (issuer_and_serial);
CREATE INDEX certificate_by_key ON certificate (key_identifier);
CREATE TABLE decision (
    jid TEXT NOT NULL, fingerprint BLOB NOT NULL, trust TEXT NOT NULL, PRIMARY KEY (jid, fingerprint)
) WITHOUT ROWID;
CREATE TABLE signer (
    jid TEXT PRIMARY KEY, floor INTEGER NOT NULL, newest INTEGER NOT NULL, entries INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE seen (
    jid TEXT NOT NULL, digest BLOB NOT NULL, timestamp INTEGER NOT NULL, received INTEGER NOT NULL,
    PRIMARY KEY (jid, digest)
) WITHOUT ROWID;
CREATE INDEX seen_by_timestamp ON seen (jid, timestamp);
CREATE TABLE everybody (floor INTEGER NOT NULL, decisions BLOB NOT NULL);
INSERT INTO everybody VALUES (0, x'0e901473633ef8666d867f8027ec4425e75888bae7a070fc341d4a100ba1026d');
PRAGMA application_id = 0x65326578;
INSERT INTO decision VALUES ('juliet@example.com', x'0102', 'verified');
PRAGMA user_version = 3;
"""


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "store.db"


def write(path: Path, schema: str, statement: str, *rows: tuple[object, ...]) -> None:
    """Make a file of an earlier version, with rows in one of its tables."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(schema)
    connection.executemany(statement, rows)
    connection.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", (JULIET, b"d" * 32, NOW, NOW))
    connection.execute("INSERT INTO signer VALUES (?, ?, ?, ?)", (JULIET, 7, NOW, 1))
    connection.close()


def remembers(store: SQLiteStore) -> bool:
    return store.admit(JULIET, b"d" * 32, NOW, NOW).seen


def test_the_pins_of_the_first_version_become_decisions(opened, path):
    write(path, FIRST, "INSERT INTO pin VALUES (?, ?)", (JULIET, PIN))
    for _ in range(2):
        store = opened(path)
        assert store.decisions(JULIET) == {PIN: Trust.PINNED}
        assert remembers(store)
        store.close()
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.OperationalError, match="no such table"):
        connection.execute("SELECT * FROM pin")
    connection.close()


def test_the_certificates_of_the_second_version_can_be_found_by_identifier(opened, path, juliet, romeo, pki):
    above = pki.intermediate.der
    write(
        path,
        SECOND_VERSION,
        "INSERT INTO certificate VALUES (?, ?, ?)",
        (JULIET, romeo.der, romeo.der),
        (JULIET, juliet.der, juliet.der + above),
        (ROMEO, romeo.der, romeo.der),
        (ROMEO, b"\x30\x00", b"\x30\x00"),
    )
    for _ in range(2):
        store = opened(path)
        assert store.certificates(JULIET) == ((juliet.der, above), (romeo.der,))
        assert store.certificates(ROMEO) == ((b"\x30\x00",), (romeo.der,))
        for known in (juliet, romeo):
            assert store.find_certificates(known.parsed.issuer_and_serial) == (known.der,)
            assert store.find_certificates(known.parsed.key_identifier) == (known.der,)
        assert remembers(store)
        assert not store.add_certificate(JULIET, (juliet.der,))
        store.close()


def test_what_the_third_version_had_is_there_and_what_is_announced_is_kept_beside_it(opened, path, juliet):
    write(
        path,
        THIRD,
        "INSERT INTO certificate (jid, fingerprint, chain) VALUES (?, ?, ?)",
        (JULIET, juliet.parsed.fingerprint, juliet.der),
    )
    store = opened(path)
    assert store.decisions(JULIET) == {b"\x01\x02": Trust.VERIFIED}
    assert store.certificates(JULIET) == ((juliet.der,),)
    assert store.announcements(JULIET) == {}
    assert list(store.revocation_lists()) == []
    store.announce(JULIET, juliet.parsed.fingerprint, b"said")
    store.add_revocation_list(b"key", b"list")
    store.close()
    store = opened(path)
    assert store.announcements(JULIET) == {juliet.parsed.fingerprint: b"said"}
    assert list(store.revocation_lists()) == [b"list"]
    assert remembers(store)


def test_a_migration_that_fails_leaves_the_file_as_it_was(opened, path, juliet):
    write(path, SECOND_VERSION, "INSERT INTO certificate VALUES (?, ?, ?)", (JULIET, "no octets", juliet.der))
    for _ in range(2):
        with pytest.raises(StoreError):
            opened(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert connection.execute("SELECT jid, leaf FROM certificate").fetchall() == [(JULIET, "no octets")]
    connection.close()
