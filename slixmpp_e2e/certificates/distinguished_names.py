"""Distinguished names, and whether one lies below another (RFC 5280 7.1, RFC 4518).

Values are compared as text whatever string type they have, without regard to case and to insignificant spaces. What
can't be compared so (a value that is no string, TeletexString beyond ASCII, characters that RFC 4518 prohibits) is an
error and not a difference: a subtree may be forbidden, and then a difference would be a permission.
"""

import re
import stringprep
from typing import Final
from unicodedata import ucd_3_2_0 as unicode

from slixmpp_e2e.cms.asn1 import OID, SEQUENCE, SET, UTF8_STRING, ASN1Error, Reader

_ENCODINGS: Final = {
    UTF8_STRING: "utf-8",
    0x12: "ascii",  # NumericString
    0x13: "ascii",  # PrintableString
    0x14: "ascii",  # TeletexString: beyond ASCII everybody reads something else in it
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}
_MAX_RDNS: Final = 32
_MAX_ATTRIBUTES: Final = 16
#: Of one value, as it stands and as NFKC writes it out (one character may become 18): preparing text takes time.
_MAX_CHARACTERS: Final = 512
#: RFC 4518 2.2: what stands for a space, and what for nothing.
_SPACES: Final = re.compile("[\t\n\v\f\r\u0085]")
_NOTHING: Final = re.compile(
    "[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u06dd\u070f\u1806\u180b-\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2063\u206a-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffc\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
#: RFC 4518 2.4.
_PROHIBITED: Final = (
    stringprep.in_table_a1,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c8,
)

#: The types and values of one RDN: an OBJECT IDENTIFIER, whole, and the octets of an AttributeValue.
Attributes = tuple[tuple[bytes, bytes], ...]


def prepare(text: str) -> str:
    """Return a text as RFC 4518 prepares it for caseIgnoreMatch, with single spaces; raise `ASN1Error`.

    What differs in nothing that matters becomes the same. A longer text than anybody's is an error, too.
    """
    if len(text) > _MAX_CHARACTERS or len(unicode.normalize("NFKC", text)) > _MAX_CHARACTERS:
        raise ASN1Error("a name with a longer value than anybody needs")
    mapped = _NOTHING.sub("", _SPACES.sub(" ", text))
    mapped = "".join(
        " " if unicode.category(each)[0] == "Z" else stringprep.map_table_b2(each) for each in mapped
    )
    normal = unicode.normalize("NFKC", mapped)
    if any(each == "\ufffd" or any(table(each) for table in _PROHIBITED) for each in normal):
        raise ASN1Error("a name with a character that has no place in names")
    # RFC 4518 2.6.1: a space that bears a combining mark is no space
    marked = (
        "\0" if each == " " and unicode.category(after)[0] == "M" else each
        for each, after in zip(normal, f"{normal[1:]}.", strict=False)
    )
    return " ".join(filter(None, "".join(marked).split(" "))).replace("\0", " ")


def read_text(value: bytes) -> str:
    """Return the text of an AttributeValue that is a string, whole, as it stands; raise `ASN1Error`."""
    reader = Reader(value)
    encoding = _ENCODINGS.get(reader.peek())
    if encoding is None:
        raise ASN1Error("a name with a value that is no text")
    text = reader.contents(reader.peek())
    reader.finish()
    try:
        return text.decode(encoding)
    except UnicodeDecodeError as error:
        raise ASN1Error(f"a name with a value that is not in its encoding: {error.reason}") from None


class DistinguishedName:
    """A Name; its values are looked at when they are compared, and once. Raises `ASN1Error`."""

    def __init__(self, der: bytes) -> None:
        outer = Reader(der)
        inside = outer.enter()
        outer.finish()
        #: From the root down.
        self.rdns = tuple(_attributes(each) for each in inside.each(SET, limit=_MAX_RDNS))
        self._prepared: dict[int, list[tuple[bytes, str]]] = {}

    def is_within(self, base: "DistinguishedName") -> bool:
        """Tell whether this is `base` or lies below it; raise `ASN1Error` for what can't be compared."""
        depth = len(base.rdns)
        return depth <= len(self.rdns) and all(self._is_equal(base, place) for place in range(depth))

    def _is_equal(self, other: "DistinguishedName", place: int) -> bool:
        mine, theirs = self.rdns[place], other.rdns[place]
        if mine == theirs:
            return True
        if sorted(kind for kind, _ in mine) != sorted(kind for kind, _ in theirs):
            return False
        return self.prepared(place) == other.prepared(place)

    def prepared(self, place: int) -> list[tuple[bytes, str]]:
        """Return types and values of one RDN as they are compared; raise `ASN1Error`."""
        if place not in self._prepared:
            attributes = self.rdns[place]
            self._prepared[place] = sorted((kind, prepare(read_text(value))) for kind, value in attributes)
        return self._prepared[place]


def _attributes(rdn: Reader) -> Attributes:
    found = []
    for attribute in rdn.each(SEQUENCE, limit=_MAX_ATTRIBUTES):
        found.append((attribute.element(OID), attribute.element()))
        attribute.finish()
    if not found:
        raise ASN1Error("a name with an empty part")
    return tuple(found)
