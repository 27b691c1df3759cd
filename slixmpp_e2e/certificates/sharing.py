"""Room that CAs share: of who has most something goes, and everybody has his turn.

A CA can make any number of CAs below itself, with any names. So shares are counted from the anchor down: what belongs
to a CA counts for every CA above it too, and of those directly below the same one none takes the room of another.
"""

from collections.abc import Hashable, Iterator, Sequence
from itertools import zip_longest
from typing import Final, Generic, TypeVar

from cryptography.hazmat.primitives import hashes

from slixmpp_e2e.certificates.revocation_status import Path

#: Who an entry belongs to: CAs, from the anchor down.
Branch = tuple[Hashable, ...]
Key = TypeVar("Key")
Value = TypeVar("Value")

_NOBODY: Final = object()


def branch_of(authorities: Path) -> tuple[bytes, ...]:
    """Return a CA and whoever stands above it in a path, the anchor last, as a branch: their SHA-256."""
    return tuple(each.fingerprint(hashes.SHA256()) for each in reversed(authorities))


def first_to_go(branches: Sequence[Branch], weights: Sequence[int] | None = None) -> int:
    """Return the place of the entry that goes: from the anchor down whoever has most, and of his the first.

    There must be one. Without `weights` each counts alike.
    """
    places, depth = list(range(len(branches))), 0
    while True:
        groups: dict[Branch, list[int]] = {}
        for place in places:
            groups.setdefault(branches[place][depth : depth + 1], []).append(place)
        name, places = max(
            groups.items(),
            key=lambda group: len(group[1]) if weights is None else sum(weights[each] for each in group[1]),
        )
        if not name:
            return places[0]
        depth += 1


def in_turns(entries: Sequence[tuple[Branch, Value]]) -> list[Value]:
    """Return entries so that from the anchor down everybody has his turn; those of one CA stay in their order."""
    groups: dict[Branch, list[tuple[Branch, Value]]] = {}
    for branch, entry in entries:
        groups.setdefault(branch[:1], []).append((branch[1:], entry))
    ordered = [in_turns(group) if name else [entry for _, entry in group] for name, group in groups.items()]
    rounds = zip_longest(*ordered, fillvalue=_NOBODY)
    return [each for turn in rounds for each in turn if each is not _NOBODY]  # type: ignore[misc]


class Shares(Generic[Key, Value]):
    """Keeps no more than `size` entries, and, if they have weights, no more than `weight` altogether."""

    def __init__(self, size: int, weight: int | None = None) -> None:
        self._size = size
        self._weight = weight
        self._entries: dict[Key, tuple[Value, Branch, int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._entries))

    def get(self, key: Key) -> Value | None:
        """Return the value, or None."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: Key, value: Value, branch: Branch, weight: int = 0) -> tuple[Key, ...]:
        """Keep a value as the newest, instead of what the key had; return the keys of what had to go."""
        self._entries.pop(key, None)
        self._entries[key] = value, branch, weight
        gone = []
        while len(self._entries) > self._size:
            gone.append(self._drop(by_weight=False))
        if self._weight is not None:
            while sum(each for *_, each in self._entries.values()) > self._weight:
                gone.append(self._drop(by_weight=True))
        return tuple(gone)

    def pop(self, key: Key) -> None:
        """Forget what the key had, if anything."""
        self._entries.pop(key, None)

    def _drop(self, *, by_weight: bool) -> Key:
        branches = [branch for _, branch, _ in self._entries.values()]
        weights = [weight for *_, weight in self._entries.values()]
        place = first_to_go(branches, weights if by_weight else None)
        key = list(self._entries)[place]
        del self._entries[key]
        return key
