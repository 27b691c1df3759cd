"""What a program may demand of who sent something, command by command: small conditions that compose.

    deploy = AllOf(Names("ops@example.com"), TrustedBy(Trust.VERIFIED, Trust.PKIX), SignedBy(hardware_ca))
    deploy.verify(plugin.report(message))

Each has one `verify()`, which returns nothing or raises `ConditionError`. None of them is satisfied by a stanza that
is not `authenticated`: old, seen, from an archive, unsigned or unprotected (the report is None then).
"""

from collections.abc import Iterable
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import CertificatePoliciesOID
from slixmpp.jid import JID

from slixmpp_e2e.cms.certificates import UNREADABLE
from slixmpp_e2e.errors import LocalError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.report import SecurityReport, Trust


class ConditionError(LocalError):
    """A report does not satisfy a condition; `failures` says what was missing, a sentence each."""

    code = "condition"

    def __init__(self, *failures: str) -> None:
        super().__init__("; ".join(failures))
        self.failures = failures


class Condition(Protocol):
    """Something that a report satisfies or not."""

    def verify(self, report: SecurityReport | None) -> None:
        """Return if the report satisfies it; raise `ConditionError`."""


def _authenticated(report: SecurityReport | None) -> SecurityReport:
    if report is None:
        raise ConditionError("it arrived unprotected")
    if not report.authenticated:
        raise ConditionError("it is not authenticated")
    return report


class Authenticated:
    """Signed by somebody trusted, to us, fresh and new: see `SecurityReport.authenticated`."""

    def verify(self, report: SecurityReport | None) -> None:
        """See `Condition`."""
        _authenticated(report)


class Encrypted:
    """And nobody on the way could read it."""

    def verify(self, report: SecurityReport | None) -> None:
        """See `Condition`."""
        if not _authenticated(report).encrypted:
            raise ConditionError("it was not encrypted")


class Names:
    """The signer is one of these bare JIDs. Raises `ValueError` for what is none."""

    def __init__(self, *jids: JID | str) -> None:
        self._jids = frozenset(bare(jid) for jid in jids)

    def verify(self, report: SecurityReport | None) -> None:
        """See `Condition`."""
        signer = _authenticated(report).signer
        if signer is None or bare(signer) not in self._jids:
            raise ConditionError(f"{signer} is not one of {', '.join(sorted(self._jids)) or 'nobody'}")


class TrustedBy:
    """The certificate is trusted in one of these ways: `TrustedBy(Trust.VERIFIED, Trust.PKIX)`."""

    def __init__(self, *ways: Trust) -> None:
        self._ways = frozenset(ways)

    def verify(self, report: SecurityReport | None) -> None:
        """See `Condition`."""
        trust = _authenticated(report).trust
        if trust not in self._ways:
            raise ConditionError(
                f"the certificate is trusted as {trust}, not {' or '.join(sorted(self._ways))}"
            )


class SignedBy:
    """The path of the signer's certificate leads through this CA, the anchor or one below it.

    A certificate that is trusted without a path (a pin, first use) does not satisfy it.
    """

    def __init__(self, authority: x509.Certificate) -> None:
        self._fingerprint = authority.fingerprint(hashes.SHA256())
        self._name = authority.subject.rfc4514_string()

    def verify(self, report: SecurityReport | None) -> None:
        """See `Condition`."""
        above = _authenticated(report).chain[1:]
        if all(each.fingerprint(hashes.SHA256()) != self._fingerprint for each in above):
            raise ConditionError(f"the certificate is not from {self._name}")


class CertificatePolicy:
    """The signer's certificate was issued under this policy OID (RFC 5280 4.2.1.4), by a CA of a validated path.

    Its issuer wrote it into this certificate, and no CA between it and the anchor is restricted to other policies. A
    CA that says nothing of policies may issue under any, unlike in RFC 5280 6.1: name it, too (`SignedBy`), where
    several CAs below one anchor are not to be believed alike. Policy mappings are **not** followed.
    """

    def __init__(self, dotted: str) -> None:
        self._policy = x509.ObjectIdentifier(dotted)

    def verify(self, report: SecurityReport | None) -> None:
        """See `Condition`."""
        chain = _authenticated(report).chain
        if len(chain) < 2 or self._policy not in (_policies(chain[0]) or ()):
            raise ConditionError(
                f"the certificate was not issued under the policy {self._policy.dotted_string}"
            )
        for authority in chain[1:-1]:
            allowed = _policies(authority)
            if allowed is not None and allowed.isdisjoint({self._policy, CertificatePoliciesOID.ANY_POLICY}):
                raise ConditionError(
                    f"{authority.subject.rfc4514_string()} may not issue under the policy "
                    f"{self._policy.dotted_string}"
                )


def _policies(certificate: x509.Certificate) -> frozenset[x509.ObjectIdentifier] | None:
    """Return the policies that a certificate lists; None where it says nothing of policies."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return None
    except UNREADABLE:
        return frozenset()
    return frozenset(each.policy_identifier for each in found)


class AllOf:
    """All of the conditions hold. Raises `ValueError` for none at all."""

    def __init__(self, *conditions: Condition) -> None:
        self._conditions = _some(conditions)

    def verify(self, report: SecurityReport | None) -> None:
        """See `Condition`; the failures are those of all that don't hold."""
        failures = [failure for each in self._conditions for failure in _failures(each, report)]
        if failures:
            raise ConditionError(*dict.fromkeys(failures))


class AnyOf:
    """At least one of the conditions holds. Raises `ValueError` for none at all."""

    def __init__(self, *conditions: Condition) -> None:
        self._conditions = _some(conditions)

    def verify(self, report: SecurityReport | None) -> None:
        """See `Condition`; the failures are those of all of them."""
        failures = [_failures(each, report) for each in self._conditions]
        if all(failures):
            raise ConditionError(*dict.fromkeys(failure for group in failures for failure in group))


def _some(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    found = tuple(conditions)
    if not found:
        raise ValueError("no conditions")
    return found


def _failures(condition: Condition, report: SecurityReport | None) -> tuple[str, ...]:
    try:
        condition.verify(report)
    except ConditionError as error:
        return error.failures
    return ()
