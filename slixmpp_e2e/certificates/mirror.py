"""A store that is shared, as the synchronous floors see it: what was fetched lately, and what is to be written.

What is read here raises `NotYet` unless it was fetched in the last two seconds. What is written counts here at once,
and is on its way until `keep` has returned: whoever shows something to somebody because of it waits for that first.
Nothing is answered from here while the shared store can't be reached: then `NotYet.wait` ends with `StoreError`.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from slixmpp_e2e.certificates.shared_store import Known, SharedStore
from slixmpp_e2e.certificates.store import (
    CERTIFICATES_PER_JID,
    REVOCATION_LISTS,
    Chain,
    check_decision,
    fingerprint_of,
    list_to_go,
    may_be_first,
    read_identifiers,
)
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import Admission
from slixmpp_e2e.report import Trust
from slixmpp_e2e.tables import Recent
from slixmpp_e2e.waiting import NotYet

#: Seconds that what was fetched is used for: how long it may take until another process' decision counts here.
FRESH: Final = 2.0
#: Seconds that it counts that nothing was found: for the step that asked. Another process may be about to learn it.
_ABSENT: Final = 0.05
_SIZE: Final = 4096


class _Entry:
    """What is kept about a JID, as far as it is known here."""

    def __init__(self, known: Known, expires: float, asked: int) -> None:
        self.certificates = known.certificates
        self.decisions = dict(known.decisions)
        self.announcements = dict(known.announcements)
        self.expires = expires
        #: When the shared store was asked for it (`Mirror._tick`).
        self.asked = asked

    def says_the_same(self, other: "_Entry") -> bool:
        return (self.certificates, self.decisions, self.announcements) == (
            other.certificates,
            other.decisions,
            other.announcements,
        )


@dataclass(slots=True)
class _Write:
    """Something that counts here already, and is to be kept."""

    #: Changes what is known here.
    apply: Callable[[_Entry], None]
    #: Keeps it.
    carry_out: Callable[[], Awaitable[object]]
    #: Whether somebody is shown more because of it, so that it must be kept first.
    decides: bool
    #: Why it is not kept, and never will be.
    failure: Exception | None = None


@dataclass(slots=True)
class _Pending:
    """What is not carried out yet about a JID, in order; one at a time is."""

    lock: AbstractAsyncContextManager[object]
    writes: deque[_Write] = field(default_factory=deque)


class Mirror:
    """A `Store` over a `SharedStore`. `now` is a clock in seconds that never goes back, `new_lock` makes a lock.

    `changed` is called with a JID about which something else is known than before. `admit`, `all_certificates` and
    `all_decisions` are asked of the shared store itself.
    """

    def __init__(
        self,
        shared: SharedStore,
        now: Callable[[], float],
        new_lock: Callable[[], AbstractAsyncContextManager[object]],
    ) -> None:
        self.shared = shared
        self.changed: Callable[[str], None] = lambda _jid: None
        self._now = now
        self._new_lock = new_lock
        self._entries: Recent[str, _Entry] = Recent(_SIZE)
        self._found: Recent[bytes, tuple[float, tuple[bytes, ...]]] = Recent(_SIZE)
        self._pending: dict[str, _Pending] = {}
        #: When something was kept about a JID, or could not be (`_tick`).
        self._written: Recent[str, int] = Recent(_SIZE)
        self._ticks = 0
        #: Revocation lists that are not kept yet.
        self._lists: deque[tuple[bytes, bytes]] = deque()
        self._settling = False
        self._is_open = self._is_closed = False

    def __len__(self) -> int:
        pending = sum(len(each.writes) for each in self._pending.values())
        return len(self._entries) + len(self._found) + len(self._written) + pending

    def _tick(self) -> int:
        """Return a number that is larger than all before: what happened first, whatever time it is."""
        self._ticks += 1
        return self._ticks

    # ------------------------------------------------------------------ fetching

    @contextmanager
    def settling(self) -> Iterator[None]:
        """Let what is known count however old it is: for a step that follows a fresh one and is done once."""
        self._settling = True
        try:
            yield
        finally:
            self._settling = False

    def _entry(self, jid: str) -> _Entry:
        entry = self._entries.get(jid)
        if entry is not None and (self._settling or self._now() < entry.expires):
            return entry
        if self._settling:
            raise StoreError(f"what is kept about {jid} was forgotten meanwhile")
        raise NotYet(partial(self.fetch, jid))

    async def _open(self) -> None:
        if self._is_closed:
            raise StoreError("the shared store was closed")
        if not self._is_open:
            await self.shared.open()
            self._is_open = True

    async def fetch(self, jid: str) -> None:
        """Ask the shared store about a JID; raise `StoreError`."""
        await self._open()
        while True:
            asked = self._tick()
            known = await self.shared.load(jid)
            if (self._written.get(jid) or 0) < asked:
                break  # else what was kept meanwhile may be missing in it
        before = self._entries.get(jid)
        if before is not None and before.asked > asked:
            return  # who asked later has his answer already
        entry = _Entry(known, self._now() + FRESH, asked)
        if jid in self._pending:
            for write in self._pending[jid].writes:
                write.apply(entry)
        self._entries.put(jid, entry)
        if before is not None and not before.says_the_same(entry):
            self.changed(jid)

    def certificates(self, jid: str) -> tuple[Chain, ...]:
        """See `Store`."""
        return self._entry(jid).certificates

    def decisions(self, jid: str) -> Mapping[bytes, Trust]:
        """See `Store`."""
        return dict(self._entry(jid).decisions)

    def announcements(self, jid: str) -> Mapping[bytes, bytes]:
        """See `Store`."""
        return dict(self._entry(jid).announcements)

    def find_certificates(self, identifier: bytes) -> tuple[bytes, ...]:
        """See `Store`."""
        found = self._found.get(identifier)
        if found is None or found[0] <= self._now():
            raise NotYet(partial(self._find, identifier))
        return found[1]

    async def _find(self, identifier: bytes) -> None:
        await self._open()
        found = await self.shared.find_certificates(identifier)
        self._found.put(identifier, (self._now() + (FRESH if found else _ABSENT), found))

    # ------------------------------------------------------------------ writing

    def keep(self, jid: str) -> Awaitable[None]:
        """Carry out what was written about a JID until now; raise `StoreError` if a decision of it can't be kept.

        Then nothing that is known here counts any more: it is fetched again. What else can't be kept will be
        learned again.
        """
        pending = self._pending.get(jid)
        return self._keep(jid, pending, () if pending is None else tuple(pending.writes))

    async def _keep(self, jid: str, pending: _Pending | None, writes: Iterable[_Write]) -> None:
        if self._lists:
            await self._keep_lists()
        if pending is None:
            return
        async with pending.lock:
            await self._carry_out(jid, pending)
        for write in writes:  # whoever it was that tried
            if write.decides and write.failure is not None:
                raise StoreError(str(write.failure)) from write.failure

    async def _carry_out(self, jid: str, pending: _Pending) -> None:
        while pending.writes:
            try:
                await self._open()
                await pending.writes[0].carry_out()
            except Exception as error:  # noqa: BLE001 whatever it is, nothing of it is kept
                self._forget(jid, pending, error)
            else:
                pending.writes.popleft()
            finally:
                self._written.put(jid, self._tick())
        if self._pending.get(jid) is pending:
            del self._pending[jid]

    def _forget(self, jid: str, pending: _Pending, error: Exception) -> None:
        """Give up what is pending: the later ones may rest on the first."""
        for write in pending.writes:
            write.failure = error
        pending.writes.clear()
        self._entries.pop(jid)
        self.changed(jid)

    def _write(
        self,
        jid: str,
        apply: Callable[[_Entry], None],
        carry_out: Callable[[], Awaitable[object]],
        *,
        decides: bool = False,
    ) -> None:
        if jid not in self._pending:
            self._pending[jid] = _Pending(self._new_lock())
        self._pending[jid].writes.append(_Write(apply, carry_out, decides))
        entry = self._entries.get(jid)
        if entry is not None:
            apply(entry)

    def add_certificate(self, jid: str, chain: Chain) -> bool:
        """See `Store`."""
        if any(each[0] == chain[0] for each in self._entry(jid).certificates):
            return False

        def apply(entry: _Entry) -> None:
            others = (each for each in entry.certificates if each[0] != chain[0])
            entry.certificates = (chain, *others)[:CERTIFICATES_PER_JID]

        async def keep() -> None:
            await self.shared.add_certificate(jid, chain)
            for identifier in filter(None, read_identifiers(chain[0])):
                self._found.pop(identifier)  # it may have been looked for, and not been there

        self._write(jid, apply, keep)
        return True

    def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        """See `Store`."""
        check_decision(trust)

        def apply(entry: _Entry) -> None:
            entry.decisions[fingerprint] = trust

        self._write(jid, apply, partial(self.shared.decide, jid, fingerprint, trust), decides=True)

    def decide_first_use(self, jid: str, fingerprint: bytes) -> bool:
        """See `Store`; where it may be as far as is known here, another process may have been first all the same.

        Then it is not kept, and `keep` raises `StoreError`.
        """
        entry = self._entries.get(jid)
        if entry is not None and not may_be_first(entry.decisions, fingerprint):
            return False

        def apply(entry: _Entry) -> None:
            entry.decisions[fingerprint] = Trust.TOFU

        self._write(jid, apply, partial(self.shared.decide_first_use, jid, fingerprint), decides=True)
        return True

    def decide_if_undecided(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`; what another process decides until it is kept stays."""

        def apply(entry: _Entry) -> None:
            entry.decisions.setdefault(fingerprint, Trust.TOFU)

        keep = partial(self.shared.decide_if_undecided, jid, fingerprint)
        self._write(jid, apply, keep, decides=True)

    def undecide(self, jid: str, fingerprint: bytes) -> None:
        """See `Store`."""

        def apply(entry: _Entry) -> None:
            entry.decisions.pop(fingerprint, None)

        self._write(jid, apply, partial(self.shared.undecide, jid, fingerprint), decides=True)

    def announce(self, jid: str, fingerprint: bytes, value: bytes) -> None:
        """See `Store`."""

        def apply(entry: _Entry) -> None:
            if any(fingerprint_of(chain[0]) == fingerprint for chain in entry.certificates):
                entry.announcements[fingerprint] = value

        self._write(jid, apply, partial(self.shared.announce, jid, fingerprint, value))

    def add_revocation_list(self, key: bytes, der: bytes) -> None:
        """See `Store`; it is carried out with the next `keep`, for whomever."""
        self._lists.append((key, der))
        if len(self._lists) > REVOCATION_LISTS:
            del self._lists[list_to_go([each for each, _ in self._lists])]

    def revocation_lists(self) -> Iterable[bytes]:
        """Return nothing: see `fetch_revocation_lists`."""
        return ()

    async def _keep_lists(self) -> None:
        while self._lists:
            key, der = self._lists.popleft()
            with suppress(StoreError):  # it came with a message, and will again
                await self._open()
                await self.shared.add_revocation_list(key, der)

    # ------------------------------------------------------------------ asked of the shared store itself

    async def fetch_revocation_lists(self) -> Iterable[bytes]:
        """Return the revocation lists that are kept; raise `StoreError`."""
        await self._open()
        return await self.shared.revocation_lists()

    async def take_in(
        self, signer: str, digest: bytes, timestamp: int, received: int, former: bytes | None = None
    ) -> Admission:
        """Ask the shared replay record; see `ReplayRecord.admit`."""
        await self._open()
        return await self.shared.admit(signer, digest, timestamp, received, former)

    async def close_shared(self) -> None:
        """Carry out what can be of what was written, and close the shared store for good."""
        for jid in tuple(self._pending):
            with suppress(StoreError):  # who decided it hears of it
                await self.keep(jid)
        self._is_closed = True
        await self.shared.close()

    def admit(
        self, signer: str, digest: bytes, timestamp: int, received: int, former: bytes | None = None
    ) -> Admission:
        """Raise `StoreError`: whoever asks has to wait."""
        raise _elsewhere()

    def all_certificates(self) -> Iterable[Chain]:
        """Raise `StoreError`: whoever asks has to wait."""
        raise _elsewhere()

    def all_decisions(self) -> Iterable[tuple[str, bytes, Trust]]:
        """Raise `StoreError`: whoever asks has to wait."""
        raise _elsewhere()

    def close(self) -> None:
        """Do nothing: closing the shared store has to be waited for (`close_shared`)."""


def _elsewhere() -> StoreError:
    return StoreError("this is asked of the shared store itself, which has to be waited for")
