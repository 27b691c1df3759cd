"""What a gateway does: take an S/MIME object out of its stanza, and put one into a stanza (RFC 3923 8).

The object itself is not touched: it is neither opened nor verified, and a gateway needs no key. Two things
happen to its octets, and nothing else does. XML turns every line end into LF, so `unwrap` writes CRLF again
(ERRATA E09); and white space around the object is not part of it (ERRATA E12).

**Not** checked here: signatures, certificates, and who the stanza or the mail is from. Text that was signed
with line ends other than CRLF, against RFC 3851 3.1.1, can't pass through XML in any way.
"""

import re
from typing import Final

from slixmpp.jid import JID

from slixmpp_e2e.cms.algorithms import ID_AUTH_ENVELOPED_DATA, ID_ENVELOPED_DATA, ID_SIGNED_DATA
from slixmpp_e2e.cms.enveloped_data import content_type
from slixmpp_e2e.cms.signed_data import parse_signed_data
from slixmpp_e2e.errors import (
    InvalidStanzaError,
    MalformedError,
    RefusedError,
    TooLargeError,
    UnprotectableError,
)
from slixmpp_e2e.media import mime
from slixmpp_e2e.outer import OPENED, never_protected, payload, read_stanza, write_outer, written_jid
from slixmpp_e2e.stanza import MAX_OCTETS, Kind

_SMIME_TYPES: Final = {
    ID_SIGNED_DATA: "signed-data",
    ID_ENVELOPED_DATA: "enveloped-data",
    ID_AUTH_ENVELOPED_DATA: "authEnveloped-data",  # RFC 8551 3.2.2
}
_XML_SPACE: Final = " \t\r\n"
_BLANK_LINE: Final = re.compile(rb"^\r?\n", re.MULTILINE)
#: The fields of a message's header that belong to the entity (RFC 2045 3).
_OWN_FIELDS: Final = re.compile(rb"(?:content-[!-9;-~]*|mime-version):", re.IGNORECASE)


# --------------------------------------------------------------------------- out of a stanza


def unwrap(stanza_xml: bytes | str) -> bytes:
    """Return the S/MIME object in a stanza's `<e2e/>` as a MIME entity with CRLF line ends.

    Nothing is added to it or changed. Only base64 without a MIME header, as in the examples of RFC 3923,
    is no entity yet, and becomes one (ERRATA E07).

    Raises `MalformedError`, and `RefusedError`: `unprotected` where there is no `<e2e/>`, `unsupported`
    where something else than an S/MIME object is in it.
    """
    data = _object(stanza_xml)
    if not mime.begins_with_field(data):
        return _entity(mime.decode_base64(data))
    _require_smime(mime.parse_entity(data))
    return data


def unwrap_der(stanza_xml: bytes | str) -> bytes:
    """Return the CMS object of an application/pkcs7-mime entity in a stanza: what stands in a .p7m file.

    Raises what `unwrap` raises, and `RefusedError` (`unsupported`) for a multipart/signed.
    """
    data = _object(stanza_xml)
    if mime.begins_with_field(data):
        entity = mime.parse_entity(data)
        _require_smime(entity)
        if entity.media_type not in mime.PKCS7_MIME:
            raise RefusedError("a multipart/signed is not one CMS object", reason="unsupported")
        der = entity.decoded_body()
    else:
        der = mime.decode_base64(data)
    smime_type(der)
    return der


def _object(stanza_xml: bytes | str) -> bytes:
    text = payload(read_stanza(stanza_xml)).lstrip(_XML_SPACE)
    core = text.rstrip(_XML_SPACE)
    ended = "\n" if re.search("[\r\n]", text[len(core) :]) else ""  # the end of its last line is its own
    return mime.canonical_line_breaks((core + ended).encode())


def smime_type(der: bytes) -> str:
    """Return the smime-type parameter of a CMS object by what it is; raise `MalformedError` for another."""
    kind = content_type(der)
    if kind not in _SMIME_TYPES:
        raise MalformedError("neither signed nor enveloped data")
    if kind == ID_SIGNED_DATA and parse_signed_data(der).holds_certificates_only:
        return "certs-only"
    return _SMIME_TYPES[kind]


def _entity(der: bytes) -> bytes:
    return mime.pkcs7_mime(der, smime_type(der), binary=False)


def _require_smime(entity: mime.Entity) -> None:
    if entity.media_type != "multipart/signed" and entity.media_type not in mime.PKCS7_MIME:
        raise RefusedError(f"no S/MIME object, but {entity.media_type[:60]}", reason="unsupported")


# --------------------------------------------------------------------------- into a stanza


def wrap(
    entity: bytes,
    *,
    recipient: JID | str,
    sender: JID | str | None = None,
    kind: Kind = "message",
    type: str | None = None,  # noqa: A002 the name of the attribute
    id: str | None = None,  # noqa: A002 likewise
    cdata: bool = True,
) -> str:
    """Return a stanza around an S/MIME object: a MIME entity, a mail, or a CMS object in DER.

    Of a mail's header only the fields of the object itself are kept (`Content-*` and `MIME-Version`), as they
    stand; that strips the foreign wrapper. A CMS object in DER becomes the entity of ERRATA E07. `cdata`
    chooses between a CDATA section and escaped text.

    Raises `MalformedError` and `RefusedError` (`unsupported`) for what is no S/MIME object,
    `InvalidStanzaError` for what XML can't carry as it is (binary octets, controls, text that is not UTF-8, a
    CR without LF): to encode it again would be to modify it; `UnprotectableError` for stanzas that never
    hold an object, `TooLargeError`.
    """
    to = written_jid(recipient)
    named = type or {"message": "normal", "presence": "available"}.get(kind, "")
    if why := never_protected(kind, named, to):
        raise UnprotectableError(why)
    if named not in OPENED[kind]:
        raise UnprotectableError(f"there is no object in a {kind} of type {named[:40]!a}")
    if kind == "iq" and not id:
        raise InvalidStanzaError("an iq must have an id")
    attributes = {
        "type": type,
        "from": written_jid(sender).full if sender else None,
        "to": to.full,
        "id": id,
    }
    return write_outer(kind, attributes, _text(_without_wrapper(entity)), cdata=cdata)


def _without_wrapper(data: bytes) -> bytes:
    """Return an entity without the header fields that are not its own."""
    if len(data) > MAX_OCTETS:
        raise TooLargeError(f"the object has {len(data)} octets; a stanza has at most {MAX_OCTETS}")
    if data.startswith(b"\x30"):
        return _entity(data)
    end = _BLANK_LINE.search(data)
    if end is None or not data[end.end() :].strip():
        raise MalformedError("neither a MIME entity with a body nor a CMS object in DER")
    kept: list[bytes] = []
    own = True
    for line in data[: end.start()].splitlines(keepends=True):
        if line[:1] not in {b" ", b"\t"}:  # else it continues the field before
            if not mime.begins_with_field(line):
                raise MalformedError("a line that is no header field")
            own = _OWN_FIELDS.match(line) is not None
        if own:
            kept.append(line)
    entity = b"".join(kept) + data[end.start() :]
    _require_smime(mime.parse_entity(entity))
    return entity


def _text(entity: bytes) -> str:
    try:
        text = entity.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise InvalidStanzaError("the object is binary, or text in another charset than UTF-8") from None
    if "\r" in text:
        raise InvalidStanzaError("a CR without LF, which XML would make a line end of")
    return text
