"""Reading and building stanzas (RFC 6120 8)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp_e2e.namespaces import CLIENT, DELAY, STANZAS

MESSAGE: Final = f"{{{CLIENT}}}message"
PRESENCE: Final = f"{{{CLIENT}}}presence"
IQ: Final = f"{{{CLIENT}}}iq"

#: RFC 6121 3: these are about the account, and come from its bare JID.
SUBSCRIPTION_TYPES: Final = frozenset({"subscribe", "subscribed", "unsubscribe", "unsubscribed"})

#: The error type that belongs to a condition (RFC 6120 8.3.3); "cancel" for all others.
_ERROR_TYPES: Final = {
    "bad-request": "modify",
    "jid-malformed": "modify",
    "remote-server-timeout": "wait",
}


def is_stanza(element: Element) -> bool:
    """Tell a stanza from a step of the stream's negotiation."""
    return element.tag in (MESSAGE, PRESENCE, IQ)


def is_request(stanza: Element) -> bool:
    """Tell an iq that must be answered."""
    return stanza.tag == IQ and stanza.get("type") in ("get", "set")


def bare(address: str) -> str:
    """Cut the resource off an address; it is not checked, so a hostile one passes."""
    return address.partition("/")[0]


def result(request: Element, payload: Iterable[Element] = ()) -> Element:
    """Build the result of an iq."""
    answer = _answer(request, "result")
    answer.extend(payload)
    return answer


def error(stanza: Element, condition: str) -> Element | None:
    """Build the error that answers a stanza, with its payload echoed; None for what must not be answered.

    Real servers differ: some echo the payload and some do not (RFC 6120 8.3.1 allows both).
    """
    if stanza.get("type") in ("error", "result"):
        return None
    answer = _answer(stanza, "error")
    answer.extend(stanza)
    details = SubElement(answer, f"{{{CLIENT}}}error", {"type": _ERROR_TYPES.get(condition, "cancel")})
    SubElement(details, f"{{{STANZAS}}}{condition}")
    return answer


def delay(address: str, moment: datetime) -> Element:
    """Build the mark of a delayed stanza (XEP-0203)."""
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Element(f"{{{DELAY}}}delay", {"from": address, "stamp": stamp})


def _answer(stanza: Element, kind: str) -> Element:
    attributes = {"type": kind}
    for own, other in (("from", "to"), ("to", "from"), ("id", "id")):
        value = stanza.get(other)
        if value is not None:
            attributes[own] = value
    return Element(stanza.tag, attributes)
