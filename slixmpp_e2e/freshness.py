"""Timestamps (RFC 3923 6.9, RFC 3339) and the record that tells a replay.

A moment is an integer: nanoseconds since 1970-01-01T00:00:00Z. Finer fractions are rounded up, so that two
stamps closer than that count as equal, which is the strict side.
"""

import hashlib
import heapq
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, Protocol

from slixmpp_e2e.errors import TimestampError
from slixmpp_e2e.report import Arrival

SECOND: Final = 1_000_000_000
MICROSECOND: Final = 1_000
#: RFC 3923 6.9.
WINDOW: Final = 300 * SECOND
#: How far back the comparison with earlier timestamps goes.
RECENT: Final = 600 * SECOND
#: What is dated further ahead than this has not its place in a replay record for the asking.
AHEAD: Final = 5 * SECOND
_ADJUSTMENT: Final = 60 * SECOND
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_FRACTION: Final = 64

_DATE_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def parse_date_time(text: str) -> int:
    """Return the moment of an RFC 3339 date-time; raise `TimestampError`.

    An offset is allowed and counted in (ERRATA E19); no offset at all is not. Second 60 is the next second.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None or len(found[7] or "") > _MAX_FRACTION:
        raise TimestampError("a timestamp that is none", reason="missing")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    leap = second == 60
    try:
        whole = datetime(year, month, day, hour, minute, second - leap, tzinfo=UTC)
    except ValueError:
        raise TimestampError("a timestamp that does not exist", reason="missing") from None
    moment = from_datetime(whole) + leap * SECOND
    fraction = found[7] or ""
    moment += int(fraction[:9].ljust(9, "0")) + (fraction[9:].strip("0") != "")
    if found[8]:
        hours, minutes = int(found[9]), int(found[10])
        if hours > 23 or minutes > 59:
            raise TimestampError("an offset that does not exist", reason="missing")
        offset = (hours * 60 + minutes) * 60 * SECOND
        moment -= offset if found[8] == "+" else -offset
    if not _FIRST <= moment < _LAST:
        raise TimestampError("a timestamp of a year that does not exist", reason="missing")
    return moment


def format_date_time(moment: int) -> str:
    """Return the date-time of a moment: UTC, microseconds, Z (RFC 3923 6.9, ERRATA E35)."""
    seconds, rest = divmod(moment, SECOND)
    return f"{_format_seconds(seconds)}.{rest // MICROSECOND:06}Z"


@lru_cache(maxsize=16)
def _format_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[
        : len("2026-11-20T08:30:15")
    ]  # %Y has no zeros in front


def from_datetime(moment: datetime) -> int:
    """Return the moment of an aware datetime."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * MICROSECOND


def to_datetime(moment: int) -> datetime:
    """Return a moment as an aware datetime, to the microsecond."""
    seconds, rest = divmod(moment, SECOND)
    return _EPOCH + timedelta(0, seconds, rest // MICROSECOND)


#: What a datetime can be; an offset or a leap second may lead out of it.
_FIRST: Final = from_datetime(datetime.min.replace(tzinfo=UTC))
_LAST: Final = from_datetime(datetime.max.replace(tzinfo=UTC, microsecond=0)) + SECOND


# --------------------------------------------------------------------------- sending


@dataclass(slots=True)
class MonotoneClock:
    """Timestamps for one sender: they never repeat and never go backwards.

    Except when the clock was set back by more than a minute: then they follow it (RFC 3923 6.9), and
    `on_adjustment` is called with the seconds.
    """

    now: Callable[[], int]
    on_adjustment: Callable[[float], None] = field(default=lambda _seconds: None)
    _last: int = 0

    def next(self) -> int:
        """Return the next timestamp, in whole microseconds."""
        moment = self.now() // MICROSECOND * MICROSECOND
        if moment <= self._last:
            back = self._last - moment
            if back > _ADJUSTMENT:
                self.on_adjustment(back / SECOND)
            else:
                moment = self._last + MICROSECOND
        self._last = moment
        return moment


# --------------------------------------------------------------------------- receiving


@dataclass(frozen=True, slots=True)
class Admission:
    """What a replay record says of a stanza that it has just taken in."""

    #: Not taken in: seen before, too old for the record to know, or `ahead`.
    seen: bool
    #: The highest timestamp that this signer's stanzas of the last ten minutes had before, or None.
    highest: int | None
    #: Never seen, but dated ahead, as too many others are: it was not recorded.
    ahead: bool = False


class ReplayRecord(Protocol):
    """What has been received from whom; bounded, and never forgetful in the attacker's favour.

    When an entry is dropped, the floor of its signer rises to the entry's timestamp; when a signer is
    dropped, everybody's does, to his newest. Nothing at or below the floor counts as new.

    So whoever could fill the record with timestamps of the future could silence everybody until then. Therefore no
    more than half of the signers may have a newest timestamp more than `AHEAD` after the time of receipt, be they new
    or known; one more is `ahead`. The signer who is dropped is the one with the oldest newest timestamp, and only for
    a later one; where all lie further ahead, a later one is `ahead`. So the record never raises everybody's floor
    further than `AHEAD` beyond the time of receipt, whatever is sent and however the clock is set.
    """

    def admit(
        self, signer: str, digest: bytes, timestamp: int, received: int, former: bytes | None = None
    ) -> Admission:
        """Take a stanza in, in one step that can't be divided; raise `StoreError` if it can't be kept.

        `signer` is an authenticated bare JID, `digest` is from `replay_digest`. `former` is what an earlier version
        would have recorded: it counts as seen if that is there, and is not recorded again.
        """


def replay_digest(content: bytes, timestamp: int) -> bytes:
    """Return what a signed stanza is recognised by when it comes again.

    `content` is what was signed; `timestamp` dates it, and stands in it or in the signature (ERRATA E21). Nothing
    else is in the digest: an object can have several signatures over the same content, and whoever is on the way
    can change their order and take some away. Where there is no time in the content, who signs it with another time
    in the signature has said it again.
    """
    return hashlib.sha256(b"%d\n" % timestamp + content).digest()


@dataclass(frozen=True, slots=True)
class Freshness:
    """A timestamp that allows delivery."""

    state: Literal["ok", "decreasing", "old", "future"]
    #: Seconds from the time that it was compared with to the timestamp.
    skew: float
    arrival: Arrival


def check_window(
    timestamp: int, now: int, *, delayed_since: int | None = None, window: int = WINDOW
) -> float:
    """Raise `TimestampError` unless the timestamp is within the window; return the skew in seconds.

    `delayed_since` is what our own server says of the time of arrival. It only ever relaxes "too old". What fails
    here is not recorded (ERRATA E33).
    """
    skew = (timestamp - now) / SECOND
    if timestamp - now > window:
        raise TimestampError(f"dated {skew:.0f} seconds ahead", reason="future", skew=skew)
    if now - timestamp > window:
        if delayed_since is None:
            raise TimestampError(f"{-skew:.0f} seconds old", reason="old", skew=skew)
        skew = (timestamp - delayed_since) / SECOND
        if abs(timestamp - delayed_since) > window:
            raise TimestampError(f"{skew:.0f} seconds from when it was stored", reason="old", skew=skew)
    return skew


def assess(
    admission: Admission,
    timestamp: int,
    now: int,
    *,
    skew: float,
    delayed_since: int | None = None,
    window: int = WINDOW,
) -> Freshness:
    """Return what a record's word about a timestamp means; raise `TimestampError` if it was seen.

    `skew` is what `check_window` said of it.
    """
    if admission.ahead:
        raise TimestampError(
            f"dated {skew:.0f} seconds ahead, as too many signers' stanzas are", reason="future", skew=skew
        )
    if admission.seen:
        raise TimestampError("seen before, or too old to know", reason="seen", skew=skew)
    delayed = delayed_since is not None and now - timestamp > window
    decreasing = not delayed and admission.highest is not None and timestamp <= admission.highest
    return Freshness("decreasing" if decreasing else "ok", skew, "delayed" if delayed else "live")


def judge_archived(timestamp: int, stored: int | None, now: int, *, window: int = WINDOW) -> Freshness:
    """Compare a timestamp with when an archive says that it stored the stanza; nothing is refused or recorded.

    Whoever keeps the archive could have put anything authentic into it, at any time and twice.
    """
    distance = timestamp - (now if stored is None else stored)
    state: Literal["ok", "old", "future"] = "ok"
    if abs(distance) > window:
        state = "future" if distance > 0 else "old"
    return Freshness(state, distance / SECOND, "archived")


class MemoryReplayRecord:
    """A replay record that lives as long as the process; its floor is the moment it was made (`started`)."""

    def __init__(self, *, started: int, entries_per_signer: int = 1000, signers: int = 1000) -> None:
        self._floor = started
        self._entries_per_signer = entries_per_signer
        self._max_signers = signers
        self._signers: dict[str, _SignerRecord] = {}

    def admit(
        self, signer: str, digest: bytes, timestamp: int, received: int, former: bytes | None = None
    ) -> Admission:
        """See `ReplayRecord`."""
        record = self._signers.get(signer) or _SignerRecord()
        highest = record.highest(since=received - RECENT)
        if {digest, former} & record.digests or timestamp <= max(record.floor, self._floor):
            return Admission(seen=True, highest=highest)
        limit = received + AHEAD
        if record.newest <= limit < timestamp and self._are_many_ahead(limit):
            return Admission(seen=True, highest=highest, ahead=True)
        if signer not in self._signers:
            if not self._make_room(timestamp):
                return Admission(seen=True, highest=None)
            self._signers[signer] = record
        record.add(digest, timestamp, received)
        if len(record.digests) > self._entries_per_signer:
            record.drop_oldest()
        return Admission(seen=False, highest=highest)

    def _are_many_ahead(self, limit: int) -> bool:
        return sum(each.newest > limit for each in self._signers.values()) >= self._max_signers // 2

    def _make_room(self, timestamp: int) -> bool:
        """Make room for another signer; return False where his stanza would be below the floor after that."""
        if len(self._signers) < self._max_signers:
            return True
        name = min(self._signers, key=lambda each: self._signers[each].newest)
        newest = self._signers[name].newest
        if timestamp <= newest:
            return False
        del self._signers[name]
        self._floor = max(self._floor, newest)
        return True


@dataclass(slots=True)
class _SignerRecord:
    newest: int = 0
    floor: int = 0
    digests: set[bytes] = field(default_factory=set)
    #: (timestamp, digest, received): a heap.
    _by_timestamp: list[tuple[int, bytes, int]] = field(default_factory=list)
    #: The highest timestamp, and when the last one that has it was received.
    _highest: tuple[int, int] = (0, 0)

    def highest(self, *, since: int) -> int | None:
        """Return the highest timestamp of what was received since then. The clock may have been set meanwhile."""
        timestamp, received = self._highest
        if received >= since and self.digests:  # nearly always
            return timestamp
        return max((each[0] for each in self._by_timestamp if each[2] >= since), default=None)

    def add(self, digest: bytes, timestamp: int, received: int) -> None:
        self.newest = max(self.newest, timestamp)
        self.digests.add(digest)
        heapq.heappush(self._by_timestamp, (timestamp, digest, received))
        self._highest = max(self._highest, (timestamp, received))

    def drop_oldest(self) -> None:
        timestamp, digest, _ = heapq.heappop(self._by_timestamp)
        self.digests.discard(digest)
        self.floor = max(self.floor, timestamp)
