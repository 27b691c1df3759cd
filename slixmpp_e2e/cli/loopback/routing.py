"""Where a stanza goes (RFC 6120 10, RFC 6121 8): sessions, accounts, components, the server itself."""

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable
from copy import copy
from datetime import datetime
from typing import Protocol
from xml.etree.ElementTree import Element

from slixmpp import JID
from slixmpp.jid import InvalidJID

from . import carbons, services
from .connection import StreamConnection
from .session import Session
from .stanzas import IQ, MESSAGE, PRESENCE, SUBSCRIPTION_TYPES, bare, delay, error, is_request

#: Sees every stanza before it is routed, and owns it. What it returns is routed instead: nothing, another
#: stanza, or several. None: the stanza goes on, with whatever the hook changed in it.
RouteHook = Callable[[Element], Iterable[Element] | None]


class Recipient(Protocol):
    """Somebody who takes stanzas."""

    def deliver(self, stanza: Element) -> None:
        """Take a stanza; its sender keeps it, so it may not be changed."""


class Router:
    """The sessions of a server, and the rules by which stanzas find them.

    Accounts have no contacts: undirected presence goes to the account's own resources only.
    """

    def __init__(
        self,
        *,
        domain: str,
        accounts: Container[str],
        component_domains: Collection[str],
        clock: Callable[[], datetime],
    ) -> None:
        self.domain = domain
        self.sessions: dict[str, Session] = {}
        self.on_route: RouteHook | None = None
        self._accounts = accounts
        self._component_domains = component_domains
        self._components: dict[str, Recipient] = {}
        self._offline: defaultdict[str, list[Element]] = defaultdict(list)
        self._clock = clock

    # ------------------------------------------------------------------ who is there

    def bind(self, jid: JID, connection: StreamConnection) -> Session:
        """Begin a session; an older one of the same full JID ends (RFC 6120 7.7.2.2)."""
        older = self.sessions.get(jid.full)
        if older is not None:
            displaced, older.connection = older.connection, None
            self.end(older)
            if displaced is not None:
                displaced.fail("conflict")
        session = Session(jid, connection, clock=self._clock)
        self.sessions[session.jid] = session
        return session

    def resumable(self, account: str, token: str | None) -> Session | None:
        """Find the session of an account that has this token."""
        for session in self._resources(account):
            if session.resumable and session.management is not None and session.management.token == token:
                return session
        return None

    def end(self, session: Session) -> None:
        """End a session: tell who saw it, and deliver elsewhere what its client never acknowledged."""
        del self.sessions[session.jid]
        witnesses = set(session.directed)
        if session.presence is not None:
            witnesses.update(other.jid for other in self._resources(session.account))
        for address in witnesses:
            self.route(Element(PRESENCE, {"type": "unavailable", "from": session.jid, "to": address}))
        session.presence = None
        for stanza in session.management.unacknowledged if session.management is not None else ():
            if stanza.tag == MESSAGE and stanza.find(f"{{{carbons.CARBONS}}}*") is None:
                self._message_to_account(stanza, session.account)
            elif is_request(stanza):
                self._bounce(stanza, "service-unavailable")

    def connect_component(self, domain: str, component: Recipient) -> bool:
        """Take a component into the routing; False if its domain is taken."""
        return self._components.setdefault(domain, component) is component

    def disconnect_component(self, domain: str) -> None:
        """Take a component out of the routing."""
        del self._components[domain]

    # ------------------------------------------------------------------ what goes where

    def submit(self, stanza: Element, *, sender: str) -> None:
        """Take a stanza from a client or component; whatever `from` it claims, `sender` sent it."""
        about_account = stanza.tag == PRESENCE and stanza.get("type") in SUBSCRIPTION_TYPES
        stanza.set("from", bare(sender) if about_account else sender)
        if stanza.tag == IQ and (condition := _malformed_iq(stanza)):
            self._bounce(stanza, condition)
            return
        replaced = self.on_route(stanza) if self.on_route is not None else None
        for routed in (stanza,) if replaced is None else replaced:
            self.route(routed)

    def route(self, stanza: Element) -> None:
        """Deliver a stanza by its own `from` and `to`; undeliverable ones are answered or dropped."""
        sender = stanza.get("from", "")
        try:
            to = JID(stanza.get("to") or bare(sender))
        except InvalidJID:
            self._bounce(stanza, "jid-malformed")
            return
        if stanza.tag == PRESENCE and stanza.get("to") is None:
            self._broadcast(stanza, sender)
        elif to.domain in self._component_domains:
            self._to_component(stanza, to.domain)
        elif to.domain != self.domain:
            self._bounce(stanza, "remote-server-not-found")
        elif stanza.tag == MESSAGE:
            self._message(stanza, to)
        elif stanza.tag == PRESENCE:
            self._directed_presence(stanza, to)
        else:
            self._iq(stanza, to)

    def _to_component(self, stanza: Element, domain: str) -> None:
        component = self._components.get(domain)
        if component is None:
            self._bounce(stanza, "remote-server-timeout")
            return
        self._remember_directed(stanza)
        component.deliver(stanza)
        if stanza.tag == MESSAGE:
            self._send_carbons(stanza, received_by=[])

    def _message(self, message: Element, to: JID) -> None:
        session = self.sessions.get(to.full)
        if session is not None:
            session.deliver(message)
            received_by = [session]
        elif to.node:
            received_by = self._message_to_account(message, to.bare)
        else:
            return  # a message to the server itself has no reader
        self._send_carbons(message, received_by=received_by)

    def _message_to_account(self, message: Element, account: str) -> list[Session]:
        """Deliver to all available resources, or keep for later (RFC 6121 8.5.2); returns who got it."""
        kind = message.get("type", "normal")
        if kind == "error":
            return []
        recipients = [each for each in self._resources(account) if each.takes_messages_to_account]
        if kind == "groupchat" or account.partition("@")[0] not in self._accounts:
            self._bounce(message, "service-unavailable")
            return []
        for session in recipients:
            session.deliver(message)
        if not recipients and kind != "headline":
            kept = copy(message)
            kept.append(delay(self.domain, self._clock()))
            self._offline[account].append(kept)
        return recipients

    def _iq(self, iq: Element, to: JID) -> None:
        session = self.sessions.get(to.full)
        sender = iq.get("from", "")
        if session is not None:
            session.deliver(iq)
        elif not is_request(iq):
            return
        elif to.full in (self.domain, bare(sender)):
            answer = services.answer(iq, session=self.sessions.get(sender))
            if answer is not None:
                self._send(answer)
        else:
            self._bounce(iq, "service-unavailable")

    # ------------------------------------------------------------------ presence

    def _broadcast(self, presence: Element, sender: str) -> None:
        session = self.sessions.get(sender)
        if session is None or presence.get("type") not in (None, "unavailable"):
            return
        newcomer = session.presence is None
        session.presence = presence if presence.get("type") is None else None
        for other in self._resources(session.account):
            other.deliver(_addressed(presence, other.jid))
        if session.presence is None:
            for address in session.directed:
                self._directed_presence(_addressed(presence, address), JID(address))
            session.directed.clear()
        elif newcomer:
            for other in self._resources(session.account):
                if other is not session and other.presence is not None:
                    session.deliver(_addressed(other.presence, session.jid))
        if session.takes_messages_to_account:
            for message in self._offline.pop(session.account, ()):
                session.deliver(message)

    def _directed_presence(self, presence: Element, to: JID) -> None:
        self._remember_directed(presence)
        session = self.sessions.get(to.full)
        if session is not None:
            session.deliver(presence)
        elif not to.resource:
            for each in self._resources(to.bare):
                if each.presence is not None:
                    each.deliver(presence)

    def _remember_directed(self, stanza: Element) -> None:
        """Note who saw a session through directed presence (RFC 6121 4.6)."""
        session = self.sessions.get(stanza.get("from", ""))
        if stanza.tag != PRESENCE or session is None:
            return
        if stanza.get("type") is None:
            session.directed.add(stanza.get("to", ""))
        else:
            session.directed.discard(stanza.get("to", ""))

    # ------------------------------------------------------------------ the last step

    def _send_carbons(self, message: Element, *, received_by: Collection[Session]) -> None:
        if not carbons.eligible(message):
            return
        sender = message.get("from", "")
        done = {sender, *(session.jid for session in received_by)}
        accounts: tuple[tuple[carbons.Direction, str], ...] = (
            ("sent", bare(sender)),
            ("received", JID(message.get("to") or bare(sender)).bare),
        )
        for direction, account in accounts:
            for session in self._resources(account):
                if session.carbons and session.jid not in done:
                    session.deliver(carbons.copy_for(session.jid, message, direction, account))
                    done.add(session.jid)

    def _resources(self, account: str) -> list[Session]:
        return [session for session in self.sessions.values() if session.account == account]

    def _bounce(self, stanza: Element, condition: str) -> None:
        answer = error(stanza, condition)
        if answer is not None and stanza.tag != PRESENCE:
            self._send(answer)

    def _send(self, answer: Element) -> None:
        """Deliver the server's own answer; nobody is told if its recipient is gone."""
        address = answer.get("to", "")
        recipient = self.sessions.get(address) or self._components.get(bare(address).rpartition("@")[2])
        if recipient is not None:
            recipient.deliver(answer)


def _addressed(stanza: Element, address: str) -> Element:
    addressed = copy(stanza)
    addressed.set("to", address)
    return addressed


def _malformed_iq(iq: Element) -> str | None:
    """Return the condition that answers an iq which breaks RFC 6120 8.2.3."""
    if iq.get("type") not in ("get", "set", "result", "error") or iq.get("id") is None:
        return "bad-request"
    return "bad-request" if is_request(iq) and len(iq) != 1 else None
