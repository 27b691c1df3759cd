"""A Prosody with rooms, and clients with every plugin that ours has to get on with."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from slixmpp_e2e.cli.prosody import ThrowAwayProsody
from tests.server.clients import ACCOUNTS, Inbox, close, connect, new_client, round_trip
from tests.server.couple import Party
from tests.server.protected import PKI, introduce, make_pki, protect
from tests.server.proxy import RecordingProxy

#: A room is there as soon as somebody enters it, shows who is in it, and keeps what was said.
_ROOMS: Final = """
Component "rooms.localhost" "muc"
    modules_enabled = { "muc_mam" }
    muc_room_locking = false
    muc_room_default_public_jids = true
"""
_NUMBERS: Final = "0198 0030 0045 0085 0184 0203 0280 0308 0313 0333 0334 0359 0380 0428"
PLUGINS: Final = tuple(f"xep_{number}" for number in _NUMBERS.split())
NAMES: Final = ("romeo", "juliet", "mercutio")

LogIn = Callable[..., Any]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """Certificates for the three accounts."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def server() -> AsyncIterator[ThrowAwayProsody]:
    """A server of the test's own."""
    async with ThrowAwayProsody(ACCOUNTS, extra_configuration=_ROOMS) as running:
        yield running


@pytest.fixture(params=["e2e first", "e2e last"])
def order(request: pytest.FixtureRequest) -> str:
    """Whether ours is registered before the others, or after them."""
    return request.param


@pytest.fixture
async def log_in(server: ThrowAwayProsody, pki: PKI, order: str) -> AsyncIterator[LogIn]:
    """`await log_in("romeo", policy={...}, omemo=True)` returns romeo, with all plugins, in both orders of loading.

    His peer is juliet, and he is everybody else's; everybody's certificate is known. `omemo` adds slixmpp-omemo.
    """
    async with AsyncExitStack() as stack:

        async def party(name: str, *, omemo: bool = False, **options: Any) -> Party:
            if omemo:
                from tests.coexistence.omemo import wind_up
            plugins = [*PLUGINS, *(["xep_0384"] if omemo else [])]
            peer = "juliet" if name == "romeo" else "romeo"
            proxy = await stack.enter_async_context(RecordingProxy(server.port))
            xmpp = new_client(f"{name}@localhost/{name}", plugins=plugins if order == "e2e last" else ())
            stack.push_async_callback(close, xmpp)
            others = introduce(pki, *(each for each in NAMES if each != name))
            failures = protect(xmpp, pki.options(name, **{"peer_certificates": others, **options}))
            for plugin in plugins if order == "e2e first" else ():
                xmpp.register_plugin(plugin)
            initialised = Inbox(xmpp, "omemo_initialized")
            await connect(xmpp, proxy.port)
            xmpp.send_presence()
            await round_trip(xmpp)
            if omemo:
                await initialised.next()
                stack.push_async_callback(wind_up, xmpp)
            return Party(xmpp, proxy, failures, f"{peer}@localhost/{peer}")

        yield party
