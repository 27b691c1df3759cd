"""What arrives and has to wait: judged in order, shown when all is known, and never lost without a word."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
import slixmpp
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from slixmpp_e2e import Trust
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import Admission
from slixmpp_e2e.plugin import lanes
from tests.certificates.building import with_key_identifier_of
from tests.patience import SlowKey, WaitedFor
from tests.plugin.test_filters import Filtered, Transport, carry
from tests.server.clients import Inbox
from tests.server.protected import PKI, make_pki

ROMEO = "romeo@localhost/romeo"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


class Held(WaitedFor):
    """A store that says nothing of what was seen, or keeps nothing decided, before a test lets it."""

    def __init__(self) -> None:
        super().__init__(longest=0)
        self.may_admit, self.may_decide = asyncio.Event(), asyncio.Event()
        self.may_admit.set()
        self.may_decide.set()
        self.fails: set[str] = set()

    async def _wait(self, call: str) -> None:
        await super()._wait(call)
        if call in self.fails:
            raise StoreError("away")

    async def admit(self, *asked: Any) -> Admission:
        await self.may_admit.wait()
        return await super().admit(*asked)

    async def decide_first_use(self, jid: str, fingerprint: bytes) -> None:
        await self.may_decide.wait()
        await super().decide_first_use(jid, fingerprint)


class Receiver(Filtered):
    """juliet, with a store that she shares."""

    def __init__(self, pki: PKI, **options: Any) -> None:
        self.store = Held()
        super().__init__(pki, "juliet", "romeo", **{"store": self.store, **options})
        self.bodies: list[str] = []
        self.xmpp.add_event_handler("message", lambda message: self.bodies.append(message["body"]))

    def get(self, stanza: Any, sender: str = ROMEO) -> None:
        self.xmpp.recv_stanza(carry(stanza, sender, self))

    async def settle(self) -> None:
        for _ in range(200):
            await asyncio.sleep(0)

    async def close(self) -> None:
        if "e2e" in self.xmpp.plugin:
            self.xmpp.plugin.disable("e2e")
        await self.plugin._closing


@pytest.fixture
async def romeo(pki) -> Filtered:
    return Filtered(pki, "romeo", "juliet")


@pytest.fixture
async def juliet(pki) -> AsyncIterator[Receiver]:
    made = Receiver(pki)
    yield made
    await made.close()


def sealed(sender: Filtered, body: str) -> Any:
    return sender.seal(sender.message("juliet@localhost/juliet", body))


def clear(receiver: Receiver, sender: str = ROMEO) -> Any:
    """Return what may come in clear, whatever the policy."""
    error = slixmpp.Message(
        receiver.xmpp, stype="error", sfrom=sender, sto="juliet@localhost/juliet", recv=True
    )
    error["error"]["condition"] = "gone"
    return error


async def test_nothing_is_shown_before_the_replay_record_has_answered(romeo, juliet):
    juliet.store.may_admit.clear()
    juliet.get(sealed(romeo, "1"))
    juliet.get(sealed(romeo, "2"))
    await juliet.settle()
    assert juliet.bodies == []
    assert juliet.plugin.stats()["waiting"] == 2
    juliet.store.may_admit.set()
    await juliet.settle()
    assert juliet.bodies == ["1", "2"]
    assert juliet.plugin.stats()["waiting"] == 0


async def test_what_needs_nobody_does_not_overtake_what_does(romeo, juliet):
    inbox = Inbox(juliet.xmpp, "message_error")
    juliet.store.may_admit.clear()
    juliet.get(sealed(romeo, "1"))
    juliet.xmpp.recv_stanza(clear(juliet))
    await juliet.settle()
    assert inbox.empty
    juliet.store.may_admit.set()
    await juliet.settle()
    assert juliet.bodies == ["1"]
    assert not inbox.empty


async def test_another_peer_is_not_held_up(pki, romeo, juliet):
    inbox = Inbox(juliet.xmpp, "message_error")
    juliet.store.may_admit.clear()
    juliet.get(sealed(romeo, "1"))
    juliet.xmpp.recv_stanza(clear(juliet, "mercutio@localhost/m"))
    await juliet.settle()
    assert not inbox.empty
    assert juliet.bodies == []


async def test_certificates_of_others_with_the_senders_key_identifier_do_not_hide_him(pki, romeo):
    juliet = Receiver(pki, peer_certificates=None)
    known = juliet.store.store
    (own, *_) = load_pem_x509_certificates((pki.directory / "romeo.crt").read_bytes())
    for number in range(20):
        known.add_certificate(f"m{number}@evil.example", (with_key_identifier_of(own).der,))
    for body in ("1", "2", "3"):  # the first one brings his certificate
        juliet.get(sealed(romeo, body))
        await juliet.settle()
    assert juliet.bodies == ["1", "2", "3"]
    assert len(known.certificates("romeo@localhost")) == 1
    await juliet.close()


async def test_a_first_use_is_kept_before_anything_is_shown(pki, romeo):
    juliet = Receiver(pki, trust="tofu", trust_anchors=None)
    juliet.store.may_decide.clear()
    juliet.get(sealed(romeo, "1"))
    await juliet.settle()
    assert juliet.bodies == []
    juliet.store.may_decide.set()
    await juliet.settle()
    assert juliet.bodies == ["1"]
    assert list(juliet.store.store.decisions("romeo@localhost").values()) == [Trust.TOFU]
    await juliet.close()


async def test_a_first_use_that_can_not_be_kept_shows_nothing(pki, romeo):
    juliet = Receiver(pki, trust="tofu", trust_anchors=None)
    juliet.store.fails = {"decide_first_use"}
    juliet.get(sealed(romeo, "1"))
    await juliet.settle()
    assert juliet.bodies == []
    assert juliet.failures.reasons == ["store"]
    juliet.store.fails = set()
    juliet.get(sealed(romeo, "2"))
    await juliet.settle()
    assert juliet.bodies == ["2"]
    await juliet.close()


@pytest.mark.parametrize("call", ["admit", "load"])
async def test_a_store_that_fails_refuses_and_the_same_stanza_may_come_again(romeo, juliet, call):
    stanza = sealed(romeo, "1")
    juliet.store.fails = {call}
    juliet.get(stanza)
    await juliet.settle()
    assert juliet.bodies == []
    assert juliet.failures.reasons == ["store"]
    assert "internal_errors" not in juliet.plugin.stats()
    juliet.store.fails = set()
    juliet.get(stanza)
    await juliet.settle()
    assert juliet.bodies == ["1"]
    juliet.get(stanza)
    await juliet.settle()
    assert juliet.bodies == ["1"]


async def test_too_much_of_it_holds_back_the_server(romeo, juliet, monkeypatch):
    monkeypatch.setattr(lanes, "FULL", 10)
    monkeypatch.setattr(lanes, "_RELIEVED", 3)
    juliet.xmpp.transport = transport = Transport()
    juliet.store.may_admit.clear()
    for number in range(10):
        assert transport.told == []
        juliet.get(sealed(romeo, str(number)))
    assert transport.told == ["pause"]
    juliet.store.may_admit.set()
    await juliet.settle()
    assert transport.told == ["pause", "resume"]
    assert juliet.bodies == [str(number) for number in range(10)]
    juliet.xmpp.transport = None


@pytest.mark.parametrize(
    "inside",
    ["<a/>" * 60_000, "<a b=''/>" * 24_000, "<a>" + "x" * 240_000 + "</a>", f"<a b='{'x' * 240_000}'/>"],
    ids=["elements", "attributes", "text", "an attribute"],
)
async def test_memory_that_waits_is_bounded_whatever_the_stanzas_are_made_of(juliet, inside):
    juliet.xmpp.transport = transport = Transport()
    juliet.store.may_admit.clear()
    tracemalloc.start()
    try:
        came = 0
        while not transport.told and came < lanes.FULL:
            came += 1
            xml = fromstring(f"<message xmlns='jabber:client' type='chat' from='{ROMEO}'>{inside}</message>")
            juliet.xmpp.recv_stanza(slixmpp.Message(juliet.xmpp, xml=xml, recv=True))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 1 < came < lanes.FULL / 4
    assert held < 1.5 * lanes.FULL_OCTETS
    await juliet.settle()
    assert transport.told == ["pause", "resume"]
    juliet.xmpp.transport = None


async def test_what_is_not_judged_when_the_plugin_goes_is_reported_once(romeo, juliet):
    juliet.store.may_admit.clear()
    stanzas = [sealed(romeo, str(number)) for number in range(3)]
    for each in stanzas:
        juliet.get(each)
    await juliet.settle()
    juliet.xmpp.plugin.disable("e2e")
    await juliet.plugin._closing
    assert juliet.bodies == []
    assert sorted(each.stanza["id"] for each in juliet.failures.received) == sorted(
        each["id"] for each in stanzas
    )
    assert set(juliet.failures.reasons) == {"store"}
    assert not juliet.store.is_open


async def test_a_handler_may_switch_the_plugin_off(romeo, juliet):
    juliet.xmpp.add_event_handler("message", lambda _: juliet.xmpp.plugin.disable("e2e"))
    for number in range(3):
        juliet.get(sealed(romeo, str(number)))
    await juliet.settle()
    assert juliet.bodies == ["0"]
    assert len(juliet.failures.received) == 2


async def test_a_stranger_is_not_answered_when_nobody_can_say_whether_he_may_be(pki, juliet):
    juliet.store.fails = {"load"}
    mercutio = Filtered(pki, "mercutio", "juliet")
    juliet.get(sealed(mercutio, "x"), "mercutio@localhost/m")
    await juliet.settle()
    assert juliet.sent == []
    assert juliet.failures.reasons == ["store"]
    assert "internal_errors" not in juliet.plugin.stats()


async def test_a_request_is_answered_all_the_same(pki, juliet):
    juliet.store.fails = {"load"}
    mercutio = Filtered(pki, "mercutio", "juliet")
    iq = mercutio.xmpp.make_iq_get("urn:example:x", ito="juliet@localhost/juliet")
    juliet.get(mercutio.seal(iq), "mercutio@localhost/m")
    await juliet.settle()
    (answer,) = juliet.sent
    assert (answer["type"], answer["to"]) == ("error", "mercutio@localhost/m")


async def test_with_a_slow_key_the_order_is_kept(pki, romeo):
    key = SlowKey(load_pem_private_key((pki.directory / "juliet.key").read_bytes(), None), 0.002)
    juliet = Receiver(pki, store="memory", private_key=key)
    key.threads.clear()  # at the start it signs, to see that it can
    for number in range(10):
        juliet.get(sealed(romeo, str(number)))
    async with asyncio.timeout(5):
        while len(juliet.bodies) < 10:  # noqa: ASYNC110 nobody could set an event
            await asyncio.sleep(0.01)
    assert juliet.bodies == [str(number) for number in range(10)]
    assert all(name.startswith("e2e-key") for name in key.threads)
    await juliet.close()
