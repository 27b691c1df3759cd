"""What other plugins put into a message goes and comes as it is, and their events bring what was verified."""

from typing import Any
from xml.etree.ElementTree import canonicalize, tostring

import pytest

from tests.server.clients import Inbox, close, connect, new_client, round_trip
from tests.server.couple import Party

pytestmark = pytest.mark.server

#: Stands in no header, identifier or base64 by chance.
SECRET = "the canary of Verona"
QUOTED = "> what light through yonder window breaks?\n"
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
REPLY = "urn:xmpp:reply:0"
FALLBACK = "This message is protected (RFC 3923), and can't be read here."


@pytest.fixture(
    params=[False, pytest.param(True, marks=pytest.mark.omemo)], ids=["without OMEMO", "with OMEMO"]
)
async def two(log_in, request) -> tuple[Party, Party]:
    """Both demand protection of what is said; OMEMO could not ask servers if it were demanded of requests."""
    options: dict[str, Any] = {"policy": {"*": "required"}}
    if request.param:
        options = {"policy": {"*": {"message": "required", "presence": "required"}}, "omemo": True}
    return await log_in("romeo", **options), await log_in("juliet", **options)


def dressed(romeo: Party) -> Any:
    """A message with something of every plugin."""
    message = romeo.xmpp.make_message("juliet@localhost", f"{QUOTED}{SECRET}", mtype="chat")
    message.enable("origin_id")
    message.get_plugin("origin_id")["id"] = f"origin of {SECRET}"
    message["fallback"]["for"] = REPLY
    message["fallback"]["body"]["start"], message["fallback"]["body"]["end"] = 0, len(QUOTED)
    message["chat_state"], message["request_receipt"] = "active", True
    for name in ("markable", "store"):
        message.enable(name)
    return message


def children(message: Any) -> list[str]:
    """Each element of a message; what the server adds is left out."""
    return sorted(
        canonicalize(tostring(each, encoding="unicode")) for each in message.xml if each.tag != STANZA_ID
    )


async def test_every_element_arrives_as_it_was_sent_and_every_event_brings_it_verified(two):
    romeo, juliet = two
    events = ["message", "chatstate_active", "message_correction"]
    inboxes = {event: Inbox(juliet.xmpp, event) for event in events}
    receipts, markers = Inbox(romeo.xmpp, "receipt_received"), Inbox(romeo.xmpp, "marker_displayed")

    said = dressed(romeo)
    said.send()
    came = await inboxes["message"].next()
    assert children(came) == children(said)
    assert came["id"] == said["id"]
    assert came.get_plugin("origin_id")["id"] == f"origin of {SECRET}"
    assert came["fallback"].get_stripped_body(REPLY) == SECRET
    assert juliet.trusts(came)
    assert juliet.trusts(await inboxes["chatstate_active"].next())

    receipt = await receipts.next()
    assert (receipt["receipt"], romeo.trusts(receipt)) == (said["id"], True)
    juliet.plugin("xep_0333").send_marker(came["from"], came["id"], "displayed", mtype="chat")
    marker = await markers.next()
    assert (marker["displayed"]["id"], romeo.trusts(marker)) == (said["id"], True)

    romeo.plugin("xep_0308").correct_message(said, f"{SECRET}, corrected")
    correction = await inboxes["message_correction"].next()
    assert (correction["replace"]["id"], correction["body"]) == (said["id"], f"{SECRET}, corrected")
    assert juliet.trusts(correction)

    names = (
        "origin-id",
        "fallback",
        "markable",
        "displayed",
        "chatstates",
        "receipts",
        "message-correct",
        SECRET,
    )
    for party in two:
        assert party.check_opaque(*names) >= 4
        assert party.unhurt


async def test_the_archive_is_asked_by_the_id_that_the_server_gave(log_in):
    romeo, juliet = await log_in("romeo"), await log_in("juliet")
    inbox = Inbox(juliet.xmpp)
    for word in ("first", "second", "third"):
        romeo.xmpp.send_message("juliet@localhost", f"{SECRET}, the {word}", mtype="chat")
    first, *_ = await inbox.take(3)
    assert first["stanza_id"]["by"] == "juliet@localhost"
    assert juliet.trusts(first)
    archive = await juliet.plugin("xep_0313").retrieve(rsm={"after": first["stanza_id"]["id"]}, timeout=5)
    results = [result["mam_result"]["forwarded"]["stanza"] for result in archive["mam"]["results"]]
    assert [each["body"] for each in results] == [f"{SECRET}, the second", f"{SECRET}, the third"]
    reports = [juliet.report(each) for each in results]
    assert all(report.signer_trusted and not report.authenticated for report in reports)
    assert juliet.unhurt


async def test_who_cannot_read_it_learns_that_something_was_sent(log_in, server):
    """XEP-0380: the tag has our namespace, and no name, because the one who reads it may know better."""
    romeo = await log_in("romeo", policy={"*": "required"}, fallback_body=FALLBACK)
    mercutio = new_client("mercutio@localhost/mercutio", plugins=["xep_0380", "xep_0334"])
    try:
        await connect(mercutio, server.port)
        mercutio.send_presence()
        await round_trip(mercutio)
        tagged = Inbox(mercutio, "message_encryption")
        romeo.xmpp.send_message("mercutio@localhost", SECRET, mtype="chat")
        message = await tagged.next()
        eme = mercutio.plugin["xep_0380"]
        assert eme.has_eme(message)
        assert (message["eme"]["namespace"], message["eme"]["name"]) == (
            "urn:ietf:params:xml:ns:xmpp-e2e",
            "",
        )
        assert message["body"] == FALLBACK
        eme.replace_body_with_eme(message)
        assert "urn:ietf:params:xml:ns:xmpp-e2e" in message["body"]
        assert SECRET not in str(message)
    finally:
        await close(mercutio)
