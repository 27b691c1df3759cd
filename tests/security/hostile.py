"""A server that belongs to the attacker: it lets a client log in, and then says whatever a test wants.

Nothing is routed and nothing is checked. What it is asked it answers as a harmless server would, unless the test
says otherwise, but that it never acknowledges anything (XEP-0198); and there is somebody whom the client trusts and
who puts whatever he wants into what he signs.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from typing import Any, Final, Self
from xml.etree.ElementTree import Element, SubElement, tostring
from xml.sax.saxutils import escape, quoteattr

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from slixmpp_e2e.cli.loopback import WireRecord
from slixmpp_e2e.cli.loopback.connection import StreamConnection
from slixmpp_e2e.cli.loopback.parser import STREAMS, StreamOpened
from slixmpp_e2e.cms.signed_data import Signer, sign
from slixmpp_e2e.media import mime
from slixmpp_e2e.namespaces import CLIENT, E2E, SM
from tests.formats.objects import enveloped, message_cpim, xmpp_entity
from tests.pki import Entity
from tests.server.protected import PKI

SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND: Final = "urn:ietf:params:xml:ns:xmpp-bind"
ROSTER: Final = "jabber:iq:roster"
_LOOPBACK: Final = "127.0.0.1"
#: Who is in the roster that it hands out, and how.
CONTACTS: Final = {"romeo@localhost": "both", "nurse@localhost": "both"}

OnStanza = Callable[[Element], str | None]


class HostileServer:
    """Listens on a random port of the loopback interface, for one client at a time."""

    def __init__(self, jid: str) -> None:
        self.jid: Final = jid
        #: The stanzas that came from the client.
        self.received: list[Element] = []
        #: Sees each stanza first, and returns what is said instead of the harmless answer; an empty text: nothing.
        self.on_stanza: OnStanza = lambda _stanza: None
        self._connection: StreamConnection | None = None
        self._came = asyncio.Event()
        self._number = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._accept, _LOOPBACK, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        if self._connection is not None:
            self._connection.cut()
        await self._listener.wait_closed()

    @property
    def port(self) -> int:
        """Where the client connects to."""
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    def say(self, text: str) -> None:
        """Write something into the stream, whatever it is."""
        assert self._connection is not None
        self._connection.write(text)

    async def next(self, wanted: Callable[[Element], bool], *, seconds: float = 5) -> Element:
        """Return the first stanza of a kind that came from the client; it waits for one."""
        async with asyncio.timeout(seconds):
            while True:
                for stanza in self.received:
                    if wanted(stanza):
                        return stanza
                self._came.clear()
                await self._came.wait()

    async def settled(self, *, seconds: float = 5) -> None:
        """Return when the client has worked through all that was said: it answers a question of ours."""
        self._number += 1
        name = f"settled-{self._number}"
        self.say(
            f"<iq xmlns='{CLIENT}' type='get' id='{name}' from='localhost' to='{self.jid}'><x xmlns='urn:x'/></iq>"
        )
        await self.next(lambda stanza: stanza.get("id") == name, seconds=seconds)
        self.received = [each for each in self.received if each.get("id") != name]

    # ------------------------------------------------------------------ see `connection.StreamHandler`

    namespace = CLIENT

    def _accept(self) -> StreamConnection:
        self._authenticated = False
        self._connection = StreamConnection(
            lambda _connection: self,
            received=WireRecord(),
            sent=WireRecord(),
            on_made=lambda _made: None,
            on_lost=lambda _lost: None,
        )
        return self._connection

    def stream_opened(self, _header: StreamOpened) -> None:
        """Offer PLAIN, then binding and stream management."""
        assert self._connection is not None
        self._connection.open_stream("localhost")
        features = Element(f"{{{STREAMS}}}features")
        if self._authenticated:
            SubElement(features, f"{{{BIND}}}bind")
            SubElement(features, f"{{{SM}}}sm")
        else:
            SubElement(SubElement(features, f"{{{SASL}}}mechanisms"), f"{{{SASL}}}mechanism").text = "PLAIN"
        self._connection.send(features)

    def element_received(self, element: Element) -> None:
        """Answer as a harmless server would, or as the test says."""
        connection = self._connection
        assert connection is not None
        if element.tag == f"{{{SASL}}}auth":
            self._authenticated = True
            connection.send(Element(f"{{{SASL}}}success"))
            connection.restart()
        elif element.tag == f"{{{SM}}}enable":
            self.say(f"<enabled xmlns='{SM}' id='x' resume='true'/>")
        elif element.tag.startswith(f"{{{CLIENT}}}"):
            self._stanza(element)

    def connection_lost(self, *, stream_closed: bool) -> None:
        """Nothing to do."""

    def _stanza(self, stanza: Element) -> None:
        self.received.append(stanza)
        said = self.on_stanza(stanza)
        self._came.set()
        if said is None and stanza.tag == f"{{{CLIENT}}}iq" and stanza.get("type") in {"get", "set"}:
            said = self._answer(stanza)
        if said:
            self.say(said)

    def _answer(self, iq: Element) -> str:
        inside = ""
        if iq.find(f"{{{BIND}}}bind") is not None:
            inside = f"<bind xmlns='{BIND}'><jid>{self.jid}</jid></bind>"
        elif iq.find(f"{{{ROSTER}}}query") is not None and iq.get("type") == "get":
            items = "".join(f"<item jid='{jid}' subscription='{how}'/>" for jid, how in CONTACTS.items())
            inside = f"<query xmlns='{ROSTER}'>{items}</query>"
        sender = f" from={quoteattr(iq.get('to', ''))}" if iq.get("to") else ""
        return f"<iq xmlns='{CLIENT}' type='result' id={quoteattr(iq.get('id', ''))}{sender}>{inside}</iq>"


class Insider:
    """Somebody whom the client trusts, and who puts whatever he wants into what he signs and encrypts."""

    def __init__(self, pki: PKI, name: str, victim: str, *, address: str | None = None) -> None:
        self.jid = f"{name}@localhost/{name}"
        self._address = f"im:{(address or self.jid).partition('/')[0]}"
        entity = self._entity(pki, name)
        above = [Entity("ca", None, each).parsed for each in pki.authority.intermediates]
        self._signer = Signer(entity.key, entity.parsed, above)
        self._victim = self._entity(pki, victim)
        self._to = f"im:{victim}@localhost"
        self._last = 0

    @staticmethod
    def _entity(pki: PKI, name: str) -> Entity:
        certificate = x509.load_pem_x509_certificate((pki.directory / f"{name}.crt").read_bytes())
        key: Any = load_pem_private_key((pki.directory / f"{name}.key").read_bytes(), None)
        return Entity(name, key, certificate)

    def payload(self, inner: str, *, seconds_ago: float = 0, text: str | None = None) -> str:
        """Return the text of an `<e2e/>` element with any XML in it, or with plain text."""
        self._last = max(self._last + 1000, time.time_ns())
        moment = dt.datetime.fromtimestamp((self._last - seconds_ago * 10**9) / 10**9, dt.UTC)
        headers = (
            f"From: <{self._address}>",
            f"To: <{self._to}>",
            f"DateTime: {moment.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}",
        )
        content = (
            xmpp_entity(inner) if text is None else f"Content-type: text/plain; charset=utf-8\r\n\r\n{text}"
        )
        signed = sign(message_cpim(*headers, content=content), self._signer, signing_time=moment)
        return enveloped(mime.pkcs7_mime(signed, "signed-data", binary=True), self._victim)


def stanza(kind: str, inside: str, *, to: str, sender: str, type_: str = "", id_: str = "x") -> str:
    """Return a stanza as text, with any XML in it."""
    attributes = {"from": sender, "to": to, "type": type_, "id": id_}
    written = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items() if value)
    return f"<{kind} xmlns='{CLIENT}'{written}>{inside}</{kind}>"


def e2e(payload: str) -> str:
    """Return an `<e2e/>` element as text."""
    return f"<e2e xmlns='{E2E}'>{escape(payload)}</e2e>"


def shown(elements: list[Element]) -> list[str]:
    """Return stanzas as text, for messages of tests that fail."""
    return [tostring(each, "unicode") for each in elements]
