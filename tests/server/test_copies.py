"""Offline messages, carbons and the archive of a real server: opened in place, and nothing to read on its disk."""

import asyncio
from copy import deepcopy

import pytest

from slixmpp_e2e import Trust
from slixmpp_e2e.cli.prosody import ThrowAwayProsody
from tests.written import IN_EVERY_FORMAT

from .clients import Clients, Inbox, round_trip
from .conftest import EJABBERD, PROSODY
from .ejabberd import ThrowAwayEjabberd
from .protected import PKI, Failures, introduce, make_pki, protect
from .proxy import RecordingProxy
from .ways_to_wait import HOWS, waiting

pytestmark = pytest.mark.parametrize("server", [PROSODY, EJABBERD], indirect=True)

SECRET = "by-yonder-blessed-moon"
COPIES = ["xep_0198", "xep_0280", "xep_0313"]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def log_in(clients: Clients, pki: PKI, jid: str, other: str, *, port: int | None = None, **options):
    name = jid.partition("@")[0]
    xmpp = await clients.log_in(jid, port=port, plugins=COPIES, available=False)
    protect(xmpp, pki.options(name, peer_certificates=introduce(pki, other), **options))
    await xmpp.plugin["xep_0280"].enable()
    xmpp.send_presence()
    await round_trip(xmpp)
    return xmpp


def on_disk(server: ThrowAwayProsody | ThrowAwayEjabberd) -> bytes:
    """Everything that the server keeps."""
    if isinstance(server, ThrowAwayEjabberd):
        return server.on_disk()
    return b"".join(path.read_bytes() for path in (server._directory / "data").rglob("*") if path.is_file())


def report(xmpp, message):
    return xmpp.plugin["e2e"].report(message)


def on_the_wire(proxy: RecordingProxy) -> bool:
    """Tell whether the secret crossed the wire of any client."""
    return SECRET.encode() in proxy.recorded_from_clients or SECRET.encode() in proxy.recorded_to_clients


@IN_EVERY_FORMAT
@pytest.mark.requirement("reqs-5-6b")
async def test_what_was_stored_offline_is_delivered_as_delayed(
    server, clients, proxy, pki, tmp_path, written
):
    romeo = await log_in(clients, pki, "romeo@localhost/r", "juliet", port=proxy.port, **written.options)
    romeo.send_message("juliet@localhost", SECRET, mtype="chat")
    await round_trip(romeo)
    stored = on_disk(server)
    assert written.namespace.encode() in stored
    assert SECRET.encode() not in stored
    juliet = await clients.log_in("juliet@localhost/j", port=proxy.port, plugins=COPIES, available=False)
    inbox = Inbox(juliet)
    store = f"sqlite:///{tmp_path / 'juliet.db'}"
    protect(juliet, pki.options("juliet", store=store, **written.options))
    juliet.send_presence()
    message = await inbox.next()
    assert message["body"] == SECRET
    assert written.is_right(report(juliet, message), "message", "romeo@localhost")
    assert not on_the_wire(proxy)


@pytest.fixture(params=HOWS)
async def copied(clients, proxy, pki, request):
    """Two clients of romeo's and two of juliet's, one message each way, and what they saw of it."""

    async def both(name: str, other: str, resources: str):
        return [
            await log_in(
                clients, pki, f"{name}@localhost/{resource}", other,
                port=proxy.port, **waiting(pki, name, request.param),
            )
            for resource in resources
        ]  # fmt: skip

    romeo, his_other = await both("romeo", "juliet", "rs")
    juliet, her_other = await both("juliet", "romeo", "jk")
    hers, received, sent = Inbox(juliet), Inbox(her_other, "carbon_received"), Inbox(his_other, "carbon_sent")
    failures = [Failures(each) for each in (romeo, his_other, juliet, her_other)]
    romeo.send_message("juliet@localhost/j", SECRET, mtype="chat")
    await hers.next()
    return romeo, his_other, juliet, her_other, await received.next(), await sent.next(), failures


async def test_carbons_hold_the_inner_message_with_its_report(server, proxy, copied):
    _, his_other, _, her_other, received, sent, failures = copied
    for xmpp, wrapper, name in ((her_other, received, "carbon_received"), (his_other, sent, "carbon_sent")):
        inner = wrapper[name]
        assert inner["body"] == SECRET
        assert (inner["from"], inner["to"]) == ("romeo@localhost/r", "juliet@localhost/j")
        found = report(xmpp, inner)
        assert found.authenticated
        assert found.signer == "romeo@localhost"
        assert found.encrypted
        assert report(xmpp, wrapper) is None  # the wrapper itself is as clear as it came
    assert report(her_other, received["carbon_received"]).trust is Trust.PKIX
    assert report(his_other, sent["carbon_sent"]).trust is Trust.PINNED  # our own certificate
    assert not [failure for each in failures for failure in (*each.received, *each.sent)]
    assert SECRET.encode() not in on_disk(server)
    assert not on_the_wire(proxy)


async def test_the_archive_holds_the_inner_messages_for_both_sides(server, proxy, copied):
    romeo, _, juliet, her_other, *_ = copied
    for xmpp, peer in (
        (romeo, "juliet@localhost"),
        (juliet, "romeo@localhost"),
        (her_other, "romeo@localhost"),
    ):
        answer = await xmpp.plugin["xep_0313"].retrieve(with_jid=peer)
        (result,) = answer["mam"]["results"]
        inner = result["mam_result"]["forwarded"]["stanza"]
        assert inner["body"] == SECRET
        found = report(xmpp, inner)
        assert (found.arrival, found.timestamp_state) == ("archived", "ok")
        assert found.signer_trusted
        assert not found.authenticated  # a server may show it twice, at any time
        assert abs(found.skew) < 5
    assert not on_the_wire(proxy)


async def test_an_archive_can_be_read_again_and_page_by_page(copied):
    romeo, hers = copied[0], Inbox(copied[2])
    for text in ("one", "two", "three"):
        romeo.send_message("juliet@localhost/j", text, mtype="chat")
    await hers.take(3)  # with a slow key they leave when they are ready
    await round_trip(romeo)
    for _ in range(2):
        pages = romeo.plugin["xep_0313"].iterate(with_jid="juliet@localhost", rsm={"max": 2})
        bodies = [message["mam_result"]["forwarded"]["stanza"]["body"] async for message in pages]
        assert bodies == [SECRET, "one", "two", "three"]


@IN_EVERY_FORMAT
async def test_without_a_copy_for_ourselves_our_own_stay_closed_and_are_not_answered(clients, pki, written):
    """The draft has no room for one."""
    alone = {**written.options, "encrypt_to_self": written.format == "objenc"}
    romeo = await log_in(clients, pki, "romeo@localhost/r", "juliet", **alone)
    his_other = await log_in(clients, pki, "romeo@localhost/s", "juliet", **alone)
    juliet = await log_in(clients, pki, "juliet@localhost/j", "romeo", **written.options)
    her_other = await log_in(clients, pki, "juliet@localhost/k", "romeo", **written.options)
    hers, sent, failures = Inbox(juliet), Inbox(his_other, "carbon_sent"), Failures(his_other)
    received = Inbox(her_other, "carbon_received")
    romeo.send_message("juliet@localhost/j", SECRET, mtype="chat")
    await hers.next()
    copy = (await received.next())["carbon_received"]
    assert copy["body"] == SECRET
    assert written.is_right(report(her_other, copy), "message", "romeo@localhost")
    wrapper = await sent.next()
    assert wrapper["carbon_sent"]["body"] != SECRET
    assert report(his_other, wrapper["carbon_sent"]) is None
    assert failures.reasons == [written.reason("not-for-us")]
    assert his_other.plugin["e2e"].stats().get("answered", 0) == 0


async def test_a_clear_carbon_from_a_peer_who_must_send_protected_is_not_shown(clients, pki):
    juliet = await log_in(clients, pki, "juliet@localhost/k", "romeo")
    carbons, failures = Inbox(juliet, "carbon_received"), Failures(juliet)
    first = await clients.log_in("juliet@localhost/j")
    hers = Inbox(first)
    mercutio = await clients.log_in("mercutio@localhost/m")
    mercutio.send_message("juliet@localhost/j", "psst", mtype="chat")
    await hers.next()
    await round_trip(juliet)
    assert carbons.empty
    assert failures.reasons == ["unprotected"]


async def test_a_carbon_that_somebody_else_forges_is_not_opened(clients, pki, copied):
    her_other, received = copied[3], copied[4]
    mercutio = await clients.log_in("mercutio@localhost/m")
    failures, carbons = Failures(her_other), Inbox(her_other, "carbon_received")
    forged = mercutio.make_message("juliet@localhost/k", mtype="chat")
    forged.xml.append(received.xml[0])
    forged.send()
    await round_trip(mercutio)
    await asyncio.sleep(0.1)
    assert carbons.empty
    assert failures.reasons == ["unprotected"]


async def test_two_carbons_in_one_are_refused(clients, pki, copied):
    """Only a server could send that: which of them would the report be of?"""
    her_other, received = copied[3], copied[4]
    carbons, failures = Inbox(her_other, "carbon_received"), Failures(her_other)
    twice = deepcopy(received.xml)
    twice.append(deepcopy(twice[0]))
    her_other._spawn_event(twice)
    await round_trip(her_other)
    assert carbons.empty
    assert failures.reasons == ["malformed"]
