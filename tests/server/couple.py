"""Two clients of the plugin that may only talk protected to each other, each behind a proxy of its own."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

from slixmpp_e2e import SecurityReport
from tests.written import Written

from .clients import close, connect, new_client, round_trip
from .protected import PKI, Failures, introduce, protect
from .proxy import RecordingProxy
from .wire import check_opaque

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass
class Party:
    """One of the two."""

    xmpp: slixmpp.ClientXMPP
    proxy: RecordingProxy
    failures: Failures
    #: The other one's full JID.
    peer: str
    #: What they write to each other in; None: whatever their options say, signed and encrypted.
    written: Written | None = None
    resumed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.xmpp.add_event_handler("session_resumed", self._count)

    def _count(self, _: Any) -> None:
        self.resumed += 1

    @property
    def jid(self) -> str:
        """Our full JID."""
        return self.xmpp.boundjid.full

    def plugin(self, name: str) -> Any:
        """Return a plugin of the client."""
        return self.xmpp.plugin[name]

    def report(self, stanza: Any) -> SecurityReport | None:
        """Return what was proven about a stanza."""
        return self.plugin("e2e").report(stanza)

    def trusts(self, stanza: Any) -> bool:
        """Tell whether a stanza came encrypted from the other one, beyond doubt, as far as the format goes."""
        report, peer = self.report(stanza), slixmpp.JID(self.peer).bare
        if self.written is not None:
            return self.written.is_right(report, stanza.name, peer)
        return report is not None and report.authenticated and report.encrypted and report.signer == peer

    def check_opaque(self, *words: str) -> int:
        """Assert that the wire shows nothing of what was exchanged; return the number of stanzas."""
        return check_opaque(self.proxy, slixmpp.JID(self.peer).bare, *words)

    @property
    def unhurt(self) -> bool:
        """Whether nothing was refused, and everything left."""
        return not self.failures.received and not self.failures.sent


class Witness:
    """Sees what handlers of a client see, by one of slixmpp's paths (`iq@type=get/ping`)."""

    def __init__(self, party: Party, path: str) -> None:
        self.stanzas: list[Any] = []
        self._party = party
        party.xmpp.register_handler(Callback(f"witness of {path}", StanzaPath(path), self.stanzas.append))

    @property
    def convinced(self) -> bool:
        """Whether there was something to see, and all of it was proven to be from the other one."""
        return bool(self.stanzas) and all(self._party.trusts(stanza) for stanza in self.stanzas)


@asynccontextmanager
async def couple(
    port: int,
    pki: PKI,
    plugins: Iterable[str] = (),
    *,
    reconnect: bool = False,
    romeo: Mapping[str, Any] = _NONE,
    juliet: Mapping[str, Any] = _NONE,
    written: Written | None = None,
) -> AsyncIterator[tuple[Party, Party]]:
    """Log romeo and juliet in, with stream management and the named plugins; close both at the end.

    He registers the protection before the other plugins, she does it after them. `romeo` and `juliet` are
    further options of the protection, behind those of the format that is given.
    """
    common = _NONE if written is None else written.options
    plugins = ["xep_0198", *plugins]
    async with AsyncExitStack() as stack:
        parties = []
        for name, other, more in (("romeo", "juliet", romeo), ("juliet", "romeo", juliet)):
            proxy = await stack.enter_async_context(RecordingProxy(port))
            options = pki.options(name, **{"peer_certificates": introduce(pki, other), **common, **more})
            xmpp = new_client(f"{name}@localhost/{name}", plugins=plugins if name == "juliet" else ())
            stack.push_async_callback(close, xmpp)
            failures = protect(xmpp, options)
            for plugin in plugins if name == "romeo" else ():
                xmpp.register_plugin(plugin)
            await connect(xmpp, proxy.port, reconnect=reconnect)
            xmpp.send_presence()
            await round_trip(xmpp)
            parties.append(Party(xmpp, proxy, failures, f"{other}@localhost/{other}", written))
        yield parties[0], parties[1]
