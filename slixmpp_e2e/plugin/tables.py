"""A map with a time to live and a largest size: what is remembered of the stream never grows for good."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


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

    def update(self, key: Key, value: Value) -> None:
        """Change a value without making it live longer."""
        if key in self._entries:
            self._entries[key] = self._entries[key][0], value

    def get(self, key: Key) -> Value | None:
        """Return the value, or None."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and entry[0] > self._now() else None

    def pop(self, key: Key) -> Value | None:
        """Return the value and forget it, or None."""
        value = self.get(key)
        self._entries.pop(key, None)
        return value
