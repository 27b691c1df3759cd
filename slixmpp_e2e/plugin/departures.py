"""The filters of what leaves (ARCHITECTURE invariants 1 to 3).

Two plain filters. `hold` stands first of all: what comes by while there is no stream is parked, instead of being
lost. `seal` stands first among the `out_sync` filters: behind every `out` filter, before stream management stores the
stanza. It returns a new stanza and leaves the program's own untouched; it never raises, and what it can't protect
does not leave. What has to wait for a store or a key is protected outside of them: it is the only one of its peer
that is, and all newer ones wait until it has come back in a vehicle and left.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from slixmpp import Iq, Message, Presence
from slixmpp.plugins.xep_0198.stanza import Enable

from slixmpp_e2e.errors import UnprotectableError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.leaving import Plan
from slixmpp_e2e.outer import IN_ROOM
from slixmpp_e2e.plugin.lanes import Lanes
from slixmpp_e2e.plugin.outbound import Outbound
from slixmpp_e2e.plugin.stanzas import (
    Departure,
    Stanza,
    Turn,
    goes_to,
    has_stream,
    is_sealed,
    level_of,
    type_of,
)
from slixmpp_e2e.plugin.worker import Worker
from slixmpp_e2e.policy import Level
from slixmpp_e2e.waiting import NotYet, patiently

#: How many stanzas may wait for a key or a store.
_WAITING: Final = 10_000
#: How old a payload may be when there is a stream for it again.
_STALE: Final = 60 * SECOND


@dataclass(slots=True)
class Departures:
    """Lets stanzas go."""

    xmpp: Any
    outbound: Outbound
    worker: Worker
    lanes: Lanes = field(default_factory=Lanes)
    #: Those on their way, by identity: for slixmpp, stanzas with the same XML are equal. One of each lane.
    _vehicles: dict[int, Departure] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lanes)

    # ------------------------------------------------------------------ filters

    def hold(self, stanza: Any) -> Any:
        """Return what goes on to the other filters: a stanza whose turn it is, there being a stream, or None."""
        there_is, parking = has_stream(self.xmpp), self.outbound.parking
        if isinstance(stanza, Departure):
            return stanza if there_is else None  # `resume` sends it again
        if isinstance(stanza, Turn):
            return parking.next(stanza.jid) if there_is else None
        if not isinstance(stanza, (Message, Presence, Iq)):
            return stanza
        if is_sealed(stanza):
            if there_is:
                return stanza
            self.xmpp.send(stanza)  # slixmpp keeps it until there is a session: from here on it would lose it
            return None
        try:
            if not there_is:
                if makes_session(stanza):
                    return stanza
                parking.hold(stanza)
            elif parking.take(stanza):
                self.outbound.keep_demand(stanza)
            else:
                return stanza
        except Exception as error:  # noqa: BLE001 see `seal`
            self.outbound.fail(stanza, error)
        return None

    def resume(self, _event: Any = None) -> None:
        """Send what was held: there is a stream again. slixmpp may have emptied its queue meanwhile."""
        now = self.outbound.protection.now()
        for vehicle in tuple(self._vehicles.values()):
            if vehicle.over.done():
                continue
            if 0 <= now - vehicle.moment <= _STALE:
                self.xmpp.send(vehicle)
            else:
                vehicle.over.set_result(False)
        self.outbound.parking.resume()

    def seal(self, stanza: Any) -> Any:
        """Return what may leave instead of a stanza: itself, its protected form, or None."""
        if isinstance(stanza, Departure):
            return self._leave(stanza)
        if isinstance(stanza, Enable):
            self.outbound.resumption.begin()
            return stanza
        if not isinstance(stanza, (Message, Presence, Iq)) or is_sealed(stanza):
            return stanza
        try:
            lane = goes_to(stanza)
            if not self.lanes or not self.lanes.is_busy(lane):  # nearly always nobody waits
                try:
                    return self._seal(stanza)
                except NotYet:
                    pass
            self._put(lane, stanza, None)
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

    def _leave(self, vehicle: Departure) -> Stanza | None:
        """Return what a vehicle carries, once; None if it is not on its way any more."""
        if self._vehicles.get(id(vehicle)) is not vehicle or vehicle.over.done():
            return None
        try:
            vehicle.leaves()
        except Exception as error:  # noqa: BLE001 see `seal`
            vehicle.over.set_exception(error)
            return None
        vehicle.over.set_result(True)
        return vehicle.outer

    # ------------------------------------------------------------------ what has to wait

    def send(self, stanza: Stanza, level: Level) -> None:
        """Send a stanza of ours with a level, whatever the policy says; raise a `LocalError`.

        If it has to wait first, what goes wrong then is told as for any other stanza.
        """
        if self.outbound.exchanges.rooms.lead(stanza):
            raise UnprotectableError(IN_ROOM)
        lane = goes_to(stanza)
        if not self.lanes.is_busy(lane) and not self.outbound.works_slowly(stanza, level):
            try:
                self.xmpp.send(self.outbound.protected(stanza, level))
            except NotYet:
                pass
            else:
                return
        self._put(lane, stanza, level)

    async def protected(self, stanza: Stanza, level: Level) -> Stanza:
        """Return the outer stanza for a stanza that leaves now, once all is there; raise a `LocalError`."""
        outer, plan = await self._protect(stanza, level)
        self.outbound.leaves(outer, stanza, level, plan)
        return outer

    async def _protect(self, stanza: Stanza, level: Level) -> tuple[Stanza, Plan]:
        outbound = self.outbound
        plan = await patiently(lambda: outbound.plan(stanza, level))
        payload = await self.worker.run(plan.write) if outbound.works_slowly(stanza, level) else plan.write()
        return outbound.wrap(stanza, payload), plan

    def _put(self, lane: str, stanza: Stanza, level: Level | None) -> None:
        if len(self.lanes) >= _WAITING:
            raise UnprotectableError("too many stanzas wait for our key or the store")
        self.lanes.put(lane, _Waiting(self, stanza, level))

    async def prepare(self, stanza: Stanza, asked: Level | None) -> Departure:
        """Return a vehicle with what may leave for a stanza; raise what speaks against it."""
        outbound = self.outbound
        vehicle = Departure(self.xmpp)
        vehicle.moment = outbound.protection.now()
        vehicle.over = asyncio.get_running_loop().create_future()
        vehicle.leaves = _do_nothing
        if _is_bare_error(stanza):
            vehicle.outer = outbound.bare_error(stanza)
            return vehicle
        if asked is None:
            asked = await patiently(lambda: outbound.level(stanza, level_of(stanza)))
        level = asked
        if level is Level.OFF:
            vehicle.outer = stanza
            return vehicle
        outer, plan = await self._protect(stanza, level)
        vehicle.outer, vehicle.leaves = outer, lambda: outbound.leaves(outer, stanza, level, plan)
        return vehicle

    async def depart(self, vehicle: Departure) -> bool:
        """Put a vehicle on its way; return whether it left, or whether it took too long."""
        self._vehicles[id(vehicle)] = vehicle
        try:
            if has_stream(self.xmpp):  # else it would wait before what slixmpp is about to send again
                self.xmpp.send(vehicle)
            return await vehicle.over
        finally:
            del self._vehicles[id(vehicle)]

    def close(self) -> tuple[asyncio.Task[None], ...]:
        """Fail what waits; return what fails as it ends. No vehicle stays behind: it would be sent as it is."""
        ending = self.lanes.close()
        queue = self.xmpp.waiting_queue
        for _ in range(queue.qsize()):
            data, use_filters = queue.get_nowait()
            if not isinstance(data, (Departure, Turn)):
                queue.put_nowait((data, use_filters))
            queue.task_done()
        return ending


@dataclass(slots=True)
class _Waiting:
    """A stanza in a lane."""

    departures: Departures
    stanza: Stanza
    level: Level | None
    _vehicle: Departure | None = None

    async def do(self) -> None:
        """See `lanes.Job`; it ends when the stanza has left, or was reported."""
        has_left = False
        while not has_left:
            try:
                self._vehicle = await self.departures.prepare(self.stanza, self.level)
                has_left = await self.departures.depart(self._vehicle)
            except Exception as error:  # noqa: BLE001 see `Departures.seal`
                self.departures.outbound.fail(self.stanza, error)
                return

    def abandon(self) -> None:
        """See `lanes.Job`."""
        over = None if self._vehicle is None else self._vehicle.over
        has_left = over is not None and over.done() and not over.cancelled() and not over.exception()
        if over is None or not has_left or not over.result():
            error = UnprotectableError("the plugin was switched off while this waited to be protected")
            self.departures.outbound.fail(self.stanza, error)


def _is_bare_error(stanza: Stanza) -> bool:
    return type_of(stanza) == "error" and not isinstance(stanza, Iq)


def makes_session(stanza: Stanza) -> bool:
    """Tell whether slixmpp sends a stanza before there is a session (`XMLStream.send`)."""
    names = ("bind", "session", "register")
    return isinstance(stanza, Iq) and any(stanza.get_plugin(name, check=True) for name in names)


def _do_nothing() -> None:
    """Let a stanza leave of which nobody takes note."""


async def _nothing() -> None:
    """Wait for nothing: a slow key is used by `Departures._protect`."""
