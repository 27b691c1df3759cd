"""Servers, a proxy, and clients that are closed when their test ends."""

from collections.abc import AsyncIterator

import pytest

from slixmpp_e2e.cli.loopback import LoopbackServer
from slixmpp_e2e.cli.prosody import ThrowAwayProsody

from .clients import ACCOUNTS, COMPONENTS, Clients
from .proxy import RecordingProxy

Server = LoopbackServer | ThrowAwayProsody
#: Prosody 0.12 counts the burst behind a resumption as one stanza, and keeps 500 for a client that is away.
ROOM_FOR_BURSTS = "c2s_stanza_size_limit = 64 * 1024 * 1024; smacks_max_queue_size = 5000"


@pytest.fixture(params=["loopback", pytest.param("prosody", marks=pytest.mark.server)])
async def server(request: pytest.FixtureRequest, prosody_configuration: str) -> AsyncIterator[Server]:
    """A running server: the test runs once on each kind."""
    running = (
        LoopbackServer(ACCOUNTS, components=COMPONENTS)
        if request.param == "loopback"
        else ThrowAwayProsody(ACCOUNTS, components=COMPONENTS, extra_configuration=prosody_configuration)
    )
    async with running:
        yield running


@pytest.fixture
def prosody_configuration() -> str:
    """Lua that Prosody's configuration ends with; a module that needs some has a fixture of its own."""
    return ""


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[RecordingProxy]:
    """A proxy in front of the server's port for clients."""
    async with RecordingProxy(server.port) as running:
        yield running


@pytest.fixture
async def clients(server: Server) -> AsyncIterator[Clients]:
    """Builds clients of the server, and closes them."""
    built = Clients(server.port, server.component_port)
    yield built
    await built.close()
