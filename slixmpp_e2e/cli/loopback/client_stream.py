"""The server's side of one client stream: SASL PLAIN, resource binding, resumption, then stanzas."""

import base64
import secrets
from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp import JID
from slixmpp.jid import InvalidJID

from slixmpp_e2e.namespaces import CLIENT, LIMITS, SM, STANZAS, STREAMS

from .connection import StreamConnection
from .parser import StreamError, StreamOpened
from .routing import Router
from .session import Session
from .stanzas import IQ, error, is_stanza, result
from .stream_management import StreamManagement

_SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
_BIND: Final = "urn:ietf:params:xml:ns:xmpp-bind"

#: RFC 6120 6.4.5: a client may try again a few times.
_MAX_FAILURES: Final = 3


class ClientStream:
    """Takes one connection of a client from its stream header to its session."""

    namespace = CLIENT

    def __init__(self, connection: StreamConnection, *, router: Router, accounts: Mapping[str, str]) -> None:
        self._connection = connection
        self._router = router
        self._accounts = accounts
        self._account: str | None = None
        self._session: Session | None = None
        self._failures = 0

    def stream_opened(self, header: StreamOpened) -> None:
        """Answer with a header and the features of this stage."""
        self._connection.open_stream(self._router.domain)
        if header.attributes.get("to") != self._router.domain:
            raise StreamError("host-unknown")
        features = Element(f"{{{STREAMS}}}features")
        if self._account is None:
            mechanisms = SubElement(features, f"{{{_SASL}}}mechanisms")
            SubElement(mechanisms, f"{{{_SASL}}}mechanism").text = "PLAIN"
        else:
            SubElement(features, f"{{{_BIND}}}bind")
            SubElement(features, f"{{{SM}}}sm")
            limits = SubElement(features, f"{{{LIMITS}}}limits")
            SubElement(limits, f"{{{LIMITS}}}max-bytes").text = str(self._connection.max_stanza_size)
        self._connection.send(features)

    def element_received(self, element: Element) -> None:
        """Take the next step, whatever stage the stream is in."""
        if self._account is None:
            self._authenticate(element)
        elif self._session is None:
            self._start_session(element, self._account)
        else:
            self._in_session(element, self._session)

    def connection_lost(self, *, stream_closed: bool) -> None:
        """Keep the session for resumption, or end it."""
        session = self._session
        if session is None or session.connection is not self._connection:
            return  # none, or it went on over another connection
        session.connection = None
        if stream_closed or not session.resumable:
            self._router.end(session)

    # ------------------------------------------------------------------ SASL (RFC 6120 6)

    def _authenticate(self, element: Element) -> None:
        if element.tag != f"{{{_SASL}}}auth":
            raise StreamError("not-authorized")
        condition = self._check_plain(element)
        if condition is None:
            self._connection.send(Element(f"{{{_SASL}}}success"))
            self._connection.restart()
            return
        failure = Element(f"{{{_SASL}}}failure")
        SubElement(failure, f"{{{_SASL}}}{condition}")
        self._connection.send(failure)
        self._failures += 1
        if self._failures >= _MAX_FAILURES:
            raise StreamError("policy-violation")

    def _check_plain(self, auth: Element) -> str | None:
        """Log the account in (RFC 4616), or return the condition of the failure."""
        if auth.get("mechanism") != "PLAIN":
            return "invalid-mechanism"
        try:
            parts = base64.b64decode(auth.text or "", validate=True).decode().split("\0")
        except ValueError:
            return "incorrect-encoding"
        if len(parts) != 3:
            return "malformed-request"
        authorisation, localpart, password = parts
        account = f"{localpart}@{self._router.domain}"
        if self._accounts.get(localpart) != password or authorisation not in ("", account):
            return "not-authorized"
        self._account = account
        return None

    # ------------------------------------------------------------------ binding and resumption

    def _start_session(self, element: Element, account: str) -> None:
        if element.tag == f"{{{SM}}}resume":
            self._resume(element, account)
        elif element.tag == f"{{{SM}}}enable":
            self._refuse("unexpected-request")
        elif element.tag == IQ and (bind := element.find(f"{{{_BIND}}}bind")) is not None:
            self._bind(element, account, bind.findtext(f"{{{_BIND}}}resource") or secrets.token_hex(4))
        else:
            raise StreamError("not-authorized")  # RFC 6120 7.1

    def _bind(self, request: Element, account: str, resource: str) -> None:
        try:
            jid = JID(f"{account}/{resource}")
        except InvalidJID:
            refusal = error(request, "bad-request")
            if refusal is not None:
                self._connection.send(refusal)
            return
        self._session = self._router.bind(jid, self._connection)
        bound = Element(f"{{{_BIND}}}bind")
        SubElement(bound, f"{{{_BIND}}}jid").text = self._session.jid
        self._connection.send(result(request, [bound]))

    def _resume(self, request: Element, account: str) -> None:
        session = self._router.resumable(account, request.get("previd"))
        if session is None:
            self._refuse("item-not-found")
            return
        session.resume(self._connection, request.get("h"))
        self._session = session

    def _refuse(self, condition: str) -> None:
        failed = Element(f"{{{SM}}}failed")
        SubElement(failed, f"{{{STANZAS}}}{condition}")
        self._connection.send(failed)

    # ------------------------------------------------------------------ the session

    def _in_session(self, element: Element, session: Session) -> None:
        if is_stanza(element):
            if session.management is not None:
                session.management.count_received()
            self._router.submit(element, sender=session.jid)
            return
        match element.tag.removeprefix(f"{{{SM}}}"):
            case "r" if session.management is not None:
                self._connection.send(Element(f"{{{SM}}}a", {"h": str(session.management.handled)}))
            case "a":
                session.acknowledge(element.get("h"))
            case "enable" if session.management is None:
                self._enable(element, session)
            case "enable" | "resume":
                self._refuse("unexpected-request")
            case _:
                raise StreamError("unsupported-stanza-type")

    def _enable(self, request: Element, session: Session) -> None:
        resumable = request.get("resume") in ("true", "1")
        session.management = StreamManagement(secrets.token_hex(8) if resumable else None)
        enabled = Element(f"{{{SM}}}enabled")
        if session.management.token is not None:
            enabled.attrib.update({"id": session.management.token, "resume": "true"})
        self._connection.send(enabled)
