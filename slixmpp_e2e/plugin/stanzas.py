"""Stanza classes of our own, and the report that stands beside a stanza.

slixmpp hands every handler a copy of the stanza. So what a stanza is known to be can't be kept in a table
by object; it is an attribute of a subclass that survives copying. It is never in the XML: nothing that a
peer sends can imitate it.
"""

import asyncio
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal
from xml.etree.ElementTree import Element

from slixmpp import JID, Iq, Message, Presence
from slixmpp.xmlstream import StanzaBase

from slixmpp_e2e.errors import E2EError, RemoteError, TimestampError
from slixmpp_e2e.freshness import parse_date_time
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.namespaces import CLIENT, E2E, LANG
from slixmpp_e2e.policy import Level
from slixmpp_e2e.report import SecurityReport
from slixmpp_e2e.stanza import Kind, remap, stanza_type

Stanza = Message | Presence | Iq

_CLASSES: Final[dict[str, Any]] = {"message": Message, "presence": Presence, "iq": Iq}
_LEVEL: Final = "_e2e_level"
_REPORT: Final = "_e2e_report"
_SEALED: Final = "_e2e_sealed"
_TEXTS: Final = "_e2e_texts"


class Delivery(StanzaBase):
    """A vehicle through `recv_stanza` for a stanza that did not come over the wire just now.

    It is neither message, presence nor iq, so stream management does not count it; our filter takes the
    stanza out.
    """

    name = "delivery"
    namespace = "urn:slixmpp-e2e:delivery"
    interfaces = set()  # noqa: RUF012
    stanza: Stanza | None = None


class Turn(StanzaBase):
    """A vehicle through slixmpp's sending queue: when it comes by, the oldest stanza that is parked may leave.

    None of slixmpp's own, so that it passes where there is no session, and nothing that could be sent.
    """

    name = "turn"
    namespace = "urn:slixmpp-e2e:turn"
    interfaces = set()  # noqa: RUF012
    #: Whose: the bare JID that it is parked under.
    jid: str


class Departure(StanzaBase):
    """A vehicle through slixmpp's sending queue for a stanza that was sealed outside the filters.

    The filters of other plugins see neither message, presence nor iq; ours, before stream management stores
    anything, takes the outer stanza out. The vehicle itself is nothing that could be sent.
    """

    name = "departure"
    namespace = "urn:slixmpp-e2e:departure"
    interfaces = set()  # noqa: RUF012
    #: What leaves, and what happens when it does.
    outer: Stanza
    leaves: Callable[[], None]
    #: Nanoseconds since 1970.
    moment: int
    #: Whether the stanza needs no other vehicle.
    over: asyncio.Future[bool]

    def __str__(self, *_options: Any, **_more: Any) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class SendFailure:
    """What `e2e_send_failed` carries: the program's stanza, and why it did not leave."""

    stanza: Stanza
    error: E2EError


@dataclass(frozen=True, slots=True)
class ReceiveFailure:
    """What `e2e_error` carries: the stanza as it arrived, and why it was not delivered.

    `stale` is the stanza inside, where its signer was proven but it is old, from the future, seen before, or
    presence older than the last; `plugin.report(stale)` judges it. `skew` is the distance of its timestamp in
    seconds, negative where it is older; None where it was not compared.
    """

    stanza: Stanza
    error: E2EError
    stale: Stanza | None = None
    skew: float | None = None

    @property
    def reason(self) -> str:
        """The stable word for what went wrong."""
        return self.error.reason


RejectionReason = Literal["bad-timestamp", "unverified-signature", "decryption-failed"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """What `e2e_rejected` carries: a peer says that it could not take a stanza of ours (RFC 3923 7).

    `stanza` is the error as the program gets it, with the id that it gave to its own stanza. Nobody signed it:
    any server on the way could have said so.
    """

    stanza: Stanza
    reason: RejectionReason


@dataclass(frozen=True, slots=True)
class Downgrade:
    """What `e2e_downgraded` carries: a stanza in clear, from or to a peer whose certificate is known.

    `in`: the peer could have protected it. `out`: none of his certificates can be used any more, so that
    `opportunistic` lets it leave in clear. `used_to_protect`: he did before, since this program has been running.
    It is told once, until the peer protects again (`in`), or ten minutes later (`out`).
    """

    stanza: Stanza
    direction: Literal["in", "out"]
    used_to_protect: bool


class _Protected:
    """Carries the report through copies, and makes replies that are protected as the request was."""

    stream: Any
    xml: Element

    def __copy__(self) -> Any:
        twin = type(self)(self.stream, xml=copy.deepcopy(self.xml), recv=True)  # type: ignore[call-arg]
        setattr(twin, _REPORT, getattr(self, _REPORT, None))
        setattr(twin, _TEXTS, getattr(self, _TEXTS, None))
        return twin

    def reply(self, *args: Any, **options: Any) -> Any:
        """Return the reply; it will be protected as the request was, whatever the policy asks at least."""
        report: SecurityReport | None = getattr(self, _REPORT, None)
        plain = _PLAIN[type(self)](self.stream, xml=copy.deepcopy(self.xml), recv=True)
        answer = plain.reply(*args, **options)
        if report is not None:
            set_level(answer, Level.REQUIRED if report.encrypted else Level.SIGN)
        return answer


class ProtectedMessage(_Protected, Message):
    """A message that arrived protected."""


class ProtectedPresence(_Protected, Presence):
    """A presence that arrived protected."""


class ProtectedIq(_Protected, Iq):
    """An iq that arrived protected."""


class ForwardingMessage(Message):
    """A carbon or archive result with a stanza in it that was opened; the report is that stanza's."""

    #: slixmpp's name for the wrapper.
    _wrapper: str
    _inner_report: SecurityReport

    def __copy__(self) -> Any:
        return forwarding_message(self.stream, copy.deepcopy(self.xml), self._wrapper, self._inner_report)


def forwarding_message(stream: Any, xml: Element, wrapper: str, report: SecurityReport) -> Any:
    """Return a message around an opened one, which is a `ProtectedMessage` with its report beside it.

    `wrapper` is slixmpp's name of the element between: `carbon_received`, `carbon_sent`, `mam_result`. Where no
    plugin of slixmpp's reads it, there is no inner object, and no report.
    """
    message: Any = ForwardingMessage
    built = message(stream, xml=xml, recv=True)
    built._wrapper, built._inner_report = wrapper, report  # noqa: SLF001 our own class
    between = built.get_plugin(wrapper, check=True)
    inner = between["forwarded"]["stanza"] if between is not None else None
    if isinstance(inner, Message):  # else a reply to it would leave as if it had come in clear
        between["forwarded"]["stanza"] = protected_stanza(stream, inner.xml, report)
    return built


_PROTECTED: Final[dict[str, Any]] = {
    "message": ProtectedMessage,
    "presence": ProtectedPresence,
    "iq": ProtectedIq,
}
_PLAIN: Final[dict[type, Any]] = {ProtectedMessage: Message, ProtectedPresence: Presence, ProtectedIq: Iq}


def own_jid(stream: Any) -> JID:
    """Return our own address; slixmpp may lose it for a while when a resumption fails and it binds twice."""
    own: JID = stream.boundjid if stream.boundjid.bare else stream.requested_jid
    return own


def has_stream(stream: Any) -> bool:
    """Tell whether `XMLStream.send()` would not keep a stanza back: what goes into the queue now is not lost."""
    return getattr(stream, "_always_send_everything", False) or getattr(stream, "_session_started", True)


def kind_of(stanza: Stanza) -> Kind:
    """Return the kind of a stanza."""
    if isinstance(stanza, Message):
        return "message"
    return "presence" if isinstance(stanza, Presence) else "iq"


@lru_cache(maxsize=1024)
def _address(text: str) -> JID:
    return JID(text)


def to_of(stanza: Stanza) -> JID:
    """Return whom a stanza is for, as `stanza["to"]` does. It is not to be changed: others get the same object.

    Raises `InvalidJID`.
    """
    return _address(stanza.xml.get("to", ""))


def goes_to(stanza: Stanza) -> str:
    """Return the bare JID that a stanza goes to, as it is compared; empty where it is for nobody in particular.

    Raises `ValueError` for an address that can't be compared.
    """
    to = to_of(stanza)
    return bare(to) if to.bare else ""


def from_of(stanza: Stanza) -> JID:
    """Return whom a stanza is from, as `stanza["from"]` does; see `to_of`."""
    return _address(stanza.xml.get("from", ""))


def type_of(stanza: Stanza) -> str:
    """Return the type as it stands in the stanza: slixmpp's interface mixes in what `<show/>` says."""
    return stanza_type(stanza.xml)


def protected_stanza(stream: Any, element: Element, report: SecurityReport) -> Stanza:
    """Return a stanza of slixmpp's for what came out of a protected one (`element` is in `jabber:client`)."""
    remap(element, CLIENT, stream.default_ns)
    kind = element.tag.rpartition("}")[2]
    stanza: Stanza = _PROTECTED[kind](stream, xml=element, recv=True)
    setattr(stanza, _REPORT, report)
    setattr(stanza, _TEXTS, _texts_of(stanza))
    return stanza


def _texts_of(stanza: Stanza) -> tuple[tuple[str, str | None, str | None], ...]:
    """Return what a stanza says in words of XMPP itself: bodies, subjects, what is shown of a presence."""
    own = f"{{{stanza.namespace}}}"
    return tuple((each.tag, each.get(LANG), each.text) for each in stanza.xml if each.tag.startswith(own))


def client_element(stanza: Stanza, namespace: str) -> Element:
    """Return a private copy of a stanza's XML in `jabber:client`; `namespace` is the stream's."""
    element = copy.deepcopy(stanza.xml)
    remap(element, namespace, CLIENT)
    return element


def report_of(stanza: Any) -> SecurityReport | None:
    """Return what was proven about a stanza, or None if it arrived unprotected.

    Also None for a copy that somebody gave other words since: another plugin puts what it has decrypted into the
    body, and nobody has signed that. Elements of other namespaces don't count: slixmpp adds some when it is
    asked for them.
    """
    report = arrival_report_of(stanza)
    return report if report is None or getattr(stanza, _TEXTS, None) == _texts_of(stanza) else None


def arrival_report_of(stanza: Any) -> SecurityReport | None:
    """Return what was proven about a stanza when it arrived, whatever has become of it since, or None."""
    report: SecurityReport | None = getattr(stanza, _REPORT, None)
    return report


def inner_report_of(stanza: Any) -> SecurityReport | None:
    """Return what was proven about the stanza inside a carbon or archive result that was opened, or None."""
    report: SecurityReport | None = getattr(stanza, "_inner_report", None)
    return report


def level_of(stanza: Stanza) -> Level | None:
    """Return the level that was asked for this very stanza, or None."""
    level: Level | None = getattr(stanza, _LEVEL, None)
    return level


def set_level(stanza: Stanza, level: Level) -> None:
    """Ask for a level for this very stanza object; copies don't inherit it."""
    setattr(stanza, _LEVEL, level)


def mark_sealed(stanza: Stanza) -> None:
    """Mark an outer stanza that we made: an `<e2e/>` in the XML says nothing about what else is in it."""
    setattr(stanza, _SEALED, True)


def is_sealed(stanza: Stanza) -> bool:
    """Tell whether a stanza is an outer stanza that we made."""
    return getattr(stanza, _SEALED, False)


def stamp_of(delays: Sequence[Element]) -> int | None:
    """Return the moment of the last of some `<delay/>` elements (XEP-0203); None if it says none."""
    try:
        return parse_date_time(delays[-1].get("stamp") or "") if delays else None
    except TimestampError:
        return None


def error_stanza(stream: Any, stanza: Stanza, error: RemoteError) -> Stanza:
    """Return the stanza error that answers a failure: same kind and id, addresses swapped (ERRATA E04)."""
    answer = new_stanza(stream, kind_of(stanza))
    answer["type"] = "error"
    answer["to"] = stanza["from"]
    if stream.is_component:
        answer["from"] = stanza["to"]
    if stanza["id"]:
        answer["id"] = stanza["id"]
    add_error(answer, error)
    return answer


def add_error(stanza: Stanza, error: RemoteError) -> None:
    """Write the answer of an error into an error stanza."""
    set_error(stanza, error.answer.condition, error.answer.type)
    if error.answer.application is not None:
        stanza["error"].xml.append(Element(f"{{{E2E}}}{error.answer.application}"))


def set_error(stanza: Stanza, condition: str, error_type: str) -> None:
    """Write condition and type (RFC 6120 8.3) into a stanza, and no text: slixmpp may have put one there."""
    stanza["error"]["condition"], stanza["error"]["type"] = condition, error_type
    del stanza["error"]["text"]


def new_stanza(stream: Any, kind: Kind) -> Stanza:
    """Return an empty stanza without an id."""
    stanza: Stanza = _CLASSES[kind](stream, recv=True)
    return stanza


def new_iq(stream: Any, kind_type: str, identifier: str) -> Iq:
    """Return an iq with a type and an id."""
    iq: Iq = _CLASSES["iq"](stream, recv=True)
    iq["type"], iq["id"] = kind_type, identifier
    return iq
