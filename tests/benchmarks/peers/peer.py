"""What a peer is."""

from dataclasses import dataclass

from tests.benchmarks.clock import Contestant


class NotInstalledError(Exception):
    """The peer is not there; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Peer:
    """How one implementation does the work, both ways."""

    outward: tuple[Contestant, ...]
    inward: tuple[Contestant, ...]
    notes: tuple[str, ...] = ()
