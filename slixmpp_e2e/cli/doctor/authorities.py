"""Checks of the CAs that are named: trust anchors, intermediates, and their revocation lists."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.certificates.revocation_list import RevocationList, is_authority
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.cli.doctor.certificate import SOON
from slixmpp_e2e.cli.doctor.findings import Findings
from slixmpp_e2e.cms.certificates import UNREADABLE
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.plugin.files import paths_of, read_all
from slixmpp_e2e.stores.crl_files import CRLFiles

READABLE: Final = "Name certificates in PEM or DER; `slixmpp-e2e show FILE` tells what is in a file."


@dataclass(frozen=True, slots=True)
class Authorities:
    """The CAs that are valid now, and what is known of those whom they revoked."""

    anchors: Sequence[x509.Certificate]
    intermediates: Sequence[x509.Certificate]
    revocation: RevocationChecker

    def paths(self) -> PathValidator | None:
        """Return the paths to the anchors, or None where there are none."""
        return PathValidator(self.anchors, self.intermediates) if self.anchors else None


def check_authorities(
    findings: Findings, config: Mapping[str, Any], option: str, now: datetime
) -> list[x509.Certificate]:
    """Check the CAs that an option names (`trust_anchors`, `intermediates`), and return those that are valid."""
    try:
        found = read_all(config[option], option)
    except ConfigurationError as error:
        findings.error(option, error.diagnostics().removeprefix(f"{option}: "), READABLE)
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
        if not _is_ca(each):
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


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return is_authority(certificate)
    except UNREADABLE:
        return False


def check_lists(
    findings: Findings, config: Mapping[str, Any], store: Store, now: datetime
) -> RevocationChecker:
    """Check that the revocation lists can be read and still count, and return what they say.

    Those that the store keeps count too, as they do when the plugin starts; one that is late is named where no list
    of that CA is configured.
    """
    checker = RevocationChecker(config["revocation"])
    checker.recall(store.revocation_lists())
    try:
        evidence = CRLFiles(paths_of(config["crls"], "crls")).read()
    except ConfigurationError as error:
        _unreadable(findings, error)
        return checker
    for problem in evidence.problems:
        _unreadable(findings, problem)
    for each in evidence.lists:
        name = f"the list of {each.issuer.rfc4514_string()}"
        try:
            checker.lists.put(each)
        except CertificateError as error:
            _unreadable(findings, error)
        if each.unusable is not None:
            findings.warning(
                "crls", f"{name} says nothing about anybody: {each.unusable}", "Ask that CA for another."
            )
        elif each.next_update < now:
            findings.warning(
                "crls",
                f"{name} should have been replaced on {each.next_update:%Y-%m-%d}",
                "Fetch the new one; with revocation hard, nobody below that CA is believed until then.",
            )
        else:
            findings.ok("crls", f"{name}, until {each.next_update:%Y-%m-%d %H:%M} UTC")
    if checker.policy != "off":
        _check_kept(findings, store, {each.issuer for each in evidence.lists}, now)
    return checker


def _check_kept(findings: Findings, store: Store, configured: Collection[x509.Name], now: datetime) -> None:
    """Name the lists that the store keeps, of CAs of which none is configured, and that are late."""
    newest: dict[tuple[x509.Name, x509.IssuingDistributionPoint | None], RevocationList] = {}
    for der in store.revocation_lists():
        with suppress(CertificateError):  # it is passed over when the plugin starts, too
            found = RevocationList.from_der(der)
            other = newest.setdefault((found.issuer, found.scope), found)
            if other.age < found.age:
                newest[found.issuer, found.scope] = found
    for (issuer, _), found in newest.items():
        if issuer not in configured and found.next_update < now:
            findings.warning(
                "store",
                f"the list of {issuer.rfc4514_string()} in it should have been replaced on "
                f"{found.next_update:%Y-%m-%d}",
                "Name the new one in crls, or add it with `slixmpp-e2e crl import`; with revocation hard, nobody "
                "below that CA is believed until then.",
            )


def _unreadable(findings: Findings, error: Exception) -> None:
    findings.error("crls", str(error).removeprefix("crls: "), "Name revocation lists in DER or PEM.")
