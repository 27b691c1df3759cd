"""A server, two ordinary slixmpp clients, and the wires between them."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar

import slixmpp
from slixmpp import Iq, Message
from slixmpp.exceptions import XMPPError

import slixmpp_e2e
from slixmpp_e2e.cli.demo.certificates import Certificates, make_certificates
from slixmpp_e2e.cli.demo.wire import Wire
from slixmpp_e2e.cli.loopback import LoopbackServer
from slixmpp_e2e.cli.prosody import ThrowAwayProsody
from slixmpp_e2e.plugin.stanzas import ReceiveFailure, Stanza
from slixmpp_e2e.report import SecurityReport

ServerKind: TypeAlias = Literal["loopback", "prosody"]

_T = TypeVar("_T")

DOMAIN: Final = "localhost"
ROMEO: Final = "romeo@localhost/orchard"
JULIET: Final = "juliet@localhost/balcony"
MALLORY: Final = "mallory@localhost"

#: Seconds after which something is taken not to happen.
PATIENCE: Final = 5.0

_LOOPBACK: Final = "127.0.0.1"
_PASSWORD: Final = "a password for nothing but this run"  # noqa: S105
_SERVERS: Final[Mapping[ServerKind, Any]] = {"loopback": LoopbackServer, "prosody": ThrowAwayProsody}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A stanza that slixmpp hands to the program's handlers, and what was proven about it."""

    stanza: Stanza
    report: SecurityReport | None


class Participant:
    """A client, its wire, and all that its program sends and sees, in order.

    The two filters stand where a program's own would: before anything is protected, and after all is opened.
    What the second one does not see reaches no handler.
    """

    def __init__(self, client: slixmpp.ClientXMPP, wire: Wire) -> None:
        self.client: Final[Any] = client
        self.wire: Final = wire
        self.sent: Final[asyncio.Queue[Stanza]] = asyncio.Queue()
        self.seen: Final[asyncio.Queue[Arrival | ReceiveFailure]] = asyncio.Queue()
        client.add_filter("out", self._record_sent)
        client.add_filter("in", self._record_seen)
        client.add_event_handler("e2e_error", self.seen.put_nowait)

    async def next_sent(self) -> Stanza | None:
        """Return what the program sends next; None if it sends nothing."""
        return await _next(self.sent)

    async def next_seen(self) -> Arrival | ReceiveFailure | None:
        """Return what the program is told next; None if it is told nothing."""
        return await _next(self.seen)

    async def settle(self) -> bool:
        """Wait until the server has worked through all that this client sent; says whether it answered."""
        ping = self.client.make_iq_get(ito=DOMAIN)
        ping.enable("ping")
        try:
            await ping.send(timeout=PATIENCE)
        except XMPPError:
            return False
        return True

    def _record_sent(self, stanza: Any) -> Any:
        if isinstance(stanza, (Message, Iq)) and stanza["to"].user:
            self.sent.put_nowait(stanza)
        return stanza

    def _record_seen(self, stanza: Any) -> Any:
        if isinstance(stanza, (Message, Iq)) and stanza["from"].user:
            self.seen.put_nowait(Arrival(stanza, self.client.plugin["e2e"].report(stanza)))
        return stanza


async def _next(queue: asyncio.Queue[_T]) -> _T | None:
    try:
        return await asyncio.wait_for(queue.get(), PATIENCE)
    except TimeoutError:
        return None


@dataclass(frozen=True, slots=True)
class Stage:
    """Everybody, ready to begin."""

    server: str
    romeo: Participant
    juliet: Participant
    #: Not logged in: she sits on Romeo's wire, and has a certificate and the plugin like everybody else.
    mallory: Any


@asynccontextmanager
async def set_up(kind: ServerKind) -> AsyncIterator[Stage]:
    """Build everything, and leave nothing behind: keys, files, server and connections are gone at the end.

    Raises `ProsodyError` if that server is asked for and does not start, and `OSError`.
    """
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="slixmpp-e2e-demo-"))
        server = _SERVERS[kind]({"romeo": _PASSWORD, "juliet": _PASSWORD}, domain=DOMAIN, components={})
        await stack.enter_async_context(server)  # fails at once where it is not installed
        certificates = await asyncio.to_thread(
            make_certificates, Path(directory), ("romeo", "juliet", "mallory"), domain=DOMAIN
        )
        romeo = await _log_in(stack, ROMEO, server.port, certificates.options("romeo", knows="juliet"))
        juliet = await _log_in(stack, JULIET, server.port, certificates.options("juliet", knows="romeo"))
        yield Stage(f"{kind}, {_LOOPBACK}:{server.port}", romeo, juliet, _stranger(certificates))


def _stranger(certificates: Certificates) -> slixmpp.ClientXMPP:
    mallory = _new_client(MALLORY)
    mallory.register_plugin("e2e", certificates.options("mallory", knows="romeo"), module=slixmpp_e2e)
    return mallory


async def _log_in(stack: AsyncExitStack, jid: str, server_port: int, options: dict[str, Any]) -> Participant:
    wire = await stack.enter_async_context(Wire(server_port))
    client = _new_client(jid)
    client.register_plugin("xep_0199")
    client.register_plugin("e2e", options, module=slixmpp_e2e)
    await _connect(client, wire.port)
    stack.push_async_callback(client.disconnect, wait=1.0, ignore_send_queue=True)
    client.send_presence()  # without it, messages to the bare JID would wait
    participant = Participant(client, wire)
    if not await participant.settle():
        raise ConnectionError(f"{jid} logged in, but the server does not answer")
    return participant


def _new_client(jid: str) -> slixmpp.ClientXMPP:
    """Return a client that logs in without TLS: the demo shows the wire."""
    # A context of our own, or slixmpp would read all root certificates of the system for nothing.
    client = slixmpp.ClientXMPP(jid, _PASSWORD, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    client.enable_direct_tls = False
    client.enable_starttls = False
    client.enable_plaintext = True
    client.plugin["feature_mechanisms"].unencrypted_plain = True
    client.plugin["feature_mechanisms"].unencrypted_scram = True
    return client


async def _connect(client: slixmpp.ClientXMPP, port: int) -> None:
    started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_start(_: Any) -> None:
        if not started.done():
            started.set_result(None)

    def on_failure(reason: Any) -> None:
        if not started.done():
            started.set_exception(ConnectionError(f"{client.boundjid} could not log in: {reason}"))

    client.add_event_handler("session_start", on_start)
    for event in ("failed_all_auth", "connection_failed", "disconnected"):
        client.add_event_handler(event, on_failure)
    client.connect(_LOOPBACK, port)
    try:
        await asyncio.wait_for(started, PATIENCE)
    except TimeoutError:
        raise ConnectionError(f"{client.boundjid} could not log in within {PATIENCE:.0f} s") from None
