"""Pauses while slixmpp sends what a program has queued, so that the event loop gets its turn (`Turns`).

slixmpp's sending loop goes on as long as something is queued. Filters can't stop it without taking a stanza out, and
then `disconnect()` would not wait for it. So the queue's own `get` makes the pause: nothing changes its place.

When a session ends, slixmpp empties the queue without a word. During a pause it may not be empty, so what is taken
out then is parked, like everything else that would leave while there is no stream. What can't be parked is reported;
so is what is sealed already (`plugin.protect`): when there is a stream again, its timestamp may be too old.
Nothing of that raises: slixmpp is in the middle of `connection_lost`, and would not say that the connection is lost.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from slixmpp import Iq, Message, Presence

from slixmpp_e2e.errors import LocalError
from slixmpp_e2e.plugin.departures import makes_session
from slixmpp_e2e.plugin.parking import Parking
from slixmpp_e2e.plugin.stanzas import Stanza, is_sealed, type_of
from slixmpp_e2e.plugin.turns import Turns


@dataclass(slots=True)
class Pauses:
    """Makes pauses in a client's sending loop."""

    xmpp: Any
    turns: Turns
    parking: Parking
    #: Called for whatever is taken out of the queue (`Reading.left`).
    on_left: Callable[[], None] = field(default=lambda: None)
    #: slixmpp's queue, once it has our `get`.
    _queue: Any = field(default=None, init=False)

    def start(self) -> None:
        """Make them from the next stanza on."""
        self._queue = self.xmpp.waiting_queue
        self._queue.get = self._get

    def stop(self) -> None:
        """Make no more."""
        for name in ("get", "get_nowait"):
            vars(self._queue).pop(name, None)

    async def _get(self) -> Any:
        queue = self._queue
        if not queue.empty() and self.turns.must_pause():
            queue.get_nowait = self._rescue  # nobody but us takes anything out, until a session ends
            try:
                await self.turns.wait(sends=True)
            finally:
                vars(queue).pop("get_nowait", None)
        item = await type(queue).get(queue)
        self.on_left()
        return item

    def _rescue(self) -> Any:
        item = type(self._queue).get_nowait(self._queue)
        stanza, use_filters = item
        if self.xmpp.transport is None and use_filters and isinstance(stanza, (Message, Presence, Iq)):
            self._keep(stanza)
        return item

    def _keep(self, stanza: Stanza) -> None:
        """Park a stanza, or have it reported; what makes a session is part of the one that ended. Never raises."""
        try:
            if is_sealed(stanza):
                is_missed = not isinstance(stanza, Iq) or type_of(stanza) in {"get", "set"}
                if is_missed:  # nobody waits for a response here
                    self._report(stanza, LocalError("the session ended before the protected stanza left"))
            elif not makes_session(stanza):
                self.parking.hold(stanza)
        except Exception as error:  # noqa: BLE001 an address that can't be compared; whatever it is, it is reported
            self._report(stanza, error)

    def _report(self, stanza: Stanza, error: Exception) -> None:
        """Have the program told, later: what it sends in answer would go into the queue that is being emptied."""
        self.xmpp.loop.call_soon(self.parking.fail, stanza, error)
