"""What somebody writes into an `<e2e/>` who is trusted, and what a server adds: none of it has an effect.

Whatever an inner stanza calls itself, it can do no more than its sender could in clear (ARCHITECTURE invariant 11).
The cases are those that were tried on slixmpp with a plugin which delivers whatever it decrypts: all had an effect.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from slixmpp.exceptions import IqError

from slixmpp_e2e.namespaces import CLIENT, E2E, SM
from slixmpp_e2e.outer import E2E_TAG
from tests.security.hostile import CONTACTS, HostileServer, Insider, e2e, shown, stanza
from tests.server.clients import Inbox, close, connect, new_client
from tests.server.protected import PKI, Failures, introduce, make_pki, protect

JULIET, ROMEO = "juliet@localhost/juliet", "romeo@localhost/romeo"
OWN, NURSE = "juliet@localhost", "nurse@localhost"
PLUGINS = ("xep_0030", "xep_0050", "xep_0060", "xep_0163", "xep_0191", "xep_0198", "xep_0280", "xep_0297")
#: Events of slixmpp's that say that something has happened.
EVENTS = (
    "message", "message_error", "presence_subscribe", "presence_subscribed", "presence_unsubscribed", "got_online",
    "got_offline", "presence_available", "changed_subscription", "changed_status", "roster_update", "carbon_received",
    "carbon_sent", "forwarded_message", "pubsub_publish", "pubsub_retract", "blocked", "unblocked", "command",
    "session_end", "session_resumed", "sm_failed", "stanza_acked", "disconnected", "stream_error", "auth_success",
    "failed_auth", "stream_negotiated", "killed", "reconnect_delay",
)  # fmt: skip


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    made = make_pki(tmp_path_factory.mktemp("pki"))
    made.issue("nurse", "nurse@localhost")
    return made


@dataclass
class Victim:
    """Juliet, on the attacker's server; she believes romeo, and the nurse is in her roster too."""

    server: HostileServer
    xmpp: Any
    failures: Failures
    romeo: Insider
    events: list[str] = field(default_factory=list)
    executed: list[Any] = field(default_factory=list)

    def state(self) -> tuple[Any, ...]:
        """Return what must not change."""
        roster = self.xmpp.client_roster
        management = self.xmpp.plugin["xep_0198"]
        return (
            {jid: roster[jid]["subscription"] for jid in roster},
            {jid: dict(roster[jid].resources) for jid in roster},
            (management.sm_id, management.enabled_in, management.enabled_out, management.last_ack),
            len(management.unacked_queue) == management.seq,
            self.xmpp.is_connected(),
            self.xmpp.boundjid.full,
        )

    async def calm(self) -> None:
        """Wait until nothing is under way, and forget what was heard and said."""
        await self.server.settled()
        self.server.received.clear()
        self.events.clear()
        self.failures.received.clear()
        self.xmpp.plugin["e2e"]._inbound.answers.__post_init__()

    async def smuggle(self, inner: str, kind: str, type_: str, id_: str = "x") -> None:
        """Hand a stanza to her in which romeo signed and encrypted some XML."""
        self.server.say(
            stanza(kind, e2e(self.romeo.payload(inner)), sender=ROMEO, to=JULIET, type_=type_, id_=id_)
        )
        await self.server.settled()


@pytest.fixture
async def juliet(pki) -> AsyncIterator[Victim]:
    async with HostileServer(JULIET) as server:
        xmpp = new_client(JULIET, plugins=PLUGINS)
        try:
            failures = protect(xmpp, pki.options("juliet", peer_certificates=introduce(pki, "romeo")))
            await connect(xmpp, server.port)
            await xmpp.get_roster()
            xmpp.send_presence()
            victim = Victim(server, xmpp, failures, Insider(pki, "romeo", "juliet"))
            xmpp.plugin["xep_0050"].add_command(
                node="poison",
                name="Poison",
                handler=lambda iq, session: victim.executed.append(iq) or session,
            )
            for event in EVENTS:
                xmpp.add_event_handler(event, lambda _data, event=event: victim.events.append(event))
            await victim.calm()
            assert {jid: xmpp.client_roster[jid]["subscription"] for jid in CONTACTS} == CONTACTS
            yield victim
        finally:
            await close(xmpp)


def ns(kind: str, inside: str, **attributes: str) -> str:
    written = "".join(f" {name.rstrip('_')}='{value}'" for name, value in attributes.items())
    return f"<{kind} xmlns='{CLIENT}'{written}>{inside}</{kind}>"


def forwarded(sender: str) -> str:
    message = ns("message", "<body>yes</body>", from_=sender, to=OWN)
    return f"<forwarded xmlns='urn:xmpp:forward:0'>{message}</forwarded>"


_PUSH = "<query xmlns='jabber:iq:roster'><item jid='mallory@localhost' subscription='both'/></query>"
_EVENT = (
    "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:x'><item id='1'>"
    "<x xmlns='urn:x'/></item></items></event>"
)
_BLOCK = "<block xmlns='urn:xmpp:blocking'><item jid='nurse@localhost'/></block>"
_COMMAND = "<command xmlns='http://jabber.org/protocol/commands' node='poison' action='execute'/>"
#: What romeo puts into what he signs, by what it is after.
INNER = {
    "roster push from nobody": ns("iq", _PUSH, type="set", id="i", to=JULIET),
    "roster push from our account": ns("iq", _PUSH, type="set", id="i", from_=OWN, to=JULIET),
    "roster push with an empty from": ns("iq", _PUSH, type="set", id="i", from_="", to=JULIET),
    "roster result from our account": ns("iq", _PUSH, type="result", id="i", from_=OWN, to=JULIET),
    "carbon of the nurse's": ns(
        "message", f"<received xmlns='urn:xmpp:carbons:2'>{forwarded(NURSE + '/n')}</received>", from_=OWN, to=JULIET
    ),
    "carbon of our own": ns(
        "message", f"<sent xmlns='urn:xmpp:carbons:2'>{forwarded(JULIET)}</sent>", from_=OWN, to=JULIET
    ),
    "forwarded without a carbon": ns("message", forwarded(NURSE + "/n"), from_=OWN, to=JULIET),
    "PEP event of our account": ns("message", _EVENT, from_=OWN, to=JULIET),
    "PEP event of the nurse's": ns("message", _EVENT, from_=NURSE, to=JULIET),
    "block push of our account": ns("iq", _BLOCK, type="set", id="i", from_=OWN, to=JULIET),
    "block push with an empty from": ns("iq", _BLOCK, type="set", id="i", from_="", to=JULIET),
    "presence of the nurse's": ns("presence", "<show>chat</show>", from_=NURSE + "/n", to=JULIET),
    "absence of the nurse": ns("presence", "", type="unavailable", from_=NURSE + "/n", to=JULIET),
    "subscription of the nurse's": ns("presence", "", type="subscribe", from_=NURSE, to=OWN),
    "subscription of romeo's": ns("presence", "", type="subscribe", from_=ROMEO, to=OWN),
    "subscription of a stranger": ns("presence", "", type="subscribe", from_="mallory@localhost", to=OWN),
    "end of the nurse's subscription": ns("presence", "", type="unsubscribed", from_=NURSE, to=OWN),
    "message of the nurse's": ns("message", "<body>come</body>", type="chat", from_=NURSE + "/n", to=JULIET),
    "message of the server's": ns("message", "<body>come</body>", from_="localhost", to=JULIET),
    "message in a room": ns("message", "<body>come</body>", type="groupchat", from_=ROMEO, to=JULIET),
    "message to somebody else": ns("message", "<body>come</body>", type="chat", from_=ROMEO, to=NURSE),
    "message error": ns(
        "message", "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
        type="error", from_=NURSE, to=JULIET,
    ),
    "command of our own": ns("iq", _COMMAND, type="set", id="i", from_=JULIET, to=JULIET),
    "command of the nurse's": ns("iq", _COMMAND, type="set", id="i", from_=NURSE + "/n", to=JULIET),
    "acknowledgement of everything": f"<a xmlns='{SM}' h='999'/>",
    "end of stream management": f"<failed xmlns='{SM}'/>",
    "resumption": f"<resumed xmlns='{SM}' previd='x' h='0'/>",
    "stream management enabled anew": f"<enabled xmlns='{SM}' id='mine' resume='true'/>",
    "stream features": "<stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind "
    "xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>",
    "stream error": "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><reset "
    "xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    "login": "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "challenge": "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>eA==</challenge>",
    "TLS": "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "something protected again": ns("message", e2e("AAAA"), type="chat", from_=ROMEO, to=JULIET),
    "two stanzas": ns("message", "<body>1</body>", from_=ROMEO, to=JULIET) * 2,
    "a stanza of a server's stream": "<message xmlns='jabber:server' from='nurse@localhost' to='juliet@localhost'/>",
}  # fmt: skip
#: What stands around it: kind and type.
OUTER = (("message", "chat"), ("message", ""), ("iq", "set"), ("iq", "result"), ("presence", ""))


@pytest.mark.parametrize("first", range(6))
async def test_what_a_trusted_peer_signs_can_do_no_more_than_he_could_in_clear(juliet, first):
    """Several cases in one session each, because logging in takes its time."""
    cases = list(INNER)[first::6]
    before = juliet.state()
    for case in cases:
        for number, (kind, type_) in enumerate(OUTER):
            await juliet.smuggle(INNER[case], kind, type_, id_=f"x{number}")
        received = juliet.server.received
        assert juliet.state() == before, case
        assert (juliet.events, juliet.executed) == ([], []), case
        for said in received:  # nothing but errors, for romeo
            assert (said.get("to"), said.get("type")) == (ROMEO, "error"), (case, shown([said]))
        assert [each.get("id") for each in received if each.tag == f"{{{CLIENT}}}iq"] == ["x2"], case
        assert {failure.stanza["from"] for failure in juliet.failures.received} == {ROMEO}, case
        await juliet.calm()
    await still_works(juliet)


async def still_works(juliet: Victim) -> None:
    await juliet.calm()
    await juliet.smuggle(
        ns("message", "<body>Good night</body>", from_=ROMEO, to=JULIET, type="chat"), "message", "chat"
    )
    assert "message" in juliet.events
    assert juliet.failures.received == []


async def test_the_same_stanzas_have_an_effect_when_those_send_them_who_may(juliet):
    """Of the test: what it looks at does change."""
    before = juliet.state()
    for text in (
        INNER["roster push from our account"],
        INNER["carbon of our own"],
        INNER["block push of our account"],
        INNER["subscription of a stranger"],
    ):
        juliet.server.say(text)
    await juliet.server.settled()
    assert juliet.state() != before
    assert {"roster_update", "blocked", "presence_subscribe"} <= set(juliet.events)
    await juliet.calm()
    await juliet.smuggle(ns("iq", _COMMAND, type="set", id="i", to=JULIET), "iq", "set")
    assert [iq["from"].full for iq in juliet.executed] == [ROMEO]


@pytest.mark.parametrize("sender", ["", "localhost", OWN, JULIET, NURSE])
async def test_nobody_ends_somebody_elses_waiting_from_inside(juliet, sender):
    """slixmpp takes an answer from our account and our server for one from anybody."""
    juliet.server.on_stanza = lambda stanza: "" if stanza.get("id") == "waiting" else None
    iq = juliet.xmpp.make_iq_get("urn:example:x", ito="localhost")
    iq["id"] = "waiting"
    waiting = asyncio.ensure_future(iq.send(timeout=1))
    await juliet.server.settled()
    forged = ns("iq", "<query xmlns='urn:example:x'/>", type="result", id="waiting", to=JULIET)
    if sender:
        forged = forged.replace(" to=", f" from='{sender}' to=")
    for kind, type_ in OUTER:
        await juliet.smuggle(forged, kind, type_, id_="waiting" if kind == "iq" else "x")
        assert not waiting.done()
    juliet.server.say(stanza("iq", "", sender="localhost", to=JULIET, type_="result", id_="waiting"))
    assert (await waiting)["from"] == "localhost"


# --------------------------------------------------------------------------- the server itself


def protected_message(juliet: Victim, text: str, **more: Any) -> str:
    payload = juliet.romeo.payload("", text=text, **more)
    return stanza("message", e2e(payload), sender=ROMEO, to=JULIET, type_="chat")


async def heard(juliet: Victim, *texts: str) -> list[tuple[str, Any]]:
    """Say something, and return the messages that reach the program, with their reports."""
    found: list[tuple[str, Any]] = []

    def note(message: Any) -> None:
        found.append((message["body"], juliet.xmpp.plugin["e2e"].report(message)))

    juliet.xmpp.add_event_handler("message", note)
    for text in texts:
        juliet.server.say(text)
    await juliet.server.settled()
    juliet.xmpp.del_event_handler("message", note)
    return found


async def test_a_replay_arrives_once(juliet):
    text = protected_message(juliet, "once")
    found = await heard(juliet, text, text, text.replace("id='x'", "id='y'"))
    assert [body for body, _ in found] == ["once"]
    assert juliet.failures.reasons == ["seen", "seen"]


async def test_what_comes_in_another_order_says_so(juliet):
    first, second = protected_message(juliet, "first"), protected_message(juliet, "second")
    found = await heard(juliet, second, first)
    assert [(body, report.timestamp_state) for body, report in found] == [
        ("second", "ok"),
        ("first", "decreasing"),
    ]


async def test_what_was_withheld_is_too_old_afterwards_whatever_others_say_of_a_delay(juliet):
    text = protected_message(juliet, "late", seconds_ago=900)
    found = await heard(juliet, text)
    for sender in ("romeo@localhost", "example.org", ""):
        delay = f"<delay xmlns='urn:xmpp:delay' from='{sender}' stamp='2001-01-01T00:00:00Z'/></message>"
        found += await heard(juliet, text.replace("</message>", delay))
    assert found == []
    assert juliet.failures.reasons[0] == "old"
    assert set(juliet.failures.reasons) <= {"old", "seen"}


async def test_a_sender_that_the_server_forges_is_noticed(juliet, pki):
    nurse = Insider(pki, "nurse", "juliet")
    for address in (nurse.jid, ROMEO):
        liar = Insider(pki, "nurse", "juliet", address=address)
        said = stanza(
            "message", e2e(liar.payload("", text="I am romeo")), sender=ROMEO, to=JULIET, type_="chat"
        )
        assert await heard(juliet, said) == []
    assert juliet.failures.reasons == ["name-mismatch", "name-mismatch"]


@pytest.mark.parametrize("to", [NURSE, "localhost", "juliet@example.org"])
async def test_what_was_for_somebody_else_is_not_shown(juliet, to):
    text = protected_message(juliet, "not for you").replace(JULIET, to)
    assert await heard(juliet, text) == []
    assert juliet.failures.reasons == ["other-recipient"]


async def test_stripping_the_protection_or_the_hints_changes_nothing(juliet):
    text = protected_message(juliet, "hello")
    clear = stanza("message", "<body>hello</body>", sender=ROMEO, to=JULIET, type_="chat")
    beside = text.replace("<e2e", "<body>something else</body><private xmlns='urn:xmpp:carbons:2'/><e2e")
    assert await heard(juliet, clear) == []
    assert juliet.failures.reasons == ["unprotected"]
    ((body, report),) = await heard(juliet, beside)
    assert body == "hello"
    assert report.authenticated


@pytest.mark.parametrize("sender", [ROMEO, "romeo@localhost", "localhost", OWN, None])
async def test_a_protected_request_that_is_answered_in_clear_fails_and_the_answer_is_not_seen(juliet, sender):
    def answer(asked: Any) -> str | None:
        if asked.get("to") != ROMEO:
            return None
        said = "<query xmlns='urn:example:x'>forged</query>"
        return stanza("iq", said, sender=sender or "", to=JULIET, type_="result", id_=asked.get("id"))

    juliet.server.on_stanza = answer
    with pytest.raises(IqError) as failure:
        await juliet.xmpp.make_iq_get("urn:example:x", ito=ROMEO).send(timeout=5)
    assert failure.value.condition == "not-acceptable"
    assert "forged" not in str(failure.value.iq)
    assert juliet.failures.reasons == ["unprotected"]


# --------------------------------------------------------------------------- too much of it


def nested(depth: int) -> str:
    return "<x xmlns='urn:x'>" * depth + "</x>" * depth


def from_romeo(inside: str) -> str:
    return stanza("message", inside, sender=ROMEO, to=JULIET, type_="chat")


DEEP_COPY = forwarded(ROMEO).replace("<body>yes</body>", nested(20_000))
TOO_MUCH = {
    "clear and large": from_romeo(f"<body>{'x' * 3_000_000}</body>"),
    "clear and deep": from_romeo(nested(20_000)),
    "clear and wide": from_romeo("<x xmlns='urn:x'/>" * 50_000),
    "a large object": from_romeo(e2e("A" * 3_000_000)),
    "a deep object": from_romeo(f"<e2e xmlns='{E2E}'>{nested(20_000)}</e2e>"),
    "many objects": from_romeo(e2e("AAAA") * 20_000),
    "a deep carbon": stanza(
        "message", f"<received xmlns='urn:xmpp:carbons:2'>{DEEP_COPY}</received>", sender=OWN, to=JULIET
    ),
}


@pytest.mark.parametrize("case", TOO_MUCH)
async def test_too_much_is_refused_soon_and_the_stream_goes_on(juliet, case):
    async with asyncio.timeout(5):
        assert await heard(juliet, TOO_MUCH[case]) == []
    assert juliet.failures.received
    assert juliet.xmpp.is_connected()
    juliet.failures.received.clear()
    await still_works(juliet)


async def test_a_request_that_is_too_deep_is_answered(juliet):
    juliet.server.say(stanza("iq", nested(20_000), sender=ROMEO, to=JULIET, type_="set", id_="deep"))
    answer = await juliet.server.next(lambda said: said.get("id") == "deep")
    assert answer.get("type") == "error"
    assert len(answer) == 1  # nothing is sent back of what it held


@pytest.mark.parametrize("depth", [70, 5000])
async def test_what_is_signed_and_too_deep_is_refused(juliet, depth):
    inner = ns("message", f"<body>deep</body>{nested(depth)}", from_=ROMEO, to=JULIET, type="chat")
    await juliet.smuggle(inner, "message", "chat")
    assert juliet.events == []
    assert juliet.failures.reasons == ["malformed"]
    await still_works(juliet)


async def test_what_never_ends_is_never_delivered_and_the_program_goes_on(juliet):
    juliet.server.say(f"<message xmlns='{CLIENT}' from='{ROMEO}' to='{JULIET}'><body>")
    for _ in range(50):
        juliet.server.say("and on " * 1000)
        await asyncio.sleep(0)
    juliet.xmpp.send_message(ROMEO, "Are you still there?", mtype="chat")
    sent = await juliet.server.next(lambda said: said.get("to") == ROMEO)
    assert sent[0].tag == E2E_TAG
    assert juliet.events == []


async def test_what_is_not_well_formed_ends_the_stream_and_delivers_nothing(juliet):
    lost = Inbox(juliet.xmpp, "disconnected")
    juliet.server.say(protected_message(juliet, "cut off")[:-20] + "</iq>")
    await lost.next()
    assert "message" not in juliet.events
