"""What the server itself answers: requests to its domain, and to an account by that account."""

from typing import Final
from xml.etree.ElementTree import Element, SubElement

from .carbons import CARBONS
from .session import Session
from .stanzas import error, result

_DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"

#: Answered by an empty payload of the same name, and by an empty result.
_EMPTY_LISTS: Final = ("{jabber:iq:roster}query", "{http://jabber.org/protocol/disco#items}query")
_ACCEPTED: Final = (
    ("get", "{urn:xmpp:ping}ping"),
    ("set", "{jabber:iq:roster}query"),
    ("set", "{urn:ietf:params:xml:ns:xmpp-session}session"),
)


def answer(request: Element, *, session: Session | None) -> Element | None:
    """Answer an iq to the server or to the requester's own account.

    `session` is the requester's, None if it is a component. The roster is always empty, and changes to it
    are accepted and forgotten.
    """
    kind, tag = request.get("type"), request[0].tag
    if kind == "get" and tag == f"{{{_DISCO_INFO}}}query":
        return result(request, [_features(of_account="@" in request.get("to", "@"))])
    if kind == "get" and tag in _EMPTY_LISTS:
        return result(request, [Element(tag)])
    if (kind, tag) in _ACCEPTED:
        return result(request)
    if kind == "set" and session is not None and tag in (f"{{{CARBONS}}}enable", f"{{{CARBONS}}}disable"):
        session.carbons = tag.endswith("}enable")
        return result(request)
    return error(request, "service-unavailable")


def _features(*, of_account: bool) -> Element:
    query = Element(f"{{{_DISCO_INFO}}}query")
    category, kind = ("account", "registered") if of_account else ("server", "im")
    SubElement(query, f"{{{_DISCO_INFO}}}identity", {"category": category, "type": kind})
    for feature in (_DISCO_INFO, "urn:xmpp:ping", CARBONS):
        SubElement(query, f"{{{_DISCO_INFO}}}feature", {"var": feature})
    return query
