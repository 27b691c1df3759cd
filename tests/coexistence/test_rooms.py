"""Rooms (XEP-0045): nothing there is protected, nothing there looks protected, and a demand for it fails at once."""

import asyncio
import time
from typing import Any

import pytest
from slixmpp import JID
from slixmpp.exceptions import IqError

from tests.server.clients import Inbox, round_trip
from tests.server.couple import Party
from tests.server.wire import stanzas

pytestmark = pytest.mark.server

SECRET = "the canary of Verona"
ROOM = JID("hall@rooms.localhost")
E2E = "{urn:ietf:params:xml:ns:xmpp-e2e}e2e"


async def join(party: Party) -> None:
    await party.plugin("xep_0045").join_muc_wait(ROOM, party.xmpp.boundjid.user, timeout=5)


def whisper(party: Party, to: str, text: str) -> Any:
    """Say something to one occupant."""
    message = party.xmpp.make_message(f"{ROOM}/{to}", text, mtype="chat")
    message.send()
    return message


def to_the_room(party: Party) -> list[Any]:
    return [
        each
        for each in stanzas(party.proxy.recorded_from_clients)
        if (each.get("to") or "").startswith(str(ROOM))
    ]


async def test_under_required_the_room_is_talked_in_and_nothing_else_leaves(log_in):
    """`*` does not mean rooms; but it means everybody in them."""
    romeo, juliet = [await log_in(name, certificate_wait=5) for name in ("romeo", "juliet")]
    for party in (romeo, juliet):
        await join(party)
    heard = Inbox(juliet.xmpp, "groupchat_message")
    said = romeo.xmpp.make_message(ROOM, "good morrow", mtype="groupchat")
    said.send()
    came = await heard.next()
    assert (came["body"], came["id"]) == ("good morrow", said["id"])
    assert came["stanza_id"]["by"] == ROOM
    assert juliet.report(came) is None

    begun = time.monotonic()
    whisper(romeo, "juliet", SECRET)
    with pytest.raises(IqError):
        await romeo.plugin("xep_0045").get_room_config(ROOM, timeout=20)
    with pytest.raises(IqError):
        await romeo.plugin("xep_0030").get_info(jid=f"{ROOM}/juliet", timeout=20)
    romeo.plugin("xep_0045").invite(ROOM, JID("mercutio@localhost"), SECRET)
    await round_trip(romeo.xmpp)
    assert time.monotonic() - begun < 3
    failures = romeo.failures.sent
    assert [each.error.code for each in failures] == ["unprotectable"] * 4
    assert {each.tag.rpartition("}")[2] for each in to_the_room(romeo)} == {"presence", "message"}
    assert {each.get("type") for each in to_the_room(romeo)} == {None, "groupchat"}
    assert SECRET.encode() not in romeo.proxy.recorded_from_clients
    assert E2E not in str([[child.tag for child in each] for each in to_the_room(romeo)])
    assert romeo.plugin("e2e").stats().get("certificates_requested", 0) == 0


async def test_a_room_with_an_entry_that_demands_protection_is_not_even_entered(log_in):
    romeo = await log_in("romeo", policy={ROOM.bare: "required"})
    await log_in("juliet")
    task = asyncio.ensure_future(romeo.plugin("xep_0045").join_muc_wait(ROOM, "romeo", timeout=30))
    await round_trip(romeo.xmpp)
    romeo.xmpp.send_message(ROOM, SECRET, mtype="groupchat")
    whisper(romeo, "juliet", SECRET)
    await round_trip(romeo.xmpp)
    task.cancel()
    assert [each.error.code for each in romeo.failures.sent] == ["unprotectable"] * 3
    assert to_the_room(romeo) == []
    assert ROOM.bare.encode() not in romeo.proxy.recorded_from_clients


@pytest.mark.parametrize(
    "policy", [{"*": "required", ROOM.bare: "off"}, {"*": "opportunistic"}], ids=["off", "opportunistic"]
)
async def test_what_no_entry_asks_protection_for_is_left_alone(log_in, policy):
    """Private messages, configuration and all; and people outside are protected as ever."""
    romeo, juliet = [await log_in(name, policy=policy) for name in ("romeo", "juliet")]
    for party in (romeo, juliet):
        await join(party)
    inbox = Inbox(juliet.xmpp)
    said = whisper(romeo, "juliet", SECRET)
    came = await inbox.next()
    assert (came["body"], came["from"], came["id"]) == (SECRET, f"{ROOM}/romeo", said["id"])
    assert juliet.report(came) is None
    form = await romeo.plugin("xep_0045").get_room_config(ROOM, timeout=5)
    assert form["fields"]
    assert all(each.find(E2E) is None for each in to_the_room(romeo))
    romeo.xmpp.send_message("juliet@localhost", SECRET, mtype="chat")
    assert juliet.trusts(await inbox.next())
    for party in (romeo, juliet):
        assert party.unhurt


@pytest.mark.parametrize("policy", ["opportunistic", "required"])
async def test_what_somebody_protects_in_a_room_is_not_opened(log_in, policy):
    """Not even what was meant for her and bears the signature of somebody whom she trusts."""
    romeo, juliet = (
        await log_in("romeo", policy={"*": "off"}, fallback_body="-"),
        await log_in("juliet", policy={"*": policy}),
    )
    for party in (romeo, juliet):
        await join(party)
    inbox = Inbox(juliet.xmpp)
    outer = await romeo.plugin("e2e").protect(
        romeo.xmpp.make_message("juliet@localhost", SECRET, mtype="chat")
    )
    for kind, to in (("chat", f"{ROOM}/juliet"), ("groupchat", ROOM.bare)):
        outer["type"], outer["to"] = kind, to
        romeo.xmpp.send_raw(str(outer))
        await round_trip(romeo.xmpp)
    await round_trip(juliet.xmpp)
    came = await inbox.take(2 if policy == "opportunistic" else 1)
    assert inbox.empty
    assert [each["type"] for each in came] == ["chat", "groupchat"][-len(came) :]
    for message in came:
        assert message.xml.find(E2E) is not None
        assert SECRET not in str(message)
        assert juliet.report(message) is None
    assert juliet.failures.reasons == (["unprotected"] if policy == "required" else [])


@pytest.mark.omemo
async def test_omemo_in_a_room_is_a_matter_of_the_room(log_in):
    """It is what everybody there gets: it passes as it is, and is nobody's signed word."""
    from tests.coexistence.omemo import AXOLOTL, decrypted

    policy = {"*": {"message": "required", "iq": "opportunistic"}}
    romeo, juliet = [await log_in(name, policy=policy, omemo=True) for name in ("romeo", "juliet")]
    for party in (romeo, juliet):
        await join(party)
    inbox = Inbox(juliet.xmpp, "groupchat_message")
    plain = romeo.xmpp.make_message(ROOM, SECRET, mtype="groupchat")
    message, _ = await romeo.plugin("xep_0384").encrypt_message(plain, {JID("juliet@localhost")})
    message.send()
    came = await inbox.next()
    assert came.xml.find(f"{{{AXOLOTL}}}encrypted") is not None
    found = await decrypted(juliet.xmpp, came)
    assert found["body"] == SECRET
    assert juliet.report(came) is juliet.report(found) is None
