"""Stanzas drawn at random, the way over a server, the form in which they are compared, and what is learned."""

from copy import deepcopy
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from hypothesis import strategies as st

from slixmpp_e2e.endpoint import Endpoint
from tests.elements import CLIENT, ILLEGAL, TEXT, TREES, XML
from tests.formats.objects import JULIET, ROMEO

LANG = f"{{{XML}}}lang"
#: Children whose order and surrounding white space Message/CPIM and PIDF have no place for (RFC 3922).
MAPPED = frozenset(f"{{{CLIENT}}}{name}" for name in ("body", "subject", "show", "status", "priority"))

TYPES = {
    "message": st.sampled_from([None, "normal", "chat", "headline"]),
    "presence": st.sampled_from([None, "unavailable"]),
    "iq": st.sampled_from(["get", "set", "result", "error"]),
}
#: Ids that fit a Content-ID, and others.
IDS = st.sampled_from(
    ["a", "1.2", "a@b", "<a@b>", "a b", ".", "ä", "x" * 200, "x" * 201, "-_!#$%&'*+/=?^`{|}~"]
)
LANGUAGES = st.sampled_from(["de", "en", "DE", "zh-Hant", "x" * 35]) | TEXT
SPACES = st.none() | st.text(" \t\n\r", max_size=3)
PRIORITIES = st.sampled_from(["0", "1", "64", "127", "128", "-1", "-0", "007", " 5", "1.0", "٣", ""])
SHOWS = st.sampled_from(["away", "chat", "dnd", "xa", "busy", " away", "Away", ""])


@st.composite
def stanzas(draw: st.DrawFn) -> Element:
    """A stanza from juliet to romeo: plain, extended, or something in between."""
    kind = draw(st.sampled_from(sorted(TYPES)))
    element = Element(f"{{{CLIENT}}}{kind}", {"from": JULIET.full, "to": ROMEO.full})
    identifier = draw(IDS | TEXT.filter(bool) if kind == "iq" else st.none() | IDS | TEXT)
    found = {"type": draw(TYPES[kind]), "id": identifier, LANG: draw(st.none() | LANGUAGES)}
    for name, value in found.items():
        if value is not None:
            element.set(name, value)
    children = {"message": _texts, "presence": _presence, "iq": lambda _draw, _element: None}
    children[kind](draw, element)
    element.extend(draw(st.lists(TREES, max_size=2)) if kind == "iq" or draw(st.booleans()) else ())
    if draw(st.booleans()):
        element.text = draw(SPACES)
        for child in element:
            child.tail = draw(SPACES)
    else:
        for child in element:
            child.tail = None
    return element


def _texts(draw: st.DrawFn, element: Element) -> None:
    names = st.sampled_from(["body", "body", "subject", "subject", "thread"])
    for name in draw(st.lists(names, max_size=4)) if draw(st.booleans()) else ["body"]:
        _child(draw, element, name, TEXT)


def _presence(draw: st.DrawFn, element: Element) -> None:
    texts = {"show": SHOWS, "status": TEXT, "priority": PRIORITIES}
    for name in draw(st.lists(st.sampled_from(["show", "status", "status", "priority"]), max_size=4)):
        _child(draw, element, name, texts[name])


def _child(draw: st.DrawFn, element: Element, name: str, text: st.SearchStrategy[str]) -> None:
    child = SubElement(element, f"{{{CLIENT}}}{name}")
    child.text = draw(text)
    if name in {"body", "subject", "status"} and draw(st.booleans()):
        child.set(LANG, draw(LANGUAGES))


def written(element: Element) -> str:
    """Return an element as XML, by another writer than ours."""
    return tostring(element, encoding="unicode").replace("\r", "&#13;")


def over_a_server(outer: str) -> str:
    """Return a stanza as a server passes it on: read with LF for CRLF (XML 1.0 2.11), and written again."""
    return written(fromstring(outer.replace("\r\n", "\n").encode()))


def xml_text(text: str) -> str:
    """Return what is left of a text when all that XML can't carry is taken out."""
    return ILLEGAL.sub("", text)


def normal(stanza: Element) -> Element:
    """Return the form in which a stanza and what came back of it are the same; everything else counts.

    What need not be kept:

    - whether the default type is written down (RFC 3922 4.1.4 carries no type);
    - where all that a stanza has is text, subjects, show, status and priority: the order of different ones of
      them, and white space between them, for which Message/CPIM and PIDF have no place;
    - that an element is in no namespace at all: slixmpp means the namespace of the parent (`serialise`).
    """
    found = deepcopy(stanza)
    _adopt(found)
    if found.get("type") in {"", "normal"}:
        del found.attrib["type"]
    strays = [found.text or "", *(child.tail or "" for child in found)]
    if all(child.tag in MAPPED and not len(child) for child in found) and not "".join(strays).strip(
        " \t\r\n"
    ):
        found.text = None
        for child in found:
            child.tail = None
        found[:] = sorted(found, key=lambda child: child.tag)
    return found


def _adopt(element: Element) -> None:
    for child in element:
        if not child.tag.startswith("{"):
            child.tag = element.tag.rpartition("}")[0] + "}" + child.tag
        _adopt(child)


#: What `taught()` returns of who has learned nothing.
NOTHING = ((), (), 0, 0)


def taught(endpoint: Endpoint) -> tuple[object, ...]:
    """Return what an endpoint learned: certificates, signers in the replay record, announcements, presences."""
    protection = endpoint.protection
    return (
        tuple(protection.store.all_certificates()),
        tuple(protection.store._replay._signers),
        len(protection.peers._announced),
        len(protection._arriving._presence),
    )
