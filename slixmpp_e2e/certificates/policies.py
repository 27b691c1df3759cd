"""Certificate policies of a path, as far as a CA demands that there be one (RFC 5280 6.1, explicit policy).

We ask for no policy ourselves. But a CA can say that below it every certificate must have been issued under a
policy that all of the path agree on (policyConstraints, requireExplicitPolicy); then a path without one is none.

**Not** done: policy mappings. Where a policy is demanded, a path with one is refused.
"""

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.x509.oid import CertificatePoliciesOID, ObjectIdentifier

from slixmpp_e2e.errors import CertificateError

_POLICY_MAPPINGS: Final = ObjectIdentifier("2.5.29.33")


def check_policies(path: Sequence[x509.Certificate]) -> None:
    """Raise `CertificateError` if a policy is demanded and the path has none.

    `path` goes from the end entity to the anchor, both included; the anchor demands nothing (RFC 5280 6.1.1).
    """
    certificates = list(reversed(path[:-1]))
    # how many certificates may still come before a policy is demanded, or anyPolicy stops counting
    explicit = inhibit_any = len(certificates) + 1
    policies: frozenset[ObjectIdentifier] | None = None  # None: any
    is_mapped = False
    for place, certificate in enumerate(certificates, start=1):
        is_last = place == len(certificates)
        is_self_issued = certificate.subject == certificate.issuer
        counts_any = inhibit_any > 0 or (is_self_issued and not is_last)
        policies = _after(policies, certificate, counts_any=counts_any)
        _require(policies, explicit, is_mapped)
        if is_last or not is_self_issued:
            explicit, inhibit_any = max(explicit - 1, 0), max(inhibit_any - 1, 0)
        for extension in certificate.extensions:
            value = extension.value
            if isinstance(value, x509.PolicyConstraints) and value.require_explicit_policy is not None:
                if not is_last or value.require_explicit_policy == 0:
                    explicit = min(explicit, value.require_explicit_policy)
            elif isinstance(value, x509.InhibitAnyPolicy):
                inhibit_any = min(inhibit_any, value.skip_certs)
            is_mapped = is_mapped or extension.oid == _POLICY_MAPPINGS
    _require(policies, explicit, is_mapped)


def _after(
    policies: frozenset[ObjectIdentifier] | None, certificate: x509.Certificate, *, counts_any: bool
) -> frozenset[ObjectIdentifier] | None:
    """Return the policies that a path has with one more certificate (RFC 5280 6.1.3 (d), (e))."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return frozenset()
    asserted = frozenset(each.policy_identifier for each in found)
    if counts_any and CertificatePoliciesOID.ANY_POLICY in asserted:
        return policies
    named = asserted - {CertificatePoliciesOID.ANY_POLICY}
    return named if policies is None else policies & named


def _require(policies: frozenset[ObjectIdentifier] | None, explicit: int, is_mapped: bool) -> None:
    if explicit == 0 and (is_mapped or (policies is not None and not policies)):
        raise CertificateError("a CA demands a certificate policy, and the path has none")
