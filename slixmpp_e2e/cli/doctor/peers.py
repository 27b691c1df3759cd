"""Checks of the certificates of peers that files bring: pins, and those to encrypt to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import PURPOSES
from slixmpp_e2e.certificates.trust import Authority, Decision, UntrustedError
from slixmpp_e2e.cli.arguments import shown
from slixmpp_e2e.cli.doctor.authorities import READABLE
from slixmpp_e2e.cli.doctor.findings import Findings
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.plugin.files import read_files, read_pins

Pins = Mapping[str, frozenset[bytes]]


def check_pins(findings: Findings, config: Mapping[str, Any], now: datetime) -> Pins:
    """Check what is pinned, and return the fingerprints by JID."""
    try:
        pins, certificates = read_pins(config["pins"])
    except ConfigurationError as error:
        findings.error("pins", error.diagnostics().removeprefix("pins: "), READABLE)
        return {}
    for each in dict.fromkeys(certificates):
        name = ", ".join(shown(jid) for jid in sorted(certificate_jids(each)))
        if each.not_valid_before_utc <= now <= each.not_valid_after_utc:
            findings.ok("pins", f"{name}, valid until {each.not_valid_after_utc:%Y-%m-%d}")
        else:
            findings.warning(
                "pins",
                f"the certificate of {name} is not valid now (until {each.not_valid_after_utc:%Y-%m-%d})",
                "Nothing else counts for a pinned JID: ask for the new one, compare its fingerprint, and pin that.",
            )
    return pins


def check_peer_certificates(
    findings: Findings, config: Mapping[str, Any], authority: Authority, now: datetime
) -> None:
    """Check that the certificates to encrypt to are believed, by the same rules as in the plugin."""
    try:
        groups = read_files(config["peer_certificates"], "peer_certificates")
        files = [[ParsedCertificate.from_x509(each) for each in group] for group in groups]
    except (ConfigurationError, CertificateError) as error:
        findings.error("peer_certificates", error.diagnostics().removeprefix("peer_certificates: "), READABLE)
        return
    for group in files:
        for each in group:
            for jid in sorted(certificate_jids(each.certificate)):
                _check_peer(findings, authority, jid, [each, *group], now)
        if not any(certificate_jids(each.certificate) for each in group):
            name = group[0].certificate.subject.rfc4514_string()
            findings.warning(
                "peer_certificates", f"{name} names no JID", "It is used for nobody: ask for one that does."
            )


def _check_peer(
    findings: Findings, authority: Authority, jid: str, group: Sequence[ParsedCertificate], now: datetime
) -> None:
    found = judged(authority, jid, group, now)
    if isinstance(found, Decision):
        last = group[0].certificate.not_valid_after_utc
        findings.ok("peer_certificates", f"{shown(jid)}: {found.trust}, valid until {last:%Y-%m-%d}")
        return
    findings.warning(
        "peer_certificates",
        f"{shown(jid)} is not believed: {found}",
        "It is not used. If it is the right one, pin it after comparing the fingerprint: "
        "`slixmpp-e2e trust pin JID FILE`; if it is expired, ask for the new one."
        if found.why == "untrusted"
        else "It is not used, nor would it be if it were pinned: ask for another one.",
    )


def judged(
    authority: Authority, jid: str, group: Sequence[ParsedCertificate], now: datetime
) -> Decision | UntrustedError:
    """Return why a JID's certificate, first in its group, is believed, or why it can't be encrypted to nor sign."""
    problems = []
    for purpose in PURPOSES[::-1]:  # one that can only sign is needed as well
        try:
            return authority.judge(jid, group[0], group[1:], at=now, purpose=purpose)
        except UntrustedError as error:
            problems.append(error)
    return problems[0]
