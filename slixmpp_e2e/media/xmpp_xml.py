"""application/xmpp+xml (RFC 3923 10): a document with one stanza."""

from xml.etree.ElementTree import Element

from slixmpp_e2e.errors import InvalidStanzaError, MalformedError
from slixmpp_e2e.namespaces import CLIENT, SERVER
from slixmpp_e2e.stanza import MAX_ID, SPACE, as_client_stanza, canonical, parse_xml, serialise

MEDIA_TYPE = "application/xmpp+xml"


def write(stanza: Element) -> bytes:
    """Return the MIME entity for a stanza in `jabber:client`; raise `InvalidStanzaError`, `TooLargeError`."""
    if len(stanza.get("id", "")) > MAX_ID:
        raise InvalidStanzaError("an id that is too long")
    data = canonical(f'<xmpp xmlns="{CLIENT}">{serialise(stanza, CLIENT)}</xmpp>')
    encoding = "" if data.isascii() else "Content-Transfer-Encoding: 8bit\r\n"
    return f"Content-Type: {MEDIA_TYPE}; charset=utf-8\r\n{encoding}\r\n".encode() + data


def parse(document: bytes) -> Element:
    """Return the stanza of a document, in `jabber:client`; raise `MalformedError` (ERRATA E24)."""
    root = parse_xml(document)
    if root.tag not in {f"{{{CLIENT}}}xmpp", f"{{{SERVER}}}xmpp"}:
        raise MalformedError("the root element is not xmpp")
    if len(root) != 1 or (root.text or "").strip(SPACE) or (root[0].tail or "").strip(SPACE):
        raise MalformedError("the root element holds something else than one stanza")
    stanza = as_client_stanza(root[0])
    stanza.tail = None
    return stanza
