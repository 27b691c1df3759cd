"""What slixmpp loses or disorders around XEP-0198 resumption, and how it is made good.

slixmpp resends what was not acknowledged *behind* what was sent meanwhile, but keeps it in its list *before*
that; after a second cut it then drops the wrong stanza. So the unacknowledged ones are put on the way here, at
once when the server says `<resumed/>`, and are kept away from slixmpp's own loop until that has run.
What waited long is sealed again, so that its timestamp is fresh. When the server refuses the resumption, or a
new session begins without one, what it did not confirm is reported to the program, instead of disappearing.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element

from slixmpp_e2e.errors import LocalError, UnconfirmedError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.leaving import Format
from slixmpp_e2e.namespaces import SM
from slixmpp_e2e.outer import OBJENC_TAG, PAYLOADS
from slixmpp_e2e.plugin.stanzas import SendFailure, Stanza
from slixmpp_e2e.policy import Level

log = logging.getLogger(__name__)

_STALE: Final = 60 * SECOND
_SIZE: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Sealed:
    stanza: Stanza
    level: Level
    moment: int


@dataclass(slots=True)
class Resumption:
    """Remembers what was sealed until the server has it."""

    xmpp: Any
    now: Callable[[], int]
    #: Returns a new payload for a stanza, in the format of the old one (`Outbound._payload_again`).
    reseal: Callable[[Stanza, Level, Format], Element]
    _sealed: OrderedDict[str, _Sealed] = field(default_factory=OrderedDict)
    _unacknowledged: deque[tuple[int, Stanza]] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._sealed)

    def sealed(self, outer_id: str, stanza: Stanza, level: Level) -> None:
        """Remember what an outer stanza was made of, as long as the server has not acknowledged it."""
        if self._management is None or not self._management.enabled_out:
            return  # nobody will ever tell us that it arrived
        self._sealed[outer_id] = _Sealed(stanza, level, self.now())
        if len(self._sealed) > _SIZE:
            self._sealed.popitem(last=False)

    def acknowledged(self, stanza: Any) -> None:
        """Forget a stanza: the server has it (event `stanza_acked`)."""
        self._sealed.pop(stanza["id"], None)

    def observe(self, element: Any) -> None:
        """See the answer of stream management before slixmpp does."""
        if self._management is None:
            return
        if element.xml.tag == f"{{{SM}}}resumed":
            self._resend(element)
        elif element.xml.tag == f"{{{SM}}}failed":
            self._report_unconfirmed()

    def begin(self) -> None:
        """Report what the last session leaves: a new one is asked for (`<enable/>`), and nobody will confirm it.

        Where a program wants no resumption, slixmpp forgets these stanzas now, and would go on counting where the
        last session ended, while the server begins with none.
        """
        management = self._management
        if management is not None:
            self._report_unconfirmed()
            management.seq = management.last_ack = 0

    @property
    def _management(self) -> Any:
        return self.xmpp.plugin.get("xep_0198", None)

    def _resend(self, resumed: Any) -> None:
        management = self._management
        management._handle_ack(resumed)  # noqa: SLF001 drops what the server has; slixmpp's own call finds nothing left
        for _, stanza in management.unacked_queue:
            self._refresh(stanza)
            self.xmpp.waiting_queue.put_nowait((stanza, False))
        # slixmpp is about to send the list again: it finds it empty, and gets it back when it is done
        self._unacknowledged = deque(management.unacked_queue)
        management.unacked_queue.clear()

    def resumed(self, _event: Any) -> None:
        """Give slixmpp its list back (event `session_resumed`, which it fires when it is done)."""
        if self._management is not None:
            self._management.unacked_queue.extendleft(reversed(self._unacknowledged))
        self._unacknowledged = deque()

    def _refresh(self, outer: Stanza) -> None:
        known = self._sealed.get(outer["id"])
        payload = next((each for each in outer.xml if each.tag in PAYLOADS), None)
        if known is None or payload is None or self.now() - known.moment < _STALE:
            return
        written_as: Format = "objenc" if payload.tag == OBJENC_TAG else "rfc3923"
        try:
            outer.xml[list(outer.xml).index(payload)] = self.reseal(known.stanza, known.level, written_as)
        except LocalError as error:
            log.warning("not sealed again for %s: %s", outer["to"], error.summary())

    def _report_unconfirmed(self) -> None:
        """Report what the server never acknowledged: slixmpp is about to forget it."""
        for _, outer in self._management.unacked_queue:
            known = self._sealed.pop(outer["id"], None)
            if known is not None:
                error = UnconfirmedError("the stream ended before the server confirmed the stanza")
                self.xmpp.event("e2e_send_failed", SendFailure(known.stanza, error))
