"""A key rolls over during a conversation: nothing is lost, nothing comes twice, and old messages stay readable."""

import asyncio

import pytest

from slixmpp_e2e import CertificateError, ConfigurationError

from .clients import Clients, Inbox, round_trip
from .protected import PKI, Failures, introduce, make_pki, protect

MESSAGES = 200


@pytest.fixture
def pki(tmp_path) -> PKI:
    return make_pki(tmp_path)


async def pair(clients: Clients, pki: PKI):
    found = []
    for name, other in (("romeo", "juliet"), ("juliet", "romeo")):
        xmpp = await clients.log_in(f"{name}@localhost/{name[0]}", plugins=["xep_0198"])
        failures = protect(xmpp, pki.options(name, peer_certificates=introduce(pki, other)))
        found.append((xmpp, failures))
    return found


def renewed(pki: PKI, name: str) -> dict[str, object]:
    """Make another key and certificate for somebody, beside the first."""
    pki.issue(f"{name}-2", f"{name}@localhost")
    return {"certificate": pki.directory / f"{name}-2.crt", "private_key": pki.directory / f"{name}-2.key"}


async def test_a_conversation_goes_on_over_a_new_key(server, clients, pki):
    (romeo, his), (juliet, hers) = await pair(clients, pki)
    his_inbox, her_inbox = Inbox(romeo), Inbox(juliet)
    new = renewed(pki, "juliet")
    for number in range(MESSAGES):
        romeo.send_message("juliet@localhost/j", str(number), mtype="chat")
        juliet.send_message("romeo@localhost/r", str(number), mtype="chat")
        if number == MESSAGES // 2:
            juliet.plugin["e2e"].add_identity(**new)
        if number % 20 == 0:
            await asyncio.sleep(0.01)
    to_juliet = await her_inbox.take(MESSAGES, seconds=30)
    to_romeo = await his_inbox.take(MESSAGES, seconds=30)
    for messages in (to_juliet, to_romeo):
        assert [int(message["body"]) for message in messages] == list(range(MESSAGES))
    reports = [romeo.plugin["e2e"].report(message) for message in to_romeo]
    assert all(report.authenticated for report in reports)
    assert len({report.certificate.serial_number for report in reports}) == 2
    for failures in (his, hers):
        assert not failures.received
        assert not failures.sent
    # by now romeo encrypts to both certificates, and she reads either
    romeo.send_message("juliet@localhost/j", "after", mtype="chat")
    assert (await her_inbox.next())["body"] == "after"


async def test_new_files_are_taken_over_and_broken_ones_are_not(server, clients, pki):
    (romeo, _), (juliet, _) = await pair(clients, pki)
    plugin = juliet.plugin["e2e"]
    failed, inbox = Inbox(juliet, "e2e_renewal_failed"), Inbox(romeo)
    before = plugin.protection.identity.certificate.fingerprint
    plugin._renewal.check()
    assert plugin.protection.identity.certificate.fingerprint == before
    (pki.directory / "juliet.crt").write_bytes(b"half a certif")
    plugin._renewal.check()
    assert isinstance(await failed.next(), ConfigurationError)
    assert plugin.protection.identity.certificate.fingerprint == before
    pki.issue("juliet", "juliet@localhost")
    plugin._renewal.check()
    assert plugin.protection.identity.certificate.fingerprint != before
    assert plugin.stats()["identities_renewed"] == 1
    juliet.send_message("romeo@localhost/r", "with the new one", mtype="chat")
    message = await inbox.next()
    found = romeo.plugin["e2e"].report(message).certificate
    assert found == plugin.protection.identity.certificate.certificate
    assert "e2e identity files" in juliet.scheduled_events
    juliet.plugin.disable("e2e")
    assert "e2e identity files" not in juliet.scheduled_events


async def test_a_certificate_for_somebody_else_does_not_follow(server, clients, pki):
    (_, _), (juliet, failures) = await pair(clients, pki)
    with pytest.raises(CertificateError, match="does not name juliet@localhost"):
        juliet.plugin["e2e"].add_identity(
            certificate=pki.directory / "mercutio.crt", private_key=pki.directory / "mercutio.key"
        )
    juliet.send_message("romeo@localhost/r", "still me", mtype="chat")
    await round_trip(juliet)
    assert not failures.sent
    assert isinstance(failures, Failures)
