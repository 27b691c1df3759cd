"""The event loop gets its turn, however much there is to do at once.

slixmpp hands over all stanzas of a chunk that it has read (up to 256 KiB, a hundred protected stanzas) in one go,
and sends all that a program has queued in one go. In clear that takes moments; what is protected takes about a
millisecond each, and meanwhile nothing else in the program would happen. So where the loop has been kept long enough,
the rest waits. Who is alone goes on after a round of the loop; several take turns, one piece of work in each round.
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
    _asking: deque[asyncio.Future[None]] = field(default_factory=deque)

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
        return self.is_due() or bool(self._asking)

    async def pause(self) -> None:
        """Return when who has more to do may go on."""
        if self.must_pause():
            await self.wait()

    def _turned(self) -> None:
        self._since = None

    async def wait(self) -> None:
        """Return when it is one's turn."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._asking.append(turn)
        if len(self._asking) == 1:
            loop.call_soon(self._next)
        await turn

    def _next(self) -> None:
        while self._asking:
            turn = self._asking.popleft()
            if not turn.done():  # else it was cancelled
                turn.set_result(None)
                break
        if self._asking:
            asyncio.get_running_loop().call_soon(self._next)
