"""Where nothing may be answered, nothing is; an iq is answered all the same (ARCHITECTURE invariant 14).

Tests end with an iq that is always answered: what stood before it on the stream has been judged by then.
"""

from xml.etree.ElementTree import Element

import pytest
from slixmpp.exceptions import IqError

from slixmpp_e2e.namespaces import CLIENT, E2E, STANZAS
from slixmpp_e2e.outer import E2E_TAG
from tests.written import IN_EVERY_FORMAT, RFC3923, SIGNED_INSIDE, Written

from .clients import Inbox, round_trip
from .couple import Party, Witness, couple
from .protected import PKI, make_pki
from .spoilt import JULIET, answer_to_iq, forged, other_octet, spoil, stranger
from .wire import answers, exchanged

pytestmark = [pytest.mark.server, pytest.mark.parametrize("server", ["prosody"], indirect=True)]

REPLAYS = 16


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """Certificates for the same names, of a CA that nobody trusts."""
    return make_pki(tmp_path_factory.mktemp("strangers"))


@pytest.fixture
def written() -> Written:
    """What they write to each other in, unless a test is for every format."""
    return RFC3923


@pytest.fixture
async def two(server, pki, written):
    async with couple(server.port, pki, written=written) as parties:
        yield parties


def kinds_answered(party: Party, to: str) -> list[str]:
    """Return the kinds of stanzas that were answered with an error, as the wire shows them."""
    return [answer.tag.removeprefix(f"{{{CLIENT}}}") for answer in answers(party.proxy, to)]


# --------------------------------------------------------------------------- to whom


@pytest.mark.parametrize("kind", ["message", "presence"])
async def test_a_stranger_hears_nothing_but_the_answer_to_his_iq(two, clients, pki, strangers, kind):
    _, juliet = two
    mercutio = await stranger(clients, pki, strangers)
    heard = Inbox(mercutio, f"{kind}_error")
    to = {"pto": JULIET} if kind == "presence" else {"mto": JULIET, "mbody": "x"}
    getattr(mercutio, f"make_{kind}")(**to).send()
    forged(mercutio, kind).send()
    await answer_to_iq(mercutio)
    assert juliet.failures.reasons == ["untrusted", "malformed", "malformed"]
    assert kinds_answered(juliet, "mercutio@localhost") == ["iq"]
    assert heard.empty


async def test_a_stranger_who_sends_clear_hears_nothing_but_the_answer_to_his_iq(two, clients):
    _, juliet = two
    mercutio = await clients.log_in("mercutio@localhost/mercutio")
    mercutio.send_message(JULIET, "psst", mtype="chat")
    with pytest.raises(IqError) as failure:
        await mercutio.make_iq_get("urn:example:x", ito=JULIET).send(timeout=5)
    assert failure.value.condition == "not-acceptable"
    (answer,) = answers(juliet.proxy, "mercutio@localhost")
    assert [child.tag for child in answer[0]] == [f"{{{STANZAS}}}not-acceptable"]
    assert juliet.failures.reasons == ["unprotected", "unprotected"]


async def test_who_may_see_our_presence_is_answered_though_nobody_trusts_him(two, clients, pki, strangers):
    _, juliet = two
    mercutio = await stranger(clients, pki, strangers)
    request, heard = Inbox(juliet.xmpp, "roster_subscription_request"), Inbox(mercutio, "message_error")
    juliet.xmpp.auto_subscribe = False
    mercutio.send_presence_subscription("juliet@localhost")
    await request.next()  # which slixmpp grants
    await round_trip(juliet.xmpp)
    mercutio.send_message(JULIET, "x", mtype="chat")
    assert (await heard.next())["error"]["condition"] == "bad-request"
    assert kinds_answered(juliet, "mercutio@localhost") == ["message"]


# --------------------------------------------------------------------------- to what


@pytest.mark.parametrize(
    ("kind", "kind_type"),
    [
        ("message", "error"),
        ("message", "groupchat"),
        ("message", "headline"),
        ("presence", "error"),
        ("iq", "result"),
        ("iq", "error"),
    ],
)
async def test_what_asks_for_no_answer_gets_none(two, kind, kind_type):
    romeo, juliet = two
    forged(romeo.xmpp, kind, kind_type).send()
    await answer_to_iq(romeo.xmpp)
    (answer,) = answers(juliet.proxy, "romeo@localhost")
    assert answer.tag == f"{{{CLIENT}}}iq"
    arrived = [each for each in juliet.failures.received if each.stanza["type"] == "get"]
    assert answer.get("id") == arrived[0].stanza["id"]


@IN_EVERY_FORMAT
async def test_a_result_that_was_changed_on_the_way_ends_the_request_and_is_not_answered(two, written):
    romeo, juliet = two
    juliet.xmpp.register_plugin("xep_0199")
    spoil(juliet.xmpp, other_octet, written)
    romeo.xmpp.register_plugin("xep_0199")
    with pytest.raises(IqError) as failure:
        await romeo.plugin("xep_0199").send_ping(JULIET, timeout=5)
    assert failure.value.condition == "not-acceptable"
    assert romeo.failures.reasons == ["decryption-failed"]  # AES-GCM: both have announced it
    await round_trip(romeo.xmpp)
    assert answers(romeo.proxy, "juliet@localhost") == []


@IN_EVERY_FORMAT
async def test_an_echo_in_an_error_reaches_the_program_without_what_is_in_it(two, written):
    romeo, juliet = two
    heard = Inbox(juliet.xmpp, "message_error")
    sealed = await romeo.plugin("e2e").protect(romeo.xmpp.make_message(JULIET, "x", mtype="chat"))
    forged(romeo.xmpp, "message", "error", sealed.xml.find(written.tag)).send()
    error = await heard.next()
    assert error.xml.find(written.tag) is None
    assert error["body"] == ""
    assert juliet.report(error) is None
    await answer_to_iq(romeo.xmpp)
    assert kinds_answered(juliet, "romeo@localhost") == ["iq"]


async def test_a_carbon_of_what_cannot_be_opened_is_not_answered(two, clients):
    romeo, juliet = two
    juliet.xmpp.register_plugin("xep_0280")
    await juliet.plugin("xep_0280").enable()
    carbons = Inbox(juliet.xmpp, "carbon_received")
    other = Inbox(await clients.log_in("juliet@localhost/other"))
    message = forged(romeo.xmpp, "message", "chat")
    message["to"], message["body"] = "juliet@localhost/other", "for all"
    message.send()
    assert (await other.next()).xml.find(E2E_TAG) is not None
    await answer_to_iq(romeo.xmpp)
    assert carbons.empty  # from a peer who must send protected it would look like a message of his
    assert len(juliet.failures.received) == 2  # the carbon, and the iq
    assert kinds_answered(juliet, "romeo@localhost") == ["iq"]


# --------------------------------------------------------------------------- how often


@IN_EVERY_FORMAT
@pytest.mark.requirement("reqs-4-3")
async def test_replays_are_answered_once_in_ten_seconds_and_an_iq_beyond_that(two, written):
    """That something came before is no secret: it is known before a private key is used."""
    romeo, juliet = two
    inbox = Inbox(juliet.xmpp)
    message = romeo.xmpp.make_message(JULIET, "once", mtype="chat")
    outer = await romeo.plugin("e2e").protect(message, written.level("message"))
    for _ in range(REPLAYS):
        outer.send()
    await answer_to_iq(romeo.xmpp)
    repeated, iq = answers(juliet.proxy, "romeo@localhost")
    assert repeated.get("id") == outer["id"]
    assert repeated[0].find(f"{{{E2E}}}bad-timestamp") is not None
    assert iq.tag == f"{{{CLIENT}}}iq"
    assert juliet.failures.reasons == ["seen"] * (REPLAYS - 1) + ["malformed"]
    assert (await inbox.next())["body"] == "once"
    assert inbox.empty


@IN_EVERY_FORMAT
async def test_a_request_that_is_replayed_is_carried_out_once_and_answered_each_time(two):
    romeo, juliet = two
    juliet.xmpp.register_plugin("xep_0199")
    carried_out = Witness(juliet, "iq@type=get/ping")
    ping = romeo.xmpp.make_iq_get(ito=JULIET)
    ping.xml.append(Element("{urn:xmpp:ping}ping"))
    outer = await romeo.plugin("e2e").protect(ping)
    for _ in range(3):
        romeo.xmpp.send(outer)
    await answer_to_iq(romeo.xmpp)
    (result,) = (each for each in exchanged(juliet.proxy, "romeo@localhost") if each.get("type") == "result")
    first, second, _ = answers(juliet.proxy, "romeo@localhost")
    assert result.get("id") == first.get("id") == second.get("id") == outer["id"]
    assert all(answer[0].find(f"{{{E2E}}}bad-timestamp") is not None for answer in (first, second))
    assert len(carried_out.stanzas) == 1
    assert juliet.failures.reasons == ["seen", "seen", "malformed"]


# --------------------------------------------------------------------------- by configuration


@pytest.mark.parametrize("kind", ["message", "presence"])
@pytest.mark.parametrize(
    "hers",
    [
        {"send_errors": False},
        # an answer would tell whether it could be decrypted (ERRATA E29)
        {"policy": {"*": "encrypt-unsigned"}},
    ],
    ids=["switched off", "where unsigned content is accepted"],
)
@pytest.mark.parametrize("written", [RFC3923, SIGNED_INSIDE], ids=str)
async def test_what_was_changed_on_the_way_is_not_answered(server, pki, hers, kind, written):
    async with couple(server.port, pki, written=written, juliet=hers) as (romeo, juliet):
        spoil(romeo.xmpp, other_octet, written)
        if kind == "message":
            romeo.xmpp.send_message(JULIET, "x", mtype="chat")
        else:
            romeo.xmpp.send_presence(pto=JULIET)
        with pytest.raises(IqError) as failure:
            await romeo.xmpp.make_iq_get("urn:example:x", ito=JULIET).send(timeout=5)
        assert failure.value.condition == "bad-request"
        assert kinds_answered(juliet, "romeo@localhost") == ["iq"]
        assert juliet.failures.reasons == [written.reason("invalid")] * 2
