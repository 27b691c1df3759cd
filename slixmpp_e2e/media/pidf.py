"""PIDF (RFC 3863): presence information as an XML document; exact writer, strict reader.

Read are the elements of RFC 3863, the one extension that RFC 3922 maps, `<im/>`, and one of ours,
`<recipient/>`. All other elements are ignored with all that they hold (4.2.3), in whatever order anything stands
(ERRATA P05).

**Not** checked here: whose presence it is, whether a contact is a URI, and whether a timestamp is one.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal
from xml.etree.ElementTree import Element, SubElement

from slixmpp_e2e.errors import MalformedError
from slixmpp_e2e.namespaces import LANG
from slixmpp_e2e.stanza import SPACE, canonical, parse_xml, serialise

MEDIA_TYPE: Final = "application/pidf+xml"
PIDF: Final = "urn:ietf:params:xml:ns:pidf"
#: The spelling of RFC 3863 4.1.1; read, never written (ERRATA P02).
_PIDF_MISSPELT: Final = "urn:ietf:params:xml:ns:pidf:"
#: RFC 3922 5.1.5; never registered (ERRATA P06).
_RECIPIENT: Final = "{urn:slixmpp-e2e:pidf:0}recipient"
IM: Final = "urn:ietf:params:xml:ns:pidf:im"
#: The highest priority of a contact.
HIGHEST: Final = 1000

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_PRIORITY: Final = re.compile(r"([01])(?:\.([0-9]{0,3}))?")  # ERRATA P01
_MUST_UNDERSTAND: Final = (
    f"{{{PIDF}}}mustUnderstand",
    f"{{{_PIDF_MISSPELT}}}mustUnderstand",
    "mustUnderstand",
)


@dataclass(frozen=True, slots=True)
class Note:
    """A comment for people (RFC 3863 4.1.6)."""

    text: str
    #: The value of the nearest xml:lang, on the note or around it; None where there is none.
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact address (RFC 3863 4.1.5)."""

    uri: str
    #: In thousandths, 0 to `HIGHEST`; None, the lowest, where there is none or none that is valid.
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class PresenceTuple:
    """One tuple (RFC 3863 4.1.2). Its id tells it from other tuples, and means nothing else (ERRATA P04)."""

    id: str
    #: None where the status has other values only.
    basic: Literal["open", "closed"] | None
    #: The status value of the `<im/>` extension, whatever it is.
    im: str | None = None
    contact: Contact | None = None
    notes: tuple[Note, ...] = ()
    #: As it was written.
    timestamp: str | None = None


@dataclass(frozen=True, slots=True)
class PresenceDocument:
    """A document: what is known of one presentity, which `entity` names by a `pres:` URI (RFC 3863 4.1.1)."""

    entity: str
    tuples: tuple[PresenceTuple, ...] = ()
    notes: tuple[Note, ...] = ()
    #: `pres:` URIs of those whom it is for: an extension of ours, for PIDF itself names the presentity only.
    recipients: tuple[str, ...] = ()


# --------------------------------------------------------------------------- writing


def write(document: PresenceDocument) -> bytes:
    """Return the document as XML in UTF-8, in the order of the schema, as text in canonical form (CRLF).

    Raises `ValueError` for a tuple id that stands twice, a tuple without a basic status (4.1.3, 4.2.4) and a
    priority out of range, `InvalidStanzaError` for characters that XML can't carry, `TooLargeError`. That
    ids are NCNames, as the schema wants them, is not checked.
    """
    if len({each.id for each in document.tuples}) != len(document.tuples):
        raise ValueError("a tuple id that stands twice")  # RFC 3863 4.1.2
    root = Element(_name("presence"), {"entity": document.entity})
    for each in document.tuples:
        _write_tuple(root, each)
    _write_notes(root, document.notes)
    for uri in document.recipients:
        SubElement(root, _RECIPIENT).text = uri
    return canonical(_DECLARATION + serialise(root))


def _write_tuple(root: Element, presence: PresenceTuple) -> None:
    if presence.basic is None:
        raise ValueError("a tuple without a basic status")
    element = SubElement(root, _name("tuple"), {"id": presence.id})
    status = SubElement(element, _name("status"))
    SubElement(status, _name("basic")).text = presence.basic
    if presence.im is not None:
        SubElement(status, f"{{{IM}}}im").text = presence.im
    if presence.contact is not None:
        contact = SubElement(element, _name("contact"))
        contact.text = presence.contact.uri
        if presence.contact.priority is not None:
            contact.set("priority", _format_priority(presence.contact.priority))
    _write_notes(element, presence.notes)
    if presence.timestamp is not None:
        SubElement(element, _name("timestamp")).text = presence.timestamp


def _write_notes(parent: Element, notes: tuple[Note, ...]) -> None:
    for note in notes:
        element = SubElement(parent, _name("note"))
        element.text = note.text
        if note.language is not None:
            element.set(LANG, note.language)


def _name(local: str) -> str:
    return f"{{{PIDF}}}{local}"


def _format_priority(priority: int) -> str:
    if not 0 <= priority <= HIGHEST:
        raise ValueError("a priority out of range")
    return f"0.{priority:03}" if 0 < priority < HIGHEST else str(priority // HIGHEST)


# --------------------------------------------------------------------------- reading


def parse(data: bytes) -> PresenceDocument:
    """Read a document; raise `MalformedError` for what is no XML that a peer may send, or no PIDF.

    UTF-8 only, with or without an XML declaration (ERRATA P08). White space around values other than notes is
    dropped. Elements are known in the namespace of the root element, which may be either spelling (ERRATA
    P02). A priority that is malformed or out of range counts as none (4.1.5).
    """
    root = parse_xml(data)
    namespace, _, name = root.tag.rpartition("}")
    if namespace not in {f"{{{PIDF}", f"{{{_PIDF_MISSPELT}"} or name != "presence":
        raise MalformedError("the root element is not presence")
    return _Reader(namespace + "}").read_document(root)


@dataclass(frozen=True, slots=True)
class _Reader:
    #: What stands before the local name of an element that is PIDF.
    prefix: str

    def read_document(self, root: Element) -> PresenceDocument:
        _require_elements_only(root)
        language = root.get(LANG)
        tuples = tuple(self._read_tuple(each, language) for each in self._all(root, "tuple"))
        if len({each.id for each in tuples}) != len(tuples):
            raise MalformedError("a tuple id that stands twice")
        recipients = tuple(_value(each) for each in root.iterfind(_RECIPIENT))
        return PresenceDocument(
            _attribute(root, "entity"), tuples, self._read_notes(root, language), recipients
        )

    def _read_tuple(self, element: Element, language: str | None) -> PresenceTuple:
        _require_elements_only(element)
        status = self._one(element, "status")
        if status is None:
            raise MalformedError("a tuple without a status")
        basic, im = self._read_status(status)
        timestamp = self._one(element, "timestamp")
        return PresenceTuple(
            _attribute(element, "id"),
            basic,
            im,
            self._read_contact(element),
            self._read_notes(element, element.get(LANG, language)),
            None if timestamp is None else _value(timestamp),
        )

    def _read_status(self, status: Element) -> tuple[Literal["open", "closed"] | None, str | None]:
        _require_elements_only(status)
        if not len(status):
            raise MalformedError("a status without a value")  # RFC 3863 4.1.3
        im = next((_value(each) for each in status.iterfind(f"{{{IM}}}im") if _is_understood(each)), None)
        basic = self._one(status, "basic")
        match None if basic is None else _value(basic):
            case "open":
                return "open", im
            case "closed":
                return "closed", im
            case None:
                return None, im
            case _:
                raise MalformedError("a basic status that is neither open nor closed")

    def _read_contact(self, element: Element) -> Contact | None:
        contact = self._one(element, "contact")
        return None if contact is None else Contact(_value(contact), _parse_priority(contact.get("priority")))

    def _read_notes(self, parent: Element, language: str | None) -> tuple[Note, ...]:
        notes = self._all(parent, "note")
        return tuple(Note(_text(each), each.get(LANG, language)) for each in notes)

    def _all(self, parent: Element, name: str) -> list[Element]:
        return [each for each in parent if each.tag == self.prefix + name]

    def _one(self, parent: Element, name: str) -> Element | None:
        found = self._all(parent, name)
        if len(found) > 1:
            raise MalformedError(f"more than one {name}")
        return found[0] if found else None


def _attribute(element: Element, name: str) -> str:
    value = element.get(name)
    if value is None:
        raise MalformedError(f"the attribute {name} is missing")
    return value


def _require_elements_only(element: Element) -> None:
    if any(text.strip(SPACE) for text in (element.text or "", *(each.tail or "" for each in element))):
        raise MalformedError("text between the elements")


def _text(element: Element) -> str:
    """Return the text of an element, without that of elements in it, which we don't know (RFC 3863 4.2.3)."""
    return (element.text or "") + "".join(each.tail or "" for each in element)


def _value(element: Element) -> str:
    return _text(element).strip(SPACE)


def _is_understood(extension: Element) -> bool:
    """Tell whether an extension holds nothing that must be understood and isn't (RFC 3863 4.2.3, ERRATA P03).

    What stands deeper is ignored together with the child around it, and its marks with it.
    """
    return not any(
        child.get(name, "").strip(SPACE) in {"true", "1"} for child in extension for name in _MUST_UNDERSTAND
    )


def _parse_priority(text: str | None) -> int | None:
    found = _PRIORITY.fullmatch((text or "").strip(SPACE))
    if found is None:
        return None
    priority = HIGHEST * int(found[1]) + int((found[2] or "").ljust(3, "0"))
    return priority if priority <= HIGHEST else None
