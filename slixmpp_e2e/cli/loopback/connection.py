"""One TCP connection that carries an XML stream: it parses, writes and records."""

import asyncio
import secrets
import socket
import struct
from collections.abc import Callable
from typing import Protocol
from xml.etree.ElementTree import Element

from slixmpp_e2e.namespaces import STREAMS

from .parser import MAX_STANZA_SIZE, StreamClosed, StreamError, StreamOpened, StreamParser
from .recording import WireRecord
from .writer import serialise

_STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"

#: RST at once instead of FIN, and nothing of what is still to be written.
_NO_LINGER = struct.pack("ii", 1, 0)


class StreamHandler(Protocol):
    """What a connection tells; every method may raise `StreamError` to end the stream."""

    #: The default namespace of the stream's children.
    namespace: str

    def stream_opened(self, header: StreamOpened) -> None:
        """Answer the peer's stream header; comes again after each restart."""

    def element_received(self, element: Element) -> None:
        """Take one child of the stream."""

    def connection_lost(self, *, stream_closed: bool) -> None:
        """Learn that the connection is gone, and whether the stream was closed in good order before."""


class StreamConnection(asyncio.Protocol):
    """The transport below one stream. All work is done in the callbacks: no task, and order is kept."""

    def __init__(
        self,
        handler: Callable[["StreamConnection"], StreamHandler],
        *,
        received: WireRecord,
        sent: WireRecord,
        on_made: Callable[["StreamConnection"], None],
        on_lost: Callable[["StreamConnection"], None],
        max_stanza_size: int = MAX_STANZA_SIZE,
    ) -> None:
        self._handler = handler(self)
        self._received = received
        self._sent = sent
        self._on_made = on_made
        self._on_lost = on_lost
        #: The largest stanza that the client may send, in octets.
        self.max_stanza_size = max_stanza_size
        self._header_sent = False
        self._stream_closed = False

    # ------------------------------------------------------------------ what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received_here = self._received.new_connection()
        self._sent_here = self._sent.new_connection()
        self.restart()
        self._on_made(self)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        self._received_here += data
        parser = self._parser
        try:
            for event in parser.feed(data):
                self._dispatch(event)
                # After a restart or a closed stream, the rest of the old stream means nothing.
                if self._parser is not parser or self._transport.is_closing():
                    return
        except StreamError as error:
            self.fail(error.condition)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        try:
            self._handler.connection_lost(stream_closed=self._stream_closed)
        finally:
            self._on_lost(self)

    # ------------------------------------------------------------------ what handlers call

    def open_stream(self, domain: str | None) -> str:
        """Send the server's stream header; returns the stream's id."""
        stream_id = secrets.token_hex(8)
        sender = f" from='{domain}'" if domain is not None else ""
        self.write(
            f"<?xml version='1.0'?><stream:stream xmlns='{self._handler.namespace}' xmlns:stream='{STREAMS}'"
            f"{sender} id='{stream_id}' version='1.0'>"
        )
        self._header_sent = True
        return stream_id

    def restart(self) -> None:
        """Expect a new stream header (RFC 6120 4.3.3)."""
        self._header_sent = False
        self._parser = StreamParser(max_stanza_size=self.max_stanza_size)

    def send(self, element: Element, *more: Element) -> None:
        """Write children of the stream, in one go."""
        self.write(
            "".join(serialise(each, default_namespace=self._handler.namespace) for each in (element, *more))
        )

    def write(self, text: str) -> None:
        """Write text to the stream; nothing happens on a connection that is going down."""
        if not self._transport.is_closing():
            octets = text.encode()
            self._sent_here += octets
            self._transport.write(octets)

    def fail(self, condition: str) -> None:
        """End the stream with an error (RFC 6120 4.9)."""
        if not self._header_sent:
            self.open_stream(None)  # RFC 6120 4.9.1.2: an error needs a header before it
        self.write(f"<stream:error><{condition} xmlns='{_STREAM_ERRORS}'/></stream:error>")
        self.close()

    def close(self) -> None:
        """End the stream in good order."""
        self._stream_closed = True
        self.write("</stream:stream>")
        self._transport.close()

    def cut(self) -> None:
        """Reset the connection, as if the network had failed."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def _dispatch(self, event: StreamOpened | StreamClosed | Element) -> None:
        match event:
            case StreamOpened():
                self._handler.stream_opened(event)
            case StreamClosed():
                self.close()
            case _:
                self._handler.element_received(event)
