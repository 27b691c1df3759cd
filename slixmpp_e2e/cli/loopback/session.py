"""One resource of an account; it can outlive the connection that it was bound on."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from xml.etree.ElementTree import Element

from slixmpp import JID

from slixmpp_e2e.namespaces import CLIENT, SM

from .connection import StreamConnection
from .stanzas import delay
from .stream_management import StreamManagement

_REQUEST: Final = Element(f"{{{SM}}}r")


class Session:
    """A bound resource (RFC 6120 7): where it can be reached, and what it asked the server for.

    `presence` is the last available presence of the resource, None while it is unavailable; `connection` is
    None while the session waits to be resumed; `directed` holds the JIDs that were sent directed presence.
    """

    def __init__(self, jid: JID, connection: StreamConnection, *, clock: Callable[[], datetime]) -> None:
        self.jid: Final = jid.full
        self.account: Final = jid.bare
        self.connection: StreamConnection | None = connection
        self.management: StreamManagement | None = None
        self.presence: Element | None = None
        self.carbons = False
        self.directed: set[str] = set()
        self._clock = clock

    @property
    def resumable(self) -> bool:
        """Whether the client may come back to this session after its connection broke."""
        return self.management is not None and self.management.token is not None

    @property
    def takes_messages_to_account(self) -> bool:
        """Whether messages to the bare JID go here: available and not of negative priority (RFC 6121 8.5.2)."""
        if self.presence is None:
            return False
        return not (self.presence.findtext(f"{{{CLIENT}}}priority") or "0").strip().startswith("-")

    def deliver(self, stanza: Element) -> None:
        """Send a stanza to the client, or keep it until the client comes back."""
        if self.management is None:
            if self.connection is not None:
                self.connection.send(stanza)
            return
        self.management.keep(stanza, mark=delay(self.account, self._clock()))
        if self.connection is not None:
            self.connection.send(stanza, *self._request())

    def resume(self, connection: StreamConnection, h: str | None) -> None:
        """Go on over a new connection (XEP-0198 5); raises `StreamError` for an impossible `h`."""
        assert self.management is not None
        assert self.management.token is not None
        self.management.acknowledge(h)
        if self.connection is not None:
            self.connection.cut()
        self.connection = connection
        answer = Element(
            f"{{{SM}}}resumed", {"previd": self.management.token, "h": str(self.management.handled)}
        )
        connection.send(answer, *self.management.unacknowledged, *self._request())

    def acknowledge(self, h: str | None) -> None:
        """Take the client's `<a/>`; raises `StreamError` for an impossible `h`."""
        if self.management is None:
            return
        self.management.acknowledge(h)
        if self.connection is not None:
            for request in self._request():
                self.connection.send(request)

    def _request(self) -> tuple[Element, ...]:
        assert self.management is not None
        return (_REQUEST,) if self.management.must_request() else ()
