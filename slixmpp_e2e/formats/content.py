"""What an RFC 3923 object is about: stanza to MIME entity and back (RFC 3923 3 to 5, RFC 3922).

A message becomes Message/CPIM with text, directed presence becomes PIDF, and whatever these can't carry without
loss becomes application/xmpp+xml in Message/CPIM. Reading takes more: xmpp+xml alone, PIDF in Message/CPIM,
text in several languages, and the forms of the draft of 2003 where a policy allows them.
"""

from datetime import datetime
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

from slixmpp.jid import JID

from slixmpp_e2e.errors import MalformedError, RefusedError, SignatureError, TimestampError
from slixmpp_e2e.freshness import format_date_time, from_datetime, parse_date_time
from slixmpp_e2e.media import cpim, mapping, mime, pidf, presence, xmpp_xml
from slixmpp_e2e.media.addresses import bare, jid_to_uri, read_jid, uri_to_jid
from slixmpp_e2e.stanza import Outer, bind

#: Media types of draft-ietf-xmpp-e2e-03, misprint included (ERRATA E47).
_EARLY_PRESENCE: Final = frozenset({"application/cpim-pidf+xml", "application/cpim-pid+xml"})
_EARLY_XML: Final = "text/xml"


class Content(NamedTuple):
    """The stanza that an object held, bound to its outer stanza, and when it was sent."""

    stanza: Element
    timestamp: int
    #: It says who sent it; else nothing does but the certificate of who signed.
    names_sender: bool = True


# --------------------------------------------------------------------------- writing


def write_object(stanza: Element, sender: JID, recipient: JID, moment: int) -> bytes:
    """Return the MIME entity for a stanza in `jabber:client`, dated `moment`; raise `InvalidStanzaError`."""
    if presence.fits_pidf(stanza):
        return presence.write_presence(stanza, sender, moment, recipient=recipient)  # ERRATA M07
    headers = [
        cpim.Header("From", f"<{jid_to_uri(sender, 'im')}>"),
        cpim.Header("To", f"<{jid_to_uri(recipient, 'im')}>"),
        cpim.Header("DateTime", format_date_time(moment)),
    ]
    if mapping.fits_text(stanza):
        more, content = mapping.write_text(stanza, sender)
        return cpim.write([*headers, *more], content)
    return cpim.write(headers, xmpp_xml.write(stanza))  # ERRATA E22


# --------------------------------------------------------------------------- reading


def read_content(
    data: bytes, outer: Outer, *, signing_time: datetime | None, allow_early_draft: bool = False
) -> Content:
    """Parse what was verified, and bind it to the outer stanza; raise a `RemoteError`.

    A bare stanza is dated by its signature (ERRATA E21, E22). The addresses in it must be those of the outer
    stanza (ERRATA E26).
    """
    entity = mime.parse_entity(data)
    if allow_early_draft and entity.media_type in _EARLY_PRESENCE:
        return _read_cpim(cpim.parse(entity.decoded_body()), outer, early=True)
    match entity.media_type:
        case "message/cpim":
            return _read_cpim(cpim.parse(entity.decoded_body()), outer, early=allow_early_draft)
        case pidf.MEDIA_TYPE:
            stanza, timestamp = presence.read_presence(entity, outer)
            bind(stanza, outer)
            return Content(stanza, _dated(timestamp))
        case xmpp_xml.MEDIA_TYPE:
            dated = _dated(None if signing_time is None else from_datetime(signing_time))
            stanza = _parse_stanza(entity)
            names_sender = stanza.get("from") is not None
            return Content(_bound(stanza, outer, addressed=False), dated, names_sender=names_sender)
        case other:
            raise RefusedError("an object of a type that is not read", reason="unsupported").quote(other)


def _dated(timestamp: int | None) -> int:
    if timestamp is None:
        raise TimestampError("nothing says when it was sent", reason="missing")
    return timestamp


def _read_cpim(message: cpim.CPIMMessage, outer: Outer, *, early: bool) -> Content:
    _check_addresses(message, outer)
    date_time = message.one("DateTime")
    timestamp = _dated(None if date_time is None else parse_date_time(date_time))
    addressed = bool(message.all("To") or message.all("cc"))
    entity = mime.parse_entity(message.content)
    if entity.media_type == xmpp_xml.MEDIA_TYPE:
        return Content(_bound(_parse_stanza(entity), outer, addressed=addressed), timestamp)
    if "content-type" not in entity.fields:  # RFC 3862 2.4
        raise RefusedError("content of no type", reason="unsupported")
    stanza = _read_mapped(message, entity, outer, early=early)
    if not addressed and outer.kind == "message":
        raise SignatureError("nothing says whom it is for", reason="other-recipient")
    bind(stanza, outer)
    return Content(stanza, timestamp)


def _read_mapped(message: cpim.CPIMMessage, entity: mime.Entity, outer: Outer, *, early: bool) -> Element:
    """Return the stanza that text or PIDF in Message/CPIM stands for (RFC 3922)."""
    match outer.kind, entity.media_type:
        case "message", "text/plain" | "multipart/alternative":
            return mapping.read_text(message, entity, outer)
        case "message", media_type if early and media_type == _EARLY_XML:
            return mapping.read_text(message, entity, outer, early_draft=True)
        case "presence", media_type if media_type == pidf.MEDIA_TYPE or (early and media_type == _EARLY_XML):
            return presence.read_presence(entity, outer)[0]
    raise RefusedError("content of a type that is not read", reason="unsupported").quote(entity.media_type)


def _parse_stanza(entity: mime.Entity) -> Element:
    if entity.parameters.get("charset", "utf-8").lower() != "utf-8":
        raise MalformedError("a stanza in another charset than UTF-8")
    return xmpp_xml.parse(entity.decoded_body())


def _bound(stanza: Element, outer: Outer, *, addressed: bool) -> Element:
    if not addressed and stanza.get("to") is None and outer.kind != "presence":
        raise SignatureError("nothing says whom it is for", reason="other-recipient")
    bind(stanza, outer)
    return stanza


def _check_addresses(message: cpim.CPIMMessage, outer: Outer) -> None:
    sender = message.one("From")
    if sender is None or _address(sender) != bare(outer.sender):
        raise SignatureError("the From header is not the sender's address", reason="name-mismatch")
    recipients = [_address(header.value) for header in (*message.all("To"), *message.all("cc"))]
    if recipients and bare(outer.recipient) not in recipients:
        raise SignatureError("it is addressed to somebody else", reason="other-recipient")


def _address(value: str) -> str | None:
    """Return the bare JID of a From, To or cc value; None for an address of another kind (ERRATA C03)."""
    uri = cpim.uri(value)
    try:
        if uri.lower().startswith(("im:", "pres:")):
            return bare(uri_to_jid(uri, schemes={"im", "pres"}))
        return bare(read_jid(uri))
    except ValueError:
        return None
