"""The attacks. Each gets a captured object, and returns what it has recovered of it, or None.

No attack knows which words betray the victim: it sends many forgeries of which a few would be special, if what it is
after were true, and looks whether a few answers are other ones than the rest (`minority`).
"""

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import takewhile
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp_e2e.cms.asn1 import Reader, octet_string
from slixmpp_e2e.cms.signed_data import parse_signed_data
from slixmpp_e2e.formats.objenc_envelope import read_base64, write_base64
from slixmpp_e2e.media import mime
from tests.security import forgery
from tests.security.forgery import BLOCK, pkcs1_blocks, raw_rsa
from tests.security.oracle import weak
from tests.security.oracle.scene import PIN, Captured, Scene, text_of

#: Queries that are under way at once, where each may make the following ones needless.
_BATCH: Final = 32
_PADDING: Final = bytes((BLOCK,)) * BLOCK


@dataclass(frozen=True, slots=True)
class Effort:
    """How far the attacks go: what they could recover is theirs if they get so far."""

    #: Octets of a block that are recovered by padding.
    octets: int
    #: Queries of an adaptive attack on the encrypted key, once its first octet is known: one for each bit.
    queries: int
    #: PINs that are tried.
    guesses: int
    #: What an octet of the plaintext may be.
    alphabet: bytes = bytes(range(256))


#: Of somebody who knows which letters stand in the text (in base64, in the other format).
SHORT: Final = Effort(octets=1, queries=24, guesses=24, alphabet=b"0123456789 .xthePINiHdN4VPQ<C")
LONG: Final = Effort(octets=BLOCK, queries=3000, guesses=10_000)


def minority(answers: Sequence[str]) -> list[int]:
    """Return which answers are other ones than most are; none where no answer is that of most."""
    counts = Counter(answers)
    common, count = counts.most_common(1)[0]
    if 2 * count <= len(answers):
        return []
    return [at for at, answer in enumerate(answers) if answer != common]


def _xor(*blocks: bytes) -> bytes:
    return bytes(a ^ b ^ c for a, b, c in zip(*blocks, *[bytes(BLOCK)] * (3 - len(blocks)), strict=True))


def _block(ciphertext: bytes, at: int) -> bytes:
    return ciphertext[at * BLOCK : (at + 1) * BLOCK]


def _if_right(found: bytes | None, truth: bytes) -> bytes | None:
    """Return what was recovered, unless it is wrong: then nothing was."""
    return found if found == truth else None


def _blocks(parts: forgery.Captured, at: int) -> tuple[bytes, bytes]:
    """Return a block of the ciphertext, and the one before it or the IV."""
    return _block(parts.ciphertext, at), _block(parts.iv + parts.ciphertext, at)


# --------------------------------------------------------------------------- CBC padding (Vaudenay 2002)


async def padding(scene: Scene, effort: Effort) -> bytes | None:
    """Ask about padding, octet by octet, with an IV of the attacker's and the captured block alone."""
    captured = scene.capture()
    parts = forgery.Captured.from_der(captured.der)
    at = captured.at // BLOCK
    victim, before = _blocks(parts, at)
    found = await _by_padding(scene, effort, before, lambda iv: text_of(parts.forge(victim, iv=iv)))
    return _if_right(found, _block(captured.plaintext, at)[-effort.octets :])


async def _by_padding(
    scene: Scene, effort: Effort, before: bytes, probe: Callable[[bytes], str | Element]
) -> bytes | None:
    """Return the end of a block's plaintext; `probe` makes a forgery of another block before it."""
    found = b""
    while len(found) < effort.octets:
        fill = len(found) + 1
        at = BLOCK - fill
        end = bytes(a ^ b ^ fill for a, b in zip(found, before[at + 1 :], strict=True))
        for _ in range(2):  # 02 02 is good padding, too, but not with another octet in front of it
            start = os.urandom(at)
            probes = [start + bytes((each ^ before[at] ^ fill,)) + end for each in effort.alphabet]
            octet = await _only(scene, effort, [probe(each) for each in probes])
            if octet is not None:
                break
        else:
            return None
        found = octet + found
    return found


async def _only(scene: Scene, effort: Effort, probes: Sequence[str | Element]) -> bytes | None:
    """Return the octet of the alphabet whose forgery, and no other one, has an answer of its own."""
    special = minority(await scene.insider.ask_all(probes))
    return bytes((effort.alphabet[special[0]],)) if len(special) == 1 else None


async def padding_behind_a_captured_beginning(scene: Scene, effort: Effort) -> bytes | None:
    """Likewise, but everything in front of the last two blocks reads as it did."""
    captured = scene.capture()
    parts = forgery.Captured.from_der(captured.der)
    at = captured.at // BLOCK
    _, before = _blocks(parts, at)
    guesses = parts.guesses(at)
    found = await _only(scene, effort, [text_of(guesses[each ^ before[-1] ^ 1]) for each in effort.alphabet])
    return _if_right(found, _block(captured.plaintext, at)[-1:])


# --------------------------------------------------------------------------- RSA PKCS #1 v1.5


async def encrypted_key(scene: Scene, effort: Effort) -> bytes | None:
    """Try every kind of block (Bleichenbacher 1998); if some have other answers, recover the block (Manger 2001)."""
    captured = scene.capture()
    parts = forgery.Captured.from_der(captured.der)
    encrypted = encrypted_key_of(parts)

    def with_key(value: bytes) -> str:
        return text_of(captured.der.replace(octet_string(encrypted), octet_string(value)))

    return await _by_blocks(scene, effort, encrypted, with_key)


async def _by_blocks(
    scene: Scene, effort: Effort, encrypted: bytes, with_key: Callable[[bytes], str | Element]
) -> bytes | None:
    public = scene.victim.key.public_key()
    size = len(encrypted)
    kinds = pkcs1_blocks(size)
    names = [name for name in kinds for _ in range(4)]
    answers = await scene.insider.ask_all([with_key(raw_rsa(kinds[name](), public)) for name in names])
    large = {answer for name, answer in zip(names, answers, strict=True) if name == "version 1"}
    small = {answer for name, answer in zip(names, answers, strict=True) if name != "version 1"}
    if len(large | small) == 1 or large & small:
        return None

    async def are_small(factors: Sequence[int]) -> list[bool]:
        number = int.from_bytes(encrypted, "big")
        values = [number * pow(factor, exponent, modulus) % modulus for factor in factors]
        probes = [with_key(value.to_bytes(size, "big")) for value in values]
        return [answer in small for answer in await scene.insider.ask_all(probes)]

    exponent, modulus = public.public_numbers().e, public.public_numbers().n
    low, high = await _manger(are_small, modulus, 1 << 8 * (size - 1), effort.queries)
    pair = zip(low.to_bytes(size, "big"), high.to_bytes(size, "big"), strict=True)
    found = bytes(a for a, _ in takewhile(lambda each: each[0] == each[1], pair))
    numbers = scene.victim.key.private_numbers()
    block = pow(int.from_bytes(encrypted, "big"), numbers.d, modulus).to_bytes(size, "big")
    return _if_right(found, block[: len(found)]) if len(found) > 2 else None


async def _manger(
    are_small: Callable[[Sequence[int]], Awaitable[list[bool]]], modulus: int, bound: int, queries: int
) -> tuple[int, int]:
    """Return the interval in which a number below `bound` lies, after so many queries (Manger 2001, 3)."""
    powers = [2**each for each in range(1, 17)]
    first = powers[(await are_small(powers)).index(False)]
    multiples = [((modulus + bound) // bound + each) * (first // 2) for each in range(257)]
    second = 0
    while multiples and not second:
        answers = await are_small(multiples[:_BATCH])
        second = multiples[answers.index(True)] if True in answers else 0
        multiples = multiples[_BATCH:]
    if not second:
        return 0, bound  # what it heard contradicts itself
    low, high = -(-modulus // second), (modulus + bound) // second
    while low < high and queries > 0:
        multiple = 2 * bound // (high - low) * low // modulus
        third = -(-multiple * modulus // low)
        border = multiple * modulus + bound
        if (await are_small([third]))[0]:
            high = border // third
        else:
            low = -(-border // third)
        queries -= 1
    return low, high


def encrypted_key_of(parts: forgery.Captured) -> bytes:
    info = Reader(Reader(parts.recipient_infos).enter(0x31).element()).enter()
    return Reader(info.elements(limit=4)[3]).contents(0x04)


# --------------------------------------------------------------------------- AEAD to CBC (RFC 9709)


async def downgrade(scene: Scene, effort: Effort) -> bytes | None:
    """Confirm a guess of what AES-GCM encrypts: the keystream decrypts, as a block of CBC, to its counter."""
    captured = next(
        each
        for fill in range(BLOCK)
        if (each := scene.capture(fill=fill, cipher="aes128-gcm")).at % BLOCK <= BLOCK - 4
    )
    parts = forgery.Captured.from_der(captured.der)
    at = captured.at // BLOCK
    counter = parts.iv + (at + 2).to_bytes(4, "big")
    pins = [f"{pin:04}".encode() for pin in range(4711 - effort.guesses // 2, 4711 + effort.guesses // 2)]
    pins = [each for each in pins if len(each) == 4 and each.isdigit()]
    for wanted in (_PADDING, os.urandom(BLOCK - 1) + b"\1"):
        probes = []
        for pin in pins:
            plain = bytearray(_block(captured.plaintext, at))
            plain[captured.at % BLOCK : captured.at % BLOCK + 4] = pin
            keystream = _xor(_block(parts.ciphertext, at), bytes(plain))
            probes.append(text_of(parts.forge(keystream, iv=_xor(counter, wanted))))
        filler = [text_of(parts.forge(os.urandom(BLOCK), iv=_xor(counter, wanted))) for _ in range(32)]
        special = minority(await scene.insider.ask_all([*probes, *filler]))
        pins = [pins[each] for each in special if each < len(pins)]
    return _if_right(pins[0], PIN) if len(pins) == 1 else None


# --------------------------------------------------------------------------- what the plaintext looks like


async def first_octet(scene: Scene, effort: Effort) -> bytes | None:
    """Put a captured block first and try other IVs: one of them makes it begin as a SignedData does, with 30."""
    captured = scene.capture()
    parts = forgery.Captured.from_der(captured.der)
    at = captured.at // BLOCK
    victim, before = _blocks(parts, at)
    ciphertext, iv = victim + parts.ciphertext[BLOCK:], os.urandom(BLOCK - 1)
    probes = [
        text_of(parts.forge(ciphertext, iv=bytes((each ^ before[0] ^ 0x30,)) + iv))
        for each in effort.alphabet
    ]
    found = await _only(scene, effort, probes)
    return _if_right(found, _block(captured.plaintext, at)[:1])


_HEADERS: Final = (
    b"\r\n\r\n",
    b"X: y\r\n\r\n",
    b"Content-Type: te",  # xt/plain would take another block
    b"X: multipart/al\n",
    b"From: <im:\r\n\r\n",
    b"<xmpp>\r\n\r\n",
    b"0\x80\x06\x09",
)


async def header(scene: Scene, _effort: Effort) -> bytes | None:
    """Turn the first block, which everybody knows, into another header, and let the victim show the rest (EFAIL)."""
    captured = scene.capture()
    parts = forgery.Captured.from_der(captured.der)
    heard = []
    for wanted in _HEADERS:
        block = wanted.rjust(BLOCK) if wanted.startswith(b"\r") else wanted.ljust(BLOCK)
        iv = _xor(parts.iv, _block(captured.plaintext, 0), block)
        # then the same, with a gadget in front of the block of the PIN
        at = captured.at // BLOCK
        gadget = parts.ciphertext[:BLOCK] + parts.ciphertext[(at - 1) * BLOCK : (at + 4) * BLOCK]
        heard += await scene.insider.ask_all(
            [text_of(parts.forge(each, iv=iv)) for each in (parts.ciphertext, gadget)]
        )
    return b"4711" if any("4711" in each for each in heard) else None


# --------------------------------------------------------------------------- what nobody signed


async def behind_the_padding(scene: Scene, effort: Effort) -> bytes | None:
    """Append two blocks to an object that is good: is it still accepted?"""
    captured = scene.capture()
    parts = forgery.Captured.from_der(captured.der)
    at = captured.at // BLOCK
    victim, before = _blocks(parts, at)
    start = parts.ciphertext + os.urandom(BLOCK - 1)
    probes = [
        text_of(parts.forge(start + bytes((each ^ before[-1] ^ 1,)) + victim)) for each in effort.alphabet
    ]
    found = await _only(scene, effort, probes)
    return _if_right(found, _block(captured.plaintext, at)[-1:])


async def certificates(scene: Scene, effort: Effort) -> bytes | None:
    """Put a block among the certificates, which no signature is over: can the object still be read?

    The last certificate is cut in two: its length is made smaller by a change of the block before, so that an
    element follows, whose length is the last octet of the block that is to be known.
    """
    for fill in range(4 * BLOCK):
        captured = scene.capture(fill=fill, certificates=True)
        found = _last_certificate(captured)
        if found is not None:
            break
    else:
        raise AssertionError("no object has a certificate where it is wanted")
    start, end = found
    parts = forgery.Captured.from_der(captured.der)
    at = captured.at // BLOCK
    victim, before = _blocks(parts, at)
    # some other lengths make sense with what follows, too, but not in every place
    targets = [each for each in range(start // BLOCK + 3, end // BLOCK) if 0 < end - (each + 1) * BLOCK < 128]
    readable: Counter[int] = Counter()
    for target in targets:
        ciphertext = bytearray(parts.ciphertext)
        length = ((target + 1) * BLOCK - 2 - start - 4).to_bytes(2, "big")
        for place, octet in enumerate(length, start + 2):
            ciphertext[place - BLOCK] ^= captured.plaintext[place] ^ octet
        ciphertext[(target - 1) * BLOCK : (target + 1) * BLOCK] = os.urandom(BLOCK) + victim
        probes = []
        for each in effort.alphabet:
            ciphertext[target * BLOCK - 1] = each ^ before[-1] ^ (end - (target + 1) * BLOCK)
            probes.append(text_of(parts.forge(bytes(ciphertext))))
        readable.update(minority(await scene.insider.ask_all(probes)))
    best = readable.most_common(2)
    if not best or best[0][1] < len(targets) - 2 or best[0][1] == best[-1][1] * (len(best) - 1):
        return None
    return _if_right(bytes((effort.alphabet[best[0][0]],)), _block(captured.plaintext, at)[-1:])


def _last_certificate(captured: Captured) -> tuple[int, int] | None:
    """Return where the last of several certificates begins and ends, if an attacker can change its length.

    Its header stands in one block, and the block in front of that inside of the certificate before.
    """
    signed = parse_signed_data(mime.parse_entity(captured.plaintext).body)
    first, last = signed.came_along[0], signed.came_along[-1]
    start = captured.plaintext.index(last)
    fits = (
        0 < start % BLOCK <= BLOCK - 4
        and start // BLOCK * BLOCK - BLOCK > captured.plaintext.index(first) + 8
    )
    return (start, start + len(last)) if first != last and last[1] == 0x82 and fits else None


# --------------------------------------------------------------------------- draft-miller-3923bis-02


async def objenc_padding(scene: Scene, effort: Effort) -> bytes | None:
    """Ask about padding, without knowing the key that the MAC needs."""
    captured, plaintext = scene.capture_element()
    octets = read_base64(captured[1].text or "")
    start, before, victim = octets[: 4 * BLOCK], octets[5 * BLOCK : 6 * BLOCK], octets[6 * BLOCK : 7 * BLOCK]
    found = await _by_padding(scene, effort, before, lambda iv: _objenc(captured, data=start + iv + victim))
    return _if_right(found, _block(plaintext, 5)[-effort.octets :])


async def objenc_key(scene: Scene, effort: Effort) -> bytes | None:
    """Try every kind of block in the place of the encrypted key, said to be PKCS #1 v1.5."""
    captured, _ = scene.capture_element()
    encrypted = read_base64(captured[0].text or "")

    def with_key(value: bytes) -> Element:
        return _objenc(captured, key=value, transport="RSAES-PKCS1-v1_5")

    return await _by_blocks(scene, effort, encrypted, with_key)


def _objenc(
    captured: Element, *, data: bytes | None = None, key: bytes | None = None, transport: str | None = None
) -> Element:
    """Return another element with parts of a captured one; a new one, as it will get into a stanza."""
    changed = Element(captured.tag)
    for child, octets in zip(captured, (key, data), strict=True):
        copy = SubElement(changed, child.tag, child.attrib)
        copy.text = child.text if octets is None else write_base64(octets)
    if transport is not None:
        changed[0].set("cipher-algo", transport)
    return changed


# --------------------------------------------------------------------------- all of them


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack, and a receiver on whom it must succeed."""

    run: Callable[[Scene, Effort], Awaitable[bytes | None]]
    weakness: Callable[[], AbstractContextManager[None]]
    #: What is good to know of it, for the table.
    source: str


ATTACKS: Final = {
    "CBC padding": Attack(padding, weak.padding_is_told, "Vaudenay 2002"),
    "CBC padding, captured beginning": Attack(
        padding_behind_a_captured_beginning, weak.padding_is_told, "Vaudenay 2002"
    ),
    "encrypted key": Attack(encrypted_key, weak.first_octet_is_told, "Bleichenbacher 1998, Manger 2001"),
    "AES-GCM rewritten for CBC": Attack(downgrade, weak.padding_is_told, "RFC 9709"),
    "first octet": Attack(first_octet, weak.a_broken_object_is_told, "format oracle"),
    "another header": Attack(header, weak.text_is_read_out, "EFAIL 2018"),
    "behind the padding": Attack(behind_the_padding, weak.padding_alone_counts, "trailing data"),
    "among the certificates": Attack(certificates, weak.certificates_are_not_compared, "RFC 5652 5.1"),
    "objenc: CBC padding": Attack(objenc_padding, weak.mac_is_not_checked, "Vaudenay 2002"),
    "objenc: encrypted key": Attack(objenc_key, weak.first_octet_is_told, "Bleichenbacher 1998, Manger 2001"),
}
