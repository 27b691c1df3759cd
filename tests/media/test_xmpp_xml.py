"""application/xmpp+xml (RFC 3923 10): a document with exactly one stanza."""

from xml.etree.ElementTree import Element, SubElement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.errors import InvalidStanzaError, MalformedError
from slixmpp_e2e.media import mime, xmpp_xml
from tests.elements import ATTRIBUTES, CLIENT, NAMES, TEXT, TREES, same, stanza


def document(inside: str, namespace: str = CLIENT) -> bytes:
    return f'<xmpp xmlns="{namespace}">{inside}</xmpp>'.encode()


def back(element: Element) -> Element:
    return xmpp_xml.parse(mime.parse_entity(xmpp_xml.write(element)).body)


class TestThereAndBack:
    @given(
        st.sampled_from(["message", "presence", "iq"]), ATTRIBUTES, TEXT, st.lists(TREES, max_size=3), TEXT
    )
    def test_any_stanza_comes_back_as_it_was(self, kind, attributes, text, children, tail):
        element = Element(f"{{{CLIENT}}}{kind}", attributes)
        element.text = text
        for child in children:
            child.tail = tail
            element.append(child)
        assert same(back(element), element)

    @pytest.mark.requirement("3851-3.1.1-1", "3851-3.1.4-1")
    @given(TEXT, TEXT)
    def test_it_survives_what_xml_does_to_line_breaks(self, text, value):
        element = stanza("<message/>")
        SubElement(element, f"{{{CLIENT}}}body", {"x": value}).text = text
        data = xmpp_xml.write(element)
        through_xml = data.replace(b"\r\n", b"\n")
        assert b"\r" not in through_xml
        restored = mime.canonical_line_breaks(through_xml)
        assert restored == data  # so that a signature over it still verifies: ERRATA E09
        assert same(xmpp_xml.parse(mime.parse_entity(restored).body), element)

    def test_what_follows_the_stanza_is_not_part_of_it(self):
        element = stanza("<message/>")
        element.tail = "\n"
        assert back(element).tail is None


class TestWriting:
    @pytest.mark.requirement("3923-10-1", "3923-10-2", "3923-10-3", "3923-12-2", "3862-2.4-1", "6120-11.6-1")
    def test_the_document_is_written_like_this(self):
        element = stanza('<iq type="get" id="1"><query xmlns="urn:x"/></iq>')
        assert xmpp_xml.write(element) == (
            b"Content-Type: application/xmpp+xml; charset=utf-8\r\n"
            b"\r\n"
            b'<xmpp xmlns="jabber:client"><iq type="get" id="1"><query xmlns="urn:x"/></iq></xmpp>'
        )

    def test_what_is_not_ascii_is_announced(self):
        entity = mime.parse_entity(xmpp_xml.write(stanza("<message><body>ä</body></message>")))
        assert entity.transfer_encoding == "8bit"

    def test_what_xml_cannot_carry_is_refused(self):
        element = stanza("<message><body>x</body></message>")
        element[0].text = "\0"
        with pytest.raises(InvalidStanzaError):
            xmpp_xml.write(element)

    def test_what_is_deeper_than_a_peer_would_read_is_refused(self):
        def nested(depth: int) -> Element:
            element = inner = stanza("<message/>")
            for _ in range(depth - 1):
                inner = SubElement(inner, "{urn:x}x")
            return element

        deepest = nested(63)
        assert same(back(deepest), deepest)
        with pytest.raises(InvalidStanzaError):
            xmpp_xml.write(nested(64))


class TestReading:
    @pytest.mark.parametrize("namespace", ["jabber:client", "jabber:server"])
    @pytest.mark.parametrize("kind", ["message", "presence", "iq"])
    def test_a_stanza_of_either_stream_is_one_of_ours(self, namespace, kind):
        found = xmpp_xml.parse(document(f"<{kind} id='1'><a/><b xmlns='urn:x'/></{kind}>", namespace))
        assert [each.tag for each in found.iter()] == [f"{{{CLIENT}}}{kind}", f"{{{CLIENT}}}a", "{urn:x}b"]

    def test_white_space_and_a_declaration_do_not_matter(self):
        found = xmpp_xml.parse(b'<?xml version="1.0" encoding="UTF-8"?>\n' + document("\n <message/>\r\n "))
        assert found.tag == f"{{{CLIENT}}}message"

    def test_prefixes_do_not_matter(self):
        found = xmpp_xml.parse(
            b'<c:xmpp xmlns:c="jabber:client"><c:message><c:body>x</c:body></c:message></c:xmpp>'
        )
        assert same(found, stanza("<message><body>x</body></message>"))

    @pytest.mark.requirement("3923-10-1", "3923-10-2")
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"text",
            document(""),
            document("text"),
            document("<message/>text"),
            document("text<message/>"),
            document("<message/><message/>"),
            document("<message/><presence/>"),
            document("<body/>"),
            document("<xmpp><message/></xmpp>"),
            document("<message/>", "urn:x"),
            document("<message/>", ""),
            document("<message/>", "jabber:component:accept"),
            document("<message xmlns='urn:x'/>"),
            document("<message xmlns=''/>"),
            document("<message/>").replace(b"xmpp", b"stream"),
            b'<message xmlns="jabber:client"/>',
            document("<message/>") + document("<message/>"),
        ],
    )
    def test_anything_but_one_stanza_is_malformed(self, data):
        with pytest.raises(MalformedError):
            xmpp_xml.parse(data)

    @given(
        st.lists(
            NAMES.map(lambda name: f"<{name}/>") | st.sampled_from(["<message/>", "<iq/>", " ", "x"]),
            max_size=3,
        )
    )
    def test_whatever_stands_there_it_is_one_stanza_or_malformed(self, inside):
        try:
            found = xmpp_xml.parse(document("".join(inside)))
        except MalformedError:
            return
        assert "".join(inside).strip() in {"<message/>", "<iq/>"}
        assert len(found) == 0
