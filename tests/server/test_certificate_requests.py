"""A missing certificate is asked for and answered by the two plugins alone (RFC 3923 6.2)."""

import time

import pytest

from slixmpp_e2e import PublicationError

from .clients import Clients, Inbox, round_trip
from .protected import PKI, Failures, introduce, make_pki, protect


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def strangers(clients: Clients, pki: PKI, port: int, his=None, hers=None):
    """Romeo and juliet, who trust the same CA and know nobody's certificate."""
    found = []
    for name, options in (("romeo", his), ("juliet", hers)):
        xmpp = await clients.log_in(f"{name}@localhost/{name[0]}", port=port)
        protect(xmpp, pki.options(name, **(options or {})))
        found.append(xmpp)
    return found


@pytest.mark.requirement("3923-6.2-1", "3923-6.2-2", "3923-6.2-3")
async def test_the_first_message_fails_and_fetches_what_the_second_one_needs(server, clients, proxy, pki):
    romeo, juliet = await strangers(clients, pki, proxy.port)
    his, hers = Inbox(romeo), Inbox(juliet)
    learned, requested = Inbox(romeo, "e2e_certificate_learned"), Inbox(juliet, "e2e_certificate_requested")
    failures = Failures(romeo)
    romeo.send_message("juliet@localhost", "first", mtype="chat")
    assert (await requested.next()).signer == "romeo@localhost"
    assert (await learned.next()).signer == "juliet@localhost"
    assert [failure.error.code for failure in failures.sent] == ["no-certificate"]
    romeo.send_message("juliet@localhost", "second", mtype="chat")
    message = await hers.next()
    assert message["body"] == "second"
    assert juliet.plugin["e2e"].report(message).encrypted
    juliet.send_message("romeo@localhost", "third", mtype="chat")
    assert romeo.plugin["e2e"].report(await his.next()).encrypted
    assert his.empty
    assert hers.empty
    for word in (b"first", b"second", b"third"):
        assert word not in proxy.recorded_from_clients


@pytest.mark.requirement("3923-6.2-2")
async def test_somebody_is_asked_once_however_much_is_sent(server, clients, proxy, pki):
    romeo, juliet = await strangers(clients, pki, proxy.port, hers={"request_certificates": False})
    requested = Inbox(juliet, "e2e_certificate_requested")
    for number in range(5):
        romeo.send_message("juliet@localhost", f"number {number}", mtype="chat")
    await requested.next()
    await round_trip(romeo)
    await round_trip(juliet)
    assert requested.empty
    assert romeo.plugin["e2e"].stats()["certificates_requested"] == 1
    assert "certificates_sent" not in juliet.plugin["e2e"].stats()


async def test_nobody_is_asked_where_that_is_switched_off(server, clients, proxy, pki):
    romeo, juliet = await strangers(clients, pki, proxy.port, his={"request_certificates": False})
    requested = Inbox(juliet, "e2e_certificate_requested")
    romeo.send_message("juliet@localhost", "first", mtype="chat")
    await round_trip(romeo)
    assert requested.empty
    romeo.plugin["e2e"].request_certificate("juliet@localhost")  # but the program can
    assert (await requested.next()).signer == "romeo@localhost"


async def test_a_stranger_gets_no_answer(server, clients, proxy, pki, tmp_path):
    """His certificate is from another CA: not even that somebody is here is told (ERRATA E41)."""
    theirs = make_pki(tmp_path)
    romeo = await clients.log_in("romeo@localhost/r", port=proxy.port)
    juliet = await clients.log_in("juliet@localhost/j", port=proxy.port)
    protect(romeo, theirs.options("romeo"))
    failures = protect(juliet, pki.options("juliet"))
    requested = Inbox(juliet, "e2e_certificate_requested")
    romeo.plugin["e2e"].request_certificate("juliet@localhost")
    await round_trip(romeo)
    await round_trip(juliet)
    assert failures.reasons == ["untrusted"]
    assert requested.empty
    assert "certificates_sent" not in juliet.plugin["e2e"].stats()
    assert b'to="romeo@localhost' not in proxy.recorded_from_clients


async def test_to_other_software_it_is_a_signed_text(server, clients, proxy, pki):
    romeo = await clients.log_in("romeo@localhost/r", port=proxy.port)
    protect(romeo, pki.options("romeo"))
    romeo.plugin["e2e"].request_certificate("juliet@localhost")
    await round_trip(romeo)
    wire = proxy.recorded_from_clients.connections[0]
    assert b"multipart/signed" in wire
    assert b"Please answer with a signed message that includes it." in wire


@pytest.mark.requirement("3850-4-1")
async def test_certificates_alone_are_sent_and_learned(server, clients, pki):
    romeo, juliet = await strangers(clients, pki, server.port)
    hers, failures = Inbox(juliet), Failures(juliet)
    romeo.plugin["e2e"].send_certificate("juliet@localhost/j", signed=False)
    await round_trip(romeo)
    await round_trip(juliet)
    assert juliet.plugin["e2e"].stats()["certificates_only"] == 1
    assert hers.empty
    assert not failures.received
    his = Inbox(romeo)
    juliet.send_message("romeo@localhost", "now I can", mtype="chat")
    assert romeo.plugin["e2e"].report(await his.next()).encrypted


@pytest.mark.parametrize("server", ["loopback"], indirect=True)
async def test_an_account_that_can_t_keep_certificates_is_an_error(server, clients, pki, caplog):
    juliet = await clients.log_in("juliet@localhost/j")
    protect(juliet, pki.options("juliet", publish_certificates=True))
    with pytest.raises(PublicationError, match="service-unavailable"):
        await juliet.plugin["e2e"].publish_certificates()
    await juliet.plugin["e2e"]._publication._task
    assert "our certificates were not published" in caplog.text  # what was tried at the start


class TestRejections:
    """What a peer's stanza error says of ours is an event (RFC 3923 7)."""

    @pytest.mark.parametrize("kind", ["message", "iq"])
    async def test_the_program_is_told_with_its_own_id(self, server, clients, pki, kind):
        romeo = await clients.log_in("romeo@localhost/r")
        juliet = await clients.log_in("juliet@localhost/j")
        protect(romeo, pki.options("romeo", peer_certificates=introduce(pki, "juliet")))
        # she trusts romeo by his certificate, but her clock is ten minutes ahead
        ahead = {"clock": lambda: time.time_ns() + 600 * 10**9}
        protect(juliet, pki.options("juliet", peer_certificates=introduce(pki, "romeo"), **ahead))
        rejected = Inbox(romeo, "e2e_rejected")
        if kind == "message":
            stanza = romeo.make_message("juliet@localhost/j", "late", mtype="chat")
            stanza["id"] = "mine-1"
            stanza.send()
        else:
            stanza = romeo.make_iq_get("urn:example:x", ito="juliet@localhost/j")
            stanza["id"] = "mine-1"
            stanza.send(callback=lambda _: None)
        found = await rejected.next()
        assert (found.reason, found.stanza["id"]) == ("bad-timestamp", "mine-1")
        assert found.stanza["error"]["condition"] == "not-acceptable"
        assert romeo.plugin["e2e"].report(found.stanza) is None

    async def test_an_error_about_nothing_that_we_sent_is_no_rejection(self, server, clients, pki):
        romeo = await clients.log_in("romeo@localhost/r")
        protect(romeo, pki.options("romeo"))
        rejected, errors = Inbox(romeo, "e2e_rejected"), Inbox(romeo, "message_error")
        mercutio = await clients.log_in("mercutio@localhost/m")
        mercutio.send_raw(
            "<message type='error' to='romeo@localhost/r' id='guess'><error type='modify'>"
            "<bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            "<decryption-failed xmlns='urn:ietf:params:xml:ns:xmpp-e2e'/></error></message>"
        )
        await errors.next()
        assert rejected.empty


async def test_presence_that_slixmpp_sends_by_itself_asks_nobody(server, clients, proxy, pki):
    romeo, _ = await strangers(clients, pki, proxy.port)
    failures = Failures(romeo)
    romeo.send_presence(pto="juliet@localhost")
    await round_trip(romeo)
    assert [failure.error.code for failure in failures.sent] == ["no-certificate"]
    assert "certificates_requested" not in romeo.plugin["e2e"].stats()
