"""Stanzas as octets: the writer, the strict reader, and the binding of inner to outer.

Only octets that were verified come here, and still they are read as if by an enemy: no DTD, entity,
processing instruction or comment, UTF-8 only, bounded depth and size. Elements are `xml.etree` elements in
`jabber:client`, whatever stream they came from.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from slixmpp.jid import JID

from slixmpp_e2e.errors import InvalidStanzaError, MalformedError, SignatureError, TooLargeError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.namespaces import CLIENT, SERVER, XML

Kind = Literal["message", "presence", "iq"]
KINDS: Final[frozenset[str]] = frozenset({"message", "presence", "iq"})

#: White space of XML; `str.strip()` takes more.
SPACE: Final = " \t\r\n"
MAX_OCTETS: Final = 512 * 1024
_MAX_DEPTH: Final = 64
_MAX_ELEMENTS: Final = 20_000
_MAX_ATTRIBUTES: Final = 64
_MAX_NAME: Final = 1024
MAX_ID: Final = 1024

#: Characters that XML can't carry (XML 1.0 2.2).
ILLEGAL: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
)
_XMLNS: Final = "http://www.w3.org/2000/xmlns/"
_XML_NAME: Final = re.compile(r"[^\W\d][\w.\-]*")


# --------------------------------------------------------------------------- writing


def serialise(element: Element, namespace: str = "") -> str:
    """Return an element as XML, with `namespace` as the default namespace around it.

    Namespaces are declared where they change, prefixes are used for attributes only. An element without a
    namespace is taken to be in that of its parent, as slixmpp writes it. Raises
    `InvalidStanzaError` for what XML can't carry: the peer would lose its stream over it; and for what
    `parse_xml` would refuse: nobody would read it.
    """
    if sum(1 for _ in element.iter()) >= _MAX_ELEMENTS:  # what holds the stanza is one, too
        raise InvalidStanzaError("the stanza has too many elements")
    parts: list[str] = []
    _write(element, namespace, parts.append, 0)
    return "".join(parts)


def _write(element: Element, namespace: str, write: Callable[[str], None], depth: int) -> None:
    if depth > _MAX_DEPTH - 2:  # what holds the stanza is a level, too
        raise InvalidStanzaError("the stanza is nested too deeply")
    if len(element.attrib) > _MAX_ATTRIBUTES:
        raise InvalidStanzaError("an element with too many attributes")
    own, name = _qualified(element.tag, namespace)
    if own == XML:
        raise InvalidStanzaError("an element in the namespace of xml:lang")
    write(f"<{name}")
    if own != namespace:
        write(f' xmlns="{_escape(own, _ATTRIBUTE)}"')
    prefixes: dict[str, str] = {}
    for key, value in element.attrib.items():
        uri, local = _qualified(key, "")
        if uri == XML:
            local = f"xml:{local}"
        elif uri:
            if uri not in prefixes:
                prefixes[uri] = f"n{len(prefixes)}"
                write(f' xmlns:{prefixes[uri]}="{_escape(uri, _ATTRIBUTE)}"')
            local = f"{prefixes[uri]}:{local}"
        write(f' {local}="{_escape(value, _ATTRIBUTE)}"')
    if not element.text and not len(element):
        write("/>")
        return
    write(">")
    if element.text:
        write(_escape(element.text, _TEXT))
    for child in element:
        _write(child, own, write, depth + 1)
        if child.tail:
            write(_escape(child.tail, _TEXT))
    write(f"</{name}>")


def _qualified(tag: Any, default: str) -> tuple[str, str]:
    if not isinstance(tag, str):
        raise InvalidStanzaError("a comment or processing instruction")
    uri, brace, name = tag.rpartition("}")
    if not _XML_NAME.fullmatch(name) or name == "xmlns":
        raise InvalidStanzaError("what is no XML name").quote(name)
    if "}" in uri or uri[1:] == _XMLNS:
        raise InvalidStanzaError("a namespace that no reader takes").quote(uri[1:])
    namespace = uri[1:] if brace else default
    if len(namespace) + 1 + len(name) > _MAX_NAME:
        raise InvalidStanzaError("an XML name that is too long")
    return namespace, name


def _escape(value: str, table: dict[int, str]) -> str:
    if not isinstance(value, str) or ILLEGAL.search(value):
        raise InvalidStanzaError(
            "a value that XML can't carry (a control character, half a character, no text)"
        )
    return value.translate(table)


def canonical(text: str) -> bytes:
    """Return a document in UTF-8 with CRLF line ends; raise `TooLargeError` for one that nobody reads.

    An entity that travels in clear must be text in canonical form (ERRATA E09).
    """
    data = text.replace("\n", "\r\n").encode()
    if len(data) > MAX_OCTETS:
        raise TooLargeError(f"the stanza has {len(data)} octets; nobody reads more than {MAX_OCTETS}")
    return data


# --------------------------------------------------------------------------- reading


def parse_xml(data: bytes) -> Element:
    """Return the element that a document holds; raise `MalformedError` for anything but plain elements."""
    if len(data) > MAX_OCTETS:
        raise MalformedError("an XML document that is too large")
    if b"\0" in data:  # expat takes "<" and NUL for UTF-16, whatever it was told
        raise MalformedError("XML in another encoding than UTF-8")
    builder = _Builder()
    try:
        data.decode("utf-8")
        builder.parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as error:
        raise MalformedError(f"not well-formed XML: {error}") from None
    return builder.tree.close()


class _Builder:
    def __init__(self) -> None:
        self.tree = TreeBuilder()
        self.parser = parser = expat.ParserCreate("UTF-8", "}")
        self._depth = self._elements = 0
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self.tree.data
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ProcessingInstructionHandler = self._refuse
        parser.CommentHandler = self._refuse

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _MAX_DEPTH or self._elements > _MAX_ELEMENTS or len(attributes) > _MAX_ATTRIBUTES:
            raise MalformedError("XML that is too deep, or has too many elements or attributes")
        if len(name) > _MAX_NAME or any(len(key) > _MAX_NAME for key in attributes):
            raise MalformedError("an XML name that is too long")
        self.tree.start(_clark(name), {_clark(key): value for key, value in attributes.items()})

    def _end(self, name: str) -> None:
        self._depth -= 1
        self.tree.end(_clark(name))

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if (encoding or "utf-8").lower() != "utf-8":
            raise MalformedError("XML in another encoding than UTF-8")

    def _refuse(self, *_: object) -> NoReturn:
        raise MalformedError("XML with a DTD, an entity, a comment or a processing instruction")


def _clark(name: str) -> str:
    return "{" + name if "}" in name else name


def remap(element: Element, namespace: str, target: str) -> None:
    """Rename `element` and its children from one namespace to another, in place.

    A stanza and its direct children live in the stream's namespace, which differs between client, server
    and component streams.
    """
    prefix = f"{{{namespace}}}"
    for each in (element, *element):
        if isinstance(each.tag, str) and each.tag.startswith(prefix):
            each.tag = f"{{{target}}}{each.tag[len(prefix) :]}"


def as_client_stanza(element: Element) -> Element:
    """Return an element that is a stanza in `jabber:client` or `jabber:server`; raise `MalformedError`."""
    if element.tag.startswith(f"{{{SERVER}}}"):  # ERRATA E24
        remap(element, SERVER, CLIENT)
    namespace, _, kind = element.tag.rpartition("}")
    if namespace != f"{{{CLIENT}" or kind not in KINDS:
        raise MalformedError("an element that is no stanza")
    return element


# --------------------------------------------------------------------------- binding


@dataclass(frozen=True, slots=True)
class Outer:
    """The stanza around an object: what the servers vouch for."""

    kind: Kind
    type: str
    id: str
    sender: JID
    #: Our own address, as the stanza names it.
    recipient: JID


_MESSAGE_TYPES: Final = frozenset({"normal", "chat", "headline", "groupchat", "error"})
_DEFAULT_TYPES: Final = {"message": "normal", "presence": "available", "iq": ""}


def stanza_type(element: Element) -> str:
    """Return the type of a stanza, with the name of the default where it has none.

    A message of a type that is not known is a normal one (RFC 6121 5.2.2).
    """
    kind = element.tag.rpartition("}")[2]
    found = element.get("type") or _DEFAULT_TYPES[kind]
    return "normal" if kind == "message" and found not in _MESSAGE_TYPES else found


def bind(inner: Element, outer: Outer) -> None:
    """Make an inner stanza the one that its outer stanza announced, in place; raise if it is another one.

    Same kind, same type, from the same bare JID, to us (ERRATA E26); then its addresses are overwritten with
    those that the servers vouch for. What the sender could not do in clear can't be done inside.
    """
    if inner.tag != f"{{{CLIENT}}}{outer.kind}":
        raise SignatureError("the inner stanza is of another kind than the outer", reason="invalid")
    if stanza_type(inner) != outer.type:
        raise SignatureError("the inner stanza is of another type than the outer", reason="invalid")
    if len(inner.get("id", "")) > MAX_ID:
        raise MalformedError("an id that is too long")
    require_same(inner.get("from"), outer.sender, "from", "name-mismatch")
    require_same(inner.get("to"), outer.recipient, "to", "other-recipient")
    inner.set("from", outer.sender.full)
    inner.set("to", outer.recipient.full)


def require_same(address: str | None, expected: JID, what: str, reason: str) -> None:
    """Raise `SignatureError` if an address is there and is not the expected bare JID."""
    if address is None:
        return
    try:
        same = bare(address) == bare(expected)
    except ValueError:
        same = False
    if not same:
        raise SignatureError(f"the inner {what} is somebody else's address", reason=reason)
