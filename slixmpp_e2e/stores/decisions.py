"""The table of decisions, with a sum over all of them.

SQLite notices a torn page, but not an octet that the disk has changed, and a decision about another JID than the
one it was made about is lost. The sum changes in the transaction of the decision. It is no protection against
somebody who writes into the file: he can write whatever he likes.
"""

import hashlib
import sqlite3
from typing import Final

_LENGTH: Final = 32
#: The sum of no decisions.
NOTHING: Final = bytes(_LENGTH)


def change(connection: sqlite3.Connection, jid: str, fingerprint: bytes, trust: str | None) -> None:
    """Make a decision, or take it back with None, inside the transaction that is open."""
    key = (jid, fingerprint)
    before = connection.execute("SELECT trust FROM decision WHERE jid = ? AND fingerprint = ?", key)
    row = before.fetchone()
    if trust is None:
        connection.execute("DELETE FROM decision WHERE jid = ? AND fingerprint = ?", key)
    else:
        connection.execute("INSERT OR REPLACE INTO decision VALUES (?, ?, ?)", (*key, trust))
    total = _read(connection)
    for each in (row[0] if row else None, trust):
        if each is not None:
            total = _mix(total, jid, fingerprint, each)
    connection.execute("UPDATE everybody SET decisions = ?", (total,))


def sum_up(connection: sqlite3.Connection) -> bytes | None:
    """Return the sum over the table, or None where the rows stand in an order in which some are not found."""
    total, last = NOTHING, (b"", b"")
    for jid, fingerprint, trust in connection.execute("SELECT jid, fingerprint, trust FROM decision"):
        if not (isinstance(jid, str) and isinstance(fingerprint, bytes) and isinstance(trust, str)):
            return None
        key = (jid.encode(), fingerprint)
        if key <= last:
            return None
        total, last = _mix(total, jid, fingerprint, trust), key
    return total


def are_intact(connection: sqlite3.Connection) -> bool:
    """Tell whether all decisions are there as they were made, and no others; reads the whole table."""
    return sum_up(connection) == _read(connection)


def _read(connection: sqlite3.Connection) -> bytes:
    row = connection.execute("SELECT decisions FROM everybody").fetchone()
    if row is None or not isinstance(row[0], bytes) or len(row[0]) != _LENGTH:
        raise sqlite3.DatabaseError("the sum over the decisions is missing")
    return row[0]


def _mix(total: bytes, jid: str, fingerprint: bytes, trust: str) -> bytes:
    """Add a decision, or take it off again: an exclusive or, so that the order does not matter."""
    text = b"\0".join((jid.encode(), fingerprint.hex().encode(), trust.encode()))
    one = int.from_bytes(hashlib.sha256(text).digest(), "big")
    return (int.from_bytes(total, "big") ^ one).to_bytes(_LENGTH, "big")
