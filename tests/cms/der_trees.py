"""Values for hypothesis: trees of ASN.1 values, in the one DER encoding and in the many of BER."""

from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

from slixmpp_e2e.cms.asn1 import OCTET_STRING, Reader, tlv


@dataclass(frozen=True, slots=True)
class Primitive:
    """A value with contents octets."""

    tag: int
    contents: bytes


@dataclass(frozen=True, slots=True)
class Constructed:
    """A value that consists of values."""

    tag: int
    children: tuple["Primitive | Constructed", ...]


Tree = Primitive | Constructed

#: Class and number of a tag of one octet; the universal number 0 means the end of a value in BER.
_CLASS_AND_NUMBER = st.builds(lambda kind, number: kind << 6 | number, st.integers(0, 3), st.integers(1, 30))
primitives = st.builds(Primitive, _CLASS_AND_NUMBER, st.binary(max_size=200))
octet_strings = st.builds(Primitive, st.just(OCTET_STRING), st.binary(max_size=600))
#: A constructed OCTET STRING is a string in pieces, which DER has not.
_CONSTRUCTED_TAGS = _CLASS_AND_NUMBER.map(lambda tag: tag | 0x20).filter(
    lambda tag: tag != OCTET_STRING | 0x20
)


def _construct(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.builds(Constructed, _CONSTRUCTED_TAGS, st.lists(children, max_size=4).map(tuple))


trees: st.SearchStrategy[Tree] = st.recursive(primitives | octet_strings, _construct, max_leaves=12)
constructed_trees = _construct(trees)


def der(value: Tree) -> bytes:
    """Return the DER encoding."""
    if isinstance(value, Primitive):
        return tlv(value.tag, value.contents)
    return tlv(value.tag, b"".join(map(der, value.children)))


def tree(value: bytes) -> Tree:
    """Return the tree of a DER encoding."""
    reader = Reader(value)
    tag = reader.peek()
    if not tag & 0x20:
        return Primitive(tag, reader.contents(tag))
    return Constructed(tag, tuple(map(tree, reader.enter(tag).elements(limit=1000))))


def ber(value: Tree, random: Random) -> bytes:
    """Return one of the BER encodings: lengths indefinite or too long, strings in pieces, or none of it."""
    if isinstance(value, Constructed):
        return _constructed(value.tag, b"".join(ber(child, random) for child in value.children), random)
    if value.tag == OCTET_STRING and random.random() < 0.5:
        return _pieces(value.contents, random, depth=0)
    return bytes((value.tag,)) + _length(len(value.contents), random) + value.contents


def _pieces(contents: bytes, random: Random, depth: int) -> bytes:
    cuts = sorted(random.randint(0, len(contents)) for _ in range(random.randint(0, 3)))
    parts = [contents[first:last] for first, last in zip([0, *cuts], [*cuts, len(contents)], strict=True)]
    encoded = []
    for part in parts:
        if depth < 2 and random.random() < 0.25:
            encoded.append(_pieces(part, random, depth + 1))
        else:
            encoded.append(bytes((OCTET_STRING,)) + _length(len(part), random) + part)
    return _constructed(OCTET_STRING | 0x20, b"".join(encoded), random)


def _constructed(tag: int, inside: bytes, random: Random) -> bytes:
    if random.random() < 0.5:
        return bytes((tag, 0x80)) + inside + b"\0\0"
    return bytes((tag,)) + _length(len(inside), random) + inside


def _length(length: int, random: Random) -> bytes:
    needed = (length.bit_length() + 7) // 8
    size = random.choice([0, 0, max(1, needed), needed + 1, needed + 4])
    if size == 0:
        return tlv(0, bytes(length))[1:-length] if length else b"\0"
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")


@st.composite
def encodings(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Return the DER encoding of a value and a BER encoding of the same."""
    value = draw(trees)
    return der(value), ber(value, draw(st.randoms(use_true_random=False)))


@st.composite
def streamed(draw: st.DrawFn, value: bytes) -> bytes:
    """Return a BER encoding of the value that a DER encoding is of; the outermost length is indefinite."""
    random = Random(draw(st.integers(0)))  # one draw for a big tree
    outer = tree(value)
    assert isinstance(outer, Constructed)
    return bytes((outer.tag, 0x80)) + b"".join(ber(child, random) for child in outer.children) + b"\0\0"
