"""slixmpp clients and components for the servers of the tests: build, connect, close without a trace."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

import slixmpp
from slixmpp.xmlstream import XMLStream

LOOPBACK: Final = "127.0.0.1"

#: Every account and component of the test servers has this password.
PASSWORD: Final = "secret"
ACCOUNTS: Final = {"romeo": PASSWORD, "juliet": PASSWORD, "mercutio": PASSWORD}
COMPONENT: Final = "component.localhost"
COMPONENTS: Final = {COMPONENT: PASSWORD}

#: slixmpp would read all root certificates of the system for every client: 40 ms, ten times a login.
_UNUSED_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

#: Seconds after which a test gives up.
PATIENCE: Final = 5.0

_reconnecting: WeakKeyDictionary[XMLStream, Callable[[Any], None]] = WeakKeyDictionary()


def new_client(jid: str, password: str = PASSWORD, *, plugins: Iterable[str] = ()) -> slixmpp.ClientXMPP:
    """Build a client that logs in without TLS. Call it inside the event loop that it will run in."""
    client = without_tls(slixmpp.ClientXMPP(jid, password, ssl_context=_UNUSED_TLS))
    for plugin in plugins:
        client.register_plugin(plugin)
    return client


def without_tls(client: slixmpp.ClientXMPP) -> slixmpp.ClientXMPP:
    """Make any client, also one of a program's own class, log in over an unprotected connection."""
    client.enable_direct_tls = False
    client.enable_starttls = False
    client.enable_plaintext = True
    client.plugin["feature_mechanisms"].unencrypted_plain = True
    client.plugin["feature_mechanisms"].unencrypted_scram = True
    return client


def new_component(
    domain: str = COMPONENT, secret: str = PASSWORD, *, plugins: Iterable[str] = ()
) -> slixmpp.ComponentXMPP:
    """Build an external component. Call it inside the event loop that it will run in."""
    component = slixmpp.ComponentXMPP(domain, secret)
    for plugin in plugins:
        component.register_plugin(plugin)
    return component


async def connect(
    xmpp: slixmpp.ClientXMPP | slixmpp.ComponentXMPP,
    port: int,
    *,
    reconnect: bool = False,
    seconds: float = PATIENCE,
) -> None:
    """Connect to a port of the loopback interface, and return when the session has started.

    A client's session has started when all features are negotiated: stream management comes after binding,
    and a connection that is cut before can't be resumed.

    With `reconnect`, the client comes back at once whenever its connection is lost, until `close()`.
    Raises `ConnectionError` if the server refuses, `TimeoutError` if it does not answer in time.
    """
    started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_start(_: Any) -> None:
        if not started.done():
            started.set_result(None)

    def on_failure(reason: Any) -> None:
        if not started.done():
            started.set_exception(ConnectionError(f"{xmpp.boundjid} could not start its session: {reason}"))

    handlers = {
        "session_start" if xmpp.is_component else "stream_negotiated": on_start,
        "failed_all_auth": on_failure,
        "connection_failed": on_failure,
        "disconnected": on_failure,
    }
    for event, handler in handlers.items():
        xmpp.add_event_handler(event, handler)
    try:
        xmpp.connect(LOOPBACK, port)
        await asyncio.wait_for(started, seconds)
    finally:
        for event, handler in handlers.items():
            xmpp.del_event_handler(event, handler)
    if reconnect:
        _reconnect_to(xmpp, port)


async def round_trip(client: slixmpp.ClientXMPP, *, seconds: float = PATIENCE) -> None:
    """Return when the server has worked through everything that this client sent so far."""
    ping = client.make_iq_get(ito=client.boundjid.host)
    ping.xml.append(slixmpp.xmlstream.ET.Element("{urn:xmpp:ping}ping"))
    await ping.send(timeout=seconds)


async def close(*streams: XMLStream) -> None:
    """Disconnect, and leave no task, timer or reconnection behind."""
    for xmpp in streams:
        handler = _reconnecting.pop(xmpp, None)
        if handler is not None:
            xmpp.del_event_handler("disconnected", handler)
        if xmpp.transport is not None:
            await xmpp.disconnect(wait=1.0, ignore_send_queue=True)
        tasks = _tasks_of(xmpp)
        xmpp.cancel_connection_attempt()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if xmpp.transport is not None:
            xmpp.abort()
            await asyncio.sleep(0)  # asyncio reports the loss in the next round
        for name in list(xmpp.scheduled_events):
            xmpp.cancel_schedule(name)


class Clients:
    """The clients and components of one test on one server; `close()` closes them all."""

    def __init__(self, port: int, component_port: int) -> None:
        self._port = port
        self._component_port = component_port
        self._streams: list[XMLStream] = []

    async def log_in(
        self,
        jid: str,
        *,
        port: int | None = None,
        plugins: Iterable[str] = (),
        reconnect: bool = False,
        available: bool = True,
    ) -> slixmpp.ClientXMPP:
        """Build a client, connect it, and make it available, so that messages to its bare JID reach it.

        `port` is that of a proxy, if the client is to go through one.
        """
        client = new_client(jid, plugins=plugins)
        self._streams.append(client)
        await connect(client, self._port if port is None else port, reconnect=reconnect)
        if available:
            client.send_presence()
            await round_trip(client)
        return client

    async def component(self, *, plugins: Iterable[str] = ()) -> slixmpp.ComponentXMPP:
        """Build a component and connect it."""
        component = new_component(plugins=plugins)
        self._streams.append(component)
        await connect(component, self._component_port)
        return component

    async def close(self) -> None:
        """Close all that were built here."""
        await close(*self._streams)


class Inbox:
    """What one event of a client brings, in order."""

    def __init__(self, xmpp: XMLStream, event: str = "message") -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        xmpp.add_event_handler(event, self._queue.put_nowait)

    async def next(self, *, seconds: float = PATIENCE) -> Any:
        """Return the next one; raises `TimeoutError`."""
        return await asyncio.wait_for(self._queue.get(), seconds)

    async def take(self, count: int, *, seconds: float = PATIENCE) -> list[Any]:
        """Return the next `count`; raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            return [await self._queue.get() for _ in range(count)]

    @property
    def empty(self) -> bool:
        """Whether all that came was taken."""
        return self._queue.empty()


def _reconnect_to(xmpp: XMLStream, port: int) -> None:
    def reconnect(_: Any) -> None:
        xmpp.connect(LOOPBACK, port)

    xmpp.add_event_handler("disconnected", reconnect)
    _reconnecting[xmpp] = reconnect


def _tasks_of(xmpp: XMLStream) -> list[asyncio.Task[Any]]:
    """Find slixmpp's tasks that work for this stream; slixmpp keeps no list of them."""
    found = []
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is None or not frame.f_globals.get("__name__", "").startswith("slixmpp."):
            continue
        if any(each is xmpp or getattr(each, "stream", None) is xmpp for each in frame.f_locals.values()):
            found.append(task)
    return found
