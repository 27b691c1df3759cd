"""The network between one client and its server, and somebody who sits on it.

It serves any server, also an honest one: who is on the wire reads every octet, and gives the client whatever
octets he likes. The connection is not encrypted; TLS protects against him up to the server, and against the
server not at all. End-to-end security has to do without either.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

_LOOPBACK: Final = "127.0.0.1"
_CHUNK: Final = 65536
_MESSAGE_END: Final = b"</message>"

#: A stanza with something in it. No stanza of the demo has another one, or CDATA, inside.
_STANZA: Final = re.compile(rb"<(message|iq)\b[^>]*[^>/]>.*?</\1>", re.DOTALL)

Change = Callable[[bytes], bytes]


class Wire:
    """A relay in front of a server's port, for one client; it records every octet that reaches either side."""

    def __init__(self, server_port: int) -> None:
        self.from_client: Final = bytearray()
        self.to_client: Final = bytearray()
        self._server_port = server_port
        self._looked_at = 0
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._client: asyncio.StreamWriter | None = None
        self._change: Change | None = None
        self._held = b""

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._connected, _LOOPBACK, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        self._listener.close()
        for writer in self._writers:  # then the pumps find the end, and end; a cancelled one would be logged
            writer.close()
        await asyncio.gather(*self._connections)

    @property
    def port(self) -> int:
        """Where the client connects to."""
        assert self._listener is not None, "the wire is not there yet"
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    def newly_arrived(self) -> bytes:
        """Return the octets that have reached the client since this was asked last."""
        start, self._looked_at = self._looked_at, len(self.to_client)
        return bytes(self.to_client[start:])

    # ------------------------------------------------------------------ what an attacker can do

    def inject(self, octets: bytes) -> None:
        """Give the client octets as if its server had sent them; the wire must be quiet, or they mix."""
        assert self._client is not None, "no client is connected"
        self._client.write(self._passed_on(octets))

    def change_next_message(self, change: Change) -> None:
        """Hold what the server sends from now on until a message is complete, and pass on what `change` returns."""
        self._change = change

    # ------------------------------------------------------------------ inside

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._client = writer
        server_reader, server_writer = await asyncio.open_connection(_LOOPBACK, self._server_port)
        self._writers += (writer, server_writer)
        await asyncio.gather(
            _pump(reader, server_writer, self._sent), _pump(server_reader, writer, self._received)
        )
        writer.close()
        server_writer.close()

    def _sent(self, octets: bytes) -> bytes:
        self.from_client.extend(octets)
        return octets

    def _received(self, octets: bytes) -> bytes:
        self._held += octets
        if self._change is not None and _MESSAGE_END not in self._held:
            return b""
        held, self._held = self._held, b""
        if self._change is not None:
            held, self._change = self._change(held), None
        return self._passed_on(held)

    def _passed_on(self, octets: bytes) -> bytes:
        self.to_client.extend(octets)
        return octets


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, through: Change) -> None:
    """Carry octets one way until their sender is done, then tell the other side."""
    with suppress(ConnectionError):
        while octets := await reader.read(_CHUNK):
            writer.write(through(octets))
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()


def stanzas(octets: bytes) -> list[bytes]:
    """Return the messages and iqs in recorded octets, as they stand there; those that are empty are left out."""
    return [found.group() for found in _STANZA.finditer(octets)]
