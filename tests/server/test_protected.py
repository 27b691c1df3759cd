"""Two programs with the plugin, over a real server: what they see, and what the wire shows."""

import asyncio
from pathlib import Path

import pytest
from slixmpp.exceptions import IqError

from slixmpp_e2e import Trust
from tests.written import FORMATS, RFC3923

from .clients import Clients, Inbox, round_trip
from .conftest import EVERY_SERVER
from .protected import PKI, Failures, introduce, make_pki, protect
from .proxy import RecordingProxy

on_every_server = pytest.mark.parametrize("server", EVERY_SERVER, indirect=True)
#: RFC 3923 on every server, the other formats on one: servers see what is around an object.
in_every_format = pytest.mark.parametrize(
    ("server", "written"),
    [
        *(("loopback", each) for each in FORMATS),
        pytest.param("prosody", RFC3923, marks=pytest.mark.server),
        pytest.param("ejabberd", RFC3923, marks=pytest.mark.ejabberd),
    ],
    indirect=["server"],
    ids=str,
)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """Certificates for everybody."""
    return make_pki(tmp_path_factory.mktemp("pki"))


async def pair(clients: Clients, pki: PKI, port: int, **more):
    """Log romeo and juliet in through a port; romeo knows juliet's certificate, she learns his."""
    xmpp = []
    for name, other in (("romeo", "juliet"), ("juliet", "romeo")):
        client = await clients.log_in(
            f"{name}@localhost/{name[0]}", port=port, plugins=["xep_0198", "xep_0199"]
        )
        protect(client, pki.options(name, peer_certificates=introduce(pki, other), **more))
        xmpp.append(client)
    return xmpp


def between(proxy: RecordingProxy, peer: str) -> bytes:
    """Return what was sent to somebody: the wire from the first stanza that names the peer."""
    wire = proxy.recorded_from_clients.connections[0]
    return bytes(wire[wire.find(f'to="{peer}'.encode()) :])


@in_every_format
@pytest.mark.requirement("3923-2-3", "3923-2-4", "3923-2-8", "3923-6.7-1")
@pytest.mark.requirement("reqs-4-1a")
async def test_a_message_arrives_opened_and_judged_and_the_wire_shows_nothing(
    server, clients, proxy, pki, written
):
    romeo, juliet = await pair(clients, pki, proxy.port, **written.options)
    inbox = Inbox(juliet)
    romeo.send_message("juliet@localhost", "Parting is such sweet sorrow", mtype="chat")
    message = await inbox.next()
    assert message["body"] == "Parting is such sweet sorrow"
    assert message["from"] == "romeo@localhost/r"
    report = juliet.plugin["e2e"].report(message)
    assert written.is_right(report, "message", "romeo@localhost")
    signed = ("rsa-sha256", Trust.PKIX) if written.signs("message") else (None, Trust.UNTRUSTED)
    assert (report.signature_algorithm, report.trust) == signed
    assert (report.encryption_algorithm, report.key_management_algorithm) == ("aes128-cbc", written.transport)
    assert abs(report.skew) < 5
    for wire in (proxy.recorded_from_clients, proxy.recorded_to_clients):
        assert b"sweet" not in wire
        assert written.namespace.encode() in wire


@in_every_format
async def test_a_reply_is_protected_because_the_request_was(server, clients, proxy, pki, written):
    romeo, juliet = await pair(clients, pki, proxy.port, **written.options)
    inbox = Inbox(romeo)
    juliet.add_event_handler("message", lambda message: message.reply("Good night!").send())
    romeo.send_message("juliet@localhost/j", "Good night", mtype="chat")
    answer = await inbox.next()
    assert answer["body"] == "Good night!"
    assert written.is_right(romeo.plugin["e2e"].report(answer), "message", "juliet@localhost")
    assert b"Good night" not in proxy.recorded_from_clients


@in_every_format
@pytest.mark.requirement("3923-5-2")
async def test_a_request_and_its_result_travel_protected(server, clients, proxy, pki, written):
    romeo, _ = await pair(clients, pki, proxy.port, **written.options)
    assert await romeo.plugin["xep_0199"].send_ping("juliet@localhost/j", timeout=5) is not None
    assert b"urn:xmpp:ping" not in between(proxy, "juliet")
    stats = romeo.plugin["e2e"].stats()
    assert stats["sealed"] == 1
    assert stats["opened"] == 1


@in_every_format
async def test_an_error_of_the_peer_ends_a_protected_request(server, clients, proxy, pki, written):
    romeo, _ = await pair(clients, pki, proxy.port, **written.options)
    request = romeo.make_iq_get("urn:example:nobody-knows-it", ito="juliet@localhost/j")
    with pytest.raises(IqError) as failure:
        await request.send(timeout=5)
    assert failure.value.condition == "feature-not-implemented"
    assert b"nobody-knows-it" not in proxy.recorded_from_clients


@in_every_format
async def test_a_request_to_somebody_who_is_gone_fails_at_once(server, clients, proxy, pki, written):
    romeo, _ = await pair(clients, pki, proxy.port, **written.options)
    request = romeo.make_iq_get("urn:example:x", ito="juliet@localhost/gone")
    with pytest.raises(IqError) as failure:
        await request.send(timeout=5)
    assert failure.value.condition == "service-unavailable"


@in_every_format
@pytest.mark.requirement("3923-2-8")
async def test_what_cannot_be_protected_does_not_leave(server, clients, proxy, pki, written):
    romeo, _ = await pair(clients, pki, proxy.port, **written.options)
    failures = Failures(romeo)
    romeo.send_message("mercutio@localhost", "A plague o' both your houses", mtype="chat")
    await round_trip(romeo)
    assert [failure.error.code for failure in failures.sent] == ["no-certificate"]
    assert failures.sent[0].stanza["body"] == "A plague o' both your houses"
    assert b"plague" not in proxy.recorded_from_clients


@in_every_format
async def test_a_request_that_cannot_be_protected_fails_at_once(server, clients, proxy, pki, written):
    romeo, _ = await pair(clients, pki, proxy.port, **written.options)
    with pytest.raises(IqError):
        await romeo.plugin["xep_0199"].send_ping("mercutio@localhost/m", timeout=5)
    assert b"urn:xmpp:ping" not in between(proxy, "mercutio")


@on_every_server
@pytest.mark.requirement("3923-6.7-4")
async def test_a_clear_message_is_not_delivered_where_protection_is_required(server, clients, pki):
    _, juliet = await pair(clients, pki, server.port)
    mercutio = await clients.log_in("mercutio@localhost/m")
    inbox, failures = Inbox(juliet), Failures(juliet)
    mercutio.send_message("juliet@localhost/j", "psst", mtype="chat")
    await round_trip(mercutio)
    await round_trip(juliet)
    assert inbox.empty
    assert failures.reasons == ["unprotected"]


@on_every_server
@pytest.mark.requirement("3923-2-5")
async def test_opportunistic_sends_in_clear_to_strangers_and_reports_what_came_clear(server, clients, pki):
    romeo, juliet = await pair(clients, pki, server.port, policy={"*": "opportunistic"})
    mercutio = await clients.log_in("mercutio@localhost/m")
    theirs, hers = Inbox(mercutio), Inbox(juliet)
    romeo.send_message("mercutio@localhost", "in clear", mtype="chat")
    assert (await theirs.next())["body"] == "in clear"
    mercutio.send_message("juliet@localhost", "in clear too", mtype="chat")
    message = await hers.next()
    assert juliet.plugin["e2e"].report(message) is None


@on_every_server
@pytest.mark.requirement("3923-6.2-1", "3851-4-1")
async def test_the_certificate_of_a_signer_is_learned_and_used(server, clients, pki):
    romeo = await clients.log_in("romeo@localhost/r")
    juliet = await clients.log_in("juliet@localhost/j")
    protect(romeo, pki.options("romeo", peer_certificates=introduce(pki, "juliet")))
    protect(juliet, pki.options("juliet"))
    learned = Inbox(juliet, "e2e_certificate_learned")
    hers, his = Inbox(juliet), Inbox(romeo)
    romeo.send_message("juliet@localhost", "I am romeo", mtype="chat")
    await hers.next()
    assert (await learned.next()).signer == "romeo@localhost"
    juliet.send_message("romeo@localhost", "I know", mtype="chat")
    assert romeo.plugin["e2e"].report(await his.next()).encrypted


@on_every_server
async def test_enabled_on_a_running_stream_it_is_ready_at_once_and_announced(server, clients, pki):
    romeo = await clients.log_in("romeo@localhost/r", plugins=["xep_0030"])
    ready = Inbox(romeo, "e2e_ready")
    protect(romeo, pki.options("romeo"))
    assert await ready.next() == "romeo@localhost"
    features = (await romeo.plugin["xep_0030"].get_info(local=True))["features"]
    assert "urn:ietf:params:xml:ns:xmpp-e2e" in features


@on_every_server
@pytest.mark.requirement("3923-2-5")
async def test_disabled_again_everything_goes_in_clear(server, clients, proxy, pki):
    romeo, juliet = await pair(clients, pki, proxy.port)
    inbox = Inbox(juliet)
    for client in (romeo, juliet):
        client.plugin.disable("e2e")
    romeo.send_message("juliet@localhost", "in clear", mtype="chat")
    assert (await inbox.next())["body"] == "in clear"
    assert b"in clear" in proxy.recorded_from_clients


@on_every_server
async def test_signed_messages_stay_readable_for_everybody(server, clients, proxy, pki):
    romeo, juliet = await pair(clients, pki, proxy.port, policy={"*": "sign"})
    inbox = Inbox(juliet)
    romeo.send_message("juliet@localhost", "Read me & trust <me>", mtype="chat")
    message = await inbox.next()
    report = juliet.plugin["e2e"].report(message)
    assert message["body"] == "Read me & trust <me>"
    assert report.authenticated
    assert not report.encrypted
    assert report.decrypted_with is None
    assert b"Read me &amp; trust" in proxy.recorded_from_clients


@on_every_server
async def test_a_component_talks_to_a_client(server, clients, pki):
    romeo = await clients.log_in("romeo@localhost/r")
    component = await clients.component()
    policy = {"*": "required", "jid:component.localhost": "required"}
    protect(romeo, pki.options("romeo", policy=policy, peer_certificates=introduce(pki, "component")))
    failures = protect(component, pki.options("component"))
    theirs, his = Inbox(component), Inbox(romeo)
    romeo.send_message("component.localhost", "Open the gates", mtype="chat")
    message = await theirs.next()
    assert component.plugin["e2e"].report(message).authenticated
    message.reply("They are open").send()
    answer = await his.next()
    assert answer["body"] == "They are open"
    assert romeo.plugin["e2e"].report(answer).signer == "component.localhost"
    assert not failures.received


@pytest.mark.requirement("3923-6.3-8")
def test_the_wrong_certificate_is_refused_when_the_plugin_is_registered(pki: PKI, tmp_path: Path):
    async def run() -> None:
        from slixmpp_e2e import ConfigurationError

        from .clients import new_client

        client = new_client("mercutio@localhost")
        with pytest.raises(ConfigurationError, match="romeo@localhost"):
            protect(client, pki.options("romeo"))

    asyncio.run(run())
