"""The demo as one JSON document, for machines."""

from collections.abc import Sequence
from typing import Any

from slixmpp_e2e import __version__
from slixmpp_e2e.cli.demo.acts import Act, Attack, Exchange, Finale, failures, is_ok, title
from slixmpp_e2e.cli.reports import describe_report


def document(server: str, acts: Sequence[Act], *, seconds: float) -> dict[str, Any]:
    """Return everything that happened as values that JSON has; `seconds` is how long it took."""
    return {
        "program": "slixmpp-e2e demo",
        "version": __version__,
        "server": server,
        "steps": [_step(act) for act in acts],
        "summary": {
            "ok": all(is_ok(act) for act in acts),
            "delivered": sum(isinstance(act, Exchange) and is_ok(act) for act in acts),
            "refused": sum(isinstance(act, Attack) and is_ok(act) for act in acts),
            "failed": failures(acts),
            "wire_octets": sum(act.wire_octets for act in acts if isinstance(act, Finale)),
            "seconds": round(seconds, 3),
        },
    }


def _step(act: Act) -> dict[str, Any]:
    expected = [{"what": each.text, "met": each.met} for each in act.expectations]
    common = {"title": title(act), "ok": is_ok(act), "expected": expected}
    match act:
        case Exchange():
            return {
                "kind": "exchange",
                **common,
                "from": act.sender,
                "to": act.recipient,
                "sent": act.sent,
                "wire": _text(act.wire),
                "received": act.received,
                "report": describe_report(act.report) if act.report else None,
                "refused": act.refused,
            }
        case Attack():
            outcome = {
                "delivered": list(act.delivered),
                "reason": act.reason,
                "diagnostics": act.diagnostics,
                "answers": [_text(each) for each in act.answers],
            }
            return {
                "kind": "attack",
                **common,
                "story": act.story,
                "detail": list(act.detail),
                "wire": _text(act.wire),
                "outcome": outcome,
            }
        case Finale():
            return {"kind": "finale", **common, "wire_octets": act.wire_octets}


def _text(octets: bytes | None) -> str | None:
    return None if octets is None else octets.decode(errors="replace")
