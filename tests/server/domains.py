"""Two domains, each on a Prosody of its own, and what servers say to each other on the loopback interface."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from slixmpp_e2e.cli.prosody import ThrowAwayProsody, _free_ports

from .clients import ACCOUNTS
from .proxy import RecordingProxy
from .server_certificates import ServerCA

_PLUGINS: Final = Path(__file__).with_name("prosody_plugins")
_MODULES: Final = "roster saslauth disco ping pep carbons mam smacks offline blocklist dialback addresses"

#: `addresses` finds the other one without the DNS.
_CONFIGURATION: Final = """
modules_enabled = {{ {modules} }}
plugin_paths = {{ {plugins} }}
addresses = {{ {addresses} }}
s2s_interfaces = {{ "127.0.0.1" }}
s2s_ports = {{ {port} }}
"""
#: Prosody asks the other server whether it is the one that it says (Dialback, XEP-0220); there is no TLS, so that
#: the wire can be read.
_CLEAR: Final = """
modules_disabled = { "tls" }
s2s_require_encryption = false
"""
#: As on the Internet today: a server is who its certificate says, or there is no connection. Dialback is not enough.
_SECURE: Final = """
modules_disabled = {{ }}
s2s_require_encryption = true
s2s_secure_auth = true
ssl = {{ certificate = {certificate}; key = {key}; cafile = {anchors} }}
"""


@dataclass(frozen=True)
class Domains:
    """Two servers by their domains, and the way from each to the other."""

    servers: Mapping[str, ThrowAwayProsody]
    #: What came to a domain from the other one.
    links: Mapping[str, RecordingProxy]


@asynccontextmanager
async def two_domains(
    one: str, other: str, *, authorities: Mapping[str, ServerCA] = MappingProxyType({})
) -> AsyncIterator[Domains]:
    """Run two servers for two domains, each with the accounts of the test servers.

    With `authorities`, they talk to each other over TLS and insist on certificates. They say by domain who issued
    that of its server, which is also whom this server believes.
    """
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
                        modules=", ".join(
                            map(json.dumps, [*_MODULES.split(), *(["tls"] if authorities else [])])
                        ),
                        plugins=json.dumps(str(_PLUGINS)),
                        addresses=addresses,
                        port=port,
                    )
                    + (_secure(domain, authorities[domain]) if authorities else _CLEAR),
                )
            )
            for domain, port in ports.items()
        }
        yield Domains(servers, links)


def _secure(domain: str, authority: ServerCA) -> str:
    certificate, key = authority.issue(domain)
    files = {"certificate": certificate, "key": key, "anchors": authority.root}
    return _SECURE.format(**{name: json.dumps(str(path)) for name, path in files.items()})
