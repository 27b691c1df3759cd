"""Stores: what every question costs with few and with many peers, what opening costs, and what a commit costs.

With PostgreSQL where a server can be started: it is ours, behind a Unix socket, and writes to the disk.
"""

import gc
import itertools
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from inspect import isawaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from slixmpp_e2e.certificates.shared_store import SharedStore
from slixmpp_e2e.certificates.store import MemoryStore, Store
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.postgresql import PostgreSQLStore
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.benchmarks.clock import Contestant, Effort, measure
from tests.benchmarks.memory import resident
from tests.benchmarks.populated import (
    ENTRIES,
    NOW,
    certificates,
    digest,
    fill_memory,
    fill_postgresql,
    fill_sqlite,
    peer,
)
from tests.benchmarks.tables import Table, timing_table
from tests.conftest import _PLACES as PLACES
from tests.pki import make_pki
from tests.stores.postgresql import Server

#: Opens a file in a process of its own and prints milliseconds and octets.
_OPENING: Final = """
import os, sys, time
from pathlib import Path
from slixmpp_e2e.certificates.peers import PeerCertificates
from slixmpp_e2e.stores.sqlite import SQLiteStore

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

before, begun = resident(), time.perf_counter()
store = SQLiteStore(Path(sys.argv[1]))
opened = time.perf_counter()
PeerCertificates(None, store)
print((opened - begun) * 1e3, (time.perf_counter() - opened) * 1e3, resident() - before)
"""


async def run(effort: Effort) -> list[Table]:
    """Fill stores, ask them, write into them."""
    peers, seen = effort.stanzas, effort.stanzas * 10
    pki = make_pki()
    make, above = certificates(pki), pki.intermediate.der
    with TemporaryDirectory() as name:
        files = {size: Path(name) / f"{size}.db" for size in ("few", "many")}
        fill_sqlite(files["few"], make, above, 10, 10)
        fill_sqlite(files["many"], make, above, peers, seen)
        opening = _opening(files, peers, seen)
        before = resident()
        full = fill_memory(make, above, peers, seen)
        gc.collect()
        note = f"Memory that the full store in memory takes: {(resident() - before) / 1e6:,.0f} MB."
        stores: dict[str, Store | SharedStore] = {
            "memory, few": fill_memory(make, above, 10, 10),
            "memory, many": full,
            "SQLite, few": SQLiteStore(files["few"]),
            "SQLite, many": SQLiteStore(files["many"]),
        }
        title = (
            f"A question to a store, µs: 10 peers and {peers:,}, with {seen:,} entries in the replay record"
        )
        async with _shared() as shared:
            for size, store in shared.items():
                few = size.endswith("few")
                await fill_postgresql(store, make, above, 10 if few else peers, 10 if few else seen)
            stores |= shared
            questions = await _questions(title, stores, make, above, peers, effort, note)
        for each in stores.keys() - shared.keys():
            stores[each].close()
        return [questions, opening, await _commits(Path(name), effort)]


@asynccontextmanager
async def _shared() -> AsyncIterator[dict[str, PostgreSQLStore]]:
    """Lend two stores in PostgreSQL, or none."""
    if shutil.which("initdb", path=PLACES) is None:
        yield {}
        return
    server = Server(durable=True)
    try:
        stores = {
            f"PostgreSQL, {size}": PostgreSQLStore(server.url(), schema=size, signers=1000)
            for size in ("few", "many")
        }
        for store in stores.values():
            await store.open()
        yield stores
        for store in stores.values():
            await store.close()
    finally:
        server.close()


async def _questions(
    title: str,
    stores: dict[str, Store | SharedStore],
    make: Callable[[int], bytes],
    above: bytes,
    peers: int,
    effort: Effort,
    note: str,
) -> Table:
    numbers = itertools.count(10_000_000)  # of what no store has yet

    def new(calls: int) -> Sequence[int]:
        return [next(numbers) for _ in range(calls)]

    def new_certificates(calls: int) -> Sequence[tuple[str, tuple[bytes, bytes]]]:
        return [(peer(each), (make(each), above)) for each in new(calls)]

    def known(store: str) -> Callable[[int], Sequence[int]]:
        many = 10 if store.endswith("few") else peers
        return lambda calls: [each * 7919 % many for each in new(calls)]

    def identifiers(store: str) -> Callable[[int], Sequence[bytes]]:
        return lambda calls: [b"\x80\x14" + _key_identifier(make(each)) for each in known(store)(calls)]

    rows = []
    for what in (
        "admit, of a signer with a full record",
        "admit, of a signer who is new",
        "decisions",
        "certificates",
        "load",
        "find_certificates, known",
        "find_certificates, unknown",
        "add_certificate",
        "decide",
    ):
        contestants = []
        for name, store in stores.items():
            if what in {"decisions", "certificates", "load"} and not hasattr(store, what):
                continue
            if what.endswith("full record"):
                for number in new(ENTRIES):
                    answer = store.admit(peer(0), digest(number), NOW + number, NOW)
                    if isawaitable(answer):
                        await answer
            call, prepare = _question(what, store, known(name), identifiers(name), new, new_certificates)
            is_shared = isinstance(store, PostgreSQLStore)
            contestants.append(Contestant(name, _waiting(call) if is_shared else call, prepare))
        timings = await measure(contestants, effort)
        rows.append((what, *(f"{timings[each].median:.1f}" if each in timings else "" for each in stores)))
    return Table(title, ("", *stores), tuple(rows), (note,))


def _waiting(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def ask(argument: Any) -> None:
        await call(argument)

    return ask


def _key_identifier(der: bytes) -> bytes:
    at = der.index(b"\x06\x03\x55\x1d\x0e") + 9  # 2.5.29.14, then two OCTET STRINGs
    return der[at : at + 20]


def _question(
    what: str, store: Store | SharedStore, known: Any, identifiers: Any, new: Any, new_certificates: Any
) -> tuple[Callable[[Any], Any], Callable[[int], Any]]:
    if what.endswith("full record"):
        return lambda number: store.admit(peer(0), digest(number), NOW + number, NOW), new
    if what.endswith("is new"):
        return lambda number: store.admit(peer(number), digest(number), NOW + number, NOW), new
    if what.endswith("unknown"):
        return lambda number: store.find_certificates(digest(number)), new
    if what.endswith("known"):
        return store.find_certificates, identifiers
    if what == "add_certificate":
        return lambda each: store.add_certificate(*each), new_certificates
    if what == "decide":
        return lambda number: store.decide(peer(number), digest(number), Trust.PINNED), new
    question = getattr(store, what)
    return lambda number: question(peer(number)), known


def _opening(files: dict[str, Path], peers: int, seen: int) -> Table:
    rows = []
    for size, path in files.items():
        result = subprocess.run(
            [sys.executable, "-c", _OPENING, path], capture_output=True, text=True, check=True
        )
        store, known, octets = (float(each) for each in result.stdout.split())
        name = "few" if size == "few" else f"{peers:,} peers, {seen:,} entries"
        size_on_disk = f"{path.stat().st_size / 1e6:,.1f}"
        rows.append((name, size_on_disk, f"{store:,.1f}", f"{known:,.2f}", f"{octets / 1e6:,.1f}"))
    return Table(
        "Opening a file, in a new process",
        ("", "file, MB", "store, ms", "peers, ms", "memory, MB"),
        tuple(rows),
        (
            "The check of the whole file and of all decisions is in it; the file was in the cache of the system.",
        ),
    )


async def _commits(directory: Path, effort: Effort) -> Table:
    numbers = itertools.count()
    contestants, stores = [], []
    for name, pragmas in (
        ("store in memory", None),
        ("WAL, synchronous = NORMAL (ours)", ()),
        ("WAL, synchronous = OFF", ("synchronous = OFF",)),
        ("WAL, synchronous = FULL", ("synchronous = FULL",)),
        ("rollback journal, synchronous = FULL", ("journal_mode = DELETE", "synchronous = FULL")),
    ):
        store: Store
        if pragmas is None:
            store = MemoryStore(started=0)
        else:
            store = SQLiteStore(directory / f"commit{len(stores)}.db")
            for pragma in pragmas:
                store._connection.execute(f"PRAGMA {pragma}").fetchall()
        stores.append(store)

        def admit(number: int, store: Store = store) -> None:
            store.admit(peer(0), digest(number), NOW + number, NOW)

        for _ in range(min(effort.warm_up, ENTRIES)):
            admit(next(numbers))
        contestants.append(
            Contestant(
                name,
                admit,
                lambda calls: [next(numbers) for _ in range(calls)],
                floor=None if not contestants else "store in memory",
            )
        )
    timings = await measure(contestants, effort)
    for store in stores:
        store.close()
    return timing_table("One `admit`, by what a commit waits for", contestants, timings)
