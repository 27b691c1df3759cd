"""`kill -9` at any moment of receiving: what was accepted is never accepted again, and nobody honest is refused.

A program with a store in a file gets stanzas through slixmpp's parser from a server, and says of each what became of
it. It is killed at a random moment, is started again, and gets what came before again, with new stanzas before it,
behind it or between.
"""

import asyncio
import os
import random
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES256_GCM
from slixmpp_e2e.cms.enveloped_data import encrypt
from slixmpp_e2e.cms.recipients import recipient_for
from slixmpp_e2e.media import mime
from tests.security.hostile import HostileServer
from tests.security.replay.wire import READER, e2e, stanza
from tests.security.replay.world import SIGNERS, World

#: What a program may have for a handler.
HANDLERS: Final = ("function", "coroutine")
_ROOT: Final = Path(__file__).parents[3]
#: New stanzas for each start, and how many of the old ones come again beside those whose fate is not known.
_NEW: Final = 8
_AGAIN: Final = 8
#: Seconds that a program may take for anything.
_PATIENCE: Final = 60.0


@dataclass(slots=True)
class Fates:
    """What became of what."""

    #: By its number: how often it was accepted.
    accepted: Counter[int] = field(default_factory=Counter)
    #: Those that were taken in and never reached the handler: killed in between.
    cut_off: set[int] = field(default_factory=set)
    #: How many a single kill cut off, and how often.
    cut_off_by_a_kill: Counter[int] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


class Kills:
    """Starts the program, sends to it, and kills it."""

    def __init__(self, world: World, starter: Process, server: HostileServer, report: int, seed: int) -> None:
        self.world = world
        self.fates = Fates()
        self._starter = starter
        self._server = server
        self._report = report
        self._chance = random.Random(f"kills {seed}")
        self._wires: dict[int, str] = {}
        #: Sent, and nothing was heard of it.
        self._unknown: set[int] = set()
        self._written = 0
        self._lines: list[list[str]] = []
        self._came = asyncio.Event()
        self._rest = b""
        asyncio.get_running_loop().add_reader(report, self._read)

    # ------------------------------------------------------------------ the program

    async def _ask(self, *words: object) -> int:
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.write(f"{' '.join(map(str, words))}\n".encode())
        return int(await asyncio.wait_for(self._starter.stdout.readline(), _PATIENCE))

    def _read(self) -> None:
        try:
            data = self._rest + os.read(self._report, 1 << 16)
        except BlockingIOError:
            return
        *lines, self._rest = data.split(b"\n")
        self._lines += [line.decode().split() for line in lines]
        self._came.set()

    async def _heard(self, lines: int) -> None:
        """Wait until the program has said so much."""
        async with asyncio.timeout(_PATIENCE):
            while len(self._lines) < lines:
                self._came.clear()
                await self._came.wait()

    async def _end(self, program: int) -> None:
        os.kill(program, signal.SIGKILL)
        assert await self._ask("wait", program) == -signal.SIGKILL
        self._read()
        assert not self._rest, "a line was cut"

    # ------------------------------------------------------------------ what is sent

    def _write(self) -> int:
        """Sign, and perhaps encrypt, something new."""
        number, chance = len(self._wires), self._chance
        self._written = max(self._written + 1000, time.time_ns())
        signer = chance.choice(SIGNERS)
        entity = self.world.writers[signer].signed(str(number), self._written)
        if chance.random() < 0.5:
            reader = recipient_for(self.world.people[READER].parsed)
            der = encrypt(entity, [reader], cipher=chance.choice([AES128_CBC, AES256_GCM]))
            entity = mime.pkcs7_mime(der, "enveloped-data", binary=True)
        text = mime.encode_base64(entity.partition(b"\r\n\r\n")[2]).decode().replace("\r\n", "\n")
        self._wires[number] = stanza("message", e2e(text), sender=f"{signer}/x", id_=str(number))
        return number

    def _choose(self) -> list[int]:
        """Return what is sent this time: what is new, what nothing was heard of, and some of the rest."""
        again = {*self._unknown, *self._chance.sample(range(len(self._wires)), min(_AGAIN, len(self._wires)))}
        again.update(range(max(0, len(self._wires) - _NEW), len(self._wires)))
        new = [self._write() for _ in range(_NEW)]
        order = self._chance.choice([[*sorted(again), *new], [*new, *sorted(again)], sorted(again) + new])
        if self._chance.random() < 0.3:
            self._chance.shuffle(order)
        return order

    # ------------------------------------------------------------------ a kill

    async def kill(self, how: str) -> None:
        """Start the program, kill it at a random moment, and see what it says that it got."""
        before, accepted = self._taken_in(), self.fates.accepted.total()
        self._lines.clear()
        program = await self._ask("start", self._server.port, how)
        if self._chance.random() < 0.1:  # while it starts, opens the store, or logs in
            await asyncio.sleep(self._chance.uniform(0, 0.15))
            await self._end(program)
            self.fates.counts["while it started"] += 1
        else:
            await self._heard(1)
            sent = self._choose()
            self._unknown.update({*sent} - {*self.fates.accepted} - self.fates.cut_off)
            self._say(sent)
            await self._heard(1 + self._chance.randint(0, len(sent)))
            await asyncio.sleep(self._chance.uniform(0, 0.003))
            await self._end(program)
            self.fates.counts["while it received"] += 1
        self._note()
        lost = self._taken_in() - before - (self.fates.accepted.total() - accepted)
        self.fates.cut_off_by_a_kill[lost] += 1

    def _say(self, numbers: list[int]) -> None:
        """Send them all at once: how much of that the program reads at a time is its system's choice."""
        self._server.say("".join(self._wires[each] for each in numbers))

    async def finish(self, how: str) -> None:
        """Let the program live until it has judged all that nothing was heard of, and once more all that there is."""
        self._lines.clear()
        program = await self._ask("start", self._server.port, how)
        await self._heard(1)
        new = [self._write() for _ in range(_NEW)]
        waiting = [*sorted(self._unknown), *new]
        self._unknown.update(new)
        said = 1
        for numbers in (waiting, list(range(len(self._wires)))):
            for at in range(0, len(numbers), 50):
                self._say(numbers[at : at + 50])
                said += len(numbers[at : at + 50])
                await self._heard(said)
        await self._end(program)
        self._note()
        self.fates.broken += [f"nothing was heard of {each}" for each in sorted(self._unknown)]

    def _note(self) -> None:
        """Take down what the program said."""
        fates = self.fates
        for what, number, *why in (line for line in self._lines if line != ["ready"]):
            each = int(number)
            first = each in self._unknown
            self._unknown.discard(each)
            if what == "accepted" and first:
                fates.accepted[each] += 1
            elif what != "refused" or why[0] != "seen":
                fates.broken.append(f"{each}: {what} {why}")
            elif first:  # it never reached the handler, and counts as seen: killed in between
                fates.cut_off.add(each)
                fates.counts[f"cut off, {why[1]} in the error"] += 1
            else:
                fates.counts["replays refused"] += 1

    def _taken_in(self) -> int:
        """Return how many stanzas stand in the replay record."""
        path = self.world.directory / "killed.db"
        if not path.exists():
            return 0
        connection = sqlite3.connect(path)
        try:
            tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'seen'").fetchone()[
                0
            ]
            return int(connection.execute("SELECT count(*) FROM seen").fetchone()[0]) if tables else 0
        finally:
            connection.close()


@asynccontextmanager
async def killing(world: World, seed: int) -> AsyncIterator[Kills]:
    """Have what starts programs, and a server for them."""
    os.mkfifo(world.directory / "report")
    report = os.open(world.directory / "report", os.O_RDWR | os.O_NONBLOCK)
    program = [sys.executable, "-m", "tests.security.replay.receiver", str(world.directory)]
    starter = await asyncio.create_subprocess_exec(*program, cwd=_ROOT, stdin=PIPE, stdout=PIPE)
    try:
        async with HostileServer(f"{READER}/orchard") as server:
            yield Kills(world, starter, server, report, seed)
    finally:
        asyncio.get_running_loop().remove_reader(report)
        os.close(report)
        assert starter.stdin is not None
        starter.stdin.close()
        await starter.wait()
