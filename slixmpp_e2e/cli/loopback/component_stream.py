"""The server's side of an external component (XEP-0114)."""

import hashlib
import hmac
from collections.abc import Mapping
from copy import deepcopy
from typing import Final
from xml.etree.ElementTree import Element

from slixmpp import JID
from slixmpp.jid import InvalidJID

from slixmpp_e2e.namespaces import CLIENT, COMPONENT

from .connection import StreamConnection
from .parser import StreamError, StreamOpened
from .routing import Router
from .stanzas import is_stanza
from .writer import remap

_HANDSHAKE: Final = f"{{{COMPONENT}}}handshake"


class ComponentStream:
    """Takes one connection of a component from its handshake to its stanzas."""

    namespace = COMPONENT

    def __init__(self, connection: StreamConnection, *, router: Router, secrets: Mapping[str, str]) -> None:
        self._connection = connection
        self._router = router
        self._secrets = secrets
        self._domain = ""
        self._stream_id = ""
        self._authenticated = False

    def stream_opened(self, header: StreamOpened) -> None:
        """Answer with the id that the handshake is computed from."""
        self._domain = header.attributes.get("to", "")
        if self._domain not in self._secrets:
            raise StreamError("host-unknown")
        self._stream_id = self._connection.open_stream(self._domain)

    def element_received(self, element: Element) -> None:
        """Take the handshake, then stanzas."""
        if not self._authenticated:
            self._authenticate(element)
            return
        remap(element, old=COMPONENT, new=CLIENT)
        if not is_stanza(element):
            raise StreamError("unsupported-stanza-type")
        self._router.submit(element, sender=self._sender(element))

    def connection_lost(self, *, stream_closed: bool) -> None:
        """Take the component out of the routing; a component's stream can't be resumed."""
        if self._authenticated:
            self._router.disconnect_component(self._domain)

    def deliver(self, stanza: Element) -> None:
        """Send a stanza to the component, in the namespace of its stream."""
        remapped = deepcopy(stanza)
        remap(remapped, old=CLIENT, new=COMPONENT)
        self._connection.send(remapped)

    def _authenticate(self, element: Element) -> None:
        # XEP-0114 3: the lower-case hexadecimal SHA-1 of the stream's id and the secret.
        expected = hashlib.sha1(f"{self._stream_id}{self._secrets[self._domain]}".encode()).hexdigest()  # noqa: S324
        given = (element.text or "").strip().lower()
        if element.tag != _HANDSHAKE or not hmac.compare_digest(expected.encode(), given.encode()):
            raise StreamError("not-authorized")
        if not self._router.connect_component(self._domain, self):
            raise StreamError("conflict")
        self._authenticated = True
        self._connection.send(Element(_HANDSHAKE))

    def _sender(self, stanza: Element) -> str:
        """Return the sender, which must be an address at the component's own domain."""
        try:
            sender = JID(stanza.get("from", self._domain))
        except InvalidJID:
            raise StreamError("invalid-from") from None
        if sender.domain != self._domain:
            raise StreamError("invalid-from")
        return sender.full
