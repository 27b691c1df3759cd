"""The event loop gets its turn, however much there is to do at once.

slixmpp hands over all stanzas of a chunk that it has read (up to 256 KiB, a hundred protected stanzas) in one go,
and sends all that a program has queued in one go. In clear that takes moments; what is protected takes about a
millisecond each, and meanwhile nothing else in the program would happen. So where the loop has been kept long enough,
the rest waits. Who is alone goes on after a round of the loop; several take turns, one piece of work in each round.
What is sent has every second round, however many others there are: strangers can have as many lanes as they like.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

#: Seconds of work for which the loop may be kept until what is left waits. What other programs do on the same
#: processor does not count: a pause would not bring it back, and on a busy machine every stanza would make one.
LONGEST: Final = 0.01


@dataclass(slots=True)
class Turns:
    """Knows how long the event loop has been kept, and lets work wait for its rounds."""

    xmpp: Any
    now: Callable[[], float] = time.thread_time
    #: Since when the loop has done nothing else, as far as is known.
    _since: float | None = None
    #: Who waits: the sending loop, and all others.
    _sending: deque[asyncio.Future[None]] = field(default_factory=deque)
    _asking: deque[asyncio.Future[None]] = field(default_factory=deque)
    #: Whose the last round was.
    _was_sending: bool = False

    def is_due(self) -> bool:
        """Tell whether what is not begun yet should wait; asked before each piece of work.

        Never without a connection: what a program hands to the filters itself is done at once.
        """
        if self.xmpp.transport is None:
            return False
        if self._since is None:
            self._since = self.now()
            asyncio.get_running_loop().call_soon(self._turned)
            return False
        return self.now() - self._since > LONGEST

    def must_pause(self) -> bool:
        """Tell whether who has more to do must `wait` first: it is due, or others wait."""
        return self.is_due() or bool(self._asking or self._sending)

    async def pause(self) -> None:
        """Return when who has more to do may go on."""
        if self.must_pause():
            await self.wait()

    def _turned(self) -> None:
        self._since = None

    async def wait(self, *, sends: bool = False) -> None:
        """Return when it is one's turn; `sends`: it is the sending loop that asks."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        if not self._asking and not self._sending:
            loop.call_soon(self._next)
        (self._sending if sends else self._asking).append(turn)
        await turn

    def _next(self) -> None:
        """Give somebody a turn: by turns the sending loop and the others, as long as both wait."""
        first, second = (self._asking, self._sending) if self._was_sending else (self._sending, self._asking)
        for waiting in (first, second):
            if _give_turn(waiting):
                self._was_sending = waiting is self._sending
                break
        if self._asking or self._sending:
            asyncio.get_running_loop().call_soon(self._next)


def _give_turn(waiting: deque[asyncio.Future[None]]) -> bool:
    """Let the first one go on who still waits; tell whether there was one."""
    while waiting:
        turn = waiting.popleft()
        if not turn.done():  # else it was cancelled
            turn.set_result(None)
            return True
    return False
