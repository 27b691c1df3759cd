"""Juliet on a server that belongs to the attacker, and everything about her that must not change."""

from dataclasses import dataclass, field
from typing import Any

from slixmpp_e2e.namespaces import CLIENT
from tests.security.hostile import HostileServer, Insider, e2e, stanza
from tests.server.protected import PKI, Failures

JULIET, ROMEO = "juliet@localhost/juliet", "romeo@localhost/romeo"
OWN, NURSE = "juliet@localhost", "nurse@localhost"
PLUGINS = ("xep_0030", "xep_0050", "xep_0060", "xep_0163", "xep_0191", "xep_0198", "xep_0280", "xep_0297")
#: Events of slixmpp's that say that something has happened.
EVENTS = (
    "message", "message_error", "presence_subscribe", "presence_subscribed", "presence_unsubscribed", "got_online",
    "got_offline", "presence_available", "changed_subscription", "changed_status", "roster_update", "carbon_received",
    "carbon_sent", "forwarded_message", "pubsub_publish", "pubsub_retract", "blocked", "unblocked", "command",
    "session_end", "session_resumed", "sm_failed", "stanza_acked", "disconnected", "stream_error", "auth_success",
    "failed_auth", "stream_negotiated", "killed", "reconnect_delay",
)  # fmt: skip


@dataclass
class Victim:
    """Juliet, on the attacker's server; she believes romeo, and the nurse is in her roster too."""

    server: HostileServer
    xmpp: Any
    failures: Failures
    romeo: Insider
    pki: PKI
    events: list[str] = field(default_factory=list)
    executed: list[Any] = field(default_factory=list)

    def state(self) -> tuple[Any, ...]:
        """Return what must not change."""
        roster = self.xmpp.client_roster
        management = self.xmpp.plugin["xep_0198"]
        return (
            {jid: roster[jid]["subscription"] for jid in roster},
            {jid: dict(roster[jid].resources) for jid in roster},
            (management.sm_id, management.enabled_in, management.enabled_out, management.last_ack),
            len(management.unacked_queue) == management.seq,
            self.xmpp.is_connected(),
            self.xmpp.boundjid.full,
        )

    async def calm(self) -> None:
        """Wait until nothing is under way, and forget what was heard and said."""
        await self.server.settled()
        self.server.received.clear()
        self.events.clear()
        self.failures.received.clear()
        self.xmpp.plugin["e2e"]._inbound.answers.__post_init__()

    async def smuggle(self, inner: str, kind: str, type_: str, id_: str = "x") -> None:
        """Hand a stanza to her in which romeo signed and encrypted some XML."""
        self.server.say(
            stanza(kind, e2e(self.romeo.payload(inner)), sender=ROMEO, to=JULIET, type_=type_, id_=id_)
        )
        await self.server.settled()


def ns(kind: str, inside: str, **attributes: str) -> str:
    written = "".join(f" {name.rstrip('_')}='{value}'" for name, value in attributes.items())
    return f"<{kind} xmlns='{CLIENT}'{written}>{inside}</{kind}>"


def forwarded(sender: str) -> str:
    message = ns("message", "<body>yes</body>", from_=sender, to=OWN)
    return f"<forwarded xmlns='urn:xmpp:forward:0'>{message}</forwarded>"


async def still_works(victim: Victim) -> None:
    await victim.calm()
    await victim.smuggle(
        ns("message", "<body>Good night</body>", from_=ROMEO, to=JULIET, type="chat"), "message", "chat"
    )
    assert "message" in victim.events
    assert victim.failures.received == []


def protected_message(victim: Victim, text: str, **more: Any) -> str:
    payload = victim.romeo.payload("", text=text, **more)
    return stanza("message", e2e(payload), sender=ROMEO, to=JULIET, type_="chat")


async def heard(victim: Victim, *texts: str) -> list[tuple[str, Any]]:
    """Say something, and return the messages that reach the program, with their reports."""
    found: list[tuple[str, Any]] = []

    def note(message: Any) -> None:
        found.append((message["body"], victim.xmpp.plugin["e2e"].report(message)))

    victim.xmpp.add_event_handler("message", note)
    for text in texts:
        victim.server.say(text)
    await victim.server.settled()
    victim.xmpp.del_event_handler("message", note)
    return found
