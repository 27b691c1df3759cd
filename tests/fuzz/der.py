"""Where the values of a DER encoding stand, and how one is replaced so that the lengths around it are right again."""

from dataclasses import dataclass

from slixmpp_e2e.cms.asn1 import tlv

_MOST = 4000


@dataclass(frozen=True, slots=True)
class Place:
    """Where one value stands; `around` are the places of the values that hold it, the innermost first."""

    start: int
    contents: int
    end: int
    around: tuple["Place", ...]

    def replace(self, data: bytes, value: bytes) -> bytes:
        """Return `data` with another value here, and with the lengths that belong to it."""
        start, end = self.start, self.end
        for each in self.around:
            value = tlv(data[each.start], data[each.contents : start] + value + data[end : each.end])
            start, end = each.start, each.end
        return data[:start] + value + data[end:]


def places(data: bytes) -> tuple[Place, ...]:
    """Return the places of all values, also of those inside octet and bit strings; nothing for what is not DER."""
    found: list[Place] = []
    _walk(data, 0, len(data), (), found)
    return tuple(found)


def _walk(data: bytes, at: int, end: int, around: tuple[Place, ...], found: list[Place]) -> bool:
    """Add the places between two offsets; tell whether nothing but whole values stands there."""
    before = len(found)
    while at < end:
        place = _place(data, at, end, around)
        if place is None or len(found) >= _MOST:
            del found[before:]
            return False
        found.append(place)
        if data[at] & 0x20:
            _walk(data, place.contents, place.end, (place, *around), found)
        elif data[at] in {0x03, 0x04, 0x80}:  # what may hold an encoding
            inside = place.contents + (data[at] == 0x03)
            if place.end - inside > 2 and data[inside] in {0x02, 0x03, 0x30, 0x31}:
                _walk(data, inside, place.end, (place, *around), found)
        at = place.end
    return True


def _place(data: bytes, at: int, end: int, around: tuple[Place, ...]) -> Place | None:
    if at + 2 > end:
        return None
    length, contents = data[at + 1], at + 2
    if length >= 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4 or contents + size > end:
            return None
        length = int.from_bytes(data[contents : contents + size], "big")
        contents += size
    return Place(at, contents, contents + length, around) if contents + length <= end else None
