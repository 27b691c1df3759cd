"""docs/mutants.md: the table, and why what survived did."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.mutation.operators import Mutant

REASONS: Final = Path(__file__).with_name("reasons.toml")
_HEAD: Final = Path(__file__).with_name("head.md")


@dataclass(frozen=True, slots=True)
class Row:
    """What became of the mutants of a module."""

    module: str
    mutants: int
    tried: int
    killed: int
    timed_out: int
    survivors: Sequence[Mutant]


def read_reasons() -> dict[str, dict[str, str]]:
    """Return by module and name of a mutant why no test can notice it, or none should."""
    found: dict[str, list[dict[str, Any]]] = tomllib.loads(REASONS.read_text())
    return {
        module: {name: entry["reason"] for entry in entries for name in entry["mutants"]}
        for module, entries in found.items()
    }


def line(row: Row) -> str:
    """Return the row of the table."""
    done = row.killed + row.timed_out
    share = f"{100 * done / row.tried:.1f} %" if row.tried else "-"
    counts = (row.mutants, row.tried, row.killed, row.timed_out, len(row.survivors))
    return f"| {row.module} | {' | '.join(f'{each:,}' for each in counts)} | {share} |"


def write(rows: Sequence[Row]) -> str:
    """Return the document."""
    reasons = read_reasons()
    table = [line(row) for row in rows]
    survivors = [each for row in rows for each in row.survivors]
    total = Row("**together**", *(sum(getattr(row, name) for row in rows) for name in _COUNTS), survivors)
    parts = [_HEAD.read_text().rstrip(), "", *_TABLE, *table, line(total), "", "## What survived", ""]
    for row in rows:
        if row.survivors:
            parts += [f"### {row.module}", ""]
            grouped: dict[str, list[str]] = {}
            for each in row.survivors:
                reason = reasons.get(row.module, {}).get(each.name, "**no reason known: a test is missing**")
                grouped.setdefault(reason, []).append(each.name)
            for reason, names in grouped.items():
                parts += [f"{reason}", "", *(f"- `` {name} ``" for name in names), ""]
    return "\n".join(parts).rstrip() + "\n"


_COUNTS: Final = ("mutants", "tried", "killed", "timed_out")
_TABLE: Final = (
    "| module | mutants | tried | killed | never ended | survived | noticed |",
    "|---|--:|--:|--:|--:|--:|--:|",
)
