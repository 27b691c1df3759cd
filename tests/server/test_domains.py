"""A conversation of two people of two domains: their servers carry it to each other, and can read none of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from slixmpp import JID
from slixmpp.exceptions import IqError

from slixmpp_e2e.outer import E2E_TAG

from .clients import Inbox, close, connect, new_client, round_trip
from .couple import Party, Witness
from .domains import Domains, two_domains
from .protected import PKI, introduce, make_pki, protect
from .proxy import RecordingProxy
from .server_certificates import ServerCA

pytestmark = pytest.mark.server

ROMEO, JULIET = JID("romeo@montague.example/orchard"), JID("juliet@capulet.example/balcony")
SECRET = "the canary of Verona"
PLUGINS = ["xep_0198", "xep_0199", "xep_0030", "xep_0184", "xep_0191"]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """Certificates for two people of different domains."""
    made = make_pki(tmp_path_factory.mktemp("pki"))
    for jid in (ROMEO, JULIET):
        made.issue(jid.local, jid.bare)
    return made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> ServerCA:
    """Who issues the certificates of both servers."""
    return ServerCA(tmp_path_factory.mktemp("servers"))


@pytest.fixture(params=["in clear", "over TLS"])
async def domains(authority: ServerCA, request) -> AsyncIterator[Domains]:
    """The domains of the two houses."""
    houses = (ROMEO.domain, JULIET.domain)
    authorities = dict.fromkeys(houses, authority) if request.param == "over TLS" else {}
    async with two_domains(*houses, authorities=authorities) as running:
        yield running


over_tls = pytest.mark.parametrize("domains", ["over TLS"], indirect=True)


@pytest.fixture
async def two(domains: Domains, pki: PKI) -> AsyncIterator[tuple[Party, Party]]:
    """One client in each domain, that may only talk protected to others."""
    async with couple_across(domains, pki) as parties:
        yield parties


@asynccontextmanager
async def couple_across(domains: Domains, pki: PKI) -> AsyncIterator[tuple[Party, Party]]:
    """Log romeo and juliet in, each to the server of the own house."""
    async with AsyncExitStack() as stack:
        parties = []
        for jid, other in ((ROMEO, JULIET), (JULIET, ROMEO)):
            proxy = await stack.enter_async_context(RecordingProxy(domains.servers[jid.domain].port))
            xmpp = new_client(jid.full, plugins=PLUGINS)
            stack.push_async_callback(close, xmpp)
            options = pki.options(jid.local, peer_certificates=introduce(pki, other.local))
            failures = protect(xmpp, options)
            await connect(xmpp, proxy.port)
            xmpp.send_presence()
            await round_trip(xmpp)
            parties.append(Party(xmpp, proxy, failures, other.full))
        yield parties[0], parties[1]


async def converse(romeo: Party, juliet: Party) -> None:
    """Let each kind of stanza cross in each direction."""
    for here, there in ((romeo, juliet), (juliet, romeo)):
        messages, receipts = Inbox(there.xmpp), Inbox(here.xmpp, "receipt_received")
        presences = Inbox(there.xmpp, "presence")
        message = here.xmpp.make_message(JID(here.peer).bare, SECRET, mtype="chat")
        message["subject"], message["request_receipt"] = SECRET, True
        message.send()
        here.xmpp.send_presence(pto=here.peer, pshow="away", pstatus=SECRET)
        came, presence, receipt = await messages.next(), await presences.next(), await receipts.next()
        assert (came["body"], came["subject"]) == (SECRET, SECRET)
        assert (presence["status"], presence["show"]) == (SECRET, "away")
        assert receipt["receipt"] == message["id"]
        assert there.trusts(came)
        assert there.trusts(presence)
        assert here.trusts(receipt)
        asked = Witness(there, "iq@type=get/disco_info")
        info = await here.plugin("xep_0030").get_info(here.peer, timeout=5)
        assert here.trusts(info)
        assert asked.convinced
        there.xmpp.remove_handler("witness of iq@type=get/disco_info")


async def test_messages_presence_and_requests_cross_and_neither_server_can_read_them(domains, two, request):
    await converse(*two)
    for party in two:
        assert party.check_opaque(SECRET, "protocol/disco", "receipts", "away") == 10
        assert party.unhurt
    for link in domains.links.values():
        encrypted = b"<proceed xmlns=" in link.recorded_to_clients
        assert encrypted == request.node.callspec.id.endswith("over TLS")
        assert (b"urn:ietf:params:xml:ns:xmpp-e2e" in link.recorded_from_clients) != encrypted
        for wire in (link.recorded_from_clients, link.recorded_to_clients):
            assert SECRET.encode() not in wire


async def test_the_conversation_goes_on_when_the_servers_lost_each_other(domains, two):
    await converse(*two)
    for link in domains.links.values():
        link.cut()
    for party in two:
        await round_trip(party.xmpp)  # the servers have noticed by then
    await converse(*two)
    assert all(len(link.recorded_from_clients.connections) > 1 for link in domains.links.values())
    assert all(party.unhurt for party in two)


@over_tls
async def test_an_error_of_the_other_server_ends_a_protected_request(two):
    romeo, _ = two
    with pytest.raises(IqError) as failure:
        await romeo.plugin("xep_0199").send_ping(f"{JULIET.bare}/gone", timeout=5)
    assert failure.value.condition == "service-unavailable"
    assert romeo.report(failure.value.iq) is None


@over_tls
async def test_what_the_other_server_sends_back_bears_the_id_that_the_program_gave(two):
    romeo, juliet = two
    await juliet.plugin("xep_0191").block(ROMEO.bare, timeout=5)
    errors = Inbox(romeo.xmpp, "message_error")
    message = romeo.xmpp.make_message(JULIET.bare, SECRET, mtype="chat")
    message.send()
    bounced = await errors.next()
    assert (bounced["id"], bounced["from"], bounced["error"]["condition"]) == (
        message["id"],
        JULIET.bare,
        "service-unavailable",
    )
    assert bounced.xml.find(E2E_TAG) is None
    assert romeo.report(bounced) is None
    assert SECRET.encode() not in romeo.proxy.recorded_from_clients


async def test_a_server_with_a_certificate_that_nobody_knows_gets_nothing(authority, pki, tmp_path):
    """So the tests above mean something: `s2s_secure_auth` is in force."""
    authorities = {ROMEO.domain: authority, JULIET.domain: ServerCA(tmp_path)}
    async with (
        two_domains(ROMEO.domain, JULIET.domain, authorities=authorities) as domains,
        couple_across(domains, pki) as (romeo, juliet),
    ):
        inbox, errors = Inbox(juliet.xmpp), Inbox(romeo.xmpp, "message_error")
        message = romeo.xmpp.make_message(JULIET.bare, SECRET, mtype="chat")
        message.send()
        bounced = await errors.next(seconds=20)
        assert (bounced["id"], bounced["error"]["condition"]) == (message["id"], "remote-server-timeout")
        assert "certificate is not trusted" in bounced["error"]["text"]
        assert romeo.report(bounced) is None
        assert inbox.empty
        for link in domains.links.values():
            assert b"xmpp-e2e" not in link.recorded_from_clients
        log = domains.servers[JULIET.domain].log
        assert "Forbidding insecure connection to/from montague.example" in log
