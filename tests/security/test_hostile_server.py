"""What a server does that belongs to the attacker: it replays, reorders, withholds, forges, strips, floods."""

import asyncio
from typing import Any

import pytest
from slixmpp.exceptions import IqError

from slixmpp_e2e.namespaces import CLIENT, E2E
from slixmpp_e2e.outer import E2E_TAG
from tests.security.hostile import Insider, e2e, stanza
from tests.security.victim import (
    JULIET,
    NURSE,
    OWN,
    ROMEO,
    forwarded,
    heard,
    ns,
    protected_message,
    still_works,
)
from tests.server.clients import Inbox


async def test_a_replay_arrives_once(victim):
    text = protected_message(victim, "once")
    found = await heard(victim, text, text, text.replace("id='x'", "id='y'"))
    assert [body for body, _ in found] == ["once"]
    assert victim.failures.reasons == ["seen", "seen"]


async def test_what_comes_in_another_order_says_so(victim):
    first, second = protected_message(victim, "first"), protected_message(victim, "second")
    found = await heard(victim, second, first)
    assert [(body, report.timestamp_state) for body, report in found] == [
        ("second", "ok"),
        ("first", "decreasing"),
    ]


async def test_what_was_withheld_is_too_old_afterwards_whatever_others_say_of_a_delay(victim):
    text = protected_message(victim, "late", seconds_ago=900)
    found = await heard(victim, text)
    for sender in ("romeo@localhost", "example.org", ""):
        delay = f"<delay xmlns='urn:xmpp:delay' from='{sender}' stamp='2001-01-01T00:00:00Z'/></message>"
        found += await heard(victim, text.replace("</message>", delay))
    assert found == []
    assert victim.failures.reasons[0] == "old"
    assert set(victim.failures.reasons) <= {"old", "seen"}


async def test_a_sender_that_the_server_forges_is_noticed(victim):
    nurse = Insider(victim.pki, "nurse", "juliet")
    for address in (nurse.jid, ROMEO):
        liar = Insider(victim.pki, "nurse", "juliet", address=address)
        said = stanza(
            "message", e2e(liar.payload("", text="I am romeo")), sender=ROMEO, to=JULIET, type_="chat"
        )
        assert await heard(victim, said) == []
    assert victim.failures.reasons == ["name-mismatch", "name-mismatch"]


@pytest.mark.parametrize("to", [NURSE, "localhost", "juliet@example.org"])
async def test_what_was_for_somebody_else_is_not_shown(victim, to):
    text = protected_message(victim, "not for you").replace(JULIET, to)
    assert await heard(victim, text) == []
    assert victim.failures.reasons == ["other-recipient"]


async def test_stripping_the_protection_or_the_hints_changes_nothing(victim):
    text = protected_message(victim, "hello")
    clear = stanza("message", "<body>hello</body>", sender=ROMEO, to=JULIET, type_="chat")
    beside = text.replace("<e2e", "<body>something else</body><private xmlns='urn:xmpp:carbons:2'/><e2e")
    assert await heard(victim, clear) == []
    assert victim.failures.reasons == ["unprotected"]
    ((body, report),) = await heard(victim, beside)
    assert body == "hello"
    assert report.authenticated


@pytest.mark.parametrize("sender", [ROMEO, "romeo@localhost", "localhost", OWN, None])
async def test_a_protected_request_that_is_answered_in_clear_fails_and_the_answer_is_not_seen(victim, sender):
    def answer(asked: Any) -> str | None:
        if asked.get("to") != ROMEO:
            return None
        said = "<query xmlns='urn:example:x'>forged</query>"
        return stanza("iq", said, sender=sender or "", to=JULIET, type_="result", id_=asked.get("id"))

    victim.server.on_stanza = answer
    with pytest.raises(IqError) as failure:
        await victim.xmpp.make_iq_get("urn:example:x", ito=ROMEO).send(timeout=5)
    assert failure.value.condition == "not-acceptable"
    assert "forged" not in str(failure.value.iq)
    assert victim.failures.reasons == ["unprotected"]


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
async def test_too_much_is_refused_soon_and_the_stream_goes_on(victim, case):
    async with asyncio.timeout(5):
        assert await heard(victim, TOO_MUCH[case]) == []
    assert victim.failures.received
    assert victim.xmpp.is_connected()
    victim.failures.received.clear()
    await still_works(victim)


async def test_a_request_that_is_too_deep_is_answered(victim):
    victim.server.say(stanza("iq", nested(20_000), sender=ROMEO, to=JULIET, type_="set", id_="deep"))
    answer = await victim.server.next(lambda said: said.get("id") == "deep")
    assert answer.get("type") == "error"
    assert len(answer) == 1  # nothing is sent back of what it held


@pytest.mark.parametrize("depth", [70, 5000])
async def test_what_is_signed_and_too_deep_is_refused(victim, depth):
    inner = ns("message", f"<body>deep</body>{nested(depth)}", from_=ROMEO, to=JULIET, type="chat")
    await victim.smuggle(inner, "message", "chat")
    assert victim.events == []
    assert victim.failures.reasons == ["malformed"]
    await still_works(victim)


async def test_what_never_ends_is_never_delivered_and_the_program_goes_on(victim):
    victim.server.say(f"<message xmlns='{CLIENT}' from='{ROMEO}' to='{JULIET}'><body>")
    for _ in range(50):
        victim.server.say("and on " * 1000)
        await asyncio.sleep(0)
    victim.xmpp.send_message(ROMEO, "Are you still there?", mtype="chat")
    sent = await victim.server.next(lambda said: said.get("to") == ROMEO)
    assert sent[0].tag == E2E_TAG
    assert victim.events == []


async def test_what_is_not_well_formed_ends_the_stream_and_delivers_nothing(victim):
    lost = Inbox(victim.xmpp, "disconnected")
    victim.server.say(protected_message(victim, "cut off")[:-20] + "</iq>")
    await lost.next()
    assert "message" not in victim.events
