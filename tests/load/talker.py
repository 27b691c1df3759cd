"""A client that sends numbered messages and requests to another, and takes note of when each came.

A message says its number and when it was sent, and is filled up to a number of octets. Both are read by a clock
that all processes of a machine share.
"""

import asyncio
import time
from typing import Any, Final

import slixmpp
from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

NAMESPACE: Final = "urn:slixmpp-e2e:load"
#: Octets of text in a message, if nothing else is said.
TEXT: Final = 200
_QUESTION: Final = f"{{{NAMESPACE}}}question"
#: When something was sent, and when it arrived or was answered: nanoseconds.
Times = tuple[int, int]


def now() -> int:
    """Return the time, in nanoseconds since whenever."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Talker:
    """One client, connected, and whom it talks to. What arrives must be proven if the client has the plugin."""

    def __init__(self, xmpp: slixmpp.ClientXMPP, peer: str) -> None:
        self.xmpp = xmpp
        self._peer = peer
        self._e2e: Any = None
        if "e2e" in xmpp.plugin:
            self._e2e = xmpp.plugin["e2e"]
        self._arrived: list[Times] = []
        self._all_arrived: asyncio.Future[None] | None = None
        self._wanted = 0
        self._wrong: list[str] = []
        xmpp.add_event_handler("message", self._take)
        xmpp.register_handler(
            Callback("load", MatchXPath(f"{{{xmpp.default_ns}}}iq/{_QUESTION}"), self._answer)
        )

    # ------------------------------------------------------------------ messages

    async def send(self, count: int, octets: int, every: float | None = None) -> None:
        """Send messages: all at once, or one `every` so many seconds."""
        due = time.perf_counter()
        for number in range(count):
            if every is not None:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                due += every
            self.xmpp.send_message(self._peer, _filled(f"{number} {now()} ", octets), mtype="chat")

    async def collect(self, count: int, *, seconds: float = 3600) -> list[Times]:
        """Return the times of that many messages; raise `AssertionError` for what is out of order or not proven."""
        self._wanted = count
        if len(self._arrived) < count:
            self._all_arrived = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(self._all_arrived, seconds)
        arrived, self._arrived, self._all_arrived = self._arrived, [], None
        assert not self._wrong, self._wrong[:3]
        return arrived

    def _take(self, message: slixmpp.Message) -> None:
        arrived = now()
        if message["from"].full != self._peer:
            return
        number, sent, _ = message["body"].split(" ", 2)
        if int(number) != len(self._arrived) or not self._is_proven(message):
            self._wrong.append(f"{message['from']} {number} where {len(self._arrived)} is due")
        self._arrived.append((int(sent), arrived))
        if self._all_arrived is not None and len(self._arrived) == self._wanted:
            self._all_arrived.set_result(None)

    def _is_proven(self, stanza: Any) -> bool:
        if self._e2e is None:
            return True
        report = self._e2e.report(stanza)
        return report is not None and report.authenticated and report.encrypted

    # ------------------------------------------------------------------ requests

    async def ask(
        self, count: int, octets: int, every: float | None = None, outstanding: int = 8
    ) -> list[Times]:
        """Send requests and return their times: that many at once, or one `every` so many seconds."""
        times: list[Times] = []
        slots = asyncio.Semaphore(outstanding)
        due = time.perf_counter()
        async with asyncio.TaskGroup() as asked:
            for _ in range(count):
                if every is None:
                    await slots.acquire()
                else:
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                    due += every
                asked.create_task(self._ask(octets, times, slots))
        return times

    async def _ask(self, octets: int, times: list[Times], slots: asyncio.Semaphore) -> None:
        sent = now()
        question = self.xmpp.make_iq_get(ito=self._peer)
        question.xml.append(_question(octets))
        answer = await question.send(timeout=60)
        times.append((sent, now()))
        slots.release()
        assert self._is_proven(answer)

    def _answer(self, iq: slixmpp.Iq) -> None:
        if iq["type"] == "get" and self._is_proven(iq):
            answer = iq.reply()
            answer.xml.append(_question(len(iq.xml.findtext(_QUESTION, ""))))
            answer.send()


def _filled(text: str, octets: int) -> str:
    return text.ljust(octets, "x")


def _question(octets: int) -> ET.Element:
    element = ET.Element(_QUESTION)
    element.text = "x" * octets
    return element
