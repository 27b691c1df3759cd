"""A small model of RFC 3923 6.9 as it is settled here (ERRATA E21, E32, E33, E34; ARCHITECTURE invariant 16).

It has none of our code and none of our data structures: lists, and what the texts say. Moments are nanoseconds since
1970, lengths of time nanoseconds, skews seconds.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

SECOND: Final = 1_000_000_000
#: "any timestamp received in the last 10 minutes".
TEN_MINUTES: Final = 600 * SECOND
#: A clock that is ahead by this much may still be right; not more than half of the signers may be further ahead.
AHEAD: Final = 5 * SECOND


class Object(NamedTuple):
    """What somebody signed."""

    number: int
    signer: str
    timestamp: int
    kind: str
    encrypted: bool


class Arrival(NamedTuple):
    """How it comes."""

    now: int
    #: The full JID that the servers vouch for.
    sender: str
    #: What our own server says of when it stored it, or None.
    stamp: int | None
    #: Our own archive shows it.
    archived: bool = False


class Verdict(NamedTuple):
    """What becomes of it."""

    delivered: bool
    #: `ok`, `decreasing`, `old`, `future` or `seen`.
    mark: str
    #: Seconds; None where nothing was compared.
    skew: float | None
    authenticated: bool = False
    how: str = ""


class Entry(NamedTuple):
    """What is remembered of what was taken in."""

    number: int
    signer: str
    timestamp: int
    received: int


@dataclass
class Model:
    """Somebody who receives; what he remembers is bounded."""

    window: int
    entries_per_signer: int
    signers: int
    #: Nothing at or below it is new.
    floor: int = 0
    #: A store in memory: its floor is when the process started.
    forgets: bool = False
    entries: list[Entry] = field(default_factory=list)
    floors: dict[str, int] = field(default_factory=dict)
    #: Until the next start: of each full JID the newest presence; and whose keys came.
    presence: dict[str, int] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)

    def restart(self, now: int) -> None:
        """End the process, and start it again."""
        self.presence.clear()
        self.opened.clear()
        if self.forgets:
            self.entries.clear()
            self.floors.clear()
            self.floor = now

    def receive(self, what: Object, arrival: Arrival) -> Verdict:
        """Say what becomes of it."""
        now, stamp, time = arrival.now, arrival.stamp, what.timestamp
        if arrival.archived:  # whoever keeps it could show anything at any time: marked, and not remembered
            distance = time - (now if stamp is None else stamp)
            mark = "ok" if abs(distance) <= self.window else "future" if distance > 0 else "old"
            return Verdict(True, mark, distance / SECOND, False, "archived")
        if what.encrypted and what.number in self.opened:  # an encrypted key counts once
            return Verdict(False, "seen", None)
        if what.encrypted:
            self.opened.add(what.number)
        # "MUST verify that the timestamp received is within five minutes of the current time"
        skew, delayed = (time - now) / SECOND, False
        if time - now > self.window:
            return Verdict(False, "future", skew)
        if now - time > self.window:
            if stamp is None:
                return Verdict(False, "old", skew)
            skew, delayed = (time - stamp) / SECOND, True  # E32: only relaxes "too old"
            if abs(time - stamp) > self.window:
                return Verdict(False, "old", skew)
        highest = self._highest(what.signer, now)
        refused = self._take_in(what, now)
        if refused:
            return Verdict(False, refused, skew)
        # "SHOULD verify that it is greater than any timestamp received in the last 10 minutes which passed"
        decreasing = not delayed and highest is not None and time <= highest
        if what.kind == "presence":  # E34: one that is older than the last would undo it
            if time < self.presence.get(arrival.sender, 0):
                return Verdict(False, "decreasing", skew)
            self.presence[arrival.sender] = time
        return Verdict(
            True, "decreasing" if decreasing else "ok", skew, True, "delayed" if delayed else "live"
        )

    def _highest(self, signer: str, now: int) -> int | None:
        recent = [each.timestamp for each in self._of(signer) if each.received >= now - TEN_MINUTES]
        return max(recent, default=None)

    def _of(self, signer: str) -> list[Entry]:
        return [each for each in self.entries if each.signer == signer]

    def _take_in(self, what: Object, now: int) -> str:
        """Remember it; return a mark if it is refused. What has to be forgotten for it lifts a floor."""
        if what.timestamp <= max(self.floor, self.floors.get(what.signer, 0)):
            return "seen"
        if any(each.number == what.number for each in self.entries):
            return "seen"
        known = {each.signer for each in self.entries}
        newest = {name: max(each.timestamp for each in self._of(name)) for name in known}
        ahead = {name for name in known if newest[name] > now + AHEAD}
        if what.timestamp > now + AHEAD and what.signer not in ahead and len(ahead) >= self.signers // 2:
            return "future"
        if what.signer not in known and len(known) == self.signers:
            silent = min(newest, key=lambda name: newest[name])
            if what.timestamp <= newest[silent]:
                return "seen"
            assert silent not in ahead, "nobody's floor rises that far"
            self.floor = max(self.floor, newest[silent])
            self.entries = [each for each in self.entries if each.signer != silent]
            self.floors.pop(silent, None)
        self.entries.append(Entry(what.number, what.signer, what.timestamp, now))
        mine = self._of(what.signer)
        if len(mine) > self.entries_per_signer:
            oldest = min(mine, key=lambda each: each.timestamp)
            self.entries.remove(oldest)
            self.floors[what.signer] = max(self.floors.get(what.signer, 0), oldest.timestamp)
        return ""
