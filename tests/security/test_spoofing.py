"""What somebody writes into an `<e2e/>` who is trusted: none of it has an effect that he could not have in clear.

Whatever an inner stanza calls itself, it can do no more than its sender could (ARCHITECTURE invariant 11). The cases
are those that were tried on slixmpp with a plugin which delivers whatever it decrypts: all had an effect.
"""

import asyncio

import pytest

from slixmpp_e2e.namespaces import CLIENT, SM
from tests.security.hostile import e2e, shown, stanza
from tests.security.victim import JULIET, NURSE, OWN, ROMEO, forwarded, ns, still_works

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
async def test_what_a_trusted_peer_signs_can_do_no_more_than_he_could_in_clear(victim, first):
    """Several cases in one session each, because logging in takes its time."""
    cases = list(INNER)[first::6]
    before = victim.state()
    for case in cases:
        for number, (kind, type_) in enumerate(OUTER):
            await victim.smuggle(INNER[case], kind, type_, id_=f"x{number}")
        received = victim.server.received
        assert victim.state() == before, case
        assert (victim.events, victim.executed) == ([], []), case
        for said in received:  # nothing but errors, for romeo
            assert (said.get("to"), said.get("type")) == (ROMEO, "error"), (case, shown([said]))
        assert [each.get("id") for each in received if each.tag == f"{{{CLIENT}}}iq"] == ["x2"], case
        assert {failure.stanza["from"] for failure in victim.failures.received} == {ROMEO}, case
        await victim.calm()
    await still_works(victim)


async def test_the_same_stanzas_have_an_effect_when_those_send_them_who_may(victim):
    """Of the test: what it looks at does change."""
    before = victim.state()
    for text in (
        INNER["roster push from our account"],
        INNER["carbon of our own"],
        INNER["block push of our account"],
        INNER["subscription of a stranger"],
    ):
        victim.server.say(text)
    await victim.server.settled()
    assert victim.state() != before
    assert {"roster_update", "blocked", "presence_subscribe"} <= set(victim.events)
    await victim.calm()
    await victim.smuggle(ns("iq", _COMMAND, type="set", id="i", to=JULIET), "iq", "set")
    assert [iq["from"].full for iq in victim.executed] == [ROMEO]


@pytest.mark.parametrize("sender", ["", "localhost", OWN, JULIET, NURSE])
async def test_nobody_ends_somebody_elses_waiting_from_inside(victim, sender):
    """slixmpp takes an answer from our account and our server for one from anybody."""
    victim.server.on_stanza = lambda stanza: "" if stanza.get("id") == "waiting" else None
    iq = victim.xmpp.make_iq_get("urn:example:x", ito="localhost")
    iq["id"] = "waiting"
    waiting = asyncio.ensure_future(iq.send(timeout=1))
    await victim.server.settled()
    forged = ns("iq", "<query xmlns='urn:example:x'/>", type="result", id="waiting", to=JULIET)
    if sender:
        forged = forged.replace(" to=", f" from='{sender}' to=")
    for kind, type_ in OUTER:
        await victim.smuggle(forged, kind, type_, id_="waiting" if kind == "iq" else "x")
        assert not waiting.done()
    victim.server.say(stanza("iq", "", sender="localhost", to=JULIET, type_="result", id_="waiting"))
    assert (await waiting)["from"] == "localhost"
