"""The errors of RFC 3923 7 as they stand on the wire of a real server, and what both programs see of them.

And those of draft-miller-3923bis-02 5: the same, in fewer cases.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import SubElement, tostring

import pytest
from slixmpp import Iq, Message, Presence
from slixmpp.exceptions import IqError

from slixmpp_e2e.namespaces import CLIENT, E2E, STANZAS
from slixmpp_e2e.plugin.stanzas import ReceiveFailure
from tests.written import BARE_OBJENC, IN_EVERY_FORMAT, RFC3923, SIGNED_INSIDE, Written

from .clients import Inbox
from .couple import Party, Witness, couple
from .protected import PKI, introduce, make_pki
from .spoilt import answer_to_iq, credentials, other_octet, other_text, spoil
from .wire import answers, exchanged

pytestmark = [pytest.mark.server, pytest.mark.parametrize("server", ["prosody"], indirect=True)]

TEXT = "Wherefore art thou Romeo?"
MINUTE = 60 * 1_000_000_000
Options = Mapping[str, Any]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """Certificates; juliet has an old one too, whose key she has no more."""
    pki = make_pki(tmp_path_factory.mktemp("pki"))
    pki.issue("juliet-old", "juliet@localhost")
    return pki


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """Certificates for the same names, of a CA that nobody trusts."""
    return make_pki(tmp_path_factory.mktemp("strangers"))


def clock(minutes: int) -> Options:
    return {"clock": lambda: time.time_ns() + minutes * MINUTE}


@dataclass(frozen=True)
class Case:
    """What is wrong with what romeo sends, what juliet answers, and what her program is told."""

    answer: tuple[str, str]
    reason: str
    #: Further options of his, from our certificates and those of strangers.
    options: Callable[[PKI, PKI], Options] = field(default=lambda _pki, _strangers: {})
    #: And of hers.
    hers: Options = field(default_factory=dict)
    #: Changes the payload on its way.
    spoil: Callable[[str], str] | None = None

    def answered(self, written: Written) -> tuple[str, str]:
        """What juliet answers in a format."""
        told = written.tells_time or self.answer != BAD_TIMESTAMP
        return self.answer if told else DECRYPTION_FAILED


SIGNED: Options = {"policy": {"*": "sign"}}
BAD_TIMESTAMP = ("not-acceptable", "bad-timestamp")
UNVERIFIED_SIGNATURE = ("not-acceptable", "unverified-signature")
DECRYPTION_FAILED = ("bad-request", "decryption-failed")

CASES = {
    "ten minutes old": Case(BAD_TIMESTAMP, "old", hers=clock(10)),  # the certificates did not exist back then
    "ten minutes ahead": Case(BAD_TIMESTAMP, "future", lambda *_: clock(10)),
    "signed ten minutes ago": Case(BAD_TIMESTAMP, "old", lambda *_: SIGNED, clock(10)),
    "signed text changed": Case(UNVERIFIED_SIGNATURE, "invalid", lambda *_: SIGNED, spoil=other_text),
    "signed by an untrusted certificate": Case(
        UNVERIFIED_SIGNATURE, "untrusted", lambda _, them: {**SIGNED, **credentials(them, "romeo")}
    ),
    "an encrypted octet changed": Case(DECRYPTION_FAILED, "invalid", spoil=other_octet),
    "encrypted to another key": Case(
        DECRYPTION_FAILED,
        "not-for-us",
        lambda us, _: {"peer_certificates": introduce(us, "juliet-old")},
    ),
    # nobody is told that it could be decrypted (ERRATA E31)
    "encrypted by an untrusted signer": Case(
        DECRYPTION_FAILED, "untrusted", lambda _, them: credentials(them, "romeo")
    ),
}


KINDS = ("message", "presence", "iq")
#: What is only signed is the same whatever is encrypted otherwise, and who may be anybody is trusted by nobody.
IN_THE_DRAFT = [
    (written, case, kind)
    for written in (SIGNED_INSIDE, BARE_OBJENC)
    for case in CASES
    for kind in KINDS
    if not case.startswith("signed") and (written.signs(kind) or case != "encrypted by an untrusted signer")
]


def stanza_of(kind: str, party: Party) -> Message | Presence | Iq:
    """Return a stanza for the other one, with an id and the text."""
    if kind == "message":
        return party.xmpp.make_message(party.peer, TEXT, mtype="chat")
    if kind == "presence":
        presence = party.xmpp.make_presence(pto=party.peer, pstatus=TEXT)
        presence["id"] = "presence-1"
        return presence
    iq = party.xmpp.make_iq_get("urn:example:x", ito=party.peer)
    SubElement(iq.xml[0], "{urn:example:x}text").text = TEXT
    return iq


async def refused(party: Party, stanza: Any) -> Any:
    """Send a stanza, and return the error that the program gets for it."""
    if isinstance(stanza, Iq):
        with pytest.raises(IqError) as failure:
            await stanza.send(timeout=5)
        return failure.value.iq
    inbox = Inbox(party.xmpp, f"{stanza.name}_error")
    stanza.send()
    error = await inbox.next()
    assert inbox.empty
    return error


TOLD = [(RFC3923, case, kind) for case in CASES for kind in KINDS]
TOLD += [each for each in IN_THE_DRAFT if each[0].is_told(each[2])]


@pytest.mark.parametrize(("written", "name", "kind"), TOLD, ids=str)
async def test_what_cannot_be_accepted_is_answered_with_its_error(
    server, pki, strangers, written, name, kind
):
    case = CASES[name]
    his = case.options(pki, strangers)
    async with couple(server.port, pki, written=written, romeo=his, juliet=case.hers) as (romeo, juliet):
        if case.spoil is not None:
            spoil(romeo.xmpp, case.spoil, written)
        delivered = Witness(juliet, kind)
        stanza = stanza_of(kind, romeo)
        error = await refused(romeo, stanza)
        condition, application = case.answered(written)

        # the wire, as she sent it and as he got it
        (sent,) = [each for each in exchanged(romeo.proxy, "juliet@localhost") if each.get("type") != "error"]
        (answer,) = answers(juliet.proxy, "romeo@localhost")
        assert answer.tag == f"{{{CLIENT}}}{kind}"
        assert answer.attrib == {"type": "error", "id": sent.get("id"), "to": romeo.jid}
        (element,) = answer
        assert element.attrib == {"type": "modify"}
        assert [child.tag for child in element] == [f"{{{STANZAS}}}{condition}", f"{{{E2E}}}{application}"]
        assert not "".join(element.itertext()).strip()
        arrived = exchanged(romeo.proxy, "juliet@localhost")[-1]
        assert {**answer.attrib, "from": romeo.peer}.items() <= arrived.attrib.items()  # servers add xml:lang
        assert tostring(arrived[0]) == tostring(element)

        # her program
        (failure,) = juliet.failures.received
        check_told(juliet, failure, case, written)
        assert delivered.stanzas == []

        # his program
        assert (error["type"], error["id"], error["from"]) == ("error", stanza["id"], romeo.peer)
        assert (error["error"]["condition"], error["error"]["type"]) == (condition, "modify")
        assert error["error"].xml.find(f"{{{E2E}}}{application}") is not None
        assert error.xml.find(written.tag) is None
        assert romeo.report(error) is None


def check_told(juliet: Party, failure: ReceiveFailure, case: Case, written: Written) -> None:
    """Assert that her program knows what was wrong, whatever the network is told."""
    assert failure.reason == written.reason(case.reason)
    if case.answered(written) == BAD_TIMESTAMP:  # what was proven all the same
        assert TEXT in "".join(failure.stale.xml.itertext())
        assert not juliet.report(failure.stale).authenticated
    else:
        assert failure.stale is None
    if case.answer == BAD_TIMESTAMP:  # and how far off it is
        assert failure.skew == pytest.approx(600 if case.reason == "future" else -600, abs=10)


@pytest.mark.parametrize(
    ("written", "name", "kind"), [each for each in IN_THE_DRAFT if not each[0].is_told(each[2])], ids=str
)
async def test_where_anybody_may_write_nobody_is_told(server, pki, strangers, written, name, kind):
    """Who accepts what nobody signed would be asked by anybody whether it can be decrypted (ERRATA E29)."""
    case = CASES[name]
    his = case.options(pki, strangers)
    async with couple(server.port, pki, written=written, romeo=his, juliet=case.hers) as (romeo, juliet):
        if case.spoil is not None:
            spoil(romeo.xmpp, case.spoil, written)
        delivered, heard = Witness(juliet, kind), Inbox(romeo.xmpp, f"{kind}_error")
        stanza_of(kind, romeo).send()
        with pytest.raises(IqError):  # that one is always answered
            await stanza_of("iq", romeo).send(timeout=5)
        assert [answer.tag for answer in answers(juliet.proxy, "romeo@localhost")] == [f"{{{CLIENT}}}iq"]
        check_told(juliet, juliet.failures.received[0], case, written)
        assert delivered.stanzas == []
        assert heard.empty


@IN_EVERY_FORMAT
@pytest.mark.parametrize("kind", ["message", "presence"])
async def test_what_is_right_is_delivered_and_not_answered(server, pki, kind, written):
    async with couple(server.port, pki, written=written) as (romeo, juliet):
        delivered = Witness(juliet, kind)
        stanza_of(kind, romeo).send()
        await answer_to_iq(romeo.xmpp)
        assert delivered.convinced
        assert [answer.tag for answer in answers(juliet.proxy, "romeo@localhost")] == [f"{{{CLIENT}}}iq"]
