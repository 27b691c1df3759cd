"""The server's half of stream management (XEP-0198): counters and a queue, no input or output."""

import copy
import re
from collections import deque
from xml.etree.ElementTree import Element

from .parser import StreamError

_MODULUS = 2**32
_COUNTER = re.compile(r"[0-9]{1,10}")


class StreamManagement:
    """What one session handled, and what its client has not yet acknowledged.

    `token` is the id by which the client may resume the session; None if it may not.
    """

    def __init__(self, token: str | None) -> None:
        self.token = token
        self._handled = 0
        self._acknowledged = 0
        self._unacknowledged: deque[Element] = deque()
        self._requested = False

    @property
    def handled(self) -> int:
        """The `h` that the server reports: stanzas received from the client, modulo 2^32."""
        return self._handled

    @property
    def unacknowledged(self) -> list[Element]:
        """What would be sent again on resumption, oldest first."""
        return list(self._unacknowledged)

    def count_received(self) -> None:
        """Count a stanza that came from the client."""
        self._handled = (self._handled + 1) % _MODULUS

    def keep(self, stanza: Element, *, mark: Element) -> None:
        """Keep a stanza until the client acknowledges it, with a mark of when it was first sent.

        Prosody does the same: whatever is sent again on resumption carries a `<delay/>`, even if it was on
        its way when the connection broke. An iq and a stanza that has such a mark already are kept as they are.
        """
        kept = copy.deepcopy(stanza)
        if not kept.tag.endswith("}iq") and kept.find(mark.tag) is None:
            kept.append(mark)
        self._unacknowledged.append(kept)

    def acknowledge(self, h: str | None) -> None:
        """Take the client's `h`; raises `StreamError` if it isn't a number or acknowledges the unsent."""
        if h is None or not _COUNTER.fullmatch(h):
            raise StreamError("invalid-xml")
        newly = (int(h) - self._acknowledged) % _MODULUS
        if newly > len(self._unacknowledged):
            raise StreamError("undefined-condition")  # XEP-0198 4: handled-count-too-high
        for _ in range(newly):
            self._unacknowledged.popleft()
        self._acknowledged = int(h) % _MODULUS
        self._requested = False

    def must_request(self) -> bool:
        """Say whether an `<r/>` is due: something is unacknowledged and no request is under way."""
        due = bool(self._unacknowledged) and not self._requested
        self._requested = self._requested or due
        return due
