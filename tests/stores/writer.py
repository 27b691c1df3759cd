"""A process that writes into a store until it is killed: `python -m tests.stores.writer PATH FIRST`.

Where PATH is a directory, it makes a new file there for each number, decides something, and says `made`. Else:

Round by round from number FIRST on it takes in a stanza, decides something, keeps a certificate and a revocation
list, and every fifth time takes a decision back. After each call it prints one line, `<what> <number>`: then the call
has returned.
"""

import os
import sys
from pathlib import Path
from typing import Final

from slixmpp_e2e.certificates.store import Chain
from slixmpp_e2e.cms.asn1 import octet_string
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.sqlite import SQLiteStore

NOW: Final = 1_772_366_400 * SECOND
#: Small, so that entries and signers have to go all the time; a few rounds are never forgotten.
SIZES: Final = {"entries_per_signer": 40, "signers": 3}
KINDS: Final = (Trust.VERIFIED, Trust.PINNED, Trust.TOFU, Trust.DISTRUSTED)


def signer(number: int) -> str:
    """Return who signed a stanza: somebody new every hundred rounds."""
    return f"signer{number // 100}@example.com"


def digest(number: int) -> bytes:
    """Return the digest of a stanza, or the fingerprint of a certificate."""
    return b"%032d" % number


def peer(number: int) -> str:
    """Return whom something is decided about, and whose certificate is kept: everybody has two."""
    return f"peer{number // 2}@example.net"


def chain(number: int) -> Chain:
    """Return a certificate with what came along; as long as several pages."""
    return tuple(octet_string(b"%d " % each * 900) for each in (number, -number))


def list_key(number: int) -> bytes:
    """Return whose revocation list it is: there are three CAs."""
    return b"%032d" % (number % 3)


def revocation_list(number: int) -> bytes:
    """Return a revocation list; as long as several pages."""
    return octet_string(b"list %d " % number * 900)


def trust(number: int) -> Trust:
    """Return what is decided."""
    return KINDS[number % len(KINDS)]


def admit(store: SQLiteStore, number: int) -> bool:
    """Take a stanza in; return whether it was seen before."""
    return store.admit(signer(number), digest(number), NOW + number, NOW).seen


def main(path: Path, first: int) -> None:
    """Write for ever."""

    def say(what: str, number: int) -> None:
        os.write(1, f"{what} {number}\n".encode())

    if path.is_dir():
        say("opened", first)
        for number in range(first, sys.maxsize):
            store = SQLiteStore(path / f"{number}.db")
            store.decide(peer(number), digest(number), trust(number))
            say("made", number)
            store.close()

    store = SQLiteStore(path, **SIZES)
    say("opened", first)
    for number in range(first, sys.maxsize):
        say("seen" if admit(store, number) else "admitted", number)
        store.decide(peer(number), digest(number), trust(number))
        say("decided", number)
        store.add_certificate(peer(number), chain(number))
        say("kept", number)
        store.add_revocation_list(list_key(number), revocation_list(number))
        say("listed", number)
        if number % 5 == 4:
            store.undecide(peer(number - 2), digest(number - 2))
            say("undecided", number - 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
