"""What is remembered of requests and peers: nobody pushes out what is remembered of others."""

from typing import Any
from xml.etree.ElementTree import SubElement, tostring

import pytest
import slixmpp

from tests.plugin.test_filters import Filtered, carry
from tests.server.protected import PKI, make_pki

ROMEO, JULIET = "romeo@localhost/romeo", "juliet@localhost/juliet"
#: As many as there is room for in all.
MANY = 10_000


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


class Asked:
    """Juliet, whom Romeo has asked something: encrypted, signed or in clear."""

    def __init__(self, pki: PKI, *, policy: str = "opportunistic", asks: str = "required") -> None:
        self.romeo = Filtered(pki, "romeo", "juliet", policy={"*": asks})
        self.juliet = Filtered(pki, "juliet", "romeo", policy={"*": policy})
        self.exchanges = self.juliet.plugin._outbound.exchanges
        self.hears("message")

    def hears(self, kind: str, identifier: str = "abc", sender: str = ROMEO) -> Any:
        """Let Romeo say or ask something; return what is delivered, and what was outside."""
        if kind == "message":
            stanza: Any = self.romeo.message(JULIET, "hello")
        else:
            stanza = self.romeo.xmpp.make_iq_get("urn:question", JULIET)
        stanza["id"] = identifier
        outer = self.romeo.seal(stanza)
        inner = self.juliet.unseal(carry(outer, sender, self.juliet))
        assert inner["id"] == identifier
        return inner, outer

    def floods(self, kind: type, count: int = MANY) -> None:
        """Let somebody who has a certificate send a lot, from as many resources."""
        for number in range(count):
            stanza = kind(self.juliet.xmpp, recv=True)
            stanza.xml.attrib.update(
                {"from": f"mallory@evil.example/{number}", "to": JULIET, "id": str(number)}
            )
            stanza.xml.set("type", "get" if kind is slixmpp.Iq else "chat")
            self.exchanges.received(stanza, stanza, encrypted=True)

    def answer(self, identifier: str = "abc", kind: str = "result") -> Any:
        """Return what leaves when Juliet answers; her words are in it."""
        iq = self.juliet.xmpp.make_iq(id=identifier, ito=ROMEO, itype=kind)
        SubElement(iq.xml, "{urn:question}secret").text = "SECRET"
        return self.juliet.seal(iq)


@pytest.mark.parametrize("policy", ["opportunistic", "required", "off"])
async def test_an_encrypted_request_is_answered_encrypted_however_many_others_ask(pki, policy):
    asked = Asked(pki, policy=policy)
    _, outer = asked.hears("iq")
    asked.floods(slixmpp.Iq)
    answer = asked.answer()
    assert answer["id"] == outer["id"]
    assert b"SECRET" not in tostring(answer.xml)
    assert b"e2e" in tostring(answer.xml)


async def test_who_understands_stays_known_however_many_resources_others_have(pki):
    asked = Asked(pki)
    asked.floods(slixmpp.Message)
    iq = asked.juliet.xmpp.make_iq_get("urn:secret", ROMEO)
    assert b"urn:secret" not in tostring(asked.juliet.seal(iq).xml)


async def test_the_id_of_a_message_stays_known_however_many_others_write(pki):
    asked = Asked(pki)
    inner, outer = asked.hears("message", "m1")
    asked.floods(slixmpp.Message)
    assert asked.exchanges.outer_id(inner["from"], inner["to"], "m1") == outer["id"]


async def test_our_own_requests_stay_known_however_many_others_we_are_made_to_send(pki):
    asked = Asked(pki)
    for number in range(MANY + 1):
        peer = ROMEO if number == 0 else f"mallory@evil.example/{number}"
        asked.exchanges.sent(f"o{number}", asked.juliet.xmpp.make_iq_get("urn:q", peer))
        last = f"i{number}"
        message = asked.juliet.xmpp.make_message(peer, "hello")
        message["id"] = last
        asked.exchanges.sent(f"m{number}", message)
    request = asked.exchanges.request("o0")
    assert request is not None
    assert request.peer == ROMEO
    assert asked.exchanges.is_guarded(request.inner_id)
    assert asked.exchanges.inner_id("m0") == "i0"
    assert asked.exchanges.request("o1") is None  # it is bounded all the same


async def test_it_is_bounded_in_all(pki):
    asked = Asked(pki)
    asked.floods(slixmpp.Iq, MANY + 500)
    assert len(asked.exchanges) <= 2 * MANY + 2
    asked.hears("iq")
    assert len(asked.exchanges) <= 2 * MANY + 2


@pytest.mark.parametrize("kind", ["result", "error"])
async def test_what_answers_nothing_that_is_known_does_not_leave_for_who_protects(pki, kind):
    asked = Asked(pki)
    assert asked.answer("never asked", kind) is None
    (failure,) = asked.juliet.failures.sent
    assert "not known any more" in str(failure.error)
    asked.hears("iq")
    assert asked.answer(kind=kind) is not None
    assert asked.answer(kind=kind) is None  # the second answer would have left in clear
    assert not asked.juliet.sent


@pytest.mark.parametrize("policy", ["opportunistic", "off"])
async def test_a_clear_request_is_answered_in_clear_also_to_who_protects(pki, policy):
    asked = Asked(pki, policy=policy, asks="off")
    inner, _ = asked.hears("iq", "clear")
    assert asked.juliet.plugin.report(inner) is None
    asked.exchanges.received(
        inner, asked.romeo.message(JULIET, "hello"), encrypted=True
    )  # he protects by now
    assert asked.exchanges.understands(slixmpp.JID(ROMEO))
    assert b"SECRET" in tostring(asked.answer("clear").xml)
    assert asked.answer("other") is None


async def test_a_request_to_a_bare_jid_leaves_in_clear_whoever_was_heard_from_there(pki):
    """A server can take the resource away, and no request to a bare JID can be protected."""
    asked = Asked(pki)
    asked.hears("message", "m2", sender="romeo@localhost")
    iq = asked.juliet.xmpp.make_iq_get("vcard-temp", "romeo@localhost")
    assert asked.juliet.seal(iq) is iq
    assert not asked.juliet.failures.sent
