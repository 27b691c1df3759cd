"""`python -m tests.security.oracle`: every attack on the victim and on a weak receiver, and the table of it."""

import argparse
import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from slixmpp_e2e.namespaces import E2E
from tests.benchmarks.tables import Table
from tests.security.oracle.attacks import ATTACKS, LONG, SHORT, Attack, Effort
from tests.security.oracle.forms import forms
from tests.security.oracle.scene import Scene, kinds, scene
from tests.security.oracle.ways import all_ways, by_every_way, flood
from tests.security.oracle.weak import NOBODY
from tests.server.protected import make_pki

#: Of each kind of stanza, so many a second.
_RATE: Final = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attack."""

    sent: int
    answered: int
    #: How many different answers there were.
    answers: int
    recovered: bytes | None
    seconds: float


async def attack(
    scene: Scene,
    chosen: Attack,
    effort: Effort,
    *,
    weakness: AbstractContextManager[None] | None = None,
    remembers: bool = False,
) -> Outcome:
    """Run an attack on the victim, or on a weak receiver.

    Unless the victim `remembers`, she takes every encrypted key for new, so that the attack gets further than it
    would.
    """
    attacker = scene.insider
    scene.forget(for_good=not remembers)
    attacker.repeats_the_first = remembers
    attacker.sent = 0
    attacker.heard.clear()
    scene.failures.received.clear()
    started = time.monotonic()
    with weakness or NOBODY():
        recovered = await chosen.run(scene, effort)
    attacker.repeats_the_first = False
    seconds = time.monotonic() - started
    heard = list(attacker.heard)
    return Outcome(attacker.sent, len(heard), len(kinds(heard)), recovered, seconds)


async def run(effort: Effort, *, seconds: float) -> tuple[list[Table], bool]:
    """Attack; return the tables, and whether nothing was recovered but from weak receivers."""
    good = True
    rows = []
    with TemporaryDirectory() as directory:
        async with scene(make_pki(Path(directory))) as found:
            for name, chosen in ATTACKS.items():
                forgetful = await attack(found, chosen, effort)
                as_she_is = await attack(found, chosen, effort, remembers=True)
                weak = await attack(found, chosen, effort, weakness=chosen.weakness())
                good &= (forgetful.recovered, as_she_is.recovered) == (None, None)
                good &= forgetful.answers == 1 and forgetful.sent == forgetful.answered
                good &= weak.recovered is not None
                rows.append(_row(name, chosen, forgetful, as_she_is, weak))
                print(f"{name}: {forgetful}, {as_she_is}, weak: {weak}", flush=True)
            found.forget(for_good=True)
            ways, different = await by_every_way(found, all_ways())
            made = list(forms(found).values())
            alike = {each for who in (found.insider, found.stranger) for each in await who.ask_all(made)}
            flooded = await flood(found, seconds=seconds, rate=_RATE)
    answered = [each for each in ways.values() if any(E2E in text for text in each)]  # not by the server
    note = (
        f"{len(made)} objects of the attacker's own, broken in every layer: {len(alike)} answer. "
        f"By every way: {len(ways)} ways, {len(answered)} of them answered, with "
        f"{len({text for each in answered for text in each})} different answers; "
        f"{len(different)} depended on what was wrong. "
        f"In {flooded.seconds:.0f} s {dict(flooded.sent)} were sent and {dict(flooded.answered)} answered."
    )
    columns = ("attack", "from", "sent", "answered", "answers", "recovered", "as she is: sent", "recovered")
    weak_columns = ("weak receiver", "sent", "recovered")
    table = Table("Attacks on a live client", (*columns, *weak_columns), tuple(rows), (note,))
    return [table], good and not different and len(alike) == 1 and flooded.is_bounded


def _row(name: str, chosen: Attack, forgetful: Outcome, as_she_is: Outcome, weak: Outcome) -> tuple[str, ...]:
    return (
        name,
        chosen.source,
        f"{forgetful.sent:,}",
        f"{forgetful.answered:,}",
        str(forgetful.answers),
        _shown(forgetful.recovered),
        f"{as_she_is.sent:,}",
        _shown(as_she_is.recovered),
        chosen.weakness.__name__.replace("_", " "),
        f"{weak.sent:,}",
        _shown(weak.recovered),
    )


def _shown(recovered: bytes | None) -> str:
    if recovered is None:
        return "nothing"
    return f"{len(recovered)} octets"


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack and print; return 1 if anything was recovered, or a weak receiver withstood."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.oracle")
    parser.add_argument("--short", action="store_true", help="as in the normal test suite")
    parser.add_argument("--text", action="store_true", help="tables for a terminal, not in Markdown")
    options = parser.parse_args(arguments)
    tables, good = asyncio.run(run(SHORT if options.short else LONG, seconds=2 if options.short else 60))
    for table in tables:
        print(table.as_text() if options.text else table.as_markdown())
    print("Nothing was recovered." if good else "SOMETHING IS WRONG.")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
