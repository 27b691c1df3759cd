"""Who talks to whom: lines of two clients each, in clear and protected, each line with accounts of its own."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import slixmpp

import slixmpp_e2e
from slixmpp_e2e.cli.prosody import ThrowAwayProsody
from tests.server.clients import PASSWORD, close, connect, new_client, round_trip
from tests.server.protected import PKI, make_pki

ROMEO: Final = "romeo"
JULIET: Final = "juliet"
#: The algorithm of the keys of each line; None: in clear.
LINES: Final[Mapping[str, str | None]] = MappingProxyType(
    {"clear": None, "rsa-2048": "rsa-2048", "rsa-2048-sqlite": "rsa-2048", "p-256": "p-256"}
)
#: Seconds for a login; a busy machine takes its time.
PATIENCE: Final = 60.0
#: What is measured is not the disk of an archive that holds a million messages.
WITHOUT_ARCHIVE: Final = 'modules_disabled = { "s2s"; "tls"; "mam" }'


def server(*others: str, configuration: str = "") -> ThrowAwayProsody:
    """Return a Prosody, not started, with the accounts of all lines, and others; more configuration is Lua."""
    names = [f"{who}-{line}" for line in LINES for who in (ROMEO, JULIET)]
    return ThrowAwayProsody(
        dict.fromkeys([*names, *others], PASSWORD),
        components={},
        extra_configuration=f"{WITHOUT_ARCHIVE}\n{configuration}",
    )


def certificates(directory: Path, *lines: str) -> PKI:
    """Make the keys and certificates of some lines."""
    pki = make_pki(directory)
    for line in lines:
        algorithm = LINES[line]
        for who in (ROMEO, JULIET):
            if algorithm is not None:
                pki.issue(f"{who}-{line}", f"{who}-{line}@localhost", algorithm)
    return pki


def address(who: str, line: str, resource: str) -> str:
    """Return a full JID."""
    return f"{who}-{line}@localhost/{resource}"


def options(directory: Path, who: str, line: str, resource: str, **more: Any) -> dict[str, Any]:
    """Return the plugin's options for one end of a line; a file of SQLite is one of its own."""
    name, other = f"{who}-{line}", f"{JULIET if who == ROMEO else ROMEO}-{line}"
    store = f"sqlite:///{directory / name}-{resource}.db" if line.endswith("sqlite") else "memory"
    return {
        "certificate": directory / f"{name}.crt",
        "private_key": directory / f"{name}.key",
        "trust_anchors": directory / "root.pem",
        "peer_certificates": directory / f"{other}.crt",
        "policy": {"*": "required"},
        "store": store,
        "certificate_wait": 0,
        **more,
    }


async def log_in(
    stack: AsyncExitStack, port: int, directory: Path, who: str, line: str, resource: str, **more: Any
) -> slixmpp.ClientXMPP:
    """Return one end of a line, connected with stream management; the stack closes it."""
    xmpp = new_client(address(who, line, resource), plugins=["xep_0198"])
    stack.push_async_callback(close, xmpp)
    if LINES[line] is not None:
        # nobody collects what is refused, as `tests.server.protected` does: memory is measured here
        xmpp.register_plugin("e2e", options(directory, who, line, resource, **more), module=slixmpp_e2e)
    await connect(xmpp, port, seconds=PATIENCE)
    xmpp.send_presence()
    await round_trip(xmpp, seconds=PATIENCE)
    return xmpp
