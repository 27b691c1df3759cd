"""What leaves, leaves in the order of `send()` for each bare JID, once, or is reported: whatever happens meanwhile.

slixmpp's own queue and filter loop run here, without a connection: what it would write is recorded.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from slixmpp import JID
from slixmpp.exceptions import IqError
from slixmpp.stanza import Message

from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.plugin import departures
from slixmpp_e2e.waiting import NotYet
from tests.patience import SlowKey, WaitedFor
from tests.server.clients import new_client
from tests.server.protected import Failures, introduce, make_pki, protect

SECOND = 10**9
JULIET, MERCUTIO = "juliet@localhost/x", "mercutio@localhost/y"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_pki(tmp_path_factory.mktemp("pki"))


class HeldWorker:
    """A worker that does one thing whenever it is told to."""

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def run(self, function: Any) -> Any:
        self.waiting.append(asyncio.get_running_loop().create_future())
        await self.waiting[-1]
        return function()

    def do_one(self) -> None:
        gate = self.waiting.popleft()
        if not gate.done():
            gate.set_result(None)

    def close(self) -> None:
        pass


class Stream:
    """romeo's stream as slixmpp sees it; `wire` is what it wrote: JID and the id that the program gave."""

    def __init__(self, files: Any, **options: Any) -> None:
        self.now = time.time_ns()
        self.xmpp = new_client("romeo@localhost/r")
        self.wire: list[tuple[str, str]] = []
        self.failures: Failures = protect(
            self.xmpp,
            files.options(
                "romeo",
                peer_certificates=introduce(files, "juliet", "mercutio"),
                clock=lambda: self.now,
                resolvers=[],
                request_certificates=False,
                certificate_wait=60,
                **options,
            ),
        )
        self.plugin = self.xmpp.plugin["e2e"]
        self.parking = self.plugin._outbound.parking
        self.xmpp.send_raw = self.write
        self.loop_task = asyncio.get_running_loop().create_task(self.xmpp.run_filters())

    def write(self, text: str) -> None:
        assert self.xmpp._session_started
        xml = Message(self.xmpp, xml=slixmpp_xml(text), recv=True)
        inner = self.plugin._outbound.exchanges.inner_id(xml["id"])
        self.wire.append((xml["to"].bare, inner or xml["id"]))

    def send(self, to: str, identifier: str, level: str) -> None:
        message = self.xmpp.make_message(to, "x", mtype="chat")
        message["id"] = identifier
        self.plugin.override(message, level)
        message.send()

    def connect(self, *, resumed: bool) -> None:
        self.xmpp.event("session_resumed" if resumed else "session_start")

    def lose(self, *, for_good: bool = False) -> list[str]:
        """Lose the stream; return the ids of what slixmpp discards."""
        discarded = []
        if for_good:
            queued = [data for data, _ in self.xmpp.waiting_queue._queue]
            discarded = [each["id"] for each in queued if isinstance(each, Message)]
            self.xmpp._reset_sendq()
        self.xmpp.event("disconnected")
        return discarded

    async def close(self) -> None:
        self.loop_task.cancel()
        if "e2e" in self.xmpp.plugin:
            self.xmpp.plugin.disable("e2e")
        await self.plugin._closing


def slixmpp_xml(text: str) -> Any:
    return fromstring(text.replace("<message", "<message xmlns='jabber:client'", 1))


async def rounds(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 nobody could set an event
            await asyncio.sleep(0)


class Departing(RuleBasedStateMachine):
    """A key that takes its time, a store that is asked now and then, certificates that are missing for a while."""

    files: Any
    key: Any

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.has_stream = True
        self.discarded: set[str] = set()
        self.lacking: set[str] = set()
        self.unknown: deque[asyncio.Future[None]] = deque()
        self.store_is_slow = False
        self.run(self._begin())

    async def _begin(self) -> None:
        key = SlowKey(self.key, 0)
        self.stream = Stream(self.files, private_key=key)
        self.worker = self.stream.plugin._departures.worker = HeldWorker()
        self.stream.parking.lacks_certificate = self.lacks
        self.stream.parking.look_for = lambda _jid: True
        self.stream.connect(resumed=False)

    def run(self, coroutine: Any) -> None:
        self.loop.run_until_complete(coroutine)

    def lacks(self, stanza: Any) -> bool:
        if stanza._e2e_level == "off":
            return False
        if self.store_is_slow:
            raise NotYet(self.wait)
        return stanza["to"].bare in self.lacking

    async def wait(self) -> None:
        self.unknown.append(self.loop.create_future())
        await self.unknown[-1]

    @rule(
        to=st.sampled_from([JULIET, JULIET, MERCUTIO]),
        level=st.sampled_from(["off", "sign", "required"]),
        rounds_=st.integers(0, 3),
    )
    def send(self, to: str, level: str, rounds_: int) -> None:
        identifier = str(sum(map(len, self.sent.values())))
        self.sent[to.partition("/")[0]].append(identifier)
        self.in_loop(lambda: self.stream.send(to, identifier, level), rounds_)

    def in_loop(self, step: Any, count: int = 0) -> None:
        async def do() -> None:
            step()
            await rounds(count)

        self.run(do())

    @rule(count=st.integers(1, 12))
    def time_passes(self, count: int) -> None:
        self.run(rounds(count))

    @precondition(lambda self: self.worker.waiting)
    @rule(count=st.integers(0, 4))
    def the_key_answers(self, count: int) -> None:
        self.in_loop(self.worker.do_one, count)

    @precondition(lambda self: self.has_stream)
    @rule(for_good=st.booleans(), count=st.integers(0, 3))
    def the_stream_is_lost(self, for_good: bool, count: int) -> None:
        self.has_stream = False
        self.in_loop(lambda: self.discarded.update(self.stream.lose(for_good=for_good)), count)

    @precondition(lambda self: not self.has_stream)
    @rule(resumed=st.booleans(), count=st.integers(0, 3))
    def there_is_a_stream(self, resumed: bool, count: int) -> None:
        self.has_stream = True
        self.in_loop(lambda: self.stream.connect(resumed=resumed), count)

    @rule(seconds=st.sampled_from([1, 61]))
    def the_clock_goes_on(self, seconds: int) -> None:
        self.stream.now += seconds * SECOND

    @rule(jid=st.sampled_from(["juliet@localhost", "mercutio@localhost"]))
    def a_certificate_is_missing(self, jid: str) -> None:
        self.lacking.add(jid)

    @precondition(lambda self: self.lacking)
    @rule(is_found=st.booleans(), count=st.integers(0, 3))
    def the_search_ends(self, is_found: bool, count: int) -> None:
        jid = self.lacking.pop()
        act = self.stream.parking.release if is_found else self.stream.parking.give_up
        if not is_found:
            self.lacking.add(jid)
        self.in_loop(lambda: act(JID(jid)), count)

    @rule(slow=st.booleans())
    def the_store_is_slow(self, slow: bool) -> None:
        self.store_is_slow = slow

    @precondition(lambda self: self.unknown)
    @rule(fails=st.booleans(), count=st.integers(0, 3))
    def the_store_answers(self, fails: bool, count: int) -> None:
        gate = self.unknown.popleft()
        if gate.done():
            return
        if fails:
            self.in_loop(lambda: gate.set_exception(StoreError("away")), count)
        else:
            self.store_is_slow = False
            self.in_loop(lambda: gate.set_result(None), count)

    def teardown(self) -> None:
        if not hasattr(self, "stream"):
            return
        self.run(self._settle())
        failed = {each.stanza["id"]: each.error.code for each in self.stream.failures.sent}
        assert len(failed) == len(self.stream.failures.sent)
        for jid, sent in self.sent.items():
            left = [identifier for to, identifier in self.stream.wire if to == jid]
            missing = self.discarded | failed.keys()
            assert left == [each for each in sent if each not in missing]
        assert set(failed.values()) <= {"no-certificate", "store"}
        assert self.stream.plugin.stats()["parked"] == self.stream.plugin.stats()["waiting"] == 0
        self.run(self.stream.close())
        self.loop.close()

    async def _settle(self) -> None:
        self.store_is_slow = False
        self.lacking.clear()
        if not self.has_stream:
            self.stream.connect(resumed=True)
        for jid in (JULIET, MERCUTIO):
            self.stream.parking.release(JID(jid))
        for _ in range(500):
            await rounds(3)
            for gate in self.unknown:
                if not gate.done():
                    gate.set_result(None)
            self.unknown.clear()
            while self.worker.waiting:
                self.worker.do_one()
            if len(self.stream.wire) + len(self.discarded) + len(self.stream.failures.sent) == sum(
                map(len, self.sent.values())
            ):
                break


def test_the_order_of_send_is_the_order_on_the_wire(files):
    """`HYPOTHESIS_PROFILE=minutes` draws more of it."""
    key = load_pem_private_key((Path(files.directory) / "romeo.key").read_bytes(), None)
    machine = type("DepartingRomeo", (Departing,), {"files": files, "key": key})
    examples = settings.default.max_examples
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60 if examples == 100 else examples,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
async def romeo(files):
    key = load_pem_private_key((Path(files.directory) / "romeo.key").read_bytes(), None)
    stream = Stream(files, private_key=SlowKey(key, 0))
    stream.worker = stream.plugin._departures.worker = HeldWorker()
    stream.connect(resumed=False)
    yield stream
    await stream.close()


def ids(romeo: Stream) -> list[str]:
    return [identifier for _, identifier in romeo.wire]


async def test_what_is_clear_waits_behind_what_is_protected(romeo):
    romeo.send(JULIET, "1", "required")
    await rounds()
    romeo.worker.do_one()
    romeo.send(JULIET, "2", "off")  # it stands in the queue before the vehicle does
    await rounds(20)
    assert ids(romeo) == ["1", "2"]


async def test_other_peers_do_not_wait(romeo):
    romeo.send(JULIET, "1", "required")
    romeo.send(MERCUTIO, "2", "off")
    await rounds()
    assert ids(romeo) == ["2"]


async def test_what_was_protected_when_slixmpp_emptied_its_queue_leaves_in_the_next_session(romeo):
    romeo.send(JULIET, "1", "required")
    await rounds()
    romeo.worker.do_one()
    await until(lambda: not romeo.xmpp.waiting_queue.empty())
    romeo.lose(for_good=True)
    romeo.connect(resumed=False)
    romeo.send(JULIET, "2", "off")
    await rounds(20)
    assert ids(romeo) == ["1", "2"]


async def test_what_grew_old_without_a_stream_is_protected_again_with_our_certificate(romeo):
    texts = []
    romeo.xmpp.send_raw = texts.append
    romeo.send(JULIET, "1", "sign")
    await rounds()
    romeo.lose()
    romeo.worker.do_one()
    await rounds()
    romeo.now += 61 * SECOND
    romeo.connect(resumed=True)
    await rounds()
    assert texts == []
    romeo.worker.do_one()
    await rounds()
    romeo.send(JULIET, "2", "sign")
    await rounds()
    romeo.worker.do_one()
    await rounds()
    with_certificate, without = map(len, texts)
    assert with_certificate > without + 500


async def test_too_large_a_stanza_does_not_count_as_having_brought_our_certificate(files):
    romeo = Stream(files, max_stanza_size=20_000)
    romeo.connect(resumed=False)
    message = romeo.xmpp.make_message(JULIET, "x" * 30_000, mtype="chat")
    message.send()
    await rounds()
    assert [each.error.code for each in romeo.failures.sent] == ["too-large"]
    assert romeo.plugin.protection._includes_certificates(JID("romeo@localhost"), JID(JULIET), romeo.now)
    await romeo.close()


async def test_when_the_plugin_goes_everything_that_waits_is_reported_once(romeo):
    for number in range(3):
        romeo.send(JULIET, str(number), "required")
    await rounds()
    romeo.worker.do_one()  # so a vehicle is in the queue
    await until(lambda: not romeo.xmpp.waiting_queue.empty())
    romeo.send(MERCUTIO, "clear", "off")
    romeo.xmpp.plugin.disable("e2e")
    romeo.plugin.stats()
    await romeo.plugin._closing
    assert sorted(each.stanza["id"] for each in romeo.failures.sent) == ["0", "1", "2"]
    await rounds()
    assert ids(romeo) == ["clear"]  # and no vehicle


async def test_an_awaited_request_ends_when_the_plugin_goes(romeo):
    iq = romeo.xmpp.make_iq_get("urn:example:x", ito=JULIET)
    answer = asyncio.ensure_future(iq.send(timeout=5))
    await rounds()
    romeo.xmpp.plugin.disable("e2e")
    with pytest.raises(IqError) as failure:
        await answer
    assert failure.value.condition == "not-acceptable"


async def test_too_many_for_a_key_are_refused(romeo, monkeypatch):
    monkeypatch.setattr(departures, "_WAITING", 2)
    for number in range(4):
        romeo.send(JULIET, str(number), "required")
    await rounds()
    assert [each.stanza["id"] for each in romeo.failures.sent] == ["2", "3"]


async def test_a_burst_may_wait_for_the_store(files):
    romeo = Stream(files, store=WaitedFor())
    romeo.connect(resumed=False)
    for number in range(300):
        romeo.send(JULIET, str(number), "required")
    await until(lambda: len(romeo.wire) == 300)
    assert ids(romeo) == [str(number) for number in range(300)]
    assert romeo.failures.sent == []
    await romeo.close()


async def test_without_the_store_it_fails_and_goes_on_when_it_is_back(files):
    store = WaitedFor(reachable=False)
    romeo = Stream(files, store=store)
    romeo.connect(resumed=False)
    for number, level in enumerate(("required", "off", "required")):
        romeo.send(JULIET, str(number), level)
    await asyncio.sleep(0.05)
    assert [(each.stanza["id"], each.error.code) for each in romeo.failures.sent] == [
        ("0", "store"),
        ("2", "store"),
    ]
    assert ids(romeo) == ["1"]
    store.reachable = True
    romeo.send(JULIET, "3", "required")
    await asyncio.sleep(0.05)
    assert ids(romeo) == ["1", "3"]
    await romeo.close()


@pytest.mark.parametrize("resumed", [True, False])
async def test_what_was_protected_explicitly_waits_for_the_stream_that_ends_before_it_leaves(files, resumed):
    romeo = Stream(files)
    romeo.connect(resumed=False)
    outer = await romeo.plugin.protect(romeo.xmpp.make_message(JULIET, "x", mtype="chat"))
    romeo.xmpp.send(outer)
    romeo.lose()
    await rounds()
    assert romeo.wire == []
    romeo.connect(resumed=resumed)
    await rounds()
    assert len(romeo.wire) == 1
    await romeo.close()
