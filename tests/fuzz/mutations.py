"""Changes of octets, of text, and of DER whose lengths are right again: the same ones for the same seed.

Nothing here looks at what the reader does with them (`guided` does); it is quick, and needs nothing installed.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from slixmpp_e2e.cms.asn1 import tlv
from tests.fuzz.der import Place, places

_INTERESTING = (
    0,
    1,
    2,
    4,
    5,
    6,
    10,
    13,
    0x20,
    0x2E,
    0x30,
    0x31,
    0x3C,
    0x7F,
    0x80,
    0x81,
    0x82,
    0x84,
    0xA0,
    0xA3,
    0xFE,
    0xFF,
)
_TAGS = (
    *(0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A, 0x0C, 0x13, 0x16, 0x17, 0x18, 0x1E, 0x24, 0x30, 0x31),
    *(0x80, 0x82, 0xA0, 0xA1, 0xA2, 0xBF),
)
_TOKENS = (
    b"", b" ", b"\r\n", b"\n", b"\r\n\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"--", b";", b"=", b'"', b"\\", b"<",
    b">", b"&", b"&#0;", b"&amp;", b"]]>", b"<![CDATA[", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<?a?>", b"xmlns=''",
    b"/>", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xe3\x80\x82", b"xn--", b"%00", b"%", b"9" * 40, b"-1", b"Z",
    b"+24:00", b"T24:00:60.", b"multipart/signed", b"quoted-printable", b"base64", b"binary", b"\\u0000", b"NS: <a>",
    b"a" * 300,
)  # fmt: skip
_WORDS = re.compile(rb"[A-Za-z0-9_.:/+-]{1,40}|[^A-Za-z0-9_.:/+-]{1,4}")
_LONGEST = 1 << 16


@dataclass(slots=True)
class Mutator:
    """Draws changed inputs from a corpus. None is longer than 64 KiB."""

    corpus: Sequence[bytes]
    random: random.Random
    #: Of the inputs of the corpus that are DER.
    _places: dict[int, tuple[Place, ...]] = field(init=False)
    _words: list[list[bytes]] = field(init=False)

    def __post_init__(self) -> None:
        if not self.corpus:
            raise ValueError("an empty corpus")
        self._places = {at: found for at, data in enumerate(self.corpus) if len(found := places(data)) > 1}
        self._words = [_WORDS.findall(data[:4096]) for data in self.corpus]

    def draw(self) -> bytes:
        """Return an input of the corpus with one to four changes."""
        at = self.random.randrange(len(self.corpus))
        data = self.corpus[at]
        changes = self.random.choice((1, 1, 1, 2, 2, 4))
        if at in self._places and self.random.random() < 0.7:
            data = self._change_value(data, self.random.choice(self._places[at]))
            changes -= 1
            if changes and self.random.random() < 0.6 and (more := places(data)):
                data = self._change_value(data, self.random.choice(more))
                changes -= 1
        for _ in range(changes):
            data = self.change(data)
        return data[:_LONGEST]

    def change(self, data: bytes) -> bytes:
        """Return octets with one change somewhere, which may be none."""
        draw = self.random
        at = draw.randrange(len(data) + 1)
        to = min(len(data), at + draw.choice((1, 1, 2, 4, 8, 16, 64, 400)))
        match draw.randrange(11):
            case 0 if at < len(data):
                return data[:at] + bytes((data[at] ^ 1 << draw.randrange(8),)) + data[at + 1 :]
            case 1 if at < len(data):
                return data[:at] + bytes((draw.choice(_INTERESTING),)) + data[at + 1 :]
            case 2:
                return data[:at] + draw.randbytes(draw.choice((1, 2, 4, 16))) + data[at:]
            case 3:
                return data[:at] + data[to:]
            case 4:
                return data[:at] + data[at:to] * draw.choice((2, 3, 40)) + data[to:]
            case 5:
                return data[:at]
            case 6:
                return data[:at] + draw.choice(_TOKENS) + data[at:]
            case 7:
                return data[:at] + draw.choice(_TOKENS) + data[to:]
            case 8:  # splice
                other = draw.choice(self.corpus)
                start = draw.randrange(len(other) + 1)
                return data[:at] + other[start : start + draw.choice((8, 64, 4096))] + data[to:]
            case 9:
                return self._change_word(data)
        return data[:at] + data[to : 2 * to - at] + data[at:to] + data[2 * to - at :]

    def _change_word(self, data: bytes) -> bytes:
        """Put another word in the place of one, there or wherever it stands."""
        mine, theirs = (
            _WORDS.search(data, self.random.randrange(len(data) + 1)),
            self.random.choice(self._words),
        )
        if mine is None or not theirs:
            return data
        new = self.random.choice(theirs)
        if self.random.random() < 0.3:
            return data.replace(mine[0], new)
        return data[: mine.start()] + new + data[mine.end() :]

    def _change_value(self, data: bytes, place: Place) -> bytes:
        return place.replace(data, self._changed_value(data, place))

    def _changed_value(self, data: bytes, place: Place) -> bytes:
        """Return what stands for a value from now on."""
        draw = self.random
        value, contents = data[place.start : place.end], data[place.contents : place.end]
        tag = data[place.start]
        match draw.randrange(12):
            case 0:
                return b""
            case 1:
                return value * draw.choice((2, 2, 3, 70))
            case 2:
                return tlv(draw.choice(_TAGS), contents)
            case 3:
                return tlv(tag, self.change(contents))
            case 4:
                return tlv(tag, b"")
            case 5:  # one of another input, or of this one
                return self._any_value() or value
            case 6:
                return value + (self._any_value() or b"")
            case 7:
                return tlv(draw.choice((0x30, 0x31, 0xA0, 0xA1, 0x24)), value)
            case 8:  # BER: without a length
                return bytes((tag | 0x20, 0x80)) + (contents if tag & 0x20 else value) + b"\0\0"
            case 9:  # BER: a length longer than it needs to be
                return bytes((tag, 0x84)) + len(contents).to_bytes(4, "big") + contents
            case 10:  # BER: in pieces
                half = len(contents) // 2
                return tlv(tag | 0x20, tlv(tag & 0x1F or 4, contents[:half]), tlv(4, contents[half:]))
        return tlv(
            tag, draw.choice((b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\0" * 20, b"\x80", draw.randbytes(32)))
        )

    def _any_value(self) -> bytes | None:
        if not self._places:
            return None
        at = self.random.choice(list(self._places))
        place = self.random.choice(self._places[at])
        return self.corpus[at][place.start : place.end]
