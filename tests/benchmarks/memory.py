"""Memory: many stanzas sealed by one client and unsealed by another, and what is left of them.

What is remembered on purpose is bounded: replay records, ids of exchanges, parsed certificates. The stanzas of
the warm-up fill those records as far as they can be filled; afterwards nothing may grow. Where the run is
too short to fill them, their growth is taken off.
"""

import gc
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.clock import Effort
from tests.benchmarks.parties import Party, make_parties
from tests.benchmarks.tables import Table

_BATCH: Final = 500
#: The largest record holds so many entries (`formats.claims`).
_WARM: Final = 50_000


@dataclass(frozen=True, slots=True)
class _Record:
    name: str
    bound: str
    #: What holds the entries.
    containers: Callable[[], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class _State:
    stanzas: int
    traced: int
    resident: int
    #: Entries and octets, by record.
    records: dict[str, tuple[int, int]]

    @property
    def kept(self) -> int:
        """The octets in all records."""
        return sum(octets for _, octets in self.records.values())


async def run(effort: Effort) -> list[Table]:
    """Seal and unseal in batches; measure after the warm-up and at the end."""
    records, states = _measure(effort)
    return [_growth_table(states), _record_table(records, states)]


async def growth(effort: Effort) -> float:
    """Return by how many octets a stanza makes memory grow beyond the records, on average after the warm-up."""
    octets, stanzas = _beyond(_measure(effort)[1])
    return octets / stanzas


def _measure(effort: Effort) -> tuple[list[_Record], list[_State]]:
    warm = min(_WARM, effort.stanzas // 2)
    tracemalloc.start()
    try:
        with make_parties() as parties:
            juliet, romeo = parties.juliet(), parties.romeo()
            records = _records(juliet, romeo)
            states = [_state(0, records)]
            for until in (warm, effort.stanzas):
                _exchange(juliet, romeo, until - states[-1].stanzas)
                states.append(_state(until, records))
    finally:
        tracemalloc.stop()
    return records, states


def _exchange(juliet: Party, romeo: Party, stanzas: int) -> None:
    for done in range(0, stanzas, _BATCH):
        wires = [juliet.wire(juliet.seal(juliet.message())) for _ in range(min(_BATCH, stanzas - done))]
        for wire in wires:
            romeo.unseal(romeo.receive(wire))


# --------------------------------------------------------------------------- what is remembered on purpose


def _records(juliet: Party, romeo: Party) -> list[_Record]:
    sender, receiver = juliet.plugin, romeo.plugin
    replay = receiver.protection.store._replay  # type: ignore[attr-defined]
    protections = (sender.protection, receiver.protection)

    def tables(names: Iterable[str]) -> Callable[[], Iterable[Any]]:
        exchanges = (juliet.outbound.exchanges, romeo.outbound.exchanges)
        return lambda: [getattr(each, name)._entries for each in exchanges for name in names]

    return [
        _Record("ids of messages sent, of both clients", "10,000 each, 1 h", tables(["_sent"])),
        _Record("ids of messages received, of both", "10,000 each, 10 min", tables(["_received"])),
        _Record(
            "requests under way and full JIDs, of both",
            "10,000 each",
            tables(["_requests", "_guarded", "_owed", "_fluent"]),
        ),
        _Record(
            "replay record",
            "1,000 a signer, 1,000 signers",
            lambda: [each.digests for each in _signers(replay)],
        ),
        _Record(
            "replay record: order and times",
            "as above",
            lambda: [each._by_timestamp for each in _signers(replay)],
        ),
        _Record(
            "encrypted keys that were seen, of both",
            "50,000; 10,000 of archives each",
            lambda: [
                part._entries
                for each in protections
                for part in (each._arriving._claimed._arrived, each._arriving._claimed._archived)
            ],
        ),
        _Record(
            "certificates, recipients, inclusions, of both",
            "1,024; 4,096; 4,096 each",
            lambda: (
                [
                    part
                    for each in protections
                    for part in (each.peers._keys._entries, each._inclusions._entries)
                ]
                + [each.peers.pool._parsed._entries for each in protections]
            ),
        ),
        _Record(
            "stanzas that the server has not acknowledged",
            "10,000, with XEP-0198 only",
            lambda: [juliet.outbound.resumption._sealed],
        ),
    ]


def _signers(replay: Any) -> list[Any]:
    return list(replay._signers.values())


def _size(containers: Iterable[Any]) -> tuple[int, int]:
    """Return the number of entries and the octets that they and their containers take."""
    entries = octets = 0
    seen: set[int] = set()
    for container in containers:
        entries += len(container)
        octets += _deep(container, seen)
    return entries, octets


def _deep(value: Any, seen: set[int]) -> int:
    if id(value) in seen:
        return 0
    seen.add(id(value))
    total = sys.getsizeof(value)
    if isinstance(value, dict):
        total += sum(_deep(part, seen) for pair in value.items() for part in pair)
    elif isinstance(value, (str, bytes, int)):
        pass
    elif isinstance(value, Iterable):
        total += sum(_deep(part, seen) for part in value)
    return total


# --------------------------------------------------------------------------- figures


def _state(stanzas: int, records: Iterable[_Record]) -> _State:
    gc.collect()
    sizes = {each.name: _size(each.containers()) for each in records}
    gc.collect()
    traced, _ = tracemalloc.get_traced_memory()
    return _State(stanzas, traced, resident(), sizes)


def resident() -> int:
    """Return the octets that are in memory now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _beyond(states: list[_State]) -> tuple[int, int]:
    """Return the octets that came since the warm-up and are in no record, and the number of stanzas."""
    _, warm, end = states
    return (end.traced - end.kept) - (warm.traced - warm.kept), max(end.stanzas - warm.stanzas, 1)


def _growth_table(states: list[_State]) -> Table:
    rows = tuple(
        (
            f"after {state.stanzas:,} stanzas",
            _kib(state.traced),
            _kib(state.kept),
            _kib(state.traced - state.kept),
            _kib(state.resident),
        )
        for state in states
    )
    beyond, count = _beyond(states)
    return Table(
        "Memory of two clients in one process, one sends and the other receives (KiB)",
        ("", "Python objects", "in the records", "beyond them", "resident"),
        rows,
        (
            f"Growth beyond the records in the last {count:,} stanzas: {beyond:,} octets, {beyond / count:.2f} each.",
            "`resident` holds the interpreter, the libraries and what tracemalloc itself keeps.",
        ),
    )


def _record_table(records: Iterable[_Record], states: list[_State]) -> Table:
    rows = tuple(
        (
            each.name,
            each.bound,
            *(f"{state.records[each.name][0]:,}" for state in states[1:]),
            _kib(states[-1].records[each.name][1]),
        )
        for each in records
    )
    columns = ("", "bound", *(f"entries at {state.stanzas:,}" for state in states[1:]), "KiB")
    return Table("The bounded records", columns, rows)


def _kib(octets: int) -> str:
    return f"{octets / 1024:,.0f}"
