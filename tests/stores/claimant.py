"""A process that shares a store: `python -m tests.stores.claimant URL SCHEMA NAME`.

It says `ready`, and waits for lines. `admit M N` takes stanzas M to N-1 in, `first M N` believes a certificate of its
own for as many peers where it is the first; it answers with the numbers that it was given.
"""

import asyncio
import random
import sys
from typing import Final

from slixmpp_e2e.certificates.store import fingerprint_of
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.stores.postgresql import PostgreSQLStore

NOW: Final = 1_772_366_400 * SECOND


def signer(number: int) -> str:
    """Return who signed a stanza."""
    return f"signer{number % 7}@example.com"


def peer(number: int) -> str:
    """Return whose certificate is used first."""
    return f"peer{number}@example.net"


async def admit(store: PostgreSQLStore, number: int) -> bool:
    """Take a stanza in; return whether it is new."""
    return not (await store.admit(signer(number), b"%032d" % number, NOW + number, NOW)).seen


async def is_first(store: PostgreSQLStore, name: str, number: int) -> bool:
    """Believe a certificate that is this process' own; return whether it was the first."""
    try:
        await store.decide_first_use(peer(number), fingerprint_of(name.encode()))
    except StoreError:
        return False
    return True


async def main(url: str, schema: str, name: str) -> None:
    """Do what the lines say."""
    store = PostgreSQLStore(url, schema=schema)
    await store.open()
    print("ready", flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        what, begin, end = line
        numbers = list(range(int(begin), int(end)))
        random.Random(name).shuffle(numbers)
        calls = [admit(store, each) if what == "admit" else is_first(store, name, each) for each in numbers]
        given = await asyncio.gather(*calls)
        print(*(each for each, is_given in zip(numbers, given, strict=True) if is_given), flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
