"""The store in one SQLite file, readable by its owner only.

Every answer is there at once, so it may be asked inside a filter. WAL and NORMAL synchronisation: what was
acknowledged survives the death of the process; a power failure may take the last moments, except decisions:
they are on the disk when they are acknowledged (`_settle`). What that means for replays: `docs/stores.md`.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from slixmpp_e2e.certificates.revocation_list import takes_the_place
from slixmpp_e2e.certificates.store import (
    CERTIFICATES_FOUND,
    CERTIFICATES_PER_JID,
    LIST_KEY,
    REVOCATION_LISTS,
    Chain,
    check_decision,
    fingerprint_of,
    list_to_go,
    may_be_first,
    read_identifiers,
    split_chain,
)
from slixmpp_e2e.cms.asn1 import ASN1Error
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import AHEAD, RECENT, Admission
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores import decisions
from slixmpp_e2e.stores.schema import APPLICATION, MIGRATIONS, TABLES, VERSION, add_functions

_ATTEMPTS: Final = 40
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
Value = int | str | bytes | None


class SQLiteStore:
    """See `certificates.store.Store`. Raises `StoreError` for a file that can't be opened or is damaged."""

    def __init__(self, path: Path, *, entries_per_signer: int = 1000, signers: int = 1000) -> None:
        self._path = path
        self._entries_per_signer = entries_per_signer
        self._max_signers = signers
        with self._errors():
            _create_private(path)
            self._connection = sqlite3.connect(path, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._connection.close()
                raise

    def _open(self) -> None:
        self._is_new()  # before anything is changed: it may be somebody else's
        self._enter_wal()
        self._connection.execute("PRAGMA synchronous = NORMAL")
        add_functions(self._connection)
        with self._transaction():
            if self._is_new():
                self._run(TABLES, VERSION)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
            while (version := self._integer("PRAGMA user_version")) < VERSION:
                self._run(MIGRATIONS[version], version + 1)
            is_intact = decisions.are_intact(self._connection)
        if not is_intact or self._value("PRAGMA quick_check") != "ok":
            raise StoreError(f"{self._path} is damaged; restore it, or remove it and decide again")

    def _run(self, statements: Iterable[str], version: int) -> None:
        """Change the schema to a version, inside the transaction that is open."""
        for statement in statements:
            self._connection.execute(statement)
        self._connection.execute(f"PRAGMA user_version = {version}")

    def _enter_wal(self) -> None:
        """Change to WAL. SQLite does not wait for another process that is just doing the same, so we do."""
        for attempt in range(_ATTEMPTS):
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.05)
            else:
                return

    def _is_new(self) -> bool:
        tables = self._value(
            "SELECT count(*) FROM sqlite_master"
        )  # first: another process may be making them
        application = self._value("PRAGMA application_id")
        version = self._value("PRAGMA user_version")
        if tables == application == 0:
            return True
        if application != APPLICATION:
            raise StoreError(f"{self._path} is a database of something else")
        if version != VERSION and version not in MIGRATIONS:
            raise StoreError(f"{self._path} was written by another version ({version!r}, ours is {VERSION})")
        return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ASN1Error) as error:
            raise StoreError(f"{self._path}: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # some errors have ended it already
                    self._connection.execute("ROLLBACK")
                raise

    def _value(self, statement: str, *arguments: object) -> Value:
        row = self._connection.execute(statement, arguments).fetchone()
        return row[0] if row else None

    def _row(self, statement: str, kinds: tuple[type, ...], *arguments: object) -> tuple[Any, ...] | None:
        """Return the first row, with values of these kinds, or None."""
        row: tuple[Any, ...] | None = self._connection.execute(statement, arguments).fetchone()
        if row is not None and not all(map(isinstance, row, kinds)):
            self._damaged()
        return row

    def _damaged(self) -> NoReturn:
        raise StoreError(f"{self._path} is damaged: a value is not of the kind that it must be")

    def _octets(self, value: Value) -> bytes:
        if not isinstance(value, bytes):
            self._damaged()
        return value

    def _chain(self, value: Value) -> Chain:
        return split_chain(self._octets(value))

    def _integer(self, statement: str, *arguments: object) -> int:
        value = self._value(statement, *arguments)
        if not isinstance(value, int):
            self._damaged()
        return value

    # ------------------------------------------------------------------ replay record

    def admit(
        self, signer: str, digest: bytes, timestamp: int, received: int, former: bytes | None = None
    ) -> Admission:
        """See `ReplayRecord`."""
        execute = self._connection.execute
        with self._transaction():
            known = self._row("SELECT floor, newest, entries FROM signer WHERE jid = ?", (int,) * 3, signer)
            floor, newest, entries = known or (0, 0, 0)
            highest = self._newest_of(signer, received)
            seen = self._value(
                "SELECT 1 FROM seen WHERE jid = ? AND digest IN (?, ?)", signer, digest, former
            )
            if seen or timestamp <= max(floor, self._floor()):
                return Admission(seen=True, highest=highest)
            limit = received + AHEAD
            if newest <= limit < timestamp and self._are_many_ahead(limit):
                return Admission(seen=True, highest=highest, ahead=True)
            if known is None and not self._make_room(timestamp):
                return Admission(seen=True, highest=None)
            execute("INSERT INTO seen VALUES (?, ?, ?, ?)", (signer, digest, timestamp, received))
            if entries >= self._entries_per_signer:  # it may have been more before
                floor = max(floor, self._drop_oldest(signer))
            else:
                entries += 1
            execute(
                "INSERT OR REPLACE INTO signer VALUES (?, ?, ?, ?)",
                (signer, floor, max(newest, timestamp), entries),
            )
        return Admission(seen=False, highest=highest)

    def _newest_of(self, signer: str, received: int) -> int | None:
        """Return the highest timestamp of a signer's stanzas of the last ten minutes."""
        found = self._row(
            "SELECT timestamp FROM seen WHERE jid = ? AND received >= ? ORDER BY timestamp DESC LIMIT 1",
            (int,),
            signer,
            received - RECENT,
        )
        return found[0] if found else None

    def _drop_oldest(self, signer: str) -> int:
        oldest = "SELECT timestamp, digest FROM seen WHERE jid = ? ORDER BY timestamp LIMIT 1"
        timestamp, digest = self._row(oldest, (int, bytes), signer) or self._damaged()
        self._connection.execute("DELETE FROM seen WHERE jid = ? AND digest = ?", (signer, digest))
        return int(timestamp)

    def _floor(self) -> int:
        return self._integer("SELECT floor FROM everybody")

    def _are_many_ahead(self, limit: int) -> bool:
        ahead = self._integer("SELECT count(*) FROM signer WHERE newest > ?", limit)
        return ahead >= self._max_signers // 2

    def _make_room(self, timestamp: int) -> bool:
        """Make room for another signer; return False where his stanza would be below the floor after that."""
        if self._integer("SELECT count(*) FROM signer") < self._max_signers:
            return True
        oldest = self._row("SELECT jid, newest FROM signer ORDER BY newest LIMIT 1", (str, int))
        jid, newest = oldest or self._damaged()
        if timestamp <= newest:
            return False
        self._connection.execute("DELETE FROM seen WHERE jid = ?", (jid,))
        self._connection.execute("DELETE FROM signer WHERE jid = ?", (jid,))
        self._connection.execute("UPDATE everybody SET floor = max(floor, ?)", (newest,))
        return True

    # ------------------------------------------------------------------ certificates and decisions

    def certificates(self, jid: str) -> tuple[Chain, ...]:
        """See `Store`."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT chain FROM certificate WHERE jid = ? ORDER BY id DESC", (jid,)
            ).fetchall()
            return tuple(self._chain(chain) for (chain,) in rows)

    def all_certificates(self) -> Iterable[Chain]:
        """See `Store`."""
        with self._errors():
            rows = self._connection.execute("SELECT chain FROM certificate").fetchall()
            return [self._chain(chain) for (chain,) in rows]

    def find_certificates(self, identifier: bytes) -> tuple[bytes, ...]:
        """See `Store`."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT chain FROM certificate WHERE issuer_and_serial = ? OR key_identifier = ? "
                "GROUP BY fingerprint LIMIT ?",
                (identifier, identifier, CERTIFICATES_FOUND),
            ).fetchall()
            return tuple(self._chain(chain)[0] for (chain,) in rows)

    def add_certificate(self, jid: str, chain: Chain) -> bool:
        """See `Store`."""
        identifiers = read_identifiers(chain[0])
        with self._transaction():
            cursor = self._connection.execute(
                "INSERT OR IGNORE INTO certificate (jid, fingerprint, chain, issuer_and_serial, key_identifier) "
                "VALUES (?, ?, ?, ?, ?)",
                (jid, fingerprint_of(chain[0]), b"".join(chain), *identifiers),
            )
            self._connection.execute(
                "DELETE FROM certificate WHERE jid = ? AND id NOT IN "
                "(SELECT id FROM certificate WHERE jid = ? ORDER BY id DESC LIMIT ?)",
                (jid, jid, CERTIFICATES_PER_JID),
            )
        return cursor.rowcount == 1

    def announcements(self, jid: str) -> Mapping[bytes, bytes]:
        """See `Store`."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT fingerprint, announcement FROM certificate WHERE jid = ? AND announcement NOTNULL",
                (jid,),
            ).fetchall()
            return {self._octets(fingerprint): self._octets(value) for fingerprint, value in rows}

    def announce(self, jid: str, fingerprint: bytes, value: bytes) -> None:
        """See `Store`."""
        with self._transaction():
            self._connection.execute(
                "UPDATE certificate SET announcement = ? WHERE jid = ? AND fingerprint = ?",
                (value, jid, fingerprint),
            )

    def decisions(self, jid: str) -> Mapping[bytes, Trust]:
        """See `Store`."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT fingerprint, trust FROM decision WHERE jid = ?", (jid,)
            ).fetchall()
            return {fingerprint: self._decision(trust) for fingerprint, trust in rows}

    def all_decisions(self) -> Iterable[tuple[str, bytes, Trust]]:
        """See `Store`."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT jid, fingerprint, trust FROM decision ORDER BY jid, fingerprint"
            ).fetchall()
            return [(jid, fingerprint, self._decision(trust)) for jid, fingerprint, trust in rows]

    def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        """See `Store`."""
        check_decision(trust)
        with self._transaction():
            decisions.change(self._connection, jid, fingerprint, str(trust))
        self._settle()

    def decide_first_use(self, jid: str, fingerprint: bytes) -> bool:
        """See `Store`."""
        with self._transaction():
            decided = self.decisions(jid)
            if not may_be_first(decided, fingerprint):
                return False
            if fingerprint in decided:
                return True
            decisions.change(self._connection, jid, fingerprint, str(Trust.TOFU))
        self._settle()
        return True

    def decide_if_undecided(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""
        with self._transaction():
            if fingerprint in self.decisions(jid):
                return
            decisions.change(self._connection, jid, fingerprint, str(Trust.TOFU))
        self._settle()

    def undecide(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""
        with self._transaction():
            decisions.change(self._connection, jid, fingerprint, None)
        self._settle()

    def _settle(self) -> None:
        """Move everything from the WAL into the file, and see it to the disk.

        SQLite ignores what follows the first damaged frame of a WAL, without a word. Where that fails, the
        decision is kept all the same, as safe as everything else.
        """
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _decision(self, trust: str) -> Trust:
        try:
            return check_decision(Trust(trust))
        except ValueError:
            raise StoreError(f"{self._path} is damaged: it holds a decision that is none") from None

    # ------------------------------------------------------------------ revocation lists

    def add_revocation_list(self, key: bytes, der: bytes) -> None:
        """See `Store`."""
        with self._transaction():
            same = LIST_KEY, key[:LIST_KEY]
            before = self._connection.execute(
                "SELECT list FROM revocation_list WHERE substr(key, 1, ?) = ?", same
            ).fetchall()
            if not all(takes_the_place(der, self._octets(each)) for (each,) in before):
                return
            self._connection.execute("DELETE FROM revocation_list WHERE substr(key, 1, ?) = ?", same)
            self._connection.execute("INSERT INTO revocation_list (key, list) VALUES (?, ?)", (key, der))
            kept = self._connection.execute("SELECT id, key FROM revocation_list ORDER BY id").fetchall()
            while len(kept) > REVOCATION_LISTS:
                gone, _ = kept.pop(list_to_go([self._octets(each) for _, each in kept]))
                self._connection.execute("DELETE FROM revocation_list WHERE id = ?", (gone,))

    def revocation_lists(self) -> Iterable[bytes]:
        """See `Store`."""
        with self._errors():
            rows = self._connection.execute("SELECT list FROM revocation_list ORDER BY id").fetchall()
            return [self._octets(each) for (each,) in rows]

    def close(self) -> None:
        """See `Store`."""
        with self._errors():
            self._connection.close()


def _create_private(path: Path) -> None:
    """Make the file with mode 0600 before SQLite does it with another; its side files copy the mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if path.is_file() and path.stat().st_mode & 0o077:
            path.chmod(0o600)
