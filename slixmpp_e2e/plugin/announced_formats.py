"""Which formats a peer says that it reads: by service discovery (XEP-0030), or by entity capabilities (XEP-0115).

What slixmpp has learned from capabilities is used first. Only where that is nothing is the peer asked, a full JID
alone, outside the filters: what is to be sent waits meanwhile (ARCHITECTURE invariant 3). The question is in
clear, whatever the policy, because nothing is known yet that it could be written in. It says no more than that we are
about to write; the answer is what every client announces.

Nobody signs an answer: a server may say what it likes. So it decides between formats alone, never whether something
is signed or encrypted, and what a peer was proven to use counts for more (`FormatChoice`).
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp import JID, Iq
from slixmpp.exceptions import XMPPError

from slixmpp_e2e.leaving import Format
from slixmpp_e2e.namespaces import DISCO_INFO, E2E, OBJENC
from slixmpp_e2e.plugin.pubkeys import SECONDS, ask
from slixmpp_e2e.plugin.stanzas import mark_sealed, new_iq
from slixmpp_e2e.tables import SharedTable
from slixmpp_e2e.waiting import NotYet

log = logging.getLogger(__name__)

#: The features that formats are announced by.
FEATURES: Final[dict[Format, str]] = {"rfc3923": E2E, "objenc": OBJENC}
_QUERY: Final = f"{{{DISCO_INFO}}}query"
_FEATURE: Final = f"{{{DISCO_INFO}}}feature"
#: Seconds that an answer counts, and that nobody is asked again who gave none.
_LASTS: Final = 600
_PAUSE: Final = 60
_JIDS: Final = 4096
#: Resources of a bare JID that are looked at.
_RESOURCES: Final = 16

Formats = frozenset[Format]
_NONE: Final[Formats] = frozenset()


@dataclass(slots=True)
class AnnouncedFormats:
    """Finds out what peers read, and says what we read."""

    xmpp: Any
    stats: Counter[str]
    #: What we read ourselves.
    ours: Collection[str]
    now: Callable[[], float] = time.monotonic
    #: Seconds that somebody has for his answer.
    patience: float = SECONDS
    _known: SharedTable[str, Formats] = field(init=False)
    _silent: SharedTable[str, bool] = field(init=False)
    _asking: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _is_closed: bool = False

    def __post_init__(self) -> None:
        self._known = SharedTable(_LASTS, _JIDS, self.now)
        self._silent = SharedTable(_PAUSE, _JIDS, self.now)

    def __len__(self) -> int:
        return len(self._known) + len(self._silent) + len(self._asking)

    def of(self, jid: JID) -> Formats:
        """Return what a JID says that it reads, nothing where that can't be known; raise `NotYet`.

        Of a bare JID: what all of its resources say that are known and announced something.
        """
        known = self._known.get(jid.full)
        if known is not None:
            return known
        if self._is_closed or self._silent.get(jid.full):
            return _NONE
        raise NotYet(lambda: self._find(jid))

    def close(self) -> None:
        """Stop asking: whoever waits for an answer goes on without."""
        self._is_closed = True
        for task in self._asking.values():
            task.cancel()
        self._asking.clear()

    # ------------------------------------------------------------------ finding out

    async def _find(self, jid: JID) -> None:
        """Have an entry for a JID; several that wait for one ask once."""
        if self._is_closed:
            return
        task = self._asking.get(jid.full)
        if task is None:
            task = self._asking[jid.full] = asyncio.get_running_loop().create_task(self._look(jid))
            task.add_done_callback(lambda _: self._asking.pop(jid.full, None))
        await asyncio.wait([task])

    async def _look(self, jid: JID) -> None:
        found = _NONE
        try:
            found = await self._learned(jid) if jid.resource else await self._of_all_resources(jid)
            if not found and jid.resource:
                found = await self._asked(jid)
        except Exception:  # a program may have handlers of its own behind slixmpp's plugins
            log.exception("what %s reads was not found out", jid)
        finally:
            if found:
                self._known.put(jid.full, found, jid.bare)
            else:
                self._silent.put(jid.full, True, jid.bare)

    async def _of_all_resources(self, account: JID) -> Formats:
        """Return what is known without a question: a message to a bare JID may reach any of them."""
        if self.xmpp.is_component:
            return _NONE
        resources = tuple(self.xmpp.client_roster[account.bare].resources)[:_RESOURCES]
        said = [await self._learned(JID(f"{account.bare}/{each}")) for each in resources]
        return frozenset.intersection(*filter(None, said)) if any(said) else _NONE

    async def _learned(self, jid: JID) -> Formats:
        """Return what capabilities have said that stood in a presence; nobody is asked.

        What `xep_0030` keeps is not looked at: it keeps it for ever, and the client may be another one by now.
        """
        if "xep_0115" not in self.xmpp.plugin:
            return _NONE
        info = await self.xmpp.plugin["xep_0115"].get_caps(jid)
        return _NONE if info is None else _formats(info["features"])

    async def _asked(self, jid: JID) -> Formats:
        self.stats["formats_asked_for"] += 1
        try:
            answer = await ask(self.xmpp, "get", jid, Element(_QUERY), self.patience)
        except XMPPError:  # refused, or not answered in time
            return _NONE
        return _formats(each.get("var", "") for each in answer.findall(f"{_QUERY}/{_FEATURE}"))

    # ------------------------------------------------------------------ being asked

    def answer(self, iq: Iq) -> bool:
        """Tell whether a clear request asks what we understand; it is answered then, with our formats alone.

        It is for requests that a policy refuses because they are in clear, which is answered as well: so that we are
        here is no secret, and what we read stands in our presence (XEP-0115). The program's own features don't.
        """
        asked = iq.xml[0] if len(iq.xml) == 1 else None
        if iq.xml.get("type") != "get" or asked is None or asked.tag != _QUERY or asked.get("node"):
            return False
        answer = new_iq(self.xmpp, "result", iq["id"])
        answer["to"] = iq["from"]
        if self.xmpp.is_component:
            answer["from"] = iq["to"]
        query = SubElement(answer.xml, _QUERY)
        category = "component" if self.xmpp.is_component else "client"
        kind = "generic" if self.xmpp.is_component else "pc"
        SubElement(query, f"{{{DISCO_INFO}}}identity", {"category": category, "type": kind})
        said = [DISCO_INFO, *(FEATURES[each] for each in FEATURES if each in self.ours)]
        for feature in said:
            SubElement(query, _FEATURE, {"var": feature})
        mark_sealed(answer)  # it is public
        self.stats["formats_told"] += 1
        self.xmpp.send(answer)
        return True


def _formats(features: Iterable[str]) -> Formats:
    said = frozenset(features)
    return frozenset(each for each, feature in FEATURES.items() if feature in said)
