"""PIDF (RFC 3863): exact out, strict in, and what is not known is not there."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.errors import InvalidStanzaError, MalformedError
from slixmpp_e2e.media import pidf
from slixmpp_e2e.media.pidf import Contact, Note, PresenceDocument, PresenceTuple
from slixmpp_e2e.stanza import MAX_OCTETS
from tests.elements import TEXT

NS = 'xmlns="urn:ietf:params:xml:ns:pidf"'
IM = 'xmlns:im="urn:ietf:params:xml:ns:pidf:im"'
OPEN = "<status><basic>open</basic></status>"

VALUES = TEXT.map(lambda text: text.strip(" \t\r\n"))
NOTES = st.builds(Note, TEXT, st.none() | TEXT)
TUPLES = st.builds(
    PresenceTuple,
    id=TEXT,
    basic=st.sampled_from(["open", "closed"]),
    im=st.none() | VALUES,
    contact=st.none() | st.builds(Contact, VALUES, st.none() | st.integers(0, 1000)),
    notes=st.lists(NOTES, max_size=3).map(tuple),
    timestamp=st.none() | VALUES,
)
DOCUMENTS = st.builds(
    PresenceDocument,
    entity=TEXT,
    tuples=st.lists(TUPLES, max_size=3, unique_by=lambda each: each.id).map(tuple),
    notes=st.lists(NOTES, max_size=2).map(tuple),
    recipients=st.lists(VALUES, max_size=2).map(tuple),
)


def document(inside: str = "", attributes: str = 'entity="pres:someone@example.com"') -> bytes:
    return f"<presence {NS} {IM} {attributes}>{inside}</presence>".encode()


def parse_tuple(inside: str) -> PresenceTuple:
    (found,) = pidf.parse(document(f'<tuple id="t">{inside}</tuple>')).tuples
    return found


def parse_status(inside: str) -> PresenceTuple:
    return parse_tuple(f"<status>{inside}</status>")


FULL = PresenceDocument(
    "pres:juliet@example.com",
    (
        PresenceTuple(
            "r-62616c636f6e79",
            "open",
            "away",
            Contact("im:juliet@example.com", 102),
            (Note("retired to\nthe chamber", "en"), Note("a < b & c")),
            "2003-12-09T23:53:11.310000Z",
        ),
        PresenceTuple("r-", "closed"),
    ),
    (Note("in Verona"),),
)


class TestWriting:
    @pytest.mark.requirement("3863-4.1-1", "3863-4.1-2", "3863-4.1-3", "3863-4.1.1-1", "3863-4.1.1-3")
    @pytest.mark.requirement("3863-4.1.1-4", "3863-4.1.2-1", "3863-4.1.2-2", "3863-4.1.6-1", "3863-4.2.2-1")
    @pytest.mark.requirement("3863-4.2.2-2")
    def test_a_document_is_written_like_this_in_the_order_of_the_schema(self):
        # 3863-4.1-1, 4.1-2, 4.1-3, 4.1.1-1, 4.1.1-3, 4.1.2-1, ERRATA P02, P05, P06, P08, E09
        assert pidf.write(FULL) == (
            b'<?xml version="1.0" encoding="UTF-8"?>\r\n'
            b'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:juliet@example.com">'
            b'<tuple id="r-62616c636f6e79"><status><basic>open</basic>'
            b'<im xmlns="urn:ietf:params:xml:ns:pidf:im">away</im></status>'
            b'<contact priority="0.102">im:juliet@example.com</contact>'
            b'<note xml:lang="en">retired to\r\nthe chamber</note><note>a &lt; b &amp; c</note>'
            b"<timestamp>2003-12-09T23:53:11.310000Z</timestamp></tuple>"
            b'<tuple id="r-"><status><basic>closed</basic></status></tuple>'
            b"<note>in Verona</note></presence>"
        )

    @pytest.mark.requirement("3863-7-1")
    def test_it_is_written_in_utf_8(self):  # 3863-7-1
        written = pidf.write(PresenceDocument("pres:a@example.com", (), (Note("Dvořím se Julii"),)))
        assert "Dvořím se Julii".encode() in written

    @pytest.mark.requirement("3863-4.1.5-1")
    @pytest.mark.parametrize(
        ("priority", "text"),
        [(0, "0"), (7, "0.007"), (15, "0.015"), (150, "0.150"), (992, "0.992"), (1000, "1")],
    )
    def test_a_priority_is_a_decimal_from_0_to_1_with_three_digits_at_most(self, priority, text):
        contact = PresenceTuple("t", "open", contact=Contact("im:a@example.com", priority))
        written = pidf.write(PresenceDocument("pres:a@example.com", (contact,)))
        assert f'<contact priority="{text}">'.encode() in written  # 3863-4.1.5-1

    @pytest.mark.requirement("3863-4.1.5-1")
    @pytest.mark.parametrize("priority", [-1, 1001])
    def test_a_priority_out_of_range_is_never_written(self, priority):
        contact = PresenceTuple("t", "open", contact=Contact("im:a@example.com", priority))
        with pytest.raises(ValueError, match="priority"):
            pidf.write(PresenceDocument("pres:a@example.com", (contact,)))

    @pytest.mark.requirement("3863-4.1.2-3")
    def test_a_tuple_id_is_never_written_twice(self):  # 3863-4.1.2-3
        with pytest.raises(ValueError, match="twice"):
            pidf.write(PresenceDocument("pres:a@example.com", (PresenceTuple("t", "open"),) * 2))

    @pytest.mark.requirement("3863-4.1.3-1", "3863-4.2.4-1")
    @pytest.mark.parametrize("im", [None, "away"])
    def test_a_status_without_basic_is_never_written(self, im):  # 3863-4.1.3-1, 4.2.4-1
        with pytest.raises(ValueError, match="basic"):
            pidf.write(PresenceDocument("pres:a@example.com", (PresenceTuple("t", None, im),)))

    @pytest.mark.parametrize("text", ["\0", "\x1b", "\ud83d", "\uffff"])
    def test_what_xml_cannot_carry_is_refused(self, text):
        with pytest.raises(InvalidStanzaError):
            pidf.write(PresenceDocument("pres:a@example.com", (), (Note(text),)))


class TestThereAndBack:
    @pytest.mark.requirement("3863-4.2.3-2")
    @given(DOCUMENTS)
    def test_any_document_comes_back_as_it_was(self, drawn):
        assert pidf.parse(pidf.write(drawn)) == drawn

    @given(DOCUMENTS)
    def test_it_is_text_in_canonical_form_and_either_line_break_reads_the_same(self, drawn):
        written = pidf.write(drawn)
        through_xml = written.replace(b"\r\n", b"\n")
        assert b"\r" not in through_xml
        assert pidf.parse(through_xml) == drawn


class TestExamplesOfRFC3863:
    def test_elements_may_have_a_prefix_or_not(self):  # 4.2.2
        first = b"""<?xml version="1.0" encoding="UTF-8"?>
            <impp:presence xmlns:impp="urn:ietf:params:xml:ns:pidf" entity="pres:someone@example.com">
              <impp:tuple id="sg89ae">
                <impp:status>
                  <impp:basic>open</impp:basic>
                </impp:status>
                <impp:contact priority="0.8">tel:+09012345678</impp:contact>
              </impp:tuple>
            </impp:presence>""".replace(b"\n            ", b"\n")
        second = first.replace(b"impp:", b"").replace(b":impp", b"")
        expected = PresenceDocument(
            "pres:someone@example.com",
            (PresenceTuple("sg89ae", "open", contact=Contact("tel:+09012345678", 800)),),
        )
        assert pidf.parse(first) == pidf.parse(second) == expected

    @pytest.mark.requirement("3863-4.1.3-2")
    def test_an_unknown_status_value_is_ignored(self):  # 4.2.4; 3863-4.1.3-2
        found = pidf.parse(
            b"""<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
    xmlns:local="urn:example-com:pidf-status-type"
    entity="pres:someone@example.com">
  <tuple id="ub93s3">
    <status>
      <basic>open</basic>
      <local:location>home</local:location>
    </status>
    <contact>im:someone@example.com</contact>
  </tuple>
</presence>"""
        )
        assert found.tuples == (PresenceTuple("ub93s3", "open", contact=Contact("im:someone@example.com")),)

    @pytest.mark.requirement("3863-4.1.6-1", "3863-4.2.3-2")
    def test_notes_are_read_with_their_languages(self):  # 4.3.1
        found = pidf.parse(
            b"""<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
     xmlns:im="urn:ietf:params:xml:ns:pidf:im"
     xmlns:myex="http://id.example.com/presence/"
     entity="pres:someone@example.com">
  <tuple id="bs35r9">
    <status>
      <basic>open</basic>
      <im:im>busy</im:im>
      <myex:location>home</myex:location>
    </status>
    <contact priority="0.8">im:someone@mobilecarrier.net</contact>
    <note xml:lang="en">Don't Disturb Please!</note>
    <note xml:lang="fr">Ne derangez pas, s'il vous plait</note>
    <timestamp>2001-10-27T16:49:29Z</timestamp>
  </tuple>
  <tuple id="eg92n8">
    <status>
      <basic>open</basic>
    </status>
    <contact priority="1.0">mailto:someone@example.com</contact>
  </tuple>
  <note>I'll be in Tokyo next week</note>
</presence>"""
        )
        assert found == PresenceDocument(
            "pres:someone@example.com",
            (
                PresenceTuple(
                    "bs35r9",
                    "open",
                    "busy",
                    Contact("im:someone@mobilecarrier.net", 800),
                    (Note("Don't Disturb Please!", "en"), Note("Ne derangez pas, s'il vous plait", "fr")),
                    "2001-10-27T16:49:29Z",
                ),
                PresenceTuple("eg92n8", "open", contact=Contact("mailto:someone@example.com", 1000)),
            ),
            (Note("I'll be in Tokyo next week"),),
        )

    @pytest.mark.requirement("3863-4.2.3-1")
    def test_unknown_elements_anywhere_are_ignored(self):  # 4.3.2; 3863-4.2.3-1
        found = pidf.parse(
            b"""<?xml version="1.0" encoding="UTF-8"?>
<impp:presence xmlns:impp="urn:ietf:params:xml:ns:pidf"
     xmlns:myex="http://id.example.com/presence/"
     entity="pres:someone@example.com">
  <impp:tuple id="ck38g9">
    <impp:status>
      <impp:basic>open</impp:basic>
    </impp:status>
    <myex:mytupletag>Extended value in tuple</myex:mytupletag>
    <impp:contact priority="0.65">tel:+09012345678</impp:contact>
  </impp:tuple>
  <impp:tuple id="md66je">
    <impp:status>
      <impp:basic>open</impp:basic>
    </impp:status>
    <impp:contact priority="1.0">
       im:someone@mobilecarrier.net</impp:contact>
  </impp:tuple>
  <myex:mytag>My extended presentity information</myex:mytag>
</impp:presence>"""
        )
        assert found == PresenceDocument(
            "pres:someone@example.com",
            (
                PresenceTuple("ck38g9", "open", contact=Contact("tel:+09012345678", 650)),
                PresenceTuple("md66je", "open", contact=Contact("im:someone@mobilecarrier.net", 1000)),
            ),
        )

    def test_an_extension_of_a_tuple_that_must_be_understood_is_ignored(self):  # 4.3.3, ERRATA P03
        found = pidf.parse(
            b"""<?xml version="1.0" encoding="UTF-8"?>
<impp:presence xmlns:impp="urn:ietf:params:xml:ns:pidf"
     xmlns:myex="http://id.mycompany.com/presence/"
     entity="pres:someone@example.com">
  <impp:tuple id="tj25ds">
    <impp:status>
      <impp:basic>open</impp:basic>
    </impp:status>
    <myex:complexExtension>
      <myex:ex1 impp:mustUnderstand="1">val1</myex:ex1>
      <myex:ex2>val2</myex:ex2>
    </myex:complexExtension>
    <impp:contact priority="0.725">tel:+09012345678</impp:contact>
  </impp:tuple>
  <myex:mytag>My extended presentity information</myex:mytag>
</impp:presence>"""
        )
        assert found.tuples == (PresenceTuple("tj25ds", "open", contact=Contact("tel:+09012345678", 725)),)


class TestReading:
    @pytest.mark.requirement("3863-4.2.3-2")
    def test_elements_may_stand_in_any_order(self):  # ERRATA P05
        found = pidf.parse(
            document(
                "<note>of the presentity</note><tuple id='t'><timestamp>now</timestamp><note>n</note>"
                "<contact>im:a@b</contact><status><im:im>away</im:im><basic>open</basic></status></tuple>"
            )
        )
        expected = PresenceTuple("t", "open", "away", Contact("im:a@b"), (Note("n"),), "now")
        assert found == PresenceDocument(
            "pres:someone@example.com", (expected,), (Note("of the presentity"),)
        )

    def test_the_misspelt_namespace_reads_the_same(self):  # 3863-4.1.1-3, ERRATA P02
        misspelt = pidf.write(FULL).replace(
            b'xmlns="urn:ietf:params:xml:ns:pidf"', b'xmlns="urn:ietf:params:xml:ns:pidf:"'
        )
        assert pidf.parse(misspelt) == FULL

    def test_within_one_document_the_other_spelling_is_unknown(self):
        found = pidf.parse(
            document(
                '<tuple xmlns="urn:ietf:params:xml:ns:pidf:" id="t"><status><basic>open</basic></status></tuple>'
            )
        )
        assert found.tuples == ()

    @pytest.mark.requirement("3863-4.2.3-1")
    @pytest.mark.parametrize(
        "unknown",
        [
            "<x:x xmlns:x='urn:x'><status><basic>closed</basic></status><note>n</note></x:x>",
            "<other><note>n</note></other>",  # an unknown name in the namespace of PIDF
            "<x xmlns=''/>",
            "<x:note xmlns:x='urn:x'>n</x:note>",
            "<x:x xmlns:x='urn:x' mustUnderstand='true'/>",
        ],
    )
    def test_an_unknown_element_is_ignored_with_all_its_content(self, unknown):  # 3863-4.2.3-1
        found = pidf.parse(document(f"{unknown}<tuple id='t'>{unknown}{OPEN}{unknown}</tuple>{unknown}"))
        assert found == PresenceDocument("pres:someone@example.com", (PresenceTuple("t", "open"),))

    def test_an_unknown_element_inside_a_value_is_ignored_too(self):
        found = parse_tuple(f"{OPEN}<note>a<x>b</x>c<note>d</note>e</note><contact>im:a<x/>@b</contact>")
        assert found.notes == (Note("ace"),)
        assert found.contact == Contact("im:a@b")

    @pytest.mark.requirement("3863-4.2.3-3")
    @pytest.mark.parametrize("name", ["mustUnderstand", "p:mustUnderstand", "q:mustUnderstand"])
    @pytest.mark.parametrize(("value", "im"), [("1", None), ("true", None), ("0", "away"), ("false", "away")])
    def test_an_extension_with_something_in_it_that_must_be_understood_is_unknown(self, name, value, im):
        # 3863-4.2.3-3
        found = pidf.parse(
            document(
                "<tuple id='t'><status><basic>open</basic><im:im xmlns:p='urn:ietf:params:xml:ns:pidf'"
                f" xmlns:q='urn:ietf:params:xml:ns:pidf:'>away<x {name}='{value}'/></im:im></status></tuple>"
            )
        )
        assert found.tuples == (PresenceTuple("t", "open", im),)

    def test_a_mark_within_what_is_ignored_is_ignored(self):  # RFC 3863 4.2.3, note
        assert parse_status("<basic>open</basic><im:im>xa<x><y mustUnderstand='1'/></x></im:im>").im == "xa"

    def test_an_extension_that_is_known_may_say_that_it_must_be(self):
        assert parse_status("<basic>open</basic><im:im mustUnderstand='true'>xa</im:im>").im == "xa"

    def test_a_marked_unknown_status_value_does_not_touch_the_others(self):  # 3863-4.2.3-4
        found = parse_status(
            "<x mustUnderstand='1'><basic>closed</basic></x><basic>open</basic><im:im>xa</im:im>"
        )
        assert (found.basic, found.im) == ("open", "xa")

    def test_of_several_im_values_the_first_counts(self):
        assert parse_status("<basic>open</basic><im:im>xa</im:im><im:im>dnd</im:im>").im == "xa"

    def test_a_status_may_have_other_values_than_basic(self):  # RFC 3863 4.1.3
        assert parse_status("<x/>").basic is None

    @pytest.mark.requirement("3863-4.1.2-5")
    def test_tuples_may_contradict_each_other(self):  # 3863-4.1.2-5
        found = pidf.parse(
            document(f"<tuple id='a'>{OPEN}</tuple><tuple id='b'>{OPEN.replace('open', 'closed')}</tuple>")
        )
        assert [each.basic for each in found.tuples] == ["open", "closed"]

    @pytest.mark.parametrize("identifier", ["", "1 a", "\u00e4/b", "balcony"])
    def test_a_tuple_id_is_any_string(self, identifier):  # ERRATA P04
        assert pidf.parse(document(f"<tuple id='{identifier}'>{OPEN}</tuple>")).tuples[0].id == identifier

    @pytest.mark.parametrize(
        ("text", "priority"),
        [
            ("0", 0),
            ("0.021", 21),
            ("0.5", 500),
            ("1.00", 1000),
            ("0.", 0),
            ("1.", 1000),
            ("1", 1000),
            (" 0.5\t", 500),
        ],
    )
    def test_a_priority_is_read(self, text, priority):
        found = parse_tuple(f"{OPEN}<contact priority='{text}'>im:a@b</contact>")
        assert found.contact == Contact("im:a@b", priority)

    @pytest.mark.requirement("3863-4.1.5-3")
    @pytest.mark.parametrize(
        "text",
        ["", "09", "00", "2", "-0.5", "1.001", "1.5", "0.0001", ".5", "0,5", "+0.5", "1e0", "high", "\u0660"],
    )
    def test_a_priority_that_is_none_counts_as_none(self, text):  # 3863-4.1.5-3, ERRATA P01
        found = parse_tuple(f"{OPEN}<contact priority='{text}'>im:a@b</contact>")
        assert found.contact == Contact("im:a@b", None)

    @pytest.mark.requirement("3863-4.1.6-4")
    @pytest.mark.parametrize(
        ("root", "inner", "own", "language"),
        [
            ("", "", "", None),
            ("xml:lang='en'", "", "", "en"),
            ("xml:lang='en'", "xml:lang='de'", "", "de"),
            ("xml:lang='en'", "xml:lang='de'", "xml:lang='fr'", "fr"),
            ("xml:lang='en'", "", "xml:lang=''", ""),
        ],
    )
    def test_the_language_of_a_note_may_stand_around_it(self, root, inner, own, language):  # 3863-4.1.6-4
        found = pidf.parse(
            document(f"<tuple id='t' {inner}>{OPEN}<note {own}>n</note></tuple>", f"entity='x' {root}")
        )
        assert found.tuples[0].notes == (Note("n", language),)

    @pytest.mark.requirement("3863-4.1-5", "3863-7-1")
    @pytest.mark.parametrize(
        "declaration",
        ["", "\ufeff", "<?xml version='1.0'?>", "<?xml version='1.0' encoding='utf-8'?>\r\n",
         "\ufeff<?xml version='1.0' encoding='UTF-8'?>"],
    )  # fmt: skip
    def test_utf_8_is_read_with_or_without_a_declaration(self, declaration):  # 3863-4.1-5, 7-1, ERRATA P08
        data = declaration.encode() + document("<note>\u00e4</note>")
        assert pidf.parse(data).notes == (Note("\u00e4"),)

    def test_white_space_around_values_does_not_matter_but_in_notes_it_does(self):
        found = parse_tuple(
            "\n<status> <basic>\n open </basic>\t</status>\r\n<contact> im:a@b\n</contact><note> n </note>"
            "<timestamp>\n2001-10-27T16:49:29Z </timestamp>"
        )
        expected = PresenceTuple("t", "open", None, Contact("im:a@b"), (Note(" n "),), "2001-10-27T16:49:29Z")
        assert found == expected


class TestMalformed:
    @pytest.mark.requirement("3863-4.1-1", "3863-4.1.4-1")
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"text",
            b"<presence entity='pres:a@b'/>",
            b"<presence xmlns='jabber:client' entity='pres:a@b'/>",
            b"<tuple xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:a@b'/>",
            b"<presence xmlns='urn:ietf:params:xml:ns:pidf::' entity='pres:a@b'/>",
            document(attributes=""),
            document(attributes="x:entity='pres:a@b' xmlns:x='urn:ietf:params:xml:ns:pidf'"),
            document("text"),
            document(f"<tuple id='t'>{OPEN}</tuple>text"),
            document(f"<tuple id='t'>text{OPEN}</tuple>"),
            document("<tuple id='t'><status>text<basic>open</basic></status></tuple>"),
            document(f"<tuple>{OPEN}</tuple>"),
            document("<tuple id='t'/>"),
            document("<tuple id='t'><contact>im:a@b</contact></tuple>"),
            document(f"<tuple id='t'>{OPEN}{OPEN}</tuple>"),
            document("<tuple id='t'><status/></tuple>"),
            document("<tuple id='t'><status> </status></tuple>"),
            document("<tuple id='t'><status><basic/></status></tuple>"),
            document("<tuple id='t'><status><basic>busy</basic></status></tuple>"),
            document("<tuple id='t'><status><basic>Open</basic></status></tuple>"),
            document("<tuple id='t'><status><basic>open</basic><basic>open</basic></status></tuple>"),
            document(f"<tuple id='t'>{OPEN}<contact>a:</contact><contact>b:</contact></tuple>"),
            document(f"<tuple id='t'>{OPEN}<timestamp>a</timestamp><timestamp>a</timestamp></tuple>"),
            document(f"<tuple id='t'>{OPEN}</tuple><tuple id='t'>{OPEN}</tuple>"),
            document() + document(),
        ],
    )
    def test_another_structure_is_malformed(self, data):
        with pytest.raises(MalformedError):
            pidf.parse(data)

    @pytest.mark.requirement("3863-4.1-1")
    @pytest.mark.parametrize(
        "data",
        [
            b"<!DOCTYPE presence [<!ENTITY x 'y'>]>" + document("<note>&x;</note>"),
            b"<!DOCTYPE presence>" + document(),
            document("<!-- comment -->"),
            document("<?pi?>"),
            b"<?xml version='1.0' encoding='ISO-8859-1'?>" + document(),
            b"<?xml version='1.0' encoding='UTF-16'?>" + document(),
            document().decode().encode("utf-16"),
            document("<note>\u00e4</note>").decode().encode("latin-1"),
            document("<x>" * 100 + "</x>" * 100),
            document("<x/>" * 25_000),
            document(f"<note>{'x' * MAX_OCTETS}</note>"),
        ],
    )
    def test_xml_that_no_peer_may_send_is_malformed(self, data):  # ERRATA P08
        with pytest.raises(MalformedError):
            pidf.parse(data)

    @given(st.binary(max_size=200))
    def test_arbitrary_octets_are_malformed(self, data):
        with pytest.raises(MalformedError):
            pidf.parse(data)

    @given(DOCUMENTS, st.integers(0), st.integers(0, 6), st.binary(max_size=6))
    def test_a_document_that_was_tampered_with_is_read_or_malformed(self, drawn, at, length, inserted):
        data = pidf.write(drawn)
        at %= len(data)
        try:
            found = pidf.parse(data[:at] + inserted + data[at + length :])
        except MalformedError:
            return
        readable = replace(found, tuples=tuple(each for each in found.tuples if each.basic is not None))
        assert pidf.parse(pidf.write(readable)) == readable
