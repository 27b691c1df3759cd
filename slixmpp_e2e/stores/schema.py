"""The tables of the store in SQLite, and how files of earlier versions become files of this one."""

import sqlite3
from functools import lru_cache
from typing import Final

from slixmpp_e2e.certificates.store import fingerprint_of, read_identifiers
from slixmpp_e2e.stores.decisions import sum_up

VERSION: Final = 4
APPLICATION: Final = 0x65326578  # "e2ex": so that somebody else's database is not taken for ours

_CERTIFICATES: Final = (
    (
        "CREATE TABLE certificate (id INTEGER PRIMARY KEY, jid TEXT NOT NULL, fingerprint BLOB NOT NULL, "
        "chain BLOB NOT NULL, issuer_and_serial BLOB, key_identifier BLOB, UNIQUE (jid, fingerprint))"
    ),
    # a signer may name any certificate: without an index each stanza would read them all
    "CREATE INDEX certificate_by_issuer ON certificate (issuer_and_serial)",
    "CREATE INDEX certificate_by_key ON certificate (key_identifier)",
)
_DECISIONS: Final = (
    (
        "CREATE TABLE decision (jid TEXT NOT NULL, fingerprint BLOB NOT NULL, trust TEXT NOT NULL, "
        "PRIMARY KEY (jid, fingerprint)) WITHOUT ROWID"
    ),
)
_REPLAY_RECORD: Final = (
    (
        "CREATE TABLE signer (jid TEXT PRIMARY KEY, floor INTEGER NOT NULL, newest INTEGER NOT NULL, "
        "entries INTEGER NOT NULL) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE seen (jid TEXT NOT NULL, digest BLOB NOT NULL, timestamp INTEGER NOT NULL, "
        "received INTEGER NOT NULL, PRIMARY KEY (jid, digest)) WITHOUT ROWID"
    ),
    "CREATE INDEX seen_by_timestamp ON seen (jid, timestamp)",
    "CREATE TABLE everybody (floor INTEGER NOT NULL, decisions BLOB NOT NULL)",
    "INSERT INTO everybody VALUES (0, zeroblob(32))",  # `decisions.NOTHING`
)
#: Since version 4. An announcement goes with its certificate.
_ANNOUNCEMENTS: Final = ("ALTER TABLE certificate ADD COLUMN announcement BLOB",)
_REVOCATION_LISTS: Final = (
    "CREATE TABLE revocation_list (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, list BLOB NOT NULL)",
)
#: The statements that make a new file.
TABLES: Final = (*_CERTIFICATES, *_DECISIONS, *_REPLAY_RECORD, *_ANNOUNCEMENTS, *_REVOCATION_LISTS)
#: Statements, by the version that they lead away from; they ask for `add_functions`.
MIGRATIONS: Final = {
    1: (*_DECISIONS, "INSERT INTO decision SELECT jid, fingerprint, 'pinned' FROM pin", "DROP TABLE pin"),
    2: (
        "ALTER TABLE certificate RENAME TO learned",
        *_CERTIFICATES,
        (
            "INSERT INTO certificate (jid, fingerprint, chain, issuer_and_serial, key_identifier) "
            "SELECT jid, fingerprint(leaf), chain, issuer_and_serial(leaf), key_identifier(leaf) FROM learned "
            "ORDER BY rowid"
        ),
        "DROP TABLE learned",
        "ALTER TABLE everybody ADD COLUMN decisions BLOB NOT NULL DEFAULT x''",
        "UPDATE everybody SET decisions = sum_of_decisions()",
    ),
    3: (*_ANNOUNCEMENTS, *_REVOCATION_LISTS),
}


def add_functions(connection: sqlite3.Connection) -> None:
    """Let statements ask what a certificate is found by, and what the decisions add up to."""
    connection.create_function("sum_of_decisions", 0, lambda: sum_up(connection))
    connection.create_function("fingerprint", 1, fingerprint_of)
    read = lru_cache(maxsize=1)(read_identifiers)  # both are asked for in the same row
    connection.create_function("issuer_and_serial", 1, lambda leaf: read(leaf)[0])
    connection.create_function("key_identifier", 1, lambda leaf: read(leaf)[1])
