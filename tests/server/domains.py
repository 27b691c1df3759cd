"""Two domains, each on a Prosody of its own, and what servers say to each other on the loopback interface."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slixmpp_e2e.cli.prosody import ThrowAwayProsody, _free_ports

from .clients import ACCOUNTS
from .proxy import RecordingProxy

_PLUGINS: Final = Path(__file__).with_name("prosody_plugins")
_MODULES: Final = "roster saslauth disco ping pep carbons mam smacks offline blocklist dialback addresses"

#: Prosody asks the other server whether it is the one that it says (Dialback, XEP-0220); there is no TLS here, so
#: that the wire can be read. `addresses` finds the other one without the DNS.
_CONFIGURATION: Final = """
modules_enabled = {{ {modules} }}
modules_disabled = {{ "tls" }}
plugin_paths = {{ {plugins} }}
addresses = {{ {addresses} }}
s2s_interfaces = {{ "127.0.0.1" }}
s2s_ports = {{ {port} }}
s2s_require_encryption = false
"""


@dataclass(frozen=True)
class Domains:
    """Two servers by their domains, and the way from each to the other."""

    servers: Mapping[str, ThrowAwayProsody]
    #: What came to a domain from the other one.
    links: Mapping[str, RecordingProxy]


@asynccontextmanager
async def two_domains(one: str, other: str) -> AsyncIterator[Domains]:
    """Run two servers for two domains, each with the accounts of the test servers."""
    ports = dict(zip((one, other), _free_ports(), strict=True))
    async with AsyncExitStack() as stack:
        links = {
            domain: await stack.enter_async_context(RecordingProxy(port)) for domain, port in ports.items()
        }
        addresses = ", ".join(f"[{json.dumps(domain)}] = {link.port}" for domain, link in links.items())
        servers = {
            domain: await stack.enter_async_context(
                ThrowAwayProsody(
                    ACCOUNTS,
                    domain=domain,
                    components={},
                    extra_configuration=_CONFIGURATION.format(
                        modules=", ".join(map(json.dumps, _MODULES.split())),
                        plugins=json.dumps(str(_PLUGINS)),
                        addresses=addresses,
                        port=port,
                    ),
                )
            )
            for domain, port in ports.items()
        }
        yield Domains(servers, links)
