"""The attackers, in a process of their own: `python -m tests.load.attackers PORT DIRECTORY VICTIM RATE NAME…`.

Each line that is read is an object that went over the wire to the victim. Together they send RATE stanzas a second,
until no more can be read. They write a line when they begin, and then, in JSON, what they sent and were answered.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter, deque
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from slixmpp import Iq, Message, Presence

from tests.load.hostile import Arsenal
from tests.load.people import PATIENCE
from tests.server.clients import close, connect, new_client

#: Older ones are forgotten.
_CAPTURED: Final = 50
#: Octets that wait for the server; an attacker whom it holds back (and its limits are no matter here) waits.
_FULL: Final = 1 << 20


class Attacker:
    """One of them: a client without the plugin."""

    def __init__(self, xmpp: Any, arsenal: Arsenal, victim: str) -> None:
        self.xmpp, self._arsenal, self._victim = xmpp, arsenal, victim
        self.sent: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        xmpp.add_filter("in", self._hear)

    def send(self) -> None:
        """Send the next one."""
        kind, text = self._arsenal.stanza()
        self.sent[kind] += 1
        self.xmpp.send_raw(text)

    def _hear(self, stanza: Any) -> Any:
        kinds = ((Message, "message"), (Presence, "presence"), (Iq, "iq"))
        if isinstance(stanza, (Message, Presence, Iq)) and stanza["from"].full == self._victim:
            (kind,) = (name for each, name in kinds if isinstance(stanza, each))
            self.answers[f"{kind} {stanza.xml.get('type', '')}".strip()] += 1
            return None
        return stanza


async def attack(port: int, directory: Path, victim: str, rate: float, names: list[str]) -> dict[str, Any]:
    """Attack until standard input ends; return what was done."""
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    captured: deque[str] = deque(maxlen=_CAPTURED)
    async with AsyncExitStack() as stack:
        attackers = []
        for name in names:
            xmpp = new_client(f"{name}@localhost/{name}")
            stack.push_async_callback(close, xmpp)
            await connect(xmpp, port, seconds=PATIENCE)
            xmpp.send_presence()
            attackers.append(Attacker(xmpp, Arsenal(directory, name, victim, captured), victim))
        sending = asyncio.create_task(_send(attackers, rate))
        print("begun", flush=True)
        begun = time.monotonic()
        async for line in reader:
            captured.append(json.loads(line))
        seconds = time.monotonic() - begun
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        await asyncio.sleep(1)  # what is answered, is answered
        for attacker in attackers:
            attacker.xmpp.abort()  # with whatever the server has not read
        return {
            "seconds": seconds,
            "sent": dict(sum((each.sent for each in attackers), Counter())),
            "answers": dict(sum((each.answers for each in attackers), Counter())),
        }


async def _send(attackers: list[Attacker], rate: float) -> None:
    due = time.perf_counter()
    while True:
        for attacker in attackers:
            transport = attacker.xmpp.transport
            if transport is not None and transport.get_write_buffer_size() < _FULL:
                attacker.send()
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))


if __name__ == "__main__":
    _, port, directory, victim, rate, *names = sys.argv
    print(json.dumps(asyncio.run(attack(int(port), Path(directory), victim, float(rate), names))))
