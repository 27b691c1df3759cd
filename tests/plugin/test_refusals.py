"""What is refused reaches no handler; the program hears of it, and who may know it is answered (RFC 3923 7)."""

import time
from typing import Any
from xml.etree.ElementTree import SubElement, fromstring, tostring

import pytest
import slixmpp

from slixmpp_e2e.certificates.store import MemoryStore
from tests.plugin.test_filters import Filtered, carry
from tests.server.protected import PKI, make_pki

E2E = "urn:ietf:params:xml:ns:xmpp-e2e"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
ROMEO = "romeo@localhost/romeo"
#: An hour from now: whoever is some minutes behind it has a certificate already.
NOW = (int(time.time()) + 3600) * 10**9


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


class Pair:
    """Romeo writes, juliet reads; his clock may be off by some seconds."""

    def __init__(self, pki: PKI, *, level: str = "required", ahead: int = 0, knows: str = "romeo") -> None:
        now = NOW + ahead * 10**9
        self.romeo = Filtered(pki, "romeo", "juliet", clock=lambda: now, policy={"*": level})
        kept = MemoryStore(started=0)  # long before the clocks of both
        self.juliet = Filtered(pki, "juliet", knows, clock=lambda: NOW, store=kept)

    def outer(self, kind: str = "message"):
        """What leaves romeo."""
        if kind == "iq":
            return self.romeo.seal(
                self.romeo.xmpp.make_iq_get("urn:example:x", ito="juliet@localhost/juliet")
            )
        return self.romeo.seal(self.romeo.message("juliet@localhost/juliet", "Paris?"))

    def deliver(self, outer) -> slixmpp.Message | None:
        """What juliet's program gets."""
        return self.juliet.unseal(carry(outer, ROMEO, self.juliet))


def old(pki: PKI, kind: str):
    pair = Pair(pki, ahead=-301)
    return pair, pair.outer(kind)


def future(pki: PKI, kind: str):
    pair = Pair(pki, ahead=301)
    return pair, pair.outer(kind)


def changed(pki: PKI, kind: str):
    pair = Pair(pki, level="sign")
    outer = pair.outer(kind)
    payload = outer.xml.find(f"{{{E2E}}}e2e")
    payload.text = payload.text.replace("Paris?", "Romeo?").replace("urn:example:x", "urn:example:y")
    return pair, outer


def undecryptable(pki: PKI, kind: str):
    pair = Pair(pki)
    outer = pair.outer(kind)
    payload = outer.xml.find(f"{{{E2E}}}e2e")
    lines = payload.text.rstrip().split("\n")
    lines[-2] = lines[-3]
    payload.text = "\n".join(lines)
    return pair, outer


CASES = pytest.mark.parametrize(
    ("case", "reasons", "condition", "application"),
    [
        (old, {"old"}, "not-acceptable", "bad-timestamp"),
        (future, {"future"}, "not-acceptable", "bad-timestamp"),
        (changed, {"invalid"}, "not-acceptable", "unverified-signature"),
        (undecryptable, {"invalid", "malformed", "decryption-failed"}, "bad-request", "decryption-failed"),
    ],
)
KINDS = pytest.mark.parametrize("kind", ["message", "iq"])


@pytest.mark.requirement("3923-6.7-3", "3923-6.7-4", "3923-6.8-1", "3923-6.8-2")
@CASES
@KINDS
async def test_what_is_refused_is_not_delivered_and_the_program_hears_why(
    pki, case, reasons, condition, application, kind
):
    pair, outer = case(pki, kind)
    assert pair.deliver(outer) is None
    (failure,) = pair.juliet.failures.received
    assert failure.reason in reasons
    assert failure.stanza["from"] == ROMEO


@pytest.mark.requirement("3923-6.7-5", "3923-6.8-3", "3923-6.9-9", "3923-7-3", "3923-7-4", "3923-7-5")
@pytest.mark.requirement("3923-7-6", "3923-7-7", "3923-7-8", "3923-12-1")
@pytest.mark.requirement("6120-8.3.1-1", "6120-8.3.1-2", "6120-8.3.1-3", "6120-8.3.1-4", "6120-8.3.1-8")
@pytest.mark.requirement("6120-8.3.2-1", "6120-8.3.2-2", "6120-8.3.2-4", "6120-8.3.3-1", "6120-8.3.3-2")
@CASES
@KINDS
async def test_the_answer_is_one_stanza_error_as_the_texts_want_it(
    pki, case, reasons, condition, application, kind
):
    pair, outer = case(pki, kind)
    pair.deliver(outer)
    (answer,) = pair.juliet.sent
    assert answer.xml.tag == f"{{jabber:client}}{kind}"
    assert answer.xml.attrib == {"type": "error", "to": ROMEO, "id": outer["id"]}
    (error,) = answer.xml  # nothing of the original comes along
    assert error.tag == "{jabber:client}error"
    assert error.get("type") == "modify"
    assert [child.tag for child in error] == [f"{{{STANZAS}}}{condition}", f"{{{E2E}}}{application}"]


@pytest.mark.requirement("3923-7-2")
@KINDS
@pytest.mark.parametrize("ahead", [-300, 0, 300])
async def test_what_is_in_order_is_not_answered(pki, kind, ahead):
    pair = Pair(pki, ahead=ahead)
    assert pair.deliver(pair.outer(kind)) is not None
    assert pair.juliet.sent == []


@pytest.mark.requirement("6120-8.3.3-4")
@pytest.mark.parametrize(("kind", "answers"), [("message", 0), ("iq", 1)])
async def test_a_stranger_gets_no_answer_but_to_a_request(pki, kind, answers):
    pair, outer = Pair(pki, level="sign", knows="mercutio"), changed(pki, kind)[1]
    assert pair.deliver(outer) is None
    assert len(pair.juliet.sent) == answers


@pytest.mark.requirement("6120-8.3.1-3")
async def test_the_answer_to_a_message_without_an_id_has_none(pki):
    pair, outer = changed(pki, "message")
    del outer.xml.attrib["id"]
    pair.deliver(outer)
    assert pair.juliet.sent[0].xml.get("id") is None


@pytest.mark.requirement("6120-8.3.1-9")
@pytest.mark.parametrize("case", [old, changed, undecryptable])
@KINDS
async def test_an_error_is_never_answered_and_an_echo_in_it_never_opened(pki, case, kind):
    pair, outer = case(pki, kind)
    outer.xml.set("type", "error")
    SubElement(SubElement(outer.xml, "{jabber:client}error", {"type": "cancel"}), f"{{{STANZAS}}}bad-request")
    pair.deliver(outer)
    assert pair.juliet.sent == []
    assert pair.juliet.failures.received == []


@pytest.mark.requirement("6120-8.3.1-7", "6120-8.3.2-6", "6120-8.3.4-1")
@pytest.mark.parametrize(
    "payload", ["", "<x xmlns='urn:example:x'/>", f"<text xmlns='{STANZAS}'>decryption-failed</text>"]
)
async def test_an_error_reaches_the_program_whatever_else_is_in_it_or_missing(pki, payload):
    pair = Pair(pki)
    message = pair.romeo.message("juliet@localhost/juliet", "Paris?")
    message["id"] = "m1"
    outer = pair.romeo.seal(message)
    bounced = fromstring(
        f"<message xmlns='jabber:client' type='error' id='{outer['id']}' from='juliet@localhost/juliet'>"
        f"<error type='cancel'><service-unavailable xmlns='{STANZAS}'/>{payload}</error></message>"
    )
    before = tostring(bounced.find("{jabber:client}error"))
    error = pair.romeo.unseal(slixmpp.Message(pair.romeo.xmpp, xml=bounced, recv=True))
    assert (error["type"], error["id"]) == ("error", "m1")
    assert tostring(error.xml.find("{jabber:client}error")) == before
    assert b"Paris" not in tostring(
        pair.romeo.seal(pair.romeo.message("juliet@localhost/juliet", "Paris")).xml
    )


@pytest.mark.parametrize("sender", ["a@ex!ample.com", "@", "K@x\u2100y"])
async def test_whose_address_cannot_be_compared_is_dropped_and_an_iq_answered_where_that_is_possible(
    pki, sender
):
    juliet = Filtered(pki, "juliet", "romeo")
    for kind, type_ in (("message", "chat"), ("presence", "available"), ("iq", "get")):
        xml = f"<{kind} xmlns='jabber:client' type='{type_}' id='1' to='juliet@localhost/j'/>"
        element = fromstring(xml)
        element.set("from", sender)
        assert juliet.unseal(getattr(slixmpp, kind.capitalize())(juliet.xmpp, xml=element, recv=True)) is None
    stats = juliet.plugin.stats()
    assert (stats["refused_address"], stats.get("internal_errors", 0)) == (3, 0)
    assert [type(answer).__name__ for answer in juliet.sent] in ([], ["Iq"])


def rejection(pair: Pair, identifier: str, sender: str) -> Any:
    """Return a peer's word that a stanza of romeo's could not be decrypted, as it arrives."""
    error = fromstring(
        f"<message xmlns='jabber:client' type='error' id='{identifier}' from='{sender}' to='romeo@localhost/romeo'>"
        f"<error type='modify'><bad-request xmlns='{STANZAS}'/><decryption-failed xmlns='{E2E}'/></error></message>"
    )
    return slixmpp.Message(pair.romeo.xmpp, xml=error, recv=True)


async def test_only_who_got_a_stanza_can_make_us_send_our_certificate_again(pki):
    pair = Pair(pki)
    message = pair.romeo.message("juliet@localhost/juliet", "Paris?")
    message["id"] = "m1"
    outer = pair.romeo.seal(message)
    protection = pair.romeo.plugin.protection
    assert len(protection._inclusions) == 1
    for sender in ("juliet@localhost/juliet", "stranger@localhost/x"):
        assert pair.romeo.unseal(rejection(pair, "guessed", sender))["id"] == "guessed"
    assert len(protection._inclusions) == 1
    assert pair.romeo.plugin.stats().get("rejected", 0) == 0
    assert pair.romeo.unseal(rejection(pair, outer["id"], "juliet@localhost/juliet"))["id"] == "m1"
    assert len(protection._inclusions) == 0
    assert pair.romeo.plugin.stats()["rejected"] == 1


async def test_no_address_is_read_again_to_find_out_whom_an_error_is_from(pki, monkeypatch):
    pair = Pair(pki)
    message = pair.romeo.message("juliet@localhost/juliet", "Paris?")
    message["id"] = "m1"
    outer = pair.romeo.seal(message)
    protection = pair.romeo.plugin.protection
    for number in range(50):
        protection._inclusions.put(("romeo@localhost", f"juliet{number}@localhost/x"), protection.now())
    error = rejection(pair, outer["id"], "juliet@localhost/juliet")
    monkeypatch.setattr("slixmpp_e2e.protection.JID", None)
    pair.romeo.unseal(error)
    assert len(protection._inclusions) == 50
