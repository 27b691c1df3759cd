"""How long the whole way in takes for each forgery; by hand: `python -m tests.security.timing_whole_way [--quick]`.

As `timing`, but of a stanza on its way through `Inbound.unseal`, answer to the sender included. Every kind of
failure behind the private key is compared with one of them, the wrong guess of a padding octet: medians, how
often a run of the one is slower than a run of the other, and the Mann-Whitney test, which says whether that may be
chance. What an attacker can use is the difference between the right guess and the wrong ones: it is to vanish.
The other kinds tell him how far he got with an object that he made himself; the less they differ the better.
"""

import argparse
import asyncio
import copy
import gc
import math
import os
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, Final
from xml.etree.ElementTree import SubElement

from slixmpp_e2e.cms.asn1 import Reader, octet_string
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.enveloped_data import encrypt, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys, KeyTransportRecipient
from slixmpp_e2e.cms.signed_data import Signer, parse_signed_data, sign
from slixmpp_e2e.errors import DECRYPTION_FAILED, RemoteError
from slixmpp_e2e.formats.claims import ClaimedKeys
from slixmpp_e2e.freshness import to_datetime
from slixmpp_e2e.media import mime
from slixmpp_e2e.outer import E2E_TAG
from slixmpp_e2e.plugin.stanzas import ReceiveFailure
from tests.benchmarks.parties import JULIET, Parties, Party, make_parties
from tests.benchmarks.tables import Table
from tests.pki import make_pki
from tests.security.forgery import BLOCK, Captured

_RIGHT: Final = "last octet: the right guess"
_WRONG: Final = "last octet: the wrong guesses"
#: Nothing is special about it: what the test says of this one is what it says of chance.
_CONTROL: Final = "last octet: one wrong guess (control)"
#: Authenticated, and refused all the same: it may be told apart.
_REPLAY: Final = "a replay (authenticated)"
_VICTIM: Final = 10  # a block of the ciphertext, somewhere in what is signed


@dataclass(frozen=True, slots=True)
class Forgeries:
    """Stanzas by what is wrong with them, and the 256 guesses."""

    kinds: dict[str, Sequence[Any]]
    guesses: tuple[Any, ...]
    right: tuple[int, ...]


# --------------------------------------------------------------------------- the test


@dataclass(frozen=True, slots=True)
class MannWhitney:
    """The outcome of the test of two samples."""

    #: How often a run of the first sample takes longer than one of the second; one half says nothing.
    slower: float
    #: Standard deviations from one half, corrected for ties.
    z: float
    #: How probable it is to be so far off by chance, on either side.
    p: float


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> MannWhitney:
    """Compare two samples by ranks (Mann and Whitney 1947), with the normal approximation."""
    n, m = len(first), len(second)
    both = sorted([(value, True) for value in first] + [(value, False) for value in second])
    ranks = ties = 0.0
    at = 0
    while at < len(both):
        end = at
        while end < len(both) and both[end][0] == both[at][0]:
            end += 1
        tied = end - at
        ranks += (at + end + 1) / 2 * sum(own for _, own in both[at:end])  # the mean of ranks at+1 ... end
        ties += tied**3 - tied
        at = end
    u = ranks - n * (n + 1) / 2
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    z = (u - n * m / 2) / math.sqrt(variance) if variance else 0.0
    return MannWhitney(u / (n * m), z, math.erfc(abs(z) / math.sqrt(2)))


# --------------------------------------------------------------------------- the forgeries


@dataclass(frozen=True, slots=True)
class _Forger:
    """Makes stanzas from Juliet's address out of CMS objects."""

    parties: Parties
    juliet: Party
    romeo: Party

    @property
    def _keys(self) -> DecryptionKeys:
        entity = self.parties.pki["romeo"]
        return DecryptionKeys([(entity.key, entity.parsed)])

    def captured(self, *, residue: int | None = None) -> bytes:
        """Return an object of Juliet's; with `residue` one whose content ends so many octets behind a block."""
        for _ in range(64 * BLOCK):
            message = self.juliet.message()
            message["body"] = "x" * random.randrange(200, 200 + BLOCK)
            text = self.juliet.seal(message).xml.findtext(E2E_TAG)
            der = mime.parse_entity(text.encode()).decoded_body()
            if residue is None or self.end(der) % BLOCK == residue:
                return der
        raise AssertionError("no message has that length")

    def plaintext(self, der: bytes) -> bytes:
        """Return what is encrypted, with its padding."""
        return parse_enveloped_data(der).decrypt(self._keys).plaintext

    def end(self, der: bytes) -> int:
        """Return where in the plaintext the signed object ends."""
        entity = mime.parse_entity(self.plaintext(der))
        return entity.body_start + parse_signed_data(entity.body).size

    def is_padding_good(self, der: bytes) -> bool:
        """Tell what the attacker wants to know."""
        return parse_enveloped_data(der).decrypt(self._keys).without_padding() is not None

    def encrypted(self, content: bytes) -> bytes:
        """Return an object that an attacker encrypts himself."""
        return encrypt(content, [KeyTransportRecipient(self.parties.pki["romeo"].parsed)])

    def stanza(self, der: bytes) -> Any:
        """Return the stanza that Romeo gets."""
        text = mime.pkcs7_mime(der, "enveloped-data", binary=False).decode().replace("\r\n", "\n")
        outer = self.juliet.xmpp.make_message(self.romeo.xmpp.boundjid.full, mtype="chat")
        outer["id"] = self.juliet.xmpp.new_id()
        SubElement(outer.xml, E2E_TAG).text = text
        return self.romeo.receive(self.juliet.wire(outer), sender=JULIET)


def forgeries(parties: Parties, juliet: Party, romeo: Party) -> Forgeries:
    """Return one or several stanzas of each kind."""
    forger = _Forger(parties, juliet, romeo)
    juliet.seal(juliet.message())  # the certificate went with this one
    captured = forger.captured(residue=BLOCK - 1)
    parts = Captured.from_der(captured)
    guesses = parts.guesses(_VICTIM)
    right = tuple(guess for guess, der in enumerate(guesses) if forger.is_padding_good(der))
    objects = _objects(forger, captured)
    stanzas = {name: [forger.stanza(der) for der in ders] for name, ders in objects.items()}
    guessed = tuple(forger.stanza(der) for der in guesses)
    wrong = [each for guess, each in enumerate(guessed) if guess not in right]
    control = wrong.pop()
    kinds: dict[str, Sequence[Any]] = {
        _WRONG: wrong,
        _CONTROL: [control],
        _RIGHT: [guessed[guess] for guess in right],
        **stanzas,
    }
    return Forgeries(kinds, guessed, right)


def _objects(forger: _Forger, captured: bytes) -> dict[str, list[bytes]]:
    parts = Captured.from_der(captured)
    plaintext, end = forger.plaintext(captured), forger.end(captured)
    signed = plaintext[:end]
    encrypted_key = Reader(Reader(parts.recipient_infos).enter(0x31).element()).enter().elements(limit=4)[3]
    size = len(parts.ciphertext)

    def with_key(value: bytes) -> bytes:
        return captured.replace(encrypted_key, octet_string(value))

    def garbled(octet: int) -> bytes:
        """Turn over one bit of the ciphertext, which makes a block of garbage where `octet` stands."""
        ciphertext = bytearray(parts.ciphertext)
        ciphertext[octet] ^= 1
        return parts.forge(bytes(ciphertext))

    return {
        "random garbage": [parts.forge(os.urandom(size)) for _ in range(64)],
        "first block garbled": [parts.forge(parts.ciphertext, iv=os.urandom(16)) for _ in range(64)],
        "signed text garbled": [garbled(plaintext.index(b"xxxx") + BLOCK)],
        "encrypted key corrupted": [with_key(bytes(1) + os.urandom(255)) for _ in range(64)],
        "encrypted key above the modulus": [with_key(b"\xff" * 256)],
        "key of a wrong length": [_short_key(forger, signed)],
        "bad signature": [forger.encrypted(signed[:-1] + bytes((signed[-1] ^ 1,)))],
        "untrusted signer, certificate embedded": [_untrusted(forger, signed, embedded=True)],
        "unknown signer": [_untrusted(forger, signed, embedded=False)],
        "no signature": [forger.encrypted(b"Content-type: text/plain\r\n\r\n" + b"x" * 700)],
        _REPLAY: [captured],
    }


def _short_key(forger: _Forger, signed: bytes) -> bytes:
    class Careless(KeyTransportRecipient):
        def recipient_info(self, key: bytes) -> bytes:
            return super().recipient_info(key[:8])

    return encrypt(signed, [Careless(forger.parties.pki["romeo"].parsed)])


def _untrusted(forger: _Forger, signed: bytes, *, embedded: bool) -> bytes:
    """Return an object that somebody with a certificate for Juliet's name, of a CA of his own, has signed."""
    impostor = make_pki()["juliet"]
    content = parse_signed_data(mime.parse_entity(signed).body).content
    assert content is not None
    again = sign(
        content,
        Signer(impostor.key, ParsedCertificate.from_x509(impostor.certificate)),
        signing_time=to_datetime(forger.juliet.plugin.protection.now()),
        certificates=embedded,
    )
    return forger.encrypted(mime.pkcs7_mime(again, "signed-data", binary=True))


# --------------------------------------------------------------------------- measuring


def clock(romeo: Party, kinds: Mapping[Any, Sequence[Any]], rounds: int) -> dict[Any, list[int]]:
    """Receive one stanza of each kind a round, in a new order each round; return nanoseconds."""
    receive = romeo.inbound.unseal
    clocked: dict[Any, list[int]] = {name: [] for name in kinds}
    order = list(kinds)
    gc.collect()
    gc.disable()
    try:
        for done in range(rounds):
            random.shuffle(order)
            for name in order:
                stanza = _fresh(random.choice(kinds[name]))
                _forget(romeo)
                started = perf_counter_ns()
                receive(stanza)
                clocked[name].append(perf_counter_ns() - started)
            if done % 500 == 499:
                gc.collect()
    finally:
        gc.enable()
    return clocked


def _forget(romeo: Party) -> None:
    """Forget the encrypted keys that came before: otherwise every forgery but the first ends with that."""
    romeo.xmpp.plugin["e2e"].protection._arriving._claimed = ClaimedKeys()


def _fresh(stanza: Any) -> Any:
    """Return a copy that lies in the cache as every other one does, however often its original was used."""
    twin = copy.copy(stanza)
    payload = twin.xml.find(E2E_TAG)
    payload.text = payload.text[:1] + payload.text[1:]
    return twin


async def run(rounds: int) -> list[Table]:
    """Measure each kind `rounds` times, and each of the 256 guesses a fiftieth of that."""
    with make_parties() as parties:
        juliet, romeo = parties.juliet(), parties.romeo()
        made = forgeries(parties, juliet, romeo)
        reasons = _check(romeo, made)
        clock(romeo, made.kinds, max(rounds // 50, 1))  # everything is warm now
        kinds = clock(romeo, made.kinds, rounds)
        single = {guess: [stanza] for guess, stanza in enumerate(made.guesses)}
        guesses = clock(romeo, single, max(rounds // 50, 2))
    return [_kinds_table(kinds, reasons), _guesses_table(guesses, made.right)]


def _check(romeo: Party, made: Forgeries) -> dict[str, str]:
    """Return why each kind is refused, as the program hears it; the network hears one answer for all.

    A replay is authenticated and has an answer of its own.
    """
    failures: list[ReceiveFailure] = []
    romeo.xmpp.add_event_handler("e2e_error", failures.append)
    romeo.unseal(made.kinds[_REPLAY][0])  # the first time it is none
    reasons, answers = {}, set()
    for name, stanzas in made.kinds.items():
        failures.clear()
        for stanza in stanzas:
            _forget(romeo)
            assert romeo.inbound.unseal(stanza) is None, name
        reasons[name] = ", ".join(sorted({failure.reason for failure in failures}))
        if name != _REPLAY:
            answers |= {
                failure.error.answer for failure in failures if isinstance(failure.error, RemoteError)
            }
    assert answers == {DECRYPTION_FAILED}
    romeo.xmpp.del_event_handler("e2e_error", failures.append)
    return reasons


def _kinds_table(kinds: Mapping[str, Sequence[int]], reasons: Mapping[str, str]) -> Table:
    reference = kinds[_WRONG]
    middle = statistics.median(reference)
    rows = []
    for name, values in kinds.items():
        first, median, third = statistics.quantiles(values, n=4)
        row = [
            name,
            reasons[name],
            f"{len(values):,}",
            f"{median / 1000:.1f}",
            f"{(third - first) / 1000:.1f}",
        ]
        if name != _WRONG:
            test = mann_whitney(values, reference)
            row += [
                f"{(median - middle) / 1000:+.2f}",
                f"{test.slower:.3f}",
                f"{test.z:+.1f}",
                f"{test.p:.2g}",
            ]
        rows.append(tuple([*row, "", "", "", ""][:9]))
    columns = ("", "reason", "runs", "median µs", "spread", "difference", "slower", "z", "p")
    note = "Difference, how often it is slower, Mann-Whitney: against the wrong guesses. Spread: half of the runs."
    return Table("Refusing a stanza: the whole way, by what is wrong with it", columns, tuple(rows), (note,))


def _guesses_table(guesses: Mapping[int, Sequence[int]], right: Sequence[int]) -> Table:
    medians = {guess: statistics.median(values) / 1000 for guess, values in guesses.items()}
    order = sorted(medians, key=lambda guess: medians[guess])
    middle = statistics.median(medians.values())
    deviation = statistics.stdev(medians[guess] for guess in order if guess not in right)
    shown = sorted({*order[:3], *order[-3:], *right}, key=order.index)
    rows = tuple(
        (
            f"{guess:#04x}",
            "good" if guess in right else "bad",
            f"{medians[guess]:.1f}",
            f"{order.index(guess) + 1}",
            f"{(medians[guess] - middle) / deviation:+.1f}",
        )
        for guess in shown
    )
    note = f"{len(next(iter(guesses.values())))} runs each; median {middle:.1f} µs, deviation {deviation:.2f} µs."
    return Table(
        "The 256 guesses: the fastest, the slowest, the right",
        ("", "padding", "µs", "rank", "sigma"),
        rows,
        (note,),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.timing_whole_way")
    parser.add_argument("--quick", action="store_true", help="1,000 runs of each kind instead of 10,000")
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    options = parser.parse_args(arguments)
    print(f"Load {' '.join(f'{each:.1f}' for each in os.getloadavg())}\n")
    for table in asyncio.run(run(1_000 if options.quick else 10_000)):
        print(table.as_markdown() if options.markdown else table.as_text())


if __name__ == "__main__":
    main()
