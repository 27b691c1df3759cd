"""Ids of messages in an archive (XEP-0359): a program sees those that its own server wrote, and no others."""

from typing import Any
from xml.etree.ElementTree import SubElement, tostring

import pytest

from tests.plugin.test_filters import Filtered, carry
from tests.plugin.test_forwarded import wrapper
from tests.server.protected import PKI, make_pki

STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
ROMEO, JULIET = "romeo@localhost/romeo", "juliet@localhost"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


def write(stanza: Any, **ids: str) -> None:
    for identifier, by in ids.items():
        SubElement(stanza.xml, STANZA_ID, {"id": identifier, "by": by})


def read(message: Any) -> dict[str, str]:
    return {each.get("id"): each.get("by") for each in message.xml.findall(STANZA_ID)}


def sealed(romeo: Filtered, **inside: str) -> Any:
    message = romeo.message(f"{JULIET}/juliet", "hello")
    write(message, **inside)
    outer = romeo.seal(message)
    assert read(outer) == {}
    return outer


async def test_what_our_server_wrote_is_found_and_what_others_wrote_in_its_name_is_not(pki):
    romeo, juliet = Filtered(pki, "romeo", "juliet"), Filtered(pki, "juliet", "romeo")
    outer = sealed(
        romeo,
        forged=JULIET,
        shouted=JULIET.upper(),
        theirs="localhost",
        full=f"{JULIET}/juliet",
        room="room@muc.localhost",
        none="@@",
    )
    write(outer, ours=JULIET, strange="romeo@localhost", other="room@muc.localhost")
    inner = juliet.unseal(carry(outer, ROMEO, juliet))
    assert juliet.plugin.report(inner).authenticated
    assert read(inner) == {"room": "room@muc.localhost", "none": "@@", "ours": JULIET}


async def test_slixmpp_finds_the_id_by_which_the_archive_can_be_asked(pki):
    romeo, juliet = Filtered(pki, "romeo", "juliet"), Filtered(pki, "juliet", "romeo")
    juliet.xmpp.register_plugin("xep_0359")
    outer = sealed(romeo, forged=JULIET)
    write(outer, ours=JULIET)
    inner = juliet.unseal(carry(outer, ROMEO, juliet))
    assert (inner["stanza_id"]["id"], inner["stanza_id"]["by"]) == ("ours", JULIET)


@pytest.mark.parametrize("around", ["received", "result"])
async def test_the_id_of_a_copy_is_that_of_the_server_too(pki, around):
    romeo, juliet = Filtered(pki, "romeo", "juliet"), Filtered(pki, "juliet", "romeo")
    for name in ("xep_0280", "xep_0313"):
        juliet.xmpp.register_plugin(name)
    outer = sealed(romeo, forged=JULIET)
    write(outer, ours=JULIET)
    outer["from"] = ROMEO
    namespace = {"received": "urn:xmpp:carbons:2", "result": "urn:xmpp:mam:2"}[around]
    text = tostring(outer.xml, encoding="unicode")
    copied = juliet.unseal(wrapper(juliet, text, around=around, namespace=namespace))
    (inner,) = copied.xml.iterfind(".//{urn:xmpp:forward:0}forwarded/{jabber:client}message")
    assert [each.get("id") for each in inner.findall(STANZA_ID)] == ["ours"]
    assert inner.findtext("{jabber:client}body") == "hello"


async def test_an_id_brings_nothing_along_and_comes_once(pki):
    """Whatever a server writes there, nobody has signed it."""
    romeo, juliet = Filtered(pki, "romeo", "juliet"), Filtered(pki, "juliet", "romeo")
    outer = sealed(romeo)
    write(
        outer,
        first=JULIET,
        second=JULIET,
        third=JULIET.upper(),
        resource=f"{JULIET}/juliet",
        server="localhost",
    )
    for each in outer.xml.findall(STANZA_ID):
        each.set("more", "x")
        SubElement(each, "{jabber:client}body").text = "evil"
    inner = juliet.unseal(carry(outer, ROMEO, juliet))
    assert juliet.plugin.report(inner).authenticated
    found = inner.xml.findall(STANZA_ID)
    assert [(each.attrib, len(each)) for each in found] == [
        ({"id": "first", "by": JULIET}, 0),
        ({"id": "server", "by": "localhost"}, 0),
    ]


@pytest.mark.parametrize("kind", ["iq", "presence"])
async def test_nothing_but_a_message_has_such_ids(pki, kind):
    romeo, juliet = Filtered(pki, "romeo", "juliet"), Filtered(pki, "juliet", "romeo")
    if kind == "iq":
        stanza = romeo.xmpp.make_iq_get("urn:question", f"{JULIET}/juliet")
    else:
        stanza = romeo.xmpp.make_presence(pto=f"{JULIET}/juliet")
    write(stanza, forged=JULIET)
    outer = romeo.seal(stanza)
    write(outer, ours=JULIET)
    inner = juliet.unseal(carry(outer, ROMEO, juliet))
    assert juliet.plugin.report(inner).authenticated
    assert inner.xml.findall(STANZA_ID) == []
