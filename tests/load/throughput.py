"""How much two clients get through, in clear and protected: `make load`.

Two clients in one process, and two in a process each, over a throw-away Prosody on the same machine. What is compared
takes turns, in short blocks and in a new order each round, so that the mood of the machine hits all alike:

- *burst*: so many messages are sent at once; how many arrive in a second. In one direction, in the other, and in both
  at once (then the sum counts).
- *paced*: one message every ten milliseconds; how long each takes.
- *requests*: eight are under way at any time; how many are answered in a second. And one every ten milliseconds.
- *late*: how long the event loop (the worse one of two) did nothing else, at the worst.

Beside that, in the same rounds, the whole way of a stanza through the plugin (`tests.benchmarks`), for what could be
expected at best: 1 / (time of a clear stanza with as many octets + time of the whole way).
"""

import asyncio
import os
import random
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from slixmpp import Iq, Message
from slixmpp.xmlstream import tostring

from tests.benchmarks import clock
from tests.benchmarks.tables import Table
from tests.load.people import JULIET, LINES, ROMEO, certificates, server
from tests.load.side import LocalSide, RemoteSide, Side
from tests.load.talker import TEXT, Talker, Times
from tests.load.ticker import PUNCTUAL, Lateness
from tests.load.whole_way import BATCHES, WholeWay

#: What is asked for (issue 5).
_WANTED_QUOTIENT: Final = 0.8
_WANTED_RATE: Final = 350
_LATE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    #: Messages and requests in a block.
    burst: int = 200
    paced: int = 100
    #: Seconds.
    every: float = 0.01
    way: clock.Effort = BATCHES


@dataclass(frozen=True, slots=True)
class Contestant:
    """What is compared: a line, and how long the texts on it are."""

    name: str
    line: str
    text: int
    question: int
    #: Octets of a message on the wire, as its sender's stream has it.
    octets: int
    #: For what is protected: the clear one that is as long.
    as_long: str | None = None


@dataclass
class Figures:
    """What one contestant achieved in one arrangement: a number for each block."""

    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    #: Seconds.
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    late: Lateness = PUNCTUAL


@dataclass
class Arrangement:
    """The two ends of every line, wherever they are."""

    name: str
    romeo: Side
    juliet: Side
    figures: dict[str, Figures] = field(default_factory=lambda: defaultdict(Figures))

    async def block(self, contestant: Contestant, effort: Effort) -> None:
        """Measure everything once."""
        found, line = self.figures[contestant.name], contestant.line
        await self._lateness()
        ways: tuple[tuple[str, tuple[tuple[Side, Side], ...]], ...] = (
            ("→", ((self.romeo, self.juliet),)),
            ("←", ((self.juliet, self.romeo),)),
            ("⇄", ((self.romeo, self.juliet), (self.juliet, self.romeo))),
        )
        for name, pairs in ways:
            times = await _send(pairs, line, effort.burst, contestant.text)
            found.rates[name].append(_rate(times))
        asked = await self.romeo.ask(line, effort.burst, contestant.question)
        found.rates["iq"].append(_rate(asked))
        paced = await _send(ways[0][1], line, effort.paced, contestant.text, effort.every)
        found.latencies["message"] += _latencies(paced)
        asked = await self.romeo.ask(line, effort.paced, contestant.question, effort.every)
        found.latencies["iq"] += _latencies(asked)
        found.late = found.late.worse(await self._lateness())

    async def _lateness(self) -> Lateness:
        return (await self.romeo.lateness()).worse(await self.juliet.lateness())


async def _send(
    pairs: Sequence[tuple[Side, Side]], line: str, count: int, text: int, every: float | None = None
) -> list[Times]:
    async with asyncio.TaskGroup() as doing:
        collecting = [doing.create_task(receiver.collect(line, count)) for _, receiver in pairs]
        for sender, _ in pairs:
            doing.create_task(sender.send(line, count, text, every))
    return [each for task in collecting for each in task.result()]


def _rate(times: list[Times]) -> float:
    return len(times) / (max(end for _, end in times) - min(start for start, _ in times)) * 1e9


def _latencies(times: list[Times]) -> list[float]:
    return [(end - start) / 1e9 for start, end in times]


# --------------------------------------------------------------------------- what is compared


async def _contestants(romeo: LocalSide, juliet: LocalSide) -> list[Contestant]:
    plain = await _octets(romeo.talkers["clear"], juliet.talkers["clear"])
    found = [Contestant("clear", "clear", TEXT, TEXT, plain["message"])]
    for line in LINES:
        if line == "clear":
            continue
        octets = await _octets(romeo.talkers[line], juliet.talkers[line])
        text, question = (TEXT + octets[kind] - plain[kind] for kind in ("message", "iq"))
        clear = f"clear, as long as {line}"
        if not line.endswith("sqlite"):
            found.append(Contestant(clear, "clear", text, question, octets["message"]))
        as_long = clear.removesuffix("-sqlite")
        found.append(Contestant(line, line, TEXT, TEXT, octets["message"], as_long))
    return found


async def _octets(romeo: Talker, juliet: Talker) -> dict[str, int]:
    """Return how many octets a message and a request are on the wire, once the certificates are there."""
    seen: dict[str, int] = {}

    def look(stanza: Any) -> Any:
        for name, kind in (("message", Message), ("iq", Iq)):
            if isinstance(stanza, kind):
                text = tostring(stanza.xml, xmlns=romeo.xmpp.default_ns, stream=romeo.xmpp, top_level=True)
                seen[name] = len(text.encode())
        return stanza

    for sender, receiver in ((juliet, romeo), (romeo, juliet)):
        await sender.send(3, TEXT)
        await receiver.collect(3)
        await sender.ask(3, TEXT)
    romeo.xmpp.add_filter("out_sce", look)
    await romeo.send(1, TEXT)
    await juliet.collect(1)
    await romeo.ask(1, TEXT)
    romeo.xmpp.del_filter("out_sce", look)
    return seen


# --------------------------------------------------------------------------- the run


@dataclass
class Run:
    """What was measured."""

    effort: Effort
    contestants: list[Contestant]
    arrangements: list[Arrangement]
    #: Seconds of the whole way, by line: one for each round.
    ways: dict[str, list[float]]

    def tables(self) -> Iterator[Table]:
        """Return what is to be shown."""
        yield self._figures()
        yield self._expected()

    def _figures(self) -> Table:
        rows = []
        for arrangement in self.arrangements:
            for contestant in self.contestants:
                found = arrangement.figures[contestant.name]
                rates = [f"{statistics.median(found.rates[name]):,.0f}" for name in ("→", "←", "⇄")]
                late = f"{found.late.wall * 1e3:.0f}" + (" missed" if found.late.wall > _LATE else "")
                name = f"{arrangement.name}: {contestant.name}"
                message, iq = (_quantiles(found.latencies[kind]) for kind in ("message", "iq"))
                asked = f"{statistics.median(found.rates['iq']):,.0f}"
                own = f"{found.late.own * 1e3:.0f}"
                rows.append((name, f"{contestant.octets:,}", *rates, *message, asked, *iq, late, own))
        columns = (
            "",
            "octets",
            *("messages/s →", "←", "⇄", "p50 ms", "p99 ms"),
            *("requests/s", "p50 ms", "p99 ms", "late ms", "own ms"),
        )
        effort = self.effort
        notes = (
            f"{effort.rounds} rounds; in each {3 * effort.burst} + {effort.burst} messages and {effort.burst} "
            f"requests in bursts and {effort.paced} of both at a pace, for every row. Load when it ended: "
            + " ".join(f"{each:.1f}" for each in os.getloadavg()),
        )
        title = f"Messages and requests in clear and protected, {TEXT} octets of text"
        return Table(title, columns, tuple(rows), notes)

    def _expected(self) -> Table:
        rows = []
        arrangement = self.arrangements[0]
        for contestant in self.contestants:
            if contestant.as_long is None:
                continue
            found, clear = arrangement.figures[contestant.name], arrangement.figures[contestant.as_long]
            ways = self.ways[contestant.line]
            for name, kind, times in (("→", "messages →", 1), ("←", "messages ←", 1), ("iq", "requests", 2)):
                pairs = zip(found.rates[name], clear.rates[name], ways, strict=True)
                quotients = [rate * (1 / plain + times * way) for rate, plain, way in pairs]
                quotient, rate = statistics.median(quotients), statistics.median(found.rates[name])
                wanted = times == 1 and contestant.line == "rsa-2048"
                rows.append(
                    (
                        f"{contestant.name}, {kind}",
                        f"{statistics.median(ways) * times * 1e6:,.0f}",
                        f"{1e6 / statistics.median(clear.rates[name]):,.0f}",
                        f"{1e6 / rate:,.0f}",
                        f"{rate:,.0f}" + (f" {_met(rate >= _WANTED_RATE)}" if wanted else ""),
                        f"{quotient * 100:.0f} %"
                        + (f" {_met(quotient >= _WANTED_QUOTIENT)}" if wanted else ""),
                    )
                )
        columns = (
            "",
            "whole way µs",
            "clear, as long µs",
            "protected µs",
            "protected/s",
            "of what is possible",
        )
        title = f"{arrangement.name.capitalize()}: what could be expected, and what was"
        return Table(title, columns, tuple(rows))


def _quantiles(values: list[float]) -> tuple[str, str]:
    cuts = statistics.quantiles(values, n=100)
    return f"{cuts[49] * 1e3:.1f}", f"{cuts[98] * 1e3:.1f}"


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


async def run(effort: Effort, directory: Path) -> Run:
    """Measure in one process and in two."""
    lines = list(LINES)
    async with AsyncExitStack() as stack:
        prosody = await stack.enter_async_context(server())
        certificates(directory, *lines)
        both = [
            await LocalSide.start(stack, prosody.port, directory, who, "one", lines)
            for who in (ROMEO, JULIET)
        ]
        apart = (
            await LocalSide.start(stack, prosody.port, directory, ROMEO, "two", lines),
            await RemoteSide.start(stack, prosody.port, directory, JULIET, "two", lines),
        )
        arrangements = [Arrangement("one process", *both), Arrangement("two processes", *apart)]
        contestants = await _contestants(*both)
        ways = {line: WholeWay(directory, line, effort.way) for line in lines if LINES[line] is not None}
        found = Run(effort, contestants, arrangements, defaultdict(list))
        turns = [(arrangement, each) for arrangement in arrangements for each in contestants]
        for _ in range(effort.rounds):
            random.shuffle(turns)
            for arrangement, contestant in turns:
                await arrangement.block(contestant, effort)
            for line, way in ways.items():
                found.ways[line].append(await way.seconds())
        return found


def main() -> None:
    """Print the tables as Markdown; `ROUNDS` says how much is measured."""
    with TemporaryDirectory() as name:
        found = asyncio.run(run(Effort(int(os.environ.get("ROUNDS", "8"))), Path(name)))
    for table in found.tables():
        print(table.as_markdown())


if __name__ == "__main__":
    main()
