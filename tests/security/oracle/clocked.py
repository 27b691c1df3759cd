"""How long an attacker waits for each answer over the server; see `tests.security.timing_whole_way --server`."""

import os
import random
import time
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from slixmpp_e2e.cms.asn1 import octet_string
from slixmpp_e2e.cms.enveloped_data import encrypt
from slixmpp_e2e.cms.recipients import KeyTransportRecipient
from slixmpp_e2e.cms.signed_data import MESSAGE_DIGEST
from tests.benchmarks.tables import Table
from tests.security import forgery
from tests.security.forgery import BLOCK, pkcs1_blocks, raw_rsa
from tests.security.oracle.attacks import encrypted_key_of
from tests.security.oracle.scene import Scene, scene, text_of
from tests.security.timing_forgeries import CONTROL, RIGHT, WRONG
from tests.security.timing_whole_way import tables
from tests.server.protected import make_pki

_VARIANTS: Final = 16
_BLOCKS: Final = ("right, a random key", "version 1", "no zero", "a key of 15 octets")


def kinds(scene: Scene) -> dict[str, list[str]]:
    """Return the payloads by what is wrong with them."""
    captured = next(
        each for fill in range(4 * BLOCK) if (each := scene.capture(fill=fill)).plaintext[-1:] == b"\1"
    )
    parts = forgery.Captured.from_der(captured.der)
    at = captured.at // BLOCK
    guesses = [text_of(each) for each in parts.guesses(at)]
    right = captured.plaintext[(at + 1) * BLOCK - 1] ^ parts.ciphertext[at * BLOCK - 1] ^ 1
    good = guesses.pop(right)

    def garbled(octet: int) -> list[str]:
        found = []
        for _ in range(_VARIANTS):
            ciphertext = bytearray(parts.ciphertext)
            start = octet // BLOCK * BLOCK
            ciphertext[start : start + BLOCK] = os.urandom(BLOCK)
            found.append(text_of(parts.forge(bytes(ciphertext))))
        return found

    def with_block(name: str) -> list[str]:
        make, public = pkcs1_blocks(256)[name], scene.victim.key.public_key()
        key = octet_string(encrypted_key_of(parts))
        values = [octet_string(raw_rsa(make(), public)) for _ in range(_VARIANTS)]
        return [text_of(captured.der.replace(key, value)) for value in values]

    signed = captured.plaintext[:-1]
    spoilt = encrypt(signed[:-1] + bytes((signed[-1] ^ 1,)), [KeyTransportRecipient(scene.victim.parsed)])
    return {
        WRONG: guesses[:-1],
        CONTROL: guesses[-1:],
        RIGHT: [good],
        "random garbage": [text_of(parts.forge(os.urandom(len(parts.ciphertext)))) for _ in range(_VARIANTS)],
        "first block garbled": [
            text_of(parts.forge(parts.ciphertext, iv=os.urandom(BLOCK))) for _ in range(_VARIANTS)
        ],
        "signed text garbled": garbled(captured.at - 20),
        "SignerInfo garbled": garbled(captured.plaintext.index(MESSAGE_DIGEST)),
        "bad signature": [text_of(spoilt)],
        **{f"PKCS #1: {name}": with_block(name) for name in _BLOCKS},
    }


async def clock(scene: Scene, rounds: int, *, until: float) -> dict[str, "array[int]"]:
    """Ask once for each kind a round, one after the other in a new order; return nanoseconds until the answer."""
    payloads = kinds(scene)
    clocked = {name: array("L") for name in payloads}
    order = list(payloads)
    said = set()
    for done in range(rounds + rounds // 20):
        random.shuffle(order)
        for name in order:
            payload = random.choice(payloads[name])
            started = time.perf_counter_ns()
            said.add(await scene.insider.ask(payload))
            if done >= rounds // 20:  # everything is warm now
                clocked[name].append(time.perf_counter_ns() - started)
        if time.monotonic() > until:
            break
    assert len(said) == 1
    return clocked


async def run_over_server(rounds: int, *, minutes: float) -> list[Table]:
    """Measure, and return the tables."""
    until = time.monotonic() + 60 * minutes
    with TemporaryDirectory() as directory:
        async with scene(make_pki(Path(directory))) as found:
            found.forget(for_good=True)
            return tables(await clock(found, rounds, until=until), {})
