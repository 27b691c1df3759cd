"""`slixmpp-e2e inspect`: what is in a stanza, a MIME entity or a CMS object, layer by layer, without a key.

A diagnostic reader: nothing is verified or decrypted, and nothing that it shows is proven. It goes on where
the plugin would have refused long ago, and says where it can't.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from xml.etree.ElementTree import Element

from slixmpp_e2e.cli.arguments import Subparsers, add_file_argument
from slixmpp_e2e.cli.files import read_file
from slixmpp_e2e.cli.show import printable
from slixmpp_e2e.cli.structure import describe_object, object_lines, unwrapped
from slixmpp_e2e.errors import ConfigurationError, MalformedError, RemoteError
from slixmpp_e2e.formats import objenc_envelope
from slixmpp_e2e.media import cpim, mime, xmpp_xml
from slixmpp_e2e.outer import E2E_TAG, OBJENC_TAG, PAYLOADS, kind_of, read_stanza

_Value = TypeVar("_Value")

_DAMAGED: Final = 1
_DEEPEST: Final = 8
_LONGEST_TEXT: Final = 400


def add_commands(subparsers: Subparsers) -> None:
    """Add `inspect`."""
    inspect = subparsers.add_parser(
        "inspect", help="show what is in a stanza, a MIME entity or a CMS object; nothing is verified"
    )
    add_file_argument(inspect, "a stanza, a MIME entity, or a CMS object in DER, BER, PEM or base64")
    inspect.set_defaults(run=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    path: Path = arguments.file
    try:
        found = describe(read_file(path))
    except MalformedError as error:
        raise ConfigurationError(f"{path}: not a stanza: {printable(str(error))}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: not a CMS object: {printable(str(error))}") from error
    print(found)
    return _DAMAGED if found.damaged else 0


@dataclass(slots=True)
class Description:
    """Lines for people, none of which can move the cursor of a terminal."""

    lines: list[str] = field(default_factory=list)
    #: A layer could not be read, and there is a line that says so.
    damaged: bool = False
    _depth: int = 0

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def say(self, line: str) -> None:
        """Add a line."""
        self.lines.append("  " * self._depth + printable(line))

    # ------------------------------------------------------------------ layers

    def object(self, data: bytes) -> None:
        """Describe what stands in an `<e2e/>`: a MIME entity, or base64 without one (ERRATA E07)."""
        if mime.begins_with_field(data):
            self.inside(self.entity, data)
        else:
            self.inside(self.cms, data)

    def entity(self, data: bytes) -> None:
        """Describe a MIME entity and what is in it."""
        entity = mime.parse_entity(data)
        self.say(f"MIME entity: {entity.media_type}, {len(data)} octets")
        for name, value in entity.fields.items():
            self.say(f"  {name.title()}: {value}")
        if entity.media_type == "multipart/signed":
            parts = mime.split_signed(entity)
            self.say(f"signed, {len(parts.content)} octets:")
            self.inside(self.entity, parts.content)
            self.say("signature:")
            self.inside(self.entity, parts.signature.data)
        elif entity.media_type in mime.PKCS7_MIME | mime.PKCS7_SIGNATURE:
            self.inside(self.cms, entity.decoded_body())
        elif entity.media_type == "message/cpim":
            self.inside(self.message, entity.decoded_body())
        elif entity.media_type == xmpp_xml.MEDIA_TYPE:
            self.inside(self.stanza, xmpp_xml.parse(entity.decoded_body()))
        else:
            self.text(entity.decoded_body())

    def message(self, body: bytes) -> None:
        """Describe the message headers of a Message/CPIM and its content."""
        message = cpim.parse(body)
        self.say("Message/CPIM")
        for header in message.headers:
            language = f" ({header.language})" if header.language else ""
            self.say(f"  {header.name}{language}: {header.value}")
        self.inside(self.entity, message.content)

    def stanza(self, stanza: Element) -> None:
        """Describe a stanza, its children by name, and the objects in it."""
        attributes = " ".join(f"{name}={value!r}" for name, value in stanza.attrib.items())
        self.say(f"stanza: {kind_of(stanza)} {attributes}".rstrip())
        for child in stanza:
            namespace, _, name = child.tag.rpartition("}")
            is_object = child.tag in PAYLOADS
            text = f": {_shortened(child.text)}" if child.text and not is_object else ""
            self.say(f"  {name} ({namespace[1:]}){text}")
            if child.tag == OBJENC_TAG:
                self.inside(self.objenc, child)
            elif child.tag == E2E_TAG:
                text = (child.text or "").strip(" \t\r\n")
                self.object(mime.canonical_line_breaks(text.encode()))

    def objenc(self, element: Element) -> None:
        """Describe an object of draft-miller-3923bis-02 part by part, and what is wrong with it."""
        self.say("encrypted, unsigned (draft-miller-3923bis-02)")
        for part in element:
            named = " ".join(f"{name}={value!r}" for name, value in part.attrib.items() if "algo" in name)
            self.say(f"  {part.tag.rpartition('}')[2]}: {_size(part.text)} {named}".rstrip())
            for name in part.attrib:
                if name.startswith("mac-") and name != "mac-algo":
                    self.say(f"  {name}: {_size(part.get(name))}")
        objenc_envelope.read_envelope(element)

    def cms(self, data: bytes) -> None:
        """Describe a CMS object, and the MIME entity that it has signed."""
        encoded, form = unwrapped(data)
        lines, content = object_lines(encoded)
        self.say(f"CMS object: {form}, {len(encoded)} octets")
        for line in lines:
            self.say(f"  {line}")
        if content is not None and mime.begins_with_field(content):
            self.inside(self.entity, content)

    def text(self, body: bytes) -> None:
        """Describe what has no structure."""
        self.say(f"{len(body)} octets: {_shortened(body.decode(errors='backslashreplace'))}")

    def inside(self, layer: Callable[[_Value], None], value: _Value) -> None:
        """Describe a layer inside this one; say so where it can't be read."""
        if self._depth == _DEEPEST:
            self.damaged = True
            self.say("  more layers than this program goes into")
            return
        self._depth += 1
        try:
            layer(value)
        except (RemoteError, ValueError) as error:
            self.damaged = True
            self.say(f"this can't be read: {error}")
        finally:
            self._depth -= 1


def describe(data: bytes) -> Description:
    """Return what is in a stanza, a MIME entity or a CMS object.

    Raises `MalformedError` for XML that is no stanza, `ValueError` for what is none of them.
    """
    found = Description()
    start = data.lstrip()
    if start.startswith(b"<"):
        found.stanza(read_stanza(data))
    elif mime.begins_with_field(start) and not data.startswith(b"\x30"):
        found.say(f"MIME, {len(start)} octets")
        found.inside(found.entity, start)
    else:
        found.lines += describe_object(data).split("\n")
        content = object_lines(unwrapped(data)[0])[1]
        if content is not None and mime.begins_with_field(content):
            found.inside(found.entity, content)
    return found


def _size(text: str | None) -> str:
    try:
        return f"{len(objenc_envelope.read_base64(text or ''))} octets"
    except MalformedError as error:
        return str(error)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
