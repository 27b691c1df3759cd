"""Who is not known yet is found in a directory, and what stands there is judged like everything else."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e import ConfigurationError
from slixmpp_e2e.cms.certificates import read_certificates
from slixmpp_e2e.stores.ldap import LDAPResolver
from tests.stores.directory import PEOPLE, READER, READER_PASSWORD, STAFF, ThrowAwayDirectory, person

from .clients import Clients, Inbox
from .protected import PKI, make_pki, protect

pytestmark = [
    pytest.mark.server,
    pytest.mark.ldap,
    pytest.mark.parametrize("server", ["prosody"], indirect=True),
]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """A PKI of the same names that nobody trusts."""
    return make_pki(tmp_path_factory.mktemp("strangers"))


def chain(pki: PKI, name: str) -> list[bytes]:
    pem = (pki.directory / f"{name}.crt").read_bytes()
    return [each.public_bytes(Encoding.DER) for each in read_certificates(pem)]


@pytest.fixture(scope="module")
def directory(pki, strangers, tmp_path_factory):
    """Juliet's entries have hers, everybody else's; mercutio's has none that is good."""
    juliet, romeo = chain(pki, "juliet"), chain(pki, "romeo")
    false = chain(strangers, "juliet")[0]
    entries = [
        person("juliet", "juliet@localhost", false, romeo[0], juliet[0]),
        person("mercutio", "mercutio@localhost", chain(strangers, "mercutio")[0], romeo[0], juliet[0]),
        person("clerk", "juliet@localhost", juliet[0], base=STAFF),
    ]
    with ThrowAwayDirectory(tmp_path_factory.mktemp("directory"), entries) as running:
        yield running


async def log_in(clients: Clients, pki: PKI, name: str, port: int | None = None, **options):
    xmpp = await clients.log_in(f"{name}@localhost/{name[0]}", port=port)
    protect(xmpp, pki.options(name, **options))
    return xmpp


def asking(directory: ThrowAwayDirectory, pki: PKI, **more) -> dict[str, object]:
    """Return the options of somebody who asks the directory, and nobody else; intermediates he has."""
    intermediate = Path(pki.directory / "intermediate.pem")
    intermediate.write_bytes(
        b"".join(each.public_bytes(Encoding.PEM) for each in pki.authority.intermediates)
    )
    return {
        "resolvers": [f"{directory.plain}{PEOPLE}?userCertificate;binary?sub?(mail={{bare}})"],
        "request_certificates": False,
        "certificate_wait": 5,
        "intermediates": intermediate,
        **more,
    }


async def test_the_first_message_waits_and_leaves_encrypted(server, clients, proxy, pki, directory):
    juliet = await log_in(clients, pki, "juliet")
    inbox = Inbox(juliet)
    romeo = await log_in(clients, pki, "romeo", proxy.port, **asking(directory, pki))
    lost = Inbox(romeo, "e2e_send_failed")
    romeo.send_message("juliet@localhost", "canary", mtype="chat")
    message = await inbox.next()
    report = juliet.plugin["e2e"].report(message)
    assert (message["body"], report.encrypted, report.authenticated) == ("canary", True, True)
    stats = romeo.plugin["e2e"].stats()
    assert (stats["certificates_looked_up"], stats["certificates_found"], stats["parked"]) == (1, 1, 0)
    assert lost.empty
    assert b"canary" not in proxy.recorded_from_clients
    kept = romeo.plugin["e2e"].protection.store.certificates("juliet@localhost")
    assert [each[0] for each in kept] == chain(pki, "juliet")[:1]


async def test_certificates_of_others_or_of_another_ca_are_not_used(server, clients, proxy, pki, directory):
    mercutio = await log_in(clients, pki, "mercutio")
    inbox = Inbox(mercutio)
    romeo = await log_in(clients, pki, "romeo", proxy.port, **asking(directory, pki))
    lost = Inbox(romeo, "e2e_send_failed")
    romeo.send_message("mercutio@localhost", "canary", mtype="chat")
    assert (await lost.next()).error.code == "no-certificate"
    assert romeo.plugin["e2e"].stats()["certificates_looked_up"] == 1
    assert romeo.plugin["e2e"].protection.store.certificates("mercutio@localhost") == ()
    assert inbox.empty
    assert b"canary" not in proxy.recorded_from_clients


async def test_a_program_brings_a_resolver_with_a_password(server, clients, pki, directory):
    resolver = LDAPResolver(
        f"{directory.plain}{STAFF}??one?(mail={{bare}})",
        bind_dn=READER,
        password=READER_PASSWORD,
        ca_file=directory.ca,
    )
    inbox = Inbox(await log_in(clients, pki, "juliet"))
    romeo = await log_in(clients, pki, "romeo", **asking(directory, pki, resolvers=[resolver]))
    romeo.send_message("juliet@localhost", "x", mtype="chat")
    assert (await inbox.next())["body"] == "x"


async def test_a_directory_that_is_away_is_like_one_that_has_nothing(server, clients, pki, directory):
    gone = f"ldap://127.0.0.1:1/{PEOPLE}??sub?(mail={{bare}})"
    options = asking(directory, pki)
    inbox = Inbox(await log_in(clients, pki, "juliet"))
    romeo = await log_in(clients, pki, "romeo", **{**options, "resolvers": [gone, *options["resolvers"]]})
    romeo.send_message("juliet@localhost", "x", mtype="chat")
    assert (await inbox.next())["body"] == "x"
    assert romeo.plugin["e2e"].stats()["certificates_looked_up"] == 2


async def test_a_url_that_can_t_be_used_is_an_error_at_once(server, clients, pki):
    xmpp = await clients.log_in("romeo@localhost/r")
    with pytest.raises(ConfigurationError, match=r"resolvers: .*place for the JID"):
        protect(xmpp, pki.options("romeo", resolvers=["ldaps://ldap.example.com/dc=example"]))
