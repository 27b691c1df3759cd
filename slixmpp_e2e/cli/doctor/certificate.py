"""Checks of one certificate that is ours: names, usages, key, validity (RFC 3923 6.3, RFC 8550 4.4)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from slixmpp_e2e.certificates.keys import key_algorithm, subject_key
from slixmpp_e2e.certificates.names import XMPP_ADDR, certificate_jids
from slixmpp_e2e.certificates.path import Purpose, check_usage
from slixmpp_e2e.cli.arguments import shown
from slixmpp_e2e.cli.doctor.findings import Findings
from slixmpp_e2e.cms.certificates import UNREADABLE, ParsedCertificate
from slixmpp_e2e.errors import CertificateError

#: How long before its end a certificate should be renewed.
SOON: Final = timedelta(days=30)
#: A certificate that begins so little later than now was just made, or the clock is slow.
_CLOCK_ERROR: Final = timedelta(hours=1)
_WEAK_HASHES: Final = frozenset({"md5", "sha1"})
_NEW_CERTIFICATE: Final = (
    "Get a new certificate: `slixmpp-e2e request JID` for a CA, or `slixmpp-e2e keygen JID`."
)


def check_names(findings: Findings, subject: str, certificate: x509.Certificate, jid: str | None) -> None:
    """Check which JIDs it names, and in which of the three forms (RFC 3923 6.3, ERRATA E25)."""
    jids = certificate_jids(certificate)
    if not jids:
        findings.error(subject, "it names no JID", _NEW_CERTIFICATE)
        return
    if jid is not None and jid not in jids:
        named = ", ".join(shown(each) for each in sorted(jids))
        findings.error(
            subject, f"it names {named}, not {shown(jid)}", f"Log in as one of them. {_NEW_CERTIFICATE}"
        )
        return
    missing = sorted({"xmppAddr", "im:", "pres:"} - _forms(certificate))
    text = f"it names {', '.join(shown(each) for each in sorted(jids))}"
    if missing:
        findings.warning(
            subject,
            f"{text}, but not as {' and '.join(missing)}",
            f"Other programs may look for it there (RFC 3923 6.3). {_NEW_CERTIFICATE}",
        )
    else:
        findings.ok(subject, f"{text}, as xmppAddr, im: and pres:")


def _forms(certificate: x509.Certificate) -> set[str]:
    """Return the forms in which a certificate names JIDs; it was read before, so it can be read."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    forms = {
        f"{each.value.partition(':')[0].lower()}:"
        for each in names
        if isinstance(each, x509.UniformResourceIdentifier)
    }
    is_named = any(isinstance(each, x509.OtherName) and each.type_id == XMPP_ADDR for each in names)
    return forms | ({"xmppAddr"} if is_named else set())


def check_use(
    findings: Findings, subject: str, certificate: x509.Certificate, purposes: Sequence[Purpose]
) -> None:
    """Check that key usage and extended key usage allow what it is for (RFC 8550 4.4)."""
    for purpose in purposes:
        try:
            check_usage(certificate, purpose)
        except CertificateError as error:
            findings.error(subject, str(error), f"Peers refuse it. {_NEW_CERTIFICATE}")
        else:
            findings.ok(subject, f"it may be used to {purpose}")


def check_key(findings: Findings, subject: str, certificate: x509.Certificate) -> None:
    """Check kind and size of its key, and the hash that it was signed with."""
    try:
        parsed = ParsedCertificate.from_x509(certificate)
        parsed.check_strength()
    except CertificateError as error:
        findings.error(subject, str(error), f"Nobody accepts it. {_NEW_CERTIFICATE}")
        return
    try:
        subject_key(certificate.public_key())
    except CertificateError as error:
        findings.warning(subject, str(error), f"Other S/MIME programs may refuse it. {_NEW_CERTIFICATE}")
    try:
        signed_with = certificate.signature_hash_algorithm
    except UNREADABLE:
        signed_with = None
    if signed_with is not None and signed_with.name in _WEAK_HASHES:
        findings.warning(
            subject, f"its issuer signed it with {signed_with.name}", f"Paths refuse that. {_NEW_CERTIFICATE}"
        )
    else:
        name = f", signed with {signed_with.name}" if signed_with is not None else ""
        findings.ok(subject, f"{key_algorithm(certificate.public_key())}{name}")


def check_validity(findings: Findings, subject: str, certificate: x509.Certificate, now: datetime) -> bool:
    """Check that it is valid now and for a while; return whether it is valid now."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < first:
        text = f"it is not valid before {first:%Y-%m-%d %H:%M} UTC, in {span(first - now)}"
        advice = "Check the clock of this machine; until then nothing can be signed with it."
        (findings.warning if first - now < _CLOCK_ERROR else findings.error)(subject, text, advice)
        return False
    if now > last:
        findings.error(subject, f"it expired on {last:%Y-%m-%d}, {span(now - last)} ago", _NEW_CERTIFICATE)
        return False
    text = f"it is valid until {last:%Y-%m-%d}, for {span(last - now)}"
    if last - now < SOON:
        findings.warning(
            subject, text, f"{_NEW_CERTIFICATE} Peers who have pinned this one need the new one before that."
        )
    else:
        findings.ok(subject, text)
    return True


def span(time: timedelta) -> str:
    """Return a length of time for people, in days, hours or minutes."""
    minutes = int(time.total_seconds()) // 60
    for unit, length in (("days", 24 * 60), ("hours", 60)):
        if minutes >= 2 * length:
            return f"{minutes // length} {unit}"
    return f"{minutes} minutes"
