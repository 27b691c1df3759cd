"""What became of an exchange that was cut (`cuts`), and how it is found out."""

import asyncio
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from .clients import _tasks_of
from .couple import Party
from .proxy import Direction

#: In every text that is exchanged. The hyphens keep it out of base64.
CANARY: Final = "canary-of-verona"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one cut did."""

    direction: Direction
    #: Octets of the exchange that passed before it.
    offset: int
    #: What the stream did: `spared` (the exchange was over before), `resumed`, `anew` (a new session),
    #: `deaf` (resumed, but the server understood nothing any more, and a new session was needed).
    stream: str
    #: Stanzas of which nobody knows anything: neither delivered, nor reported to their sender.
    lost: tuple[str, ...] = ()
    #: Stanzas that were delivered more than once.
    twice: tuple[str, ...] = ()
    #: Stanzas that were reported to their sender: unconfirmed, not answered or come back; and delivered or not.
    reported: tuple[str, ...] = ()
    #: How often a server delivered again what had been delivered, and was refused.
    copies: int = 0
    #: Anything else that must not be, in words.
    wrong: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def unhurt(self) -> bool:
        """Whether all arrived once, and nobody noticed anything."""
        return self.honest and not (self.reported or self.copies)

    @property
    def honest(self) -> bool:
        """Whether each arrived at most once, and somebody was told of each that may not have arrived."""
        return not (self.lost or self.twice or self.wrong)


def kind_of(stanza: Any) -> str:
    """Return which one of the exchange a stanza is."""
    found = re.search(rf"\d+ (\w+) {CANARY}( answered)?", " ".join(stanza.xml.itertext()))
    if found is None:
        return "receipt"
    return "result" if found[2] else found[1]


def shown_by(party: Party) -> list[str]:
    """Return where the word that is in every text can be read on a client's wire."""
    records = (party.proxy.recorded_from_clients, party.proxy.recorded_to_clients)
    return [f"{CANARY} was on the wire of {party.jid}" for record in records if CANARY.encode() in record]


def holdings(party: Party) -> Counter[str]:
    """Count handlers, timers and tasks of a client, and what the plugin keeps for stanzas under way."""
    xmpp: Any = party.xmpp
    found: Counter[str] = Counter()
    found.update(
        f"handler {each.name}" for each in xmpp._XMLStream__handlers if "IqCallback" not in each.name
    )
    found["handlers of iq"] = sum("IqCallback" in each.name for each in xmpp._XMLStream__handlers)
    for event, handlers in xmpp._XMLStream__event_handlers.items():
        found[f"event handlers {event}"] = len(handlers)
    found.update(f"timer {name}" for name in xmpp.scheduled_events)
    found["tasks of the client"] = len(_tasks_of(xmpp))
    found["tasks"] = len(asyncio.all_tasks())
    found["slow tasks"] = len(xmpp._XMLStream__slow_tasks)
    found["queued"] = len(xmpp._XMLStream__queued_stanzas) + xmpp.waiting_queue.qsize()
    plugin = party.plugin("e2e")
    exchanges = plugin._outbound.exchanges
    for table in ("_requests", "_guarded", "_owed"):
        found[table] = len(getattr(exchanges, table))
    for name in ("unacknowledged", "parked", "waiting"):
        found[name] = plugin.stats()[name]
    return found
