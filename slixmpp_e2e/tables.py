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
