"""What the plugin does for one stanza, beyond what slixmpp's parser does: CPU, memory, operations of keys."""

import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, fromstring

from tests.benchmarks.parties import Parties
from tests.fuzz import worst_encodings, worst_signers, worst_stanzas
from tests.fuzz.counting import CountingPool, count_with, counting
from tests.fuzz.receiving import HEADER, Recipient
from tests.fuzz.worst import worst_cases

#: Seconds of CPU, and octets of Python's memory at the most at once, that a stanza of 2 MiB may cost.
SECONDS, MEMORY = 1.0, 64 << 20
PRIVATE_OPERATIONS, VERIFICATIONS = 4, 8
#: They register what they make.
MAKERS = (worst_encodings, worst_signers, worst_stanzas)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stanza cost."""

    octets: int
    #: Seconds of CPU.
    seconds: float
    #: Octets of Python's memory, at the most at once; 0 where it was not looked at.
    memory: int
    #: Operations of private keys, and verifications of signatures of CMS.
    private: int
    verified: int

    @property
    def is_bounded(self) -> bool:
        """Whether it is within what it may be."""
        keys = self.private <= PRIVATE_OPERATIONS and self.verified <= VERIFICATIONS
        return keys and self.seconds <= SECONDS and self.memory <= MEMORY

    def __str__(self) -> str:
        return (
            f"{self.octets:,} | {1000 * self.seconds:.0f} | {self.memory / (1 << 20):.1f} | "
            f"{self.private} | {self.verified}"
        )


class Scales:
    """Romeo, whose keys count; so do those in certificates that he reads, and he looks at revocation lists."""

    def __init__(self, parties: Parties) -> None:
        self.counts: Counter[str] = Counter()
        self.recipient = Recipient(parties, revocation="soft")
        protection = self.recipient.romeo.plugin.protection
        for key, certificate in list(protection._keys):
            protection._keys.add(counting(key, self.counts), count_with(certificate, self.counts))
        protection.peers.pool = CountingPool(protection.peers.pool, self.counts)

    def weigh(self, wire: bytes, *, memory: bool = False) -> Cost:
        """Return what a stanza costs; with `memory`, which takes longer, that too, and no time."""
        elements = parse(wire)
        self.recipient.receive(b"")  # and forget
        self.counts.clear()
        seconds = peak = 0.0
        if memory:
            tracemalloc.start()
            try:
                self._judge(elements)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        else:
            begin = time.process_time()
            self._judge(elements)
            seconds = time.process_time() - begin
        return Cost(len(wire), seconds, int(peak), self.counts["private"], self.counts["verified"])

    def _judge(self, elements: list[Element]) -> None:
        for element in elements:
            self.recipient.romeo.xmpp._spawn_event(element)


def parse(wire: bytes) -> list[Element]:
    """Return the elements on a stream."""
    return list(fromstring(HEADER + wire + b"</stream:stream>"))


def weigh_all(parties: Parties) -> Iterator[tuple[str, Cost]]:
    """Yield the worst cases by name, with what each costs the first time that it comes."""
    for name, wire in worst_cases(parties.pki):
        cost, again = Scales(parties).weigh(wire), Scales(parties).weigh(wire, memory=True)
        yield name, Cost(cost.octets, cost.seconds, again.memory, cost.private, cost.verified)
