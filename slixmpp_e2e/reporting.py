"""From what was opened and decided to the report that a program gets."""

from dataclasses import replace

from slixmpp.jid import JID

from slixmpp_e2e.certificates.trust import Decision
from slixmpp_e2e.formats import objenc, rfc3923
from slixmpp_e2e.freshness import Freshness, to_datetime
from slixmpp_e2e.report import SecurityReport, Trust
from slixmpp_e2e.stanza import Outer


def build_report(
    opened: rfc3923.Opened | objenc.Opened,
    outer: Outer,
    decision: Decision | None,
    timestamp: int,
    *,
    written_as: str = rfc3923.NAME,
) -> SecurityReport:
    """Return what was proven about an object, before its timestamp (nanoseconds since 1970) is judged."""
    signer, decrypted = opened.signer, opened.decrypted
    checks = ["decryption"] if decrypted else []
    if signer:
        checks += [
            "signature",
            "names",
            "validity",
            "key-usage",
            *([str(decision.trust)] if decision else []),
            *(["revocation"] if decision and decision.revocation == "good" else []),
            "binding",
        ]
    return SecurityReport(
        format=written_as,
        signed=signer is not None,
        encrypted=decrypted is not None,
        signer=JID(outer.sender.bare) if signer else None,
        certificate=signer.certificate.certificate if signer else None,
        chain=decision.chain if decision else (),
        trust=decision.trust if decision else Trust.UNTRUSTED,
        timestamp=to_datetime(timestamp),
        timestamp_state="ok",
        skew=None,
        arrival="live",
        signature_algorithm=signer.scheme.name if signer else None,
        encryption_algorithm=decrypted.cipher.name if decrypted else None,
        key_management_algorithm=decrypted.key_management if decrypted else None,
        decrypted_with=decrypted.certificate.fingerprint if decrypted else None,
        legacy=bool((signer and signer.scheme.digest.weak) or (decrypted and decrypted.cipher.weak)),
        checks=tuple(checks),
        outer_id=outer.id,
        revocation=decision.revocation if decision else "off",
    )


def dated(report: SecurityReport, freshness: Freshness, *checks: str) -> SecurityReport:
    """Return a report with what was found out about the timestamp, and by which checks."""
    return replace(
        report,
        timestamp_state=freshness.state,
        skew=freshness.skew,
        arrival=freshness.arrival,
        checks=(*report.checks, *checks),
    )
