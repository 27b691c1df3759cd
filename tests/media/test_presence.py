"""Presence and PIDF (RFC 3922 5): what maps comes back as it was, and what does not map is not mapped."""

from hashlib import sha256
from xml.etree.ElementTree import Comment, Element, SubElement

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slixmpp.jid import JID

from slixmpp_e2e.errors import (
    InvalidStanzaError,
    MalformedError,
    RefusedError,
    SignatureError,
    TimestampError,
)
from slixmpp_e2e.freshness import MICROSECOND, SECOND, parse_date_time
from slixmpp_e2e.media import mime, pidf
from slixmpp_e2e.media.presence import fits_pidf, read_presence, write_presence
from slixmpp_e2e.stanza import Outer, bind
from tests.elements import ATTRIBUTES, CLIENT, TEXT, TREES, XML, same, stanza

JULIET = JID("juliet@example.com/balcony")
ROMEO = JID("romeo@example.net/orchard")
SENDERS = [
    JULIET,
    JID("juliet@example.com"),
    JID("pubsub.example.com"),
    JID("julïette@bücher.example/ä b"),
]
MOMENT = parse_date_time("2003-12-09T23:53:11.31Z")
LANG = f"{{{XML}}}lang"

SHOWS = st.sampled_from(["away", "chat", "dnd", "xa"])
LANGUAGES = st.sampled_from(["en", "EN", "de", "de-CH-1996", "cs", "x" * 35])
MOMENTS = st.integers(0, 10**10 * SECOND // MICROSECOND).map(lambda each: each * MICROSECOND)

#: RFC 3923, examples 7 and 10, as they stand there.
EXAMPLE_7 = b"""<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
          xmlns:im="urn:ietf:params:xml:ns:pidf:im"
          entity="pres:juliet@example.com">
  <tuple id="hr0zny"
    <status>
      <basic>open</basic>
      <im:im>away</im:im>
    </status>
    <note xml:lang="en">retired to the chamber</note>
    <timestamp>2003-12-09T23:53:11.31</timestamp>
  </tuple>
</presence>"""
#: RFC 3923, the first part of example 8, as it stands there.
EXAMPLE_8 = b"""Content-type: application/pidf+xml
Content-ID: <2345678901@example.com>

<xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
          xmlns:im="urn:ietf:params:xml:ns:pidf:im"
          entity="pres:juliet@example.com">
  <tuple id="hr0zny">
    <status&gt;
      <basic>open</basic>
      <im:im>away</im:im>
    </status>
    <note xml:lang="en">retired to the chamber</note>
    <timestamp>2003-12-09T23:53:11.31Z</timestamp>
  </tuple>
</presence>"""
#: Example 9 differs from it in one place only.
EXAMPLE_9 = EXAMPLE_8.replace(b"<status&gt;", b"<status>")
CORRECTED = EXAMPLE_9.replace(b"<xml ", b"<?xml ")


def outer(kind: str = "available", sender: JID = JULIET) -> Outer:
    return Outer("presence", kind, "outer-1", sender, ROMEO)


def presence(inside: str = "", attributes: str = "") -> Element:
    return stanza(f'<presence to="romeo@example.net" {attributes}>{inside}</presence>')


def document(inside: str = "", entity: str = "pres:juliet@example.com") -> str:
    return f'<presence xmlns="{pidf.PIDF}" xmlns:im="{pidf.IM}" entity="{entity}">{inside}</presence>'


def in_tuple(inside: str = "", basic: str = "open", identifier: str = "t") -> str:
    return f"<tuple id='{identifier}'><status><basic>{basic}</basic></status>{inside}</tuple>"


def read(xml: str, *fields: str, about: Outer | None = None) -> tuple[Element, int | None]:
    header = "\r\n".join(("Content-Type: application/pidf+xml", *fields, "", ""))
    return read_presence(mime.parse_entity((header + xml).encode()), about or outer())


def back(element: Element, sender: JID = JULIET, moment: int = MOMENT) -> tuple[Element, int | None]:
    data = write_presence(element, sender, moment, recipient=ROMEO)
    return read_presence(mime.parse_entity(data), outer(sender=sender))


def written(element: Element, sender: JID = JULIET) -> pidf.PresenceDocument:
    return pidf.parse(mime.parse_entity(write_presence(element, sender, MOMENT)).body)


def as_it_comes_back(element: Element) -> Element:
    """What is left of a presence that fits: no addresses, and show, status and priority in this order."""
    attributes = {name: value for name, value in element.attrib.items() if name not in {"from", "to"}}
    expected = Element(element.tag, attributes)
    for name in ("show", "status", "priority"):
        for child in element.iterfind(f"{{{CLIENT}}}{name}"):
            SubElement(expected, child.tag, child.attrib).text = child.text
    return expected


@st.composite
def presences(draw: st.DrawFn) -> Element:
    """A presence that fits."""
    attributes = {
        "to": draw(st.sampled_from(["romeo@example.net", "romeo@example.net/orchard"])),
        "from": draw(st.none() | st.just("juliet@example.com/balcony")),
        "type": draw(st.none() | st.just("unavailable")),
        "id": draw(st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,200}", fullmatch=True)),
        LANG: draw(st.none() | LANGUAGES),
    }
    element = Element(
        f"{{{CLIENT}}}presence", {key: value for key, value in attributes.items() if value is not None}
    )
    inherited = attributes[LANG] or ""
    languages = draw(
        st.lists(
            st.none() | LANGUAGES,
            max_size=4,
            unique_by=lambda each: (inherited if each is None else each).lower(),
        )
    )
    children = [("show", text, None) for text in draw(st.lists(SHOWS, max_size=1))]
    children += [("status", draw(TEXT), language) for language in languages]
    children += [
        ("priority", str(number), None) for number in draw(st.lists(st.integers(0, 127), max_size=1))
    ]
    for name, text, language in draw(st.permutations(children)):
        child = SubElement(element, f"{{{CLIENT}}}{name}", {} if language is None else {LANG: language})
        child.text = text
        child.tail = draw(st.sampled_from([None, "", "\n  ", " \t\r\n"]))
    return element


@st.composite
def nearly_presences(draw: st.DrawFn) -> Element:
    """A presence that fits, but for something that is wrong with it, perhaps."""
    element = draw(presences())
    children = st.builds(
        lambda name, text, attributes: (f"{{{CLIENT}}}{name}", text, attributes),
        st.sampled_from(["show", "status", "priority"]),
        st.none() | TEXT | SHOWS | st.integers(-200, 200).map(str),
        ATTRIBUTES | st.builds(lambda language: {LANG: language}, LANGUAGES | TEXT),
    )
    for tag, text, attributes in draw(st.lists(children, max_size=2)):
        SubElement(element, tag, attributes).text = text
    for tree in draw(st.lists(TREES, max_size=1)):
        draw(st.sampled_from([element, *element])).append(tree)
    if draw(st.booleans()):
        key = draw(st.sampled_from(["id", "type", LANG, "{urn:x}x"]))
        element.set(key, draw(TEXT | st.sampled_from(["subscribe", "probe", "error", "available"])))
    draw(st.sampled_from(list(element.iter()))).tail = draw(st.none() | TEXT)
    element.text = draw(st.sampled_from([None, "\n", "x", "\u00a0"]))
    return element


class TestThereAndBack:
    @pytest.mark.requirement("3922-5-1")
    @given(presences(), st.sampled_from(SENDERS), MOMENTS)
    def test_a_directed_presence_comes_back_as_it_was(self, element, sender, moment):
        assert fits_pidf(element)
        found, timestamp = back(element, sender, moment)
        assert same(found, as_it_comes_back(element))
        assert timestamp == moment

    @given(nearly_presences())
    def test_whatever_fits_comes_back_as_it_was(self, element):
        if fits_pidf(element):
            found, _ = back(element)
            expected = as_it_comes_back(element)
            assert same(found, expected)
            assert len(expected) == len(element)  # nothing but these children is lost

    @given(presences())
    def test_it_survives_what_xml_does_to_line_breaks(self, element):  # ERRATA E09
        data = write_presence(element, JULIET, MOMENT)
        through_xml = data.replace(b"\r\n", b"\n")
        assert b"\r" not in through_xml
        assert mime.canonical_line_breaks(through_xml) == data
        assert same(read_presence(mime.parse_entity(through_xml), outer())[0], as_it_comes_back(element))

    @given(presences())
    def test_it_can_be_bound_to_its_outer_stanza(self, element):
        about = outer(element.get("type", "available"))
        found, _ = back(element)
        bind(found, about)
        assert (found.get("from"), found.get("to")) == (JULIET.full, ROMEO.full)

    @pytest.mark.requirement("3922-5.1.7-3", "3922-5.2.13-2")
    @pytest.mark.parametrize("priority", range(128))
    def test_every_priority_comes_back(self, priority):  # 3922-5.1.7-3, 5.2.13-2, ERRATA M09
        found, _ = back(presence(f"<priority>{priority}</priority>"))
        assert found.findtext(f"{{{CLIENT}}}priority") == str(priority)


class TestWhatFits:
    @pytest.mark.parametrize(
        "element",
        [
            presence(),
            presence(attributes="type='unavailable'"),
            presence("<status/>"),
            presence("\n <priority>0</priority>\n <status>s</status>\n <show>xa</show>\n"),
            presence("<status>Gone</status>", "type='unavailable' xml:lang='en' id='1.2'"),
            presence("<status>a</status><status xml:lang='cs'>b</status>", "xml:lang='en'"),
            presence("<status xml:lang='en'>a</status><status xml:lang='cs'>b</status>"),
            presence("<priority>127</priority>", "from='juliet@example.com/balcony'"),
        ],
    )
    def test_it_is_seen(self, element):
        assert fits_pidf(element)
        assert same(back(element)[0], as_it_comes_back(element))


class TestWhatDoesNotFit:
    @pytest.mark.requirement("3922-5.1.4-1", "3922-5.1.7-2")
    @pytest.mark.parametrize(
        "element",
        [
            stanza("<presence/>"),
            stanza("<presence to=''/>"),
            stanza("<message to='romeo@example.net'/>"),
            *(
                presence(attributes=f"type='{kind}'")
                for kind in ("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error",
                             "available", "")
            ),  # 3922-5.1.4-1
            presence(attributes="other='x'"),
            presence(attributes="id=''"),
            presence(attributes="id='a b'"),
            presence(attributes="id='a@b'"),
            presence(attributes=f"id='{'a' * 201}'"),
            presence(attributes="xml:lang=''"),
            presence(attributes="xml:lang='not_one'"),
            presence("text"),
            presence("&#160;"),
            presence("<show>away</show>text"),
            presence("<x xmlns='urn:x'/>"),
            presence("<show xmlns='urn:x'>away</show>"),
            presence("<body>b</body>"),
            presence("<show/>"),
            presence("<show>busy</show>"),
            presence("<show> away</show>"),
            presence("<show>away<x/></show>"),
            presence("<show xml:lang='en'>away</show>"),
            presence("<show>away</show><show>away</show>"),
            presence("<status>a<x/></status>"),
            presence("<status other='x'>a</status>"),
            presence("<status xml:lang='en' other='x'>a</status>"),
            presence("<status xml:lang=''>a</status>"),
            presence("<status xml:lang='not_one'>a</status>"),
            presence("<status>a</status><status>b</status>"),
            presence("<status xml:lang='en'>a</status><status xml:lang='EN'>b</status>"),
            presence("<status>a</status><status xml:lang='en'>b</status>", "xml:lang='en'"),
            *(
                presence(f"<priority>{text}</priority>")
                for text in ("", "-1", "-0", "+1", "128", "999", "01", "00", "1 ", " 1", "1.0", "x", "\u0661")
            ),  # 3922-5.1.7-2
            presence("<priority other='x'>1</priority>"),
            presence("<priority>1</priority><priority>1</priority>"),
        ],
    )  # fmt: skip
    def test_it_is_seen(self, element):
        assert not fits_pidf(element)

    def test_a_comment_does_not_fit(self):
        element = presence()
        element.append(Comment("x"))
        assert not fits_pidf(element)

    def test_characters_that_xml_cannot_carry_are_refused(self):
        element = presence("<status>x</status>")
        element[0].text = "\x1b"
        with pytest.raises(InvalidStanzaError):
            write_presence(element, JULIET, MOMENT)


class TestWriting:
    @pytest.mark.requirement("3922-5.1-1", "3863-3.1-1", "3863-4.1.1-2", "3863-4.1.7-1", "3863-4.1.7-2")
    @pytest.mark.requirement("3923-6.9-1")
    def test_a_presence_is_written_like_this(self):
        element = presence(
            "<show>away</show><status xml:lang='en'>retired to the chamber</status><priority>13</priority>",
            "id='2345678901' xml:lang='en'",
        )
        assert write_presence(element, JULIET, MOMENT) == (
            b"Content-Type: application/pidf+xml; charset=utf-8\r\n"  # 3922-5.1-1, 3863-3.1-1
            b"Content-ID: <2345678901@example.com>\r\n"
            b"Content-Language: en\r\n"
            b"\r\n"
            b'<?xml version="1.0" encoding="UTF-8"?>\r\n'
            b'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:juliet@example.com">'  # 3863-4.1.1-2
            b'<tuple id="r-62616c636f6e79">'
            b'<status><basic>open</basic><im xmlns="urn:ietf:params:xml:ns:pidf:im">away</im></status>'
            b'<contact priority="0.102">im:juliet@example.com</contact>'
            b'<note xml:lang="en">retired to the chamber</note>'
            b"<timestamp>2003-12-09T23:53:11.310000Z</timestamp>"  # 3863-4.1.7-1, 4.1.7-2
            b"</tuple></presence>"
        )

    @pytest.mark.requirement("3922-6.3.2-2", "3863-4.1.2-4", "3863-4.1.7-3")
    def test_the_least_presence_is_written_like_this(self):  # 3922-6.3.2-2, 3863-4.1.2-4, 4.1.7-3
        assert write_presence(presence(attributes="type='unavailable'"), JID("example.com"), 0) == (
            b"Content-Type: application/pidf+xml; charset=utf-8\r\n"
            b"\r\n"
            b'<?xml version="1.0" encoding="UTF-8"?>\r\n'
            b'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:example.com">'
            b'<tuple id="r-"><status><basic>closed</basic></status><contact>im:example.com</contact>'
            b"<timestamp>1970-01-01T00:00:00.000000Z</timestamp></tuple></presence>"
        )

    def test_text_is_in_canonical_form_and_announced_when_it_is_not_ascii(self):  # ERRATA E08, E09
        data = write_presence(presence("<status>\u00e4\n\n&#13;</status>"), JULIET, MOMENT)
        assert b"<note>\xc3\xa4\r\n\r\n&#13;</note>" in data
        assert mime.parse_entity(data).transfer_encoding == "8bit"

    @pytest.mark.requirement("3922-5.1.4-1", "3863-4.1.4-1")
    @pytest.mark.parametrize(("kind", "basic"), [(None, "open"), ("unavailable", "closed")])
    def test_basic_is_what_the_type_says(self, kind, basic):  # 3922-5.1.4-1
        element = presence()
        if kind is not None:
            element.set("type", kind)
        assert [each.basic for each in written(element).tuples] == [basic]

    @pytest.mark.requirement("3922-5.1.5-1")
    @pytest.mark.parametrize("show", ["away", "chat", "dnd", "xa"])
    def test_show_becomes_im(self, show):  # 3922-5.1.5-1, ERRATA P06
        assert written(presence(f"<show>{show}</show>")).tuples[0].im == show

    @pytest.mark.requirement("3922-5.1.6-1", "3863-4.1.6-1", "3863-4.1.6-3")
    def test_every_status_becomes_a_note_of_the_tuple(self):  # 3922-5.1.6-1, 3863-4.1.6-3
        found = written(
            presence("<status>Wooing Juliet</status><status xml:lang='cs'>Dvo\u0159\u00edm se</status>")
        )
        assert found.tuples[0].notes == (pidf.Note("Wooing Juliet"), pidf.Note("Dvo\u0159\u00edm se", "cs"))
        assert found.notes == ()

    @pytest.mark.requirement("3922-5.1.1-3")
    def test_the_resource_becomes_an_ncname_that_never_changes(self):  # 3922-5.1.1-3, ERRATA P04
        ids = {sender: written(presence(), sender).tuples[0].id for sender in SENDERS}
        assert ids[JULIET] == "r-62616c636f6e79"
        assert ids[SENDERS[3]] == "r-c3a42062"
        assert ids == {
            sender: written(presence("<show>dnd</show>"), sender).tuples[0].id for sender in SENDERS
        }

    @pytest.mark.requirement("3922-5.1.1-2", "3922-5.1.9-1", "3863-4.1.1-2")
    def test_the_addresses_are_uris_of_the_bare_jid(self):  # 3922-5.1.1-2, 5.1.9-1, ERRATA E25, M03
        found = written(presence(), SENDERS[3])
        assert found.entity == "pres:jul%C3%AFette@xn--bcher-kva.example"
        assert found.tuples[0].contact == pidf.Contact("im:jul%C3%AFette@xn--bcher-kva.example")

    @pytest.mark.requirement("3922-5.1.7-1", "3922-5.1.7-3")
    @pytest.mark.parametrize(
        ("priority", "mapped"), [(0, 0), (1, 8), (2, 16), (13, 102), (64, 504), (126, 992), (127, 1000)]
    )
    def test_a_priority_is_mapped_in_proportion(self, priority, mapped):  # 3922-5.1.7-1, 5.1.7-3, ERRATA M09
        contact = written(presence(f"<priority>{priority}</priority>")).tuples[0].contact
        assert contact is not None
        assert contact.priority == mapped

    @pytest.mark.requirement("3922-5.1.7-3")
    def test_no_two_priorities_become_one(self):  # 3922-5.1.7-3
        contacts = [
            written(presence(f"<priority>{each}</priority>")).tuples[0].contact for each in range(128)
        ]
        priorities = [each.priority for each in contacts if each is not None]
        assert priorities == sorted(set(priorities))
        assert len(priorities) == 128

    @pytest.mark.requirement("3922-5.1.9-2")
    def test_the_timestamp_is_when_it_is_said(self):  # 3922-5.1.9-2, ERRATA P07, E34
        assert written(presence()).tuples[0].timestamp == "2003-12-09T23:53:11.310000Z"


class TestExamplesOfRFC3923:
    def test_example_8_stands_here_as_the_specification_has_it(self):
        assert sha256(EXAMPLE_8.replace(b"\n", b"\r\n")).hexdigest() == (
            "5428ad0e25bcb46035b34328763ab42dba81b8845f620e6dfac341d5da8bcf42"
        )

    @pytest.mark.requirement("3863-4.1-1")
    @pytest.mark.parametrize(
        "data",
        [
            b"Content-type: application/pidf+xml\n\n" + EXAMPLE_7,
            EXAMPLE_8,
            EXAMPLE_9,
            EXAMPLE_8.replace(b"<xml ", b"<?xml "),
        ],
    )
    def test_as_they_stand_they_are_refused(self, data):  # 3863-4.1-1, ERRATA E18
        with pytest.raises(MalformedError):
            read_presence(mime.parse_entity(data), outer())

    @pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
    def test_corrected_it_is_read(self, line_break):
        data = CORRECTED.replace(b"\n", line_break)
        found, timestamp = read_presence(mime.parse_entity(data), outer())
        expected = stanza(
            "<presence id='2345678901'><show>away</show>"
            "<status xml:lang='en'>retired to the chamber</status></presence>"
        )
        assert same(found, expected)
        assert timestamp == MOMENT

    def test_without_a_zone_the_timestamp_of_example_7_is_none(self):  # ERRATA E19
        data = b"Content-type: application/pidf+xml\n\n" + EXAMPLE_7.replace(b'"hr0zny"', b'"hr0zny">')
        with pytest.raises(TimestampError) as caught:
            read_presence(mime.parse_entity(data), outer())
        assert caught.value.reason == "missing"


class TestExamplesOfRFC3922:
    @pytest.mark.requirement("3922-5-1", "3922-5.2.9-1", "3922-5.2.10-1")
    @pytest.mark.parametrize(
        ("status", "note", "expected"),
        [
            ("<basic>open</basic>", "", "<presence/>"),
            ("<basic>closed</basic>", "", "<presence type='unavailable'/>"),
            ("<basic>open</basic><im:im>away</im:im>", "", "<presence><show>away</show></presence>"),
            ("<basic>open</basic><im:im>busy</im:im>", "", "<presence><show>dnd</show></presence>"),
            (
                "<basic>open</basic><im:im>busy</im:im>",
                "<note>Wooing Juliet</note>",
                "<presence><show>dnd</show><status>Wooing Juliet</status></presence>",
            ),
            (
                "<basic>open</basic>",
                "<contact priority='0.102'>im:juliet@example.com</contact>",
                "<presence><priority>13</priority></presence>",
            ),
            (
                "<basic>open</basic>",
                "<contact>im:romeo@example.net</contact>",
                "<presence/>",
            ),
        ],
    )
    def test_they_are_read(self, status, note, expected):  # 3922-5.2.9-1, 5.2.10-1
        xml = document(f"<tuple id='balcony'><status>{status}</status>{note}</tuple>")
        found, timestamp = read(xml)
        assert same(found, stanza(expected))
        assert timestamp is None

    @pytest.mark.requirement("3922-6.3.2-1")
    def test_zero_tuples_are_a_presence_of_the_outer_type(self):  # 3922-6.3.2-1, ERRATA M02
        assert same(read(document())[0], stanza("<presence/>"))
        unavailable = read(document(), "Content-ID: <1@example.com>", about=outer("unavailable"))
        assert same(unavailable[0], stanza("<presence type='unavailable' id='1'/>"))
        assert unavailable[1] is None

    @pytest.mark.requirement("3922-5.1.4-1")
    def test_zero_tuples_are_never_a_subscription(self):  # 3922-5.1.4-1
        found, _ = read(document(), about=outer("subscribe"))
        assert found.get("type") is None
        with pytest.raises(SignatureError):
            bind(found, outer("subscribe"))

    @pytest.mark.requirement("3922-5.2.11-1", "3863-4.1.6-2")
    def test_notes_without_a_tuple_are_not_mapped(self):  # 3922-5.2.11-1
        with pytest.raises(RefusedError) as caught:
            read(document("<note>n</note>"))
        assert caught.value.reason == "unsupported"


class TestReading:
    @pytest.mark.requirement("3922-5.2.1-1")
    @pytest.mark.parametrize("entity", ["pres:juliet@example.com", "im:juliet@example.com", "PRES:Juliet@Example.COM",
                                        "pres:%6Auliet@example.com", "pres:juliet@example.com/chamber"])  # fmt: skip
    def test_the_entity_is_the_sender(self, entity):  # ERRATA E26, M01, M04
        assert same(read(document(in_tuple(), entity))[0], stanza("<presence/>"))

    @pytest.mark.requirement("3922-5.2.1-1")
    @pytest.mark.parametrize(
        "entity",
        ["pres:romeo@example.net", "pres:juliet@example.com?x=y", "pres:", "", "juliet@example.com",
         "xmpp:juliet@example.com", "sip:juliet@example.com", "pres:juliet%40example.com", "pres:%FF@example.com",
         " pres:juliet@example.com", "pres:juliet@example.com pres:romeo@example.net"],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "inside", ["", "<note>n</note>", in_tuple(), in_tuple("<timestamp>x</timestamp>")]
    )
    def test_the_entity_is_nobody_else(self, entity, inside):  # ERRATA E26
        with pytest.raises(SignatureError) as caught:
            read(document(inside, entity))
        assert caught.value.reason == "name-mismatch"

    def test_a_sender_who_cannot_be_compared_is_nobody(self):
        with pytest.raises(SignatureError):
            read(document(in_tuple()), about=outer(sender=JID("")))

    @pytest.mark.requirement("3922-5.2.1-1")
    @pytest.mark.parametrize("identifier", ["balcony", "r-6f726368617264", ""])
    def test_a_tuple_id_never_becomes_an_address(self, identifier):  # 3922-5.2.1-1, ERRATA P04
        found, _ = read(document(in_tuple(identifier=identifier)))
        assert found.attrib == {}

    def test_a_foreign_content_id_is_the_id(self):  # RFC 3922 5.2.8
        found, _ = read(document(in_tuple()), "Content-ID: <123456789@example.net>", "Content-Language: cs")
        assert found.attrib == {"id": "123456789@example.net", LANG: "cs"}

    @pytest.mark.parametrize("im", ["", "offline", "Away", "on-the-phone", "online"])
    def test_an_unknown_im_value_is_ignored(self, im):  # ERRATA P06
        xml = document(f"<tuple id='t'><status><basic>open</basic><im:im>{im}</im:im></status></tuple>")
        assert same(read(xml)[0], stanza("<presence/>"))

    @pytest.mark.requirement("3922-5.2.13-1", "3922-5.2.13-2")
    @pytest.mark.parametrize(
        ("priority", "mapped"),
        [("0", "0"), ("0.003", "0"), ("0.004", "1"), ("0.5", "64"), ("0.992", "126"), ("0.997", "127"), ("1", "127"),
         ("-0.5", None), ("7", None)],
    )  # fmt: skip
    def test_a_priority_is_never_negative(self, priority, mapped):  # 3922-5.2.13-1, 5.2.13-2, ERRATA M09
        found, _ = read(document(in_tuple(f"<contact priority='{priority}'>tel:1</contact>")))
        assert found.findtext(f"{{{CLIENT}}}priority") == mapped

    def test_of_two_notes_in_one_language_the_first_is_taken(self):  # RFC 6121 4.7.2.2
        notes = (
            "<note>a</note><note xml:lang='EN'>b</note><note xml:lang='cs'>c</note><note xml:lang='CS'>d</note>"
            "<note xml:lang='not_one'>e</note>"
        )
        found, _ = read(document(in_tuple(notes)), "Content-Language: en")
        assert same(
            found,
            stanza("<presence xml:lang='en'><status>a</status><status xml:lang='cs'>c</status></presence>"),
        )

    @pytest.mark.requirement("3922-5.2.12-1", "3922-5.2.14-1")
    def test_contact_timestamp_and_notes_beside_the_tuple_are_not_passed_on(self):  # 3922-5.2.12-1, 5.2.14-1
        timestamp = "<timestamp>2003-12-09T23:53:11.31Z</timestamp>"
        found, moment = read(document(f"{in_tuple(f'<contact>tel:1</contact>{timestamp}')}<note>n</note>"))
        assert same(found, stanza("<presence/>"))
        assert moment == MOMENT  # ERRATA M08

    @pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
    def test_a_transfer_encoding_is_undone(self, encoding):
        xml = document(in_tuple("<note>\u00e4</note>"))
        body = (
            mime.encode_base64(xml.encode()).decode()
            if encoding == "base64"
            else xml.replace("=", "=3D").replace("\u00e4", "=C3=A4")
        )
        found, _ = read(body, f"Content-Transfer-Encoding: {encoding}")
        assert found.findtext(f"{{{CLIENT}}}status") == "\u00e4"

    def test_another_charset_is_refused(self):  # 3863-4.1-4, 7-2, ERRATA P08
        data = b"Content-Type: application/pidf+xml; charset=iso-8859-1\r\n\r\n" + document().encode()
        with pytest.raises(RefusedError) as caught:
            read_presence(mime.parse_entity(data), outer())
        assert caught.value.reason == "unsupported"

    @pytest.mark.requirement("3863-3.1-2", "3863-4.1-4")
    @pytest.mark.parametrize("charset", ["", "; charset=utf-8"])
    def test_an_encoding_that_contradicts_the_charset_is_malformed(self, charset):  # 3863-3.1-2, 4.1-4
        data = (
            f"Content-Type: application/pidf+xml{charset}\r\n\r\n<?xml version='1.0' encoding='iso-8859-1'?>"
        )
        with pytest.raises(MalformedError):
            read_presence(mime.parse_entity((data + document()).encode()), outer())

    @given(st.binary(max_size=300))
    def test_arbitrary_octets_are_malformed(self, data):
        with pytest.raises(MalformedError):
            read_presence(mime.parse_entity(b"Content-Type: application/pidf+xml\r\n\r\n" + data), outer())


class TestSeveralTuples:
    OLD, NEW = "<timestamp>2003-12-09T23:00:00Z</timestamp>", "<timestamp>2003-12-09T23:00:00.5Z</timestamp>"
    LOW, HIGH = "<contact priority='0.1'>a:</contact>", "<contact priority='0.2'>a:</contact>"

    @pytest.mark.requirement("3863-4.1.5-2", "3863-4.1.5-4")
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (NEW, OLD),
            (f"{LOW}{NEW}", f"{HIGH}{OLD}"),
            (OLD, HIGH),
            (HIGH, LOW),
            (f"{HIGH}{NEW}", f"{LOW}{NEW}"),
            (LOW, "<contact>a:</contact>"),
            ("<contact priority='0'>a:</contact>", "<contact priority='2'>a:</contact>"),
            ("<timestamp>1960-01-01T00:00:00Z</timestamp>", ""),
        ],
    )
    def test_the_newest_counts_then_the_most_important(self, first, second):  # 3863-4.1.5-2, 4.1.5-4
        one = in_tuple(f"{first}<note>first</note>", identifier="a")
        other = in_tuple(f"{second}<note>second</note>", identifier="b")
        for xml in (document(one + other), document(other + one)):
            assert read(xml)[0].findtext(f"{{{CLIENT}}}status") == "first"

    @pytest.mark.parametrize("inside", ["", OLD, HIGH])
    def test_then_the_first(self, inside):
        xml = document("".join(in_tuple(f"{inside}<note>{each}</note>", identifier=each) for each in "ab"))
        assert read(xml)[0].findtext(f"{{{CLIENT}}}status") == "a"

    def test_one_without_basic_counts_only_where_none_has_it(self):
        other = f"<tuple id='o'><status><x/><im:im>xa</im:im></status>{self.NEW}<note>n</note></tuple>"
        for xml in (document(in_tuple(self.OLD) + other), document(other + in_tuple())):
            found, moment = read(xml)
            assert same(found, stanza("<presence/>"))
            assert moment == parse_date_time("2003-12-09T23:00:00.5Z")
        inside = "<show>xa</show><status>n</status>"
        assert same(read(document(other))[0], stanza(f"<presence>{inside}</presence>"))
        unavailable, _ = read(document(other), about=outer("unavailable"))
        assert same(unavailable, stanza(f"<presence type='unavailable'>{inside}</presence>"))

    def test_the_newest_timestamp_is_that_of_the_document(self):  # ERRATA E34
        xml = document(in_tuple(self.OLD, identifier="a") + in_tuple(self.NEW, identifier="b") + in_tuple())
        assert read(xml)[1] == parse_date_time("2003-12-09T23:00:00.5Z")

    @pytest.mark.requirement("3863-4.1.7-1")
    @pytest.mark.parametrize("text", ["", "now", "2003-12-09T23:53:11.31", "2003-12-09 23:53:11Z"])
    def test_a_malformed_timestamp_in_any_of_them_is_refused(self, text):  # 3863-4.1.7-1, ERRATA E19, E35
        broken = in_tuple(f"<timestamp>{text}</timestamp>", identifier="a")
        with pytest.raises(TimestampError) as caught:
            read(document(broken + in_tuple(self.NEW, identifier="b")))
        assert caught.value.reason == "missing"


class TestRecipient:
    """PIDF names no recipient; ours does, so that nobody can send it on as one to somebody else (invariant 11)."""

    def test_it_is_named_in_an_extension_that_others_ignore(self):
        data = write_presence(presence(), JULIET, MOMENT, recipient=JID("romeo@example.net/orchard"))
        assert data.endswith(
            b'</tuple><recipient xmlns="urn:slixmpp-e2e:pidf:0">pres:romeo@example.net</recipient></presence>'
        )

    def test_to_somebody_else_it_is_refused(self):
        entity = mime.parse_entity(
            write_presence(presence(), JULIET, MOMENT, recipient=JID("nurse@example.com"))
        )
        with pytest.raises(SignatureError) as caught:
            read_presence(entity, outer())
        assert caught.value.reason == "other-recipient"

    def test_without_one_it_is_taken_as_others_write_it(self):
        found, _ = read_presence(mime.parse_entity(write_presence(presence(), JULIET, MOMENT)), outer())
        assert found.tag.endswith("}presence")
