"""An honest peer beside attackers who send as much as they can: `make flood` (`MINUTES=10`, `RATE=200`, `FROZEN=`).

Romeo, in a process of his own, sends Juliet ten protected messages a second. Attackers, in another, send her RATE
stanzas a second, each kind in turn (`tests.load.hostile`); one of them is an insider with a certificate of the same
authority. Juliet, in this process, protects everything and keeps her store in SQLite. With FROZEN=1 she does what
helps a program against huge stanzas: `gc.freeze()` when she has logged in.
"""

import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from slixmpp import Message

from slixmpp_e2e.outer import E2E_TAG
from tests.benchmarks.tables import Table
from tests.load.garbage import FullCollections
from tests.load.memory import Memory
from tests.load.people import JULIET, ROMEO, address, certificates, server
from tests.load.side import LocalSide, RemoteSide
from tests.load.talker import TEXT, Times
from tests.load.ticker import PUNCTUAL, Lateness

_LINE: Final = "rsa-2048-sqlite"
_RESOURCE: Final = "flood"
_REPOSITORY: Final = Path(__file__).parents[2]
_NAME: Final = "mallory"
_ATTACKERS: Final = tuple(f"{_NAME}-{number}" for number in range(5))
#: Has a certificate of the authority in which Juliet believes.
_INSIDER: Final = _ATTACKERS[0]
#: As Prosody is, it collects garbage each time that its memory has grown by a twentieth. That doubles what every
#: stanza costs it, and more than doubles what thousands of elements cost; the server is not what is measured.
_PROSODY: Final = 'gc = { mode = "generational" }'
#: Seconds between two honest messages.
_EVERY: Final = 0.1
#: The longest delay that is asked for, of 99 in a hundred honest messages.
_WANTED: Final = 0.5


@dataclass(frozen=True, slots=True)
class Moment:
    """What Juliet had at one moment."""

    seconds: float
    memory: Memory
    late: Lateness
    sizes: dict[str, int]


@dataclass
class Flood:
    """What happened."""

    honest: int
    arrived: list[Times] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    #: What the attackers wrote, by kind, and how long it took. The last of it may not have left their buffers.
    hostile: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    #: How many of their stanzas Juliet's client had until the last honest message had arrived.
    reached: int = 0
    #: What Juliet answered the attackers, by kind and type.
    answers: dict[str, int] = field(default_factory=dict)
    #: Juliet's counters.
    counters: dict[str, int] = field(default_factory=dict)
    #: Python's full garbage collections in Juliet's process.
    garbage: FullCollections = field(default_factory=FullCollections)
    #: What she refused, by reason.
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def latencies(self) -> list[float]:
        """Seconds of each honest message."""
        return [(end - start) / 1e9 for start, end in self.arrived]

    def tables(self) -> Iterator[Table]:
        """Return what is to be shown."""
        yield self._summary()
        yield self._hostile()
        yield self._memory()

    def _summary(self) -> Table:
        cuts = statistics.quantiles(self.latencies, n=100)
        late = PUNCTUAL
        for moment in self.moments:
            late = late.worse(moment.late)
        rows = (
            ("honest messages sent", f"{self.honest:,}"),
            ("arrived, proven and in order", f"{len(self.arrived):,}"),
            ("p50, ms", f"{cuts[49] * 1e3:.1f}"),
            ("p99, ms", f"{cuts[98] * 1e3:.1f} " + ("met" if cuts[98] < _WANTED else "missed")),
            ("the longest, ms", f"{max(self.latencies) * 1e3:.1f}"),
            ("event loop late at the worst, ms", f"{late.wall * 1e3:.0f}"),
            ("of that its own work, ms", f"{late.own * 1e3:.0f}"),
            ("full garbage collections", f"{self.garbage.count:,}"),
            ("the longest of these, ms", f"{self.garbage.longest * 1e3:.0f}"),
            ("all of them, s", f"{self.garbage.total:.1f}"),
            ("hostile stanzas written", f"{sum(self.hostile.values()):,}"),
            ("that reached her", f"{self.reached:,}"),
            ("a second", f"{self.reached / self.seconds:.0f}"),
            *((f"answered: {name}", f"{count:,}") for name, count in sorted(self.answers.items())),
        )
        return Table(f"An honest peer beside attackers, {self.seconds:.0f} seconds", ("", ""), rows)

    def _hostile(self) -> Table:
        rows = tuple((kind, f"{count:,}") for kind, count in self.hostile.items())
        refused = ", ".join(f"{count:,} {reason}" for reason, count in self.errors.most_common())
        return Table("What the attackers sent", ("", "stanzas"), rows, (f"Refused: {refused}.",))

    def _memory(self) -> Table:
        names = sorted(
            name for name in self.moments[0].sizes if any(each.sizes[name] for each in self.moments)
        )
        rows = tuple(
            (
                f"{each.seconds:.0f}",
                f"{each.memory.resident / 1e6:.1f}",
                f"{each.memory.blocks:,}",
                *(f"{each.sizes[name]:,}" for name in names),
            )
            for each in self.moments
        )
        return Table("What Juliet's process had", ("seconds", "resident MB", "blocks", *names), rows)


async def flood(
    seconds: float, rate: float, directory: Path, *, looks: int = 10, frozen: bool = False
) -> Flood:
    """Let everybody send for some time; `frozen`: Juliet calls `gc.freeze()` before."""
    async with AsyncExitStack() as stack:
        prosody = await stack.enter_async_context(server(*_ATTACKERS, configuration=_PROSODY))
        certificates(directory, _LINE).issue(_INSIDER, f"{_INSIDER}@localhost")
        juliet = await LocalSide.start(stack, prosody.port, directory, JULIET, _RESOURCE, [_LINE])
        romeo = await RemoteSide.start(stack, prosody.port, directory, ROMEO, _RESOURCE, [_LINE])
        xmpp = juliet.talkers[_LINE].xmpp
        found = Flood(max(1, int(seconds / _EVERY)))
        xmpp.add_event_handler("e2e_error", lambda failure: found.errors.update((failure.reason,)))
        attackers = await _attackers(prosody.port, directory, rate)
        assert attackers.stdin is not None
        assert attackers.stdout is not None
        await attackers.stdout.readline()
        xmpp.add_filter("in", _Wiretap(attackers.stdin, found).hear, 1)
        if frozen:
            gc.collect()
            gc.freeze()
            stack.callback(gc.unfreeze)
        stack.enter_context(found.garbage)
        looking = asyncio.create_task(_look(juliet, found, seconds / looks))
        collecting = asyncio.create_task(juliet.collect(_LINE, found.honest))
        try:
            await romeo.send(_LINE, found.honest, TEXT, _EVERY)
            found.arrived = await collecting
        finally:
            looking.cancel()
            attackers.stdin.close()
            said, _ = await attackers.communicate()
        result = json.loads(said)
        found.seconds, found.hostile, found.answers = result["seconds"], result["sent"], result["answers"]
        found.counters = dict(xmpp.plugin["e2e"].stats())
        await asyncio.gather(looking, return_exceptions=True)
        return found


async def _attackers(port: int, directory: Path, rate: float) -> asyncio.subprocess.Process:
    arguments = (str(port), str(directory), address(JULIET, _LINE, _RESOURCE), str(rate), *_ATTACKERS)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.load.attackers", *arguments),
        cwd=_REPOSITORY,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


class _Wiretap:
    """Shows the attackers what Romeo sends, and counts what they send."""

    def __init__(self, to: asyncio.StreamWriter, found: Flood) -> None:
        self._to, self._found = to, found

    def hear(self, stanza: Any) -> Any:
        sender = stanza.xml.get("from", "")
        payload = stanza.xml.findtext(E2E_TAG)
        if isinstance(stanza, Message) and payload and sender.startswith(ROMEO):
            self._to.write(json.dumps(payload).encode() + b"\n")
        self._found.reached += sender.startswith(_NAME)
        return stanza


async def _look(juliet: LocalSide, found: Flood, every: float) -> None:
    begun = time.monotonic()
    plugin = juliet.talkers[_LINE].xmpp.plugin["e2e"]
    await juliet.lateness()
    while True:
        late = await juliet.lateness()
        found.garbage.collect()
        await juliet.lateness()
        sizes = {each.name: each.value for each in plugin.metrics() if each.kind == "gauge"}
        found.moments.append(Moment(time.monotonic() - begun, Memory.now(), late, sizes))
        await asyncio.sleep(every)


def main() -> None:
    """Print the tables as Markdown."""
    seconds = float(os.environ.get("MINUTES", "10")) * 60
    rate, frozen = float(os.environ.get("RATE", "200")), bool(os.environ.get("FROZEN"))
    with TemporaryDirectory() as name:
        found = asyncio.run(flood(seconds, rate, Path(name), frozen=frozen))
    for table in found.tables():
        print(table.as_markdown())


if __name__ == "__main__":
    main()
