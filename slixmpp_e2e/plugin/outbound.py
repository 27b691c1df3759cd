"""What leaves: policy, protection, the outer stanza, and what the program hears when it fails (invariants 1 to 7)."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp import JID, Iq, Message, Presence

from slixmpp_e2e.errors import (
    E2EError,
    LocalError,
    NoCertificateError,
    StoreError,
    TooLargeError,
    UnprotectableError,
)
from slixmpp_e2e.leaving import Format, Plan
from slixmpp_e2e.namespaces import EME, HINTS, LIMITS
from slixmpp_e2e.outer import IN_ROOM, TO_BARE_JID, never_protected
from slixmpp_e2e.plugin.discretion import where
from slixmpp_e2e.plugin.exchanges import Exchanges
from slixmpp_e2e.plugin.parking import Parking
from slixmpp_e2e.plugin.resumption import Resumption
from slixmpp_e2e.plugin.rooms import asked_in_room
from slixmpp_e2e.plugin.stanzas import (
    Delivery,
    SendFailure,
    Stanza,
    client_element,
    kind_of,
    level_of,
    mark_sealed,
    new_iq,
    new_stanza,
    own_jid,
    set_error,
    set_level,
    to_of,
    type_of,
)
from slixmpp_e2e.policy import RANK, Level, Policy
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.waiting import NotYet

log = logging.getLogger(__name__)

_LEAST_SIZE: Final = 10_000
_CARBONS_PRIVATE: Final = "{urn:xmpp:carbons:2}private"
_HINT: Final = f"{{{HINTS}}}"
_STORE: Final = f"{_HINT}store"
_NO_STORE: Final = f"{_HINT}no-store"
#: The hints about archives (XEP-0334 4).
_KEEPING: Final = frozenset({_STORE, _NO_STORE, f"{_HINT}no-permanent-store"})
_ENCRYPTION: Final = f"{{{EME}}}encryption"
_ENCRYPTING: Final = frozenset({Level.REQUIRED, Level.ENCRYPT_UNSIGNED})
_DEMANDING: Final = frozenset({Level.SIGN, Level.REQUIRED, Level.ENCRYPT_UNSIGNED})


@dataclass(frozen=True, slots=True)
class OutboundOptions:
    """How outer stanzas look."""

    #: The largest outer stanza, in octets; most servers accept 256 KiB and end the stream over more.
    max_stanza_size: int = 200_000
    #: XEP-0380 and XEP-0334 hints on messages, which archives and carbons need.
    hints: bool = True
    #: The same text for every message, for clients that can't read it.
    fallback_body: str | None = None
    #: Seconds that a stanza waits for a missing certificate, at the most; 0: it fails at once.
    certificate_wait: float = 0


@dataclass(slots=True)
class Outbound:
    """Decides what is done to a stanza, and does it."""

    xmpp: Any
    protection: Protection
    policy: Policy
    exchanges: Exchanges
    stats: Counter[str]
    options: OutboundOptions = field(default_factory=OutboundOptions)
    #: What our server announced as the largest stanza (XEP-0478), in octets; None: nothing.
    announced_size: int | None = None
    #: Returns which format a JID is written to in, or raises `NotYet` (`FormatChoice.of`).
    written_as: Callable[[JID], Format] = field(default=lambda _jid: "rfc3923")
    #: Called with what `opportunistic` lets leave in clear (`Downgrades.leaves_clear`).
    on_clear: Callable[[Stanza], None] = field(default=lambda _stanza: None)
    resumption: Resumption = field(init=False)
    parking: Parking = field(init=False)

    def __post_init__(self) -> None:
        self.parking = Parking(self.xmpp, self._lacks_certificate, self.fail, self.options.certificate_wait)
        self.resumption = Resumption(self.xmpp, self.protection.now, self._payload_again)

    def _lacks_certificate(self, stanza: Stanza) -> bool:
        """Tell whether a stanza has to wait for a certificate. slixmpp sends presence by itself: it does not."""
        if isinstance(stanza, Presence):
            return False
        with suppress(NotYet):  # what needs no certificate needs nobody who knows one
            if self.protection.can_encrypt_to(to_of(stanza)):
                return False
        try:
            level = self.level(stanza, level_of(stanza))
        except LocalError:
            return False  # it fails when its turn comes
        return level in _ENCRYPTING and not self.protection.can_encrypt_to(to_of(stanza))

    def keep_demand(self, stanza: Stanza) -> None:
        """Let what a policy demands of a stanza that waits be demanded still when it leaves."""
        if self.policy.level(to_of(stanza), kind_of(stanza)) not in _DEMANDING:
            return
        with suppress(LocalError, NotYet):  # it fails when its turn comes; what is demanded asks nobody
            demanded = self.level(stanza, level_of(stanza))
            if demanded in _DEMANDING:
                set_level(stanza, demanded)

    # ------------------------------------------------------------------ what is to be done

    def level(self, stanza: Stanza, asked: Level | None) -> Level:
        """Return what is to be done to a stanza; `opportunistic` is decided here.

        `asked` is what was asked for it beyond the policy. Raises `UnprotectableError` where something is
        demanded that may never be done.
        """
        to, kind, kind_type = to_of(stanza), kind_of(stanza), type_of(stanza)
        why = never_protected(kind, kind_type, to)
        if why is None and self.exchanges.rooms.lead(stanza):
            why = IN_ROOM
        if why is not None:
            if to.bare and (why is IN_ROOM or kind_type == "groupchat"):
                asked = asked_in_room(stanza, self.policy, asked)
            return self._never(asked, why)
        level = self.policy.level(to, kind)
        if kind == "iq" and kind_type in {"result", "error"}:
            return self._level_of_response(stanza, level, asked)
        if level is Level.OPPORTUNISTIC and asked is not Level.OFF:
            level = Level.REQUIRED if self._opportunity(stanza) else Level.OFF
        if asked is Level.OFF or (asked is not None and RANK[asked] > RANK[level]):
            level = asked
        if level is Level.OPPORTUNISTIC:  # asked for, beyond a policy of none
            level = Level.REQUIRED if self._opportunity(stanza) else Level.OFF
        if level is Level.OFF:
            return level
        if kind == "iq" and not to.resource:
            return self._never(level, TO_BARE_JID)
        return level

    def _level_of_response(self, iq: Stanza, policy: Level, asked: Level | None) -> Level:
        """Return how an iq result or error must leave: as its request came, and not below the policy.

        A response to a clear request stays clear. But where protection is due, and the request is not known
        any more, it does not leave at all; nor where it may be due, because it goes to a full JID that has sent us
        something protected. He could not tell what it answers: the id of a protected request never was outside.
        """
        owed = self.exchanges.level_owed(iq)
        due = [level for level in (owed, asked, policy) if level in _DEMANDING]
        if owed is None and (due or self.exchanges.is_forgotten(iq)):
            raise UnprotectableError("the request that this answers is not known any more")
        if not due:
            return Level.OFF
        return max(due, key=RANK.__getitem__)

    def _opportunity(self, stanza: Stanza) -> bool:
        to = to_of(stanza)
        if isinstance(stanza, Iq) and not (to.resource and self.exchanges.understands(to)):
            return False  # to a bare JID it is for the server, even if that has let its user seem to be one
        if self.protection.can_encrypt_to(to):
            return True
        self.on_clear(stanza)
        return False

    @staticmethod
    def _never(asked: Level | None, why: str) -> Level:
        if asked in _DEMANDING:
            raise UnprotectableError(why)
        return Level.OFF

    def may_be_protected(self, stanza: Stanza) -> bool:
        """Tell whether a stanza of ours is perhaps not to be seen by others; nothing is looked up.

        It is for logs: what is about to be sent, now or later, in clear or not.
        """
        try:
            to, kind, kind_type = to_of(stanza), kind_of(stanza), type_of(stanza)
            asked = level_of(stanza)
            if not to.bare or asked is Level.OFF:
                return False
            if asked is not None or self.policy.level(to, kind) is not Level.OFF:
                return not (never_protected(kind, kind_type, to) and kind_type != "error")
            if isinstance(stanza, Iq) and kind_type in {"result", "error"}:
                return self.exchanges.level_owed(stanza) is not None or self.exchanges.is_forgotten(stanza)
            return (
                kind_type == "error" and self.exchanges.outer_id(to, stanza["from"], stanza["id"]) is not None
            )
        except ValueError:  # an address that is none
            return True

    def bare_error(self, stanza: Stanza) -> Stanza:
        """Return an error stanza without anything that an inner stanza may have left in it (invariant 1).

        slixmpp answers a handler's exception so; the id is that of the inner stanza, which the peer's
        server never saw.
        """
        to = to_of(stanza)
        identifier = self.exchanges.outer_id(to, stanza["from"], stanza["id"])
        clear = self.policy.level(to, kind_of(stanza)) is Level.OFF if to.bare else True
        if identifier is None and clear and level_of(stanza) is None:
            return stanza
        error = new_stanza(self.xmpp, kind_of(stanza))
        _copy_attributes(stanza, error, "to", "from")
        error["type"] = "error"
        if identifier or clear:
            error["id"] = identifier or stanza["id"]
        set_error(error, stanza["error"]["condition"], stanza["error"]["type"])
        return error

    # ------------------------------------------------------------------ doing it

    def protected(self, stanza: Stanza, level: Level) -> Stanza:
        """Return the outer stanza for a stanza that leaves now; raise a `LocalError`."""
        plan = self.plan(stanza, level)
        outer = self.wrap(stanza, plan.write())
        self.leaves(outer, stanza, level, plan)
        return outer

    def plan(self, stanza: Stanza, level: Level, written_as: Format | None = None) -> Plan:
        """Return how `<e2e/>` is made; the format is chosen if none is given. Raise a `LocalError`, or `NotYet`."""
        sender = self.sender(stanza)
        element = client_element(stanza, self.xmpp.default_ns)
        element.set("from", sender.full)
        to = to_of(stanza)
        if written_as is None:
            written_as = "rfc3923" if level is Level.SIGN else self.written_as(to)
        return self.protection.plan(element, sender=sender, recipient=to, level=level, written_as=written_as)

    def works_slowly(self, stanza: Stanza, level: Level) -> bool:
        """Tell whether a stanza needs a key of ours that takes its time."""
        if level is Level.ENCRYPT_UNSIGNED:
            return False
        own = self.protection.identity_of(self.sender(stanza))
        return own is not None and own.is_slow

    def _payload_again(self, stanza: Stanza, level: Level, written_as: Format) -> Element:
        """Return another payload for a stanza that has left, if that can be done at once."""
        if self.works_slowly(stanza, level):
            raise UnprotectableError("the key takes its time, and the stream is about to go on")
        # the payload that brought our certificate may be lost
        self.protection.include_again(self.sender(stanza), stanza["to"])
        try:
            plan = self.plan(stanza, level, written_as)
        except NotYet:
            raise StoreError("the store takes its time, and the stream is about to go on") from None
        payload = plan.write()
        self.protection.written(plan)
        return payload

    def wrap(self, stanza: Stanza, payload: Element) -> Stanza:
        """Return the outer stanza around a payload; raise `TooLargeError`."""
        outer = new_stanza(self.xmpp, kind_of(stanza))
        _copy_attributes(stanza, outer, "to", "from", "type")
        outer.xml.set("id", self.exchanges.new_outer_id(stanza, self._new_id))
        mark_sealed(outer)
        if isinstance(stanza, Iq) and type_of(stanza) == "error":
            set_error(outer, "undefined-condition", "cancel")  # RFC 6120 8.3.2: there is always an <error/>
        outer.xml.append(payload)
        if isinstance(stanza, Message):
            self._add_hints(outer, stanza, payload.tag[1:].partition("}")[0])
        most = self.options.max_stanza_size
        if self.announced_size is not None:
            most = min(most, self.announced_size)
        if sum(map(len, payload.itertext())) * 5 > most:  # even escaped, most are far from it
            _check_size(outer, most)
        return outer

    def leaves(self, outer: Stanza, stanza: Stanza, level: Level, plan: Plan) -> None:
        """Take note of an outer stanza that leaves."""
        self.protection.written(plan)
        self.exchanges.sent(outer.xml.get("id", ""), stanza)
        self.resumption.sealed(outer.xml.get("id", ""), stanza, level)
        self.stats["sealed"] += 1

    def sender(self, stanza: Stanza) -> JID:
        """Return who a stanza is from: what it says, or the stream's own address."""
        if not stanza.xml.get("from"):
            return own_jid(self.xmpp)
        said: JID = stanza["from"]
        return said

    def _new_id(self) -> str:
        return self.protection.random(16).hex()

    def _add_hints(self, outer: Stanza, stanza: Stanza, namespace: str) -> None:
        tags = [child.tag for child in stanza.xml]
        own = {tag for tag in tags if tag.startswith(_HINT)}
        for tag in [tag for tag in tags if tag in own or tag == _CARBONS_PRIVATE]:
            if outer.xml.find(tag) is None:
                outer.xml.append(Element(tag))
        if self.options.hints:
            SubElement(outer.xml, _ENCRYPTION, {"namespace": namespace})
            if own.isdisjoint(_KEEPING):  # else the program has decided it
                has_body = f"{{{self.xmpp.default_ns}}}body" in tags
                SubElement(outer.xml, _STORE if has_body else _NO_STORE)
        if self.options.fallback_body is not None:
            outer["body"] = self.options.fallback_body

    def hear_features(self, features: Element) -> None:
        """Take note of what a stream's features say about the size of stanzas (XEP-0478 0.2).

        No stream may be limited to less than 10,000 octets (RFC 6120 13.12): such a word does not count.
        """
        said = features.findtext(f"{{{LIMITS}}}limits/{{{LIMITS}}}max-bytes", "").strip()
        size = int(said) if said.isascii() and said.isdigit() and len(said) < 16 else 0
        self.announced_size = size if size >= _LEAST_SIZE else None

    # ------------------------------------------------------------------ failing

    def fail(self, stanza: Stanza, error: Exception) -> None:
        """Tell the program at once that a stanza did not leave."""
        self.stats["send_failed"] += 1
        if isinstance(error, E2EError):
            known: E2EError = error
            log.warning("not sent to %s: %s", stanza.xml.get("to"), error.summary())
        else:
            known = LocalError(f"protecting the stanza failed ({type(error).__name__})")
            log.error("not sent to %s: protecting it failed: %s", stanza.xml.get("to"), where(error))
        self.xmpp.event("e2e_send_failed", SendFailure(stanza, known))
        if isinstance(stanza, Iq):
            self._fail_iq(stanza, known)

    def _fail_iq(self, iq: Iq, error: E2EError) -> None:
        if type_of(iq) in {"get", "set"}:
            condition = "item-not-found" if isinstance(error, NoCertificateError) else "not-acceptable"
            self._deliver_later(self.exchanges.local_error(iq, condition, error.diagnostics()))
            return
        # the peer must get an answer all the same, and learns nothing from it
        outer_id = self.exchanges.take_owed(iq)
        if outer_id is not None:
            answer = new_iq(self.xmpp, "error", outer_id)
            _copy_attributes(iq, answer, "to", "from")
            set_error(answer, "internal-server-error", "cancel")
            mark_sealed(answer)  # there is nothing in it to protect
            self.xmpp.send(answer)

    def _deliver_later(self, stanza: Stanza) -> None:
        """Hand a stanza to the program's handlers as if it had arrived, once the filters are through."""
        vehicle = Delivery(self.xmpp)
        vehicle.stanza = stanza
        asyncio.get_running_loop().call_soon(self.xmpp.recv_stanza, vehicle)


def _check_size(outer: Stanza, most: int) -> None:
    size = len(str(outer).encode())
    if size > most:
        raise TooLargeError(f"the protected stanza has {size} octets; {most} are allowed")


def _copy_attributes(source: Stanza, target: Stanza, *names: str) -> None:
    for name in names:
        if value := source.xml.get(name):
            target.xml.set(name, value)
