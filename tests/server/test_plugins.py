"""Plugins that know nothing of the protection work through it as they do without it.

In every format. Both sides demand protection for everything, and keep their streams with stream management. Each test
looks at what the programs get, what was proven about it, and at the wire.
"""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from slixmpp.exceptions import IqError

from tests.written import FORMATS, RFC3923

from .clients import Inbox
from .command import offer_marriage, propose
from .couple import Party, Witness, couple
from .protected import PKI, make_pki
from .ways_to_wait import HOWS, waiting

#: Servers see what is around an object alike; what is in it makes the difference.
pytestmark = pytest.mark.parametrize(
    ("server", "written"),
    [
        *(pytest.param("prosody", each, marks=pytest.mark.server, id=f"prosody-{each}") for each in FORMATS),
        pytest.param("ejabberd", RFC3923, marks=pytest.mark.ejabberd, id="ejabberd-rfc3923"),
    ],
    indirect=["server"],
)

#: Stands in no header, identifier or base64 by chance.
SECRET = "the canary of Verona"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=HOWS if len(HOWS) > 2 else HOWS[:1])
def how(request) -> str:
    """What they have to wait for."""
    return request.param


@pytest.fixture
async def two(server, pki, request, how, written) -> AsyncIterator[tuple[Party, Party]]:
    """The two, with the plugins that the test's mark `parametrize` names."""
    options = {name: waiting(pki, name, how) for name in ("romeo", "juliet")}
    async with couple(server.port, pki, request.param, written=written, **options) as parties:
        yield parties


def with_plugins(*plugins: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("two", [plugins], indirect=True, ids=[plugins[0]])


async def test_what_is_clear_is_seen_on_the_wire(server, pki, written):
    """All that follows rests on this: where nothing is protected, the check of the wire fails."""
    off = {"policy": {"*": "off"}}
    async with couple(server.port, pki, ["xep_0199"], written=written, romeo=off, juliet=off) as (romeo, _):
        await romeo.plugin("xep_0199").send_ping(romeo.peer, timeout=5)
        with pytest.raises(AssertionError, match="urn:xmpp:ping"):
            romeo.check_opaque()


@with_plugins("xep_0199")
async def test_ping(two):
    romeo, juliet = two
    asked = Witness(juliet, "iq@type=get/ping")
    pong = await romeo.plugin("xep_0199").send_ping(romeo.peer, timeout=5)
    assert pong["type"] == "result"
    assert romeo.trusts(pong)
    assert 0 <= await juliet.plugin("xep_0199").ping(juliet.peer, timeout=5) < 5
    assert len(asked.stanzas) == 1
    assert asked.convinced
    for party in two:
        assert party.check_opaque("urn:xmpp:ping") == 4
        assert party.unhurt


@with_plugins("xep_0092")
@pytest.mark.requirement("reqs-4-1b")
async def test_software_version(two):
    romeo, juliet = two
    version = juliet.plugin("xep_0092")
    version.software_name, version.version, version.os = SECRET, "1.5.9.6", "Balcony"
    asked = Witness(juliet, "iq@type=get/software_version")
    answer = await romeo.plugin("xep_0092").get_version(romeo.peer, timeout=5)
    found = answer["software_version"]
    assert (found["name"], found["version"], found["os"]) == (SECRET, "1.5.9.6", "Balcony")
    assert romeo.trusts(answer)
    assert asked.convinced
    assert romeo.check_opaque("jabber:iq:version", SECRET, "1.5.9.6", "Balcony") == 2
    assert romeo.unhurt
    assert juliet.unhurt


@with_plugins("xep_0030")
async def test_disco_info_and_items(two):
    romeo, juliet = two
    disco = juliet.plugin("xep_0030")
    disco.add_identity("client", "bot", SECRET)
    disco.add_feature("urn:example:lark")
    disco.add_item(jid=juliet.jid, name="Capulet's orchard", node="orchard", subnode="wall")
    asked = [Witness(juliet, "iq@type=get/disco_info"), Witness(juliet, "iq@type=get/disco_items")]
    info = await romeo.plugin("xep_0030").get_info(romeo.peer, timeout=5)
    items = await romeo.plugin("xep_0030").get_items(romeo.peer, node="orchard", timeout=5)
    assert ("client", "bot", None, SECRET) in info["disco_info"]["identities"]
    assert {"urn:example:lark", "urn:ietf:params:xml:ns:xmpp-e2e"} <= set(info["disco_info"]["features"])
    assert items["disco_items"]["items"] == {(juliet.jid, "wall", "Capulet's orchard")}
    assert romeo.trusts(info)
    assert romeo.trusts(items)
    assert all(witness.convinced for witness in asked)
    assert romeo.check_opaque("protocol/disco", SECRET, "urn:example:lark", "orchard") == 4
    assert romeo.unhurt


@with_plugins("xep_0050")
async def test_an_ad_hoc_command_of_two_steps(two):
    romeo, juliet = two
    asked = Witness(juliet, "iq@type=set/command")
    offer_marriage(juliet)
    (entry,) = (await romeo.plugin("xep_0050").get_commands(romeo.peer, timeout=5))["disco_items"]["items"]
    assert entry == (juliet.jid, "marry", "Propose to Juliet")
    assert await propose(romeo, SECRET) == f"I, {SECRET}, take thee"
    assert [iq["command"]["action"] for iq in asked.stanzas] == ["execute", "complete"]
    assert asked.convinced
    assert romeo.check_opaque("commands", "jabber:x:data", "marry", SECRET) == 6
    assert romeo.unhurt
    assert juliet.unhurt


@with_plugins("xep_0050")
async def test_an_unknown_command_is_refused_by_the_peer_and_not_by_the_protection(two):
    romeo, _ = two
    with pytest.raises(IqError) as failure:
        await romeo.plugin("xep_0050").send_command(romeo.peer, SECRET, timeout=5)
    assert failure.value.condition == "item-not-found"
    assert romeo.trusts(failure.value.iq)
    assert romeo.check_opaque("item-not-found", SECRET) == 2


@with_plugins("xep_0012")
@pytest.mark.requirement("reqs-5-1")
async def test_last_activity(two):
    romeo, juliet = two
    asked = Witness(juliet, "iq@type=get/last_activity")
    await juliet.plugin("xep_0012").set_last_activity(juliet.xmpp.boundjid, 4711, SECRET)
    answer = await romeo.plugin("xep_0012").get_last_activity(romeo.peer, timeout=5)
    assert 4711 <= answer["last_activity"]["seconds"] < 4720
    assert answer["last_activity"]["status"] == SECRET
    assert romeo.trusts(answer)
    assert asked.convinced
    assert romeo.check_opaque("jabber:iq:last", "4711", SECRET) == 2


@with_plugins("xep_0184")
@pytest.mark.parametrize("to", ["juliet@localhost", "juliet@localhost/juliet"])
@pytest.mark.requirement("reqs-4-1b")
async def test_receipts(two, to):
    romeo, juliet = two
    romeo.plugin("xep_0184").auto_request = True  # a filter of the plugin's own writes the request
    receipts, hers = Inbox(romeo.xmpp, "receipt_received"), Inbox(juliet.xmpp)
    message = romeo.xmpp.make_message(to, SECRET, mtype="chat")
    message.send()
    receipt, received = await receipts.next(), await hers.next()
    assert (received["body"], received["request_receipt"]) == (SECRET, True)
    assert receipt["receipt"] == message["id"] == received["id"]
    assert juliet.trusts(received)
    assert romeo.trusts(receipt)
    assert receipts.empty
    for party in two:
        # to a full JID, the plugin asks for its features first
        assert party.check_opaque("urn:xmpp:receipts", "protocol/disco", SECRET, message["id"]) >= 2
        assert party.unhurt


@with_plugins("xep_0085")
async def test_chat_states(two):
    romeo, juliet = two
    inbox = Inbox(juliet.xmpp, "chatstate")
    states = ["composing", "paused", "inactive", "active", "gone"]
    for state in states:
        message = romeo.xmpp.make_message(romeo.peer, mtype="chat")
        message["chat_state"] = state
        message.send()
    came = await inbox.take(len(states))
    assert [message["chat_state"] for message in came] == states
    assert all(juliet.trusts(message) for message in came)
    assert romeo.check_opaque("chatstates", *states) == len(states)
    assert juliet.unhurt


@with_plugins("xep_0308")
async def test_a_correction_names_the_message_that_the_peer_knows(two):
    romeo, juliet = two
    inbox, corrections = Inbox(juliet.xmpp), Inbox(juliet.xmpp, "message_correction")
    said = romeo.xmpp.make_message(romeo.peer, f"{SECRET} is a nightingale", mtype="chat")
    said.send()
    romeo.plugin("xep_0308").correct_message(said, f"{SECRET} is a lark")
    first, second = await inbox.take(2)
    correction = await corrections.next()
    assert (first["body"], second["body"]) == (f"{SECRET} is a nightingale", f"{SECRET} is a lark")
    assert first["id"] == said["id"] == correction["replace"]["id"]
    assert correction["id"] == second["id"] != first["id"]
    assert juliet.trusts(correction)
    assert romeo.check_opaque("message-correct", SECRET, said["id"], second["id"]) == 2


@with_plugins("xep_0047")
async def test_in_band_bytestreams_in_both_directions(two):
    romeo, juliet = two
    his, hers = random.Random(1).randbytes(300_000), (SECRET.encode() * 10_000)[:200_000]
    blocks = [Witness(party, "iq@type=set/ibb_data") for party in two]
    juliet.plugin("xep_0047").auto_accept = True
    opened = Inbox(juliet.xmpp, "ibb_stream_start")
    stream = await romeo.plugin("xep_0047").open_stream(romeo.peer, sid="s", block_size=8192, timeout=5)
    other_end = await opened.next()
    taken = [asyncio.ensure_future(end.gather(timeout=30)) for end in (stream, other_end)]
    await asyncio.gather(stream.sendall(his, timeout=20), other_end.sendall(hers, timeout=20))
    await stream.close(timeout=5)
    assert await asyncio.gather(*taken) == [hers, his]
    assert [len(witness.stanzas) for witness in blocks] == [25, 37]
    assert all(witness.convinced for witness in blocks)
    assert romeo.check_opaque("protocol/ibb", SECRET) == 2 * (1 + 25 + 37 + 1)
    assert romeo.unhurt
    assert juliet.unhurt


@with_plugins("xep_0047")
async def test_an_in_band_bytestream_of_messages(two):
    """Nothing is acknowledged: the protection must not change the order."""
    romeo, juliet = two
    his = random.Random(2).randbytes(150_000)
    blocks = Witness(juliet, "message/ibb_data")
    juliet.plugin("xep_0047").auto_accept = True
    opened = Inbox(juliet.xmpp, "ibb_stream_start")
    stream = await romeo.plugin("xep_0047").open_stream(romeo.peer, use_messages=True, timeout=5)
    taken = asyncio.ensure_future((await opened.next()).gather(timeout=30))
    await stream.sendall(his)
    await stream.close(timeout=20)
    assert await taken == his
    assert [message["ibb_data"]["seq"] for message in blocks.stanzas] == list(range(37))
    assert blocks.convinced
    assert romeo.check_opaque("protocol/ibb") == 2 + 37 + 2
    assert juliet.unhurt
