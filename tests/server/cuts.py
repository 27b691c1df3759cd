"""One connection cut at any octet of an exchange of five stanzas, and a full account of what became of them.

Romeo sends juliet a message, presence, a request and a question; she answers the request, confirms the question
(XEP-0184) and replies to it. His connection is cut when a given number of octets has passed in one direction. He
comes back at once: with his session (XEP-0198), or with a new one, because the server does not know the old one any
more. The same two go on to the next cut.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element

from slixmpp import Message
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from slixmpp_e2e.errors import UnconfirmedError
from tests.written import RFC3923, Written

from .clients import round_trip
from .couple import Party, couple
from .outcome import CANARY, Outcome, holdings, kind_of, shown_by
from .protected import PKI
from .proxy import Direction

_QUERY: Final = "{urn:example:cuts}query"
_HIS: Final = ("message", "presence", "request", "question")
_HERS: Final = ("result", "receipt", "reply")

#: What a server says of a message that it gives up.
_UNDELIVERED: Final = frozenset({"service-unavailable", "recipient-unavailable"})

#: Returns what the server has counted of romeo's session: his stanzas, and its own to him.
CountersOfServer = Callable[[Party], Awaitable[tuple[int, int]]]


@dataclass
class Cuts:
    """The two, and what they have seen of the exchange that goes on."""

    romeo: Party
    juliet: Party
    counters: CountersOfServer
    #: Whether romeo comes back with his session.
    resume: bool = True
    #: Seconds after which a server that says nothing is taken to be deaf.
    patience: float = 5.0
    number: int = 0
    delivered: Counter[str] = field(default_factory=Counter)
    reported: Counter[str] = field(default_factory=Counter)
    #: What was sent, by the ids that the programs gave.
    _sent: dict[str, str] = field(default_factory=dict)
    _strange: list[str] = field(default_factory=list)
    _all_seen: asyncio.Event = field(default_factory=asyncio.Event)
    _down: asyncio.Event = field(default_factory=asyncio.Event)
    _back: asyncio.Event = field(default_factory=asyncio.Event)
    _stream: str = "spared"
    _holdings: Any = None

    def __post_init__(self) -> None:
        romeo, juliet = self.romeo.xmpp, self.juliet.xmpp
        for party, kinds in ((self.romeo, _HERS), (self.juliet, _HIS)):
            party.xmpp.add_event_handler("message", self._saw(party, "body", kinds))
            party.xmpp.add_event_handler("presence", self._saw(party, "status", kinds))
            party.xmpp.add_event_handler("message_error", self._came_back_as_error)
            party.xmpp.add_filter("out", self._leaves)
        romeo.add_event_handler("receipt_received", lambda each: self._count(each["receipt"], "receipt"))
        romeo.add_event_handler("disconnected", self._lost)
        romeo.add_event_handler("session_resumed", lambda _: self._came_back("resumed"))
        romeo.add_event_handler("session_start", self._started)
        juliet.register_handler(Callback("cuts", MatchXPath(f"{{jabber:client}}iq/{_QUERY}"), self._answer))
        romeo.plugin["feature_mechanisms"].use_mech = "PLAIN"  # SCRAM takes most of the time of a cut

    # ------------------------------------------------------------------ what they see

    def _saw(self, party: Party, part: str, kinds: tuple[str, ...]) -> Callable[[Any], None]:
        def take(stanza: Any) -> None:
            if CANARY not in stanza[part] or stanza["type"] == "error":
                return
            number, kind, _ = stanza[part].split(" ", 2)
            if kind not in kinds or not party.trusts(stanza):
                self._strange.append(f"{kind} is not what it seems")
            self._count(number, kind)
            if kind == "question":
                stanza.reply(f"{number} reply {CANARY}").send()

        return take

    def _leaves(self, stanza: Any) -> Any:
        if isinstance(stanza, Message):
            self._sent[stanza["id"]] = kind_of(stanza)
        return stanza

    def _came_back_as_error(self, error: Any) -> None:
        kind, condition = self._sent.get(error["id"]), error["error"]["condition"]
        if kind is None or condition not in _UNDELIVERED:
            self._strange.append(f"{kind} came back: {condition}")
        else:
            self.reported[kind] += 1

    def _answer(self, request: Any) -> None:
        text = request.xml.find(_QUERY).text
        if request["type"] != "get" or not self.juliet.trusts(request):
            self._strange.append("the request is not what it seems")
        self._count(text.split(" ")[0], "request")
        answer = request.reply(clear=True)
        answer.append(_query(f"{text} answered"))
        answer.send()

    def _count(self, number: str, kind: str) -> None:
        if number != str(self.number):
            self._strange.append(f"{kind} of {number} during {self.number}")
        self.delivered[kind] += 1
        if all(self.delivered[each] for each in (*_HIS, *_HERS)):
            self._all_seen.set()

    def _lost(self, _: Any) -> None:
        self._down.set()
        if not self.resume:  # the server will not know this name
            self.romeo.plugin("xep_0198").sm_id = "forgotten"

    def _came_back(self, how: str) -> None:
        self._stream = how
        self._back.set()

    def _started(self, _: Any) -> None:
        self.romeo.xmpp.send_presence()  # what was stored comes now
        self._came_back("anew")

    # ------------------------------------------------------------------ one exchange

    async def run(self, direction: Direction = "from_clients", offset: int | None = None) -> Outcome:
        """Let them talk, and cut after an offset; without one, nothing is cut."""
        began = time.monotonic()
        self._begin()
        if offset is not None:
            self.romeo.proxy.cut_after(direction, offset)
        asked = asyncio.ensure_future(self._speak())
        try:
            await self._heard()
        except TimeoutError:
            await self._start_anew()
        self.romeo.proxy.spare()
        await self._settle()
        await asked
        for _ in range(10):  # ejabberd hands some of it on behind our backs
            if not self._missing():
                break
            await asyncio.sleep(0.05)
            await self._settle()
        self._judge_failures()
        shown = [*shown_by(self.romeo), *shown_by(self.juliet)]
        wrong = [*self._strange, *shown, *await self._miscounted(), *await self._held()]
        return Outcome(
            direction,
            offset or 0,
            self._stream,
            tuple(self._missing()),
            tuple(each for each, times in self.delivered.items() if times > 1),
            tuple(sorted(self.reported)),
            [*self.romeo.failures.reasons, *self.juliet.failures.reasons].count("seen"),
            tuple(wrong),
            time.monotonic() - began,
        )

    def _begin(self) -> None:
        self.number += 1
        self._stream = "spared"
        for party in (self.romeo, self.juliet):
            party.proxy.forget_wire()
            party.failures.sent.clear()
            party.failures.received.clear()
        self._strange.clear()
        self._sent.clear()
        for counter in (self.delivered, self.reported):
            counter.clear()
        for event in (self._all_seen, self._down, self._back):
            event.clear()

    async def _speak(self) -> None:
        romeo, to = self.romeo.xmpp, self.romeo.peer

        def text(kind: str) -> str:
            return f"{self.number} {kind} {CANARY}"

        message = romeo.make_message(to, text("message"), CANARY, mtype="chat")
        message.send()
        romeo.send_presence(pto=to, pstatus=text("presence"))
        request = romeo.make_iq_get(ito=to)
        request.append(_query(text("request")))
        result = request.send(timeout=self.patience if self.resume else 0.3)
        question = romeo.make_message(to, text("question"), mtype="chat")
        question["id"], question["request_receipt"] = str(self.number), True
        question.send()
        try:
            answer = await result
        except (IqError, IqTimeout):
            self.reported["request"] += 1
            self.reported["result"] += 1  # juliet's answer is worth nothing to anybody else
            for table in ("_requests", "_guarded"):  # what comes late must not be taken for something else
                self._holdings[0][table] += 1
        else:
            if not self.romeo.trusts(answer) or answer.xml.find(_QUERY).text != f"{text('request')} answered":
                self._strange.append("the result is not what it seems")
            self._count(str(self.number), "result")

    async def _heard(self) -> None:
        """Return when all was seen, or can't come any more."""
        async with asyncio.timeout(self.patience):
            if self.resume:
                await self._all_seen.wait()
            else:
                seen, down = (asyncio.ensure_future(each.wait()) for each in (self._all_seen, self._down))
                await asyncio.wait([seen, down], return_when=asyncio.FIRST_COMPLETED)
                seen.cancel()
                down.cancel()
            for _ in range(3):
                await asyncio.sleep(0)  # a cut behind the last stanza is noticed now
            if self._down.is_set():
                await self._back.wait()

    async def _start_anew(self) -> None:
        """Give the session up: the server does not listen."""
        self._back.clear()
        self.romeo.plugin("xep_0198").sm_id = "forgotten"
        self.romeo.proxy.cut()
        await asyncio.wait_for(self._back.wait(), 5)
        self._stream = "deaf"

    async def _settle(self) -> None:
        """Return when everything that was under way has arrived."""
        for party in (self.romeo, self.juliet, self.romeo):
            party.plugin("xep_0198").request_ack()
            await round_trip(party.xmpp)

    # ------------------------------------------------------------------ the account

    def _said(self) -> list[str]:
        """Return what was sent: she answers what she got."""
        answers = {"result": "request", "receipt": "question", "reply": "question"}
        return [*_HIS, *(answer for answer, asked in answers.items() if self.delivered[asked])]

    def _missing(self) -> list[str]:
        """Return what was sent, and is neither delivered nor reported."""
        failed = {kind_of(each.stanza) for party in (self.romeo, self.juliet) for each in party.failures.sent}
        return [
            each for each in self._said() if not self.delivered[each] + self.reported[each] + (each in failed)
        ]

    def _judge_failures(self) -> None:
        for party in (self.romeo, self.juliet):
            for failure in party.failures.sent:
                if not isinstance(failure.error, UnconfirmedError):
                    self._strange.append(f"not sent: {failure.error.diagnostics()}")
                self.reported[kind_of(failure.stanza)] += 1
            self._strange += [f"refused: {reason}" for reason in party.failures.reasons if reason != "seen"]

    async def _miscounted(self) -> list[str]:
        management = self.romeo.plugin("xep_0198")
        handled, sent = await self.counters(self.romeo)
        wrong = []
        if management.seq != handled:
            wrong.append(f"romeo sent {management.seq} stanzas, the server handled {handled}")
        if management.handled != sent:
            wrong.append(f"the server sent {sent} stanzas, romeo handled {management.handled}")
        return wrong

    async def _held(self) -> list[str]:
        """Return what the two hold on to now and did not after the first exchange."""
        for attempt in range(20):
            found = [holdings(party) for party in (self.romeo, self.juliet)]
            if self._holdings is None:
                self._holdings = found
            more = [
                f"more of {name}: {count}"
                for now, then in zip(found, self._holdings, strict=True)
                for name, count in (now - then).items()
            ]
            if not more:
                break
            await asyncio.sleep(0.005)
            if attempt == 10:
                await self._settle()  # an answer to something late is not confirmed yet
        return more


@asynccontextmanager
async def cuts(
    port: int,
    pki: PKI,
    counters: CountersOfServer,
    *,
    resume: bool = True,
    patience: float = 5.0,
    written: Written = RFC3923,
) -> AsyncIterator[Cuts]:
    """Log the two in and let them talk undisturbed, so that all that is learned once is learned."""
    async with couple(port, pki, ["xep_0184"], reconnect=True, written=written) as (romeo, juliet):
        talk = Cuts(romeo, juliet, counters, resume=resume)
        for _ in range(3):
            outcome = await talk.run()
            assert outcome.unhurt, outcome
        talk.patience = patience
        yield talk


def _query(text: str) -> Element:
    query = Element(_QUERY)
    query.text = text
    return query
