"""The filter of what arrives (ARCHITECTURE invariants 8 and 9).

One plain filter, the last of all `in` filters, so that stream management has counted before. It never raises: an
exception here would end the stream. What has to wait for a store, for a key, or for its turn because there is too
much at once (`Turns`) goes through a lane, in order for each peer, and is delivered from there.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element

from slixmpp import JID, Iq, Message, Presence

from slixmpp_e2e.errors import E2EError, RefusedError, StoreError
from slixmpp_e2e.namespaces import STREAMS
from slixmpp_e2e.outer import PAYLOADS
from slixmpp_e2e.plugin.discretion import where
from slixmpp_e2e.plugin.forwarded import find_copy
from slixmpp_e2e.plugin.inbound import Inbound
from slixmpp_e2e.plugin.lanes import Lanes
from slixmpp_e2e.plugin.reading import Reading
from slixmpp_e2e.plugin.resumption import Resumption
from slixmpp_e2e.plugin.stanzas import Delivery, Stanza, from_of, kind_of
from slixmpp_e2e.plugin.turns import Turns
from slixmpp_e2e.waiting import at_once

log = logging.getLogger(__name__)

_FEATURES: Final = f"{{{STREAMS}}}features"
#: Octets that an element takes, and one that has attributes, besides its text (CPython 3.11: 70 to 120, and 330).
_ELEMENT: Final = 120
_ATTRIBUTE: Final = 210


@dataclass(slots=True)
class Arrivals:
    """Takes stanzas in, and hands on what was in them."""

    xmpp: Any
    inbound: Inbound
    resumption: Resumption
    stats: Counter[str]
    #: Called with the features of a stream (`Outbound.hear_features`).
    on_features: Callable[[Element], None]
    turns: Turns
    reading: Reading = field(init=False)
    lanes: Lanes = field(init=False)
    _is_closed: bool = False

    def __post_init__(self) -> None:
        self.reading = Reading(self.xmpp)
        self.lanes = Lanes(self.reading.lanes_are_full, self.turns.pause)

    def unseal(self, stanza: Any) -> Any:
        """Return what is to be delivered instead of a stanza: itself, what was in it, or None."""
        try:
            if isinstance(stanza, Delivery):
                return stanza.stanza
            if self._is_closed:
                return stanza
            self.reading.came()
            if not isinstance(stanza, (Message, Presence, Iq)):
                self.resumption.observe(stanza)
                if stanza.xml.tag == _FEATURES:
                    self.on_features(stanza.xml)
                return stanza
            if self.turns.is_due() or len(self.lanes) or self.inbound.opening.waits:
                lane = _lane_of(stanza)
                if self.lanes.is_busy(lane) or (self._has_to_wait() and self._may_wait(stanza)):
                    self.lanes.put(lane, _Arrival(self, stanza), _octets_of(stanza))
                    return None
            return at_once(self.inbound.judge(stanza))
        except Exception as error:  # noqa: BLE001 see `_drop`
            return self._drop(stanza, error)

    def _has_to_wait(self) -> bool:
        return self.inbound.opening.waits or self.turns.is_due()

    def _may_wait(self, stanza: Stanza) -> bool:
        """Tell whether somebody is asked about a stanza: there is something to open, or to answer."""
        if any(element.tag in PAYLOADS for element in stanza.xml.iter()):
            return True
        try:
            if self.inbound.policy.must_be_protected(from_of(stanza), kind_of(stanza)):
                return True
            return self.inbound.may_be_downgrade(stanza)
        except ValueError:  # nobody's address: nobody is asked, and nobody answered
            return False

    async def deliver(self, stanza: Stanza) -> None:
        """Judge a stanza that waited, and deliver what is to be delivered. Never raises."""
        try:
            inner = await self.inbound.judge(stanza)
        except Exception as error:  # noqa: BLE001 see `_drop`
            self._drop(stanza, error)
            return
        if inner is not None:
            vehicle = Delivery(self.xmpp)
            vehicle.stanza = inner
            self.xmpp.recv_stanza(vehicle)

    def _drop(self, stanza: Any, error: Exception) -> None:
        """Log what went wrong, and deliver nothing: nothing that arrives may end the stream."""
        sender = stanza.xml.get("from")
        log.error("a stanza from %s could not be judged and was dropped: %s", sender, where(error))
        self.stats["internal_errors"] += 1
        self._answer_request(stanza, RefusedError("it could not be judged"))

    def _answer_request(self, stanza: Any, error: E2EError) -> None:
        """Answer a request that nobody judged: its sender waits for that (RFC 6120 8.2.3). Never raises."""
        if not isinstance(stanza, Iq):
            return
        try:
            self.inbound.answers.answer(stanza, error)
        except Exception as failure:  # noqa: BLE001 see `_drop`
            sender = stanza.xml.get("from")
            log.error("a request from %s has no answer: %s", sender, where(failure))  # noqa: TRY400 without its text

    def abandon(self, stanza: Stanza, error: E2EError) -> None:
        """Tell the program that a stanza will not be judged, and whoever waits for an answer that there is none."""
        self.inbound.tell(stanza, error)
        self._answer_request(stanza, error)

    def close(self) -> tuple[asyncio.Task[None], ...]:
        """Tell what is not judged; return what tells it as it ends. Then only what failed locally is delivered."""
        self._is_closed = True
        self.reading.close()
        return self.lanes.close()


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A stanza in a lane."""

    arrivals: Arrivals
    stanza: Stanza

    async def do(self) -> None:
        """See `lanes.Job`."""
        await self.arrivals.deliver(self.stanza)

    def abandon(self) -> None:
        """See `lanes.Job`; the server believes that we have it, so the program hears of it."""
        error = StoreError("the plugin was switched off while this waited to be judged")
        self.arrivals.abandon(self.stanza, error)


def _lane_of(stanza: Stanza) -> str:
    """Return whom a stanza must not be overtaken by others of: its sender, or whom a carbon is from or to.

    Results of an archive stay with what else the account says: the answer that ends them comes behind them.
    """
    try:
        copy = find_copy(stanza) if isinstance(stanza, Message) else None
        if copy is not None and copy.peer:
            return str(JID(copy.peer).bare)
        return str(from_of(stanza).bare)
    except (E2EError, ValueError):
        return ""


def _octets_of(stanza: Stanza) -> int:
    """Return how much memory a stanza holds, more or less: `<a/>` has four octets on the wire, and a hundred here."""
    elements = list(stanza.xml.iter())
    octets = _ELEMENT * len(elements) + sum(map(len, stanza.xml.itertext()))
    # not `attrib`, which makes a dictionary for each element that has none
    for attributes in filter(None, map(Element.items, elements)):
        for _, value in attributes:
            octets += _ATTRIBUTE + len(value)
    return octets
