"""A TCP proxy in front of a server: it records, loses octets, and cuts, where the test wants it."""

import asyncio
import re
import socket
import struct
from typing import Final, Literal, Self

from slixmpp_e2e.cli.loopback import WireRecord

Direction = Literal["from_clients", "to_clients"]

_LOOPBACK: Final = "127.0.0.1"
_NO_LINGER: Final = struct.pack("ii", 1, 0)


#: The end of a stanza or of an element of stream management.
_WHOLE: Final = re.compile(rb"(?:</(?:message|presence|iq)>|<(?:a|r|presence)(?: [^<>]*)?/>)$")


class RecordingProxy:
    """Passes octets between clients and one port of a server, until told otherwise.

    The records hold what each side *sent*, also what the proxy did not pass on; one entry for each connection
    of a client, as in `LoopbackServer`.
    """

    def __init__(self, upstream_port: int) -> None:
        self.recorded_from_clients: Final = WireRecord()
        self.recorded_to_clients: Final = WireRecord()
        self._upstream_port = upstream_port
        self._listener: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._cut_of_next: tuple[Direction, int] | None = None
        self._waiting: list[tuple[Direction, bytes, asyncio.Future[None]]] = []

    async def start(self) -> Self:
        """Listen on a random port of the loopback interface."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._accept, _LOOPBACK, 0)
        return self

    async def stop(self) -> None:
        """Reset all connections, and return when they are gone."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        links = list(self._links)
        for link in links:
            link.reset()
        await asyncio.gather(*(link.gone.wait() for link in links))

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """Where clients connect to."""
        assert self._listener is not None, "the proxy is not running"
        return self._listener.sockets[0].getsockname()[1]

    def swallow(self, direction: Direction) -> None:
        """Lose all further octets in this direction, on the connections that exist now."""
        for link in self._live_links():
            link.swallowing.add(direction)

    def cut(self) -> None:
        """Reset (RST) both sides of all connections that exist now."""
        for link in self._live_links():
            link.reset()

    def cut_between_stanzas(self) -> None:
        """Cut as soon as what clients have sent ends with a whole stanza, which the server still gets.

        Prosody 0.12 goes on with the parser of the lost connection when a session is resumed: half a stanza
        in it swallows everything that comes after.
        """
        for link in self._live_links():
            link.cut_between_stanzas()

    def cut_at(self, direction: Direction, offset: int) -> None:
        """Cut a connection when exactly `offset` octets have passed in this direction, from its first octet on.

        It is the newest connection that exists now, or else the next one. The receiver gets all these octets
        and then the end of the connection; the sender gets a reset.
        """
        if not self._links:
            self._cut_of_next = (direction, offset)
            return
        link = self._newest()
        if link.passed[direction] >= offset:
            raise ValueError(f"{link.passed[direction]} octets have already passed")
        link.cut_at[direction] = offset

    def cut_after(self, direction: Direction, octets: int) -> None:
        """Cut the newest connection when so many more octets have passed in this direction; see `cut_at`."""
        link = self._newest()
        link.cut_at[direction] = link.passed[direction] + octets

    def spare(self) -> None:
        """Call off all cuts at offsets that have not come yet."""
        for link in self._links:
            link.cut_at.clear()

    def passed(self, direction: Direction) -> int:
        """Return how many octets have passed on the newest connection."""
        return self._newest().passed[direction]

    def forget_wire(self) -> None:
        """Empty the records."""
        for record in (self.recorded_from_clients, self.recorded_to_clients):
            for connection in record.connections:
                connection.clear()

    async def wait_for(self, direction: Direction, octets: bytes, *, seconds: float = 5.0) -> None:
        """Return when any connection has carried these octets; raises `TimeoutError`."""
        if octets in self.record(direction):
            return
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((direction, octets, seen))
        await asyncio.wait_for(seen, seconds)

    def record(self, direction: Direction) -> WireRecord:
        """Return the record of one direction."""
        return self.recorded_from_clients if direction == "from_clients" else self.recorded_to_clients

    def _live_links(self) -> list["_Link"]:
        assert self._links, "no client is connected through the proxy"
        return list(self._links)

    def _newest(self) -> "_Link":
        return max(self._live_links(), key=lambda each: each.number)

    def _accept(self) -> "_End":
        link = _Link(self, number=len(self.recorded_from_clients.connections))
        if self._cut_of_next is not None:
            direction, offset = self._cut_of_next
            link.cut_at[direction] = offset
            self._cut_of_next = None
        self._links.add(link)
        return link.client

    def forget(self, link: "_Link") -> None:
        """Drop a link of which both sides are gone."""
        self._links.discard(link)

    def arrived(self, direction: Direction) -> None:
        """Wake those who wait for octets in this direction."""
        record = self.record(direction)
        for waiting in [each for each in self._waiting if each[0] == direction and each[1] in record]:
            self._waiting.remove(waiting)
            if not waiting[2].done():
                waiting[2].set_result(None)

    @property
    def upstream_port(self) -> int:
        """The server's port."""
        return self._upstream_port


class _Link:
    """One client's connection, and the connection to the server that belongs to it."""

    def __init__(self, proxy: RecordingProxy, *, number: int) -> None:
        self.proxy = proxy
        self.number = number
        self.client = _End(self, "from_clients")
        self.server = _End(self, "to_clients")
        self.recorded = {
            "from_clients": proxy.recorded_from_clients.new_connection(),
            "to_clients": proxy.recorded_to_clients.new_connection(),
        }
        self.passed: dict[Direction, int] = {"from_clients": 0, "to_clients": 0}
        self.cut_at: dict[Direction, int] = {}
        self.swallowing: set[Direction] = set()
        self.cut_at_end = False
        self.gone = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None

    def client_connected(self) -> None:
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        assert self.client.transport is not None
        self.client.transport.pause_reading()
        try:
            await loop.create_connection(lambda: self.server, _LOOPBACK, self.proxy.upstream_port)
        except OSError:
            self.reset()
            return
        if self.client.transport.is_closing():
            self.reset()
        else:
            self.client.transport.resume_reading()

    def forward(self, direction: Direction, octets: bytes) -> None:
        self.recorded[direction] += octets
        source, target = self._ends(direction)
        if direction not in self.swallowing:
            room = self.cut_at.get(direction, self.passed[direction] + len(octets)) - self.passed[direction]
            passing = octets[:room]
            self.passed[direction] += len(passing)
            if target.transport is not None:
                target.transport.write(passing)
            if self.passed[direction] == self.cut_at.get(direction):
                # A reset could overtake the last octets; a FIN comes after them.
                if target.transport is not None:
                    target.transport.close()
                source.reset()
        if self.cut_at_end and direction == "from_clients":
            self._cut_at_end()
        self.proxy.arrived(direction)

    def cut_between_stanzas(self) -> None:
        self.cut_at_end = True
        self._cut_at_end()

    def _cut_at_end(self) -> None:
        if "from_clients" not in self.swallowing and _WHOLE.search(self.recorded["from_clients"][-200:]):
            self.swallowing |= {"to_clients", "from_clients"}
            if self.server.transport is not None and self.server.transport.can_write_eof():
                self.server.transport.write_eof()  # it reads all of it, and closes: see `lost`
            else:
                self.client.reset()

    def lost(self, direction: Direction) -> None:
        """End the other side too, after what it still has to write."""
        _, target = self._ends(direction)
        if target.transport is not None:
            if self.cut_at_end and direction == "to_clients":
                self.client.reset()  # not before: else it might be back before all was read
            elif not self.cut_at_end:
                target.transport.close()
        elif self._connecting is not None:
            self._connecting.cancel()
        if self.client.transport is None and self.server.transport is None:
            self.gone.set()
            self.proxy.forget(self)

    def reset(self) -> None:
        self.client.reset()
        self.server.reset()

    def _ends(self, direction: Direction) -> tuple["_End", "_End"]:
        return (self.client, self.server) if direction == "from_clients" else (self.server, self.client)


class _End(asyncio.Protocol):
    """One side of a link; `transport` is None before it is connected and after it is lost."""

    def __init__(self, link: _Link, direction: Direction) -> None:
        self._link = link
        self._direction = direction
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._direction == "from_clients":
            self._link.client_connected()

    def data_received(self, data: bytes) -> None:
        self._link.forward(self._direction, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._link.lost(self._direction)

    def reset(self) -> None:
        if self.transport is None:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()
