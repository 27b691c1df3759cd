"""A victim who is logged in to a server, what somebody captured of hers, and clients of his that hear her answers."""

import asyncio
import base64
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from cryptography import x509
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from slixmpp_e2e.cli.prosody import ThrowAwayProsody
from slixmpp_e2e.cms.enveloped_data import parse_enveloped_data
from slixmpp_e2e.cms.recipients import RSA_OAEP_SHA256
from slixmpp_e2e.formats.claims import ClaimedKeys
from slixmpp_e2e.media import mime
from slixmpp_e2e.namespaces import CLIENT
from slixmpp_e2e.outer import E2E_TAG
from tests.pki import Entity
from tests.server.clients import ACCOUNTS, PATIENCE, close, connect, new_client, round_trip
from tests.server.protected import PKI, Failures, introduce, protect

JULIET: Final = "juliet@localhost/juliet"
#: Of the account whose messages are captured, which she believes: as if his server were the attacker's.
INSIDER: Final = "romeo@localhost/thief"
#: Whom she does not know.
STRANGER: Final = "mercutio@localhost/thief"
PIN: Final = b"4711"
#: How many stanzas are under way at once.
_AT_ONCE: Final = 64
#: What tells nothing: every answer has its own.
_OWN: Final = ("id", "to", "from", "{http://www.w3.org/XML/1998/namespace}lang")


@dataclass(frozen=True, slots=True)
class Captured:
    """A request of romeo's, as it was seen on its way; the attacker knows all of its plaintext but the PIN."""

    der: bytes
    plaintext: bytes

    @property
    def at(self) -> int:
        """Where the PIN is."""
        return self.plaintext.index(PIN)


class Attacker:
    """A client without the plugin, that sends what it likes and sees what comes back."""

    def __init__(self, xmpp: Any) -> None:
        self.xmpp = xmpp
        self.sent = 0
        self.heard: list[Element] = []
        #: Send the first of several once more before all of them: the first time that an encrypted key comes has
        #: another answer than all later ones, which everybody knows.
        self.repeats_the_first = False
        self._waiting: dict[str, asyncio.Future[str]] = {}
        xmpp.add_filter("in", self._hear)

    def _hear(self, stanza: Any) -> Any:
        sender = stanza.xml.get("from", "")
        if not sender.startswith("juliet@"):
            return stanza
        self.heard.append(stanza.xml)
        waiting = self._waiting.get(stanza.xml.get("id", ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(told(stanza.xml))
        return None

    def send(
        self, payload: str | Element | list[Element], kind: str = "iq", type_: str = "get", to: str = JULIET
    ) -> str:
        """Send a stanza with the text of an `<e2e/>` element in it, or with some elements; return its id."""
        element = Element(f"{{{CLIENT}}}{kind}", {"to": to, "id": self.xmpp.new_id()})
        if type_:
            element.set("type", type_)
        if isinstance(payload, str):
            SubElement(element, E2E_TAG).text = payload
        else:
            element.extend(payload if isinstance(payload, list) else [payload])
        self.xmpp.send_raw(tostring(element, "unicode"))
        self.sent += 1
        return element.attrib["id"]

    async def ask(self, payload: str | Element) -> str:
        """Send a request and return what the answer tells."""
        return (await self.ask_all([payload]))[0]

    async def ask_all(self, payloads: Sequence[str | Element]) -> list[str]:
        """Send requests, many of them before the first answer is there; return what each answer tells."""
        if self.repeats_the_first:
            self.send(deepcopy(payloads[0]))
        found: list[str] = []
        loop = asyncio.get_running_loop()
        for start in range(0, len(payloads), _AT_ONCE):
            futures = []
            for payload in payloads[start : start + _AT_ONCE]:
                future: asyncio.Future[str] = loop.create_future()
                self._waiting[self.send(payload)] = future
                futures.append(future)
            async with asyncio.timeout(6 * PATIENCE):
                found += await asyncio.gather(*futures)
            self._waiting.clear()
        return found


def told(answer: Element) -> str:
    """Return all that an answer tells: everything but its addresses and its id.

    What is encrypted in it differs each time, and its length says what is inside: that it is there is what counts.
    """
    copy = fromstring(tostring(answer))
    for mark in copy.findall("{urn:xmpp:sid:0}stanza-id"):  # of the attacker's own archive
        copy.remove(mark)
    for name in _OWN:
        copy.attrib.pop(name, None)
    for payload in copy.iter(E2E_TAG):
        payload.text = "(encrypted)"
    return tostring(copy, "unicode")


def text_of(der: bytes) -> str:
    """Return the text of an `<e2e/>` element with an object."""
    return mime.pkcs7_text(der, "enveloped-data")


class _Forgetful(ClaimedKeys):
    """Takes every encrypted key for new: so that an attack gets as far as it would without this obstacle."""

    def claim(self, _encrypted_key: bytes, _der: bytes) -> bool:
        return True


@dataclass
class Scene:
    """Who is there."""

    juliet: Any
    failures: Failures
    insider: Attacker
    stranger: Attacker
    pki: PKI
    server: ThrowAwayProsody
    _author: Any
    #: The victim's key: for making what the attacker knows, and for looking whether he got it.
    victim: Entity
    captures: int = field(default=0)

    def forget(self, *, for_good: bool) -> None:
        """Let the victim forget which encrypted keys came before; `for_good`: she never remembers one."""
        arriving = self.juliet.plugin["e2e"].protection._arriving
        arriving._claimed = _Forgetful() if for_good else ClaimedKeys()

    def plaintext(self, der: bytes) -> bytes:
        """Return what is encrypted in a captured object."""
        plugin = self.juliet.plugin["e2e"]
        return parse_enveloped_data(der).decrypt(plugin.protection._keys).plaintext

    def capture(
        self, *, fill: int = 0, cipher: str = "aes128-cbc", certificates: bool = False, kind: str = "iq"
    ) -> Captured:
        """Return an object that romeo made for the victim, which never arrived; `fill` shifts what is in it."""
        self.captures += 1
        plugin = self._author[cipher].plugin["e2e"]
        if certificates:
            plugin.protection.forget_inclusion(self.juliet.boundjid)
        sealed = plugin._departures.seal(self._stanza(kind, fill, cipher))
        if (
            not certificates and sealed.xml.findtext(E2E_TAG).count("\n") > 60
        ):  # they came along the first time
            return self.capture(fill=fill, cipher=cipher, kind=kind)
        text = sealed.xml.findtext(E2E_TAG)
        der = base64.b64decode(re.split(r"\n\n", text, maxsplit=1)[1])
        return Captured(der, self.plaintext(der))

    def capture_element(self) -> tuple[Element, bytes]:
        """Return an `<e2e/>` element of draft-miller-3923bis-02, and what is encrypted in it."""
        sealed = self._author["objenc"].plugin["e2e"]._departures.seal(self._stanza("iq", 0, "objenc"))
        element: Element = sealed.xml[0]
        encrypted_key, data = (base64.b64decode(each.text or "") for each in element)
        key = self.victim.key.decrypt(encrypted_key, RSA_OAEP_SHA256.padding)
        cipher = Cipher(algorithms.AES(key), modes.CBC(data[:16]))
        return element, cipher.decryptor().update(data[16:])

    def _stanza(self, kind: str, fill: int, cipher: str) -> Any:
        author, secret = self._author[cipher], f"{'x' * (60 + fill)} the PIN is {PIN.decode()}."
        if kind == "message":
            return author.make_message(JULIET, secret, mtype="chat")
        request = author.make_iq_get("urn:example:x", ito=JULIET)
        request.xml[0].text = secret
        return request

    async def settled(self, attacker: Attacker) -> list[Element]:
        """Return the answers that an attacker has not looked at, when the victim has worked through what he sent."""
        before = attacker.sent
        await attacker.ask("AAAA")
        *heard, _ = attacker.heard
        attacker.heard.clear()
        attacker.sent = before
        return heard


def kinds(heard: Sequence[Element]) -> Mapping[str, int]:
    """Return what answers tell, and how often."""
    return Counter(map(told, heard))


@asynccontextmanager
async def scene(pki: PKI, **options: Any) -> AsyncIterator[Scene]:
    """Start a server and log everybody in; `options` are further ones of the victim's plugin."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ThrowAwayProsody(ACCOUNTS))
        juliet = new_client(JULIET)
        stack.push_async_callback(close, juliet)
        known = introduce(pki, "romeo")
        more = {"peer_certificates": known, "allow_objenc_pkcs1": True, **options}
        failures = protect(juliet, pki.options("juliet", **more))
        await connect(juliet, server.port)
        juliet.send_presence()
        await round_trip(juliet)
        attackers = []
        for jid in (INSIDER, STRANGER):
            xmpp = new_client(jid)
            stack.push_async_callback(close, xmpp)
            await connect(xmpp, server.port)
            xmpp.send_presence()
            await round_trip(xmpp)
            attackers.append(Attacker(xmpp))
        authors = {}
        for cipher in ("aes128-cbc", "aes128-gcm", "objenc"):
            authors[cipher] = new_client("romeo@localhost/romeo")  # who is connected to nothing
            how = {"format": "objenc"} if cipher == "objenc" else {"cipher": cipher}
            if cipher == "objenc":
                how["policy"] = {"*": "required"}
            protect(authors[cipher], pki.options("romeo", peer_certificates=introduce(pki, "juliet"), **how))
        certificate = x509.load_pem_x509_certificate((pki.directory / "juliet.crt").read_bytes())
        key: Any = load_pem_private_key((pki.directory / "juliet.key").read_bytes(), None)
        yield Scene(juliet, failures, *attackers, pki, server, authors, Entity("juliet", key, certificate))
