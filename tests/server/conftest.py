"""Servers, a proxy, and clients that are closed when their test ends."""

from collections.abc import AsyncIterator, Iterator

import pytest

from slixmpp_e2e.cli.loopback import LoopbackServer
from slixmpp_e2e.cli.prosody import ThrowAwayProsody

from .clients import ACCOUNTS, COMPONENTS, Clients
from .ejabberd import ThrowAwayEjabberd
from .proxy import RecordingProxy

Server = LoopbackServer | ThrowAwayProsody | ThrowAwayEjabberd
#: For `pytest.mark.parametrize("server", ..., indirect=True)`: what runs on ejabberd too.
PROSODY = pytest.param("prosody", marks=pytest.mark.server)
EJABBERD = pytest.param("ejabberd", marks=pytest.mark.ejabberd)
EVERY_SERVER = ["loopback", PROSODY, EJABBERD]
#: Prosody 0.12 counts the burst behind a resumption as one stanza, and keeps 500 for a client that is away.
ROOM_FOR_BURSTS = "c2s_stanza_size_limit = 64 * 1024 * 1024; smacks_max_queue_size = 5000"


@pytest.fixture(scope="session")
def ejabberd() -> Iterator[ThrowAwayEjabberd]:
    """The ejabberd of all tests."""
    with ThrowAwayEjabberd(ACCOUNTS, components=COMPONENTS) as running:
        yield running


@pytest.fixture(params=["loopback", PROSODY])
async def server(request: pytest.FixtureRequest, prosody_configuration: str) -> AsyncIterator[Server]:
    """A running server: the test runs once on each kind."""
    if request.param == "ejabberd":
        lent: ThrowAwayEjabberd = request.getfixturevalue("ejabberd")
        yield lent
        lent.forget()
        return
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
