"""The server of the demo and of the tests, and what somebody who owns it can do."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Self
from xml.etree.ElementTree import Element

from .client_stream import ClientStream
from .component_stream import ComponentStream
from .connection import StreamConnection, StreamHandler
from .parser import MAX_STANZA_SIZE
from .recording import WireRecord
from .routing import RouteHook, Router
from .session import Session
from .stanzas import is_stanza

_LOOPBACK: Final = "127.0.0.1"


def _now() -> datetime:
    return datetime.now(UTC)


class LoopbackServer:
    """An XMPP server on a random port of the loopback interface, for clients in the same program.

    A test double: no TLS, everything in memory, not conformant, never for production.

    It has SASL PLAIN, resource binding, routing between sessions and to external components (XEP-0114),
    offline messages with `<delay/>` (XEP-0203), carbons (XEP-0280) and stream management with resumption
    (XEP-0198). It has no rosters, archive, PEP or rooms, and no other servers.

    `accounts` maps localparts to passwords, `components` domains to secrets; `clock` gives the time that
    `<delay/>` is stamped with. A session of XEP-0198 waits for its client until `expire()` or `stop()`.

    `recorded_from_clients`, `recorded_to_clients` and their namesakes for components hold all octets of the wire.

    Everything runs in the event loop that called `start()`. What a client does wrong ends its own stream.
    """

    def __init__(
        self,
        accounts: Mapping[str, str],
        *,
        domain: str = "localhost",
        components: Mapping[str, str] = MappingProxyType({}),
        max_stanza_size: int = MAX_STANZA_SIZE,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.domain: Final = domain
        self.recorded_from_clients: Final = WireRecord()
        self.recorded_to_clients: Final = WireRecord()
        self.recorded_from_components: Final = WireRecord()
        self.recorded_to_components: Final = WireRecord()
        self._accounts = dict(accounts)
        self._components = dict(components)
        self._max_stanza_size = max_stanza_size
        self._router = Router(
            domain=domain, accounts=self._accounts, component_domains=self._components.keys(), clock=clock
        )
        self._listeners: list[asyncio.Server] = []
        self._connections: set[StreamConnection] = set()
        self._all_lost = asyncio.Event()

    # ------------------------------------------------------------------ up and down

    async def start(self) -> Self:
        """Listen on two random ports, one for clients and one for components."""
        loop = asyncio.get_running_loop()
        for factory in (self._accept_client, self._accept_component):
            self._listeners.append(await loop.create_server(factory, _LOOPBACK, 0))
        return self

    async def stop(self) -> None:
        """Break all connections, and return when they are gone."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for connection in list(self._connections):
            connection.cut()
        while self._connections:
            self._all_lost.clear()
            await self._all_lost.wait()
        self._router.sessions.clear()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """Where clients connect to; raises `RuntimeError` while the server is not running."""
        return self._port_of(0)

    @property
    def component_port(self) -> int:
        """Where components connect to; raises `RuntimeError` while the server is not running."""
        return self._port_of(1)

    # ------------------------------------------------------------------ the server as the attacker

    @property
    def on_route(self) -> RouteHook | None:
        """A function that sees every stanza before it is routed, and may change, drop or multiply it.

        It gets the stanza with its true `from`, and owns it. It returns the stanzas to be routed instead, an
        empty list to drop it, or None to let it go on. What it raises breaks the sender's connection.
        """
        return self._router.on_route

    @on_route.setter
    def on_route(self, hook: RouteHook | None) -> None:
        self._router.on_route = hook

    def inject(self, stanza: Element) -> None:
        """Route a stanza in `jabber:client` with whatever `from` it has; `on_route` does not see it."""
        if not is_stanza(stanza) or stanza.get("to") is None:
            raise ValueError("inject() takes a message, presence or iq in jabber:client, with 'to'")
        self._router.route(stanza)

    def cut(self, full_jid: str) -> None:
        """Reset the connection of a session; its client may resume it if it enabled XEP-0198."""
        session = self._session(full_jid)
        if session.connection is None:
            raise LookupError(f"{full_jid} is not connected")
        session.connection.cut()

    def expire(self, full_jid: str) -> None:
        """End a session for good: its client can't resume it, its unacknowledged messages go elsewhere."""
        session = self._session(full_jid)
        connection, session.connection = session.connection, None
        self._router.end(session)
        if connection is not None:
            connection.cut()

    # ------------------------------------------------------------------ inside

    def _session(self, full_jid: str) -> Session:
        try:
            return self._router.sessions[full_jid]
        except KeyError:
            raise LookupError(f"no session of {full_jid} on this server") from None

    def _port_of(self, listener: int) -> int:
        if not self._listeners:
            raise RuntimeError("the server is not running")
        port: int = self._listeners[listener].sockets[0].getsockname()[1]
        return port

    def _accept_client(self) -> StreamConnection:
        def handler(connection: StreamConnection) -> StreamHandler:
            return ClientStream(connection, router=self._router, accounts=self._accounts)

        return self._accept(handler, self.recorded_from_clients, self.recorded_to_clients)

    def _accept_component(self) -> StreamConnection:
        def handler(connection: StreamConnection) -> StreamHandler:
            return ComponentStream(connection, router=self._router, secrets=self._components)

        return self._accept(handler, self.recorded_from_components, self.recorded_to_components)

    def _accept(
        self, handler: Callable[[StreamConnection], StreamHandler], received: WireRecord, sent: WireRecord
    ) -> StreamConnection:
        return StreamConnection(
            handler,
            received=received,
            sent=sent,
            on_made=self._made,
            on_lost=self._lost,
            max_stanza_size=self._max_stanza_size,
        )

    def _made(self, connection: StreamConnection) -> None:
        self._connections.add(connection)
        if not self._listeners:
            connection.cut()  # it was being accepted while the server stopped

    def _lost(self, connection: StreamConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_lost.set()
