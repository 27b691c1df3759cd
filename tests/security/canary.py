"""Sends in which something goes wrong, and a search for what should have stayed secret.

Romeo writes to Juliet and to people whom nothing may be sent to, over the loopback server. Whatever he writes bears a
canary: a word that stands nowhere else. It is searched for in all that went over the wire, in the directory of his
store and of temporary files, and in what was logged at INFO and above.
"""

import asyncio
import base64
import logging
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import SubElement

import slixmpp
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from slixmpp.exceptions import IqError, XMPPError
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from slixmpp_e2e.cli.loopback import LoopbackServer
from slixmpp_e2e.errors import LocalError
from tests.security.faults import CANARY, FAULTS, SPOILED, FailingResolver, FaultyKey, people
from tests.server.clients import ACCOUNTS, PASSWORD, close, connect, new_client, round_trip
from tests.server.protected import PKI, introduce, protect
from tests.written import RFC3923, Written

JULIET: Final = "juliet@localhost/juliet"
_QUERY: Final = "urn:example:canary"
_KINDS: Final = ("message", "presence", "iq get", "iq set", "reply", "error reply", "protect")
#: Whoever writes to them gets nothing through.
_NOBODY: Final = {"unknown": "nobody", "expired": "expired", "revoked": "revoked"}


def needles(word: str = CANARY) -> tuple[bytes, ...]:
    """Return a word as it is, and as it would look in some encodings."""
    octets = word.encode()
    found = [octets, octets.hex().encode(), octets.hex().upper().encode()]
    found += [word.encode("utf-16-le"), word.encode("utf-16-be"), octets[::-1]]
    for shift in range(3):  # what base64 makes of it, wherever it begins
        encoded = base64.b64encode(bytes(shift) + octets).rstrip(b"=")
        found.append(encoded[4 if shift else 0 : -2])
    return tuple(found)


_NEEDLES: Final = needles()


def is_in(octets: bytes) -> bool:
    """Tell whether there is a canary in something; base64 is looked at without its line breaks as well."""
    joined = octets.replace(b"\n", b"")
    return any(needle in octets or needle in joined for needle in _NEEDLES)


class Log(logging.Handler):
    """Keeps what is logged at INFO and above, with the traces of exceptions."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        self.lines.append(self.format(record))


@dataclass
class Stage:
    """Romeo and Juliet, and everything that could give them away."""

    directory: Path
    server: LoopbackServer
    romeo: Any
    juliet: Any
    key: FaultyKey
    log: Log
    drawn: random.Random
    #: What became of each canary, by kind of stanza, fault and outcome.
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    hits: list[str] = field(default_factory=list)
    searched: Counter[str] = field(default_factory=Counter)
    _awaited: dict[str, asyncio.Future[str]] = field(default_factory=dict)
    #: What happens when romeo is about to write his reply.
    _arm: Callable[[], None] = field(default=lambda: None)
    _number: int = 0

    def prepare(self) -> None:
        """Set up who answers what, and who sees what became of it."""
        self.romeo.add_event_handler(
            "e2e_send_failed", lambda each: self._tell(each.stanza, "e2e_send_failed")
        )
        self.romeo.add_event_handler("message", self._reply)
        for event in ("message", "presence_available"):
            self.juliet.add_event_handler(event, self._arrived)
        self.juliet.add_event_handler("message_error", lambda _: self._settle_all("error reply arrived"))
        path = MatchXPath(f"{{jabber:client}}iq/{{{_QUERY}}}canary")
        self.juliet.register_handler(Callback("canary", path, self._answer))

    # ------------------------------------------------------------------ what becomes of a canary

    def _arrived(self, stanza: Any) -> None:
        report = self.juliet.plugin["e2e"].report(stanza)
        if CANARY in str(stanza):
            self._tell(stanza, "arrived" if report and report.encrypted else "ARRIVED IN CLEAR")

    def _tell(self, stanza: Any, outcome: str) -> None:
        text = slixmpp.xmlstream.tostring(stanza.xml)
        for word, future in self._awaited.items():
            if word in text and not future.done():
                future.set_result(outcome)

    def _settle_all(self, outcome: str) -> None:
        for future in self._awaited.values():
            if not future.done():
                future.set_result(outcome)

    def _reply(self, message: Any) -> None:
        word = message["body"]
        self._arm()
        if message["subject"] == "raise":
            raise XMPPError("undefined-condition", text=word, clear=False)
        reply = message.reply(f"{word} again")
        self._spoil(reply)
        reply.send()

    def _answer(self, iq: Any) -> None:
        if iq["type"] not in {"get", "set"}:
            return
        word = iq.xml[0].text
        if "refuse" in word:
            raise XMPPError("forbidden", text=word)
        answer = iq.reply()
        SubElement(answer.xml, f"{{{_QUERY}}}canary").text = word
        answer.send()

    # ------------------------------------------------------------------ writing

    def word(self) -> str:
        """Return a new canary."""
        self._number += 1
        return f"{CANARY}{self._number:06d}x"

    def _spoil(self, stanza: Any) -> None:
        """Make a stanza of the kind of which the fault says that it is wrong."""
        if self._fault == "not XML":
            SubElement(stanza.xml, f"{{{_QUERY}}}x").text = self.drawn.choice(["\x01", "\ud800", "\ufffe"])
        elif self._fault == "too large":
            SubElement(stanza.xml, f"{{{_QUERY}}}x").text = CANARY * 30_000

    def _write(self, kind: str, word: str, to: str) -> Any:
        xmpp = self.romeo
        if kind.startswith("iq"):
            stanza = xmpp.make_iq(ito=to, itype=kind.split()[1])
            refused = " refuse" if self.drawn.random() < 0.2 else ""
            SubElement(stanza.xml, f"{{{_QUERY}}}canary").text = word + refused
        elif kind == "presence":
            stanza = xmpp.make_presence(pto=to, pstatus=word)
            SubElement(stanza.xml, f"{{{_QUERY}}}x", {"a": word}).text = word
        else:
            stanza = xmpp.make_message(to, word, msubject=word, mtype=self.drawn.choice(["chat", "normal"]))
            SubElement(stanza.xml, f"{{{_QUERY}}}x", {"a": word}).text = word
        self._spoil(stanza)
        return stanza

    async def send(self, kind: str, fault: str) -> str:
        """Send something with a fault; return what became of it."""
        word, self._fault = self.word(), fault
        self._awaited[word] = asyncio.get_running_loop().create_future()
        with ExitStack() as faults:
            arm = lambda: FAULTS[fault](self, faults)  # noqa: E731
            try:
                async with asyncio.timeout(10):
                    outcome = await self._send(kind, word, arm)
            except TimeoutError:
                outcome = "NOBODY HEARD OF IT"
            finally:
                del self._awaited[word]
                self._arm = _nothing
                self.romeo.plugin["e2e"].protection.peers.forget("juliet@localhost")
        self.outcomes[kind, fault, outcome] += 1
        return outcome

    async def _send(self, kind: str, word: str, arm: Callable[[], None]) -> str:
        to = f"{_NOBODY[self._fault]}{self._number}@localhost/x" if self._fault == "unknown" else JULIET
        if self._fault in SPOILED:
            to = f"{self._fault}@localhost/x"
        if kind in {"reply", "error reply"}:
            self._arm = arm
            subject = "raise" if kind == "error reply" else "answer"
            self.juliet.send_message("romeo@localhost/romeo", word, msubject=subject, mtype="chat")
            return await self._awaited[word]
        stanza = self._write(kind, word, to)
        arm()
        if kind.startswith("iq") or kind == "protect":
            return await self._await(kind, stanza, word)
        stanza.send()
        return await self._awaited[word]

    async def _await(self, kind: str, stanza: Any, word: str) -> str:
        waiting = stanza.send(timeout=8) if kind != "protect" else self.romeo.plugin["e2e"].protect(stanza)
        task = asyncio.ensure_future(waiting)
        if self._fault == "cancelled":
            for _ in range(self.drawn.randrange(8)):
                await asyncio.sleep(0)
            task.cancel()
        try:
            result = await task
        except asyncio.CancelledError:
            return "cancelled"
        except (IqError, LocalError, OSError, RuntimeError, sqlite3.Error) as error:
            return type(error).__name__
        if kind != "protect":
            return "answered"
        result.send()
        return await self._awaited[word]

    # ------------------------------------------------------------------ searching

    def search(self) -> None:
        """Look for canaries wherever they might have got to; then forget what was looked at."""
        for name in ("recorded_from_clients", "recorded_to_clients"):
            for entry in getattr(self.server, name).connections:
                self._look(f"wire, {name}", bytes(entry))
                entry.clear()
        for path in self.directory.rglob("*"):
            if path.is_file():
                self._look(f"disk, {path.name}", path.read_bytes())
        lines, self.log.lines = self.log.lines, []
        for line in lines:
            self._look("log", line.encode("utf-8", "surrogatepass"))

    def _look(self, where: str, octets: bytes) -> None:
        self.searched[where.partition(",")[0]] += len(octets)
        if is_in(octets):
            self.hits.append(f"{where}: {octets[:400]!r}")


def _nothing() -> None:
    pass


# --------------------------------------------------------------------------- the stage


@asynccontextmanager
async def stage(
    pki: PKI, directory: Path, *, is_slow: bool, seed: int, written: Written = RFC3923
) -> AsyncIterator[Stage]:
    """Log romeo and juliet in; the store and temporary files are in the directory."""
    crls = people(pki, directory)
    key = FaultyKey(load_pem_private_key((pki.directory / "romeo.key").read_bytes(), None), is_slow=is_slow)
    accounts = {**ACCOUNTS, "expired": PASSWORD, "revoked": PASSWORD}
    log = Log()
    logging.getLogger().addHandler(log)
    romeo = new_client("romeo@localhost/romeo", plugins=["xep_0198"])
    juliet = new_client(JULIET, plugins=["xep_0198"])
    options = {
        "private_key": key,
        "store": f"sqlite:///{directory / 'romeo.db'}",
        "peer_certificates": introduce(pki, "juliet", *SPOILED),
        "crls": crls,
        "certificate_wait": 0.01,
        "resolvers": [FailingResolver()],
        **written.options,
    }
    async with LoopbackServer(accounts) as server:
        try:
            protect(romeo, pki.options("romeo", **options))
            more = {
                "store": f"sqlite:///{directory / 'juliet.db'}",
                "peer_certificates": introduce(pki, "romeo"),
                **written.options,
            }
            protect(juliet, pki.options("juliet", **more))
            for xmpp in (romeo, juliet):
                await connect(xmpp, server.port)
                xmpp.send_presence()
                await round_trip(xmpp)
            built = Stage(directory, server, romeo, juliet, key, log, random.Random(seed))
            built.prepare()
            yield built
        finally:
            await close(romeo, juliet)
            for xmpp in (romeo, juliet):
                xmpp.plugin.disable("e2e")
            logging.getLogger().removeHandler(log)


def plan(number: int, drawn: random.Random) -> Iterator[tuple[str, str]]:
    """Yield kinds and faults: each pair in its turn, in an order of its own each time."""
    pairs = [(kind, fault) for kind in _KINDS for fault in FAULTS if _fits(kind, fault)]
    pairs += [(kind, "nothing") for kind in _KINDS] * 5
    while number > 0:
        drawn.shuffle(pairs)
        yield from pairs[:number]
        number -= len(pairs)


def _fits(kind: str, fault: str) -> bool:
    if kind in {"reply", "error reply"}:  # to juliet, and nobody waits for it
        return fault not in {"unknown", "cancelled", *SPOILED} and (kind == "reply" or fault == "nothing")
    return fault != "cancelled" or kind.startswith("iq") or kind == "protect"
