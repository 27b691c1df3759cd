"""All these plugins at once, while the connections are cut and resumed: nothing is lost, nothing comes twice.

Not on ejabberd 23.01: what comes for a session while it is resumed may arrive behind what comes after it.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from itertools import count

import pytest
from slixmpp import Iq

from slixmpp_e2e.cli.prosody import ThrowAwayProsody
from slixmpp_e2e.namespaces import E2E
from tests.written import BARE_OBJENC, RFC3923, SIGNED_INSIDE

from .clients import Inbox
from .command import offer_marriage, propose
from .conftest import ROOM_FOR_BURSTS
from .couple import Party, Witness, couple
from .protected import make_pki
from .ways_to_wait import HOWS, waiting

CUTS = 10
SECRET = "the canary of Verona"
PLUGINS = [
    f"xep_{number}" for number in ("0199", "0092", "0030", "0050", "0012", "0184", "0085", "0308", "0047")
]
WORDS = [
    "urn:xmpp:ping",
    "jabber:iq",
    "http://jabber.org",
    "jabber:x:data",
    "receipts",
    "message-correct",
    SECRET,
]


@pytest.fixture
def prosody_configuration() -> str:
    return ROOM_FOR_BURSTS


class Acts:
    """What the two do until the last cut is made, and each question was asked more than so often."""

    def __init__(self, romeo: Party, juliet: Party, least: int) -> None:
        self.romeo, self.juliet, self.least = romeo, juliet, least
        self.last_cut = asyncio.Event()
        self.all_asked = asyncio.Event()
        self.done: Counter[str] = Counter()

    def questions(self) -> dict[str, tuple[Callable[[], Awaitable], Callable[[Iq], bool]]]:
        """Return requests by the name of what they ask for: how to send one, and what is the right result."""
        plugin, peer = self.romeo.plugin, self.romeo.peer
        return {
            "ping": (
                lambda: plugin("xep_0199").send_ping(peer, timeout=20),
                lambda iq: len(iq.xml) == 0,
            ),
            "software_version": (
                lambda: plugin("xep_0092").get_version(peer, timeout=20),
                lambda iq: iq["software_version"]["name"] == SECRET,
            ),
            "disco_info": (
                lambda: plugin("xep_0030").get_info(peer, timeout=20),
                lambda iq: E2E in iq["disco_info"]["features"],
            ),
            "last_activity": (
                lambda: plugin("xep_0012").get_last_activity(peer, timeout=20),
                lambda iq: iq["last_activity"]["status"] == SECRET,
            ),
        }

    async def ask(self, what: str) -> None:
        """Send requests, one after the other; each result must be the right one, from juliet."""
        send, is_right = self.questions()[what]
        while not self.last_cut.is_set():
            result = await send()
            assert self.romeo.trusts(result)
            assert is_right(result), result
            self.done[what] += 1
            if min(self.done[each] for each in self.questions()) > self.least:
                self.all_asked.set()
            await asyncio.sleep(0.01)

    async def marry(self) -> list[str]:
        """Go through the command again and again; return the names that were given."""
        names = []
        while not self.last_cut.is_set():
            names.append(f"{SECRET} {len(names)}")
            assert await propose(self.romeo, names[-1]) == f"I, {names[-1]}, take thee"
        return names

    async def chat(self) -> list[str]:
        """Say something, correct it, and type in between; return the ids of what was said."""
        said = []
        for number in count():
            typing = self.romeo.xmpp.make_message(self.romeo.peer, mtype="chat")
            typing["chat_state"] = "composing" if number % 2 else "paused"
            typing.send()
            message = self.romeo.xmpp.make_message(self.romeo.peer, f"{SECRET} {number}", mtype="chat")
            message["request_receipt"] = True
            message.send()
            correction = self.romeo.plugin("xep_0308").correct_message(message, f"{SECRET}! {number}")
            said += [message["id"], correction["id"]]
            await asyncio.sleep(0.03)
            if self.last_cut.is_set():
                break
        return said

    async def stream(self, end, seed: int) -> bytes:
        """Send blocks, four of them under way at any time; return all that was sent."""
        numbers, sent = random.Random(seed), bytearray()
        under_way: set[asyncio.Task] = set()
        while not self.last_cut.is_set():
            block = numbers.randbytes(4096)
            sent += block
            under_way.add(asyncio.ensure_future(end.send(block, timeout=20)))
            await asyncio.sleep(0)  # the task has to run before the next block may take its number
            if len(under_way) == 4:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                assert [task.result() for task in done] == [4096] * len(done)
        await asyncio.gather(*under_way)
        return bytes(sent)

    async def cut(self, *, gently: bool) -> None:
        """Cut one and the other; now and then something is lost in flight.

        Prosody can't resume in the middle of a stanza (see `proxy`): its connections are cut `gently`.
        """
        for number in range(CUTS):
            await asyncio.sleep(0.15)
            party = (self.romeo, self.juliet)[number % 2]
            back = asyncio.ensure_future(party.xmpp.wait_until("session_resumed", timeout=10))
            await asyncio.sleep(0)  # it listens from now on
            if number % 4 < 2:
                party.proxy.swallow("to_clients" if gently or number % 8 < 4 else "from_clients")
                await asyncio.sleep(0.01)
            if gently:
                party.proxy.cut_between_stanzas()
            else:
                party.proxy.cut()
            await back
        await asyncio.sleep(0.1)
        await self.all_asked.wait()  # on a busy machine, blocks are in the way of all else
        self.last_cut.set()


class Seen:
    """What their handlers saw."""

    def __init__(self, romeo: Party, juliet: Party, questions: Iterable[str]) -> None:
        self.asked = {what: Witness(juliet, f"iq@type=get/{what}") for what in questions}
        self.commands = Witness(juliet, "iq@type=set/command")
        self.states = Witness(juliet, "message/chat_state")
        self.corrections = Witness(juliet, "message/replace")
        self.his_blocks = Witness(romeo, "iq@type=set/ibb_data")
        self.her_blocks = Witness(juliet, "iq@type=set/ibb_data")
        self.messages = Inbox(juliet.xmpp)
        self.receipts = Inbox(romeo.xmpp, "receipt_received")

    @property
    def all_convinced(self) -> bool:
        """Whether all the witnesses saw nothing but what was proven."""
        others = (self.commands, self.states, self.corrections, self.his_blocks, self.her_blocks)
        return all(witness.convinced for witness in (*self.asked.values(), *others))


#: Each way to wait with one format, and the others each on one server: what is different is in the object.
CASES = [
    *(("loopback", how, RFC3923) for how in HOWS),
    *(("prosody", how, RFC3923) for how in HOWS),
    ("prosody", HOWS[0], SIGNED_INSIDE),
    ("loopback", HOWS[0], BARE_OBJENC),
]
MARKS = {"prosody": pytest.mark.server, "loopback": ()}


@pytest.mark.parametrize(
    ("server", "how", "written"),
    [pytest.param(*case, marks=MARKS[case[0]], id="-".join(map(str, case))) for case in CASES],
    indirect=["server"],
)
async def test_all_plugins_at_once_while_the_connections_are_cut(server, tmp_path, how, written):
    pki = make_pki(tmp_path)
    options = {name: waiting(pki, name, how) for name in ("romeo", "juliet")}
    async with couple(server.port, pki, PLUGINS, reconnect=True, written=written, **options) as (
        romeo,
        juliet,
    ):
        acts = Acts(romeo, juliet, CUTS if how == "at once" else 1)
        seen = Seen(romeo, juliet, acts.questions())
        names = offer_marriage(juliet)
        juliet.plugin("xep_0092").software_name = SECRET
        juliet.plugin("xep_0047").auto_accept = True
        await juliet.plugin("xep_0012").set_last_activity(juliet.xmpp.boundjid, 4711, SECRET)
        opened = Inbox(juliet.xmpp, "ibb_stream_start")
        ends = await romeo.plugin("xep_0047").open_stream(romeo.peer, timeout=5), await opened.next()

        async with asyncio.timeout(40), asyncio.TaskGroup() as group:
            taken = [group.create_task(end.gather(timeout=30)) for end in ends]
            streams = [group.create_task(acts.stream(end, seed)) for seed, end in enumerate(ends)]
            proposed, said = group.create_task(acts.marry()), group.create_task(acts.chat())
            for what in acts.questions():
                group.create_task(acts.ask(what))
            await acts.cut(gently=isinstance(server, ThrowAwayProsody))
            his, hers = await asyncio.gather(*streams)
            await ends[0].close(timeout=20)
            came = await seen.messages.take(len(await said), seconds=20)
            receipts = await seen.receipts.take(len(await said) // 2, seconds=20)
        await asyncio.sleep(0.2)  # what came twice would come now

        said = said.result()
        assert romeo.resumed == juliet.resumed == CUTS // 2
        assert [task.result() for task in taken] == [hers, his]
        assert [message["id"] for message in came] == said
        assert [message["replace"]["id"] for message in seen.corrections.stanzas] == said[::2]
        assert [receipt["receipt"] for receipt in receipts] == said[::2]
        assert len(seen.states.stanzas) == len(said) // 2
        assert seen.messages.empty
        assert seen.receipts.empty
        for what, witness in seen.asked.items():
            assert acts.done[what] > acts.least
            assert len(witness.stanzas) == acts.done[what]
        assert names == proposed.result()
        assert len(seen.commands.stanzas) == 2 * len(names)
        assert [len(each.stanzas) * 4096 for each in (seen.his_blocks, seen.her_blocks)] == [
            len(hers),
            len(his),
        ]
        assert seen.all_convinced
        assert all(juliet.trusts(message) for message in came)
        assert all(romeo.trusts(receipt) for receipt in receipts)
        for party in (romeo, juliet):
            party.check_opaque(*WORDS)
            assert party.unhurt, (party.failures.reasons, party.failures.sent)
