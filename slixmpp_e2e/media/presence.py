"""Presence and PIDF (RFC 3922 5): what maps without loss, and how.

A directed presence goes as application/pidf+xml when show, status, priority and an id are all it has; anything
more travels as application/xmpp+xml, so that nothing is lost between two of us. The addresses are those of
the outer stanza; PIDF names the sender, but no recipient.
"""

import re
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp.jid import JID

from slixmpp_e2e.errors import RefusedError, SignatureError
from slixmpp_e2e.freshness import format_date_time, parse_date_time
from slixmpp_e2e.media import entity_header, mime, pidf
from slixmpp_e2e.media.addresses import bare, jid_to_uri, uri_to_jid
from slixmpp_e2e.media.entity_header import is_language
from slixmpp_e2e.namespaces import CLIENT, LANG
from slixmpp_e2e.stanza import SPACE, Outer

_PRESENCE: Final = f"{{{CLIENT}}}presence"
_SHOW: Final = f"{{{CLIENT}}}show"
_STATUS: Final = f"{{{CLIENT}}}status"
_PRIORITY: Final = f"{{{CLIENT}}}priority"
_PLAIN_ATTRIBUTES: Final = frozenset({"from", "to", "type", "id", LANG})
_SHOWS: Final = frozenset({"away", "chat", "dnd", "xa"})
#: RFC 3922 5.2.10; not one of XMPP's words.
_BUSY: Final = "busy"
_CANONICAL_PRIORITY: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_HIGHEST: Final = 127


def fits_pidf(presence: Element) -> bool:
    """Tell whether a presence can travel as application/pidf+xml and come back as it was.

    That is a directed one, available or unavailable, with at most one show, at most one priority (0 to 127),
    and no two statuses in one language. Only the order of show, status and priority is not kept, nor white
    space between them.
    """
    if presence.tag != _PRESENCE or set(presence.keys()) - _PLAIN_ATTRIBUTES:
        return False
    if not presence.get("to") or presence.get("type") not in {None, "unavailable"}:  # RFC 3922 5.1.4
        return False
    if (presence.text or "").strip(SPACE) or not all(_child_fits(child) for child in presence):
        return False
    inherited = presence.get(LANG, "")
    languages = [status.get(LANG, inherited).lower() for status in presence.iterfind(_STATUS)]
    return (
        len(presence.findall(_SHOW)) <= 1
        and len(presence.findall(_PRIORITY)) <= 1
        and len(set(languages)) == len(languages)  # RFC 6121 4.7.2.2
        and entity_header.fits(presence)
    )


def _child_fits(child: Element) -> bool:
    if len(child) or (child.tail or "").strip(SPACE):
        return False
    if child.tag == _STATUS:
        return not child.attrib or (list(child.keys()) == [LANG] and is_language(child.get(LANG)))
    if child.attrib:
        return False
    text = child.text or ""
    if child.tag == _SHOW:
        return text in _SHOWS
    # a negative one is never mapped (RFC 3922 5.1.7)
    return child.tag == _PRIORITY and bool(_CANONICAL_PRIORITY.fullmatch(text)) and int(text) <= _HIGHEST


def write_presence(presence: Element, sender: JID, moment: int, *, recipient: JID | None = None) -> bytes:
    """Return the MIME entity of a presence that `fits_pidf()`, from a full or bare JID, dated `moment`.

    One tuple, whose id stands for the resource, with our address as contact. The recipient is named in an
    extension that others ignore: nobody can pass the presence on as one to somebody else. Raises
    `InvalidStanzaError` for characters that XML can't carry, `ValueError` for a sender that `jid_to_uri()`
    refuses.
    """
    priority = presence.findtext(_PRIORITY)
    contact = pidf.Contact(
        jid_to_uri(sender, "im"),  # RFC 3922 5.1.9.2
        None if priority is None else _to_pidf(int(priority)),
    )
    ours = pidf.PresenceTuple(
        _tuple_id(sender.resource),
        "open" if presence.get("type") is None else "closed",
        im=presence.findtext(_SHOW),
        contact=contact,
        notes=tuple(pidf.Note(each.text or "", each.get(LANG)) for each in presence.iterfind(_STATUS)),
        timestamp=format_date_time(moment),  # ERRATA E34: when it is said, not since when it is so
    )
    named = () if recipient is None else (jid_to_uri(recipient, "pres"),)
    return entity_header.write(
        presence,
        sender,
        content_type=f"Content-Type: {pidf.MEDIA_TYPE}; charset=utf-8",
        body=pidf.write(pidf.PresenceDocument(jid_to_uri(sender, "pres"), (ours,), recipients=named)),
    )


def _tuple_id(resource: str) -> str:
    """Return an NCName that is always the same for a resource (ERRATA P04)."""
    return f"r-{resource.encode().hex()}"


def read_presence(entity: mime.Entity, outer: Outer) -> tuple[Element, int | None]:
    """Return the presence that a PIDF entity stands for, and the newest timestamp in it, if any.

    The presence has no addresses, and its type is what the document says: `stanza.bind()` compares it with
    the outer one. Of several tuples one is taken: of those with a basic status, if there are any, the one with
    the newest timestamp (none is oldest), then with the highest priority of the contact (none is lowest),
    then the first. Where it has no basic status, and where there is no tuple at all, the type is the outer
    one (ERRATA M02). Of several notes in one language the first is taken; notes beside the tuples, contact
    addresses and the ids of tuples are not.

    Raises `MalformedError`; `SignatureError` where the entity is not the outer sender's bare JID (ERRATA E26),
    or where it is addressed and not to the outer recipient (others don't address it, and are taken at that);
    `TimestampError` for a timestamp that is none, in whichever tuple; `RefusedError` for another charset than
    UTF-8 and for notes without a tuple. Media type and kind of the outer stanza are not checked, nor whether
    the timestamp is fresh.
    """
    document = pidf.parse(entity_header.utf8_body(entity))
    _require_entity(document.entity, outer.sender)
    if document.recipients and not any(_is(uri, outer.recipient) for uri in document.recipients):
        raise SignatureError("it is addressed to somebody else", reason="other-recipient")
    presence = Element(_PRESENCE)
    entity_header.read(entity, outer.sender, presence)
    if not document.tuples:
        if document.notes:  # RFC 3922 5.2.11
            raise RefusedError("notes about nothing that has a presence", reason="unsupported")
        _set_type(presence, None, outer)
        return presence, None
    dated = [
        (None if each.timestamp is None else parse_date_time(each.timestamp), each)
        for each in document.tuples
    ]
    _fill(presence, _choose(dated), outer)
    return presence, max((moment for moment, _ in dated if moment is not None), default=None)


def _is(uri: str, jid: JID) -> bool:
    try:
        return bare(uri_to_jid(uri)) == bare(jid)
    except ValueError:
        return False


def _require_entity(uri: str, sender: JID) -> None:
    if not _is(uri, sender):
        raise SignatureError("the entity is not the sender's address", reason="name-mismatch")


def _choose(dated: list[tuple[int | None, pidf.PresenceTuple]]) -> pidf.PresenceTuple:
    def rank(candidate: tuple[int | None, pidf.PresenceTuple]) -> tuple[bool, bool, int, int]:
        moment, each = candidate
        priority = None if each.contact is None else each.contact.priority
        return each.basic is not None, moment is not None, moment or 0, -1 if priority is None else priority

    return max(dated, key=rank)[1]  # the first of equals


def _fill(presence: Element, chosen: pidf.PresenceTuple, outer: Outer) -> None:
    _set_type(presence, chosen.basic, outer)
    show = "dnd" if chosen.im == _BUSY else chosen.im
    if show in _SHOWS:
        SubElement(presence, _SHOW).text = show
    inherited = presence.get(LANG, "").lower()
    languages = set()
    for note in chosen.notes:
        language = note.language if is_language(note.language) else None
        effective = inherited if language is None else language.lower()
        if effective not in languages:  # RFC 6121 4.7.2.2
            languages.add(effective)
            status = SubElement(presence, _STATUS, {} if language is None else {LANG: language})
            status.text = note.text
    if chosen.contact is not None and chosen.contact.priority is not None:
        SubElement(presence, _PRIORITY).text = str(_from_pidf(chosen.contact.priority))


def _set_type(presence: Element, basic: str | None, outer: Outer) -> None:
    if basic == "closed" or (basic is None and outer.type == "unavailable"):
        presence.set("type", "unavailable")  # RFC 3922 5.2.9; subscriptions are never mapped


def _to_pidf(priority: int) -> int:
    """Return the priority of a contact, in thousandths: in proportion, half rounded up (ERRATA M09)."""
    return (2 * pidf.HIGHEST * priority + _HIGHEST) // (2 * _HIGHEST)


def _from_pidf(priority: int) -> int:
    """Return the priority of a presence, 0 to 127 (ERRATA M09)."""
    return (2 * _HIGHEST * priority + pidf.HIGHEST) // (2 * pidf.HIGHEST)
