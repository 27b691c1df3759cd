"""Ways to a second answer, and how many answers somebody can get at all.

A forgery is sent in every kind of stanza, by somebody whom the victim believes and by somebody whom she does not
know, bare and wrapped. Whatever comes back must not depend on what was wrong with it. And who keeps on failing must
not be able to make her send as much as he does.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp_e2e.namespaces import CLIENT, DELAY
from slixmpp_e2e.outer import E2E_TAG
from tests.security import forgery
from tests.security.forgery import BLOCK
from tests.security.oracle.scene import JULIET, Scene, kinds, text_of

_BARE: Final = JULIET.partition("/")[0]
#: Kind, type, and whom it is to.
STANZAS: Final = (
    *(("iq", type_, JULIET) for type_ in ("get", "set", "result", "error")),
    *(
        ("message", type_, to)
        for type_ in ("", "chat", "normal", "headline", "groupchat", "error")
        for to in (JULIET, _BARE)
    ),
    *(("presence", type_, JULIET) for type_ in ("", "unavailable", "error")),
)
#: What the payload stands in.
WRAPPINGS: Final = (
    "",
    "delay",
    "{urn:xmpp:carbons:2}received",
    "{urn:xmpp:carbons:2}sent",
    "{urn:xmpp:mam:2}result",
)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to the victim."""

    sender: str
    kind: str
    type: str
    to: str
    wrapping: str = ""

    def __str__(self) -> str:
        wrapped = f" in {self.wrapping.rpartition('}')[2]}" if self.wrapping else ""
        return f"{self.kind} {self.type or '(no type)'} to {self.to}{wrapped}, from the {self.sender}"


def all_ways() -> list[Way]:
    """Return all of them."""
    senders = ("insider", "stranger")
    plain = [Way(sender, *stanza) for sender in senders for stanza in STANZAS]
    wrapped = [
        Way(sender, "message", "chat", JULIET, wrapping) for sender in senders for wrapping in WRAPPINGS[1:]
    ]
    return plain + wrapped


def _payload(way: Way, text: str) -> str | list[Element]:
    if not way.wrapping:
        return text
    payload = Element(E2E_TAG)
    payload.text = text
    if way.wrapping == "delay":  # as if the server had stored it
        return [payload, Element(f"{{{DELAY}}}delay", {"from": "localhost", "stamp": "2026-11-20T08:00:00Z"})]
    wrapper = Element(way.wrapping)
    forwarded = SubElement(wrapper, "{urn:xmpp:forward:0}forwarded")
    message = SubElement(
        forwarded, f"{{{CLIENT}}}message", {"from": "romeo@localhost/x", "to": _BARE, "type": "chat"}
    )
    message.append(payload)
    return [wrapper]


def _variants(scene: Scene) -> Mapping[str, str]:
    """Return forgeries of one captured object that fail in different places."""
    captured = scene.capture()
    parts = forgery.Captured.from_der(captured.der)
    victim = parts.ciphertext[-2 * BLOCK : -BLOCK]
    before = parts.ciphertext[-3 * BLOCK : -2 * BLOCK]
    last = captured.plaintext[-BLOCK - 1]
    good = os.urandom(BLOCK - 1) + bytes((last ^ before[-1] ^ 1,))
    other = bytes((good[0] ^ 1,)) + good[1:-1] + bytes((good[-1] ^ 0x55,))
    return {
        "padding is good": text_of(parts.forge(parts.ciphertext[: -2 * BLOCK] + good + victim)),
        "padding is bad": text_of(parts.forge(parts.ciphertext[: -2 * BLOCK] + other + victim)),
        "garbage": text_of(parts.forge(os.urandom(len(parts.ciphertext)))),
        "another first block": text_of(parts.forge(parts.ciphertext, iv=os.urandom(BLOCK))),
        "something behind it": text_of(parts.forge(parts.ciphertext + os.urandom(BLOCK))),
        "another key": text_of(captured.der.replace(parts.recipient_infos[-256:], b"\x01" * 256)),
    }


async def by_every_way(
    scene: Scene, ways: Sequence[Way]
) -> tuple[Mapping[Way, Mapping[str, int]], list[str]]:
    """Return what is heard on each way, and where it depends on what was wrong."""
    variants = _variants(scene)
    answers = scene.juliet.plugin["e2e"]._inbound.answers
    heard: dict[Way, Mapping[str, int]] = {}
    different = []
    for way in ways:
        attacker = getattr(scene, way.sender)
        for name, text in variants.items():
            answers.forget()
            attacker.heard.clear()
            attacker.send(_payload(way, text), way.kind, way.type, way.to)
            found = kinds(await scene.settled(attacker))
            if heard.setdefault(way, found) != found:
                different.append(f"{way}: {name}")
    return heard, different


@dataclass(frozen=True, slots=True)
class Flood:
    """What somebody sent who kept failing, and what he heard."""

    seconds: float
    sent: Mapping[str, int]
    answered: Mapping[str, int]

    @property
    def is_bounded(self) -> bool:
        """All requests were answered, and of the rest one in ten seconds."""
        rest = self.answered.get("message", 0) + self.answered.get("presence", 0)
        return self.answered.get("iq", 0) == self.sent["iq"] and rest <= 1 + self.seconds / 10


async def flood(scene: Scene, *, seconds: float, rate: int) -> Flood:
    """Send so many messages, presences and requests a second that fail, and count the answers."""
    scene.juliet.plugin["e2e"]._inbound.answers.forget()
    attacker = scene.insider
    attacker.heard.clear()
    texts = list(_variants(scene).values())
    sent: Counter[str] = Counter()
    started = time.monotonic()
    while (passed := time.monotonic() - started) < seconds:
        while sent["iq"] <= passed * rate:
            for kind, type_ in (("message", "chat"), ("presence", ""), ("iq", "get")):
                attacker.send(texts[sent[kind] % len(texts)], kind, type_)
                sent[kind] += 1
        await asyncio.sleep(0.01)
    heard = await scene.settled(attacker)
    return Flood(time.monotonic() - started, sent, Counter(each.tag.rpartition("}")[2] for each in heard))
