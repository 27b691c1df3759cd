"""Stores that know many peers: a certificate and a decision each, and a replay record that is full."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from slixmpp_e2e.certificates.store import MemoryStore, fingerprint_of, read_identifiers
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.decisions import sum_up
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.pki import PKI

NOW: Final = 1_772_366_400 * SECOND
#: What the replay records have for one signer.
ENTRIES: Final = 1000


def peer(number: int) -> str:
    """Return a bare JID."""
    return f"peer{number}@example.net"


def digest(number: int) -> bytes:
    """Return 32 octets: a digest of signed attributes, or a fingerprint."""
    return b"%032d" % number


def certificates(pki: PKI) -> Callable[[int], bytes]:
    """Return what makes a certificate of its own for a number: another serial and another key identifier.

    Its key is always the same, and its signature is wrong: nothing here judges it.
    """
    template = pki["juliet"].parsed
    assert template.key_identifier is not None
    serial = template.certificate.serial_number
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    places = [template.der.index(octets) + len(octets) - 8, template.der.index(template.key_identifier[2:])]

    def make(number: int) -> bytes:
        der = bytearray(template.der)
        for place in places:
            der[place : place + 8] = number.to_bytes(8, "big")
        return bytes(der)

    return make


def entries(count: int) -> Iterator[tuple[str, bytes, int]]:
    """Yield signers, digests and timestamps; a signer's follow each other."""
    for number in range(count):
        yield peer(number // ENTRIES), digest(number), NOW - 60 * SECOND + number


def fill_memory(make: Callable[[int], bytes], above: bytes, peers: int, seen: int) -> MemoryStore:
    """Return a full store in memory."""
    store = MemoryStore(started=0)
    for number in range(peers):
        store.add_certificate(peer(number), (make(number), above))
        store.decide(peer(number), digest(number), Trust.PINNED)
    for signer, each, timestamp in entries(seen):
        store.admit(signer, each, timestamp, NOW)
    return store


def fill_sqlite(path: Path, make: Callable[[int], bytes], above: bytes, peers: int, seen: int) -> None:
    """Make a full file, in one transaction."""
    store = SQLiteStore(path)
    with store._transaction():
        many = store._connection.executemany
        many(
            "INSERT INTO certificate (jid, fingerprint, chain, issuer_and_serial, key_identifier) "
            "VALUES (?, ?, ?, ?, ?)",
            (
                (peer(number), fingerprint_of(leaf), leaf + above, *read_identifiers(leaf))
                for number in range(peers)
                for leaf in (make(number),)
            ),
        )
        many(
            "INSERT INTO decision VALUES (?, ?, 'pinned')",
            ((peer(number), digest(number)) for number in range(peers)),
        )
        many(
            "INSERT INTO seen VALUES (?, ?, ?, ?)",
            ((signer, each, timestamp, NOW) for signer, each, timestamp in entries(seen)),
        )
        store._connection.execute(
            "INSERT INTO signer SELECT jid, 0, max(timestamp), count(*) FROM seen GROUP BY jid"
        )
        store._connection.execute("UPDATE everybody SET decisions = ?", (sum_up(store._connection),))
    store.close()
