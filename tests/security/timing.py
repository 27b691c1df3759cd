"""How long a receiver takes for each forgery; run by hand: `python -m tests.security.timing [rounds]`.

An attacker who can't tell failures apart by their answers listens to the clock. He keeps a captured
ciphertext, changes its last two blocks only, and guesses the last octet of a block that he wants to know: of
256 forgeries one (now and then two) has good padding, and everything in front of it reads as it did. The
table must not show which.

`measure` takes any receive function, so that the whole way of a stanza can be measured with the same
forgeries as the composition of `slixmpp_e2e.cms` here.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.enveloped_data import parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.cms.signed_data import parse_signed_data
from slixmpp_e2e.errors import RemoteError
from tests.cms.composition import protect, unprotect_with_one_error
from tests.pki import PKI, make_pki
from tests.security.forgery import BLOCK, Captured

Receive = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one forgery takes, in microseconds."""

    median: float
    #: Half of the measurements lie in a range of this size.
    spread: float


def measure(receive: Receive, objects: Mapping[str, bytes], *, rounds: int) -> dict[str, Timing]:
    """Receive each object once a round, in a new order each round, and say how long it took.

    What `receive` raises on purpose counts as an answer.
    """
    clocked: dict[str, list[int]] = {name: [] for name in objects}
    order = list(objects)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            data = objects[name]
            started = time.perf_counter_ns()
            with suppress(RemoteError):
                receive(data)
            clocked[name].append(time.perf_counter_ns() - started)
    return {name: _timing(values) for name, values in clocked.items()}


def _timing(nanoseconds: Sequence[int]) -> Timing:
    first, median, third = statistics.quantiles(nanoseconds, n=4)
    return Timing(median / 1000, (third - first) / 1000)


@dataclass(frozen=True, slots=True)
class Guesses:
    """The 256 forgeries by the octet that they guess, and which of them have good padding."""

    forgeries: dict[str, bytes]
    good: tuple[str, ...]


def padding_guesses(pki: PKI) -> Guesses:
    """Capture a message from Juliet to Romeo whose signed object ends one octet before a block does.

    There the padding is one octet, so that a right guess gives padding that is good and exact; one message in
    sixteen is like that.
    """
    keys = DecryptionKeys([(pki["romeo"].key, pki["romeo"].parsed)])
    for size in range(200, 200 + BLOCK):
        data = protect(b"a" * size, pki["juliet"], pki["romeo"])
        if parse_signed_data(parse_enveloped_data(data).decrypt(keys).plaintext).size % BLOCK == BLOCK - 1:
            break
    forgeries = {f"{guess:#04x}": each for guess, each in enumerate(Captured.from_der(data).guesses(10))}
    good = tuple(
        name
        for name, each in forgeries.items()
        if parse_enveloped_data(each).decrypt(keys).without_padding() is not None
    )
    return Guesses(forgeries, good)


def kinds_of_failure(pki: PKI) -> dict[str, bytes]:
    """Return one object for each depth that a failure can have; not all of them may take the same time."""
    data = protect(b"a" * 200, pki["juliet"], pki["romeo"])
    parts = Captured.from_der(data)
    keys = DecryptionKeys([(pki["romeo"].key, pki["romeo"].parsed)])
    signed = parse_enveloped_data(data).decrypt(keys).plaintext
    garbled = bytearray(parts.ciphertext)
    at = signed.index(b"aaaa") + BLOCK
    garbled[at] ^= 1
    wrong_key = data.replace(parts.recipient_infos, parts.recipient_infos[:-1] + b"\x00")
    return {
        "accepted": data,
        "bad PKCS #1 padding": wrong_key,
        "garbage": parts.forge(random.randbytes(len(parts.ciphertext))),
        "the first block garbled": parts.forge(parts.ciphertext, iv=bytes(16)),
        "the content garbled": parts.forge(bytes(garbled)),
        "the signature garbled": parts.forge(
            parts.ciphertext[: -3 * BLOCK] + bytes(BLOCK) + parts.ciphertext[-2 * BLOCK :]
        ),
    }


def padding_first(keys: DecryptionKeys, pool: CertificatePool) -> Receive:
    """Return a receiver that makes the mistake: it looks at the padding before it goes on."""

    def receive(data: bytes) -> object:
        plaintext = parse_enveloped_data(data).decrypt(keys).without_padding()
        return plaintext is not None and parse_signed_data(plaintext).verify(pool)

    return receive


def report(title: str, guesses: Guesses, timings: Mapping[str, Timing]) -> str:
    """Return the table for one receiver: the right guesses among the slowest and fastest of all 256."""
    order = sorted(timings, key=lambda name: timings[name].median)
    middle = statistics.median(timing.median for timing in timings.values())
    deviation = statistics.stdev(timings[name].median for name in order if name not in guesses.good)
    lines = [
        title,
        f"  {'guess':>6} {'padding':>8} {'median us':>10} {'spread us':>10} {'rank':>5} {'sigma':>6}",
    ]
    shown = dict.fromkeys([*order[:3], *guesses.good, *order[-3:]])
    for name in sorted(shown, key=order.index):
        timing = timings[name]
        lines.append(
            f"  {name:>6} {'good' if name in guesses.good else 'bad':>8} {timing.median:>10.1f}"
            f" {timing.spread:>10.1f} {order.index(name) + 1:>5} {(timing.median - middle) / deviation:>+6.1f}"
        )
    lines.append(
        f"  median of all {middle:.1f} us; standard deviation of the bad ones' medians {deviation:.2f} us"
    )
    return "\n".join(lines)


def main(rounds: int) -> None:
    """Measure and print."""
    pki = make_pki()
    keys, pool = DecryptionKeys([(pki["romeo"].key, pki["romeo"].parsed)]), CertificatePool()

    def receive(data: bytes) -> object:
        return unprotect_with_one_error(data, keys, pool)

    guesses = padding_guesses(pki)
    for title, receiver in (
        ("padding judged last (as we do)", receive),
        ("padding judged first (the mistake, for comparison)", padding_first(keys, pool)),
    ):
        print(report(title, guesses, measure(receiver, guesses.forgeries, rounds=rounds)), end="\n\n")
    print("kinds of failure, at the level of cms only")
    for name, timing in measure(receive, kinds_of_failure(pki), rounds=rounds * 40).items():
        print(f"  {name:<26} {timing.median:>8.1f} us, spread {timing.spread:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
