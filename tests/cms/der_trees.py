"""Values for hypothesis: trees of ASN.1 values, in the one DER encoding and in the many of BER."""

from dataclasses import dataclass

from hypothesis import strategies as st

from slixmpp_e2e.cms.asn1 import OCTET_STRING, tlv


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


def der(tree: Tree) -> bytes:
    """Return the DER encoding."""
    if isinstance(tree, Primitive):
        return tlv(tree.tag, tree.contents)
    return tlv(tree.tag, *map(der, tree.children)) if tree.children else tlv(tree.tag, b"")


def ber(tree: Tree, draw: st.DrawFn) -> bytes:
    """Return one of the BER encodings: lengths indefinite or too long, strings in pieces, or none of it."""
    if isinstance(tree, Constructed):
        return _constructed(tree.tag, b"".join(ber(child, draw) for child in tree.children), draw)
    if tree.tag == OCTET_STRING and draw(st.booleans()):
        return _pieces(tree.contents, draw, depth=0)
    return bytes((tree.tag,)) + _length(len(tree.contents), draw) + tree.contents


def _pieces(contents: bytes, draw: st.DrawFn, depth: int) -> bytes:
    cuts = sorted(draw(st.lists(st.integers(0, len(contents)), max_size=3)))
    parts = [contents[first:last] for first, last in zip([0, *cuts], [*cuts, len(contents)], strict=True)]
    encoded = []
    for part in parts:
        if depth < 2 and draw(st.integers(0, 3)) == 0:
            encoded.append(_pieces(part, draw, depth + 1))
        else:
            encoded.append(bytes((OCTET_STRING,)) + _length(len(part), draw) + part)
    return _constructed(OCTET_STRING | 0x20, b"".join(encoded), draw)


def _constructed(tag: int, inside: bytes, draw: st.DrawFn) -> bytes:
    if draw(st.booleans()):
        return bytes((tag, 0x80)) + inside + b"\0\0"
    return bytes((tag,)) + _length(len(inside), draw) + inside


def _length(length: int, draw: st.DrawFn) -> bytes:
    shortest = (length.bit_length() + 7) // 8
    size = draw(st.sampled_from([0, 0, max(1, shortest), shortest + 1, shortest + 4]))
    if size == 0:
        return tlv(0, bytes(length))[1:-length] if length else b"\0"
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")


@st.composite
def encodings(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Return the DER encoding of a value and a BER encoding of the same."""
    tree = draw(trees)
    return der(tree), ber(tree, draw)
