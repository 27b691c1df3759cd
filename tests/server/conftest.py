"""Servers, a proxy, and clients that are closed when their test ends."""

from collections.abc import AsyncIterator

import pytest

from slixmpp_e2e.cli.loopback import LoopbackServer
from slixmpp_e2e.cli.prosody import ThrowAwayProsody

from .clients import ACCOUNTS, COMPONENTS, Clients
from .proxy import RecordingProxy

Server = LoopbackServer | ThrowAwayProsody


@pytest.fixture(params=["loopback", pytest.param("prosody", marks=pytest.mark.server)])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """A running server: the test runs once on each kind."""
    kind = LoopbackServer if request.param == "loopback" else ThrowAwayProsody
    async with kind(ACCOUNTS, components=COMPONENTS) as running:
        yield running


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
