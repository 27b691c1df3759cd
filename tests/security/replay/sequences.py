"""Sequences of clocks and timestamps, drawn at random: what the plugin and the model say of each stanza."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from slixmpp_e2e.certificates.store import MemoryStore, Store
from slixmpp_e2e.cms.algorithms import AES128_CBC, AES256_GCM
from slixmpp_e2e.cms.enveloped_data import encrypt
from slixmpp_e2e.cms.recipients import recipient_for
from slixmpp_e2e.media import mime
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.accounts import Clock
from tests.security.replay.section_6_9 import SECOND, Arrival, Model, Object, Verdict
from tests.security.replay.wire import READER, carbon, delay, e2e, result, stanza
from tests.security.replay.world import SIGNERS, Client, Outcome, World

START: Final = 1_772_366_400 * SECOND
#: Seconds that a clock goes on, or is set.
_STEPS: Final = (
    *(0, 0, 0.3, 1, 2, 30, 59, 61, 200, 299, 301, 600, 601, 3600, 86_400),
    *(-0.5, -2, -59, -61, -299, -301, -700, -90_000),
)
_OURS: Final = ("example.net", READER, f"{READER}/orchard")
_OTHERS: Final = ("example.com", "juliet@example.com", "romeo.example.net", "mercutio@example.net")


@dataclass(slots=True)
class Sequence:
    """One receiver, those who write to him, and everybody's clocks."""

    world: World
    number: int
    chance: random.Random = field(init=False)
    clock: Clock = field(init=False)
    client: Client = field(init=False)
    model: Model = field(init=False)
    #: What was written, and the octets of it.
    written: list[tuple[Object, str]] = field(default_factory=list)
    #: What was said, and how often.
    verdicts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = chance = random.Random(f"sequence {self.number}")
        self.clock = Clock(START + chance.randrange(86_400 * SECOND))
        entries, signers = chance.choice([(1000, 1000), (3, 1000), (1000, 2), (4, 2), (2, 1)])
        window = chance.choice([300, 300, 300, 300, 5, 3600])
        forgets = chance.random() < 0.2
        self.model = Model(window * SECOND, entries, signers, forgets=forgets)
        self.model.floor = self.clock.now if forgets else 0
        self.start()

    def start(self) -> None:
        """Start the program; it has the file that it had before."""
        self.client = Client(self.world, self.clock, self._store(), window=self.model.window // SECOND)

    def _store(self) -> Store:
        sizes = {"entries_per_signer": self.model.entries_per_signer, "signers": self.model.signers}
        if not self.model.forgets:
            return SQLiteStore(self.world.directory / f"sequence-{self.number}.db", **sizes)
        store = MemoryStore(started=self.clock.now)
        store._replay._entries_per_signer, store._replay._max_signers = sizes.values()
        return store

    def run(self, events: int) -> None:
        """Let things happen; raise `AssertionError` where plugin and model are of two minds."""
        for event in range(events):
            what = self.chance.random()
            if what < 0.25:
                self.clock.pass_seconds(self.chance.choice(_STEPS))
            elif what < 0.29:
                self.client.close()
                self.model.restart(self.clock.now)
                self.start()
                self.verdicts["start"] += 1
            else:
                self._receive(event)
        self.client.close()
        for path in self.world.directory.glob(f"sequence-{self.number}.db*"):
            path.unlink()

    def _receive(self, event: int) -> None:
        is_new = not self.written or self.chance.random() < 0.6
        what, text = self._write() if is_new else self.chance.choice(self.written[-8:])
        wire, arrival = self._send(what, text)
        expected = self.model.receive(what, arrival)
        found = verdict(self.client.receive(wire))
        assert found == expected, f"sequence {self.number}, event {event}: {what}, {arrival}"
        self.verdicts[expected.mark + (f" ({expected.how})" if expected.how not in {"", "live"} else "")] += 1

    def _write(self) -> tuple[Object, str]:
        """Let somebody sign something, dated by a clock that is his own."""
        chance, window = self.chance, self.model.window
        around = chance.choice([self.clock.now, *(each.timestamp for each, _ in self.written[-4:])])
        anywhere = chance.choice([chance.randrange(-window, window), chance.randrange(-2 * SECOND, SECOND)])
        offset = chance.choice([0, -window, window, anywhere, anywhere])
        moment = max(around + offset + chance.choice([0, 0, 1, -1, 1000, SECOND]), 1)
        is_bare = chance.random() < 0.25
        if is_bare:
            moment -= moment % SECOND  # what dates it has whole seconds (E21)
        kind = chance.choice(["message", "message", "message", "presence"])
        signer = chance.choice(SIGNERS)
        what = Object(len(self.written), signer, moment, kind, chance.random() < 0.3)
        entity = self.world.writers[signer].signed(
            f"{self.number}.{what.number}", moment, kind=kind, bare=is_bare
        )
        if what.encrypted:
            cipher = chance.choice([AES128_CBC, AES256_GCM])
            der = encrypt(entity, [recipient_for(self.world.people[READER].parsed)], cipher=cipher)
            entity = mime.pkcs7_mime(der, "enveloped-data", binary=True)
        text = mime.encode_base64(entity.partition(b"\r\n\r\n")[2]).decode().replace("\r\n", "\n")
        self.written.append((what, text))
        return what, text

    def _send(self, what: Object, text: str) -> tuple[str, Arrival]:
        """Let an object come, somehow."""
        chance, now = self.chance, self.clock.now
        sender = f"{what.signer}/{chance.choice(['home', 'away'])}"
        near = chance.choice([what.timestamp, now])
        stamp = near + chance.choice(
            [0, self.model.window, -self.model.window, 1, -SECOND, self.model.window + 1]
        )
        stamp = max(stamp, 1)
        ours = delay(stamp, chance.choice(_OURS))
        forged = delay(what.timestamp, chance.choice(_OTHERS))
        direct = stanza(what.kind, e2e(text), sender=sender, id_=str(chance.random()))
        if what.kind == "presence":  # what a server says of when it had one relaxes nothing
            return stanza(what.kind, e2e(text) + ours, sender=sender), Arrival(now, sender, None)
        match chance.randrange(8):
            case 0 | 1:
                return stanza("message", ours + e2e(text), sender=sender), Arrival(now, sender, stamp)
            case 2:
                return stanza("message", e2e(text) + forged, sender=sender), Arrival(now, sender, None)
            case 3:
                several = delay(stamp - 5, _OURS[0]) + ours + forged
                return stanza("message", several + e2e(text), sender=sender), Arrival(now, sender, stamp)
            case 4:
                return carbon(direct), Arrival(now, sender, None)
            case 5:
                return carbon(direct, inside=ours), Arrival(now, sender, stamp)
            case 6:
                return result(direct, inside=ours), Arrival(now, sender, stamp, archived=True)
        return direct, Arrival(now, sender, None)


def verdict(outcome: Outcome) -> Verdict:
    """Return what the plugin said, in the words of the model."""
    if outcome.failures:
        (failure,) = outcome.failures
        assert not outcome.delivered
        return Verdict(False, failure.reason, failure.skew)
    (delivered,) = outcome.delivered
    report = delivered.report
    assert report is not None
    return Verdict(True, report.timestamp_state, report.skew, report.authenticated, report.arrival)


async def run_sequences(world: World, numbers: Iterable[int], *, events: int = 30) -> Counter[str]:
    """Run sequences, and return how often what was said; raise `AssertionError` where the two are of two minds."""
    verdicts: Counter[str] = Counter()
    for number in numbers:
        sequence = Sequence(world, number)
        sequence.run(events)
        verdicts += sequence.verdicts
        await asyncio.sleep(0)  # so that what is closed ends
    return verdicts
