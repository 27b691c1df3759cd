"""Certificate policies where a CA issues itself a certificate: it counts as none on the way (RFC 5280 6.1.4)."""

import pytest
from cryptography import x509

from slixmpp_e2e.certificates.policies import check_policies
from slixmpp_e2e.errors import CertificateError
from tests.certificates.building import certificate, new_key
from tests.pki import Entity

ONE, ANY_POLICY = (x509.ObjectIdentifier(each) for each in ("1.3.6.1.4.1.99999.1", "2.5.29.32.0"))
KEY = new_key()
ANCHOR = Entity("anchor", KEY, certificate(KEY, subject="anchor"))
DEMANDED = x509.PolicyConstraints(0, None)


def under(policy: x509.ObjectIdentifier) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(policy, None)])


def issued(*extensions: x509.ExtensionType) -> x509.Certificate:
    return certificate(KEY, extensions, issuer=ANCHOR)


def self_issued(*extensions: x509.ExtensionType) -> x509.Certificate:
    return certificate(KEY, extensions)


def allowed(*below_the_anchor: x509.Certificate) -> bool:
    """Tell whether a path is allowed, given from the CA below the anchor down to the end entity."""
    try:
        check_policies([*reversed(below_the_anchor), ANCHOR.certificate])
    except CertificateError:
        return False
    return True


@pytest.mark.parametrize(
    ("between", "leaf", "found"),
    [
        (self_issued, issued(under(ONE)), True),
        (issued, issued(under(ONE)), False),
        (self_issued, issued(under(ANY_POLICY)), False),
        (self_issued, self_issued(under(ANY_POLICY)), False),  # the last one is none of the way
    ],
)
def test_any_policy_still_counts_in_what_is_self_issued_but_not_in_the_last_one(between, leaf, found):
    of_ca = issued(under(ONE), x509.InhibitAnyPolicy(0), DEMANDED)
    assert allowed(of_ca, between(under(ANY_POLICY)), leaf) is found


@pytest.mark.parametrize(("skipped", "found"), [(0, False), (1, False), (2, True)])
def test_any_policy_counts_for_so_many_certificates(skipped, found):
    of_ca = issued(under(ONE), x509.InhibitAnyPolicy(skipped), DEMANDED)
    assert allowed(of_ca, issued(under(ONE)), issued(under(ANY_POLICY))) is found


def test_a_lower_ca_can_not_allow_any_policy_again():
    of_ca = issued(under(ONE), x509.InhibitAnyPolicy(0), DEMANDED)
    assert not allowed(of_ca, issued(under(ONE), x509.InhibitAnyPolicy(9)), issued(under(ANY_POLICY)))


@pytest.mark.parametrize(
    ("skipped", "below", "found"),
    [
        (1, [issued()], False),
        (2, [issued()], True),
        (1, [self_issued()], False),  # the last one counts in any case
        (2, [issued(), issued()], False),
        (2, [self_issued(), issued()], True),
        (1, [self_issued(), issued()], False),
    ],
)
def test_what_is_self_issued_brings_the_demand_no_nearer(skipped, below, found):
    assert allowed(issued(x509.PolicyConstraints(skipped, None)), *below) is found


def test_a_lower_ca_can_not_put_the_demand_off():
    later = issued(x509.PolicyConstraints(9, None))
    assert not allowed(issued(DEMANDED, under(ONE)), later, issued(under(ONE)))
    assert not allowed(issued(x509.PolicyConstraints(1, None)), later, issued())


def test_who_only_forbids_mappings_demands_no_policy():
    assert allowed(issued(x509.PolicyConstraints(None, 0)), issued())


def test_the_anchor_demands_nothing():
    demanding = Entity("anchor", KEY, certificate(KEY, [DEMANDED], subject="anchor"))
    check_policies([issued(), demanding.certificate])
