"""The servers that the cuts are made on, and what each of them says of its own counters."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from slixmpp_e2e.cli.loopback import LoopbackServer
from slixmpp_e2e.cli.prosody import ThrowAwayProsody

from .clients import ACCOUNTS
from .conftest import ROOM_FOR_BURSTS
from .couple import Party
from .cuts import CountersOfServer
from .ejabberd import ThrowAwayEjabberd

#: `prosody` is as Debian has it; `prosody-mended` resumes with the parser of the new connection.
CUT_SERVERS: Final = ("loopback", "prosody", "prosody-mended", "ejabberd")

_PLUGINS: Final = Path(__file__).with_name("prosody_plugins")
_MODULES: Final = "roster saslauth disco ping pep carbons mam smacks offline blocklist csi_simple counters"
_COUNTERS: Final = "{urn:example:counters}counters"


@asynccontextmanager
async def cut_server(name: str) -> AsyncIterator[tuple[int, CountersOfServer]]:
    """Run a server; give its port, and the way to its counters."""
    if name == "loopback":
        async with LoopbackServer(ACCOUNTS) as loopback:

            async def counters(party: Party) -> tuple[int, int]:
                management = loopback._session(party.jid).management
                assert management is not None
                return management.handled, management._acknowledged + len(management.unacknowledged)

            yield loopback.port, counters
        return
    if name == "ejabberd":
        with ThrowAwayEjabberd(ACCOUNTS) as ejabberd:

            async def told(party: Party) -> tuple[int, int]:
                own = party.xmpp.boundjid
                return ejabberd.counters(own.local, own.resource)

            yield ejabberd.port, told
        return
    modules = [*_MODULES.split(), *(["resumed_parser"] if name == "prosody-mended" else [])]
    configuration = f"""
        modules_enabled = {{ {", ".join(map(json.dumps, modules))} }}
        plugin_paths = {{ {json.dumps(str(_PLUGINS))} }}
        {ROOM_FOR_BURSTS}
    """
    async with ThrowAwayProsody(ACCOUNTS, components={}, extra_configuration=configuration) as prosody:
        yield prosody.port, _ask


async def _ask(party: Party) -> tuple[int, int]:
    question = party.xmpp.make_iq_get(ito=party.xmpp.boundjid.host)
    question.append(Element(_COUNTERS))
    counters = (await question.send(timeout=5)).xml.find(_COUNTERS)
    return int(counters.get("handled")), int(counters.get("sent")) + 1  # the answer itself
