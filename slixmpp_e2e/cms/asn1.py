"""DER out; strict, bounded DER in; BER only through a normaliser (X.690).

Reading is driven by the schema, not by the data: a `Reader` walks one constructed value, and only the code
that knows a structure steps into it. So depth is bounded by our own code, and every value stays the octets
that arrived, which is what signatures need. Anything that is not DER raises `BERError`; the caller may then
run `ber_to_der` once and read again.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, TypeVar

Value = TypeVar("Value")

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
UTF8_STRING: Final = 0x0C
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31
#: A context tag as it stands on the wire: `CONTEXT + n` primitive, `CONSTRUCTED + n` constructed.
CONTEXT: Final = 0x80
CONSTRUCTED: Final = 0xA0

_MAX_DEPTH: Final = 32
_MAX_ELEMENTS: Final = 20_000


class ASN1Error(ValueError):
    """The octets are not the structure that was expected."""


class BERError(ASN1Error):
    """The octets may be BER but are not DER: indefinite or overlong lengths, strings in pieces."""


# --------------------------------------------------------------------------- writing


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return the DER encoding of one value: its tag, its length, the joined `parts`."""
    value = parts[0] if len(parts) == 1 else b"".join(parts)
    length = len(value)
    if length < 0x80:
        return bytes((tag, length)) + value
    if length < 0x100:
        return bytes((tag, 0x81, length)) + value
    if length < 0x10000:
        return bytes((tag, 0x82, length >> 8, length & 0xFF)) + value
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + value


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE."""
    return tlv(SEQUENCE, *parts)


def set_of(parts: Iterable[bytes]) -> bytes:
    """Return a SET OF in the order that DER demands (X.690 11.6)."""
    return tlv(SET, *sorted(parts))


def integer(value: int) -> bytes:
    """Return an INTEGER."""
    return tlv(
        INTEGER, value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True)
    )


def octet_string(value: bytes) -> bytes:
    """Return a primitive OCTET STRING."""
    return tlv(OCTET_STRING, value)


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER with tag and length."""
    first, second, *rest = map(int, dotted.split("."))
    encoded = bytearray()
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        encoded.extend(reversed(groups))
    return tlv(OID, bytes(encoded))


def time(moment: datetime) -> bytes:
    """Return a Time: UTCTime through 2049, GeneralizedTime from then on (RFC 5652 11.3)."""
    moment = moment.astimezone(UTC)
    if 1950 <= moment.year < 2050:
        return tlv(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(GENERALIZED_TIME, f"{moment.year:04}".encode(), moment.strftime("%m%d%H%M%SZ").encode())


# --------------------------------------------------------------------------- reading


def _long_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the contents begin and how long they are; `at` is behind a first length octet >= 0x80."""
    size = data[at - 1] & 0x7F
    if size == 0:
        raise BERError("an indefinite length")
    if size > 8 or at + size > end:
        raise ASN1Error("a length that does not fit")
    length = int.from_bytes(data[at : at + size], "big")
    if length < 0x80 or length >> (8 * (size - 1)) == 0:
        raise BERError("a length longer than it needs to be")
    return at + size, length


class Reader:
    """A cursor over the values inside one constructed value.

    Every method moves behind the value it returns and raises `ASN1Error` when the value is another one than
    asked for, or does not fit; `BERError` when it is not DER.
    """

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self._data = data
        self._at = at
        self._end = len(data) if end is None else end

    def __bool__(self) -> bool:
        return self._at < self._end

    @property
    def position(self) -> int:
        """How many octets of the data lie behind the cursor."""
        return self._at

    def peek(self) -> int:
        """Return the tag of the next value, or -1 at the end; nothing moves."""
        return self._data[self._at] if self._at < self._end else -1

    def _next(self, tag: int) -> int:
        """Move behind the next value and return where its contents begin."""
        data, at, end = self._data, self._at + 2, self._end
        if at > end:
            raise ASN1Error("a value is missing or cut off")
        if data[at - 2] != tag:
            self._refuse(tag)
        length = data[at - 1]
        if length >= 0x80:
            if length == 0x82 and at + 2 <= end and data[at]:  # these two are most of them: no call
                length = data[at] << 8 | data[at + 1]
                at += 2
            elif length == 0x81 and at < end and data[at] >= 0x80:
                length = data[at]
                at += 1
            else:
                at, length = _long_length(data, at, end)
        self._at = at + length
        if self._at > end:
            raise ASN1Error("a value is cut off")
        return at

    def _refuse(self, tag: int) -> None:
        found = self._data[self._at]
        if found == tag | 0x20:
            raise BERError("a string in pieces")
        raise ASN1Error(f"tag {found:#04x} where {tag:#04x} belongs")

    def enter(self, tag: int = SEQUENCE) -> "Reader":
        """Return a reader for the values inside the next value."""
        start = self._next(tag)
        return Reader(self._data, start, self._at)

    @classmethod
    def inside(cls, data: bytes, tag: int = SEQUENCE) -> "Reader":
        """Return a reader for the values inside the one value that `data` is."""
        reader = cls(data)
        start = reader._next(tag)
        reader.finish()
        reader._at = start
        return reader

    def explicit(self, number: int, tag: int = SEQUENCE) -> "Reader":
        """Return a reader for the values inside the one value that the next value, `[number] EXPLICIT`, holds."""
        inside = Reader(self._data, self._next(CONSTRUCTED + number), self._at)
        start = inside._next(tag)
        inside.finish()
        inside._at = start
        return inside

    def content_info(self, types: Container[bytes]) -> tuple[bytes, "Reader"]:
        """Return the type of a ContentInfo (RFC 5652 3), one of `types`, and a reader for its content, a SEQUENCE."""
        inside = Reader(self._data, self._next(SEQUENCE), self._at)
        kind = inside.element(OID)
        if kind not in types:
            raise ASN1Error("another content type")
        for tag in (CONSTRUCTED, SEQUENCE):  # EXPLICIT: one in the other, and nothing behind either
            start = inside._next(tag)
            inside.finish()
            inside._at = start
        return kind, inside

    def element_and_inside(self, tag: int) -> tuple[bytes, "Reader"]:
        """Return the next value, whole, and a reader for the values inside it."""
        first = self._at
        start = self._next(tag)
        return self._data[first : self._at], Reader(self._data, start, self._at)

    def contents(self, tag: int) -> bytes:
        """Return the contents of the next value."""
        return self._data[self._next(tag) : self._at]

    def element(self, tag: int | None = None) -> bytes:
        """Return the next value, whole, with tag and length."""
        data, first, stop = self._data, self._at, self._at + 2
        if tag is None:
            tag = self.peek()
            if tag & 0x1F == 0x1F:  # also at the end
                raise ASN1Error("a value is missing, or has a tag number above 30")
        elif stop <= self._end and data[first] == tag and data[first + 1] < 0x80:  # most of them: no call
            stop += data[first + 1]
            if stop <= self._end:
                self._at = stop
                return data[first:stop]
        self._next(tag)
        return data[first : self._at]

    def elements(self, *, limit: int) -> list[bytes]:
        """Return all values that are left, whole; more than `limit` is an error."""
        found: list[bytes] = []
        while self._at < self._end:
            if len(found) == limit:
                raise ASN1Error(f"more than {limit} values")
            found.append(self.element())
        return found

    def each(self, tag: int = SEQUENCE, *, limit: int) -> list["Reader"]:
        """Return a reader for the inside of each value that is left; more than `limit` is an error."""
        found: list[Reader] = []
        while self._at < self._end:
            if len(found) == limit:
                raise ASN1Error(f"more than {limit} values")
            start = self._next(tag)
            found.append(Reader(self._data, start, self._at))
        return found

    def pairs(self, first: int, second: int, *, limit: int) -> list[tuple[bytes, bytes]]:
        """Return all that is left: SEQUENCEs of two values, each of them whole; more than `limit` is an error."""
        found: list[tuple[bytes, bytes]] = []
        end = self._end
        while self._at < end:
            if len(found) == limit:
                raise ASN1Error(f"more than {limit} values")
            self._at, self._end = self._next(SEQUENCE), self._at
            found.append((self.element(first), self.element(second)))
            self.finish()
            self._end = end
        return found

    def integer(self, *, maximum: int = 1 << 64) -> int:
        """Return a non-negative INTEGER."""
        data, at = self._data, self._at
        if at + 3 <= self._end and data[at] == INTEGER and data[at + 1] == 1 and data[at + 2] < 0x80:
            value = data[at + 2]  # the versions: no call
            if value <= maximum:
                self._at = at + 3
                return value
        contents = self.contents(INTEGER)
        value = int.from_bytes(contents, "big", signed=True)
        if not 0 <= value <= maximum or len(contents) != value.bit_length() // 8 + 1:  # X.690 8.3.2
            raise ASN1Error("a number out of range, or longer than it needs to be")
        return value

    def implicit_octets(self, number: int) -> bytes:
        """Return an OCTET STRING tagged `[number] IMPLICIT`, also where BER has cut it into pieces."""
        if self.peek() == CONTEXT + number:
            return self.contents(CONTEXT + number)
        inside = self.enter(CONSTRUCTED + number)
        pieces = []
        while inside:
            pieces.append(inside.contents(OCTET_STRING))
        return b"".join(pieces)

    def finish(self) -> None:
        """Raise unless everything has been read."""
        if self._at < self._end:
            raise ASN1Error("something is left over")


def read_time(data: Reader) -> datetime:
    """Return a Time in the one form that DER and RFC 5652 11.3 allow: to the second, in UTC."""
    tag = data.peek()
    text = data.contents(UTC_TIME if tag == UTC_TIME else GENERALIZED_TIME)
    if not (text[-1:] == b"Z" and text[:-1].isdigit() and len(text) == (13 if tag == UTC_TIME else 15)):
        raise ASN1Error("a malformed time")
    if tag == UTC_TIME:  # RFC 5652 11.3: YY >= 50 is 19YY
        text = (b"19" if text >= b"5" else b"20") + text
    try:
        if text[8:10] == b"24":  # ISO 8601 has it, Python from 3.14 on
            raise ValueError
        return datetime.fromisoformat(f"{text[:8].decode()}T{text[8:].decode()}")
    except ValueError:
        raise ASN1Error("a time that does not exist") from None


# --------------------------------------------------------------------------- BER


def read_der_or_ber(data: bytes, read: Callable[[Reader], Value]) -> tuple[Value, int | None]:
    """Return what `read` makes of the value at the start of `data`, rewritten first if it is not DER.

    Returns with it how many octets the value took, where it had to be rewritten; where not, the reader knows.
    """
    try:
        return read(Reader(data)), None
    except BERError:
        der, size = ber_to_der(data)
        return read(Reader(der)), size


def begins_in_ber(data: bytes) -> bool:
    """Tell whether the first value has a length that DER has not; what else is wrong does not matter."""
    try:
        Reader(data)._next(SEQUENCE)  # noqa: SLF001
    except BERError:
        return True
    except ASN1Error:
        return False
    return False


def ber_to_der(data: bytes) -> tuple[bytes, int]:
    """Rewrite one BER value with DER lengths and whole strings.

    Returns the value and the number of octets of `data` that it took; what follows is for the caller to
    judge. The order inside a SET OF is left as it came. Raises `ASN1Error`; depth and number of values are
    bounded.
    """
    budget = iter(range(_MAX_ELEMENTS))
    value, end = _rewrite(data, 0, len(data), 0, budget)
    return value, end


def _rewrite(data: bytes, start: int, end: int, depth: int, budget: Iterator[int]) -> tuple[bytes, int]:
    if next(budget, None) is None:
        raise ASN1Error("too many values")
    if depth > _MAX_DEPTH:
        raise ASN1Error("nested too deeply")
    if start + 2 > end:
        raise ASN1Error("a value is missing or cut off")
    tag, length = data[start], data[start + 1]
    if tag & 0x1F == 0x1F:
        raise ASN1Error("a tag number above 30")
    start += 2
    indefinite = length == 0x80
    if indefinite and not tag & 0x20:
        raise ASN1Error("a primitive value without a length")
    if length > 0x80:
        size = length & 0x7F
        if size > 8 or start + size > end:
            raise ASN1Error("a length that does not fit")
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    stop = end if indefinite else start + length
    if stop > end:
        raise ASN1Error("a value is cut off")
    if not tag & 0x20:
        return tlv(tag, data[start:stop]), stop
    parts = []
    while True:
        if indefinite and data[start : start + 2] == b"\0\0":
            start += 2
            break
        if not indefinite and start == stop:
            break
        part, start = _rewrite(data, start, stop, depth + 1, budget)
        parts.append(part)
    if tag == OCTET_STRING | 0x20:
        whole = b"".join(Reader(part).contents(OCTET_STRING) for part in parts)
        return octet_string(whole), start
    return tlv(tag, *parts) if parts else tlv(tag, b""), start
