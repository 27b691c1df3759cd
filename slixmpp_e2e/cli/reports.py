"""A `SecurityReport` as values that JSON has."""

import dataclasses
from datetime import datetime
from typing import Any

from cryptography import x509

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.cli.encoding import fingerprint
from slixmpp_e2e.report import SecurityReport


def describe_report(report: SecurityReport) -> dict[str, Any]:
    """Return a report field by field, its verdicts first.

    Times are in RFC 3339, the certificate is there by what it says, fingerprints as people compare them.
    """
    found: dict[str, Any] = {"authenticated": report.authenticated, "signer_trusted": report.signer_trusted}
    for each in dataclasses.fields(report):
        found[each.name] = _value(getattr(report, each.name))
    return found


def _value(value: Any) -> Any:
    match value:
        case None | bool() | float():
            return value
        case x509.Certificate():
            return _certificate(value)
        case datetime():
            return value.isoformat()
        case bytes():
            return value.hex(":").upper()
        case tuple():
            return [_value(each) for each in value]
    return str(value)


def _certificate(certificate: x509.Certificate) -> dict[str, Any]:
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "jids": sorted(certificate_jids(certificate)),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "sha256": fingerprint(certificate),
    }
