"""Which outer id stands for which inner id: what makes `await iq.send()` work through the protection.

An inner id I travels under an outer id O. The response's outer id is O, its inner id I. All tables are
bounded in time and size, and shared among bare JIDs: whoever sends or makes us send a lot pushes out his own entries,
not those of others. Otherwise the answer to what came encrypted would be one to something unknown.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from slixmpp import JID, Iq

from slixmpp_e2e.plugin.rooms import Rooms
from slixmpp_e2e.plugin.stanzas import Stanza, from_of, new_iq, own_jid, set_error, to_of, type_of
from slixmpp_e2e.policy import Level
from slixmpp_e2e.tables import SharedTable

_SIZE: Final = 10_000
_DAY: Final = 86_400
#: By whom, of whom of ours, and with which id.
_Asked = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """A request of ours that went out protected."""

    inner_id: str
    peer: JID


@dataclass(frozen=True, slots=True)
class _Owed:
    outer_id: str
    level: Level


@dataclass(slots=True)
class Exchanges:
    """What is under way."""

    xmpp: Any
    now: Callable[[], float] = time.monotonic
    rooms: Rooms = field(default_factory=Rooms)
    #: Requests that we sent, by outer id.
    _requests: SharedTable[str, Request] = field(init=False)
    #: The inner ids of those requests: they must not be answered in clear.
    _guarded: SharedTable[str, bool] = field(init=False)
    #: Requests that we received and owe an answer, by sender, by whom of ours they were to, and by inner id.
    _owed: SharedTable[_Asked, _Owed] = field(init=False)
    #: Requests that came in clear, so that they are answered in clear.
    _clear: SharedTable[_Asked, bool] = field(init=False)
    #: What we sent and received otherwise: outer id to inner id, and back.
    _sent: SharedTable[str, str] = field(init=False)
    _received: SharedTable[_Asked, str] = field(init=False)
    #: Full JIDs that have sent us something protected.
    _fluent: SharedTable[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        # longer than any program waits: a clear response must never be taken for the protected one
        self._requests = SharedTable(_DAY, _SIZE, self.now)
        self._guarded = SharedTable(_DAY, _SIZE, self.now)
        self._owed = SharedTable(_DAY, _SIZE, self.now)
        self._clear = SharedTable(_DAY, _SIZE, self.now)
        self._sent = SharedTable(3600, _SIZE, self.now)
        self._received = SharedTable(600, _SIZE, self.now)
        self._fluent = SharedTable(3600, _SIZE, self.now)

    def __len__(self) -> int:
        tables: tuple[Any, ...] = (
            self._requests,
            self._guarded,
            self._owed,
            self._clear,
            self._sent,
            self._received,
            self._fluent,
        )
        return sum(len(table) for table in tables) + len(self.rooms)

    # ------------------------------------------------------------------ leaving

    def new_outer_id(self, stanza: Stanza, new_id: Callable[[], str]) -> str:
        """Return the outer id for a stanza: that of the request it answers, or a new one."""
        if isinstance(stanza, Iq) and type_of(stanza) in {"result", "error"}:
            owed = self._owed.get(self._answered_by(stanza))
            if owed is not None:
                return owed.outer_id
        return new_id()

    def level_owed(self, iq: Stanza) -> Level | None:
        """Return how the request came that an iq answers, or None if it came in clear or is not known."""
        owed = self._owed.get(self._answered_by(iq))
        return owed.level if owed else None

    def sent(self, outer_id: str, inner: Stanza) -> None:
        """Remember that `inner` leaves with an outer id."""
        if isinstance(inner, Iq):
            if type_of(inner) in {"get", "set"}:
                peer = inner["to"]
                self._requests.put(outer_id, Request(inner["id"], peer), peer.bare)
                self._guarded.put(inner["id"], True, peer.bare)
            else:
                self._owed.pop(self._answered_by(inner))
        elif inner_id := inner.xml.get("id"):
            self._sent.put(outer_id, inner_id, to_of(inner).bare)

    def is_forgotten(self, iq: Stanza) -> bool:
        """Tell whether a result or error may answer something protected of which nothing is known any more.

        That is so if it goes to a full JID that has sent us something protected, and answers no request that is
        known, neither a protected one nor a clear one.
        """
        if not self.understands(iq["to"]):
            return False
        answered = self._answered_by(iq)
        return self._owed.get(answered) is None and self._clear.get(answered) is None

    def understands(self, jid: JID) -> bool:
        """Tell whether a full JID has sent us something protected."""
        return self._fluent.get(jid.full) is not None

    def outer_id(self, peer: JID, own: JID, inner_id: str) -> str | None:
        """Return the outer id of a message or presence that a peer sent to one of ours, or None."""
        return self._received.get((peer.full, self._hosted(own), inner_id))

    def take_owed(self, iq: Iq) -> str | None:
        """Return the outer id of the request that an iq answers, and forget it."""
        owed = self._owed.pop(self._answered_by(iq))
        return owed.outer_id if owed else None

    # ------------------------------------------------------------------ arriving

    def received(self, outer: Stanza, inner: Stanza, *, encrypted: bool) -> None:
        """Remember that `inner` came as `outer`."""
        peer = from_of(outer)
        sender, own, inner_id = peer.full, self._hosted(to_of(outer)), inner["id"]
        self._fluent.put(sender, True, peer.bare)
        if isinstance(inner, Iq):
            if type_of(inner) in {"get", "set"}:
                level = Level.REQUIRED if encrypted else Level.SIGN
                self._owed.put((sender, own, inner_id), _Owed(outer["id"], level), peer.bare)
                self._clear.pop((sender, own, inner_id))
        elif inner_id:
            self._received.put((sender, own, inner_id), outer["id"], peer.bare)

    def received_clear(self, stanza: Stanza) -> None:
        """Remember a request that came in clear and is delivered."""
        if isinstance(stanza, Iq) and type_of(stanza) in {"get", "set"}:
            peer = from_of(stanza)
            self._clear.put((peer.full, self._hosted(to_of(stanza)), stanza["id"]), True, peer.bare)

    def request(self, outer_id: str) -> Request | None:
        """Return the protected request that an outer id belongs to, or None."""
        return self._requests.get(outer_id)

    def is_guarded(self, inner_id: str) -> bool:
        """Tell whether an id is that of a protected request, so that no clear stanza may bear it."""
        return self._guarded.get(inner_id) is not None

    def answered(self, outer_id: str) -> None:
        """Forget a request: its answer has come."""
        request = self._requests.pop(outer_id)
        if request is not None:
            self._guarded.pop(request.inner_id)

    def inner_id(self, outer_id: str) -> str | None:
        """Return the id that the program gave to a message or presence, or None."""
        return self._sent.get(outer_id)

    def local_error(self, request: Iq | Request, condition: str, text: str) -> Iq:
        """Return an error that ends an awaited request of ours; it never was on the wire."""
        if isinstance(request, Iq):
            inner_id, peer = request["id"], request["to"]
        else:
            inner_id, peer = request.inner_id, request.peer
        answer: Iq = new_iq(self.xmpp, "error", inner_id)
        answer["from"], answer["to"] = peer, own_jid(self.xmpp)
        set_error(answer, condition, "cancel")
        answer["error"]["text"] = text
        return answer

    def _answered_by(self, iq: Stanza) -> _Asked:
        """Return what tells the request apart that a result or error answers."""
        return iq["to"].full, self._hosted(iq["from"]), iq["id"]

    def _hosted(self, address: JID) -> str:
        """Return which of the accounts that a component hosts an address is; a client has only one."""
        return str(address.bare) if self.xmpp.is_component else ""
