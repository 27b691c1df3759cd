"""A million messages between two bots: `make soak` (`MESSAGES=…`; `MINUTES=…` ends it before).

Romeo and Juliet write to each other over a throw-away Prosody, both in this process and both protected, with so many
messages under way in each direction. Each message has a number. Whatever is lost, doubled or out of order is counted,
and at intervals it is shown how much memory there is and how much the plugins remember.

The tables of the plugin have bounds, and memory grows until the largest is full (50,000 encrypted keys that were
seen, in each direction). `tracemalloc` sees what is allocated and not freed after that (`TRACE=0`: it does not, which
is faster).
"""

import asyncio
import gc
import os
import time
import tracemalloc
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import slixmpp

from slixmpp_e2e.plugin.metrics import Metric
from tests.benchmarks.tables import Table
from tests.load.memory import Memory
from tests.load.people import JULIET, ROMEO, address, certificates, log_in, server
from tests.load.ticker import Lateness, Ticker

_LINE: Final = "rsa-2048"
_RESOURCE: Final = "soak"
#: Messages under way in one direction.
_WINDOW: Final = 20
#: Messages, of both together, after which every table is full; then what grows grows for good.
WARM_UP: Final = 110_000
_TEXT: Final = "x" * 150


@dataclass
class Bot:
    """One of the two: what it sent and what it got."""

    xmpp: slixmpp.ClientXMPP
    peer: str
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_WINDOW))
    sent: int = 0
    #: The number that is due next.
    due: int = 0
    #: Numbers that came when they were not due.
    late_or_twice: int = 0
    #: Numbers that were passed over.
    passed_over: int = 0
    unproven: int = 0
    failures: list[str] = field(default_factory=list)
    other: "Bot | None" = None

    def __post_init__(self) -> None:
        self.xmpp.add_event_handler("message", self._take)
        for event in ("e2e_error", "e2e_send_failed"):
            self.xmpp.add_event_handler(event, lambda failure: self.failures.append(str(failure.error)))

    async def speak(self, count: int, ends: float) -> None:
        """Send messages, as many as are taken, until a moment of `time.monotonic`."""
        while self.sent < count and time.monotonic() < ends:
            await self.slots.acquire()
            self.xmpp.send_message(self.peer, f"{self.sent} {_TEXT}", mtype="chat")
            self.sent += 1

    def _take(self, message: slixmpp.Message) -> None:
        number = int(message["body"].partition(" ")[0])
        report = self.plugin.report(message)
        self.unproven += report is None or not report.authenticated or not report.encrypted
        if number < self.due:
            self.late_or_twice += 1
        else:
            self.passed_over += number - self.due
            self.due = number + 1
        assert self.other is not None
        self.other.slots.release()

    @property
    def plugin(self) -> Any:
        """The plugin."""
        return self.xmpp.plugin["e2e"]


@dataclass(frozen=True, slots=True)
class Interval:
    """What there was at one moment."""

    messages: int
    seconds: float
    memory: Memory
    late: Lateness
    #: The sizes of the tables of both.
    sizes: dict[str, int]


@dataclass
class Soak:
    """What happened."""

    bots: tuple[Bot, Bot]
    intervals: list[Interval] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """How many were sent by both."""
        return sum(bot.sent for bot in self.bots)

    @property
    def arrived(self) -> int:
        """How many arrived, each counted once."""
        return sum(bot.due - bot.passed_over for bot in self.bots)

    @property
    def is_under_way(self) -> bool:
        """Whether something has still to arrive, nothing having gone wrong."""
        return self.arrived < self.sent and not any(bot.failures for bot in self.bots)

    @property
    def wrong(self) -> dict[str, int]:
        """What should not have happened."""
        bots = self.bots
        return {
            "lost": self.sent - self.arrived,
            "doubled or late": sum(bot.late_or_twice for bot in bots),
            "unproven": sum(bot.unproven for bot in bots),
            "reported": sum(len(bot.failures) for bot in bots),
        }

    def table(self) -> Table:
        """Return what is to be shown."""
        names = sorted(self.intervals[-1].sizes)
        sizes = [name for name in names if any(each.sizes[name] for each in self.intervals)]
        rows = tuple(_row(each, sizes) for each in self.intervals)
        columns = (
            *("messages", "a second", "resident MB", "in C MB", "idle MB"),
            *("blocks", "traced kB", "late ms", "own ms"),
            *sizes,
        )
        notes = (
            f"{self.sent:,} messages sent, {self.arrived:,} arrived: "
            + ", ".join(f"{count} {what}" for what, count in self.wrong.items())
            + ".",
        )
        return Table("Two bots that write to each other", columns, rows, notes)


def _row(interval: Interval, sizes: list[str]) -> tuple[str, ...]:
    memory = interval.memory
    return (
        f"{interval.messages:,}",
        f"{interval.messages / interval.seconds:,.0f}",
        f"{memory.resident / 1e6:.1f}",
        f"{memory.allocated / 1e6:.1f}",
        f"{memory.idle / 1e6:.1f}",
        f"{memory.blocks:,}",
        "" if memory.traced is None else f"{memory.traced / 1e3:,.0f}",
        f"{interval.late.wall * 1e3:.0f}",
        f"{interval.late.own * 1e3:.0f}",
        *(f"{interval.sizes[name]:,}" for name in sizes),
    )


def sizes(bot: Bot) -> dict[str, int]:
    """Return how much a plugin remembers."""
    found: list[Metric] = [each for each in bot.plugin.metrics() if each.kind == "gauge"]
    return {each.name: each.value for each in found}


async def soak(
    messages: int, directory: Path, *, intervals: int = 10, minutes: float = 10_000, trace: bool = False
) -> Soak:
    """Let both send half of so many messages, unless time runs out before."""
    ends = time.monotonic() + minutes * 60
    async with AsyncExitStack() as stack:
        prosody = await stack.enter_async_context(server())
        certificates(directory, _LINE)
        ticker = await stack.enter_async_context(Ticker())
        romeo, juliet = [
            Bot(
                await log_in(stack, prosody.port, directory, who, _LINE, _RESOURCE),
                address(other, _LINE, _RESOURCE),
            )
            for who, other in ((ROMEO, JULIET), (JULIET, ROMEO))
        ]
        romeo.other, juliet.other = juliet, romeo
        found = Soak((romeo, juliet))
        begun = time.monotonic()
        await ticker.take()
        speaking = asyncio.gather(*(bot.speak(messages // 2, ends) for bot in found.bots))
        if trace:
            stack.callback(tracemalloc.stop)
        for number in range(1, intervals + 1):
            while not speaking.done() and number > intervals * max(
                found.arrived / messages, (time.monotonic() - begun) / (minutes * 60)
            ):
                await asyncio.sleep(0.05)
                if trace and not tracemalloc.is_tracing() and found.arrived >= min(WARM_UP, messages // 2):
                    tracemalloc.start()
            if speaking.done():
                async with asyncio.timeout(60):
                    while found.is_under_way:  # noqa: ASYNC110 nobody could set an event
                        await asyncio.sleep(0.05)
            seconds = time.monotonic() - begun
            late = await ticker.take()
            gc.collect()
            await ticker.take()
            both = [sizes(bot) for bot in found.bots]
            together = {name: sum(each[name] for each in both) for name in both[0]}
            found.intervals.append(Interval(found.arrived, seconds, Memory.now(), late, together))
            if speaking.done() and found.arrived == found.sent:
                break
        await speaking
        await asyncio.sleep(0.2)  # what comes twice would come now
        return found


def main() -> None:
    """Print the table as Markdown, and fail if anything was lost, doubled or out of order."""
    messages = int(os.environ.get("MESSAGES", "1000000"))
    minutes = float(os.environ.get("MINUTES", "10000"))
    trace = os.environ.get("TRACE", "1") == "1"
    with TemporaryDirectory() as name:
        found = asyncio.run(soak(messages, Path(name), intervals=20, minutes=minutes, trace=trace))
    print(found.table().as_markdown())
    if any(found.wrong.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
