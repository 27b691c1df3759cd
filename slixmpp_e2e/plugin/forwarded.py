"""Stanzas in stanzas: carbons (XEP-0280) and results from our archive (XEP-0313), opened in place.

Only what our own account wraps is opened, and nothing of it is ever answered (ARCHITECTURE invariant 12). The
stanza inside is replaced by what was in its protection, and the report stands beside that one: the wrapper is
as unprotected as it came. What can't be opened stays as it is, `<e2e/>` and all.
"""

from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element

from slixmpp import JID, Message

from slixmpp_e2e.errors import MalformedError, RefusedError, SignatureError
from slixmpp_e2e.media.addresses import bare, read_jid
from slixmpp_e2e.namespaces import CLIENT, DELAY
from slixmpp_e2e.outer import OPENED, find_payload, has_payload
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.plugin.rooms import Rooms
from slixmpp_e2e.plugin.stanza_ids import adopt_stanza_ids
from slixmpp_e2e.plugin.stanzas import forwarding_message, stamp_of
from slixmpp_e2e.policy import Policy
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.stanza import KINDS, Outer, remap, stanza_type

_FORWARDED: Final = "{urn:xmpp:forward:0}forwarded"
_WRAPPERS: Final = {
    "{urn:xmpp:carbons:2}received": "carbon_received",
    "{urn:xmpp:carbons:2}sent": "carbon_sent",
    "{urn:xmpp:mam:2}result": "mam_result",
}
_CARBONS: Final = frozenset(tag for tag in _WRAPPERS if tag.startswith("{urn:xmpp:carbons:2}"))
#: Which address of a forwarded message is ours.
_OURS: Final = {"carbon_received": ("to",), "carbon_sent": ("from",), "mam_result": ("from", "to")}
_STANZAS: Final = frozenset({f"{{{CLIENT}}}{kind}" for kind in KINDS})


@dataclass(frozen=True, slots=True)
class Copy:
    """A message that was forwarded to us, and how."""

    #: slixmpp's name for it: `carbon_received`, `carbon_sent`, `mam_result`.
    kind: str
    #: The element around the message.
    forwarded: Element
    message: Element

    @property
    def peer(self) -> str:
        """Who talks with us in a carbon; empty for the result of an archive."""
        if self.kind == "mam_result":
            return ""
        return self.message.get("to" if self.kind == "carbon_sent" else "from", "")

    @property
    def stored(self) -> int | None:
        """When the server says that it had the message first."""
        return stamp_of(self.forwarded.findall(f"{{{DELAY}}}delay"))


def find_copy(wrapper: Message) -> Copy | None:
    """Return what a message of our own account wraps, or None if it is no carbon and no result of an archive.

    Raises `MalformedError` if it wraps several: which one a report would stand beside is then not clear. And
    for a carbon that another client of our account has made: slixmpp would take it for our server's.
    """
    wrapping = [child for child in wrapper.xml if child.tag in _WRAPPERS]
    if not wrapping:
        return None
    forwarded = wrapping[0].findall(_FORWARDED)
    messages = [each for part in forwarded for each in part if each.tag in _STANZAS]
    if len(wrapping) > 1 or len(forwarded) > 1 or len(messages) > 1:
        raise MalformedError("several stanzas are forwarded at once")
    if wrapper["from"].resource:
        if wrapping[0].tag in _CARBONS:  # XEP-0280 11
            raise MalformedError("a carbon that is not from our account's bare JID")
        return None
    if not messages or messages[0].tag != f"{{{CLIENT}}}message":
        return None
    return Copy(_WRAPPERS[wrapping[0].tag], forwarded[0], messages[0])


@dataclass(slots=True)
class Forwarded:
    """Opens what our own account forwards to us."""

    xmpp: Any
    protection: Protection
    opening: Opening
    policy: Policy
    rooms: Rooms = field(default_factory=Rooms)

    async def open(self, wrapper: Message, copy: Copy, *, stored: int | None) -> Message:
        """Return a wrapper with the opened message in it, or the same one if there is nothing to open.

        `stored` is when our server says that it stored the wrapper. Raises an `E2EError`: then there is
        something that must not be shown as it is (`is_shown_unopened` tells what may).
        """
        is_opened = stanza_type(copy.message) in OPENED["message"] and not self._is_of_room(copy)
        if not is_opened or not has_payload(copy.message):
            self._check_clear(copy)
            return wrapper
        outer = self._outer(copy)
        result = await self.opening.unprotect(
            find_payload(copy.message),
            outer,
            delayed_since=copy.stored if copy.stored is not None else stored,
            archived=copy.kind == "mam_result",
            allow_unsigned=self.policy.takes_unsigned(outer.sender, outer.kind),
        )
        adopt_stanza_ids(copy.message, result.stanza, self.protection.jids)
        remap(result.stanza, CLIENT, self.xmpp.default_ns)
        copy.forwarded.remove(copy.message)
        copy.forwarded.append(result.stanza)
        opened: Message = forwarding_message(self.xmpp, wrapper.xml, copy.kind, result.report)
        return opened

    def is_shown_unopened(self, copy: Copy) -> bool:
        """Tell whether a copy that could not be opened is handed over as it is.

        An archive is read by who asked for it; a carbon looks like a message that arrived or that we sent, so
        one from a peer who must send protected is not.
        """
        return not self._must_be_protected(copy)

    def _check_clear(self, copy: Copy) -> None:
        if self._must_be_protected(copy):
            raise RefusedError("it came unprotected, which the policy forbids", reason="unprotected")

    def _must_be_protected(self, copy: Copy) -> bool:
        if copy.kind == "mam_result" or stanza_type(copy.message) == "error":
            return False
        try:
            sender = JID(copy.message.get("from", ""))
            if copy.kind == "carbon_sent":
                return bare(sender) not in self.protection.jids  # then we did not send it
            return self.policy.must_be_protected(sender, "message")
        except ValueError:
            return True

    def _is_of_room(self, copy: Copy) -> bool:
        """Tell whether a copy is of what somebody in a room said to us, or we to him."""
        try:
            return any(JID(copy.message.get(side, "")).bare in self.rooms for side in ("from", "to"))
        except ValueError:
            return False  # `_outer` refuses it

    def _outer(self, copy: Copy) -> Outer:
        """Return who wrote to whom: somebody to us, or another client of ours to somebody."""
        message = copy.message
        try:
            sender, recipient = JID(message.get("from", "")), JID(message.get("to", ""))
            bare(sender), bare(recipient)  # whoever else it is has to be somebody, too
            names = [bare(read_jid(message.get(side, ""))) for side in _OURS[copy.kind]]
        except ValueError:
            raise MalformedError("a forwarded message without comparable addresses") from None
        if self.protection.jids.isdisjoint(names):
            raise SignatureError("it is neither from us nor to us", reason="other-recipient")
        return Outer("message", stanza_type(message), message.get("id", ""), sender, recipient)
