"""What arrives: opening, judging, delivering or refusing, and answering (ARCHITECTURE invariants 8 to 15)."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element

from slixmpp import JID, Iq, Message, Presence

from slixmpp_e2e.errors import (
    CertificatesOnlyError,
    E2EError,
    MalformedError,
    RefusedError,
    StoreError,
    TimestampError,
)
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.namespaces import CLIENT, DELAY, E2E, E2E_MISSPELT, OBJENC
from slixmpp_e2e.outer import IN_ROOM, OPENED, PAYLOADS, find_payload, has_payload, read_outer
from slixmpp_e2e.plugin.answers import Answers
from slixmpp_e2e.plugin.certificate_requests import CertificateRequests
from slixmpp_e2e.plugin.downgrades import Downgrades
from slixmpp_e2e.plugin.exchanges import Exchanges, Request
from slixmpp_e2e.plugin.forwarded import Copy, Forwarded, find_copy
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.plugin.rooms import is_public
from slixmpp_e2e.plugin.stanza_ids import adopt_stanza_ids
from slixmpp_e2e.plugin.stanzas import (
    ReceiveFailure,
    Rejection,
    RejectionReason,
    Stanza,
    from_of,
    kind_of,
    own_jid,
    protected_stanza,
    report_of,
    stamp_of,
    to_of,
    type_of,
)
from slixmpp_e2e.policy import Level, Policy
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.stanza import Outer
from slixmpp_e2e.waiting import patiently

log = logging.getLogger(__name__)

_NAMES: Final[tuple[tuple[str, RejectionReason], ...]] = (
    ("unverified-signature", "unverified-signature"),
    ("signature-unverified", "unverified-signature"),
    ("decryption-failed", "decryption-failed"),
    ("bad-timestamp", "bad-timestamp"),
)
#: The application conditions of RFC 3923 7 and its appendix A, in all their spellings (ERRATA E02, E03).
_CONDITIONS: Final[dict[str, RejectionReason]] = {
    f"{{{namespace}}}{name}": reason for namespace in (E2E, E2E_MISSPELT, OBJENC) for name, reason in _NAMES
}


@dataclass(slots=True)
class Inbound:
    """Judges what arrives."""

    xmpp: Any
    protection: Protection
    opening: Opening
    policy: Policy
    exchanges: Exchanges
    answers: Answers
    forwarded: Forwarded
    requests: CertificateRequests
    downgrades: Downgrades
    stats: Counter[str]
    #: Called with the JID whose certificate is there now.
    on_learned: Callable[[JID], None]
    #: Deliver what is old, from the future or seen before, marked so.
    deliver_stale: bool = False
    #: Called with who was proven, and the format he used (`FormatChoice.heard`).
    on_format: Callable[[JID, str], None] = field(default=lambda _jid, _format: None)
    #: Answers questions that may be asked in clear, whatever the policy (`PublishedKeys.answer`).
    answers_in_clear: Callable[[Iq], bool] = field(default=lambda _iq: False)
    #: Answers those that would be refused because they are in clear (`AnnouncedFormats.answer`).
    answers_refused: Callable[[Iq], bool] = field(default=lambda _iq: False)

    async def judge(self, stanza: Stanza) -> Stanza | None:
        """Return what is to be delivered instead of a stanza: itself, what was in it, or None.

        Unless something has to be waited for (`Opening.waits`), it never waits.
        """
        try:
            for address in (from_of(stanza), to_of(stanza)):
                if address.bare:
                    bare(address)
        except ValueError:  # no server of good will lets that pass
            self.stats["refused_address"] += 1
            log.info("dropped a stanza whose addresses can't be compared: %a", stanza.xml.get("from"))
            if isinstance(stanza, Iq):
                self.answers.answer(stanza, RefusedError("its addresses can't be compared"))
            return None
        return await self._judge_addressed(stanza)

    async def _judge_addressed(self, stanza: Stanza) -> Stanza | None:
        if isinstance(stanza, Iq) and type_of(stanza) in {"result", "error"}:
            return await self._response(stanza)
        if isinstance(stanza, Message) and from_of(stanza).bare in {"", own_jid(self.xmpp).bare}:
            try:
                copy = find_copy(stanza)
            except E2EError as error:
                self.tell(stanza, error)
                return None
            if copy is not None:  # of whatever type: the carbon of an error is one, too
                return await self._copy(stanza, copy)
        if type_of(stanza) == "error":
            return self._bounce(stanza)
        is_opened = has_payload(stanza.xml) and type_of(stanza) in OPENED[kind_of(stanza)]
        if not is_opened or from_of(stanza).bare in self.exchanges.rooms:
            return await self._unprotected(stanza)
        try:
            inner = await self.open(stanza)
        except E2EError as error:
            return await self.refuse(stanza, error)
        report = report_of(inner)
        return None if report is not None and self.requests.take(inner, report) else inner

    # ------------------------------------------------------------------ protected

    async def open(self, stanza: Stanza, *, response: bool = False) -> Stanza:
        """Return the stanza inside a protected one; raise an `E2EError`."""
        if from_of(stanza).bare in self.exchanges.rooms:
            raise RefusedError(IN_ROOM, reason="unprotected")
        payload = find_payload(stanza.xml)
        outer = self._outer(stanza)
        allow_unsigned = self.policy.takes_unsigned(outer.sender, outer.kind)
        result = await self.opening.unprotect(
            payload, outer, delayed_since=self._delayed_since(stanza), allow_unsigned=allow_unsigned
        )
        adopt_stanza_ids(stanza.xml, result.stanza, {bare(outer.recipient)})
        inner = protected_stanza(self.xmpp, result.stanza, result.report)
        if isinstance(stanza, Iq) and not inner["id"]:
            raise MalformedError("an iq without id")
        if not response:
            self.exchanges.received(stanza, inner, encrypted=result.report.encrypted)
        self.stats["opened"] += 1
        if result.report.authenticated:
            self.downgrades.heard_protected(outer.sender)
            self.on_format(outer.sender, result.report.format)
        if result.learned:
            self.on_learned(outer.sender)
            self.xmpp.event("e2e_certificate_learned", result.report)
        return inner

    def _outer(self, stanza: Stanza) -> Outer:
        """Return what the servers vouch for; what has no `to` or no `from` is our own account's."""
        own = own_jid(self.xmpp).bare
        attributes = {**stanza.xml.attrib}
        for name in ("to", "from"):
            attributes[name] = attributes.get(name) or own
        return read_outer(Element(f"{{{CLIENT}}}{kind_of(stanza)}", attributes), self.protection.jids)

    def _delayed_since(self, stanza: Stanza) -> int | None:
        """Return when our own server stored a message (XEP-0203); what others say of it does not count."""
        own = own_jid(self.xmpp)
        if not isinstance(stanza, Message):
            return None
        ours = {own.domain, own.bare, own.full}
        return stamp_of(
            [each for each in stanza.xml.findall(f"{{{DELAY}}}delay") if each.get("from") in ours]
        )

    async def refuse(self, stanza: Stanza, error: E2EError) -> Stanza | None:
        """Tell the program, answer where that is due, and deliver nothing (but see `deliver_stale`)."""
        stale = None
        if isinstance(error, TimestampError) and error.stale is not None:
            element, report = error.stale
            stale = protected_stanza(self.xmpp, element, report)
            if self.deliver_stale and not isinstance(stanza, Iq):
                return stale
        if isinstance(error, CertificatesOnlyError):
            self.stats["certificates_only"] += 1
            if error.learned:
                self.on_learned(from_of(stanza))
        else:
            self.tell(stanza, error, stale)
        if error.reason == "seen" and self._delayed_since(stanza) is not None:
            return None  # our server delivered it twice (XEP-0198): an answer would say that it never did
        takes_unsigned = (
            self.policy.takes_unsigned(from_of(stanza), kind_of(stanza)) if from_of(stanza).bare else False
        )
        try:
            await patiently(lambda: self.answers.answer(stanza, error, silent=takes_unsigned))
        except StoreError as unknown:  # whether he may be told: so he is not
            log.info("%s is not answered: %s", stanza.xml.get("from"), unknown.summary())
        return None

    def tell(self, stanza: Stanza, error: E2EError, stale: Stanza | None = None) -> None:
        """Tell the program that a stanza was not delivered."""
        self.stats[f"refused_{error.reason}"] += 1
        log.info("refused a stanza from %s: %s", stanza.xml.get("from"), error.summary())
        skew = error.skew if isinstance(error, TimestampError) else None
        self.xmpp.event("e2e_error", ReceiveFailure(stanza, error, stale, skew))
        if error.reason == "certificate-changed":
            self.xmpp.event("e2e_certificate_changed", ReceiveFailure(stanza, error))

    # ------------------------------------------------------------------ forwarded by our own account

    async def _copy(self, wrapper: Message, copy: Copy) -> Message | None:
        """Return a carbon or archive result with what was in it; it is never answered."""
        try:
            opened = await self.forwarded.open(wrapper, copy, stored=self._delayed_since(wrapper))
        except E2EError as error:
            self.tell(wrapper, error)
            return wrapper if self.forwarded.is_shown_unopened(copy) else None
        self.stats["opened_copies"] += opened is not wrapper
        return opened

    # ------------------------------------------------------------------ unprotected

    async def _unprotected(self, stanza: Stanza) -> Stanza | None:
        sender = from_of(stanza)
        if not sender.bare or isinstance(stanza, Presence):
            return stanza  # from our own account; presence is reported as what it is (ARCHITECTURE, policies)
        if isinstance(stanza, Iq) and self.answers_in_clear(stanza):
            return None
        kind = kind_of(stanza)
        public = is_public(stanza, self.exchanges.rooms, self.policy)
        if public or not self.policy.must_be_protected(sender, kind):
            if self.may_be_downgrade(stanza):
                await self.downgrades.heard_clear(stanza)
            self.exchanges.received_clear(stanza)
            return stanza
        if isinstance(stanza, Iq) and self.answers_refused(stanza):
            return None
        return await self.refuse(
            stanza, RefusedError("it came unprotected, which the policy forbids", reason="unprotected")
        )

    def may_be_downgrade(self, stanza: Stanza) -> bool:
        """Tell whether a clear stanza is worth a word: from somebody with whom something else is wanted.

        Raises `ValueError` for a sender whose address can't be compared.
        """
        sender = from_of(stanza)
        return (
            bool(sender.bare)
            and self.downgrades.speaks(stanza)
            and self.policy.level(sender, kind_of(stanza)) is not Level.OFF
        )

    def _bounce(self, stanza: Stanza) -> Stanza:
        """Return an error for a message or presence of ours, with the id that the program knows."""
        inner_id = self.exchanges.inner_id(stanza["id"])
        if inner_id is not None:
            stanza["id"] = inner_id
        self._after_error(stanza, known=inner_id is not None)
        return stanza

    def _after_error(self, stanza: Stanza, *, known: bool) -> None:
        """See what an error says about a stanza of ours; `known`: it bears the id of one that we sent.

        What others say, who can't know such an id, changes nothing of what we send, and costs us nothing.
        """
        for echo in [child for child in stanza.xml if child.tag in PAYLOADS]:
            stanza.xml.remove(echo)  # it is never opened (ERRATA E04)
        error = stanza.xml.find(f"{{{stanza.namespace}}}error")
        found = (
            [_CONDITIONS[each.tag] for each in error if each.tag in _CONDITIONS] if error is not None else []
        )
        if not found or not known:
            return
        if found[0] != "bad-timestamp":
            self.protection.forget_inclusion(from_of(stanza))
        self.stats["rejected"] += 1
        self.xmpp.event("e2e_rejected", Rejection(stanza, found[0]))

    # ------------------------------------------------------------------ responses

    async def _response(self, iq: Iq) -> Stanza | None:
        """Return the response that an awaiting `iq.send()` gets (ARCHITECTURE invariant 5)."""
        request = self.exchanges.request(iq["id"])
        if request is None:
            if has_payload(iq.xml) or self.exchanges.is_guarded(iq["id"]):
                self.stats["refused_response"] += 1
                return None
            return iq
        if not self._may_answer(iq, request):
            return None
        if has_payload(iq.xml) and iq["from"] == request.peer:
            try:
                inner = await self.open(iq, response=True)
                if inner["id"] == request.inner_id:
                    self.exchanges.answered(iq["id"])
                    return inner
                raise MalformedError("the response is to another request")
            except E2EError as error:
                if type_of(iq) == "result":
                    self.exchanges.answered(iq["id"])
                    await self.refuse(iq, error)
                    return self.exchanges.local_error(request, "not-acceptable", error.diagnostics())
        self.exchanges.answered(iq["id"])
        if type_of(iq) == "error":  # not authenticated: all that it can do is end the waiting
            iq["id"] = request.inner_id
            self._after_error(iq, known=True)
            return iq
        clear = RefusedError("a protected request was answered in clear", reason="unprotected")
        await self.refuse(iq, clear)
        return self.exchanges.local_error(request, "not-acceptable", clear.diagnostics())

    def _may_answer(self, iq: Iq, request: Request) -> bool:
        own = own_jid(self.xmpp)
        peer = request.peer
        return iq["from"].full in {peer.full, peer.bare, peer.domain, own.bare, own.domain, ""}
