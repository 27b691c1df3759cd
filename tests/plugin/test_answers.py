"""Nobody makes an amplifier of us: how often a failure is answered (ARCHITECTURE invariant 14)."""

from base64 import b64decode, encodebytes
from typing import Any

import pytest
import slixmpp

from slixmpp_e2e.errors import MalformedError, StoreError
from slixmpp_e2e.outer import E2E_TAG
from slixmpp_e2e.plugin.answers import PAUSE, Answers
from slixmpp_e2e.stanza import MAX_ID
from tests.plugin.test_filters import Filtered, carry
from tests.plugin.test_refusals import ROMEO
from tests.server.protected import PKI, make_pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


class Answering:
    """Juliet, whose clock stands still until somebody moves it."""

    def __init__(self, pki: PKI, *, knows: str = "romeo") -> None:
        self.time = 1000.0
        self.juliet = Filtered(pki, "juliet", knows)
        self.answers: Answers = self.juliet.plugin._inbound.answers
        self.answers.now = lambda: self.time
        self.answers.__post_init__()

    def fails(self, sender: str = ROMEO, kind: type = slixmpp.Message, **more: Any) -> int:
        """Let a stanza fail; return how many answers there are by then."""
        stanza = kind(self.juliet.xmpp, sfrom=sender, sto="juliet@localhost/juliet", recv=True, **more)
        stanza["id"] = "x"
        self.answers.answer(stanza, MalformedError("nonsense"))
        return len(self.juliet.sent)


async def test_a_sender_whose_stanzas_keep_failing_is_answered_once_in_ten_seconds(pki):
    answering = Answering(pki)
    assert PAUSE == 10
    assert [answering.fails() for _ in range(20)] == [1] * 20
    answering.time += 9.99
    assert answering.fails() == 1  # what failed meanwhile does not make it later
    answering.time += 0.01
    assert [answering.fails() for _ in range(20)] == [2] * 20


async def test_presence_counts_with_messages_and_all_resources_together(pki):
    answering = Answering(pki)
    assert answering.fails() == 1
    assert answering.fails(kind=slixmpp.Presence) == 1
    assert answering.fails("romeo@localhost/elsewhere") == 1
    assert answering.fails("ROMEO@localhost") == 1


async def test_one_sender_does_not_use_up_the_answer_of_another(pki):
    answering = Answering(pki)
    answering.juliet.xmpp.roster["juliet@localhost"].add("mercutio@localhost", afrom=True)
    assert answering.fails() == 1
    assert answering.fails("mercutio@localhost/m") == 2


@pytest.mark.parametrize("kind", ["get", "set"])
async def test_a_request_is_always_answered_and_uses_up_nothing(pki, kind):
    answering = Answering(pki)
    requests = [answering.fails(kind=slixmpp.Iq, stype=kind) for _ in range(50)]
    assert requests == list(range(1, 51))
    assert answering.fails() == 51
    assert answering.fails(kind=slixmpp.Iq, stype=kind) == 52


@pytest.mark.parametrize("kind", [slixmpp.Message, slixmpp.Iq])
async def test_what_has_an_id_that_our_own_server_may_not_take_is_not_answered(pki, kind):
    """A stanza that is too long ends the stream; servers on the other side may take more."""
    answering = Answering(pki)
    for length, answers in ((MAX_ID + 1, 0), (300_000, 0), (MAX_ID, 1)):
        stanza = kind(answering.juliet.xmpp, sfrom=ROMEO, sto="juliet@localhost/juliet", recv=True)
        if kind is slixmpp.Iq:
            stanza["type"] = "get"
        stanza["id"] = "x" * length
        answering.answers.answer(stanza, MalformedError("nonsense"))
        assert len(answering.juliet.sent) == answers


async def test_a_request_that_could_not_be_judged_is_answered(pki, monkeypatch):
    """Whatever it was that nobody foresaw."""
    juliet = Filtered(pki, "juliet", "romeo")

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(juliet.plugin._inbound), "_judge_addressed", fail)
    for kind in (slixmpp.Message, slixmpp.Iq):
        stanza = kind(juliet.xmpp, sfrom=ROMEO, stype="get" if kind is slixmpp.Iq else "chat", recv=True)
        stanza["id"] = "x"
        assert juliet.unseal(stanza) is None
    (answer,) = juliet.sent
    assert (answer["id"], answer["type"], answer["error"]["condition"]) == ("x", "error", "not-acceptable")


async def test_a_result_that_could_not_be_judged_is_not_answered(pki, monkeypatch):
    juliet = Filtered(pki, "juliet", "romeo")
    monkeypatch.setattr(type(juliet.plugin._inbound), "_judge_addressed", lambda *_: 1 / 0)
    assert juliet.unseal(slixmpp.Iq(juliet.xmpp, sfrom=ROMEO, stype="result", recv=True)) is None
    assert not juliet.sent


def changed(outer: Any, position: int) -> Any:
    """Change one bit of what was encrypted."""
    payload = outer.xml.find(E2E_TAG)
    head, _, text = payload.text.partition("\n\n")
    der = bytearray(b64decode(text))
    der[position] ^= 1
    payload.text = head + "\n\n" + encodebytes(bytes(der)).decode()
    return outer


def answered(
    pki: PKI, monkeypatch: pytest.MonkeyPatch, level: str, *positions: int | None
) -> list[list[str]]:
    """Return what the answers hold to a request that comes several times, changed or not; decisions can't be read."""
    romeo = Filtered(pki, "romeo", "juliet", policy={"*": level})
    juliet = Filtered(pki, "juliet", "romeo")

    def broken(_: Any) -> None:
        raise StoreError("disk I/O error")

    monkeypatch.setattr(juliet.plugin.protection.store, "decisions", broken)
    outer = romeo.seal(romeo.xmpp.make_iq_get("urn:question", "juliet@localhost/juliet"))
    for position in positions:
        each = carry(outer, ROMEO, juliet)
        assert juliet.unseal(each if position is None else changed(each, position)) is None
    assert (juliet.failures.reasons[0] == "store") is (positions[0] is None)  # the program hears of it
    return [[child.tag.partition("}")[2] for child in each["error"].xml] for each in juliet.sent]


async def test_while_decisions_can_t_be_read_no_answer_says_whether_a_signature_was_found(pki, monkeypatch):
    """Neither the first one, nor whether the same key may come again."""
    intact = answered(pki, monkeypatch, "required", None, -40, None)
    tampered = answered(pki, monkeypatch, "required", -40, -41, None)
    assert intact == tampered
    assert intact[0] == ["bad-request", "decryption-failed"]


async def test_of_what_was_only_signed_the_answer_says_that_it_could_not_be_judged(pki, monkeypatch):
    assert answered(pki, monkeypatch, "sign", None) == [["not-acceptable"]]
