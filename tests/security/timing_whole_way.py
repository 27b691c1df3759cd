"""How long the whole way in takes for each forgery; by hand: `python -m tests.security.timing_whole_way`.

As `timing`, but of a request on its way through the plugin's filter, answer to the sender included. Every round takes
one of each kind (`timing_forgeries`) in a new order; `paired` compares each kind with every other one. What an
attacker can use is the difference between the right guess of a padding octet and the wrong ones: it is to vanish. The
other kinds would tell him how far an object could be read; the less they differ the better.

What was measured is kept in a directory, and more is added by every run, until there are enough rounds: a run can be
stopped, or limited by `--minutes`, and goes on. In the end, and with `--table` at once, the tables for docs/timing.md
are printed. What was measured of other code has to be thrown away by hand (`--directory`).

`--server` measures a shorter series over a real Prosody instead: from the stanza that an attacker's client sends to
the answer that it gets.
"""

import argparse
import asyncio
import copy
import gc
import json
import os
import random
import statistics
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final

from slixmpp.xmlstream import tostring

from slixmpp_e2e.errors import DECRYPTION_FAILED, RemoteError
from slixmpp_e2e.formats.claims import ClaimedKeys
from slixmpp_e2e.outer import E2E_TAG
from slixmpp_e2e.plugin.stanzas import ReceiveFailure
from tests.benchmarks.parties import Party, make_parties
from tests.benchmarks.tables import Table
from tests.security.paired import Pair, compare
from tests.security.timing_forgeries import KNOWN_TO_DIFFER, REPLAY, WRONG, Forgeries, forgeries

ROUNDS: Final = 100_000
#: Microseconds: what two kinds may differ at the most, if they differ.
BOUND: Final = 5.0
_WARMING_UP: Final = 100
#: Rounds from one writing to disk to the next.
_SLICE: Final = 1000
_DIRECTORY: Final = Path(".timing")


# --------------------------------------------------------------------------- measuring


def clock(romeo: Party, kinds: Mapping[Any, Sequence[Any]], rounds: int) -> dict[Any, "array[int]"]:
    """Receive one stanza of each kind a round, in a new order each round; return nanoseconds."""
    receive = romeo.plugin._arrivals.unseal
    clocked = {name: array("L") for name in kinds}
    order = list(kinds)
    gc.collect()
    gc.disable()
    try:
        for done in range(rounds):
            random.shuffle(order)
            for name in order:
                stanza = _fresh(random.choice(kinds[name]))
                forget(romeo.xmpp)
                started = perf_counter_ns()
                receive(stanza)
                clocked[name].append(perf_counter_ns() - started)
            if done % 500 == 499:
                gc.collect()
    finally:
        gc.enable()
    return clocked


def forget(xmpp: Any) -> None:
    """Forget the encrypted keys that came before: otherwise every forgery but the first ends with that."""
    xmpp.plugin["e2e"].protection._arriving._claimed = ClaimedKeys()


def _fresh(stanza: Any) -> Any:
    """Return a copy that lies in the cache as every other one does, however often its original was used."""
    twin = copy.copy(stanza)
    payload = twin.xml.find(E2E_TAG)
    payload.text = payload.text[:1] + payload.text[1:]
    return twin


@contextmanager
def ready(warming_up: int) -> Iterator[tuple[Party, Forgeries, dict[str, str]]]:
    """Make the parties and the forgeries, and warm up; yield the receiver, these, and why he refuses each kind."""
    with make_parties() as parties:
        juliet, romeo = parties.juliet(), parties.romeo()
        answers: list[str] = []
        romeo.xmpp.send = lambda stanza, **_: answers.append(tostring(stanza.xml))  # as it would be written
        made = forgeries(parties, juliet, romeo)
        reasons = _check(romeo, made)
        assert len(answers) == 1 + sum(map(len, made.kinds.values()))  # each of them is answered
        clock(romeo, made.kinds, warming_up)
        romeo.xmpp.send = lambda stanza, **_: tostring(stanza.xml)
        yield romeo, made, reasons


def _check(romeo: Party, made: Forgeries) -> dict[str, str]:
    """Return why each kind is refused, as the program hears it; the network hears one answer for all.

    A replay is authenticated and has an answer of its own.
    """
    failures: list[ReceiveFailure] = []
    romeo.xmpp.add_event_handler("e2e_error", failures.append)
    romeo.xmpp.send(romeo.unseal(made.kinds[REPLAY][0]).reply())  # the first time it is none
    reasons, answers = {}, set()
    for name, stanzas in made.kinds.items():
        failures.clear()
        for stanza in stanzas:
            forget(romeo.xmpp)
            assert romeo.plugin._arrivals.unseal(stanza) is None, name
        reasons[name] = ", ".join(sorted({failure.reason for failure in failures}))
        if name != REPLAY:
            answers |= {
                failure.error.answer for failure in failures if isinstance(failure.error, RemoteError)
            }
    assert answers == {DECRYPTION_FAILED}
    romeo.xmpp.del_event_handler("e2e_error", failures.append)
    return reasons


# --------------------------------------------------------------------------- keeping


class Samples:
    """What was measured, on disk: a file for each slice, with the names of the kinds in its first line."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def add(self, samples: Mapping[str, "array[int]"]) -> None:
        """Keep some rounds."""
        path = self._directory / f"{time.time_ns()}.samples"
        with path.open("wb") as file:
            file.write(json.dumps(list(samples)).encode() + b"\n")
            for each in samples.values():
                file.write(each.tobytes())

    def load(self) -> dict[str, "array[int]"]:
        """Return all of it; raise `ValueError` where slices of other kinds lie among them."""
        found: dict[str, array[int]] = {}
        for path in sorted(self._directory.glob("*.samples")):
            header, _, rest = path.read_bytes().partition(b"\n")
            names = json.loads(header)
            if found and names != list(found):
                raise ValueError(f"{path} has other kinds than those before it")
            size = len(rest) // len(names)
            for at, name in enumerate(names):
                found.setdefault(name, array("L")).frombytes(rest[at * size : (at + 1) * size])
        return found


def rounds_of(samples: Mapping[str, Sequence[int]]) -> int:
    """Return how many rounds there are."""
    return len(next(iter(samples.values()), ()))


# --------------------------------------------------------------------------- showing


def tables(samples: Mapping[str, Sequence[int]], reasons: Mapping[str, str]) -> list[Table]:
    """Return the tables for docs/timing.md: all kinds, and all pairs that an attacker could choose."""
    chosen = {name: values for name, values in samples.items() if name not in KNOWN_TO_DIFFER}
    pairs = compare(chosen)
    return [_kinds_table(samples, reasons), _pairs_table(pairs, rounds_of(samples))]


def _kinds_table(samples: Mapping[str, Sequence[int]], reasons: Mapping[str, str]) -> Table:
    rows = []
    for name, values in samples.items():
        first, median, third = statistics.quantiles(values, n=4)
        cells = [
            name,
            reasons.get(name, ""),
            f"{median / 1000:.1f} µs",
            f"{(third - first) / 1000:.1f} µs",
        ]
        if name != WRONG:
            (pair,) = compare({name: values, WRONG: samples[WRONG]})
            cells += [f"{pair.difference / 1000:+.2f} µs", _interval(pair.interval)]
        rows.append(tuple([*cells, "", ""][:6]))
    note = (
        f"{rounds_of(samples):,} rounds with one of each kind. Difference: against the wrong guesses, the median of "
        "the differences within a round, with its 95 % interval. Spread: half of the runs."
    )
    columns = ("", "reason", "median", "spread", "difference", "95 % interval")
    return Table("Refusing a request: the whole way, by what is wrong with it", columns, tuple(rows), (note,))


def _pairs_table(pairs: Sequence[Pair], rounds: int) -> Table:
    widest = sorted(pairs, key=lambda pair: -abs(pair.difference))
    rows = tuple(
        (
            f"{pair.first} − {pair.second}",
            f"{pair.difference / 1000:+.2f} µs",
            _interval(pair.interval),
            f"{pair.p:.2g}",
            f"{pair.bound / 1000:.2f} µs",
            verdict(pair),
        )
        for pair in widest
    )
    counted = [verdict(pair) for pair in pairs]
    note = (
        f"{rounds:,} rounds, {len(pairs)} pairs: {counted.count('not significant')} not significant, "
        f"{counted.count('below the bound')} significant with an upper bound below {BOUND:g} µs, "
        f"{counted.count('ABOVE THE BOUND')} above it. p: Wilcoxon signed-rank, corrected (Holm); "
        "at most: the end of the interval that holds for all pairs at once (95 %)."
    )
    columns = ("pair", "difference", "95 % interval", "corrected p", "at most", "")
    return Table("Every pair that an attacker could choose", columns, rows, (note,))


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0] / 1000:+.2f} … {ends[1] / 1000:+.2f}"


def verdict(pair: Pair) -> str:
    """Say whether a pair differs, and by how much."""
    if pair.p >= 0.05:
        return "not significant"
    return "below the bound" if pair.bound <= BOUND * 1000 else "ABOVE THE BOUND"


def guesses_table(guesses: Mapping[int, Sequence[int]], right: Sequence[int]) -> Table:
    """Return the fastest, the slowest and the right ones of the 256 guesses."""
    medians = {guess: statistics.median(values) / 1000 for guess, values in guesses.items()}
    order = sorted(medians, key=lambda guess: medians[guess])
    middle = statistics.median(medians.values())
    deviation = statistics.stdev(medians[guess] for guess in order if guess not in right)
    shown = sorted({*order[:3], *order[-3:], *right}, key=order.index)
    rows = tuple(
        (
            f"{guess:#04x}",
            "good" if guess in right else "bad",
            f"{medians[guess]:.1f}",
            f"{order.index(guess) + 1}",
            f"{(medians[guess] - middle) / deviation:+.1f}",
        )
        for guess in shown
    )
    note = f"{len(next(iter(guesses.values())))} runs each; median {middle:.1f} µs, deviation {deviation:.2f} µs."
    return Table(
        "The 256 guesses: the fastest, the slowest, the right",
        ("", "padding", "µs", "rank", "sigma"),
        rows,
        (note,),
    )


# --------------------------------------------------------------------------- all of it


async def run(rounds: int, directory: Path, *, minutes: float = 1e9) -> list[Table]:
    """Measure until there are so many rounds, or so many minutes have passed; return the tables."""
    until = time.monotonic() + 60 * minutes
    kept = Samples(directory)
    with ready(min(rounds, _WARMING_UP)) as (romeo, made, reasons):
        missing = rounds - rounds_of(kept.load())
        while missing > 0 and time.monotonic() < until:
            kept.add(clock(romeo, made.kinds, min(missing, _SLICE)))
            missing -= _SLICE
        # how often each guess comes follows from how many rounds there are, so that a short run stays short.
        single = {guess: [stanza] for guess, stanza in enumerate(made.guesses)}
        guesses = clock(romeo, single, max(rounds_of(kept.load()) // 500, 2))
    return [*tables(kept.load(), reasons), guesses_table(guesses, made.right)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.timing_whole_way")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="%(default)s, with one of each kind")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many; the next run goes on")
    parser.add_argument("--directory", type=Path, default=_DIRECTORY, help="%(default)s: what was measured")
    parser.add_argument("--table", action="store_true", help="measure nothing more")
    parser.add_argument("--server", action="store_true", help="over a real server; 1,000 rounds unless told")
    parser.add_argument("--text", action="store_true", help="tables for a terminal, not in Markdown")
    options = parser.parse_args(arguments)
    if options.server:
        from tests.security.oracle.clocked import run_over_server

        rounds = 1000 if options.rounds == ROUNDS else options.rounds
        found = asyncio.run(run_over_server(rounds, minutes=options.minutes))
    elif options.table:
        found = tables(Samples(options.directory).load(), {})
    else:
        print(f"Load {' '.join(f'{each:.1f}' for each in os.getloadavg())}\n", flush=True)
        found = asyncio.run(run(options.rounds, options.directory, minutes=options.minutes))
    for table in found:
        print(table.as_text() if options.text else table.as_markdown())


if __name__ == "__main__":
    main()
