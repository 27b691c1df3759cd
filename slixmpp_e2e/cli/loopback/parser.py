"""Octets in, stream events out: a bounded incremental reader of an XML stream (RFC 6120 4 and 11)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from slixmpp_e2e.namespaces import STREAMS

#: What Prosody accepts from a client by default, in octets.
MAX_STANZA_SIZE: Final = 262_144
MAX_DEPTH: Final = 200


class StreamError(Exception):
    """The stream can't go on; `condition` is the stream error that says why (RFC 6120 4.9.3)."""

    def __init__(self, condition: str) -> None:
        super().__init__(condition)
        self.condition = condition


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer sent its stream header."""

    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The peer sent the closing tag of its stream."""


#: An element is one complete child of the stream: a stanza, or a step of the negotiation.
StreamEvent = StreamOpened | StreamClosed | Element


class StreamParser:
    """Reads one XML stream; after a stream restart a new parser is needed.

    Octets are bounded before they are built into elements: size and depth of a child of the stream, and no
    document type, processing instruction or comment (RFC 6120 11.1).
    """

    def __init__(self, *, max_stanza_size: int = MAX_STANZA_SIZE, max_depth: int = MAX_DEPTH) -> None:
        self._max_stanza_size = max_stanza_size
        self._max_depth = max_depth
        self._depth = 0
        self._fed = 0
        self._last_boundary = 0
        self._events: list[StreamEvent] = []
        self._builder = TreeBuilder()
        # RFC 6120 11.6: UTF-8, whatever the XML declaration says.
        self._expat = expat.ParserCreate("UTF-8", "}")
        self._expat.buffer_text = True
        # Newer expat may hold back a complete tag until more octets arrive; a stream must not wait.
        if hasattr(self._expat, "SetReparseDeferralEnabled"):
            self._expat.SetReparseDeferralEnabled(False)
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._text
        self._expat.StartDoctypeDeclHandler = self._restricted
        self._expat.ProcessingInstructionHandler = self._restricted
        self._expat.CommentHandler = self._restricted

    def feed(self, octets: bytes) -> Iterator[StreamEvent]:
        """Yield what these octets completed, in order; then raise `StreamError` if they broke a rule."""
        violation: StreamError | None = None
        self._fed += len(octets)
        try:
            self._expat.Parse(octets, False)
        except StreamError as error:
            violation = error
        except expat.ExpatError:
            violation = StreamError("not-well-formed")
        events, self._events = self._events, []
        yield from events
        if violation is None and self._fed - self._last_boundary > self._max_stanza_size:
            violation = StreamError("policy-violation")
        if violation is not None:
            raise violation

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > self._max_depth:
            raise StreamError("policy-violation")
        tag = _expanded(name)
        named = {_expanded(key): value for key, value in attributes.items()}
        if self._depth == 1:
            if tag != f"{{{STREAMS}}}stream":
                raise StreamError("bad-format")
            self._events.append(StreamOpened(named))
            self._last_boundary = self._expat.CurrentByteIndex
        else:
            if self._depth == 2:
                self._builder = TreeBuilder()
            self._builder.start(tag, named)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._events.append(StreamClosed())
            return
        element = self._builder.end(_expanded(name))
        if self._depth == 1:
            boundary = self._expat.CurrentByteIndex
            if boundary - self._last_boundary > self._max_stanza_size:
                raise StreamError("policy-violation")
            self._events.append(element)
            self._last_boundary = boundary

    def _text(self, text: str) -> None:
        # White space between stanzas keeps the connection alive and means nothing (RFC 6120 4.6.1).
        if self._depth > 1:
            self._builder.data(text)
        else:
            self._last_boundary = self._expat.CurrentByteIndex

    def _restricted(self, *_: object) -> None:
        raise StreamError("restricted-xml")


def _expanded(name: str) -> str:
    return f"{{{name}" if "}" in name else name
