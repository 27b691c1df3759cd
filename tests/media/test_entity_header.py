"""The MIME header of an entity that stands for a stanza: id and language come back, or the stanza does not fit."""

from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slixmpp.jid import JID

from slixmpp_e2e.errors import MalformedError, RefusedError
from slixmpp_e2e.media import entity_header, mime
from slixmpp_e2e.namespaces import LANG

JULIET = JID("juliet@example.com/balcony")
IDS = st.text(max_size=20) | st.from_regex(r"[A-Za-z0-9._@-]{1,202}", fullmatch=True)
LANGUAGES = st.text(max_size=5) | st.from_regex(r"[A-Za-z0-9-]{1,40}", fullmatch=True)


def written(stanza: Element, body: bytes = b"") -> bytes:
    return entity_header.write(stanza, JULIET, content_type="Content-Type: text/plain", body=body)


@given(st.none() | IDS, st.none() | LANGUAGES)
def test_what_fits_comes_back_and_nothing_else_is_added(identifier, language):
    attributes = {"id": identifier, LANG: language}
    stanza = Element("x", {name: value for name, value in attributes.items() if value is not None})
    if entity_header.fits(stanza):
        back = Element("x")
        entity_header.read(mime.parse_entity(written(stanza)), JULIET, back)
        assert back.attrib == stanza.attrib


@pytest.mark.parametrize("identifier", ["", "a b", "a@b", "ä", ".a", "a" * 201])
def test_an_id_that_no_content_id_can_carry_does_not_fit(identifier):
    assert not entity_header.fits(Element("x", {"id": identifier}))


@pytest.mark.parametrize("language", ["", "not_one", "x" * 36, "ä"])
def test_a_language_that_is_none_does_not_fit(language):
    assert not entity_header.fits(Element("x", {LANG: language}))


def test_the_header_is_written_like_this():
    stanza = Element("x", {"id": "1", LANG: "en"})
    assert written(stanza, "ä".encode()) == (
        b"Content-Type: text/plain\r\nContent-ID: <1@example.com>\r\nContent-Language: en\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4"
    )
    assert written(Element("x"), b"a") == b"Content-Type: text/plain\r\n\r\na"


class TestBodies:
    @pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=UTF-8", "; charset=us-ascii"])
    def test_utf_8_is_taken(self, charset):
        entity = mime.parse_entity(f"Content-Type: text/plain{charset}\n\nä".encode())
        assert entity_header.utf8_body(entity) == "ä".encode()

    def test_another_charset_is_unsupported(self):
        with pytest.raises(RefusedError) as caught:
            entity_header.utf8_body(mime.parse_entity(b"Content-Type: text/plain; charset=koi8-r\n\nx"))
        assert caught.value.reason == "unsupported"

    def test_a_transfer_encoding_that_cannot_be_undone_is_malformed(self):
        with pytest.raises(MalformedError):
            entity_header.utf8_body(mime.parse_entity(b"Content-Transfer-Encoding: base64\n\n!"))
