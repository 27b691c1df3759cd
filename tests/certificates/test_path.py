"""Paths to trust anchors, and what an end entity's certificate allows (RFC 5280 6, RFC 8550 4.4)."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.path import PathValidator, check_usage
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError
from tests.certificates.building import (
    ANY,
    CLIENT,
    JULIET,
    MAIL,
    SERVER,
    authority,
    certificate,
    end_entity,
    key_usage,
    names,
    new_key,
    purposes,
)
from tests.pki import MOMENT, PKI, VALID_FROM, VALID_UNTIL, Entity

NO_CA = x509.BasicConstraints(ca=False, path_length=None)
A_CA = x509.BasicConstraints(ca=True, path_length=None)
DAY = timedelta(days=1)


class TestUsage:
    @pytest.mark.requirement("3850-4.4-1", "3850-4.4.2-1", "3850-4.4.4-1", "6120-13.7.1-2")
    @pytest.mark.parametrize(
        ("extensions", "signs", "receives"),
        [
            ([], True, True),  # RFC 8550 4.4.2: without the extension there is no restriction
            ([key_usage("digital_signature", "key_encipherment")], True, True),
            ([key_usage("digital_signature")], True, False),
            ([key_usage("content_commitment")], True, False),
            ([key_usage("key_encipherment")], False, True),
            ([key_usage("key_agreement")], False, False),
            ([key_usage("key_agreement", "encipher_only")], False, False),
            ([key_usage("data_encipherment")], False, False),
            ([key_usage("key_cert_sign", "crl_sign")], False, False),
            ([purposes(MAIL)], True, True),
            ([purposes(ANY)], True, True),
            ([purposes(CLIENT, MAIL)], True, True),
            ([purposes(CLIENT)], False, False),
            ([purposes(SERVER, CLIENT)], False, False),
            ([key_usage("digital_signature"), purposes(MAIL)], True, False),
            ([key_usage("digital_signature", "key_encipherment"), purposes(SERVER)], False, False),
            ([NO_CA], True, True),
            ([A_CA], False, False),
            ([A_CA, key_usage("digital_signature", "key_encipherment"), purposes(MAIL)], False, False),
        ],
    )
    def test_the_extensions_decide(self, pki: PKI, extensions, signs, receives):
        self._check(certificate(pki["juliet"].key, extensions), signs, receives)

    @pytest.mark.parametrize("name", ["p-256", "p-384", "x25519"])
    @pytest.mark.parametrize(
        ("bits", "signs", "receives"),
        [
            (("digital_signature", "key_agreement"), True, True),
            (("digital_signature",), True, False),
            (("digital_signature", "key_encipherment"), True, False),  # RFC 8813 3: it means nothing here
            (("key_agreement",), False, True),
            (("key_agreement", "encipher_only"), False, True),
            (("key_agreement", "decipher_only"), False, False),  # RFC 5280 4.2.1.3
        ],
    )
    def test_an_elliptic_curve_key_receives_by_agreement(self, pki: PKI, root, name, bits, signs, receives):
        found = certificate(pki[name].key, [key_usage(*bits)], issuer=root)
        self._check(found, signs, receives)

    @staticmethod
    def _check(found, signs, receives):
        for purpose, allowed in (("sign", signs), ("encrypt", receives)):
            if allowed:
                check_usage(found, purpose)
            else:
                with pytest.raises(CertificateError):
                    check_usage(found, purpose)

    def test_extensions_that_nobody_can_read_forbid_everything(self):
        good = certificate(new_key(), [purposes(MAIL)])
        der = good.public_bytes(Encoding.DER)
        twice = der.replace(
            bytes.fromhex("0603551d0e"), bytes.fromhex("0603551d23")
        )  # a key identifier as another
        broken = der.replace(
            bytes.fromhex("300a06082b06010505070304"), bytes.fromhex("310a06082b06010505070304")
        )
        for changed in (twice, broken):
            assert changed != der
            with pytest.raises(CertificateError, match="unreadable"):
                check_usage(x509.load_der_x509_certificate(changed), "sign")


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")


@pytest.fixture(scope="module")
def middle(root: Entity) -> Entity:
    return authority("Middle", issuer=root, path_length=0)


def validate(anchor: Entity, leaf: Entity, *hints: Entity, at: datetime = MOMENT) -> list[x509.Certificate]:
    return list(
        PathValidator([anchor.certificate]).validate(leaf.parsed, [hint.parsed for hint in hints], at=at)
    )


def refused(anchor: Entity, leaf: Entity, *hints: Entity, at: datetime = MOMENT) -> None:
    with pytest.raises(CertificateError, match="no path to a trust anchor"):
        validate(anchor, leaf, *hints, at=at)


class TestPath:
    def test_an_anchor_vouches_for_those_it_issued_to(self, root):
        leaf = end_entity(issuer=root)
        assert validate(root, leaf) == [leaf.certificate, root.certificate]

    def test_what_stands_between_may_have_come_along(self, root, middle):
        leaf = end_entity(issuer=middle)
        assert validate(root, leaf, middle) == [leaf.certificate, middle.certificate, root.certificate]
        refused(root, leaf)

    def test_what_stands_between_may_be_configured(self, root, middle):
        leaf = end_entity(issuer=middle)
        paths = PathValidator([root.certificate], [middle.certificate])
        assert len(paths.validate(leaf.parsed, at=MOMENT)) == 3

    @pytest.mark.requirement("3850-2.3-1")
    def test_what_came_along_for_nothing_does_no_harm(self, root, middle, pki: PKI):
        leaf = end_entity(issuer=middle)
        strangers = [pki.intermediate, pki.root, pki["juliet"], root, leaf]
        assert len(validate(root, leaf, *strangers, middle)) == 3

    @pytest.mark.requirement("3850-2.3-2")
    def test_an_anchor_that_came_along_is_none(self, pki: PKI, root):
        refused(root, pki["juliet"], pki.intermediate, pki.root)

    def test_an_intermediate_may_be_the_anchor(self, root, middle):
        leaf = end_entity(issuer=middle)
        assert validate(middle, leaf) == [leaf.certificate, middle.certificate]

    def test_without_anchors_there_is_nothing_to_ask(self):
        with pytest.raises(CertificateError, match="no trust anchors"):
            PathValidator([])

    @pytest.mark.requirement("3850-2.3-2")
    def test_a_certificate_that_signed_itself_is_nobodys(self, root):
        refused(root, end_entity())

    def test_a_ca_with_the_same_name_and_another_key_is_another(self, root):
        twin = authority("Root")
        refused(root, end_entity(issuer=twin), twin)

    def test_an_end_entity_issues_nothing(self, root):
        issuer = end_entity(NO_CA, key_usage("digital_signature", "key_cert_sign"), issuer=root, subject="x")
        refused(root, end_entity(issuer=issuer), issuer)
        plain = end_entity(issuer=root, subject="y")
        refused(root, end_entity(issuer=plain), plain)

    def test_a_ca_that_may_not_sign_certificates_issues_nothing(self, root):
        key = new_key()
        extensions = (x509.BasicConstraints(ca=True, path_length=None), key_usage("crl_sign"))
        issuer = Entity("x", key, certificate(key, extensions, subject="x", issuer=root))
        refused(root, end_entity(issuer=issuer), issuer)

    @pytest.mark.requirement("3850-4.4-1")
    def test_a_path_is_no_longer_than_its_cas_allow(self, root, middle):
        below = authority("Below", issuer=middle)
        refused(root, end_entity(issuer=below), below, middle)

    def test_a_path_is_never_longer_than_five_cas(self, root):
        chain = [root]
        for number in range(6):
            chain.append(authority(f"CA {number}", issuer=chain[-1]))
        assert len(validate(root, end_entity(issuer=chain[5]), *chain[1:6])) == 7
        refused(root, end_entity(issuer=chain[6]), *chain[1:7])

    @pytest.mark.requirement("6120-13.7.2-1")
    def test_a_changed_certificate_is_nobodys(self, root):
        leaf = end_entity(issuer=root)
        der = leaf.der.replace(b"juliet@", b"mallor@")
        assert der != leaf.der
        changed = ParsedCertificate.from_x509(x509.load_der_x509_certificate(der))
        with pytest.raises(CertificateError):
            PathValidator([root.certificate]).validate(changed, at=MOMENT)

    @pytest.mark.requirement("6120-13.7.2-1")
    @pytest.mark.parametrize("which", ["leaf", "middle", "root"])
    @pytest.mark.parametrize(("first", "last"), [(DAY, 2 * DAY), (-2 * DAY, -DAY)])
    def test_outside_anybodys_validity_there_is_no_path(self, which, first, last):
        dates = {"valid_from": MOMENT + first, "valid_until": MOMENT + last}
        top = authority("Root", **(dates if which == "root" else {}))
        between = authority("Middle", issuer=top, **(dates if which == "middle" else {}))
        leaf = end_entity(issuer=between, **(dates if which == "leaf" else {}))
        refused(top, leaf, between)
        assert len(validate(top, leaf, between, at=MOMENT + (first + last) / 2)) == 3

    def test_what_the_key_may_do_is_not_asked_here(self, root):
        assert (
            len(validate(root, end_entity(key_usage("data_encipherment"), purposes(SERVER), issuer=root)))
            == 2
        )


class TestNameConstraints:
    def constrained(self, root: Entity, **constraints: list[x509.GeneralName]) -> Entity:
        both = {"permitted_subtrees": None, "excluded_subtrees": None, **constraints}
        return authority("Constrained", x509.NameConstraints(**both), issuer=root)

    @pytest.mark.parametrize("kind", ["permitted_subtrees", "excluded_subtrees"])
    @pytest.mark.parametrize(
        "name",
        [
            x509.UniformResourceIdentifier(".example.org"),
            x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5"), b"\x0c\x0bexample.org"),
        ],
        ids=["URI", "xmppAddr"],
    )
    def test_constraints_that_the_library_cannot_check_forbid_the_path(self, root, kind, name):
        issuer = self.constrained(root, **{kind: [name]})  # RFC 5280 4.2.1.10: process it or reject
        refused(root, end_entity(issuer=issuer), issuer)

    def test_constraints_on_names_that_nobody_has_do_not_matter(self, root):
        issuer = self.constrained(root, permitted_subtrees=[x509.DNSName("example.org")])
        assert len(validate(root, end_entity(issuer=issuer), issuer)) == 3

    def test_constraints_on_names_that_it_has_are_kept(self, root):
        issuer = self.constrained(root, excluded_subtrees=[x509.DNSName("example.com")])
        key = new_key()
        alternative = x509.SubjectAlternativeName([*names(JULIET), x509.DNSName("www.example.com")])
        leaf = Entity("x", key, certificate(key, [alternative], issuer=issuer))
        refused(root, leaf, issuer)


class TestMemory:
    def test_a_path_is_remembered_without_its_hints(self, root, middle):
        leaf = end_entity(issuer=middle)
        paths = PathValidator([root.certificate])
        first = paths.validate(leaf.parsed, [middle.parsed], at=MOMENT)
        assert paths.validate(leaf.parsed, at=MOMENT) is first

    @pytest.mark.parametrize("which", ["leaf", "middle", "root"])
    def test_it_is_forgotten_when_somebody_in_it_expires(self, which):
        short = {"valid_from": MOMENT - DAY, "valid_until": MOMENT + DAY}
        top = authority("Root", **(short if which == "root" else {}))
        between = authority("Middle", issuer=top, **(short if which == "middle" else {}))
        leaf = end_entity(issuer=between, **(short if which == "leaf" else {}))
        paths = PathValidator([top.certificate], [between.certificate])
        paths.validate(leaf.parsed, at=MOMENT)
        for at in (MOMENT - DAY, MOMENT + DAY):
            assert paths.validate(leaf.parsed, at=at)
        for at in (MOMENT - DAY - timedelta(seconds=1), MOMENT + DAY + timedelta(seconds=1)):
            with pytest.raises(CertificateError):
                paths.validate(leaf.parsed, at=at)

    def test_it_is_bounded_and_the_path_that_was_not_used_for_longest_goes_first(self, root, monkeypatch):
        monkeypatch.setattr("slixmpp_e2e.certificates.path._CACHE", 2)
        paths = PathValidator([root.certificate])
        leaves = [end_entity(issuer=root).parsed for _ in range(3)]
        first = [paths.validate(leaf, at=MOMENT) for leaf in leaves[:2]]
        assert paths.validate(leaves[0], at=MOMENT) is first[0]
        paths.validate(leaves[2], at=MOMENT)
        assert paths.validate(leaves[0], at=MOMENT) is first[0]
        assert paths.validate(leaves[1], at=MOMENT) is not first[1]
        assert len(paths._cache) == 2

    def test_a_path_that_was_not_found_is_looked_for_again(self, root, middle):
        leaf = end_entity(issuer=middle)
        paths = PathValidator([root.certificate])
        with pytest.raises(CertificateError):
            paths.validate(leaf.parsed, at=MOMENT)
        assert paths.validate(leaf.parsed, [middle.parsed], at=MOMENT)


def test_a_name_that_nobody_can_read_leads_nowhere(root):
    leaf = end_entity(issuer=root, subject="unreadable")
    der = leaf.der.replace(
        b"\x0c\x0aunreadable", b"\x0d\x0aunreadable"
    )  # a UTF8String as something that names do not have
    assert der != leaf.der
    changed = ParsedCertificate.from_x509(x509.load_der_x509_certificate(der))
    with pytest.raises(CertificateError, match="no path"):
        PathValidator([root.certificate]).validate(changed, at=MOMENT)


@given(st.data())
def test_no_certificate_whatever_is_in_it_raises_anything_else(pki: PKI, data):
    der = bytearray(pki["p-256"].der)
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = ParsedCertificate.from_x509(x509.load_der_x509_certificate(bytes(der)))
    except (ValueError, CertificateError, x509.InvalidVersion, Warning):
        return
    paths = PathValidator([pki.root.certificate], [pki.intermediate.certificate])
    for action in (
        lambda: check_usage(changed.certificate, "sign"),
        lambda: paths.validate(changed, at=MOMENT),
        lambda: paths.validate(pki["juliet"].parsed, [changed], at=MOMENT),
    ):
        try:
            action()
        except CertificateError:
            continue


def test_the_times_of_the_pki_are_what_these_tests_take_them_for():
    assert VALID_FROM < datetime(2026, 1, 1, tzinfo=UTC) < MOMENT < VALID_UNTIL
