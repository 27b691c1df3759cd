"""With `auto`, the format is right from the first stanza on: it is known, or found out while the stanza waits."""

import asyncio
import time
from xml.etree.ElementTree import Element

import pytest
from slixmpp.exceptions import IqError

from slixmpp_e2e.namespaces import DISCO_INFO, E2E, OBJENC

from .clients import Clients, Inbox, round_trip
from .conftest import PROSODY
from .couple import Party, couple
from .protected import PKI, introduce, make_pki, protect
from .proxy import RecordingProxy
from .wire import exchanged

pytestmark = pytest.mark.parametrize("server", [PROSODY], indirect=True)

TEXT = "the canary of Verona"
AUTO = {"format": "auto"}
ONLY_OBJENC = {"formats": "objenc", "format": "objenc"}
QUESTION = f"{{{DISCO_INFO}}}query"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


def questions(proxy: RecordingProxy, peer: str = "juliet@localhost") -> list[Element]:
    """What was asked in clear of somebody's clients."""
    return [
        each
        for each in exchanged(proxy, peer)
        if each.get("type") == "get" and each.find(QUESTION) is not None and each.get("to") is not None
    ]


def asked(party: Party) -> int:
    return party.plugin("e2e").stats().get("formats_asked_for", 0)


@pytest.mark.requirement("reqs-4-9a", "reqs-5-4b")
async def test_who_reads_only_the_draft_gets_it_from_the_first_stanza_on_signed_inside(server, pki):
    async with couple(server.port, pki, romeo=AUTO, juliet=ONLY_OBJENC) as (romeo, juliet):
        inbox = Inbox(juliet.xmpp)
        for number in range(5):  # all of them wait for one answer
            romeo.xmpp.send_message(romeo.peer, f"{TEXT} {number}", mtype="chat")
        messages = await inbox.take(5)
        assert [each["body"] for each in messages] == [f"{TEXT} {number}" for number in range(5)]
        assert all(juliet.trusts(each) and juliet.report(each).format == "objenc" for each in messages)
        (question,) = questions(romeo.proxy)
        assert question.attrib == {"type": "get", "id": question.get("id"), "to": romeo.peer}
        assert [(child.tag, child.attrib, len(child)) for child in question] == [(QUESTION, {}, 0)]
        # nothing that was said stands anywhere on the wire
        assert TEXT.encode() not in romeo.proxy.recorded_from_clients
        assert TEXT.encode() not in juliet.proxy.recorded_to_clients
        assert romeo.unhurt
        assert juliet.unhurt


async def test_who_reads_both_gets_rfc_3923(server, pki):
    async with couple(server.port, pki, romeo=AUTO) as (romeo, juliet):
        inbox = Inbox(juliet.xmpp)
        romeo.xmpp.send_message(romeo.peer, TEXT, mtype="chat")
        assert juliet.report(await inbox.next()).format == "rfc3923"
        assert asked(romeo) == 1


@pytest.mark.parametrize("kind", ["presence", "iq"])
async def test_presence_and_requests_wait_as_well(server, pki, kind):
    async with couple(server.port, pki, ["xep_0199"], romeo=AUTO, juliet=ONLY_OBJENC) as (romeo, juliet):
        if kind == "iq":
            pong = await romeo.plugin("xep_0199").send_ping(romeo.peer, timeout=5)
            assert romeo.report(pong).format == "objenc"
            assert romeo.trusts(pong)
        else:
            inbox = Inbox(juliet.xmpp, "presence_available")
            romeo.xmpp.send_presence(pto=romeo.peer, pstatus=TEXT)
            presence = await inbox.next()
            assert juliet.report(presence).format == "objenc"
            assert juliet.trusts(presence)
        assert len(questions(romeo.proxy)) == 1


@pytest.mark.parametrize("said", [["objenc"], ["rfc3923", "objenc"], []], ids=["one", "both", "none"])
async def test_what_a_server_says_in_her_name_never_takes_the_signature_away(server, pki, said):
    """It can answer for her, and say that she reads what signs nothing."""
    async with couple(server.port, pki, romeo=AUTO) as (romeo, juliet):
        juliet.plugin("e2e")._announced.ours = said
        inbox = Inbox(juliet.xmpp)
        romeo.xmpp.send_message(romeo.peer, TEXT, mtype="chat")
        message = await inbox.next()
        assert juliet.trusts(message)
        assert juliet.report(message).format == ("objenc" if said == ["objenc"] else "rfc3923")


async def test_who_does_not_answer_is_waited_for_only_a_while_and_not_at_once_again(server, pki):
    async with couple(server.port, pki, romeo=AUTO) as (romeo, juliet):
        romeo.plugin("e2e")._announced.patience = 0.2
        juliet.xmpp.add_filter("in", lambda each: None if each.xml.find(QUESTION) is not None else each)
        inbox = Inbox(juliet.xmpp)
        for _ in range(2):
            romeo.xmpp.send_message(romeo.peer, TEXT, mtype="chat")
            assert juliet.report(await inbox.next()).format == "rfc3923"
        assert asked(romeo) == 1
        assert romeo.unhurt


async def test_a_stanza_that_waits_when_the_plugin_is_switched_off_does_not_leave(server, pki):
    async with couple(server.port, pki, romeo=AUTO) as (romeo, juliet):
        juliet.xmpp.add_filter("in", lambda each: None if each.xml.find(QUESTION) is not None else each)
        romeo.xmpp.send_message(romeo.peer, TEXT, mtype="chat")
        await round_trip(romeo.xmpp)
        plugin = romeo.plugin("e2e")
        romeo.xmpp.plugin.disable("e2e")
        await plugin._closing
        await round_trip(romeo.xmpp)
        assert [each.stanza["body"] for each in romeo.failures.sent] == [TEXT]
        assert TEXT.encode() not in romeo.proxy.recorded_from_clients
        assert not plugin._announced._asking


@pytest.mark.requirement("reqs-4-9b")
@pytest.mark.parametrize("hers", [{}, ONLY_OBJENC], ids=["rfc3923", "objenc"])
async def test_what_is_sealed_again_after_a_long_cut_is_in_the_format_that_it_had(server, pki, hers):
    """By then it may have to be found out again what she reads, and nobody can wait for that."""
    late = 0

    def clock() -> int:
        return time.time_ns() + late

    his, hers = {**AUTO, "clock": clock}, {**hers, "clock": clock}
    async with couple(server.port, pki, reconnect=True, romeo=his, juliet=hers) as (romeo, juliet):
        inbox = Inbox(juliet.xmpp)
        romeo.xmpp.send_message(romeo.peer, "before", mtype="chat")
        wanted = juliet.report(await inbox.next()).format
        romeo.proxy.swallow("from_clients")
        romeo.xmpp.send_message(romeo.peer, TEXT, mtype="chat")
        await asyncio.sleep(0.05)
        late = 20 * 60 * 10**9
        announced = romeo.plugin("e2e")._announced
        for table in (announced._known, announced._silent):
            for jid in tuple(table._entries):
                table.pop(jid)
        romeo.proxy.cut()
        message = await inbox.next()
        assert (message["body"], juliet.report(message).format) == (TEXT, wanted)
        assert wanted == ("objenc" if "format" in hers else "rfc3923")
        assert abs(juliet.report(message).skew) < 60
        assert juliet.trusts(message)
        assert asked(romeo) == 1
        assert romeo.resumed == 1
        assert juliet.unhurt


async def test_a_clear_question_is_answered_with_our_formats_and_nothing_else(server, clients: Clients, pki):
    juliet = await clients.log_in("juliet@localhost/j", plugins=["xep_0030"])
    juliet.plugin["xep_0030"].add_feature("urn:example:private")
    protect(juliet, pki.options("juliet"))
    mercutio = await clients.log_in("mercutio@localhost/m", plugins=["xep_0030"])
    answer = await mercutio.plugin["xep_0030"].get_info("juliet@localhost/j", timeout=5)
    assert set(answer["disco_info"]["features"]) == {DISCO_INFO, E2E, OBJENC}
    with pytest.raises(IqError) as refused:  # that is the program's
        await mercutio.plugin["xep_0030"].get_info("juliet@localhost/j", "urn:example:node", timeout=5)
    assert refused.value.condition == "not-acceptable"


@pytest.mark.parametrize("to", ["juliet@localhost/j", "juliet@localhost"])
@pytest.mark.requirement("reqs-5-4b")
async def test_what_her_capabilities_say_is_not_asked_again(server, clients: Clients, pki, to):
    clear = {"*": {"message": "required", "iq": "off", "inbound": "opportunistic"}}
    async with RecordingProxy(server.port) as proxy:
        romeo = await clients.log_in("romeo@localhost/r", port=proxy.port, plugins=["xep_0115"])
        protect(romeo, pki.options("romeo", **AUTO, policy=clear, peer_certificates=introduce(pki, "juliet")))
        juliet = await clients.log_in("juliet@localhost/j", plugins=["xep_0115"], available=False)
        known = introduce(pki, "romeo")
        protect(juliet, pki.options("juliet", **ONLY_OBJENC, policy=clear, peer_certificates=known))
        await juliet.plugin["xep_0115"].update_caps()
        learned = Inbox(romeo, "disco_info")
        juliet.send_presence()
        juliet.send_presence(pto="romeo@localhost/r")
        await learned.next()
        await asyncio.sleep(0.05)
        assert len(questions(proxy)) == 1  # by the plugin of slixmpp's that learns them
        inbox = Inbox(juliet)
        romeo.send_message(to, TEXT, mtype="chat")
        report = juliet.plugin["e2e"].report(await inbox.next())
        assert (report.format, report.authenticated) == ("objenc", True)
        assert len(questions(proxy)) == 1
        assert "formats_asked_for" not in romeo.plugin["e2e"].stats()


async def test_who_has_not_the_plugin_is_written_to_in_rfc_3923(server, clients: Clients, pki):
    romeo = await clients.log_in("romeo@localhost/r")
    known = introduce(pki, "mercutio")
    protect(romeo, pki.options("romeo", **AUTO, fallback_body="protected", peer_certificates=known))
    mercutio = await clients.log_in("mercutio@localhost/m", plugins=["xep_0030"])
    inbox = Inbox(mercutio)
    romeo.send_message("mercutio@localhost/m", TEXT, mtype="chat")
    message = await inbox.next()
    assert message["body"] == "protected"
    assert message.xml.find(f"{{{E2E}}}e2e") is not None
