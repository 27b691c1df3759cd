"""What both servers do: the loopback server behaves as the real one wherever a client could tell them apart."""

import asyncio
import time

import pytest
from slixmpp import ET
from slixmpp.exceptions import IqError

from .clients import COMPONENT, Clients, Inbox, close, connect, new_client, new_component, round_trip

ROMEO = "romeo@localhost/orchard"
JULIET = "juliet@localhost/balcony"

E2E = "{urn:ietf:params:xml:ns:xmpp-e2e}e2e"


def bodies(messages):
    return [message["body"] for message in messages]


async def refusal(iq):
    """Send an iq that must fail; returns the condition."""
    with pytest.raises(IqError) as caught:
        await iq.send(timeout=5)
    return caught.value.condition


# --------------------------------------------------------------------------- sessions


async def test_a_client_gets_the_resource_that_it_asks_for(clients):
    romeo = await clients.log_in(ROMEO)
    assert romeo.boundjid.full == ROMEO


async def test_a_client_that_asks_for_no_resource_gets_one(clients):
    romeo = await clients.log_in("romeo@localhost")
    assert romeo.boundjid.bare == "romeo@localhost"
    assert romeo.boundjid.resource


async def test_a_wrong_password_is_refused(server):
    intruder = new_client(ROMEO, "wrong")
    with pytest.raises(ConnectionError, match="could not start"):
        await connect(intruder, server.port)


async def test_a_second_login_with_the_same_full_jid_ends_the_first(clients):
    first = await clients.log_in(ROMEO)
    gone = Inbox(first, "disconnected")
    second = await clients.log_in(ROMEO)
    await gone.next()
    assert second.boundjid.full == ROMEO


# --------------------------------------------------------------------------- messages


async def test_messages_arrive_in_order_in_both_directions(clients):
    romeo, juliet = await clients.log_in(ROMEO), await clients.log_in(JULIET)
    at_romeo, at_juliet = Inbox(romeo), Inbox(juliet)
    sent = [f"{number} <&>\"' \N{GREEK SMALL LETTER ALPHA}" for number in range(50)]
    for body in sent:
        romeo.send_message(mto=JULIET, mbody=body, mtype="chat")
        juliet.send_message(mto=ROMEO, mbody=body, mtype="chat")
    assert bodies(await at_juliet.take(50)) == sent
    assert bodies(await at_romeo.take(50)) == sent


async def test_the_sender_of_a_message_is_who_logged_in_whatever_it_claims(clients):
    romeo, juliet = await clients.log_in(ROMEO), await clients.log_in(JULIET)
    at_juliet = Inbox(juliet)
    romeo.send_raw(f"<message from='mercutio@localhost/ghost' to='{JULIET}'><body>boo</body></message>")
    assert (await at_juliet.next())["from"] == ROMEO


async def test_a_carriage_return_arrives_as_a_line_feed(clients):
    romeo, juliet = await clients.log_in(ROMEO), await clients.log_in(JULIET)
    at_juliet = Inbox(juliet)
    romeo.send_raw(f"<message to='{JULIET}'><body>one&#13;&#10;two&#13;three</body></message>")
    assert (await at_juliet.next())["body"] == "one\ntwo\nthree"


async def test_attributes_in_a_namespace_survive(clients):
    romeo, juliet = await clients.log_in(ROMEO), await clients.log_in(JULIET)
    at_juliet = Inbox(juliet)
    payload = "<x xmlns='urn:example:x' xmlns:q='urn:example:q' q:kind='a&lt;b' xml:lang='fr'><y/>tail</x>"
    romeo.send_raw(f"<message to='{JULIET}'><body>b</body>{payload}</message>")
    received = (await at_juliet.next()).xml.find("{urn:example:x}x")
    assert received.get("{urn:example:q}kind") == "a<b"
    assert received.get("{http://www.w3.org/XML/1998/namespace}lang") == "fr"
    assert received.find("{urn:example:x}y").tail == "tail"


async def test_a_message_to_a_bare_jid_reaches_every_available_resource(clients):
    romeo = await clients.log_in(ROMEO)
    balcony, chamber = await clients.log_in(JULIET), await clients.log_in("juliet@localhost/chamber")
    inboxes = Inbox(balcony), Inbox(chamber)
    romeo.send_message(mto="juliet@localhost", mbody="hark", mtype="chat")
    assert [(await inbox.next())["body"] for inbox in inboxes] == ["hark", "hark"]


async def test_a_message_to_an_unknown_account_is_answered_with_an_error(clients):
    romeo = await clients.log_in(ROMEO)
    errors = Inbox(romeo, "message_error")
    romeo.send_message(mto="nobody@localhost", mbody="hello?", mtype="chat")
    assert (await errors.next())["error"]["condition"] == "service-unavailable"


async def test_a_message_to_an_offline_account_is_delivered_later_with_the_servers_delay_stamp(clients):
    romeo = await clients.log_in(ROMEO)
    for body in ("first", "second"):
        romeo.send_message(mto="juliet@localhost", mbody=body, mtype="chat")
    await round_trip(romeo)
    before = time.time()
    juliet = await clients.log_in(JULIET, plugins=["xep_0203"], available=False)
    at_juliet = Inbox(juliet)
    juliet.send_presence()
    received = await at_juliet.take(2)
    assert bodies(received) == ["first", "second"]
    for message in received:
        assert message["delay"]["from"] == "localhost"
        assert abs(message["delay"]["stamp"].timestamp() - before) < 5


# --------------------------------------------------------------------------- iq


async def test_a_ping_to_the_full_jid_of_a_peer_is_answered_by_the_peer(clients):
    romeo = await clients.log_in(ROMEO, plugins=["xep_0199"])
    await clients.log_in(JULIET, plugins=["xep_0199"])
    answer = await romeo.plugin["xep_0199"].send_ping(JULIET, timeout=5)
    assert (answer["type"], answer["from"]) == ("result", JULIET)


@pytest.mark.parametrize(
    ("absent", "payload"),
    [
        ("juliet@localhost/balcony", "{urn:xmpp:ping}ping"),
        ("nobody@localhost/x", "{urn:xmpp:ping}ping"),
        ("juliet@localhost", E2E),
        ("juliet@localhost", "{http://jabber.org/protocol/disco#info}query"),
    ],
)
async def test_an_iq_that_reaches_no_client_is_answered_with_service_unavailable(clients, absent, payload):
    romeo = await clients.log_in(ROMEO)
    iq = romeo.make_iq_get(ito=absent)
    iq.xml.append(ET.Element(payload))
    assert await refusal(iq) == "service-unavailable"


async def test_an_iq_to_the_bare_jid_of_an_online_peer_never_reaches_its_client(clients):
    romeo = await clients.log_in(ROMEO, plugins=["xep_0199"])
    await clients.log_in(JULIET, plugins=["xep_0199"])
    iq = romeo.make_iq_get(ito="juliet@localhost")
    iq.xml.append(ET.Element(E2E))
    assert await refusal(iq) == "service-unavailable"


async def test_an_iq_with_two_children_is_refused(clients):
    romeo = await clients.log_in(ROMEO)
    await clients.log_in(JULIET)
    iq = romeo.make_iq_get(ito=JULIET)
    iq.xml.extend([ET.Element(E2E), ET.Element("{urn:example:x}x")])
    assert await refusal(iq) == "bad-request"


async def test_the_server_answers_the_requests_every_client_makes(clients):
    romeo = await clients.log_in(ROMEO, plugins=["xep_0030"])
    assert (await romeo.get_roster(timeout=5))["type"] == "result"
    of_server = await romeo.plugin["xep_0030"].get_info(jid="localhost", timeout=5)
    assert {"urn:xmpp:ping", "urn:xmpp:carbons:2"} <= set(of_server["disco_info"]["features"])
    of_account = await romeo.plugin["xep_0030"].get_info(jid="romeo@localhost", timeout=5)
    assert ("account", "registered") in {each[:2] for each in of_account["disco_info"]["identities"]}


# --------------------------------------------------------------------------- presence


async def test_directed_presence_arrives_and_ends_when_its_sender_goes(clients):
    romeo, juliet = await clients.log_in(ROMEO), await clients.log_in(JULIET)
    available, unavailable = Inbox(juliet, "presence_available"), Inbox(juliet, "presence_unavailable")
    romeo.send_presence(pto=JULIET, pstatus="here")
    seen = await available.next()
    assert (seen["from"], seen["status"]) == (ROMEO, "here")
    await close(romeo)
    assert (await unavailable.next())["from"] == ROMEO


async def test_the_resources_of_an_account_see_each_other(clients):
    balcony = await clients.log_in(JULIET)
    seen = Inbox(balcony, "presence_available")
    await clients.log_in("juliet@localhost/chamber")
    assert (await seen.next())["from"] == "juliet@localhost/chamber"


# --------------------------------------------------------------------------- carbons


@pytest.fixture
async def two_of_juliet(clients: Clients):
    """Return Romeo, and two resources of Juliet of which the second has carbons."""
    romeo, balcony = await clients.log_in(ROMEO), await clients.log_in(JULIET)
    chamber = await clients.log_in("juliet@localhost/chamber", plugins=["xep_0280"])
    await chamber.plugin["xep_0280"].enable(timeout=5)
    return romeo, balcony, chamber


async def test_a_carbon_shows_what_another_resource_received(two_of_juliet):
    romeo, _, chamber = two_of_juliet
    received = Inbox(chamber, "carbon_received")
    romeo.send_message(mto=JULIET, mbody="psst", mtype="chat")
    carbon = await received.next()
    assert carbon["from"] == "juliet@localhost"
    inner = carbon["carbon_received"]
    assert (inner["from"], inner["to"], inner["body"]) == (ROMEO, JULIET, "psst")


async def test_a_carbon_shows_what_another_resource_sent(two_of_juliet):
    _, balcony, chamber = two_of_juliet
    sent = Inbox(chamber, "carbon_sent")
    balcony.send_message(mto=ROMEO, mbody="farewell", mtype="chat")
    inner = (await sent.next())["carbon_sent"]
    assert (inner["from"], inner["to"], inner["body"]) == (JULIET, ROMEO, "farewell")


@pytest.mark.parametrize(
    "excluded",
    [
        "<message to='{}' type='chat'><body>x</body><private xmlns='urn:xmpp:carbons:2'/></message>",
        "<message to='{}' type='chat'><body>x</body><no-copy xmlns='urn:xmpp:hints'/></message>",
        "<message to='{}' type='headline'><body>x</body></message>",
        "<message to='{}'><e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'/></message>",
    ],
)
async def test_some_messages_are_not_copied(two_of_juliet, excluded):
    romeo, _, chamber = two_of_juliet
    received = Inbox(chamber, "carbon_received")
    romeo.send_raw(excluded.format(JULIET))
    romeo.send_message(mto=JULIET, mbody="copied", mtype="chat")
    assert (await received.next())["carbon_received"]["body"] == "copied"


async def test_who_gets_a_message_directly_gets_no_carbon_of_it(two_of_juliet):
    romeo, _, chamber = two_of_juliet
    direct, copied = Inbox(chamber), Inbox(chamber, "carbon_received")
    romeo.send_message(mto="juliet@localhost", mbody="to both", mtype="chat")
    romeo.send_message(mto=JULIET, mbody="to one", mtype="chat")
    assert (await copied.next())["carbon_received"]["body"] == "to one"
    assert (await direct.next())["body"] == "to both"


# --------------------------------------------------------------------------- stream management


async def test_the_server_acknowledges_what_it_got(clients):
    romeo = await clients.log_in(ROMEO, plugins=["xep_0198"])
    acknowledged = Inbox(romeo, "stanza_acked")
    management = romeo.plugin["xep_0198"]
    romeo.send_message(mto=JULIET, mbody="one")
    await round_trip(romeo)
    management.request_ack()
    while management.unacked_queue:
        await acknowledged.next()
    assert management.last_ack == management.seq > 0


async def test_what_was_lost_on_its_way_to_a_client_is_sent_again_when_it_resumes(clients, proxy):
    romeo = await clients.log_in(ROMEO, port=proxy.port, plugins=["xep_0198", "xep_0203"], reconnect=True)
    juliet = await clients.log_in(JULIET)
    at_romeo, resumed = Inbox(romeo), Inbox(romeo, "session_resumed")
    juliet.send_message(mto=ROMEO, mbody="0", mtype="chat")
    await at_romeo.next()
    proxy.swallow("to_clients")
    for number in range(1, 6):
        juliet.send_message(mto=ROMEO, mbody=f"{number}", mtype="chat")
    await proxy.wait_for("to_clients", b"<body>5</body>")
    assert at_romeo.empty
    proxy.cut()
    await resumed.next()
    juliet.send_message(mto=ROMEO, mbody="6", mtype="chat")
    received = await at_romeo.take(6)
    assert bodies(received) == ["1", "2", "3", "4", "5", "6"]
    # Both servers mark what they send again, even though it was sent at once the first time.
    assert [message["delay"]["from"] for message in received[:5]] == ["romeo@localhost"] * 5
    assert received[5].xml.find("{urn:xmpp:delay}delay") is None


async def test_what_was_lost_on_its_way_to_the_server_is_sent_again_when_the_client_resumes(clients, proxy):
    romeo = await clients.log_in(ROMEO, port=proxy.port, plugins=["xep_0198"], reconnect=True)
    juliet = await clients.log_in(JULIET)
    at_juliet, resumed = Inbox(juliet), Inbox(romeo, "session_resumed")
    romeo.send_message(mto=JULIET, mbody="0", mtype="chat")
    await at_juliet.next()
    proxy.swallow("from_clients")
    for number in range(1, 6):
        romeo.send_message(mto=JULIET, mbody=f"{number}", mtype="chat")
    await proxy.wait_for("from_clients", b"<body>5</body>")
    proxy.cut()
    await resumed.next()
    romeo.send_message(mto=JULIET, mbody="6", mtype="chat")
    assert bodies(await at_juliet.take(6)) == ["1", "2", "3", "4", "5", "6"]


async def test_messages_for_a_client_that_is_cut_off_wait_until_it_resumes(clients, proxy):
    romeo = await clients.log_in(ROMEO, port=proxy.port, plugins=["xep_0198"])
    juliet = await clients.log_in(JULIET)
    at_romeo, gone = Inbox(romeo), Inbox(romeo, "disconnected")
    resumed = Inbox(romeo, "session_resumed")
    proxy.cut()
    await gone.next()
    for number in range(3):
        juliet.send_message(mto=ROMEO, mbody=f"{number}", mtype="chat")
    await round_trip(juliet)
    romeo.connect("127.0.0.1", proxy.port)
    await resumed.next()
    assert bodies(await at_romeo.take(3)) == ["0", "1", "2"]


async def test_the_counters_stay_right_through_many_cuts(clients, proxy):
    romeo = await clients.log_in(ROMEO, port=proxy.port, plugins=["xep_0198"], reconnect=True)
    juliet = await clients.log_in(JULIET)
    at_romeo, at_juliet = Inbox(romeo), Inbox(juliet)
    resumed = Inbox(romeo, "session_resumed")
    for number in range(5):
        proxy.swallow("to_clients" if number % 2 else "from_clients")
        romeo.send_message(mto=JULIET, mbody=f"r{number}.", mtype="chat")
        juliet.send_message(mto=ROMEO, mbody=f"j{number}.", mtype="chat")
        await proxy.wait_for("from_clients", f"r{number}.".encode())
        await proxy.wait_for("to_clients", f"j{number}.".encode())
        proxy.cut()
        await resumed.next()
    assert bodies(await at_juliet.take(5)) == [f"r{number}." for number in range(5)]
    assert bodies(await at_romeo.take(5)) == [f"j{number}." for number in range(5)]
    await round_trip(romeo)
    await round_trip(juliet)
    assert at_romeo.empty
    assert at_juliet.empty
    assert romeo.boundjid.full == ROMEO


# --------------------------------------------------------------------------- components


async def test_a_client_and_a_component_exchange_messages(clients):
    romeo, component = await clients.log_in(ROMEO), await clients.component()
    at_component, at_romeo = Inbox(component), Inbox(romeo)
    romeo.send_message(mto=f"bot@{COMPONENT}/x", mbody="hello", mtype="chat")
    request = await at_component.next()
    assert (request["from"], request["to"], request["body"]) == (ROMEO, f"bot@{COMPONENT}/x", "hello")
    request.reply("yes?").send()
    answer = await at_romeo.next()
    assert (answer["from"], answer["body"]) == (f"bot@{COMPONENT}/x", "yes?")


async def test_a_component_answers_an_iq_of_a_client(clients):
    romeo = await clients.log_in(ROMEO, plugins=["xep_0199"])
    await clients.component(plugins=["xep_0199"])
    answer = await romeo.plugin["xep_0199"].send_ping(COMPONENT, timeout=5)
    assert (answer["type"], answer["from"]) == ("result", COMPONENT)


async def test_a_client_answers_an_iq_of_a_component(clients):
    await clients.log_in(ROMEO, plugins=["xep_0199"])
    component = await clients.component(plugins=["xep_0199"])
    answer = await component.plugin["xep_0199"].send_ping(ROMEO, ifrom=f"bot@{COMPONENT}", timeout=5)
    assert (answer["type"], answer["from"]) == ("result", ROMEO)


async def test_a_forwarded_message_keeps_its_namespace_on_the_way_to_a_component(clients):
    romeo, component = await clients.log_in(ROMEO), await clients.component()
    at_component = Inbox(component)
    inner = "<message xmlns='jabber:client'><body>in</body></message>"
    forwarded = f"<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded>"
    romeo.send_raw(f"<message to='{COMPONENT}'><body>out</body>{forwarded}</message>")
    received = (await at_component.next()).xml
    assert received.findtext("{jabber:component:accept}body") == "out"
    assert received.findtext(".//{jabber:client}message/{jabber:client}body") == "in"


async def test_a_component_with_the_wrong_secret_is_refused(server):
    with pytest.raises(ConnectionError):
        await connect(new_component(secret="wrong"), server.component_port)


async def test_a_component_that_uses_a_foreign_address_is_disconnected(clients):
    juliet, component = await clients.log_in(JULIET), await clients.component()
    at_juliet, gone = Inbox(juliet), Inbox(component, "disconnected")
    component.send_message(mto=JULIET, mfrom=ROMEO, mbody="forged")
    await gone.next()
    await round_trip(juliet)
    assert at_juliet.empty


async def test_a_component_that_is_not_there_is_answered_for(clients):
    romeo = await clients.log_in(ROMEO)
    iq = romeo.make_iq_get(ito=f"bot@{COMPONENT}")
    iq.xml.append(ET.Element(E2E))
    assert await refusal(iq) == "remote-server-timeout"


# --------------------------------------------------------------------------- the proxy and speed


async def test_the_proxy_records_what_both_sides_sent(clients, proxy):
    romeo, juliet = await clients.log_in(ROMEO, port=proxy.port), await clients.log_in(JULIET)
    at_juliet = Inbox(juliet)
    romeo.send_message(mto=JULIET, mbody="seen on the wire")
    await at_juliet.next()
    assert b"<body>seen on the wire</body>" in proxy.recorded_from_clients
    assert b"<body>seen on the wire</body>" not in proxy.recorded_to_clients
    assert b"<jid>romeo@localhost/orchard</jid>" in proxy.recorded_to_clients
    assert len(proxy.recorded_from_clients.connections) == 1


async def test_two_hundred_messages_take_less_than_a_second_each_way(clients):
    romeo, juliet = await clients.log_in(ROMEO), await clients.log_in(JULIET)
    at_juliet = Inbox(juliet)
    began = asyncio.get_running_loop().time()
    for number in range(200):
        romeo.send_message(mto=JULIET, mbody=f"{number} " + 400 * "x", mtype="chat")
    await at_juliet.take(200)
    assert asyncio.get_running_loop().time() - began < 1
