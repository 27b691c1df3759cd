"""The outer stanza: what it shows, where the object stands in it, and what never gets one."""

from xml.etree.ElementTree import SubElement, fromstring

import pytest
from slixmpp.xmlstream.tostring import tostring

from slixmpp_e2e import ConfigurationError
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection
from tests.plugin.test_filters import Filtered, carry
from tests.server.protected import PKI, make_pki

#: Written out: nothing in the package may change what stands on the wire.
E2E_ELEMENT = "{urn:ietf:params:xml:ns:xmpp-e2e}e2e"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


def stanza(client: Filtered, kind: str):
    """A stanza of a kind to juliet with SECRET in it."""
    if kind == "message":
        return client.message("juliet@localhost/juliet", "SECRET")
    if kind == "presence":
        return client.xmpp.make_presence(pto="juliet@localhost/juliet", pstatus="SECRET")
    return client.xmpp.make_iq_get("urn:example:SECRET", ito="juliet@localhost/juliet")


@pytest.mark.requirement("3923-3.1-3", "3923-3.2-2", "3923-9-1", "3923-12-1")
@pytest.mark.parametrize("kind", ["message", "presence", "iq"])
async def test_the_object_is_the_text_of_an_e2e_element_in_a_stanza_of_the_same_kind(pki, kind):
    outer = Filtered(pki, "romeo", "juliet").seal(stanza(Filtered(pki, "romeo", "juliet"), kind))
    assert outer.xml.tag == f"{{jabber:client}}{kind}"
    (payload,) = outer.xml.findall(E2E_ELEMENT)
    assert len(payload) == 0
    assert payload.text.startswith("Content-Type: application/pkcs7-mime; smime-type=enveloped-data")
    assert "SECRET" not in tostring(outer.xml)
    assert not any(child.tag.startswith("{jabber:client}") for child in outer.xml)


@pytest.mark.requirement("3923-3.1-3", "3923-9-1")
@pytest.mark.parametrize("level", ["sign", "required"])
async def test_an_object_in_a_cdata_section_is_read(pki, level):
    romeo, juliet = Filtered(pki, "romeo", "juliet", policy={"*": level}), Filtered(pki, "juliet", "romeo")
    outer = romeo.seal(romeo.message("juliet@localhost/juliet", "a <b> & c"))
    object_ = outer.xml.findtext(E2E_ELEMENT)
    text = f"<message type='chat'><e2e xmlns='{E2E_ELEMENT[1:-4]}'><![CDATA[{object_}]]></e2e></message>"
    outer.xml = fromstring(text.replace("<message", "<message xmlns='jabber:client'"))
    inner = juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    assert inner["body"] == "a <b> & c"
    assert juliet.plugin.report(inner).authenticated


@pytest.mark.requirement("3923-2-17", "3923-4.1-4")
@pytest.mark.parametrize("kind", [None, "unavailable"])
async def test_presence_for_everybody_is_never_protected(pki, kind):
    romeo = Filtered(pki, "romeo", "juliet")
    presence = romeo.xmpp.make_presence(ptype=kind)
    assert romeo.seal(presence) is presence
    romeo.plugin.override(presence, "required")
    assert romeo.seal(presence) is None
    assert [failure.error.code for failure in romeo.failures.sent] == ["unprotectable"]


@pytest.mark.requirement("3851-2.7.1-3", "3851-2.7.1-4")
@pytest.mark.parametrize("cipher", ["tripledes", "des-ede3-cbc", "rc2-40", "none", ""])
def test_no_weak_cipher_can_be_chosen(pki, cipher):
    with pytest.raises(ConfigurationError, match="ciphers: auto, aes128-cbc"):
        build_protection({**DEFAULTS, **pki.options("romeo"), "cipher": cipher})


@pytest.mark.requirement("3923-6.1-1", "3851-3.8-1")
def test_without_a_certificate_of_our_own_nothing_begins(pki):
    with pytest.raises(ConfigurationError, match="our own certificate is missing"):
        build_protection({**DEFAULTS, **pki.options("romeo"), "certificate": None})


async def test_a_message_of_an_unknown_type_is_a_normal_one(pki):
    """RFC 6121 5.2.2; what was sealed would otherwise be refused on the other side."""
    romeo, juliet = Filtered(pki, "romeo", "juliet"), Filtered(pki, "juliet", "romeo")
    message = romeo.message("juliet@localhost/juliet", "what is in a type?")
    message.xml.set("type", "whisper")
    found = juliet.unseal(carry(romeo.seal(message), "romeo@localhost/romeo", juliet))
    assert found["body"] == "what is in a type?"
    assert juliet.plugin.report(found).authenticated


@pytest.mark.parametrize(
    ("hints", "body", "shown"),
    [
        ([], "x", ["store"]),
        ([], None, ["no-store"]),
        (["store"], "x", ["store"]),
        (["store"], None, ["store"]),  # a chat marker that shall be kept
        (["no-store"], "x", ["no-store"]),
        (["no-permanent-store"], "x", ["no-permanent-store"]),
        (["no-copy"], "x", ["no-copy", "store"]),
        (["no-copy", "no-copy"], None, ["no-copy", "no-store"]),
    ],
)
async def test_the_hints_of_a_program_are_shown_once_and_never_contradicted(pki, hints, body, shown):
    romeo = Filtered(pki, "romeo", "juliet")
    message = romeo.xmpp.make_message("juliet@localhost", body, mtype="chat")
    for hint in hints:
        SubElement(message.xml, f"{{urn:xmpp:hints}}{hint}")
    outer = romeo.seal(message)
    assert [each.tag for each in outer.xml if each.tag.startswith("{urn:xmpp:hints}")] == [
        f"{{urn:xmpp:hints}}{hint}" for hint in shown
    ]
    (eme,) = outer.xml.findall("{urn:xmpp:eme:0}encryption")
    assert eme.attrib == {"namespace": E2E_ELEMENT[1:-4]}
