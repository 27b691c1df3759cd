"""Messages and Message/CPIM (RFC 3922 4): what maps without loss, and how.

A message goes as text/plain when text, an optional subject and an id are all it has; anything more travels
as application/xmpp+xml, so that nothing is lost between two of us.
"""

import re
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp.jid import JID

from slixmpp_e2e.errors import InvalidStanzaError, MalformedError
from slixmpp_e2e.media import cpim, entity_header, mime
from slixmpp_e2e.media.entity_header import LANG
from slixmpp_e2e.namespaces import CLIENT
from slixmpp_e2e.stanza import Outer

_BODY: Final = f"{{{CLIENT}}}body"
_SUBJECT: Final = f"{{{CLIENT}}}subject"
_MESSAGE: Final = f"{{{CLIENT}}}message"
_PLAIN_ATTRIBUTES: Final = frozenset({"from", "to", "type", "id", LANG})
_MAX_SUBJECT: Final = 2000  # six octets each, when escaped: `cpim` bounds the headers
_ILLEGAL: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def fits_text(message: Element) -> bool:
    """Tell whether a message can travel as text/plain and come back as it was (its type aside)."""
    children = [child.tag for child in message]
    if (
        children not in ([_BODY], [_SUBJECT, _BODY], [_BODY, _SUBJECT])
        or set(message.keys()) - _PLAIN_ATTRIBUTES
    ):
        return False
    if any(child.attrib or len(child) or not child.text or (child.tail or "").strip() for child in message):
        return False
    body, subject = message.findtext(_BODY, ""), message.findtext(_SUBJECT, "")
    if "\r" in body or subject != subject.strip(" ") or (message.text or "").strip():  # they would change
        return False
    return len(subject) <= _MAX_SUBJECT and entity_header.fits(message)


def write_text(message: Element, sender: JID) -> tuple[list[cpim.Header], bytes]:
    """Return the headers (subject) and the text/plain entity of a message that fits; raise `InvalidStanzaError`."""
    body, subject = message.findtext(_BODY, ""), message.findtext(_SUBJECT)
    if _ILLEGAL.search(body) or _ILLEGAL.search(subject or ""):
        raise InvalidStanzaError("text with characters that XML can't carry")
    text = body.replace("\n", "\r\n").encode()
    headers = [] if subject is None else [cpim.Header("Subject", subject)]
    return headers, entity_header.write(
        message, sender, content_type="Content-type: text/plain; charset=utf-8", body=text
    )


def read_text(message: cpim.CPIMMessage, entity: mime.Entity, outer: Outer) -> Element:
    """Return the message that a text/plain entity in Message/CPIM stands for.

    Its type is the outer one: RFC 3922 4.1.4 does not carry types. Raises `MalformedError` or `RefusedError`.
    """
    try:
        text = entity_header.utf8_body(entity).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("text that is not UTF-8") from None
    subjects = message.all("Subject")
    if _ILLEGAL.search(text) or any(_ILLEGAL.search(subject.value) for subject in subjects):
        raise MalformedError("text with characters that XML can't carry")
    element = Element(_MESSAGE)
    if outer.type != "normal":
        element.set("type", outer.type)
    entity_header.read(entity, outer.sender, element)
    for subject in subjects:
        found = SubElement(element, _SUBJECT)
        found.text = subject.value
        if subject.language:
            found.set(LANG, subject.language)
    SubElement(element, _BODY).text = text.replace("\r\n", "\n").replace("\r", "\n")
    return element
