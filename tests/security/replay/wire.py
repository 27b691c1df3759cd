"""What stands around a protected stanza on the wire, as text."""

from typing import Final

from slixmpp_e2e.freshness import format_date_time
from slixmpp_e2e.namespaces import CLIENT
from tests.security.hostile import e2e
from tests.security.hostile import stanza as any_stanza

READER: Final = "romeo@example.net"


def stanza(
    kind: str,
    inside: str,
    *,
    sender: str,
    to: str = f"{READER}/orchard",
    type_: str | None = None,
    id_: str = "x",
) -> str:
    """Return a stanza to the reader; a message is a chat unless it is said otherwise."""
    usual = {"message": "chat", "iq": "set"}.get(kind, "")
    return any_stanza(kind, inside, to=to, sender=sender, type_=usual if type_ is None else type_, id_=id_)


def date_time(moment: int) -> str:
    """Return a date-time to the nanosecond."""
    return f"{format_date_time(moment)[:-1]}{moment % 1000:03}Z"


def delay(stamp: int, sender: str) -> str:
    """Return an element in which somebody says since when he has had a stanza (XEP-0203)."""
    return f"<delay xmlns='urn:xmpp:delay' from='{sender}' stamp='{date_time(stamp)}'/>"


def carbon(message: str, *, inside: str = "", kind: str = "received") -> str:
    """Return what our account says that another client of ours has got or sent (XEP-0280)."""
    return _wrapped(f"<{kind} xmlns='urn:xmpp:carbons:2'>", f"</{kind}>", message, inside)


def result(message: str, *, inside: str = "") -> str:
    """Return what our archive shows (XEP-0313)."""
    return _wrapped("<result xmlns='urn:xmpp:mam:2' queryid='q' id='r'>", "</result>", message, inside)


def _wrapped(start: str, end: str, message: str, inside: str) -> str:
    forwarded = f"<forwarded xmlns='urn:xmpp:forward:0'>{inside}{message}</forwarded>"
    return (
        f"<message xmlns='{CLIENT}' from='{READER}' to='{READER}/orchard'>{start}{forwarded}{end}</message>"
    )


__all__ = ["READER", "carbon", "date_time", "delay", "e2e", "result", "stanza"]
