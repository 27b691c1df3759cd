"""Rooms (XEP-0045): where we are, and what is asked of stanzas that go there (ARCHITECTURE invariant 6).

Nothing is protected that goes to a room or through it, and nothing is opened that comes from there: everybody in
it speaks from addresses of the room, so that no certificate could say who it was. A room is what our own presence
has joined. Nobody else can make an address one.
"""

from dataclasses import dataclass, field

from slixmpp import Presence

from slixmpp_e2e.outer import MUC_JOIN
from slixmpp_e2e.plugin.stanzas import Stanza, kind_of, to_of, type_of
from slixmpp_e2e.policy import RANK, Level, Policy


@dataclass(slots=True)
class Rooms:
    """The bare JIDs of rooms that we are in; as many as the program joins."""

    _joined: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self._joined)

    def __contains__(self, jid: str) -> bool:
        return jid in self._joined

    def lead(self, stanza: Stanza) -> bool:
        """Tell whether a stanza that leaves goes to a room, or through it to an occupant.

        Our presence says where we are: with it a room is joined, and left.
        """
        room = to_of(stanza).bare
        if isinstance(stanza, Presence):
            if stanza.xml.find(MUC_JOIN) is not None:
                self._joined.add(room)
            elif type_of(stanza) == "unavailable" and room in self._joined:
                self._joined.discard(room)
                return True
        return room in self._joined


def asked_in_room(stanza: Stanza, policy: Policy, asked: Level | None) -> Level | None:
    """Return what is asked of a stanza that goes to a room or through it, by whoever sends it and by the policy.

    What everybody in the room gets is subject to an entry of its own alone (ARCHITECTURE, policies). The rest is
    what could be said to anybody, to one occupant or to the room itself: it does not leave in clear because some
    presence has made a room of the address.
    """
    to, kind = to_of(stanza), kind_of(stanza)
    is_public = kind == "presence" or type_of(stanza) == "groupchat"
    if asked is Level.OFF or (is_public and not policy.has_own_entry(to)):
        return asked
    demanded = policy.level(to, kind)
    return demanded if asked is None or RANK[demanded] > RANK[asked] else asked


def is_public(stanza: Stanza, rooms: Rooms, policy: Policy) -> bool:
    """Tell whether a stanza that came is for everybody in a room that has no entry of its own."""
    sender = stanza["from"]
    return type_of(stanza) == "groupchat" and sender.bare in rooms and not policy.has_own_entry(sender)
