"""The stream is not read while too much waits: of what came (`Lanes`), or of what is to leave.

Whoever sends requests has them answered, and answers leave one by one: if reading went on, who sends fast enough
would make slixmpp's queue grow for as long as he goes on. The server holds back what is not read.
"""

from dataclasses import dataclass
from typing import Any, Final

#: How many stanzas are queued when the stream is no longer read, and when it is again.
MOST_QUEUED: Final = 1000
_RELIEVED: Final = 500


@dataclass(slots=True)
class Reading:
    """Pauses and resumes reading."""

    xmpp: Any
    _is_full: bool = False
    _is_queue_full: bool = False
    _is_closed: bool = False

    def lanes_are_full(self, full: bool) -> None:
        """Take note that too much of what came waits, or no more (`Lanes.on_full`)."""
        self._is_full = full
        self._measure()
        self._tell()

    def came(self) -> None:
        """Look at the queue: what has come may be answered."""
        was_full = self._is_queue_full
        self._measure()
        if was_full or self._is_queue_full:  # also where it was before: the connection may be another one
            self._tell()

    def left(self) -> None:
        """Look at the queue: something was taken out."""
        if self._is_queue_full:
            self._measure()
            if not self._is_queue_full:
                self._tell()

    def close(self) -> None:
        """Read, whatever is queued: nobody looks at it any more."""
        self._is_closed = True
        if self._is_queue_full:
            self._measure()
            self._tell()

    def _measure(self) -> None:
        queued = 0 if self._is_closed else self.xmpp.waiting_queue.qsize()
        self._is_queue_full = queued >= MOST_QUEUED or (self._is_queue_full and queued > _RELIEVED)

    def _tell(self) -> None:
        transport = self.xmpp.transport
        if transport is None:
            return
        if self._is_full or self._is_queue_full:
            transport.pause_reading()
        else:
            transport.resume_reading()
