"""The store that several processes share, in PostgreSQL: see `certificates.shared_store.SharedStore`.

What is kept are certificates, decisions, digests of what was received, announcements and revocation lists; never
anything that stood in a stanza. What setting it up takes, and what it costs: `docs/stores.md`.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final

from slixmpp_e2e.certificates.revocation_list import takes_the_place
from slixmpp_e2e.certificates.shared_store import Known
from slixmpp_e2e.certificates.store import (
    CERTIFICATES_FOUND,
    CERTIFICATES_PER_JID,
    LIST_KEY,
    REVOCATION_LISTS,
    Chain,
    check_decision,
    fingerprint_of,
    list_to_go,
    read_identifiers,
    split_chain,
)
from slixmpp_e2e.errors import ConfigurationError, StoreError
from slixmpp_e2e.freshness import AHEAD, RECENT, Admission
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores import postgresql_schema as schemas
from slixmpp_e2e.stores.postgresql_connections import Connections

#: Seconds for what reads whole tables, or changes them.
_LONG: Final = 120.0
#: How much is kept of whose a revocation list is, in octets: a key must fit into a row of a B-tree.
_OWNERS: Final = 256
_SCHEMA: Final = re.compile("[a-z_][a-z0-9_]{0,62}")


class PostgreSQLStore:
    """See `SharedStore`. `url` is one of libpq's: `postgresql://user@host/database`.

    Everything is in one `schema` of the database. No more than `connections` are open, and each call has `seconds`.
    The replay record keeps `entries_per_signer` for each of `signers`; the largest number that any of the processes
    was given counts. Raises `ConfigurationError` where asyncpg is missing, or the URL asks for a connection in
    which somebody else could answer for the server.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = "e2e",
        connections: int = 4,
        seconds: float = 5.0,
        entries_per_signer: int = 1000,
        signers: int = 10_000,
    ) -> None:
        if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
            raise ConfigurationError(f"a schema's name has small letters, digits and _, not {schema!r}")
        self._connections = Connections(url, schema=schema, size=connections, seconds=seconds)
        self._schema = schema
        self._sizes = (entries_per_signer, signers)

    def __repr__(self) -> str:
        return f"PostgreSQLStore({self._connections.name!r}, schema={self._schema!r})"

    # ------------------------------------------------------------------ opening

    async def open(self) -> None:
        """Connect; make the schema or migrate it, if this process may.

        Raises `StoreError` where another version, or something else, has the schema.
        """
        await self._connections.open(self._prepare, _LONG)

    async def close(self) -> None:
        """See `SharedStore`."""
        await self._connections.close()

    async def _prepare(self, connection: Any) -> None:
        if await connection.fetchval("SELECT current_setting('server_encoding')") != "UTF8":
            raise StoreError(f"{self._connections.name}: a database for JIDs is encoded in UTF8")
        if await self._version(connection) == schemas.VERSION:
            return  # no lock, and no rights but to use what is there
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", schemas.MIGRATION_LOCK)
            version = await self._version(connection)  # another process may have been first
            if version is None:
                if not await self._exists(connection):
                    await connection.execute(f"CREATE SCHEMA {self._schema}")
                await connection.execute(schemas.SCRIPT)
                await connection.execute(
                    "INSERT INTO store VALUES ($1, $2, 0)", schemas.APPLICATION, schemas.VERSION
                )
                return
            while version < schemas.VERSION:
                await connection.execute(schemas.MIGRATIONS[version])
                version += 1
            await connection.execute("UPDATE store SET version = $1", version)

    async def _exists(self, connection: Any) -> bool:
        may_use: bool | None = await connection.fetchval(
            "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1", self._schema
        )
        if may_use is False:
            raise StoreError(f"{self._connections.name}: this role may not use schema {self._schema}")
        return may_use is not None

    async def _version(self, connection: Any) -> int | None:
        """Return the version of what is there; None: no schema, or one with nothing in it."""
        if not await self._exists(connection):
            return None
        columns = await connection.fetch(
            "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = $1 AND c.relname = 'store' AND a.attnum > 0",
            self._schema,
        )
        if not columns:
            others = (
                "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = $1::regnamespace) "
                "OR EXISTS (SELECT FROM pg_proc WHERE pronamespace = $1::regnamespace)"
            )
            if await connection.fetchval(others, self._schema):
                raise self._foreign()
            return None
        if not {"application", "version"} <= {each["attname"] for each in columns}:
            raise self._foreign()
        rows = await connection.fetch("SELECT application, version FROM store")
        if len(rows) != 1 or rows[0]["application"] != schemas.APPLICATION:
            raise self._foreign()
        version: int = rows[0]["version"]
        if version != schemas.VERSION and version not in schemas.MIGRATIONS:
            raise StoreError(
                f"schema {self._schema} of {self._connections.name} was written by another version "
                f"({version!r}, ours is {schemas.VERSION})"
            )
        return version

    def _foreign(self) -> StoreError:
        return StoreError(f"schema {self._schema} of {self._connections.name} belongs to something else")

    # ------------------------------------------------------------------ replay record

    async def admit(
        self, signer: str, digest: bytes, timestamp: int, received: int, former: bytes | None = None
    ) -> Admission:
        """See `SharedStore`."""
        async with self._connections.connection() as connection:
            row = await connection.fetchrow(
                "SELECT *, EXISTS (SELECT FROM seen WHERE jid = $1 AND digest = $9) AS former "
                "FROM admit($1, $2, $3, $4, $5, $6, $7, $8)",
                signer,
                digest,
                timestamp,
                received,
                RECENT,
                AHEAD,
                *self._sizes,
                former,
            )
            # nobody records the former one any more, so it does not matter that it is asked for beside the function
            return Admission(seen=row["seen_"] or row["former"], highest=row["highest"], ahead=row["ahead"])

    # ------------------------------------------------------------------ certificates and decisions

    async def load(self, jid: str) -> Known:
        """See `SharedStore`."""
        async with self._connections.connection() as connection:
            rows = await connection.fetch(schemas.LOAD, jid)
            learned = [each for each in rows if each["id"] is not None]
            return Known(
                certificates=tuple(split_chain(each["chain"]) for each in learned),
                decisions={
                    each["fingerprint"]: self._decision(each["trust"]) for each in rows if each["id"] is None
                },
                announcements={
                    each["fingerprint"]: each["announcement"]
                    for each in learned
                    if each["announcement"] is not None
                },
            )

    async def add_certificate(self, jid: str, chain: Chain) -> bool:
        """See `Store`."""
        async with self._connections.connection() as connection:
            is_new: bool = await connection.fetchval(
                "SELECT add_certificate($1, $2, $3, $4, $5, $6)",
                jid,
                fingerprint_of(chain[0]),
                b"".join(chain),
                *read_identifiers(chain[0]),
                CERTIFICATES_PER_JID,
            )
            return is_new

    async def find_certificates(self, identifier: bytes) -> tuple[bytes, ...]:
        """See `Store`."""
        async with self._connections.connection() as connection:
            rows = await connection.fetch(schemas.FIND, identifier, CERTIFICATES_FOUND)
            return tuple(split_chain(each["chain"])[0] for each in rows)

    async def all_certificates(self) -> Iterable[Chain]:
        """See `Store`."""
        async with self._connections.connection(_LONG) as connection:
            rows = await connection.fetch("SELECT chain FROM certificate")
            return [split_chain(each["chain"]) for each in rows]

    async def announce(self, jid: str, fingerprint: bytes, value: bytes) -> None:
        """See `Store`."""
        async with self._connections.connection() as connection:
            await connection.execute(
                "UPDATE certificate SET announcement = $3 WHERE jid = $1 AND fingerprint = $2",
                jid,
                fingerprint,
                value,
            )

    async def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        """See `Store`."""
        await self._decide(jid, fingerprint, str(check_decision(trust)))

    async def undecide(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""
        await self._decide(jid, fingerprint, None)

    async def _decide(self, jid: str, fingerprint: bytes, trust: str | None) -> None:
        async with self._connections.connection() as connection:
            await connection.execute("SELECT decide($1, $2, $3)", jid, fingerprint, trust)

    async def decide_first_use(self, jid: str, fingerprint: bytes) -> None:
        """See `SharedStore`."""
        async with self._connections.connection() as connection:
            if not await connection.fetchval("SELECT decide_first_use($1, $2)", jid, fingerprint):
                raise StoreError(f"something else has been decided about certificates of {jid} meanwhile")

    async def decide_if_undecided(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""
        async with self._connections.connection() as connection:
            await connection.execute(
                "INSERT INTO decision VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                jid,
                fingerprint,
                str(Trust.TOFU),
            )

    async def all_decisions(self) -> Iterable[tuple[str, bytes, Trust]]:
        """See `Store`."""
        async with self._connections.connection(_LONG) as connection:
            rows = await connection.fetch(
                "SELECT jid, fingerprint, trust FROM decision ORDER BY jid, fingerprint"
            )
            return [(each["jid"], each["fingerprint"], self._decision(each["trust"])) for each in rows]

    def _decision(self, trust: str) -> Trust:
        try:
            return check_decision(Trust(trust))
        except ValueError:
            raise StoreError(
                f"{self._connections.name} is damaged: it holds a decision that is none"
            ) from None

    # ------------------------------------------------------------------ revocation lists

    async def add_revocation_list(self, key: bytes, der: bytes) -> None:
        """See `Store`."""
        async with self._connections.connection() as connection, connection.transaction():
            await connection.execute(schemas.LOCK_LISTS)
            same = hashlib.sha256(key[:LIST_KEY]).digest()
            owners = key[LIST_KEY:][:_OWNERS]
            before = await connection.fetch(
                "SELECT list FROM revocation_list WHERE substr(key, 1, 32) = $1", same
            )
            if not all(takes_the_place(der, each["list"]) for each in before):
                return
            await connection.execute("DELETE FROM revocation_list WHERE substr(key, 1, 32) = $1", same)
            await connection.execute(
                "INSERT INTO revocation_list (key, list) VALUES ($1, $2)", same + owners, der
            )
            kept = await connection.fetch("SELECT id, key FROM revocation_list ORDER BY id")
            while len(kept) > REVOCATION_LISTS:
                gone = kept.pop(list_to_go([each["key"] for each in kept]))
                await connection.execute("DELETE FROM revocation_list WHERE id = $1", gone["id"])

    async def revocation_lists(self) -> Iterable[bytes]:
        """See `Store`."""
        async with self._connections.connection(_LONG) as connection:
            rows = await connection.fetch("SELECT list FROM revocation_list ORDER BY id")
            return [each["list"] for each in rows]
