"""draft-miller-3923bis-02 on the stream: the same conversation in the other format."""

from xml.etree.ElementTree import fromstring

import pytest
from slixmpp.exceptions import IqError

from slixmpp_e2e import ConfigurationError
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.namespaces import E2E, OBJENC

from .clients import Clients, Inbox, new_client, round_trip
from .couple import Witness, couple
from .protected import PKI, introduce, make_pki, protect
from .wire import answers, exchanged

WORDS = ["the canary of Verona", "urn:xmpp:ping", "away"]
OBJENC_ONLY = {"format": "objenc"}
AUTO = {"format": "auto"}


@pytest.fixture
def pki(tmp_path) -> PKI:
    return make_pki(tmp_path)


@pytest.mark.requirement("bis-3-15", "bis-3-16", "bis-3-17", "bis-3-18", "bis-5-2")
@pytest.mark.requirement("reqs-4-7a", "reqs-4-7b")
async def test_messages_presence_and_requests_travel_in_it(server, pki):
    async with couple(server.port, pki, ["xep_0199"], romeo=OBJENC_ONLY, juliet=AUTO) as (romeo, juliet):
        messages, back = Inbox(juliet.xmpp), Inbox(romeo.xmpp)
        presence = Witness(juliet, "presence")
        # else she would ask in clear, which is a test of its own (`test_format_choice`)
        juliet.plugin("e2e")._announced._known.put(juliet.peer, frozenset({"rfc3923", "objenc"}), juliet.peer)
        romeo.xmpp.send_message(romeo.peer, WORDS[0], mtype="chat")
        message = await messages.next()
        assert juliet.trusts(message)
        assert juliet.report(message).format == "objenc"
        message.reply("heard").send()  # she follows him
        answer = await back.next()
        assert romeo.trusts(answer)
        assert romeo.report(answer).format == "objenc"
        romeo.xmpp.send_presence(pto=romeo.peer, pshow="away")
        assert await romeo.plugin("xep_0199").send_ping(romeo.peer, timeout=5)
        assert await juliet.plugin("xep_0199").send_ping(juliet.peer, timeout=5)
        assert presence.convinced
        assert romeo.check_opaque(*WORDS) > 2
        assert juliet.check_opaque(*WORDS) > 2
        assert romeo.unhurt
        assert juliet.unhurt
        assert not answers(juliet.proxy, "romeo@localhost")  # nothing went wrong, so no error was sent
        sent = [each for each in exchanged(romeo.proxy, "juliet@localhost") if each.get("from") is None]
        assert {(each.tag.rpartition("}")[2], each.get("type"), each.get("to")) for each in sent} >= {
            ("message", "chat", romeo.peer),
            ("presence", None, romeo.peer),
            ("iq", "get", romeo.peer),
        }
        assert not {message["id"]} & {each.get("id") for each in sent}
        wire = romeo.proxy.recorded_from_clients.joined
        assert OBJENC.encode() in wire
        assert b"multipart/signed" not in wire


async def test_who_only_knows_rfc_3923_is_answered_in_it(server, pki):
    async with couple(server.port, pki, romeo=AUTO, juliet=AUTO) as (romeo, juliet):
        messages = Inbox(juliet.xmpp)
        romeo.xmpp.send_message(romeo.peer, "x", mtype="chat")
        assert juliet.report(await messages.next()).format == "rfc3923"


@pytest.mark.requirement("bis-5-1")
async def test_who_does_not_read_it_refuses_it(server, pki):
    more = {"formats": "rfc3923"}
    async with couple(server.port, pki, ["xep_0199"], romeo=OBJENC_ONLY, juliet=more) as (romeo, juliet):
        refused = Inbox(juliet.xmpp, "e2e_error")
        with pytest.raises(IqError) as caught:
            await romeo.plugin("xep_0199").send_ping(romeo.peer, timeout=5)
        assert caught.value.condition == "service-unavailable"
        assert (await refused.next()).reason == "unsupported"


async def test_who_reads_nothing_else_refuses_rfc_3923(server, pki):
    more = {"formats": "objenc"}
    async with couple(server.port, pki, ["xep_0199"], juliet=more) as (romeo, juliet):
        refused = Inbox(juliet.xmpp, "e2e_error")
        with pytest.raises(IqError) as caught:
            await romeo.plugin("xep_0199").send_ping(romeo.peer, timeout=5)
        assert caught.value.condition == "service-unavailable"
        assert (await refused.next()).reason == "unsupported"


@pytest.mark.requirement("bis-5-5", "bis-5-6", "bis-5-8", "bis-5-9")
async def test_what_was_changed_on_the_way_is_answered_and_told(server, pki):
    async with couple(server.port, pki, romeo=OBJENC_ONLY) as (romeo, juliet):
        refused, rejected = Inbox(juliet.xmpp, "e2e_error"), Inbox(romeo.xmpp, "e2e_rejected")
        message = romeo.xmpp.make_message(romeo.peer, "x", mtype="chat")
        outer = romeo.plugin("e2e")._outbound.protected(message, "required")
        data = outer.xml[0][1]
        data.text = ("B" if data.text[0] == "A" else "A") + data.text[1:]
        romeo.xmpp.send(outer)
        assert (await refused.next()).reason == "decryption-failed"
        assert (await rejected.next()).reason == "decryption-failed"
        (error,) = answers(juliet.proxy, "romeo@localhost")
        assert [child.tag.rpartition("}")[2] for child in error[-1]] == ["bad-request", "decryption-failed"]


async def test_unsigned_it_is_taken_only_where_that_is_accepted(server, pki):
    unsigned = {**OBJENC_ONLY, "policy": {"*": "encrypt-unsigned"}}
    async with couple(server.port, pki, romeo=unsigned, juliet=unsigned) as (romeo, juliet):
        messages = Inbox(juliet.xmpp)
        romeo.xmpp.send_message(romeo.peer, WORDS[0], mtype="chat")
        report = juliet.report(await messages.next())
        assert (report.format, report.encrypted, report.signed, report.authenticated) == (
            "objenc",
            True,
            False,
            False,
        )
    async with couple(server.port, pki, romeo=unsigned) as (romeo, juliet):
        refused = Inbox(juliet.xmpp, "e2e_error")
        romeo.xmpp.send_message(romeo.peer, WORDS[0], mtype="chat")
        assert (await refused.next()).reason == "unsigned"
        assert not juliet.failures.sent


@pytest.mark.parametrize(
    "option", [{"format": "pgp"}, {"format": {"a@b/c": "auto"}}, {"formats": ["objenk"]}]
)
async def test_a_format_that_is_none_is_refused(pki, option):
    with pytest.raises(ConfigurationError, match="format"):
        protect(new_client("romeo@localhost"), pki.options("romeo", **option))


@pytest.mark.requirement("reqs-4-9b")
async def test_it_is_announced_where_it_is_read(server, clients: Clients, pki):
    for formats, found in ((["rfc3923", "objenc"], {E2E, OBJENC}), ("rfc3923", {E2E})):
        romeo = await clients.log_in(f"romeo@localhost/{len(found)}", plugins=["xep_0030"])
        protect(romeo, pki.options("romeo", formats=formats, policy={"*": {"message": "required"}}))
        await round_trip(romeo)
        info = await romeo.plugin["xep_0030"].get_info(jid=romeo.boundjid.full, local=True)
        assert {E2E, OBJENC} & set(info["features"]) == found


async def test_what_was_stored_offline_is_opened_when_the_recipient_comes(server, clients: Clients, pki):
    romeo = await clients.log_in("romeo@localhost/r")
    protect(romeo, pki.options("romeo", **OBJENC_ONLY, peer_certificates=introduce(pki, "juliet")))
    romeo.send_message("juliet@localhost", WORDS[0], mtype="chat")
    await round_trip(romeo)
    juliet = await clients.log_in("juliet@localhost/j", available=False)
    store = MemoryStore(started=0)  # somebody who was here before
    protect(juliet, pki.options("juliet", store=store, peer_certificates=introduce(pki, "romeo")))
    inbox = Inbox(juliet)
    juliet.send_presence()
    message = await inbox.next()
    report = juliet.plugin["e2e"].report(message)
    assert (message["body"], report.format) == (WORDS[0], "objenc")
    assert report.authenticated


@pytest.mark.requirement("reqs-4-9a")
async def test_both_formats_in_one_stanza_are_none(server, pki):
    async with couple(server.port, pki) as (romeo, juliet):
        refused = Inbox(juliet.xmpp, "e2e_error")
        message = romeo.xmpp.make_message(romeo.peer, "x", mtype="chat")
        outer = romeo.plugin("e2e")._outbound.protected(message, "required")
        outer.xml.append(fromstring(f"<e2e xmlns='{OBJENC}'/>"))
        romeo.xmpp.send(outer)
        assert (await refused.next()).reason == "malformed"
