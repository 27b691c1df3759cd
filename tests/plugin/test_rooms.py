"""Rooms (XEP-0045): nothing is protected on the way there, nothing is opened on the way back.

What runs against a real server is in `tests/coexistence/`.
"""

from typing import Any
from xml.etree.ElementTree import SubElement, tostring

import pytest
import slixmpp

from slixmpp_e2e.errors import RefusedError, UnprotectableError
from slixmpp_e2e.outer import E2E_TAG, MUC_JOIN
from tests.plugin.test_filters import Filtered, carry
from tests.plugin.test_forwarded import wrapper
from tests.server.protected import PKI, make_pki

ROOM = "room@localhost"  # so that the forger can log in as it
NURSE = f"{ROOM}/nurse"
EVERYTHING = {"everybody", "presence", "private", "invitation", "request", "configuration"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    made = make_pki(tmp_path_factory.mktemp("pki"))
    made.issue("room", ROOM)
    return made


def join(client: Filtered, room: str = ROOM) -> Any:
    presence = client.xmpp.make_presence(pto=f"{room}/me")
    SubElement(presence.xml, MUC_JOIN)
    return client.seal(presence)


def leave(client: Filtered) -> Any:
    return client.seal(client.xmpp.make_presence(pto=f"{ROOM}/me", ptype="unavailable"))


def stanzas(client: Filtered) -> dict[str, Any]:
    """What a program may send to a room, or through it."""
    iq = client.xmpp.make_iq_get("urn:example:x", ito=NURSE)
    owner = client.xmpp.make_iq_get("http://jabber.org/protocol/muc#owner", ito=ROOM)
    return {
        "everybody": client.xmpp.make_message(ROOM, "hello", mtype="groupchat"),
        "presence": client.xmpp.make_presence(pto=f"{ROOM}/me", pshow="away"),
        "private": client.xmpp.make_message(NURSE, "psst", mtype="chat"),
        "invitation": client.xmpp.make_message(ROOM, mtype="normal"),
        "request": iq,
        "configuration": owner,
    }


@pytest.mark.requirement("3923-2-17")
@pytest.mark.parametrize(
    ("policy", "in_clear"),
    [
        ({"*": "off"}, EVERYTHING),
        ({"*": "opportunistic"}, EVERYTHING),
        ({"*": "required"}, {"everybody", "presence"}),
        ({"*": "encrypt-unsigned"}, {"everybody", "presence"}),
        ({"localhost": "sign"}, {"everybody", "presence"}),
        ({ROOM: "required"}, set()),
        ({"*": "required", ROOM: "off"}, EVERYTHING),
        ({"*": "required", ROOM: {"iq": "off", "message": "sign"}}, {"presence", "request", "configuration"}),
    ],
)
async def test_what_goes_to_a_room_is_clear_or_fails_at_once(pki, policy, in_clear):
    romeo = Filtered(pki, "romeo", "room", policy=policy, certificate_wait=5)
    romeo.xmpp._session_started = True
    left = {"join"} if join(romeo) is not None else set()
    assert ("join" in left) == ("presence" in in_clear)
    for name, stanza in stanzas(romeo).items():
        held = romeo.plugin._departures.hold(stanza)
        assert held is stanza, "it must not wait for a certificate"
        leaving = romeo.seal(stanza)
        assert leaving in (None, stanza)
        left |= {name} if leaving is stanza else set()
    assert left - {"join"} == in_clear
    assert {failure.error.code for failure in romeo.failures.sent} <= {"unprotectable"}
    assert len(romeo.failures.sent) == 7 - len(left)
    assert not romeo.plugin.stats().get("certificates_requested")


async def test_one_stanza_alone_can_be_let_through_or_stopped(pki):
    romeo = Filtered(pki, "romeo", "room", policy={"*": "required", ROOM: "required"})
    join(romeo)
    for name, stanza in stanzas(romeo).items():
        romeo.plugin.override(stanza, "off")
        assert romeo.seal(stanza) is stanza, name
    weaker = romeo.xmpp.make_message(ROOM, "hello", mtype="groupchat")
    romeo.plugin.override(weaker, "opportunistic")  # less than the policy asks
    assert romeo.seal(weaker) is None
    free = Filtered(pki, "romeo", "room", policy={"*": "off"})
    join(free)
    for name, stanza in stanzas(free).items():
        free.plugin.override(stanza, "sign")
        assert free.seal(stanza) is None, name
        with pytest.raises(UnprotectableError):
            await free.plugin.protect(stanza)


async def test_a_room_is_never_asked_for_a_certificate_nor_sent_ours(pki):
    """The request would tell it who we are."""
    romeo = Filtered(pki, "romeo", "juliet")
    join(romeo)
    for ask in (romeo.plugin.request_certificate, romeo.plugin.send_certificate):
        with pytest.raises(UnprotectableError):
            ask(NURSE)
    assert romeo.sent == []


async def test_somebody_else_is_protected_as_ever(pki):
    romeo = Filtered(pki, "romeo", "juliet")
    join(romeo)
    message = romeo.message("juliet@localhost", "hello")
    assert romeo.seal(message) is not message
    assert not romeo.failures.sent


async def test_what_was_a_room_is_an_address_like_others_once_it_is_left(pki):
    romeo = Filtered(pki, "romeo", "room")
    message = romeo.xmpp.make_message(ROOM, "hello", mtype="chat")
    join(romeo)
    assert romeo.seal(message) is None
    assert leave(romeo) is not None
    assert romeo.seal(message) is not message
    assert [failure.error.code for failure in romeo.failures.sent] == ["unprotectable"]


@pytest.mark.parametrize("kind", ["chat", "normal", "headline"])
@pytest.mark.parametrize("policy", ["off", "opportunistic", "required"])
async def test_what_an_occupant_protects_is_not_opened(pki, kind, policy):
    """By a certificate for the room's own address, which everybody in it could claim to be."""
    romeo = Filtered(pki, "romeo", "room", policy={"*": policy}, trust="tofu", trust_anchors=None)
    nurse = Filtered(pki, "room", "romeo")
    outer = nurse.seal(nurse.xmpp.make_message("romeo@localhost/romeo", "trust me", mtype=kind))
    join(romeo)
    came = carry(outer, NURSE, romeo)
    found = romeo.unseal(came)
    assert found is (None if policy == "required" else came)
    assert romeo.failures.reasons == (["unprotected"] if policy == "required" else [])
    assert romeo.plugin.report(came) is None
    assert came.xml.find(E2E_TAG) is not None
    with pytest.raises(RefusedError):
        await romeo.plugin.unprotect(carry(outer, NURSE, romeo))
    leave(romeo)  # all that was missing is that it be no room
    assert romeo.plugin.report(romeo.unseal(carry(outer, NURSE, romeo))).authenticated


@pytest.mark.parametrize("direction", ["received", "sent"])
async def test_a_copy_of_what_was_said_in_private_is_not_opened_either(pki, direction):
    outside, inside = [Filtered(pki, "romeo", "room", policy={"*": "opportunistic"}) for _ in range(2)]
    if direction == "received":
        nurse = Filtered(pki, "room", "romeo")
        outer = nurse.seal(nurse.xmpp.make_message("romeo@localhost/romeo", "trust me", mtype="chat"))
        outer["from"], outer["to"] = NURSE, "romeo@localhost/romeo"
    else:
        other = Filtered(pki, "romeo", "room", encrypt_to_self=True)
        outer = other.seal(other.xmpp.make_message(NURSE, "psst", mtype="chat"))
        outer["from"] = "romeo@localhost/other"
    text = tostring(outer.xml, encoding="unicode")
    join(inside)
    opened, left = [
        client.unseal(wrapper(client, text, by="romeo@localhost", around=direction))
        for client in (outside, inside)
    ]
    assert opened.xml.find(f".//{E2E_TAG}") is None
    assert left.xml.find(f".//{E2E_TAG}") is not None
    assert not inside.failures.received


@pytest.mark.parametrize(("policy", "heard"), [({"*": "required"}, True), ({ROOM: "required"}, False)])
async def test_what_everybody_in_a_room_gets_is_heard_unless_its_own_entry_forbids_it(pki, policy, heard):
    romeo = Filtered(pki, "romeo", "juliet", policy=policy)
    join(romeo)
    spoken = slixmpp.Message(romeo.xmpp, stype="groupchat", sfrom=NURSE, recv=True)
    assert romeo.unseal(spoken) is (spoken if heard else None)
    whispered = slixmpp.Message(romeo.xmpp, stype="chat", sfrom=NURSE, recv=True)
    assert romeo.unseal(whispered) is None
    assert romeo.plugin.report(spoken) is None
    assert set(romeo.failures.reasons) == {"unprotected"}
    assert romeo.sent == []  # nobody is told
