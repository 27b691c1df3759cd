"""A store and a key that have to be waited for: what they wait for is a sleep, so that a test sets how long."""

import asyncio
import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from slixmpp_e2e.certificates.shared_store import Known
from slixmpp_e2e.certificates.store import Chain, MemoryStore, Store
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import Admission
from slixmpp_e2e.report import Trust


def remembering() -> MemoryStore:
    """Return a store without a past: nobody has seen anything before it was made."""
    return MemoryStore(started=time.time_ns())


@dataclass
class WaitedFor:
    """A `SharedStore` over another store; each answer takes a while of its own, as over a network."""

    store: Store = field(default_factory=remembering)
    #: Seconds, at the most.
    longest: float = 0.004
    #: Cleared: nothing is reached any more.
    reachable: bool = True
    is_open: bool = False
    calls: list[str] = field(default_factory=list)
    _drawn: random.Random = field(default_factory=lambda: random.Random(1))

    async def _wait(self, call: str) -> None:
        self.calls.append(call)
        assert self.is_open
        await asyncio.sleep(self._drawn.uniform(0, self.longest))
        if not self.reachable:
            raise StoreError("the database can't be reached")

    async def open(self) -> None:
        await asyncio.sleep(0)
        self.is_open = True

    async def load(self, jid: str) -> Known:
        await self._wait("load")
        store = self.store
        return Known(store.certificates(jid), store.decisions(jid), store.announcements(jid))

    async def admit(
        self, signer: str, digest: bytes, timestamp: int, received: int, former: bytes | None = None
    ) -> Admission:
        await self._wait("admit")
        return self.store.admit(signer, digest, timestamp, received, former)

    async def add_certificate(self, jid: str, chain: Chain) -> bool:
        await self._wait("add_certificate")
        return self.store.add_certificate(jid, chain)

    async def find_certificates(self, identifier: bytes) -> tuple[bytes, ...]:
        await self._wait("find_certificates")
        return self.store.find_certificates(identifier)

    async def all_certificates(self) -> Iterable[Chain]:
        await self._wait("all_certificates")
        return self.store.all_certificates()

    async def announce(self, jid: str, fingerprint: bytes, value: bytes) -> None:
        await self._wait("announce")
        self.store.announce(jid, fingerprint, value)

    async def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        await self._wait("decide")
        self.store.decide(jid, fingerprint, trust)

    async def decide_first_use(self, jid: str, fingerprint: bytes) -> None:
        await self._wait("decide_first_use")
        if not self.store.decide_first_use(jid, fingerprint):
            raise StoreError("another process was first")

    async def decide_if_undecided(self, jid: str, fingerprint: bytes) -> None:
        await self._wait("decide_if_undecided")
        self.store.decide_if_undecided(jid, fingerprint)

    async def undecide(self, jid: str, fingerprint: bytes) -> None:
        await self._wait("undecide")
        self.store.undecide(jid, fingerprint)

    async def all_decisions(self) -> Iterable[tuple[str, bytes, Trust]]:
        await self._wait("all_decisions")
        return self.store.all_decisions()

    async def add_revocation_list(self, key: bytes, der: bytes) -> None:
        await self._wait("add_revocation_list")
        self.store.add_revocation_list(key, der)

    async def revocation_lists(self) -> Iterable[bytes]:
        await self._wait("revocation_lists")
        return self.store.revocation_lists()

    async def close(self) -> None:
        self.is_open = False


class SlowKey:
    """An RSA key that takes its time, as in a token: `seconds` for each operation, on whatever thread it is."""

    is_slow = True

    def __init__(self, key: Any, seconds: float = 0.003) -> None:
        self.key, self.seconds = key, seconds
        self.key_size = key.key_size
        #: The threads that used it.
        self.threads: set[str] = set()

    def public_key(self) -> Any:
        return self.key.public_key()

    def sign(self, data: bytes, *how: Any) -> bytes:
        self._take_time()
        return self.key.sign(data, *how)

    def decrypt(self, ciphertext: bytes, padding: Any) -> bytes:
        self._take_time()
        return self.key.decrypt(ciphertext, padding)

    def _take_time(self) -> None:
        self.threads.add(threading.current_thread().name)
        time.sleep(self.seconds)
