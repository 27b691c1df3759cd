"""Conditions: what a program demands of who sent something."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import CertificatePoliciesOID

from slixmpp_e2e import (
    AllOf,
    AnyOf,
    Authenticated,
    CertificatePolicy,
    ConditionError,
    Encrypted,
    Names,
    SignedBy,
    TrustedBy,
)
from slixmpp_e2e.report import SecurityReport, Trust
from tests.certificates.building import authority, certificate, end_entity, names
from tests.pki import PKI, Entity
from tests.test_report import GOOD

HARDWARE = "1.3.6.1.4.1.99999.1"


@pytest.fixture
def report(pki: PKI) -> SecurityReport:
    chain = tuple(each.certificate for each in (pki["juliet"], pki.intermediate, pki.root))
    return replace(GOOD, certificate=chain[0], chain=chain, trust=Trust.PKIX)


def failures(condition, report: SecurityReport | None) -> tuple[str, ...]:
    with pytest.raises(ConditionError) as caught:
        condition.verify(report)
    return caught.value.failures


CONDITIONS = (Authenticated(), Encrypted(), Names("juliet@example.com"), TrustedBy(Trust.PKIX))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_is_authenticated_may_satisfy_it(condition, report):
    condition.verify(report)


@pytest.mark.parametrize(
    "condition", [*CONDITIONS, CertificatePolicy(HARDWARE), AllOf(*CONDITIONS), AnyOf(*CONDITIONS)]
)
@pytest.mark.parametrize(
    "change",
    [
        None,
        {"signed": False},
        {"signer": None},
        {"trust": Trust.UNTRUSTED},
        {"timestamp_state": "old"},
        {"timestamp_state": "seen"},
        {"arrival": "archived"},
    ],
)
def test_what_is_not_authenticated_satisfies_nothing(condition, report, change):
    assert failures(condition, None if change is None else replace(report, **change))


def test_names_are_compared_as_bare_jids(report):
    Names("JULIET@example.com/balcony", "nurse@example.com").verify(report)
    assert failures(Names("romeo@example.net"), report) == (
        "juliet@example.com is not one of romeo@example.net",
    )
    assert failures(Names(), report)
    with pytest.raises(ValueError, match=r".+"):
        Names("a@b@c")


def test_trust_has_to_be_one_of_those_named(report):
    TrustedBy(Trust.VERIFIED, Trust.PKIX).verify(report)
    assert "tofu" in failures(TrustedBy(Trust.VERIFIED), replace(report, trust=Trust.TOFU))[0]
    assert failures(TrustedBy(), report)


def test_a_clear_text_is_not_encrypted(report):
    assert failures(Encrypted(), replace(report, encrypted=False)) == ("it was not encrypted",)


class TestSignedBy:
    def test_any_ca_of_the_path_will_do(self, report, pki: PKI):
        SignedBy(pki.root.certificate).verify(report)
        SignedBy(pki.intermediate.certificate).verify(report)

    def test_another_ca_of_the_same_name_will_not(self, report):
        other: Entity = authority("Root")
        assert "not from" in failures(SignedBy(other.certificate), report)[0]

    def test_the_certificate_itself_is_not_its_own_authority(self, report, pki: PKI):
        assert failures(SignedBy(pki["juliet"].certificate), report)

    def test_a_pin_is_no_path(self, report, pki: PKI):
        alone = replace(report, trust=Trust.PINNED, chain=report.chain[:1])
        assert failures(SignedBy(pki.root.certificate), alone)


class TestCertificatePolicy:
    @pytest.fixture
    def from_hardware(self, report, pki: PKI) -> SecurityReport:
        policies = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(HARDWARE), None)])
        own = certificate(pki["juliet"].key, [names("juliet@example.com"), policies], issuer=pki.intermediate)
        return replace(report, certificate=own, chain=(own, *report.chain[1:]))

    def test_the_issuer_says_it(self, from_hardware):
        CertificatePolicy(HARDWARE).verify(from_hardware)
        assert failures(CertificatePolicy("1.2.3"), from_hardware)

    def test_without_a_path_anybody_could_have_said_it(self, from_hardware):
        alone = replace(from_hardware, trust=Trust.VERIFIED, chain=from_hardware.chain[:1])
        assert failures(CertificatePolicy(HARDWARE), alone)

    @pytest.mark.parametrize(
        ("allowed", "holds"),
        [
            (["1.2.3"], False),
            (["1.2.3", HARDWARE], True),
            ([CertificatePoliciesOID.ANY_POLICY.dotted_string], True),
        ],
    )
    def test_a_ca_that_is_restricted_to_other_policies_can_not_say_it(
        self, from_hardware, pki: PKI, allowed, holds
    ):
        listed = [x509.PolicyInformation(x509.ObjectIdentifier(each), None) for each in allowed]
        between = authority("Department CA", x509.CertificatePolicies(listed), issuer=pki.root)
        chain = (from_hardware.chain[0], between.certificate, pki.root.certificate)
        restricted = replace(from_hardware, chain=chain)
        if holds:
            CertificatePolicy(HARDWARE).verify(restricted)
        else:
            (said,) = failures(CertificatePolicy(HARDWARE), restricted)
            assert "Department CA" in said

    def test_a_certificate_that_says_nothing_was_issued_under_none(self, report):
        assert failures(CertificatePolicy(HARDWARE), report)


class TestComposition:
    def test_all_of_them(self, report, pki: PKI):
        AllOf(Names("juliet@example.com"), SignedBy(pki.root.certificate), Encrypted()).verify(report)
        found = failures(AllOf(Names("romeo@example.net"), Encrypted(), TrustedBy(Trust.VERIFIED)), report)
        assert len(found) == 2

    def test_any_of_them(self, report):
        AnyOf(Names("romeo@example.net"), TrustedBy(Trust.PKIX)).verify(report)
        assert len(failures(AnyOf(Names("romeo@example.net"), TrustedBy(Trust.VERIFIED)), report)) == 2

    def test_they_nest(self, report):
        AllOf(AnyOf(Names("romeo@example.net"), Names("juliet@example.com")), Authenticated()).verify(report)

    @pytest.mark.parametrize("kind", [AllOf, AnyOf])
    def test_nothing_demanded_is_a_mistake(self, kind):
        with pytest.raises(ValueError, match="no conditions"):
            kind()


def test_a_pinned_certificate_satisfies_by_name_and_trust():
    own = end_entity()
    report = replace(GOOD, certificate=own.certificate, chain=(own.certificate,), trust=Trust.PINNED)
    AllOf(Names("juliet@example.com"), TrustedBy(Trust.PINNED)).verify(report)
