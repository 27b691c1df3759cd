"""Messages and Message/CPIM (RFC 3922 4): what maps comes back as it was, and what does not map is not mapped."""

from xml.etree.ElementTree import Element, SubElement

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from slixmpp.jid import JID

from slixmpp_e2e.errors import InvalidStanzaError, MalformedError, RefusedError
from slixmpp_e2e.media import cpim, mapping, mime
from slixmpp_e2e.stanza import Outer
from tests.elements import CLIENT, TEXT, XML, same, stanza

JULIET = JID("juliet@example.com/balcony")
OUTER = Outer("message", "chat", "outer-1", JULIET, JID("romeo@example.net"))
FROM = cpim.Header("From", "<im:juliet@example.com>")
LANG = f"{{{XML}}}lang"
IDS = st.text(max_size=30) | st.from_regex(r"[A-Za-z0-9._-]{1,200}", fullmatch=True)


def message(body="Wherefore art thou?", subject=None, **attributes) -> Element:
    element = Element(f"{{{CLIENT}}}message", attributes)
    if subject is not None:
        SubElement(element, f"{{{CLIENT}}}subject").text = subject
    if body is not None:
        SubElement(element, f"{{{CLIENT}}}body").text = body
    return element


def written(element: Element, sender: JID = JULIET) -> bytes:
    headers, content = mapping.write_text(element, sender)
    return cpim.write([FROM, *headers], content)


def read(data: bytes, outer: Outer = OUTER) -> Element:
    found = cpim.parse(mime.parse_entity(data).body)
    return mapping.read_text(found, mime.parse_entity(found.content), outer)


def text_entity(*fields: str, body: bytes = b"x", headers: tuple[cpim.Header, ...] = ()) -> bytes:
    return cpim.write([FROM, *headers], "\r\n".join((*fields, "", "")).encode() + body)


class TestThereAndBack:
    @pytest.mark.requirement("3922-4-1", "3922-4.1.6-1", "3922-4.1.7-1", "3922-4.2.5-1")
    @given(TEXT, st.none() | TEXT, st.none() | IDS)
    @example("]]>", "\t\n\r\x7f\\", "1.2")
    @example("\n", "\u2028 ", "a@b")
    @example("\n.\n--boundary\n\nFrom: x\n", "\\u0041;lang=en", "id")
    def test_what_fits_comes_back_as_it_was(self, body, subject, identifier):
        attributes = {"type": "chat"} if identifier is None else {"type": "chat", "id": identifier}
        element = message(body, subject, **attributes)
        assume(mapping.fits_text(element) and identifier != "")
        assert same(read(written(element)), element)

    @pytest.mark.requirement("3862-2.2-8", "3851-3.1-1", "3851-3.1.1-1", "3851-3.1.1-2", "3851-3.1.4-1")
    @given(
        st.text(st.sampled_from(["a", "ä", "\U0001f600", "\n"]), min_size=1), st.sampled_from(["\n", "\r\n"])
    )
    def test_every_line_break_is_one_however_it_travelled(self, body, line_break):
        data = written(message(body))
        assert b"\n" not in data.replace(b"\r\n", b"")
        entity = mime.parse_entity(data)
        found = cpim.parse(entity.body)
        travelled = found.content.replace(b"\r\n", line_break.encode())
        back = mapping.read_text(found, mime.parse_entity(travelled), OUTER)
        assert back.findtext(f"{{{CLIENT}}}body") == body

    @pytest.mark.requirement("3923-6.4-1", "3851-3.1.2-1")
    @pytest.mark.parametrize(("body", "subject"), [("ä", None), ("b", "ä"), ("a", "b")])
    def test_the_outermost_header_says_that_there_is_more_than_ascii(self, body, subject):
        data = written(message(body, subject))
        entity = mime.parse_entity(data)
        assert entity.transfer_encoding == ("7bit" if data.isascii() else "8bit")
        inner = mime.parse_entity(cpim.parse(entity.body).content)
        assert inner.transfer_encoding == ("7bit" if body.isascii() else "8bit")
        assert inner.body == body.encode()

    @pytest.mark.parametrize("language", ["en", "de-CH-1996", "x" * 35])
    def test_the_language_of_the_message_comes_back(self, language):
        element = message(type="chat", **{LANG: language})
        assert mapping.fits_text(element)
        assert same(read(written(element)), element)

    def test_subject_and_body_may_stand_in_any_order(self):
        element = stanza('<message type="chat"><body>b</body><subject>s</subject></message>')
        assert mapping.fits_text(element)
        assert same(read(written(element)), message("b", "s", type="chat"))

    @pytest.mark.requirement("3862-2.2-5")
    def test_the_largest_subject_that_fits_comes_back(self):
        element = message("x", "\x7f" * 2000, type="chat")
        assert mapping.fits_text(element)
        assert same(read(written(element)), element)

    def test_white_space_between_the_children_does_not_matter(self):
        assert mapping.fits_text(stanza("<message>\n  <subject>s</subject>\n  <body>b</body>\n</message>"))


class TestWhatDoesNotFit:
    @pytest.mark.requirement("3862-2.2-6", "3922-4.1.5-1")
    @pytest.mark.parametrize(
        "xml",
        [
            "<message/>",
            "<message><body/></message>",
            "<message><subject>s</subject></message>",
            "<message><subject/><body>b</body></message>",
            "<message><body>b</body><body>c</body></message>",
            "<message><subject>s</subject><subject>t</subject><body>b</body></message>",
            "<message><body>b</body><thread>t</thread></message>",
            "<message><body>b</body><x xmlns='urn:x'/></message>",
            "<message><body xml:lang='en'>b</body></message>",
            "<message><body>b<x/></body></message>",
            "<message><body xmlns='urn:x'>b</body></message>",
            "<message><body>b</body>mixed</message>",
            "<message>mixed<body>b</body></message>",
            "<message other='x'><body>b</body></message>",
            "<message xml:lang=''><body>b</body></message>",
            "<message xml:lang='not_one'><body>b</body></message>",
            "<message><body>a&#13;b</body></message>",
            "<message><body>a&#13;&#10;b</body></message>",
            "<message><subject>s </subject><body>b</body></message>",
            "<message><subject> s</subject><body>b</body></message>",
            f"<message><subject>{'s' * 2001}</subject><body>b</body></message>",
            "<message id='a@b'><body>b</body></message>",
            "<message id='a b'><body>b</body></message>",
            "<message id='a..b'><body>b</body></message>",
            "<message id='.a'><body>b</body></message>",
            "<message id='&lt;a&gt;'><body>b</body></message>",
            "<message id='a&#10;b'><body>b</body></message>",
            "<message id='ä'><body>b</body></message>",
            f"<message id='{'a' * 201}'><body>b</body></message>",
        ],
    )
    def test_it_is_seen(self, xml):
        assert not mapping.fits_text(stanza(xml))

    @pytest.mark.parametrize(
        ("body", "subject"),
        [("\0", None), ("a\x0bb", None), ("\ud83d", None), ("\ufffe", None), ("b", "\x1f"), ("b", "\udfff")],
    )
    def test_characters_that_xml_cannot_carry_are_refused(self, body, subject):
        with pytest.raises(InvalidStanzaError):
            mapping.write_text(message(body, subject), JULIET)


class TestIds:
    @pytest.mark.requirement("3922-4.1.3-2")
    def test_our_id_becomes_a_content_id_of_our_domain(self):
        assert b"\r\nContent-ID: <abc@example.com>\r\n" in written(message(id="abc"))

    def test_a_domain_stands_there_in_ascii(self):
        sender = JID("juliet@bücher.example")
        data = written(message(id="abc", type="chat"), sender)
        assert b"<abc@xn--bcher-kva.example>" in data
        back = read(data, Outer("message", "chat", "", sender, OUTER.recipient))
        assert back.get("id") == "abc"

    @pytest.mark.requirement("3922-4.2.8-1")
    @pytest.mark.parametrize(
        ("content_id", "identifier"),
        [
            ("<1234@example.com>", "1234"),
            ("<1234@example.org>", "1234@example.org"),
            ("<a@b@example.com>", "a@b"),
            ("<1234>", "1234"),
            ("<@example.com>", "@example.com"),
            ("1234@example.com", None),
            ("<12 34@example.com>", None),
            ("<>", None),
            ("<12\x0134@example.com>", None),
            ("<a><b>", None),
        ],
    )
    def test_a_content_id_is_the_id_of_the_message(self, content_id, identifier):
        back = read(text_entity("Content-type: text/plain", f"Content-ID: {content_id}"))
        assert back.get("id") == identifier  # RFC 3922 4.2.8

    def test_without_one_there_is_no_id(self):
        assert read(written(message())).get("id") is None


SEVENTEEN = "".join(f"<subject xml:lang='x{number}'>s</subject>" for number in range(17))


class TestLanguages:
    @pytest.mark.requirement("3922-4.1.6-2", "3862-4.5-1")
    def test_a_subject_says_its_language_or_that_of_the_message(self):
        element = stanza(
            "<message type='chat' xml:lang='en'><subject>s</subject><subject xml:lang='cs'>p</subject>"
            "<body>b</body></message>"
        )
        assert mapping.fits_text(element)
        data = written(element)
        assert b"\r\nSubject:;lang=en s\r\nSubject:;lang=cs p\r\n" in data
        assert b"\r\nContent-Language: en\r\n" in data
        assert same(read(data), element)

    def test_where_nothing_says_a_language_none_is_made_up(self):
        assert b"\r\nSubject: s\r\n" in written(message("b", "s"))

    @pytest.mark.parametrize(
        "xml",
        [
            "<message><subject xml:lang=''>s</subject><body>b</body></message>",
            "<message><subject xml:lang='not_one'>s</subject><body>b</body></message>",
            "<message xml:lang='en'><subject xml:lang='en'>s</subject><body>b</body></message>",
            "<message><subject xml:lang='en'>s</subject><subject xml:lang='en'>t</subject><body>b</body></message>",
            "<message><subject xml:lang='en' other='x'>s</subject><body>b</body></message>",
            f"<message>{SEVENTEEN}<body>b</body></message>",
        ],
    )
    def test_subjects_that_would_not_come_back_travel_otherwise(self, xml):
        assert not mapping.fits_text(stanza(xml))


def part(text: bytes, *fields: str) -> bytes:
    return b"--b\r\n" + "\r\n".join((*fields, "", "")).encode() + text + b"\r\n"


PLAIN, HTML = "Content-type: text/plain; charset=utf-8", "Content-type: text/html"
EN, DE = "Content-Language: en", "Content-Language: de"


class TestAlternatives:
    """ERRATA E46: a multipart/alternative is one text in several languages, or its first text/plain."""

    def read(self, *parts: bytes) -> list[tuple[str, str | None]]:
        fields = ("Content-type: multipart/alternative; boundary=b", EN)
        back = read(text_entity(*fields, body=b"".join(parts) + b"--b--\r\n"))
        return [(each.text, each.get(LANG)) for each in back.findall(f"{{{CLIENT}}}body")]

    def test_texts_that_all_say_their_language_are_all_there(self):
        both = self.read(part(b"a\r\nb", PLAIN, EN), part("ä".encode(), PLAIN, DE))
        assert both == [("a\nb", None), ("ä", "de")]  # the message is in English, so its body needn't say so

    @pytest.mark.parametrize(
        "parts",
        [
            (part(b"<b>", HTML, EN), part(b"a", PLAIN, DE)),
            (part(b"a", PLAIN, DE), part(b"b", PLAIN)),
            (part(b"a", PLAIN, DE), part(b"b", PLAIN, DE)),
            (part(b"x", EN), part(b"a", PLAIN, DE)),
            (part(b"a", PLAIN, DE), part(b"b", PLAIN, "Content-Language: en, fr")),
        ],
    )
    def test_otherwise_the_first_plain_text_is_it(self, parts):
        assert self.read(*parts) == [("a", "de")]

    @pytest.mark.parametrize("parts", [(part(b"<b>", HTML),), (part(b"x"),), ()])
    def test_where_none_is_plain_text_it_is_refused(self, parts):
        with pytest.raises((RefusedError, MalformedError)):
            self.read(*parts)

    def test_its_parts_are_bounded(self):
        assert self.read(*[part(b"a", PLAIN)] * 32) == [("a", None)]
        with pytest.raises(MalformedError):
            self.read(*[part(b"a", PLAIN)] * 33)


class TestReading:
    @pytest.mark.requirement("3922-4.1.4-1")
    @pytest.mark.parametrize("kind", ["chat", "headline"])
    def test_the_type_is_that_of_the_outer_stanza(self, kind):
        outer = Outer("message", kind, "", JULIET, OUTER.recipient)
        assert read(written(message()), outer).get("type") == kind
        normal = Outer("message", "normal", "", JULIET, OUTER.recipient)
        assert read(written(message()), normal).get("type") is None

    @pytest.mark.requirement("3922-4.2.5-1", "3922-4.2.5-2")
    def test_subjects_in_several_languages_are_all_there(self):
        headers = (cpim.Header("Subject", "s"), cpim.Header("Subject", "Objet", "fr"))
        back = read(text_entity("Content-type: text/plain", headers=headers))
        subjects = back.findall(f"{{{CLIENT}}}subject")
        assert [(each.text, each.get(LANG)) for each in subjects] == [("s", None), ("Objet", "fr")]

    @pytest.mark.requirement("3922-4.2.9-4")
    @pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "us-ascii"])
    def test_text_is_utf_8(self, charset):
        back = read(text_entity(f"Content-type: text/plain; charset={charset}", body="ä".encode()))
        assert back.findtext(f"{{{CLIENT}}}body") == "ä"

    def test_a_language_that_is_none_is_left_out(self):
        assert read(text_entity("Content-type: text/plain", "Content-Language: en, de")).get(LANG) is None

    @pytest.mark.requirement("3922-4.2.9-5")
    def test_another_charset_is_refused(self):
        with pytest.raises(RefusedError) as caught:
            read(text_entity("Content-type: text/plain; charset=iso-8859-1"))
        assert caught.value.reason == "unsupported"

    @pytest.mark.requirement("3862-7.1-1")
    def test_base64_and_quoted_printable_are_undone(self):
        for encoding, body in (("base64", b"w6Q="), ("quoted-printable", b"=C3=A4")):
            data = text_entity(
                "Content-type: text/plain", f"Content-Transfer-Encoding: {encoding}", body=body
            )
            assert read(data).findtext(f"{{{CLIENT}}}body") == "ä"

    @pytest.mark.parametrize("body", [b"\xff", b"\xc0\xaf", b"\xed\xa0\xbd", b"\0", b"\x1b", b"\xef\xbf\xbe"])
    def test_text_that_no_message_can_hold_is_malformed(self, body):
        with pytest.raises(MalformedError):
            read(text_entity("Content-type: text/plain", body=body))

    def test_a_subject_that_no_message_can_hold_is_malformed(self):
        with pytest.raises(MalformedError):
            read(text_entity("Content-type: text/plain", headers=(cpim.Header("Subject", "\0"),)))
