"""Which failures are answered, and to whom (ARCHITECTURE invariant 14, RFC 3923 7, ERRATA E05, E37)."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from slixmpp import Iq

from slixmpp_e2e.errors import E2EError, RefusedError, RemoteError, StoreError
from slixmpp_e2e.outer import NEVER_ANSWERED
from slixmpp_e2e.plugin.stanzas import Stanza, error_stanza, mark_sealed, own_jid, type_of
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.stanza import MAX_ID
from slixmpp_e2e.tables import Table

#: Seconds from one answer to messages and presence of a bare JID to the next.
PAUSE: Final = 10
_SENDERS: Final = 10_000


@dataclass(slots=True)
class Answers:
    """Sends stanza errors."""

    xmpp: Any
    protection: Protection
    stats: Counter[str]
    #: Answer messages and presence at all; an iq is always answered (RFC 6120 8.2.3).
    enabled: bool = True
    now: Callable[[], float] = time.monotonic
    #: Bare JIDs that were answered a moment ago.
    _recent: Table[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        self._recent = Table(PAUSE, _SENDERS, self.now)

    def __len__(self) -> int:
        return len(self._recent)

    def forget(self) -> None:
        """Answer everybody as if nobody had been answered lately."""
        self._recent = Table(PAUSE, _SENDERS, self.now)

    def answer(self, stanza: Stanza, error: E2EError, *, silent: bool = False) -> None:
        """Answer a refused stanza, if it may be answered; one with an id of more than 1,024 characters never is.

        `silent`: unsigned content is accepted from this sender, so that an answer to what was encrypted would
        tell him whether it decrypted (ERRATA E29).
        """
        try:
            if type_of(stanza) in NEVER_ANSWERED or not stanza["from"].bare:
                return
            if len(stanza.xml.get("id", "")) > MAX_ID:  # our own server may not take what the peer's one did
                return
        except ValueError:  # no address at all
            return
        if not isinstance(error, RemoteError):
            # our store failed: the peer learns nothing of it, nor how far it was opened until then
            is_concealed = isinstance(error, StoreError) and error.concealed
            error = RefusedError("it could not be judged")
            if is_concealed:
                error.conceal()
        if not isinstance(stanza, Iq) and not self._may_be_told(stanza, error, silent=silent):
            return
        self.stats["answered"] += 1
        answer = error_stanza(self.xmpp, stanza, error)
        mark_sealed(answer)  # there is nothing in it to protect
        self.xmpp.send(answer)

    def _may_be_told(self, stanza: Stanza, error: RemoteError, *, silent: bool) -> bool:
        if not self.enabled or error.silent or (silent and error.concealed):
            return False
        sender = stanza["from"]
        if not (self._sees_our_presence(stanza) or self.protection.trusts_somebody_as(sender)):
            return False
        if self._recent.get(sender.bare):
            return False
        self._recent.put(sender.bare, True)
        return True

    def _sees_our_presence(self, stanza: Stanza) -> bool:
        roster = self.xmpp.roster
        own = stanza["to"].bare or own_jid(self.xmpp).bare
        peer = stanza["from"].bare
        # asking a roster for an unknown JID would add it
        return own in roster and peer in roster[own] and roster[own][peer]["subscription"] in {"from", "both"}
