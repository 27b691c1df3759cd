"""The strict reader, the writer, and the binding of inner to outer."""

import copy
import time
from contextlib import suppress
from xml.etree.ElementTree import Comment, Element, ProcessingInstruction, SubElement, fromstring

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from slixmpp.jid import JID

from slixmpp_e2e.errors import UNVERIFIED_SIGNATURE, InvalidStanzaError, MalformedError, SignatureError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.stanza import (
    MAX_OCTETS,
    Outer,
    as_client_stanza,
    bind,
    parse_xml,
    remap,
    require_same,
    serialise,
    stanza_type,
)
from tests.elements import CLIENT, TEXT, TREES, XML, same, stanza

JULIET = JID("juliet@example.com/balcony")
ROMEO = JID("romeo@example.net/orchard")


class TestThereAndBack:
    @given(TREES, st.sampled_from(["", CLIENT, "urn:x"]))
    def test_any_element_comes_back_as_it_was(self, element, namespace):
        assert same(
            parse_xml(f'<r xmlns="{namespace}">{serialise(element, namespace)}</r>'.encode())[0], element
        )

    @pytest.mark.requirement("6120-11.3-1")
    @given(TREES)
    def test_another_reader_of_xml_sees_the_same(self, element):
        assert same(fromstring(serialise(element)), element)

    @given(TEXT)
    @example("]]>")
    @example("\r\n\t")
    @example("\ufeff")
    def test_any_text_comes_back(self, text):
        element = Element("x", {"a": text})
        element.text = text
        found = parse_xml(serialise(element).encode())
        assert (found.get("a"), found.text or "") == (text, text)


class TestWriting:
    @pytest.mark.parametrize(
        ("xml", "written"),
        [
            ("<message/>", "<message/>"),
            ("<message><body>x</body></message>", "<message><body>x</body></message>"),
            ("<message><x xmlns='urn:x'><y/></x></message>", '<message><x xmlns="urn:x"><y/></x></message>'),
            ("<message xml:lang='en'/>", '<message xml:lang="en"/>'),
            (
                "<message xmlns:p='urn:p' p:a='1' p:b='2' c='3'/>",
                '<message xmlns:n0="urn:p" n0:a="1" n0:b="2" c="3"/>',
            ),
            ("<message>a<x xmlns='urn:x'>b</x>c</message>", '<message>a<x xmlns="urn:x">b</x>c</message>'),
            ("<message>]]&gt;&amp;&lt;</message>", "<message>]]&gt;&amp;&lt;</message>"),
            ("<message a='&quot;&#10;&#13;&#9;'/>", '<message a="&quot;&#10;&#13;&#9;"/>'),
        ],
    )
    def test_it_is_written_like_this(self, xml, written):
        assert serialise(stanza(xml), CLIENT) == written

    def test_around_it_another_namespace_may_be_the_default(self):
        assert serialise(stanza("<message/>")) == '<message xmlns="jabber:client"/>'

    def test_a_name_without_namespace_takes_the_one_around_it(self):
        assert serialise(Element("x"), "urn:x") == "<x/>"

    @pytest.mark.requirement("6120-11.3-1")
    @pytest.mark.parametrize(
        "name",
        ["", "1x", "a b", "a:b", "<x>", 'a"', "-x", "a\n", "{urn:x}", "{urn:x}a b", "{urn:x}1", "x=", "x/"],
    )
    def test_what_is_no_name_is_refused(self, name):
        with pytest.raises(InvalidStanzaError):
            serialise(Element(name))
        with pytest.raises(InvalidStanzaError):
            serialise(Element("x", {name: "v"}))

    @pytest.mark.requirement("6120-11.3-1")
    @pytest.mark.parametrize("value", ["\0", "\x0b", "\x1f", "\ud83d", "\ufffe", "\uffff", None, 5, b"x"])
    def test_a_value_that_xml_cannot_carry_is_refused(self, value):
        element = Element("x", {"a": value})
        with pytest.raises(InvalidStanzaError):
            serialise(element)
        for attribute in ("text", "tail"):
            if value is not None:  # no text
                parent = Element("x")
                setattr(SubElement(parent, "y"), attribute, value)
                with pytest.raises(InvalidStanzaError):
                    serialise(parent)

    def test_a_namespace_that_xml_cannot_carry_is_refused(self):
        for element in (Element("{urn:\0}x"), Element("x", {"{urn:\0}a": "v"})):
            with pytest.raises(InvalidStanzaError):
                serialise(element)

    @pytest.mark.parametrize("uri", [XML, "http://www.w3.org/2000/xmlns/", "urn:a}b", "urn:a}{b"])
    def test_a_namespace_that_no_reader_takes_is_refused(self, uri):
        with pytest.raises(InvalidStanzaError):
            serialise(Element(f"{{{uri}}}x"))
        if uri != XML:
            with pytest.raises(InvalidStanzaError):
                serialise(Element("x", {f"{{{uri}}}a": "v"}))

    @pytest.mark.parametrize("name", ["xmlns", "{}xmlns"])
    def test_an_attribute_never_becomes_a_declaration(self, name):
        with pytest.raises(InvalidStanzaError):
            serialise(Element("{urn:x}x", {name: "urn:y"}))

    @pytest.mark.requirement("6120-11.1-1")
    @pytest.mark.parametrize("child", [Comment("x"), ProcessingInstruction("x")])
    def test_comments_and_processing_instructions_are_refused(self, child):
        element = Element("x")
        element.append(child)
        with pytest.raises(InvalidStanzaError):
            serialise(element)

    def test_what_is_nested_too_deeply_is_refused(self):
        element = inner = Element("x")
        for _ in range(100_000):
            inner = SubElement(inner, "x")
        with pytest.raises(InvalidStanzaError):
            serialise(element)


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'


class TestReading:
    @pytest.mark.requirement("3923-11-1", "6120-11.6-1")
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"x",
            b"<x>",
            b"<x></y>",
            b"<x/><y/>",
            b"<x/>x",
            b"<x a='1' a='2'/>",
            b"<x xmlns:a='urn:a' xmlns:b='urn:a' a:c='1' b:c='2'/>",
            b"<p:x/>",
            b"<x p:a='1'/>",
            b"<x>&nbsp;</x>",
            b"<x a=1/>",
            b"<1/>",
            b"<x>&#0;</x>",
            b"<x>&#xb;</x>",
            b"<x>&#xd800;</x>",
            b"<x>&#xffff;</x>",
            b"<x a='&#xfffe;'/>",
            b"<x>\0</x>",
            b"<x>\x1b</x>",
            b"<x>\xff</x>",
            b"<x>\xc0\xaf</x>",
            b"<x>\xed\xa0\xbd</x>",
            "<x>\uffff</x>".encode(),
            "<x a='\ufffe'/>".encode(),
            b"<!DOCTYPE x><x/>",
            b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>",
            LAUGHS,
            b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
            b"<!DOCTYPE x [<!ATTLIST x a CDATA 'v'>]><x/>",
            b"<?target data?><x/>",
            b"<x><?target data?></x>",
            b"<!-- comment --><x/>",
            b"<x><!-- comment --></x>",
            b"<x/><!-- comment -->",
            b'<?xml version="1.0" encoding="iso-8859-1"?><x/>',
            b'<?xml version="1.0" encoding="utf-16"?><x/>',
            b'<?xml version="1.0" encoding="utf-7"?><x/>',
            b' <?xml version="1.0"?><x/>',
            "<x/>".encode("utf-16"),
            "<x/>".encode("utf-16-le"),
            "<x/>".encode("utf-32"),
            b"<x xmlns='urn:a}b'/>",
            b"<xmlns:x/>",
        ],
    )
    def test_anything_but_plain_elements_is_malformed(self, data):
        with pytest.raises(MalformedError):
            parse_xml(data)

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b"<x>a</x>", "a"),
            (b"<x><![CDATA[<a>]]></x>", "<a>"),
            (b"<x>a]]&gt;<![CDATA[b]]></x>", "a]]>b"),
            (b"<x>a\r\nb\rc&#13;&#10;d</x>", "a\nb\nc\r\nd"),
            (b'<?xml version="1.0" encoding="utf-8" standalone="yes"?><x>\xc3\xa4</x>', "ä"),
            (b'<?xml version="1.0"?><x>\xf0\x9f\x98\x80</x>', "\U0001f600"),
            (b"\xef\xbb\xbf<x>a</x>", "a"),
            (b"<x>&lt;&gt;&amp;&quot;&apos;&#x1F600;</x>", "<>&\"'\U0001f600"),
        ],
    )
    def test_plain_elements_are_read(self, data, text):
        assert parse_xml(data).text == text

    def test_names_are_those_of_their_namespaces(self):
        found = parse_xml(
            b"<p:x xmlns:p='urn:p' xmlns='urn:d' a='1' p:a='2' xml:lang='en'><y/><z xmlns=''/></p:x>"
        )
        assert found.tag == "{urn:p}x"
        assert found.attrib == {"a": "1", "{urn:p}a": "2", f"{{{XML}}}lang": "en"}
        assert [child.tag for child in found] == ["{urn:d}y", "z"]

    @pytest.mark.requirement("3923-11-1")
    @pytest.mark.parametrize(
        ("allowed", "refused"),
        [
            (b"<x>" * 64 + b"</x>" * 64, b"<x>" * 65 + b"</x>" * 65),
            (
                b"<x>" + b"<y/>" * 200 + b"<x>" * 63 + b"</x>" * 64,
                b"<x>" + b"<y/>" * 200 + b"<x>" * 64 + b"</x>" * 65,
            ),
            (b"<x>" + b"<y/>" * 19_999 + b"</x>", b"<x>" + b"<y/>" * 20_000 + b"</x>"),
            (
                b"<x " + b" ".join(b"a%d=''" % number for number in range(64)) + b"/>",
                b"<x " + b" ".join(b"a%d=''" % number for number in range(65)) + b"/>",
            ),
            (b"<" + b"x" * 1024 + b"/>", b"<" + b"x" * 1025 + b"/>"),
            (b"<x " + b"a" * 1024 + b"=''/>", b"<x " + b"a" * 1025 + b"=''/>"),
            (b"<x>" + b"x" * (MAX_OCTETS - 7) + b"</x>", b"<x>" + b"x" * (MAX_OCTETS - 6) + b"</x>"),
        ],
        ids=["depth", "depth after others", "elements", "attributes", "name", "attribute name", "octets"],
    )
    def test_there_are_limits(self, allowed, refused):
        parse_xml(allowed)
        with pytest.raises(MalformedError):
            parse_xml(refused)

    @pytest.mark.parametrize(
        "data",
        [
            b"<x>" * 150_000,
            b"<x " + b"a='' " * 100_000,
            b"<x>" + b"&amp;" * 100_000 + b"</x>",
            b"<x>" + b"<![CDATA[]]>" * 40_000 + b"</x>",
            b"<x a='" + b"&#10;" * 100_000 + b"'/>",
            b"<" * 500_000,
            b"<x xmlns:" + b" xmlns:".join(b"p%d='urn:%d'" % (n, n) for n in range(20_000)) + b"/>",
        ],
    )
    def test_the_largest_document_is_read_or_refused_in_a_second(self, data):
        begin = time.perf_counter()
        with suppress(MalformedError):
            parse_xml(data)
        assert time.perf_counter() - begin < 1

    @given(
        st.lists(
            st.sampled_from(
                ["<x>", "</x>", "<x/>", "<x a='", "'/>", "<!--", "-->", "<?", "?>", "<![CDATA[", "]]>", "<!DOCTYPE x",
                 "[", "<!ENTITY e 'x'>", "]>", "&e;", "&#1;", "&#xD800;", "xmlns=''", "xmlns:a='urn:a}b'", "a:b=''",
                 "\0", "\ud800", "<?xml version='1.0'", " encoding='x'", " "]
            ),
            max_size=10,
        ).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass"))
        | st.binary(max_size=100)
    )  # fmt: skip
    def test_whatever_it_is_it_is_read_or_malformed(self, data):
        try:
            found = parse_xml(data)
        except MalformedError:
            return
        assert same(parse_xml(serialise(found).encode()), found)


class TestNamespaces:
    def test_a_stanza_and_its_children_change_their_stream_together(self):
        element = fromstring(
            "<message xmlns='jabber:server'><body/><x xmlns='urn:x'><body xmlns='jabber:server'/></x></message>"
        )
        remap(element, "jabber:server", CLIENT)
        assert [each.tag for each in element.iter()] == [
            f"{{{CLIENT}}}message", f"{{{CLIENT}}}body", "{urn:x}x", "{jabber:server}body"
        ]  # fmt: skip

    def test_comments_stay_where_they_are(self):
        element = fromstring("<message xmlns='jabber:server'/>")
        element.append(Comment("x"))
        remap(element, "jabber:server", CLIENT)
        assert element.tag == f"{{{CLIENT}}}message"

    @pytest.mark.parametrize(
        "tag", ["message", "{urn:x}message", f"{{{CLIENT}}}body", "{jabber:server}body", "{jabber:clientx}iq"]
    )
    def test_what_is_no_stanza_is_malformed(self, tag):
        with pytest.raises(MalformedError):
            as_client_stanza(Element(tag))

    @pytest.mark.parametrize("namespace", [CLIENT, "jabber:server"])
    def test_a_stanza_of_a_client_or_server_stream_is_one_of_ours(self, namespace):
        assert as_client_stanza(Element(f"{{{namespace}}}iq")).tag == f"{{{CLIENT}}}iq"

    @pytest.mark.parametrize(
        ("xml", "kind"),
        [
            ("<message/>", "normal"),
            ("<message type=''/>", "normal"),
            ("<message type='chat'/>", "chat"),
            ("<presence/>", "available"),
            ("<presence type='unavailable'/>", "unavailable"),
            ("<iq/>", ""),
            ("<iq type='set'/>", "set"),
        ],
    )
    def test_a_stanza_without_a_type_has_the_default(self, xml, kind):
        assert stanza_type(stanza(xml)) == kind


def outer(kind="message", type_="chat", sender=JULIET, recipient=ROMEO) -> Outer:
    return Outer(kind, type_, "outer-1", sender, recipient)


def is_juliet(address: str) -> bool:
    try:
        return bare(address) == JULIET.bare
    except ValueError:
        return False


class TestBinding:
    @pytest.mark.parametrize(
        ("inner", "outside"),
        [
            ("<message type='chat'/>", outer()),
            ("<message/>", outer(type_="normal")),
            ("<message type='normal'/>", outer(type_="normal")),
            ("<message type='chat' id='1' xml:lang='en'><body>x</body></message>", outer()),
            ("<message type='chat' from='juliet@example.com' to='romeo@example.net'/>", outer()),
            ("<message type='chat' from='JULIET@Example.COM/chamber' to='romeo@example.net/x'/>", outer()),
            (
                "<message type='chat' from='juliet@example.com/balcony'/>",
                outer(sender=JID("juliet@example.com")),
            ),
            ("<presence/>", outer("presence", "available")),
            ("<presence type='unavailable'/>", outer("presence", "unavailable")),
            ("<iq type='get' id='1'/>", outer("iq", "get")),
            ("<iq type='result' id='1' to='romeo@example.net'/>", outer("iq", "result")),
            (f"<iq type='get' id='{'x' * 1024}'/>", outer("iq", "get")),
        ],
    )
    def test_the_stanza_that_was_announced_gets_the_addresses_of_its_outer(self, inner, outside):
        element = stanza(inner)
        before = copy.deepcopy(element)
        bind(element, outside)
        assert (element.get("from"), element.get("to")) == (outside.sender.full, outside.recipient.full)
        for name in ("from", "to"):
            before.set(name, element.get(name))
        assert same(element, before)

    @pytest.mark.parametrize(
        ("inner", "outside", "reason"),
        [
            ("<presence/>", outer(), "invalid"),
            ("<iq type='get'/>", outer(), "invalid"),
            ("<message type='chat'/>", outer("iq", "get"), "invalid"),
            ("<message/>", outer(), "invalid"),
            ("<message type='groupchat'/>", outer(), "invalid"),
            ("<message type='error'/>", outer(), "invalid"),
            ("<message type='chat'/>", outer(type_="normal"), "invalid"),
            ("<message type='CHAT'/>", outer(), "invalid"),
            ("<presence type='subscribe'/>", outer("presence", "available"), "invalid"),
            ("<presence/>", outer("presence", "unavailable"), "invalid"),
            ("<iq type='set'/>", outer("iq", "get"), "invalid"),
            ("<iq type='result'/>", outer("iq", "get"), "invalid"),
            ("<iq/>", outer("iq", "get"), "invalid"),
            ("<message type='chat' from='mallory@example.com'/>", outer(), "name-mismatch"),
            ("<message type='chat' from='juliet@example.org'/>", outer(), "name-mismatch"),
            ("<message type='chat' from='example.com'/>", outer(), "name-mismatch"),
            ("<message type='chat' from=''/>", outer(), "name-mismatch"),
            ("<message type='chat' from='@'/>", outer(), "name-mismatch"),
            ("<message type='chat' from='juliet@example.com@example.com'/>", outer(), "name-mismatch"),
            ("<message type='chat' to='mercutio@example.net'/>", outer(), "other-recipient"),
            ("<message type='chat' to='romeo@example.com'/>", outer(), "other-recipient"),
            ("<message type='chat' to=''/>", outer(), "other-recipient"),
            ("<message type='chat' to='a b@@'/>", outer(), "other-recipient"),
        ],
    )
    def test_another_stanza_is_refused(self, inner, outside, reason):
        element = stanza(inner)
        with pytest.raises(SignatureError) as caught:
            bind(element, outside)
        assert (caught.value.reason, caught.value.answer) == (reason, UNVERIFIED_SIGNATURE)

    def test_a_stanza_of_another_stream_is_refused(self):
        with pytest.raises(SignatureError):
            bind(Element("{jabber:server}message", {"type": "chat"}), outer())

    def test_an_id_without_end_is_malformed(self):
        with pytest.raises(MalformedError):
            bind(stanza(f"<iq type='get' id='{'x' * 1025}'/>"), outer("iq", "get"))

    @given(st.text(max_size=30) | st.sampled_from(["juliet@EXAMPLE.com/x", "juliet@example.com."]))
    def test_no_address_raises_anything_else(self, address):
        if is_juliet(address):
            require_same(address, JULIET, "from", "name-mismatch")
            return
        with pytest.raises(SignatureError) as caught:
            require_same(address, JULIET, "from", "name-mismatch")
        assert caught.value.reason == "name-mismatch"
