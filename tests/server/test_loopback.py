"""What only the loopback server does: bad input, and the server as the attacker."""

import asyncio
import time
from copy import deepcopy
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement

import pytest

from slixmpp_e2e.cli.loopback import LoopbackServer
from slixmpp_e2e.namespaces import LIMITS, STREAMS

from .clients import ACCOUNTS, COMPONENTS, LOOPBACK, Clients, Inbox, close, connect, new_client, round_trip
from .couple import couple
from .protected import make_pki

ROMEO = "romeo@localhost/orchard"
JULIET = "juliet@localhost/balcony"

HEADER = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost'>"
)
#: romeo, secret
AUTH = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>"
BIND = (
    b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>"
)


@pytest.fixture
async def server():
    """Only the loopback server, here; its limit is low, so that too much fits into one segment."""
    async with LoopbackServer(ACCOUNTS, components=COMPONENTS, max_stanza_size=10_000) as running:
        yield running


def message(body, **attributes):
    stanza = Element("{jabber:client}message", {key.rstrip("_"): value for key, value in attributes.items()})
    SubElement(stanza, "{jabber:client}body").text = body
    return stanza


async def talk(port, *steps):
    """Send octets step by step, each after the answer to the one before; return all that came until the end."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        received = b""
        for step in steps:
            writer.write(step)
            received += await asyncio.wait_for(reader.read(65536), 5)
        return received + await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
        await writer.wait_closed()


# --------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("octets", "condition"),
    [
        pytest.param(b"<<<", b"not-well-formed", id="no XML"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", b"not-well-formed", id="HTTP"),
        pytest.param(b"<html>", b"bad-format", id="no stream"),
        pytest.param(HEADER.replace(b"localhost", b"elsewhere"), b"host-unknown", id="another host"),
        pytest.param(HEADER + b"<a></b>", b"not-well-formed", id="tags that do not match"),
        pytest.param(HEADER + b"\xff\xfe", b"not-well-formed", id="no UTF-8"),
        pytest.param(HEADER + b"<a>\x01</a>", b"not-well-formed", id="a control character"),
        pytest.param(HEADER + b"<!-- hidden -->", b"restricted-xml", id="a comment"),
        pytest.param(HEADER + b"<a><?php ?></a>", b"restricted-xml", id="a processing instruction"),
        pytest.param(b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + HEADER, b"restricted-xml", id="a document type"),
        pytest.param(HEADER + b"<a>&undefined;</a>", b"not-well-formed", id="an undefined entity"),
        pytest.param(HEADER + b"<a>" * 1000, b"policy-violation", id="depth"),
        pytest.param(HEADER + b"<a b='" + b"x" * 12_000, b"policy-violation", id="size of an attribute"),
        pytest.param(HEADER + b"<a>" + b"x" * 12_000, b"policy-violation", id="size of a text"),
        pytest.param(HEADER + b"<a>" + b"x" * 12_000 + b"</a>", b"policy-violation", id="size of an element"),
        pytest.param(HEADER + b"<message to='x'/>", b"not-authorized", id="a stanza before authentication"),
    ],
)
async def test_bad_input_ends_that_stream_with_its_error_and_nothing_else(server, clients, octets, condition):
    romeo = await clients.log_in(ROMEO)
    received = await talk(server.port, octets)
    assert b"<stream:error><" + condition + b" xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" in received
    assert received.endswith(b"</stream:stream>")
    await round_trip(romeo)


@pytest.mark.parametrize(
    ("step", "condition"),
    [
        (b"<message to='juliet@localhost'/>", b"not-authorized"),
        (b"<a xmlns='urn:xmpp:sm:3' h='1'/>", b"not-authorized"),
    ],
)
async def test_nothing_but_a_session_can_follow_authentication(server, step, condition):
    assert b"<" + condition in await talk(server.port, HEADER, AUTH, HEADER, step)


@pytest.mark.parametrize("h", ["7", "-1", "x", "", "99999999999999999999", None])
async def test_an_impossible_acknowledgement_ends_the_stream(server, h):
    enable = b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    ack = f"<a xmlns='urn:xmpp:sm:3' h='{h}'/>".encode() if h is not None else b"<a xmlns='urn:xmpp:sm:3'/>"
    assert b"<stream:error>" in await talk(server.port, HEADER, AUTH, HEADER, BIND, enable, ack)


@pytest.mark.parametrize(
    ("auth", "condition"),
    [
        (b"mechanism='PLAIN'>AHJvbWVvAHdyb25n<", b"not-authorized"),
        (b"mechanism='PLAIN'>AG5vYm9keQBzZWNyZXQ=<", b"not-authorized"),
        (b"mechanism='PLAIN'>!!<", b"incorrect-encoding"),
        (b"mechanism='PLAIN'>/////w==<", b"incorrect-encoding"),
        (b"mechanism='PLAIN'>cm9tZW8=<", b"malformed-request"),
        (b"mechanism='X-NONE'>AHJvbWVvAHNlY3JldA==<", b"invalid-mechanism"),
    ],
)
async def test_a_failed_authentication_says_why_and_the_third_is_the_last(server, auth, condition):
    step = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' " + auth + b"/auth>"
    received = await talk(server.port, HEADER, step, step, step)
    assert received.count(b"<" + condition + b"/></failure>") == 3
    assert b"<stream:error><policy-violation" in received


@pytest.mark.parametrize("attributes", [b"type='get'", b"id='1'", b"type='ask' id='1'"])
async def test_an_iq_without_a_type_or_id_is_answered_with_bad_request(server, attributes):
    iq = b"<iq to='juliet@localhost/balcony' " + attributes + b"><x xmlns='urn:example:x'/></iq>"
    assert b"<bad-request " in await talk(server.port, HEADER, AUTH, HEADER, BIND, iq, b"</stream:stream>")


async def test_an_address_that_is_no_jid_is_answered_with_jid_malformed(clients):
    romeo = await clients.log_in(ROMEO)
    errors = Inbox(romeo, "message_error")
    romeo.send_raw("<message to='@@' type='chat'><body>x</body></message>")
    assert (await errors.next())["error"]["condition"] == "jid-malformed"


async def test_a_stanza_that_arrives_octet_by_octet_is_read(server, clients):
    juliet = await clients.log_in(JULIET)
    at_juliet = Inbox(juliet)
    reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
    for step in (HEADER, AUTH, HEADER, BIND):
        writer.write(step)
        await reader.read(65536)
    for octet in "<message to='juliet@localhost'><body>\N{BLACK HEART SUIT}</body></message>".encode():
        writer.write(bytes([octet]))
        await writer.drain()
    assert (await at_juliet.next())["body"] == "\N{BLACK HEART SUIT}"
    writer.close()
    await writer.wait_closed()


# --------------------------------------------------------------------------- the server as the attacker


async def test_a_hook_sees_the_true_sender_of_every_stanza(server, clients):
    romeo, juliet = await clients.log_in(ROMEO), await clients.log_in(JULIET)
    at_juliet, seen = Inbox(juliet), []
    server.on_route = lambda stanza: seen.append(stanza.get("from"))
    romeo.send_raw(f"<message from='pope@vatican' to='{JULIET}'><body>x</body></message>")
    assert (await at_juliet.next())["from"] == ROMEO
    assert seen == [ROMEO]


async def test_a_hook_can_drop_multiply_and_rewrite(server, clients):
    def attack(stanza):
        body = stanza.find("{jabber:client}body")
        if body is None:
            return None
        if body.text == "twice":
            return [stanza, deepcopy(stanza)]
        if body.text == "changed":
            body.text = "by the server"
            return None
        return []

    romeo, juliet = await clients.log_in(ROMEO), await clients.log_in(JULIET)
    at_juliet = Inbox(juliet)
    server.on_route = attack
    for body in ("dropped", "twice", "changed"):
        romeo.send_message(mto=JULIET, mbody=body)
    assert [each["body"] for each in await at_juliet.take(3)] == ["twice", "twice", "by the server"]


@pytest.mark.parametrize("sender", ["pope@vatican/x", "juliet@localhost", "not a jid @@", ""])
async def test_an_injected_stanza_arrives_from_whomever_the_attacker_likes(server, clients, sender):
    juliet = await clients.log_in(JULIET)
    at_juliet = Inbox(juliet)
    server.inject(message("trust me", from_=sender, to=JULIET))
    assert (await at_juliet.next()).xml.get("from") == sender


async def test_an_error_to_an_injected_stanza_disturbs_nobody(server, clients):
    juliet = await clients.log_in(JULIET)
    server.inject(message("x", from_="@@", to="nobody@localhost", type="chat"))
    server.inject(message("x", from_="@@", to="@@", type="chat"))
    await round_trip(juliet)


async def test_only_a_stanza_with_a_recipient_can_be_injected(server):
    with pytest.raises(ValueError, match="inject"):
        server.inject(message("x", from_=ROMEO))
    with pytest.raises(ValueError, match="inject"):
        server.inject(Element("message", {"to": ROMEO}))


async def test_the_record_holds_every_octet_of_each_connection(server, clients):
    romeo, juliet = await clients.log_in(ROMEO), await clients.log_in(JULIET)
    component = await clients.component()
    at_juliet, at_component = Inbox(juliet), Inbox(component)
    romeo.send_message(mto=JULIET, mbody="to juliet")
    romeo.send_message(mto="component.localhost", mbody="to component")
    await at_juliet.next()
    await at_component.next()
    by_romeo, by_juliet = server.recorded_from_clients.connections
    assert b"<body>to juliet</body>" in by_romeo
    assert b"to juliet" not in by_juliet
    assert b"<body>to juliet</body>" in server.recorded_to_clients.connections[1]
    assert b"<body>to component</body>" in server.recorded_to_components
    assert server.recorded_from_clients.joined == bytes(by_romeo + by_juliet)
    assert b"to nobody" not in server.recorded_from_clients


async def test_a_session_that_was_cut_is_resumed_with_what_it_missed(server, clients):
    romeo = await clients.log_in(ROMEO, plugins=["xep_0198"], reconnect=True)
    at_romeo, resumed = Inbox(romeo), Inbox(romeo, "session_resumed")
    server.cut(ROMEO)
    server.inject(message("missed", from_=JULIET, to=ROMEO))
    await resumed.next()
    assert (await at_romeo.next())["body"] == "missed"
    assert len(server.recorded_from_clients.connections) == 2


async def test_a_session_without_stream_management_ends_when_it_is_cut(server, clients):
    romeo = await clients.log_in(ROMEO)
    gone = Inbox(romeo, "disconnected")
    server.cut(ROMEO)
    await gone.next()
    with pytest.raises(LookupError, match="no session of romeo@localhost/orchard"):
        server.cut(ROMEO)


async def test_a_session_that_expired_is_not_resumed_and_its_messages_are_delivered_to_the_next(
    server, clients
):
    romeo = await clients.log_in(ROMEO, plugins=["xep_0198"])
    gone, failed, at_romeo = Inbox(romeo, "disconnected"), Inbox(romeo, "sm_failed"), Inbox(romeo)
    server.cut(ROMEO)
    server.inject(message("missed", from_=JULIET, to=ROMEO))
    await gone.next()
    server.expire(ROMEO)
    await connect(romeo, server.port)
    await failed.next()
    romeo.send_presence()
    assert (await at_romeo.next())["body"] == "missed"


async def test_nobody_resumes_the_session_of_another_account(server, clients):
    juliet = await clients.log_in(JULIET, plugins=["xep_0198"])
    token = juliet.plugin["xep_0198"].sm_id
    resume = f"<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='0'/></stream:stream>".encode()
    received = await talk(server.port, HEADER, AUTH, HEADER, resume)
    assert b"<item-not-found" in received
    assert b"<resumed" not in received


async def test_the_clock_of_the_delay_stamp_is_the_callers(clients):
    frozen = datetime(2004, 10, 31, 12, 0, 0, tzinfo=UTC)
    async with LoopbackServer(ACCOUNTS, clock=lambda: frozen) as server:
        server.inject(message("old", from_=ROMEO, to="juliet@localhost", type="chat"))
        juliet = await clients.log_in(JULIET, port=server.port, plugins=["xep_0203"], available=False)
        at_juliet = Inbox(juliet)
        juliet.send_presence()
        assert (await at_juliet.next())["delay"]["stamp"] == frozen


# --------------------------------------------------------------------------- up and down


async def test_two_servers_run_beside_each_other():
    async with LoopbackServer(ACCOUNTS) as one, LoopbackServer(ACCOUNTS, domain="example.org") as other:
        here, there = Clients(one.port, one.component_port), Clients(other.port, other.component_port)
        assert (await here.log_in(ROMEO)).boundjid.domain == "localhost"
        assert (await there.log_in("romeo@example.org")).boundjid.domain == "example.org"
        await here.close()
        await there.close()


async def test_stopping_ends_every_connection_and_leaves_no_task():
    server = await LoopbackServer(ACCOUNTS).start()
    romeo = new_client(ROMEO)
    await connect(romeo, server.port)
    gone, port = Inbox(romeo, "disconnected"), server.port
    await server.stop()
    await gone.next()
    await close(romeo)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(OSError):  # noqa: PT011
        await asyncio.open_connection(LOOPBACK, port)
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.port


async def test_a_login_takes_less_than_a_tenth_of_a_second(server, clients):
    seconds = []
    for number in range(3):
        began = time.perf_counter()
        await clients.log_in(f"romeo@localhost/{number}")
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.1


async def test_what_the_server_would_not_take_is_not_sent(server, tmp_path):
    """XEP-0478; its announced limit is below that of `max_stanza_size`."""
    async with couple(server.port, make_pki(tmp_path)) as (romeo, juliet):
        inbox = Inbox(juliet.xmpp)
        before = len(romeo.proxy.record("from_clients").joined)
        romeo.xmpp.send_message(romeo.peer, "x" * 10_000, mtype="chat")
        romeo.xmpp.send_message(romeo.peer, "short", mtype="chat")
        assert (await inbox.next())["body"] == "short"
        assert [each.error.code for each in romeo.failures.sent] == ["too-large"]
        assert len(romeo.proxy.record("from_clients").joined) - before < 10_000
        assert juliet.unhurt


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("10000", 10_000),
        (" 262144 ", 262_144),
        ("9999", None),
        ("-1", None),
        ("1" * 16, None),
        ("\u0663" * 6, None),
    ],
)
async def test_a_limit_that_no_stream_may_have_does_not_count(server, tmp_path, said, heard):
    async with couple(server.port, make_pki(tmp_path)) as (romeo, _):
        outbound = romeo.plugin("e2e")._outbound
        assert outbound.announced_size == 10_000
        features = Element(f"{{{STREAMS}}}features")
        SubElement(SubElement(features, f"{{{LIMITS}}}limits"), f"{{{LIMITS}}}max-bytes").text = said
        outbound.hear_features(features)
        assert outbound.announced_size == heard
