"""Two clients with the plugin that are connected to nothing: what one seals is handed to the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from xml.etree import ElementTree as ET

import slixmpp
from slixmpp.xmlstream import tostring

import slixmpp_e2e
from slixmpp_e2e.plugin.inbound import Inbound
from slixmpp_e2e.plugin.outbound import Outbound
from slixmpp_e2e.plugin.plugin import E2EPlugin
from tests.pki import PKI, make_pki

JULIET: Final = "juliet@example.com/balcony"
ROMEO: Final = "romeo@example.net/orchard"
BODY: Final = "x" * 200


@dataclass(frozen=True, slots=True)
class Party:
    """One client."""

    xmpp: Any

    @property
    def plugin(self) -> E2EPlugin:
        """The plugin."""
        plugin: E2EPlugin = self.xmpp.plugin["e2e"]
        return plugin

    @property
    def outbound(self) -> Outbound:
        """What its stanzas go through when they leave."""
        return self.plugin._outbound

    @property
    def inbound(self) -> Inbound:
        """What stanzas go through when they arrive."""
        return self.plugin._inbound

    def message(self, *, thread: str | None = None) -> slixmpp.Message:
        """Return a new message to Romeo; one with a thread can't travel as text/plain."""
        message: slixmpp.Message = self.xmpp.make_message(ROMEO, BODY, mtype="chat")
        message["id"] = self.xmpp.new_id()
        if thread is not None:
            message["thread"] = thread
        return message

    def seal(self, message: Any, *, certificates: bool = False) -> Any:
        """Return the outer stanza; with `certificates` as if it were the first one to the peer."""
        if certificates:
            self.plugin.protection.forget_inclusion(message["to"])
        sealed = self.plugin._departures.seal(message)
        assert sealed is not None
        return sealed

    def wire(self, stanza: Any) -> str:
        """Return what slixmpp writes on the stream for a stanza."""
        text: str = tostring(stanza.xml, xmlns=self.xmpp.default_ns, stream=self.xmpp, top_level=True)
        return text

    def receive(self, wire: str, *, sender: str = JULIET) -> Any:
        """Return the stanza that slixmpp's parser makes of octets on the wire; the server adds the sender."""
        element = ET.fromstring(f'<stream xmlns="{self.xmpp.default_ns}">{wire}</stream>')[0]
        element.set("from", sender)
        message: Any = slixmpp.Message
        return message(self.xmpp, xml=element, recv=True)

    def unseal(self, stanza: Any, *, authenticated: bool = True) -> Any:
        """Return what is delivered; it has to be authenticated, or must not be."""
        delivered = self.plugin._arrivals.unseal(stanza)
        report = self.plugin.report(delivered)
        assert report is not None
        assert report.authenticated is authenticated
        return delivered


@dataclass(frozen=True, slots=True)
class Parties:
    """A throw-away PKI in files, and clients of it."""

    directory: Path
    pki: PKI

    def juliet(self, **options: Any) -> Party:
        """Return a client of Juliet, who knows Romeo's certificate."""
        return self._party("juliet", JULIET, "romeo", options)

    def romeo(self, **options: Any) -> Party:
        """Return a client of Romeo, who knows Juliet's certificate."""
        return self._party("romeo", ROMEO, "juliet", options)

    def sqlite(self, name: str) -> str:
        """Return the option `store` for a database in a file."""
        return f"sqlite:///{self.directory / name}.db"

    def _party(self, name: str, jid: str, peer: str, options: dict[str, Any]) -> Party:
        defaults = {
            "certificate": self.directory / f"{name}.crt",
            "private_key": self.directory / f"{name}.key",
            "trust_anchors": self.directory / "root.pem",
            "intermediates": self.directory / "intermediate.pem",
            "peer_certificates": self.directory / f"{peer}.crt",
            "policy": {"*": "required"},
            "store": "memory",
        }
        xmpp = slixmpp.ClientXMPP(jid, "")
        xmpp.register_plugin("e2e", {**defaults, **options}, module=slixmpp_e2e)
        return Party(xmpp)


@contextmanager
def make_parties() -> Iterator[Parties]:
    """Make keys and certificates: RSA-2048, also the issuing CA's."""
    pki = make_pki()
    with TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "root.pem").write_bytes(pki.root.pem)
        (directory / "intermediate.pem").write_bytes(pki.intermediate.pem)
        for entity in (pki["juliet"], pki["romeo"]):
            (directory / f"{entity.name}.crt").write_bytes(entity.pem + pki.intermediate.pem)
            (directory / f"{entity.name}.key").write_bytes(entity.key_pem)
        yield Parties(directory, pki)
