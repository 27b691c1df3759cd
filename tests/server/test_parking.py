"""What needs a certificate that is not there waits for it, in order, and goes or fails (ARCHITECTURE invariant 3)."""

import asyncio

import pytest
from slixmpp.exceptions import IqError

from .clients import Clients, Inbox, round_trip
from .protected import PKI, Failures, introduce, make_pki, protect


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def log_in(clients: Clients, pki: PKI, jid: str, port: int | None = None, **options):
    xmpp = await clients.log_in(jid, port=port, plugins=["xep_0198", "xep_0199"])
    protect(xmpp, pki.options(jid.partition("@")[0], **{"certificate_wait": 5, **options}))
    return xmpp


async def test_the_first_message_in_a_pki_needs_nothing_but_the_anchors(server, clients, proxy, pki):
    romeo = await log_in(clients, pki, "romeo@localhost/r", proxy.port)
    juliet = await log_in(clients, pki, "juliet@localhost/j", proxy.port)
    inbox, failures = Inbox(juliet), Failures(romeo)
    for number in range(30):
        romeo.send_message("juliet@localhost", f"canary {number}", mtype="chat")
    bodies = [message["body"] for message in await inbox.take(30)]
    assert bodies == [f"canary {number}" for number in range(30)]
    assert not failures.sent
    assert b"canary" not in proxy.recorded_from_clients
    assert romeo.plugin["e2e"].stats()["parked"] == 0


async def test_an_awaited_request_waits_too(server, clients, pki):
    romeo = await log_in(clients, pki, "romeo@localhost/r")
    await log_in(clients, pki, "juliet@localhost/j")
    assert await romeo.plugin["xep_0199"].send_ping("juliet@localhost/j", timeout=5) is not None


async def test_what_is_sent_while_others_are_let_go_does_not_overtake(server, clients, pki):
    romeo = await log_in(clients, pki, "romeo@localhost/r")
    juliet = await log_in(clients, pki, "juliet@localhost/j")
    inbox = Inbox(juliet)
    sent = 0

    def send_more(_report=None):
        nonlocal sent
        for _ in range(20):
            romeo.send_message("juliet@localhost", str(sent), mtype="chat")
            sent += 1

    romeo.add_event_handler("e2e_certificate_learned", send_more)
    send_more()
    await asyncio.sleep(0)
    send_more()
    bodies = [int(message["body"]) for message in await inbox.take(60)]
    assert bodies == list(range(60))


async def test_other_peers_are_not_held_up(server, clients, pki):
    romeo = await log_in(clients, pki, "romeo@localhost/r", peer_certificates=introduce(pki, "juliet"))
    inbox = Inbox(await log_in(clients, pki, "juliet@localhost/j"))
    romeo.send_message("mercutio@localhost", "who is not there", mtype="chat")
    romeo.send_message("juliet@localhost", "who is", mtype="chat")
    assert (await inbox.next())["body"] == "who is"
    assert romeo.plugin["e2e"].stats()["parked"] == 1


async def test_when_the_time_is_up_all_of_it_fails_and_the_next_one_at_once(server, clients, proxy, pki):
    romeo = await log_in(clients, pki, "romeo@localhost/r", proxy.port, certificate_wait=0.2)
    failures = Failures(romeo)
    romeo.send_message("mercutio@localhost", "canary one", mtype="chat")
    romeo.send_message("mercutio@localhost", "canary two", mtype="chat")
    with pytest.raises(IqError) as failure:
        await romeo.plugin["xep_0199"].send_ping("mercutio@localhost/m", timeout=5)
    assert failure.value.condition == "item-not-found"
    assert [each.stanza["body"] for each in failures.sent[:2]] == ["canary one", "canary two"]
    assert {each.error.code for each in failures.sent} == {"no-certificate"}
    romeo.send_message("mercutio@localhost", "canary three", mtype="chat")
    await round_trip(romeo)
    assert failures.sent[-1].stanza["body"] == "canary three"
    assert romeo.plugin["e2e"].stats()["certificates_requested"] == 1
    assert b"canary" not in proxy.recorded_from_clients


async def test_there_is_a_limit(server, clients, pki):
    romeo = await log_in(clients, pki, "romeo@localhost/r")
    failures = Failures(romeo)
    for number in range(105):
        romeo.send_message("mercutio@localhost", str(number), mtype="chat")
    await round_trip(romeo)
    assert [each.stanza["body"] for each in failures.sent] == ["100", "101", "102", "103", "104"]


async def test_what_still_waits_when_the_plugin_goes_is_reported(server, clients, pki):
    romeo = await log_in(clients, pki, "romeo@localhost/r")
    failures = Failures(romeo)
    romeo.send_message("mercutio@localhost", "last words", mtype="chat")
    await round_trip(romeo)
    romeo.plugin.disable("e2e")
    assert [each.stanza["body"] for each in failures.sent] == ["last words"]


async def test_where_nobody_is_asked_nothing_waits(server, clients, pki):
    romeo = await log_in(clients, pki, "romeo@localhost/r", request_certificates=False, resolvers=[])
    failures = Failures(romeo)
    romeo.send_message("mercutio@localhost", "x", mtype="chat")
    await round_trip(romeo)
    assert [each.error.code for each in failures.sent] == ["no-certificate"]
