"""Replays by the thousand, in every disguise, to one account with two clients that share a store.

Beside them stands somebody who sees the same and forgets it at once: what he takes is a replay that only the memory
stops, and counts as `good`. A disguise that he does not take is one that does not fit.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.leaving import Format
from slixmpp_e2e.policy import Level
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.accounts import Clock
from tests.security.replay.again import Replay
from tests.security.replay.disguises import disguise
from tests.security.replay.loot import KINDS, Loot, write
from tests.security.replay.race import CLIENTS, Heat
from tests.security.replay.wire import READER
from tests.security.replay.world import OTHER, SIGNERS, Client, Outcome, World, is_taken

#: How something is protected: with what, how much, and in which format.
WAYS: Final[tuple[tuple[str, Level, Format], ...]] = (
    ("aes128-cbc", Level.REQUIRED, "rfc3923"),
    ("aes256-gcm", Level.REQUIRED, "rfc3923"),
    ("auto", Level.SIGN, "rfc3923"),
    ("auto", Level.REQUIRED, "objenc"),
)
#: How many of the stanzas that were sent last are used again.
_KEPT: Final = 40
#: Seconds that the clock is set: a little, or far away and back again.
_STEPS: Final = (0.001, 1, 30, 200, -1, -45, -150)
_LEAPS: Final = (400, 3600, 90_000, -400, -90_000)


@dataclass(slots=True)
class Tally:
    """What became of what was sent, and of what came again."""

    counts: Counter[str] = field(default_factory=Counter)
    #: By disguise: how many wore it, and how many of these were good.
    worn: Counter[str] = field(default_factory=Counter)
    good: Counter[str] = field(default_factory=Counter)
    #: What was accepted that may not be, and honest stanzas that were not.
    broken: list[str] = field(default_factory=list)


class Run:
    """The reader's two clients, who writes to him, and who replays."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(f"replays {seed}")
        self.clock = Clock()
        self._path = world.directory / f"replays-{seed}.db"
        self.devices = [self._device() for _ in range(2)]
        self.forgetful = Client(world, self.clock, MemoryStore(started=0))
        self.other = Client(world, self.clock, MemoryStore(started=0), jid=OTHER)
        self.senders = [
            (Client(world, self.clock, MemoryStore(started=0), jid=jid, cipher=cipher), level, written_as)
            for jid in SIGNERS
            for cipher, level, written_as in WAYS
        ]
        self.loot: list[Loot] = []
        self.tally = Tally()
        self._away = 0

    def _device(self) -> Client:
        return Client(self.world, self.clock, SQLiteStore(self._path))

    async def replay(self, how_many: int) -> Tally:
        """Replay so many stanzas, with honest ones between them, and return what became of them."""
        for number in range(how_many):
            what = self.chance.random()
            if not self.loot or (what < 0.05 and not self._away):
                self._write()
            elif what < 0.10:
                self._set_clock()
            elif what < 0.105:
                self._restart()
            self._replay(number)
            if number % 100 == 0:
                await asyncio.sleep(0)  # so that what is closed ends
        return self.tally

    def _write(self) -> None:
        """Let somebody send something: it is accepted, by one of the clients."""
        sender, level, written_as = self.chance.choice(self.senders)
        number = self.tally.counts["honest"]
        kind = self.chance.choice(KINDS)
        reader = self.world.people[READER]
        loot = write(sender, reader, number, kind=kind, level=level, written_as=written_as)
        outcome = self.chance.choice(self.devices).receive(loot.wire)
        is_overtaken = kind == "presence" and outcome.reasons == ["decreasing"]
        if not (is_taken(outcome, loot.secret) and outcome.reports[0].authenticated) and not is_overtaken:
            self.tally.broken.append(f"honest {number}: {outcome.reasons}")
        self.tally.counts["honest"] += 1
        self.loot = [*self.loot[1 - _KEPT :], loot]

    def _set_clock(self) -> None:
        """Let time pass, or set the clock: by hours only for a while."""
        if self._away:
            self.clock.pass_seconds(-self._away)
            self._away = 0
        elif self.chance.random() < 0.2:
            self._away = self.chance.choice(_LEAPS)
            self.clock.pass_seconds(self._away)
        else:
            self.clock.pass_seconds(self.chance.choice(_STEPS))
        self.tally.counts["clock set"] += 1

    def _restart(self) -> None:
        """End one of the clients, and start it again."""
        number = self.chance.randrange(len(self.devices))
        self.devices[number].close()
        self.devices[number] = self._device()
        self.tally.counts["restarts"] += 1

    def _replay(self, number: int) -> None:
        loot = self.chance.choice(self.loot)
        replay = disguise(loot, self.world, self.chance, self.clock.now)
        wire = replay.wire()
        outcome = self.chance.choice(self.devices).receive(wire)
        if is_taken(outcome, loot.secret):
            self.tally.broken.append(f"replay {number} of {loot.number}: {', '.join(replay.worn)}: {wire}")
        self._note(replay, wire, outcome)
        if replay.to_others:
            replay.to = f"{OTHER}/orchard"
            if is_taken(self.other.receive(replay.wire()), loot.secret):
                self.tally.broken.append(f"replay {number} of {loot.number} to {OTHER}")
            self.tally.counts["to somebody else"] += 1

    def _note(self, replay: Replay, wire: str, outcome: Outcome) -> None:
        self.forgetful.forget()
        is_good = is_taken(self.forgetful.receive(wire), replay.loot.secret)
        what = "archived" if outcome.reports else outcome.reasons[0] if outcome.reasons else "not delivered"
        counts = self.tally.counts
        counts.update(
            ["replays", *(["good"] if is_good else []), f"good: {what}" if is_good else f"bad: {what}"]
        )
        self.tally.worn.update(replay.worn)
        if is_good:
            self.tally.good.update(replay.worn)

    def close(self) -> None:
        """End all of them."""
        for device in self.devices:
            device.close()

    def heats(self, how_many: int) -> list[Heat]:
        """Return stanzas that never came, each in as many disguises that fit as there are clients to get it."""
        found = []
        for number in range(how_many):
            sender, level, written_as = self.chance.choice(self.senders)
            reader = self.world.people[READER]
            loot = write(sender, reader, 10**6 + number, kind="message", level=level, written_as=written_as)
            wires: list[str] = []
            while len(wires) < CLIENTS:
                wire = disguise(loot, self.world, self.chance, self.clock.now).wire()
                self.forgetful.forget()
                outcome = self.forgetful.receive(wire)
                if is_taken(outcome, loot.secret):
                    wires.append(wire)
            found.append(Heat(loot.secret, tuple(wires)))
        return found
