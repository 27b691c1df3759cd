"""The filters of what leaves (ARCHITECTURE invariants 1 to 3).

Two plain filters. `hold` stands first of all: what comes by while there is no stream waits for one, instead of being
lost. `seal` stands first among the `out_sync` filters: behind every `out` filter, before
stream management stores the stanza. It returns a new stanza and leaves the program's own untouched; it never raises,
and what it can't protect does not leave. What has to wait for a store or a key is protected outside of them, in
order for each peer, and comes back in a vehicle.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

from slixmpp import Iq, Message, Presence
from slixmpp.plugins.xep_0198.stanza import Enable

from slixmpp_e2e.errors import UnprotectableError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.plugin import stanzas
from slixmpp_e2e.plugin.lanes import Lanes
from slixmpp_e2e.plugin.outbound import Outbound
from slixmpp_e2e.plugin.stanzas import Stanza, is_sealed, level_of, type_of
from slixmpp_e2e.plugin.worker import Worker
from slixmpp_e2e.policy import Level
from slixmpp_e2e.waiting import NotYet, patiently

#: How many stanzas may wait for a key or a store.
_WAITING: Final = 10_000
#: How old a payload may be when it leaves.
_STALE: Final = 60 * SECOND


@dataclass(slots=True)
class Departures:
    """Lets stanzas go."""

    xmpp: Any
    outbound: Outbound
    worker: Worker
    lanes: Lanes = field(default_factory=Lanes)
    #: Those in slixmpp's queue, by identity: for slixmpp, stanzas with the same XML are equal.
    _vehicles: dict[int, stanzas.Departure] = field(default_factory=dict)
    #: Those of them that wait for a stream, by lane.
    _held: dict[str, deque[stanzas.Departure]] = field(default_factory=dict)
    #: How many were put into the queue again and have not come by yet; and how many are being protected again.
    _behind: Counter[str] = field(default_factory=Counter)
    _again: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.lanes) + len(self._vehicles)

    # ------------------------------------------------------------------ filters

    def hold(self, stanza: Any) -> Any:
        """Put a stanza back that slixmpp would lose: there is no stream, and nothing has stored it."""
        if isinstance(stanza, stanzas.Departure):
            return stanza if self._may_pass(stanza) else None
        if not isinstance(stanza, (Message, Presence, Iq)) or is_sealed(stanza):
            return stanza
        if self._would_be_queued(stanza):
            self._wait_for_stream(stanza)
            return None
        try:
            if not self.outbound.parking.take(stanza):
                return stanza
            self.outbound.keep_demand(stanza)
        except Exception as error:  # noqa: BLE001 see `seal`
            self.outbound.fail(stanza, error)
        return None

    def resume(self, _event: Any = None) -> None:
        """Send what was held: there is a stream again. What was protected is older than all that was not."""
        now = self.outbound.protection.now()
        held, self._held = self._held, {}
        for lane, vehicles in held.items():
            if any(now - each.moment > _STALE for each in vehicles):
                self._again[lane] += len(vehicles)
                self.lanes.put_first(lane, [self._protect_again(each) for each in vehicles])
                continue
            for each in vehicles:
                self._send_behind(each, lane)
        self.outbound.parking.resume()

    def _may_pass(self, vehicle: stanzas.Departure) -> bool:
        """Tell whether a vehicle goes on; if not, it waits for a stream, or for older ones."""
        if id(vehicle) not in self._vehicles:
            return False  # it was reported as failed
        lane = _lane_of(vehicle.stanza)
        if vehicle.comes_again:
            vehicle.comes_again = False
            _take(self._behind, lane, 1)
            older = False
        else:
            older = self._behind[lane] > 0
        if self._would_be_queued(vehicle.stanza):
            self._held.setdefault(lane, deque()).append(vehicle)
            return False
        if older:
            self._send_behind(vehicle, lane)
        return not older

    def _send_behind(self, vehicle: stanzas.Departure, lane: str) -> None:
        vehicle.comes_again = True
        self._behind[lane] += 1
        self.xmpp.send(vehicle)

    def _protect_again(self, vehicle: stanzas.Departure) -> "_Waiting":
        del self._vehicles[id(vehicle)]
        return _Waiting(self, vehicle.stanza, vehicle.level, again=True)

    def _wait_for_stream(self, stanza: Stanza) -> None:
        if stanza["to"].bare:
            self.outbound.parking.hold(stanza)
        else:
            self.xmpp.send(stanza)  # into slixmpp's own queue

    def _would_be_queued(self, stanza: Stanza) -> bool:
        # exactly when XMLStream.send() queues: otherwise this would go round in circles
        if getattr(self.xmpp, "_always_send_everything", False) or getattr(
            self.xmpp, "_session_started", True
        ):
            return False
        passes = ("bind", "session", "register")
        return not (isinstance(stanza, Iq) and any(stanza.get_plugin(name, check=True) for name in passes))

    def seal(self, stanza: Any) -> Any:
        """Return what may leave instead of a stanza: itself, its protected form, or None."""
        if isinstance(stanza, stanzas.Departure):
            return self._leave(stanza)
        if isinstance(stanza, Enable):
            self.outbound.resumption.begin()
            return stanza
        if not isinstance(stanza, (Message, Presence, Iq)) or is_sealed(stanza):
            return stanza
        try:
            if not self.lanes or not self.lanes.is_busy(_lane_of(stanza)):  # nearly always nobody waits
                try:
                    return self._seal(stanza)
                except NotYet:
                    pass
            self._put(stanza, None)
        except Exception as error:  # noqa: BLE001 whatever happens, nothing leaves and the stream lives on
            self.outbound.fail(stanza, error)
        return None

    def _seal(self, stanza: Stanza) -> Stanza:
        outbound = self.outbound
        if _is_bare_error(stanza):
            return outbound.bare_error(stanza)
        level = outbound.level(stanza, level_of(stanza))
        if level is Level.OFF:
            return stanza
        if outbound.works_slowly(stanza, level):
            raise NotYet(_nothing)
        return outbound.protected(stanza, level)

    # ------------------------------------------------------------------ what has to wait

    def send(self, stanza: Stanza, level: Level) -> None:
        """Send a stanza of ours with a level, whatever the policy says; raise a `LocalError`.

        If it has to wait first, what goes wrong then is told as for any other stanza.
        """
        if self.outbound.works_slowly(stanza, level) or self.lanes.is_busy(_lane_of(stanza)):
            self._put(stanza, level)
        else:
            self.xmpp.send(self.outbound.protected(stanza, level))

    async def protected(self, stanza: Stanza, level: Level) -> Stanza:
        """Return the outer stanza for a stanza, once all is there that it takes; raise a `LocalError`."""
        outbound = self.outbound
        plan = await patiently(lambda: outbound.plan(stanza, level))
        payload = await self.worker.run(plan.write) if outbound.works_slowly(stanza, level) else plan.write()
        outbound.protection.written(plan)
        return outbound.wrap(stanza, payload)

    def _put(self, stanza: Stanza, level: Level | None) -> None:
        if len(self.lanes) >= _WAITING:
            raise UnprotectableError("too many stanzas wait for our key or the store")
        self.lanes.put(_lane_of(stanza), _Waiting(self, stanza, level))

    async def prepare(self, stanza: Stanza, level: Level | None, *, again: bool) -> None:
        """Protect a stanza that waited, and put it on its way. Never raises."""
        outbound = self.outbound
        try:
            vehicle = stanzas.Departure(self.xmpp)
            vehicle.stanza, vehicle.moment = stanza, outbound.protection.now()
            if _is_bare_error(stanza):
                vehicle.level, vehicle.outer = Level.OFF, outbound.bare_error(stanza)
            else:
                if level is None:
                    level = await patiently(lambda: outbound.level(stanza, level_of(stanza)))
                vehicle.level = level
                vehicle.outer = stanza if level is Level.OFF else await self.protected(stanza, level)
        except Exception as error:  # noqa: BLE001 see `seal`
            outbound.fail(stanza, error)
        else:
            self._vehicles[id(vehicle)] = vehicle
            self.xmpp.send(vehicle)
        finally:
            _take(self._again, _lane_of(stanza), int(again))

    def _leave(self, vehicle: stanzas.Departure) -> Stanza | None:
        """Return what a vehicle carries."""
        if id(vehicle) not in self._vehicles:
            return None
        lane = _lane_of(vehicle.stanza)
        try:
            if self._again[lane]:  # an older one is made again, and this one must not overtake it
                self._again[lane] += 1
                self.lanes.put(lane, self._protect_again(vehicle))
                return None
            del self._vehicles[id(vehicle)]
            if vehicle.level is not Level.OFF:
                self.outbound.leaves(vehicle.outer, vehicle.stanza, vehicle.level)
        except Exception as error:  # noqa: BLE001 see `seal`
            self.outbound.fail(vehicle.stanza, error)
            return None
        return vehicle.outer

    def close(self) -> None:
        """Fail what waits, and what slixmpp has not sent yet."""
        self.lanes.close()
        vehicles, self._vehicles = self._vehicles, {}
        self._held.clear()
        for vehicle in vehicles.values():
            self.outbound.fail(vehicle.stanza, _switched_off())


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A stanza in a lane."""

    departures: Departures
    stanza: Stanza
    level: Level | None
    again: bool = False

    async def do(self) -> None:
        """See `lanes.Job`."""
        await self.departures.prepare(self.stanza, self.level, again=self.again)

    def abandon(self) -> None:
        """See `lanes.Job`."""
        self.departures.outbound.fail(self.stanza, _switched_off())


def _switched_off() -> UnprotectableError:
    return UnprotectableError("the plugin was switched off while this waited to be protected")


def _is_bare_error(stanza: Stanza) -> bool:
    return type_of(stanza) == "error" and not isinstance(stanza, Iq)


def _lane_of(stanza: Stanza) -> str:
    return str(stanza["to"].bare)


def _take(counts: Counter[str], lane: str, number: int) -> None:
    """Take something from a count; one that is zero is not kept, or there would be one for everybody for good."""
    left = counts[lane] - number
    if left:
        counts[lane] = left
    else:
        counts.pop(lane, None)


async def _nothing() -> None:
    """Wait for nothing: a slow key is used by `Departures.protected`."""
