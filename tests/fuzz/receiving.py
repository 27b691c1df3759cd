"""The whole way of what arrives: changed stanzas through slixmpp's parser, the plugin's filter, to the handlers.

Romeo's client is the real one, with its plugin; its stream is what is handed to it. A captured stanza is changed as
it stands on the wire, in its text, in its DER with the lengths corrected, or in what was encrypted, which is
encrypted to Romeo once more; two of them are spliced; and Juliet herself signs what makes no sense. Romeo forgets
before each one what came before, as in `tests.security.bits`.

Broken is: something that Juliet did not write is shown as hers; clear text of hers is delivered although she has to
protect it; an exception into the stream, or one that the plugin did not expect; more than one answer to a stanza,
or one where none may be; an answer longer than what it answers needs.
"""

import base64
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, fromstring

from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.cms.algorithms import AES128_CBC, AES256_GCM, ID_SIGNED_DATA
from slixmpp_e2e.cms.enveloped_data import content_type, encrypt, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys, recipient_for
from slixmpp_e2e.cms.signed_data import Signer, parse_signed_data, sign
from slixmpp_e2e.errors import RemoteError
from slixmpp_e2e.formats.claims import ClaimedKeys
from slixmpp_e2e.freshness import MemoryReplayRecord, from_datetime
from slixmpp_e2e.media import mime
from slixmpp_e2e.outer import E2E_TAG, NEVER_ANSWERED, OBJENC_TAG, kind_of
from slixmpp_e2e.plugin.stanzas import inner_report_of, protected_stanza
from slixmpp_e2e.stanza import stanza_type
from tests.benchmarks.parties import JULIET, ROMEO, Parties, Party
from tests.fuzz.corpora import base64_lines
from tests.fuzz.mutations import Mutator
from tests.pki import MOMENT
from tests.security.bits import said

NOW = from_datetime(MOMENT)
HEADER = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)
_ENTITY = b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: binary\r\n\r\n"
_ATTRIBUTE = re.compile(
    rb"(?<= )(?:to|from|type|id|xmlns|stamp|cipher-algo|mac-algo)='[^']*'|(?<= )[a-z:-]+=\"[^\"]*\""
)
_VALUES = (
    JULIET, ROMEO, "juliet@example.com", "romeo@example.net", "example.net", "", "JULIET@example.com/x",
    "nurse@example.com",
    "chat", "normal", "headline", "groupchat", "error", "get", "set", "result", "unavailable", "subscribe", "probe",
    "jabber:client", "jabber:server", "urn:ietf:params:xml:ns:xmpp-e2e", "urn:ietf:params:xml:ns:xmpp-objenc:0",
    "2026-11-20T08:20:15Z", "x" * 2000, "\u0130@example.com", "juliet@example.com/\ud7ff", "a@b@c", "/", "@",
)  # fmt: skip
_FORWARDED = "<forwarded xmlns='urn:xmpp:forward:0'>{}</forwarded>"
_DELAY = "<delay xmlns='urn:xmpp:delay' stamp='2026-11-20T08:30:15Z'/>"
_AROUND = (
    f"<message from='romeo@example.net'><received xmlns='urn:xmpp:carbons:2'>{_FORWARDED}</received></message>",
    f"<message from='romeo@example.net'><sent xmlns='urn:xmpp:carbons:2'>{_FORWARDED}</sent></message>",
    f"<message from='juliet@example.com'><received xmlns='urn:xmpp:carbons:2'>{_FORWARDED}</received></message>",
    f"<message><result xmlns='urn:xmpp:mam:2' id='1'>{_FORWARDED.format(_DELAY + '{}')}</result></message>",
    "<message from='juliet@example.com/balcony' type='chat'>{}</message>",
    "<iq from='juliet@example.com/balcony' type='set' id='a'>{}</iq>",
    "{}{}",
)


@dataclass(frozen=True, slots=True)
class Captured:
    """A stanza of Juliet's on the wire, and what is in it."""

    name: str
    wire: bytes
    #: The text of its `<e2e/>`; empty where it is that of draft-miller-3923bis-02.
    text: bytes
    #: The CMS object in it, and its base64 as it stands there.
    der: bytes = b""
    encoded: bytes = b""
    #: What is encrypted, or else what is signed.
    inside: bytes = b""


class Recipient:
    """Romeo's client, what came out of it, and what may."""

    def __init__(self, parties: Parties, **options: Any) -> None:
        self.parties = parties
        self.store = MemoryStore(started=0)
        options = {"policy": {"*": "required"}, "clock": lambda: NOW, **options}
        self.romeo = parties.romeo(store=self.store, **options)
        xmpp = self.romeo.xmpp
        xmpp.send = lambda stanza, **_: self.answers.append(str(stanza))
        xmpp.disconnect = xmpp.abort = lambda *_, **__: None
        xmpp.add_filter("in", self._note)  # behind the plugin's
        xmpp.add_event_handler("e2e_error", lambda failure: self.reasons.append(failure.reason))
        self.passed: list[Any] = []
        self.answers: list[str] = []
        self.reasons: list[str] = []
        self._arrived: list[Any] = []
        xmpp.add_filter("in", self._arrive, -1_000_000)  # before everybody's
        self.tally: Counter[str] = Counter()
        self.captured = [*capture(parties)]
        #: What Juliet said, each with what it was proven to be.
        self.originals: set[tuple[Any, ...]] = set()
        for each in self.captured:
            self.receive(each.wire)
            (stanza,) = self.passed
            self.originals.add(said(self.romeo, stanza))

    def _note(self, stanza: Any) -> Any:
        self.passed.append(stanza)
        return stanza

    def _arrive(self, stanza: Any) -> Any:
        self._arrived.append(stanza)
        return stanza

    def receive(self, wire: bytes) -> None:
        """Let octets come in on a new stream."""
        plugin, xmpp = self.romeo.plugin, self.romeo.xmpp
        plugin.protection._arriving._claimed = ClaimedKeys()
        self.store._replay = MemoryReplayRecord(started=0)
        plugin._inbound.answers.forget()
        for noted in (self.passed, self.answers, self.reasons, self._arrived):
            noted.clear()
        xmpp.init_parser()
        xmpp.data_received(HEADER)
        xmpp.data_received(wire)

    def try_changed(self, wire: bytes, *, insider: bool = False) -> None:
        """Let a changed stanza come in; raise `AssertionError` for what is broken.

        From an `insider` Juliet's own word may come, whatever it is.
        """
        errors = self.romeo.plugin._inbound.stats["internal_errors"]
        self.receive(wire)
        assert self.romeo.plugin._inbound.stats["internal_errors"] == errors, "an unexpected exception"
        for stanza in self.passed:
            self._check_passed(stanza, insider=insider)
        self._check_answers()
        shown = any(self.romeo.plugin.report(each) is not None for each in self.passed)
        self.tally["delivered" if shown else next(iter(self.reasons), "nothing in it")] += 1

    def _check_passed(self, stanza: Any, *, insider: bool) -> None:
        report = self.romeo.plugin.report(stanza)
        if report is None:
            self._check_clear(stanza)
        elif insider:
            assert report.signer == "juliet@example.com"
            assert stanza["from"].bare == "juliet@example.com"
            assert stanza["to"].bare == "romeo@example.net"
        else:
            assert said(self.romeo, stanza) in self.originals, f"delivered: {stanza}"

    def _check_clear(self, stanza: Any) -> None:
        """What is reported as unprotected may be what a server could say, and nothing that a person says."""
        name = stanza.xml.tag.rpartition("}")[2]
        if stanza.xml.tag != f"{{jabber:client}}{name}" or name not in {"message", "iq"}:
            return
        is_response = stanza.xml.get("type") in {"error", "result"} or stanza_type(stanza.xml) == "error"
        sender = stanza["from"]
        assert is_response or not sender.local or sender.bare == "romeo@example.net", f"in clear: {stanza}"

        for copy in stanza.xml.iterfind(_COPIED):
            self._check_copy(stanza, copy)

    def _check_copy(self, wrapper: Any, copy: Element) -> None:
        """What somebody wrote to us is in a carbon only if it is what Juliet wrote to Romeo."""
        report = inner_report_of(wrapper)
        kind, type_ = copy.tag.rpartition("}")[2], stanza_type(copy)
        if report is None:
            own = copy.get("from", "").partition("/")[0] == "romeo@example.net"  # see `_check_clear`
            assert type_ == "error" or kind != "message" or own or "@" not in copy.get("from", ""), (
                f"in clear: {wrapper}"
            )
            return
        inner = protected_stanza(self.romeo.xmpp, copy, report)
        assert said(self.romeo, inner) in self.originals, f"delivered: {wrapper}"

    def _check_answers(self) -> None:
        own = [
            each
            for each in self.answers
            if "<stream:error" not in each and '<error xmlns="http://ether' not in each
        ]
        due = [each for each in self._arrived if each.xml.tag.startswith("{jabber:client}")]
        assert len(own) <= len(due), own
        if all(stanza_type(each.xml) in NEVER_ANSWERED for each in due if kind_of(each.xml) in _KINDS):
            assert not own, own
        assert all(len(each) < 6000 for each in own), "a long answer"


_KINDS = {"message", "presence", "iq"}
_COPIED = "{urn:xmpp:carbons:2}received/{urn:xmpp:forward:0}forwarded/{jabber:client}message"
_BARE = re.compile(rb"<(message|presence|iq)(?=[ >])")


def capture(parties: Parties) -> list[Captured]:
    """Let Juliet write to Romeo in every way."""
    entity = parties.pki["romeo"]
    keys = DecryptionKeys([(entity.key, entity.parsed)])
    found = []
    ways = {
        "CBC": {"policy": {"*": "required"}, "cipher": "aes128-cbc"},
        "GCM": {"policy": {"*": "required"}, "cipher": "aes256-gcm"},
        "signed": {"policy": {"*": "sign"}},
        "objenc": {"policy": {"*": "required"}, "format": "objenc"},
    }
    for name, options in ways.items():
        juliet = parties.juliet(clock=_clock(), **options)
        for kind, stanza in _stanzas(juliet):
            outer = juliet.seal(stanza)
            outer["from"] = JULIET
            found.append(_captured(f"{name}, {kind}", juliet, outer, keys))
    return found


def _clock() -> Callable[[], int]:
    moments = iter(range(NOW, NOW + 10**9, 10**6))
    return lambda: next(moments)


def _stanzas(juliet: Party) -> list[tuple[str, Any]]:
    rich = juliet.message(thread="t")
    presence = juliet.xmpp.make_presence(pto=ROMEO, pshow="away", pstatus="retired to the chamber")
    request = juliet.xmpp.make_iq_get(queryxmlns="jabber:iq:version", ito=ROMEO)
    return [("text", juliet.message()), ("stanza", rich), ("presence", presence), ("iq", request)]


def _captured(name: str, juliet: Party, outer: Any, keys: DecryptionKeys) -> Captured:
    wire = juliet.wire(outer).encode()
    element = outer.xml.find(E2E_TAG)
    if element is None:
        assert outer.xml.find(OBJENC_TAG) is not None
        return Captured(name, wire, b"")
    text = element.text
    encoded = text.rstrip("\n").rpartition("\n\n")[2].partition("\n--")[0]
    der = base64.b64decode(encoded)
    if content_type(der) == ID_SIGNED_DATA:
        inside = mime.split_signed(mime.parse_entity(mime.canonical_line_breaks(text.encode()))).content
    else:
        decrypted = parse_enveloped_data(der).decrypt(keys)
        inside = decrypted.without_padding()
    assert wire.count(encoded.encode()) == 1
    return Captured(name, wire, text.encode(), der, encoded.encode(), inside)


class Forger:
    """Draws stanzas that nobody should believe."""

    def __init__(self, recipient: Recipient, seed: int) -> None:
        self.random = random.Random(f"receive {seed}")
        self._recipient = recipient
        self._captured = [each for each in recipient.captured if each.text]
        pki = recipient.parties.pki
        self._to_romeo = recipient_for(pki["romeo"].parsed)
        self._insider = Signer(pki["p-256"].key, pki["p-256"].parsed, [pki.intermediate.parsed])
        captured, draw = self._captured, self.random
        self._wires = Mutator([each.wire for each in recipient.captured], draw)
        self._texts = Mutator([each.text for each in captured], draw)
        self._objects = Mutator([each.der for each in captured], draw)
        self._insides = Mutator([each.inside for each in captured], draw)
        signed = [
            each.inside for each in captured if each.inside.startswith(b"Content-Type: application/pkcs7")
        ]
        self._signed = Mutator([mime.parse_entity(each).body for each in signed], draw)
        self._contents = Mutator([_content(each.inside) for each in captured], draw)
        self._kinds = (
            *(self._wire, self._wire, self._attributes, self._text, self._object, self._object, self._inside),
            *(self._resigned, self._around, self._by_juliet, self._by_juliet, self._elements),
        )

    def draw(self) -> tuple[bytes, bool]:
        """Return what comes in, and whether Juliet herself has made it."""
        make = self.random.choice(self._kinds)
        return make(), make == self._by_juliet

    def _wire(self) -> bytes:
        return self._wires.draw()

    def _carrier(self) -> Captured:
        return self.random.choice(self._captured)

    def _with_text(self, text: bytes) -> bytes:
        each = self._carrier()
        escaped = text.replace(b"&", b"&amp;").replace(b"<", b"&lt;")
        return each.wire.replace(each.text, escaped)

    def _with_der(self, der: bytes) -> bytes:
        each = self._carrier()
        return each.wire.replace(each.encoded, base64_lines(der))

    def _text(self) -> bytes:
        return self._with_text(self._texts.draw())

    def _object(self) -> bytes:
        return self._with_der(self._objects.draw())

    def _encrypted(self, inside: bytes) -> bytes:
        cipher = self.random.choice((AES128_CBC, AES256_GCM))
        return encrypt(inside, [self._to_romeo], cipher=cipher, random=self.random.randbytes)

    def _inside(self) -> bytes:
        """Encrypt changed plaintext: anybody can."""
        return self._with_text(base64_lines(self._encrypted(self._insides.draw())))

    def _resigned(self) -> bytes:
        """Encrypt a changed SignedData with its lengths corrected."""
        signed = self._signed.draw()
        inside = _ENTITY + signed if self.random.random() < 0.5 else signed
        return self._with_text(base64_lines(self._encrypted(inside)))

    def _by_juliet(self) -> bytes:
        """Let Juliet sign changed content with another key of hers."""
        der = sign(self._contents.draw(), self._insider, signing_time=MOMENT)
        return self._with_text(base64_lines(self._encrypted(der) if self.random.random() < 0.3 else der))

    def _attributes(self) -> bytes:
        """Change attributes, and nothing else."""
        wire = self._carrier().wire if self.random.random() < 0.8 else self._wires.corpus[-1]
        for _ in range(self.random.choice((1, 1, 2, 3))):
            found = [*_ATTRIBUTE.finditer(wire)]
            if found:
                each = self.random.choice(found)
                name = each[0].partition(b"=")[0]
                value = self.random.choice(_VALUES).encode("utf-8", "replace")
                wire = wire[: each.start()] + name + b'="' + value + b'"' + wire[each.end() :]
        return wire

    def _around(self) -> bytes:
        wire = self._carrier().wire if self.random.random() < 0.5 else self._attributes()
        wire = _BARE.sub(rb"<\1 xmlns='jabber:client'", wire, 1)
        return self.random.choice(_AROUND).encode().replace(b"{}", wire)

    def _elements(self) -> bytes:
        """Splice two stanzas: children of one in the other."""
        one, other = (
            fromstring(HEADER + self.random.choice(self._wires.corpus) + b"</stream:stream>")[0]
            for _ in range(2)
        )
        for child in list(other):
            if self.random.random() < 0.7:
                one.insert(self.random.randrange(len(one) + 1), child)
        if len(one) > 1 and self.random.random() < 0.3:
            one.remove(self.random.choice(list(one)))
        _replace_text(one, self.random)
        return self._recipient.romeo.wire(_Whole(one)).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Whole:
    xml: Element


def _replace_text(element: Element, draw: random.Random) -> None:
    """Cut the text of an element in two, and put them together the other way round, or take a half away."""
    each = draw.choice(list(element.iter()))
    text = each.text or ""
    at = draw.randrange(len(text) + 1)
    each.text = draw.choice((text, text, text[:at], text[at:] + text[:at], text + text))


def _content(inside: bytes) -> bytes:
    """Return the MIME entity that was signed."""
    try:
        signed = parse_signed_data(mime.parse_entity(inside).body)
    except RemoteError:
        return inside
    assert signed.content is not None
    return signed.content
