"""Copies of messages for the other resources of an account (XEP-0280)."""

from typing import Final, Literal
from xml.etree.ElementTree import Element, SubElement

from slixmpp_e2e.namespaces import CLIENT, HINTS

from .stanzas import MESSAGE

CARBONS: Final = "urn:xmpp:carbons:2"
_FORWARD: Final = "urn:xmpp:forward:0"

Direction = Literal["sent", "received"]

#: A message with one of these is never copied (XEP-0280 6.1 and 8).
_EXCLUDED: Final = (
    f"{{{CARBONS}}}private",
    f"{{{CARBONS}}}sent",
    f"{{{CARBONS}}}received",
    f"{{{HINTS}}}no-copy",
)


def eligible(message: Element) -> bool:
    """Say whether a message is copied: a chat, or a normal message with a body (XEP-0280 6.1)."""
    if any(message.find(name) is not None for name in _EXCLUDED):
        return False
    kind = message.get("type", "normal")
    return kind == "chat" or (kind == "normal" and message.find(f"{{{CLIENT}}}body") is not None)


def copy_for(recipient: str, message: Element, direction: Direction, account: str) -> Element:
    """Wrap a message that this account sent or received, for another of its resources."""
    attributes = {"from": account, "to": recipient, "type": message.get("type", "normal")}
    carbon = Element(MESSAGE, attributes)
    forwarded = SubElement(SubElement(carbon, f"{{{CARBONS}}}{direction}"), f"{{{_FORWARD}}}forwarded")
    forwarded.append(message)
    return carbon
