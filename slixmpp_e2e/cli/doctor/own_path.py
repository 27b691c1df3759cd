"""Checks of the path from our own certificate to a trust anchor, as peers would find it, and of its revocation."""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.certificates.revocation_status import RevocationState
from slixmpp_e2e.cli.doctor.authorities import Authorities
from slixmpp_e2e.cli.doctor.certificate import SOON
from slixmpp_e2e.cli.doctor.findings import Findings
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError


def check_path(
    findings: Findings,
    subject: str,
    chain: Sequence[x509.Certificate],
    authorities: Authorities,
    now: datetime,
) -> None:
    """Check that a certificate, first in its `chain`, has a path to a trust anchor that peers can find too."""
    anchors = authorities.anchors
    if chain[0].issuer == chain[0].subject:
        _check_self_signed(findings, subject, chain[0], anchors)
        return
    if not anchors:
        findings.ok(subject, "its path is not checked: no trust anchors are named")
        return
    own, *hints = (ParsedCertificate.from_x509(each) for each in chain)
    try:
        path = PathValidator(anchors).validate(own, hints, at=now)
    except CertificateError as error:
        try:
            PathValidator(anchors, authorities.intermediates).validate(own, hints, at=now)
        except CertificateError:
            findings.warning(
                subject,
                str(error),
                "Peers with the same trust anchors will not believe us: put the certificates of all "
                "intermediate CAs into the certificate file, or give peers this certificate to pin.",
            )
        else:
            findings.warning(
                subject,
                "there is a path to a trust anchor only by way of --intermediates",
                "Peers don't have these: put them into the certificate file, behind ours.",
            )
        return
    findings.ok(subject, f"there is a path to a trust anchor, {len(path)} certificates long")
    _check_revocation(findings, subject, path, authorities.revocation, now)
    for each in path[1:]:
        if each.not_valid_after_utc - now < SOON:
            findings.warning(
                subject,
                f"a CA above it expires on {each.not_valid_after_utc:%Y-%m-%d}: {each.subject.rfc4514_string()}",
                "Ask the CA for its new certificate, and for ours under it.",
            )


def _check_revocation(
    findings: Findings,
    subject: str,
    path: tuple[x509.Certificate, ...],
    revocation: RevocationChecker,
    now: datetime,
) -> None:
    if len(path) < 2 or revocation.policy == "off":
        return
    status = revocation.check(path, at=now)
    if status.state is RevocationState.REVOKED:
        whose = "it" if status.certificate == path[0] else "a CA above it"
        findings.error(
            subject,
            f"{whose} was revoked",
            "Ask the CA why, make a new key, and get a new certificate for it.",
        )
    elif status.state is RevocationState.GOOD:
        findings.ok(subject, "it was not revoked, as far as the lists say")
    elif revocation.policy == "hard":
        findings.warning(
            subject,
            f"whether it was revoked is {status.state}",
            "With revocation hard a peer would refuse it: add the CAs' newest lists to crls.",
        )


def _check_self_signed(
    findings: Findings, subject: str, certificate: x509.Certificate, anchors: Sequence[x509.Certificate]
) -> None:
    if anchors and certificate not in anchors:
        findings.warning(
            subject,
            "it is self-signed: no trust anchor speaks for it",
            "Let the CA sign a request, or give peers this certificate to pin.",
        )
    else:
        findings.ok(subject, "it is self-signed: peers pin it after comparing `slixmpp-e2e fingerprint`")
