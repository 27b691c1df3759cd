"""Messages and Message/CPIM (RFC 3922 4): what maps without loss, and how.

A message goes as text/plain when text, an optional subject and an id are all it has; anything more travels
as application/xmpp+xml, so that nothing is lost between two of us.
"""

import re
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp.jid import JID

from slixmpp_e2e.errors import InvalidStanzaError, MalformedError, RefusedError
from slixmpp_e2e.media import cpim, mime
from slixmpp_e2e.media.addresses import jid_to_uri
from slixmpp_e2e.namespaces import CLIENT, XML
from slixmpp_e2e.stanza import Outer

_BODY: Final = f"{{{CLIENT}}}body"
_SUBJECT: Final = f"{{{CLIENT}}}subject"
_MESSAGE: Final = f"{{{CLIENT}}}message"
_LANG: Final = f"{{{XML}}}lang"
_PLAIN_ATTRIBUTES: Final = frozenset({"from", "to", "type", "id", _LANG})
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9-]{1,35}")  # ERRATA C11
#: What may stand left of the "@" of a Content-ID (RFC 5322 3.2.3).
_ID: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_MAX_ID: Final = 200
_MAX_SUBJECT: Final = 2000  # six octets each, when escaped: `cpim` bounds the headers
_CONTENT_ID: Final = re.compile(r"<([^<>\s]+)>")
_ILLEGAL: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def fits_text(message: Element) -> bool:
    """Tell whether a message can travel as text/plain and come back as it was (its type aside)."""
    children = [child.tag for child in message]
    if not _LANGUAGE.fullmatch(message.get(_LANG, "en")):
        return False
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
    if len(subject) > _MAX_SUBJECT:
        return False
    identifier = message.get("id", "")
    return not identifier or (len(identifier) <= _MAX_ID and _ID.fullmatch(identifier) is not None)


def write_text(message: Element, sender: JID) -> tuple[list[cpim.Header], bytes]:
    """Return the headers (subject) and the text/plain entity of a message that fits; raise `InvalidStanzaError`."""
    body, subject = message.findtext(_BODY, ""), message.findtext(_SUBJECT)
    if _ILLEGAL.search(body) or _ILLEGAL.search(subject or ""):
        raise InvalidStanzaError("text with characters that XML can't carry")
    text = body.replace("\n", "\r\n").encode()
    fields = ["Content-type: text/plain; charset=utf-8"]
    if identifier := message.get("id"):
        # RFC 3922 4.1.3: our ids are unique, so they map
        fields.append(f"Content-ID: <{identifier}@{_content_id_domain(sender)}>")
    if language := message.get(_LANG):
        fields.append(f"Content-Language: {language}")
    if not text.isascii():
        fields.append("Content-Transfer-Encoding: 8bit")
    headers = [] if subject is None else [cpim.Header("Subject", subject)]
    return headers, "\r\n".join((*fields, "", "")).encode() + text


def read_text(message: cpim.CPIMMessage, entity: mime.Entity, outer: Outer) -> Element:
    """Return the message that a text/plain entity in Message/CPIM stands for.

    Its type is the outer one: RFC 3922 4.1.4 does not carry types. Raises `MalformedError` or `RefusedError`.
    """
    if entity.parameters.get("charset", "utf-8").lower() not in {"utf-8", "us-ascii"}:
        raise RefusedError("text in another charset than UTF-8", reason="unsupported")  # RFC 3922 4.2.9
    try:
        text = entity.decoded_body().decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("text that is not UTF-8") from None
    subjects = message.all("Subject")
    if _ILLEGAL.search(text) or any(_ILLEGAL.search(subject.value) for subject in subjects):
        raise MalformedError("text with characters that XML can't carry")
    element = Element(_MESSAGE)
    if outer.type != "normal":
        element.set("type", outer.type)
    if (identifier := _identifier(entity, outer.sender)) is not None:
        element.set("id", identifier)
    language = entity.fields.get("content-language", "")
    if _LANGUAGE.fullmatch(language):
        element.set(_LANG, language)
    for subject in subjects:
        found = SubElement(element, _SUBJECT)
        found.text = subject.value
        if subject.language:
            found.set(_LANG, subject.language)
    SubElement(element, _BODY).text = text.replace("\r\n", "\n").replace("\r", "\n")
    return element


def _identifier(entity: mime.Entity, sender: JID) -> str | None:
    """Return the stanza id that a Content-ID stands for (RFC 3922 4.2.8): ours, or the foreign one whole."""
    found = _CONTENT_ID.fullmatch(entity.fields.get("content-id", "").strip())
    if found is None or _ILLEGAL.search(found[1]):
        return None
    identifier, _, domain = found[1].rpartition("@")
    return identifier if identifier and domain == _content_id_domain(sender) else found[1]


def _content_id_domain(sender: JID) -> str:
    return jid_to_uri(sender.domain, "im").removeprefix("im:")  # A-labels
