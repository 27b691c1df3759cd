"""The MIME header of an entity that stands for a stanza (RFC 3922 4.1.3, 4.2.8, 5.1.3, 5.2.8).

What a text or a PIDF document has no place for: the id of the stanza travels as Content-ID, its xml:lang as
Content-Language. Bodies are UTF-8.
"""

import re
from typing import Final
from xml.etree.ElementTree import Element

from slixmpp.jid import JID

from slixmpp_e2e.errors import RefusedError
from slixmpp_e2e.media import mime
from slixmpp_e2e.media.addresses import jid_to_uri
from slixmpp_e2e.namespaces import LANG
from slixmpp_e2e.stanza import ILLEGAL

_LANGUAGE: Final = re.compile(r"[A-Za-z0-9-]{1,35}")  # ERRATA C11
#: What may stand left of the "@" of a Content-ID (RFC 5322 3.2.3).
_ID: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_MAX_ID: Final = 200
_CONTENT_ID: Final = re.compile(r"<([^<>\s]+)>")


def is_language(tag: str | None) -> bool:
    """Tell whether this is a language tag that may stand in a header (ERRATA C11)."""
    return tag is not None and _LANGUAGE.fullmatch(tag) is not None


def fits(stanza: Element) -> bool:
    """Tell whether the id and the language of a stanza, where it has them, come back as they were."""
    identifier, language = stanza.get("id"), stanza.get(LANG)
    return (
        identifier is None or (len(identifier) <= _MAX_ID and _ID.fullmatch(identifier) is not None)
    ) and (language is None or is_language(language))


def write(stanza: Element, sender: JID, *, content_type: str, body: bytes) -> bytes:
    """Return the MIME entity around a body in UTF-8, with the id and language of a stanza that `fits()`.

    `content_type` is the whole Content-Type field.
    """
    fields = [content_type]
    if identifier := stanza.get("id"):
        # RFC 3922 4.1.3: our ids are unique, so they map
        fields.append(f"Content-ID: <{identifier}@{_content_id_domain(sender)}>")
    if language := stanza.get(LANG):
        fields.append(f"Content-Language: {language}")
    if not body.isascii():
        fields.append("Content-Transfer-Encoding: 8bit")
    return "\r\n".join((*fields, "", "")).encode() + body


def read(entity: mime.Entity, sender: JID, stanza: Element) -> None:
    """Give a stanza the id and the language that the header of its entity has, if any.

    A Content-ID of the sender's domain is an id of ours, any other one is the id as a whole (RFC 3922 4.2.8,
    5.2.8). What is no id or no language tag is left out.
    """
    found = _CONTENT_ID.fullmatch(entity.fields.get("content-id", "").strip())
    if found is not None and not ILLEGAL.search(found[1]):
        identifier, _, domain = found[1].rpartition("@")
        ours = identifier and domain == _content_id_domain(sender)
        stanza.set("id", identifier if ours else found[1])
    language = entity.fields.get("content-language")
    if language is not None and is_language(language):
        stanza.set(LANG, language)


def utf8_body(entity: mime.Entity) -> bytes:
    """Return the body of an entity without its transfer encoding, if it is announced as UTF-8 or not at all.

    Raises `RefusedError` for another charset (RFC 3922 4.2.9), `MalformedError` for a transfer encoding that
    can't be undone. That the octets are UTF-8 is not checked.
    """
    if entity.parameters.get("charset", "utf-8").lower() not in {"utf-8", "us-ascii"}:
        raise RefusedError("text in another charset than UTF-8", reason="unsupported")
    return entity.decoded_body()


def _content_id_domain(sender: JID) -> str:
    return jid_to_uri(sender, "im").removeprefix("im:").rpartition("@")[2]  # A-labels
