"""Maps that never grow for good: what is remembered of peers and of the stream is bounded."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Keeps the `size` entries that were used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._entries))

    def put(self, key: Key, value: Value) -> None:
        """Remember a value."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def get(self, key: Key) -> Value | None:
        """Return the value, or None; it counts as used."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def pop(self, key: Key) -> Value | None:
        """Return the value and forget it, or None."""
        return self._entries.pop(key, None)


class Table(Generic[Key, Value]):
    """Entries disappear after `seconds`, and the oldest one when there are more than `size`."""

    def __init__(self, seconds: float, size: int, now: Callable[[], float]) -> None:
        self._seconds = seconds
        self._size = size
        self._now = now
        self._entries: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: Key, value: Value) -> None:
        """Remember a value."""
        now = self._now()
        self._entries.pop(key, None)
        self._entries[key] = now + self._seconds, value
        while self._entries:
            first = next(iter(self._entries))
            if len(self._entries) <= self._size and self._entries[first][0] > now:
                break
            del self._entries[first]

    def get(self, key: Key) -> Value | None:
        """Return the value, or None."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and entry[0] > self._now() else None

    def pop(self, key: Key) -> Value | None:
        """Return the value and forget it, or None."""
        value = self.get(key)
        self._entries.pop(key, None)
        return value


class SharedTable(Generic[Key, Value]):
    """A table that nobody can take from others by filling it: every entry is held by somebody.

    Entries disappear after `seconds`. When there are more than `size`, the oldest one goes of whoever holds the
    most; of several who hold as many, of him who put one in longest ago. So who holds no more than `size` divided
    by the number of holders loses nothing, whatever the others do. Every call takes the same time, however much
    there is.
    """

    def __init__(self, seconds: float, size: int, now: Callable[[], float]) -> None:
        self._seconds = seconds
        self._size = size
        self._now = now
        self._entries: OrderedDict[Key, tuple[float, Value, str]] = OrderedDict()
        #: What everybody holds, the oldest first.
        self._held: dict[str, OrderedDict[Key, None]] = {}
        #: Who holds how many, by their number.
        self._ranks: dict[int, OrderedDict[str, None]] = {}
        self._most = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: Key, value: Value, holder: str) -> None:
        """Remember a value that somebody holds."""
        now = self._now()
        known = self._entries.get(key)
        if known is not None and known[2] != holder:
            self._drop(key)
            known = None
        self._entries[key] = now + self._seconds, value, holder
        if known is not None:
            self._entries.move_to_end(key)
            held = self._held[holder]
            held.move_to_end(key)
            self._ranks[len(held)].move_to_end(holder)
        else:
            held = self._held.setdefault(holder, OrderedDict())
            held[key] = None
            self._rank(holder, len(held) - 1, len(held))
        while self._entries:
            first = next(iter(self._entries))
            if self._entries[first][0] > now:
                break
            self._drop(first)
        if len(self._entries) > self._size:
            largest = next(iter(self._ranks[self._most]))
            self._drop(next(iter(self._held[largest])))

    def get(self, key: Key) -> Value | None:
        """Return the value, or None."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and entry[0] > self._now() else None

    def pop(self, key: Key) -> Value | None:
        """Return the value and forget it, or None."""
        value = self.get(key)
        if key in self._entries:
            self._drop(key)
        return value

    def _drop(self, key: Key) -> None:
        _, _, holder = self._entries.pop(key)
        held = self._held[holder]
        del held[key]
        if not held:
            del self._held[holder]
        self._rank(holder, len(held) + 1, len(held))

    def _rank(self, holder: str, before: int, after: int) -> None:
        """Let somebody be among those who hold as many as he does now; it is one more or one less than before."""
        if before:
            ranked = self._ranks[before]
            del ranked[holder]
            if not ranked:
                del self._ranks[before]
        if after:
            self._ranks.setdefault(after, OrderedDict())[holder] = None
        if after > self._most or self._most not in self._ranks:
            self._most = after
