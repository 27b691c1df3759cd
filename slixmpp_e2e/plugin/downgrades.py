"""Peers who could protect, and don't: the program is told, and `required` refuses (ARCHITECTURE, policies).

Whoever is in between can suppress what is protected and send something in clear in its place, or make a certificate
look unusable. Where the policy lets clear stanzas pass, that is at least to be seen.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from slixmpp import JID, Presence

from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.plugin.stanzas import Downgrade, Stanza, type_of
from slixmpp_e2e.tables import Recent, Table

_PEERS: Final = 4096
#: Seconds until the program is told again that what leaves for somebody leaves in clear, or it is looked up again.
_PAUSE: Final = 600
#: Types that say something on their own: not errors, rooms, or answers that are as clear as their questions.
_SPEAKING: Final = frozenset({"normal", "chat", "headline", "get", "set"})


@dataclass(slots=True)
class Downgrades:
    """Notices who speaks clear that used to protect, or whose certificate we hold."""

    xmpp: Any
    opening: Opening
    stats: Counter[str]
    now: Callable[[], float] = time.monotonic
    #: By bare JID: True, the last that was heard was protected; False, the program knows that it is clear now.
    _protects: Recent[str, bool] = field(default_factory=lambda: Recent(_PEERS))
    _left: Table[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        self._left = Table(_PAUSE, _PEERS, self.now)

    def __len__(self) -> int:
        return len(self._protects) + len(self._left)

    @staticmethod
    def speaks(stanza: Stanza) -> bool:
        """Tell whether a clear stanza would count: presence is sent to everybody, and so in clear."""
        return not isinstance(stanza, Presence) and type_of(stanza) in _SPEAKING

    def heard_protected(self, jid: JID) -> None:
        """Take note of somebody who was proven."""
        self._protects.put(bare(jid), True)

    async def heard_clear(self, stanza: Stanza) -> None:
        """Tell the program if a clear stanza is from somebody who could protect: once, until he does again."""
        sender: JID = stanza["from"]
        name = bare(sender)
        protected = self._protects.get(name)
        if protected is False or not self.speaks(stanza):
            return
        if protected is None:
            with suppress(StoreError):  # clear stanzas are let through without asking anybody
                protected = await self.opening.can_encrypt_to(sender)
        if protected:
            used_to = self._protects.get(name) is True
            self._protects.put(name, False)
            self._tell(Downgrade(stanza, "in", used_to_protect=used_to))

    def leaves_clear(self, stanza: Stanza) -> None:
        """Tell the program if a stanza leaves in clear though there are certificates: none of them can be used.

        May raise `NotYet` or `StoreError`.
        """
        name = bare(stanza["to"])
        if self._left.get(name) or not self.speaks(stanza):
            return
        known = any(True for _ in self.opening.protection.peers.of(name))
        self._left.put(name, True)
        if known:
            self._tell(Downgrade(stanza, "out", used_to_protect=self._protects.get(name) is True))

    def _tell(self, downgrade: Downgrade) -> None:
        self.stats["downgraded"] += 1
        self.xmpp.event("e2e_downgraded", downgrade)
