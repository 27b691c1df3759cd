"""A component that is many: each of the accounts that it hosts has an identity of its own, under one plugin."""

from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from slixmpp import JID
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from slixmpp_e2e import CertificateError, ConfigurationError
from slixmpp_e2e.namespaces import E2E
from slixmpp_e2e.plugin.stanzas import report_of

from .clients import Clients, Inbox, new_client, new_component
from .protected import PKI, introduce, make_pki, protect

HOST = "component.localhost"
POLICY = {"*": "required", f"jid:{HOST}": "required"}
NAMES = ("watch", "gate")


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> PKI:
    pki = make_pki(tmp_path_factory.mktemp("pki"))
    for name in (*NAMES, "crier"):
        pki.issue(name, f"{name}@{HOST}", "p-256" if name == "gate" else "rsa-2048")
    return pki


def files(pki: PKI, name: str) -> dict[str, Any]:
    return {"certificate": pki.directory / f"{name}.crt", "private_key": pki.directory / f"{name}.key"}


def options(pki: PKI, **more: Any) -> dict[str, Any]:
    hosted = [files(pki, name) for name in NAMES]
    return pki.options(
        "component", hosted=hosted, policy=POLICY, peer_certificates=introduce(pki, "romeo"), **more
    )


@pytest.fixture
async def town(server, clients: Clients, pki):
    """Romeo, a component that hosts two, and what failed there."""
    romeo = await clients.log_in("romeo@localhost/r")
    known = introduce(pki, "component", *NAMES)
    protect(romeo, pki.options("romeo", policy=POLICY, peer_certificates=known, send_errors=False))
    component = await clients.component()
    return romeo, component, protect(component, options(pki))


async def test_each_speaks_for_itself(town):
    romeo, component, failures = town
    theirs, his = Inbox(component), Inbox(romeo)
    for name in (*NAMES, None):
        jid = HOST if name is None else f"{name}@{HOST}"
        romeo.send_message(jid, f"to {jid}", mtype="chat")
        message = await theirs.next()
        assert (message["to"].bare, message["body"]) == (jid, f"to {jid}")
        report = component.plugin["e2e"].report(message)
        assert report.authenticated
        own = component.plugin["e2e"].protection.identity_of(JID(jid))
        assert report.decrypted_with == own.certificate.fingerprint
        message.reply("heard").send()
        answer = await his.next()
        assert romeo.plugin["e2e"].report(answer).signer == jid == answer["from"].bare
    assert not failures.sent
    assert not failures.received


async def test_requests_with_the_same_id_to_two_of_them_are_answered_apart(town):
    romeo, component, failures = town
    asked = []

    def answer(iq: Any) -> None:
        asked.append(iq)
        assert report_of(iq).encrypted
        if len(asked) == len(NAMES):  # when both are owed
            for each in reversed(asked):
                each.reply().append(each.xml[0]).send()

    component.register_handler(_handler(component, "get", answer))
    results = Inbox(romeo, "answered")
    romeo.register_handler(_handler(romeo, "result", lambda iq: romeo.event("answered", iq)))
    for name in NAMES:
        iq = romeo.make_iq_get(ito=f"{name}@{HOST}/desk")
        iq["id"] = "the same"
        iq.xml.append(Element("{urn:x-town}question"))
        romeo.send(romeo.plugin["e2e"]._outbound.protected(iq, "required"))
    came = await results.take(len(NAMES))
    assert [each["from"].bare for each in came] == [f"{name}@{HOST}" for name in reversed(NAMES)]
    assert all(report_of(each).authenticated for each in came)
    assert not failures.received


def _handler(stream: Any, kind_type: str, called: Any) -> Any:
    return Callback(
        f"town {kind_type}", MatchXPath(f"{{{stream.default_ns}}}iq/{{urn:x-town}}question"), called
    )


async def test_what_is_hosted_is_found_by_discovery(server, clients, pki):
    component = await clients.component(plugins=["xep_0030"])
    protect(component, {**options(pki), "policy": {"*": {"message": "required"}}})
    asking = await clients.log_in("mercutio@localhost/m", plugins=["xep_0030"])
    for jid in (HOST, *(f"{name}@{HOST}" for name in NAMES)):
        info = await asking.plugin["xep_0030"].get_info(jid=jid, timeout=5)
        assert E2E in info["disco_info"]["features"]
    component.plugin.disable("e2e")
    info = await asking.plugin["xep_0030"].get_info(jid=f"watch@{HOST}", timeout=5)
    assert E2E not in info["disco_info"]["features"]


async def test_what_is_for_somebody_else_is_refused_and_whoever_is_none_of_us_does_not_speak(town):
    romeo, component, failures = town
    outer = romeo.plugin["e2e"]._outbound.protected(
        romeo.make_message(f"watch@{HOST}", "for the watch", mtype="chat"), "required"
    )
    outer["to"] = f"gate@{HOST}"  # as a server might do it
    refused = Inbox(component, "e2e_error")
    romeo.send(outer)
    assert (await refused.next()).reason in {"other-recipient", "name-mismatch", "malformed"}
    component.send_message("romeo@localhost", "I am nobody", mtype="chat", mfrom=f"nobody@{HOST}")
    failed = Inbox(component, "e2e_send_failed")
    assert (await failed.next()).error.code == "certificate"
    assert len(failures.received) == 1


async def test_one_is_hosted_while_the_component_runs(town, pki):
    romeo, component, _ = town
    his = Inbox(romeo)
    component.plugin["e2e"].add_identity(**files(pki, "crier"))
    component.send_message("romeo@localhost/r", "Hear ye", mtype="chat", mfrom=f"crier@{HOST}")
    message = await his.next()
    assert romeo.plugin["e2e"].report(message).signer == f"crier@{HOST}"


async def test_a_hosted_key_rolls_over(town, pki):
    romeo, component, _ = town
    plugin, his = component.plugin["e2e"], Inbox(romeo)
    before = plugin.protection.identity_of(JID(f"watch@{HOST}")).certificate
    pki.issue("watch", f"watch@{HOST}")
    plugin._renewal.check()
    after = plugin.protection.identity_of(JID(f"watch@{HOST}")).certificate
    assert before.fingerprint != after.fingerprint
    component.send_message("romeo@localhost/r", "New seal", mtype="chat", mfrom=f"watch@{HOST}")
    assert romeo.plugin["e2e"].report(await his.next()).certificate == after.certificate


async def test_the_certificate_that_was_asked_for_is_that_of_who_was_asked(server, clients, pki):
    component = await clients.component()
    protect(component, options(pki))
    romeo = await clients.log_in("romeo@localhost/r")
    protect(romeo, pki.options("romeo", policy=POLICY, certificate_wait=5, resolvers=[]))
    theirs = Inbox(component)
    romeo.send_message(f"gate@{HOST}", "first", mtype="chat")
    assert (await theirs.next())["to"].bare == f"gate@{HOST}"


async def test_two_names_one_of_which_is_hosted_already_are_refused(town, pki):
    _, component, _ = town
    with pytest.raises(ConfigurationError, match="can't be hosted"):
        component.plugin["e2e"].add_identity(**files(pki, "juliet"))
    protection = component.plugin["e2e"].protection
    watch = protection.household.of(f"watch@{HOST}").current
    both = replace(watch, jids=frozenset({f"watch@{HOST}", f"new@{HOST}"}))
    with pytest.raises(CertificateError, match="some have an identity already"):
        protection.host(both)


@pytest.mark.parametrize("hosted", [[{"certificat": "x"}], ["x"], [{}]])
async def test_options_that_make_no_identity_are_refused(pki, hosted):
    with pytest.raises(ConfigurationError):
        protect(new_component(), pki.options("component", hosted=hosted))


async def test_a_client_hosts_nobody(pki):
    with pytest.raises(ConfigurationError, match="for components"):
        protect(new_client("romeo@localhost"), pki.options("romeo", hosted=[files(pki, "juliet")]))
