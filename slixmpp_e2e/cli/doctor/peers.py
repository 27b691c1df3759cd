"""Checks of the files that say whom we believe: trust anchors, pins, certificates of peers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptography import x509

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import PURPOSES, PathValidator
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.cli.arguments import shown
from slixmpp_e2e.cli.doctor.certificate import SOON
from slixmpp_e2e.cli.doctor.findings import Findings
from slixmpp_e2e.cms.certificates import UNREADABLE, ParsedCertificate
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.plugin.files import read_all, read_files, read_pins

Pins = Mapping[str, frozenset[bytes]]
_READABLE = "Name certificates in PEM or DER; `slixmpp-e2e show FILE` tells what is in a file."


def check_authorities(
    findings: Findings, config: Mapping[str, Any], option: str, now: datetime
) -> list[x509.Certificate]:
    """Check the CAs that an option names (`trust_anchors`, `intermediates`), and return those that are valid."""
    try:
        found = read_all(config[option], option)
    except ConfigurationError as error:
        findings.error(option, error.diagnostics().removeprefix(f"{option}: "), _READABLE)
        return []
    valid = []
    for each in found:
        name = each.subject.rfc4514_string()
        last = each.not_valid_after_utc
        if not each.not_valid_before_utc <= now <= last:
            findings.warning(
                option, f"{name} is not valid now (until {last:%Y-%m-%d})", "Ask that CA for its new one."
            )
            continue
        valid.append(each)
        if not _is_authority(each):
            findings.warning(
                option,
                f"{name} is not a CA's certificate",
                "Name it in pins instead, if it is that of a peer.",
            )
        elif last - now < SOON:
            findings.warning(option, f"{name} expires on {last:%Y-%m-%d}", "Ask that CA for its new one.")
        else:
            findings.ok(option, f"{name}, valid until {last:%Y-%m-%d}")
    if found and not valid and option == "trust_anchors":
        findings.error(
            option, "none of them is valid now", "Check the clock, or ask the CA for its new certificate."
        )
    return valid


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def check_pins(findings: Findings, config: Mapping[str, Any], now: datetime) -> Pins:
    """Check what is pinned, and return the fingerprints by JID."""
    try:
        pins, certificates = read_pins(config["pins"])
    except ConfigurationError as error:
        findings.error("pins", error.diagnostics().removeprefix("pins: "), _READABLE)
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
    findings: Findings,
    config: Mapping[str, Any],
    *,
    store: Store,
    pins: Pins,
    anchors: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
    now: datetime,
) -> None:
    """Check that the certificates to encrypt to are believed, by the same rules as in the plugin."""
    try:
        groups = read_files(config["peer_certificates"], "peer_certificates")
        files = [[ParsedCertificate.from_x509(each) for each in group] for group in groups]
    except (ConfigurationError, CertificateError) as error:
        findings.error(
            "peer_certificates", error.diagnostics().removeprefix("peer_certificates: "), _READABLE
        )
        return
    authority = Authority(store, paths=PathValidator(anchors, intermediates) if anchors else None, pins=pins)
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
    problem = None
    for purpose in PURPOSES[::-1]:  # one that can only sign is needed as well
        try:
            found = authority.judge(jid, group[0], group[1:], at=now, purpose=purpose)
        except CertificateError as error:
            problem = problem or error
        else:
            last = group[0].certificate.not_valid_after_utc
            findings.ok("peer_certificates", f"{shown(jid)}: {found.trust}, valid until {last:%Y-%m-%d}")
            return
    findings.warning(
        "peer_certificates",
        f"{shown(jid)} is not believed: {problem}",
        "It is not used. If it is the right one, pin it after comparing the fingerprint: "
        "`slixmpp-e2e trust pin JID FILE`; if it is expired, ask for the new one.",
    )
