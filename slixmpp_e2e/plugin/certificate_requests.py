"""A missing certificate is asked for, and who asks gets ours (RFC 3923 6.2).

A request is a signed message, readable for everybody: it brings our certificate along and holds a text for
people and an element for programs. Who receives one from a trusted signer answers with a signed message that
brings his. Neither reaches the program as a message. RFC 3923 names no format, so that other software sees the
text, and any signed message of its user is an answer (ERRATA E41).
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp import JID, Message

from slixmpp_e2e.errors import E2EError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.namespaces import CERTIFICATES, HINTS
from slixmpp_e2e.outer import E2E_TAG
from slixmpp_e2e.plugin.stanzas import Stanza, mark_sealed, new_stanza, own_jid
from slixmpp_e2e.policy import Level
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.report import SecurityReport
from slixmpp_e2e.tables import Table

log = logging.getLogger(__name__)

REQUEST: Final = f"{{{CERTIFICATES}}}request"
ANSWER: Final = f"{{{CERTIFICATES}}}answer"
_REQUEST_TEXT: Final = (
    "I would like to write to you encrypted, and your certificate is missing here. "
    "Please answer with a signed message that includes it."
)
_ANSWER_TEXT: Final = "This signed message brings the certificate that you asked for."
#: Seconds until somebody is asked again, or answered again.
_PAUSE: Final = 600
_PEERS: Final = 1000


@dataclass(slots=True)
class CertificateRequests:
    """Asks for certificates, and answers who asks."""

    xmpp: Any
    protection: Protection
    #: Sends a stanza of ours protected (`Departures.send`).
    send: Callable[[Stanza, Level], None]
    stats: Counter[str]
    #: Do it without being told to.
    automatic: bool = True
    now: Callable[[], float] = time.monotonic
    _asked: Table[str, bool] = field(init=False)
    _answered: Table[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        self._asked = Table(_PAUSE, _PEERS, self.now)
        self._answered = Table(_PAUSE, _PEERS, self.now)

    def __len__(self) -> int:
        return len(self._asked) + len(self._answered)

    def find(self, jid: JID) -> bool:
        """Ask for the certificate of a bare JID because it is needed, once in ten minutes. Never raises.

        Return whether it was asked for now.
        """
        if not self.automatic or jid.bare == own_jid(self.xmpp).bare or self._asked.get(bare(jid)):
            return False
        self._asked.put(bare(jid), True)
        try:
            self.ask(jid)
        except E2EError as error:
            log.info("the certificate of %s was not asked for: %s", jid.bare, error.diagnostics())
            return False
        return True

    def ask(self, jid: JID) -> None:
        """Ask for a certificate; raise a `LocalError`."""
        self.stats["certificates_requested"] += 1
        self._send(JID(jid.bare), REQUEST, _REQUEST_TEXT)

    def send_ours(self, jid: JID, own: JID | None = None) -> None:
        """Send a signed message with our certificate; raise a `LocalError`.

        `own` is whose, for a component that hosts others.
        """
        self.stats["certificates_sent"] += 1
        self._send(jid, ANSWER, _ANSWER_TEXT, own)

    def send_bare(self, jid: JID) -> None:
        """Send our certificates with nothing around them (RFC 3851 3.7); nobody signs that they are ours."""
        outer = new_stanza(self.xmpp, "message")
        outer["to"], outer["id"] = jid, self.protection.random(16).hex()
        if self.xmpp.is_component:
            outer["from"] = self._ourselves()
        SubElement(outer.xml, E2E_TAG).text = self.protection.certificates_only()
        mark_sealed(outer)
        self.stats["certificates_sent"] += 1
        self.xmpp.send(outer)

    def take(self, message: Stanza, report: SecurityReport) -> bool:
        """Tell whether a message that arrived was a request or an answer; answer a request. Never raises.

        Only from a trusted signer, and fresh: nobody else learns that we are here (ERRATA E41).
        """
        if not isinstance(message, Message) or not report.authenticated:
            return False
        if message.xml.find(ANSWER) is not None:
            return True  # the certificate in it has been learned
        if message.xml.find(REQUEST) is None:
            return False
        self.xmpp.event("e2e_certificate_requested", report)
        sender: JID = message["from"]
        if self.automatic and not self._answered.get(bare(sender)):
            self._answered.put(bare(sender), True)
            try:
                self.send_ours(sender, message["to"])
            except E2EError as error:
                log.info("%s was not sent our certificate: %s", sender, error.diagnostics())
        return True

    def _ourselves(self) -> JID:
        """Return who a component asks as: itself, or the first that its own certificate names."""
        own, jids = own_jid(self.xmpp), self.protection.identity.jids
        return own if own.bare in jids else JID(min(jids))

    def _send(self, jid: JID, tag: str, text: str, own: JID | None = None) -> None:
        message = new_stanza(self.xmpp, "message")
        message["to"], message["body"] = jid, text
        if self.xmpp.is_component:
            message["from"] = self._ourselves() if own is None else JID(own.bare)
        message.xml.append(Element(tag))
        message.xml.append(Element(f"{{{HINTS}}}no-copy"))
        self.protection.forget_inclusion(jid)
        # signed only, whatever the policy: there is no certificate to encrypt to, and no word of the program's in it
        self.send(message, Level.SIGN)
