"""Every bit of a protected stanza turned over, and every truncation: `make bits`.

A stanza of Juliet's is captured as it stands on the wire, changed in one place, and given to Romeo's stream:
through slixmpp's parser, the plugin's filter and to the program's handlers. Then the same with the CMS object
inside. Romeo is made to forget, before each change, what came before: an attacker has only one try with each
captured encrypted key, and the replay record refuses what came in twice.

Whatever comes out must be what Juliet wrote, signed by her and dated when she wrote it. What an object can't vouch
for is left out of that: the resources, the type and the id of the outer stanza, and the hints in it.

What is encrypted may not come out at all once a bit of the encrypted key, the IV or the ciphertext is another. There
is one exception, counted apart (`Captured.unsigned`): with AES-CBC a bit of the IV may change the case of a letter in
the first octets of the MIME header, which no signature is over, and which means nothing.
"""

import asyncio
import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, fromstring

from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.cms.algorithms import ID_SIGNED_DATA
from slixmpp_e2e.cms.asn1 import Reader
from slixmpp_e2e.cms.enveloped_data import content_type, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.formats.claims import ClaimedKeys
from slixmpp_e2e.freshness import MemoryReplayRecord
from slixmpp_e2e.outer import E2E_TAG
from slixmpp_e2e.report import SecurityReport
from slixmpp_e2e.stanza import KINDS, serialise
from tests.benchmarks.parties import JULIET, Parties, Party, make_parties
from tests.security.forgery import BLOCK
from tests.security.forgery import Captured as Parts

BODY: Final = "Wherefore art thou, Romeo? & who else?"
_STREAM: Final = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>%s</stream:stream>"
)
#: What the report must say of whatever is delivered.
_PROVEN: Final = (
    "signer",
    "certificate",
    "trust",
    "timestamp",
    "encrypted",
    "signed",
    "authenticated",
    "legacy",
)


@dataclass(frozen=True, slots=True)
class Way:
    """How a stanza is protected."""

    level: str
    cipher: str = "auto"
    #: The certificates come along.
    first: bool = True


WAYS: Final = {
    "AES-CBC": Way("required", "aes128-cbc", first=False),
    "AES-CBC with certificates": Way("required", "aes128-cbc"),
    "AES-GCM": Way("required", "aes256-gcm", first=False),
    "AES-GCM with certificates": Way("required", "aes256-gcm"),
    "signed": Way("sign"),
}


@dataclass(frozen=True, slots=True)
class Captured:
    """A stanza on the wire, and the CMS object in it."""

    wire: bytes
    #: What is base64 in it, line by line, and the octets behind that.
    encoded: bytes
    der: bytes
    #: What is encrypted in it, with the padding; empty if nothing is.
    plaintext: bytes

    @classmethod
    def of(cls, sender: Party, receiver: Party, keys: DecryptionKeys, *, first: bool) -> "Captured":
        """Let Juliet write a message, her `first` one to Romeo or another; the server adds her address."""
        message = sender.message()
        message["body"] = BODY
        if not first:
            sender.seal(sender.message())
        outer = sender.seal(message)
        text: str = outer.xml.findtext(E2E_TAG)
        outer["from"] = JULIET
        encoded = text.rstrip("\n").rpartition("\n\n")[2]
        if "--" in encoded:  # the signature of a multipart/signed
            encoded = encoded.partition("\n--")[0]
        wire = receiver.wire(outer).encode()
        assert wire.count(encoded.encode()) == 1
        der = base64.b64decode(encoded)
        is_secret = content_type(der) != ID_SIGNED_DATA
        plaintext = parse_enveloped_data(der).decrypt(keys).plaintext if is_secret else b""
        return cls(wire, encoded.encode(), der, plaintext)

    def with_der(self, der: bytes) -> bytes:
        """Return the wire with another object in it."""
        return self.wire.replace(self.encoded, base64.encodebytes(der).rstrip(b"\n"))

    def secret(self) -> dict[str, range]:
        """Return where in the object the encrypted key, the IV and the ciphertext are, and a GCM's tag."""
        parts = Parts.from_der(self.der)
        recipients = Reader(parts.recipient_infos).enter(0x31).element()
        encrypted_key = Reader(recipients).enter().elements(limit=4)[3]
        key = Reader(encrypted_key).contents(0x04)
        found = {"encrypted key": key, "IV": parts.iv, "ciphertext": parts.ciphertext}
        places = {}
        for name, octets in found.items():
            assert self.der.count(octets) == 1, name
            start = self.der.index(octets)
            places[name] = range(start, start + len(octets))
        end = places["ciphertext"].stop
        if end < len(self.der):  # an AuthEnvelopedData: 04 10 and the tag
            places["tag"] = range(end + 2, len(self.der))
        return places

    def secret_on_the_wire(self) -> Iterator[range]:
        """Return where in the wire stands nothing but base64 of the encrypted key, the IV, or what follows it."""
        start = self.wire.index(self.encoded)
        places = [start + at for at, octet in enumerate(self.encoded) if octet != 0x0A]  # 6 bits each
        for each in self.secret().values():
            first, last = -(-each.start * 4 // 3), each.stop * 4 // 3
            yield range(places[first], places[last - 1] + 1)

    def unsigned(self) -> set[int]:
        """Return the bits of the object that may be other ones: an encryption in CBC mode does not notice.

        A bit of the IV turns over a bit of the header, and letters of another case mean the same there.
        """
        places = self.secret()
        if "tag" in places:
            return set()
        iv = places["IV"].start
        return {8 * (iv + at) + 5 for at in range(BLOCK) if self.plaintext[at : at + 1].isalpha()}

    def difference(self, wire: bytes) -> set[int]:
        """Return the bits of the object that are other ones in a wire with an object of the same length."""
        text = fromstring(_STREAM % wire)[0].findtext(E2E_TAG)
        der = base64.b64decode(text.rstrip("\n").rpartition("\n\n")[2])
        assert len(der) == len(self.der)
        changed = int.from_bytes(der, "little") ^ int.from_bytes(self.der, "little")
        return {bit for bit in range(changed.bit_length()) if changed >> bit & 1}


@dataclass(slots=True)
class Tally:
    """What became of changes."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    #: The answers of the receiver, as they would stand on the wire, to what was refused.
    answers: Counter[str] = field(default_factory=Counter)
    #: Those to changes of the encrypted key, the IV or the ciphertext.
    secret_answers: Counter[str] = field(default_factory=Counter)
    #: Changes that were delivered as something else, and changed secrets that were delivered: there must be none.
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        tried = sum(self.counts.values()) + len(self.broken)
        counts = ", ".join(f"{number:,} {name}" for name, number in sorted(self.counts.items()))
        return (
            f"{self.name}: {tried:,} changes: {counts}; {len(self.broken)} wrong; {len(self.secret_answers)} kind "
            f"of answer to {sum(self.secret_answers.values()):,} changes of encrypted key, IV or ciphertext"
        )


class Receiver:
    """Romeo's client, whose stream is what somebody hands to it."""

    def __init__(self, parties: Parties, way: Way) -> None:
        self.store = MemoryStore(started=0)
        policy = {"*": way.level}
        juliet = parties.juliet(policy=policy, cipher=way.cipher)
        self.romeo = parties.romeo(store=self.store, policy=policy)
        self.romeo.xmpp.send = lambda stanza, **_: self._answers.append(str(stanza))
        self.romeo.xmpp.add_filter("in", self._note)  # behind the plugin's
        self.romeo.xmpp.add_event_handler("e2e_error", lambda failure: self._reasons.append(failure.reason))
        self._passed: list[Any] = []
        self._answers: list[str] = []
        self._reasons: list[str] = []
        entity = parties.pki["romeo"]
        keys = DecryptionKeys([(entity.key, entity.parsed)])
        self.captured = Captured.of(juliet, self.romeo, keys, first=way.first)
        #: The bits of the object of which nothing but the encryption could tell that they are other ones.
        self.unsigned = self.captured.unsigned() if self.captured.plaintext else set()
        passed, _ = self._receive(self.captured.wire)
        (original,) = passed
        self._original = said(self.romeo, original)

    def _note(self, stanza: Any) -> Any:
        self._passed.append(stanza)
        return stanza

    def _forget(self) -> None:
        plugin = self.romeo.plugin
        plugin.protection._arriving._claimed = ClaimedKeys()
        self.store._replay = MemoryReplayRecord(started=0)
        plugin._inbound.answers.__post_init__()

    def _receive(self, wire: bytes) -> tuple[list[Any], Sequence[str]]:
        """Return what got through to the handlers, and what was answered; raise `ParseError`."""
        elements = list(fromstring(_STREAM % wire))
        self._forget()
        self._passed, self._answers, self._reasons = [], [], []
        for element in elements:
            self.romeo.xmpp._spawn_event(element)
        return self._passed, self._answers

    def try_changed(self, wire: bytes, tally: Tally, place: str, *, secret: bool = False) -> None:
        """Give a changed stanza to the stream, and add to the tally what becomes of it."""
        try:
            passed, answers = self._receive(wire)
        except ParseError:
            tally.counts["not XML"] += 1
            return
        stanzas = [each for each in passed if _is_stanza(each.xml)]
        for answer in answers:
            (tally.secret_answers if secret else tally.answers)[answer] += 1
        if not stanzas:
            tally.counts["refused" if self._reasons else "no stanza"] += 1
            if secret and self._reasons and len(answers) != 1:
                tally.broken.append(f"{place}: {len(answers)} answers")
            return
        if [said(self.romeo, each) for each in stanzas] != [self._original]:
            tally.broken.append(f"{place}: {stanzas!r}")
        elif not secret:
            tally.counts["delivered as it was"] += 1
        elif self.captured.difference(wire) <= self.unsigned:
            tally.counts["delivered as it was with a letter of another case in its header"] += 1
        else:
            tally.broken.append(f"{place}: delivered, and the ciphertext was another")

    def flip_wire(self, step: int = 1, first: int = 0) -> Tally:
        """Turn over every bit of the stanza as it stands on the wire; with `step`, only each of so many."""
        wire = self.captured.wire
        tally = Tally("wire, every bit")
        secret = {place for each in self._secret_on_the_wire() for place in each}
        for bit in range(first, 8 * len(wire), step):
            self.try_changed(flipped(wire, bit), tally, f"bit {bit}", secret=bit // 8 in secret)
        return tally

    def _secret_on_the_wire(self) -> Iterable[range]:
        return self.captured.secret_on_the_wire() if self.captured.plaintext else ()

    def flip_object(self, step: int = 1, first: int = 0) -> Tally:
        """Turn over every bit of the CMS object."""
        der = self.captured.der
        tally = Tally("object, every bit")
        places = self.captured.secret() if self.captured.plaintext else {}
        secret = {place for each in places.values() for place in each}
        for bit in range(first, 8 * len(der), step):
            wire = self.captured.with_der(flipped(der, bit))
            self.try_changed(wire, tally, f"bit {bit}", secret=bit // 8 in secret)
        return tally

    def cut(self, step: int = 1) -> Tally:
        """Truncate the stanza, the text in it, and the object."""
        tally = Tally("truncated anywhere")
        wire, der = self.captured.wire, self.captured.der
        for length in range(0, len(wire), step):
            self.try_changed(wire[:length], tally, f"wire, {length} octets")
        tag = b"</e2e>"
        start, end = wire.index(b">", wire.index(b"<e2e")) + 1, wire.index(tag)
        for length in range(start, end, step):
            self.try_changed(wire[:length] + wire[end:], tally, f"text, {length - start} octets")
        for length in range(0, len(der), step):
            self.try_changed(self.captured.with_der(der[:length]), tally, f"object, {length} octets")
        return tally

    def shorten(self, step: int = 1) -> Tally:
        """Truncate what is encrypted in CBC mode, and make the lengths around it right again."""
        tally = Tally("ciphertext shortened, lengths corrected")
        parts = Parts.from_der(self.captured.der)
        for length in range(0, len(parts.ciphertext), step):
            der = parts.forge(parts.ciphertext[:length])
            self.try_changed(self.captured.with_der(der), tally, f"ciphertext, {length} octets", secret=True)
        return tally


def said(receiver: Party, stanza: Any) -> tuple[Any, ...]:
    """Return all of a stanza that an object vouches for, and what was proven about it."""
    report: SecurityReport | None = receiver.plugin.report(stanza)
    element = fromstring(serialise(stanza.xml))
    for name in ("type", "id", "from", "to"):
        element.attrib.pop(name, None)
    bare = stanza["from"].bare, stanza["to"].bare
    return (serialise(element), *bare, *(getattr(report, name, None) for name in _PROVEN))


def flipped(octets: bytes, bit: int) -> bytes:
    """Return octets with one bit turned over."""
    changed = bytearray(octets)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def are_good(tallies: Sequence[Tally]) -> bool:
    """Tell whether nothing came out that may not, and whether there is one answer at the most to what is secret."""
    answers = {answer for tally in tallies for answer in tally.secret_answers}
    return not any(tally.broken for tally in tallies) and len(answers) <= 1


def _is_stanza(element: Element) -> bool:
    return element.tag in {f"{{jabber:client}}{kind}" for kind in KINDS}


async def run() -> bool:
    """Try everything on everything; return whether nothing was delivered as something else."""
    good = True
    with make_parties() as parties:
        for name, way in WAYS.items():
            receiver = Receiver(parties, way)
            tallies = [receiver.flip_wire(), receiver.flip_object(), receiver.cut()]
            if "CBC" in name:
                tallies.append(receiver.shorten())
            for tally in tallies:
                print(f"{name}: {tally}", flush=True)
                for place in tally.broken[:20]:
                    print(f"    {place}")
            good &= are_good(tallies)
    print("bits: " + ("nothing was delivered as something else" if good else "SOMETHING IS WRONG"))
    return good


if __name__ == "__main__":
    raise SystemExit(not asyncio.run(run()))
