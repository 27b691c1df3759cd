"""XML elements for tests: how to write them down, compare them, and draw them at random."""

import re
from xml.etree.ElementTree import Element, fromstring

from hypothesis import strategies as st

CLIENT = "jabber:client"
XML = "http://www.w3.org/XML/1998/namespace"

#: What XML can't carry (XML 1.0 2.2).
ILLEGAL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

CHARACTERS = st.characters(exclude_categories=("Cs",)).filter(lambda char: not ILLEGAL.match(char))
TRICKY = st.sampled_from(
    ["]]>", "<![CDATA[", "&amp;", "&#13;", "\r", "\n", "\r\n", "\t", '"', "'", "<", ">", "&", " ", "\x7f", "\x85",
     "\u2028", "\ufeff", "\U0001f600", "\U0010ffff", "ä"]
)  # fmt: skip
#: Anything that XML can carry, with what is most often carried wrongly.
TEXT = st.lists(st.text(CHARACTERS, max_size=6) | TRICKY, max_size=5).map("".join)

NAMES = st.sampled_from(["a", "body", "x-y", "_z", "n0", "n1", "Ünïcode", "名前", "xmpp"])
NAMESPACES = st.sampled_from(
    ["", CLIENT, "jabber:server", "urn:x", 'urn:"quoted"', "urn:a&b<c>", "n0", "urn:ä"]
)


def clark(namespace: str, name: str) -> str:
    """The name of an element or attribute as ElementTree writes it."""
    return f"{{{namespace}}}{name}" if namespace else name


ATTRIBUTES = st.dictionaries(st.builds(clark, NAMESPACES | st.just(XML), NAMES), TEXT, max_size=4)


@st.composite
def elements(draw: st.DrawFn, children: st.SearchStrategy[Element] | None = None) -> Element:
    """An element with attributes, text and children in any namespaces."""
    element = Element(draw(st.builds(clark, NAMESPACES.filter(bool), NAMES)), draw(ATTRIBUTES))
    element.text = draw(TEXT) or None
    for child in draw(st.lists(children, max_size=3)) if children is not None else ():
        child.tail = draw(TEXT) or None
        element.append(child)
    return element


TREES = st.recursive(elements(), elements, max_leaves=6)


def stanza(xml: str) -> Element:
    """Return the element of a stanza in `jabber:client`, written without its namespace."""
    return fromstring(re.sub(r"^<(\w+)", rf'<\1 xmlns="{CLIENT}"', xml.strip(), count=1))


def same(first: Element, second: Element) -> bool:
    """Tell whether two elements are the same to a reader of XML; what follows them does not count."""
    return (
        first.tag == second.tag
        and first.attrib == second.attrib
        and (first.text or "") == (second.text or "")
        and len(first) == len(second)
        and all(same(a, b) and (a.tail or "") == (b.tail or "") for a, b in zip(first, second, strict=True))
    )
