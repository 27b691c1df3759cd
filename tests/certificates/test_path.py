"""Paths to trust anchors, and what an end entity's certificate allows (RFC 5280 6, RFC 8550 4.4)."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
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
    again,
    authority,
    certificate,
    costly_key,
    end_entity,
    key_usage,
    names,
    new_key,
    purposes,
    with_sha1,
)
from tests.pki import MOMENT, PKI, VALID_FROM, VALID_UNTIL, Entity

NO_CA = x509.BasicConstraints(ca=False, path_length=None)
A_CA = x509.BasicConstraints(ca=True, path_length=None)
DAY = timedelta(days=1)
POLICY_MAPPINGS = x509.ObjectIdentifier("2.5.29.33")


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

    def test_not_more_came_along_than_two_chains_can_need(self, root, middle):
        """Certificates of CAs that all fit together could cost hundreds of signature checks."""
        leaf = end_entity(issuer=middle)
        strangers = [authority(f"stranger {number}") for number in range(8)]
        people = [end_entity() for _ in range(8)]
        assert len(validate(root, leaf, *people, *strangers[:7], middle)) == 3
        refused(root, leaf, *strangers, middle)

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

    @pytest.mark.requirement("3850-4.4.4-1")
    @pytest.mark.parametrize(
        ("found", "those"),
        [(True, [MAIL]), (True, [SERVER, MAIL]), (True, [CLIENT]), (True, [ANY]), (False, [SERVER])],
    )
    def test_a_ca_that_is_for_something_is_for_messages(self, root, found, those):
        """Many CAs of S/MIME certificates are for e-mail alone."""
        issuer = authority("Purposeful", purposes(*those), issuer=root)
        leaf = end_entity(issuer=issuer)
        if found:
            assert len(validate(root, leaf, issuer)) == 3
        else:
            refused(root, leaf, issuer)

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


class TestStrength:
    @pytest.fixture(scope="class")
    @staticmethod
    def rsa_root() -> Entity:
        return self_signed_ca(2048)

    @pytest.mark.parametrize(("bits", "found"), [(1024, False), (2047, False), (2048, True), (3072, True)])
    @pytest.mark.parametrize("which", ["anchor", "between"])
    def test_a_ca_has_an_rsa_key_of_2048_bits_at_least(self, root, bits, found, which):
        issuer = self_signed_ca(bits, issuer=root if which == "between" else None)
        leaf, anchor = end_entity(issuer=issuer), root if which == "between" else issuer
        if found:
            assert validate(anchor, leaf, issuer)
        else:
            refused(anchor, leaf, issuer)

    def test_a_ca_that_came_along_with_a_key_that_takes_long_to_use_is_none(self, root):
        """Eight of them that all fit together would cost a hundred verifications of several milliseconds each."""
        key = costly_key()
        extensions = (
            x509.BasicConstraints(ca=True, path_length=None),
            key_usage("key_cert_sign", "crl_sign"),
        )
        costly = Entity("Costly", key, certificate(key, extensions, subject="Costly", issuer=root))
        leaf = end_entity(issuer=costly)
        refused(root, leaf, costly)
        assert (
            len(PathValidator([root.certificate], [costly.certificate]).validate(leaf.parsed, at=MOMENT)) == 3
        )
        again = [
            Entity("Costly", key, certificate(key, extensions, subject="Costly", issuer=costly))
            for _ in range(8)
        ]
        begin = time.process_time()
        refused(root, leaf, *again)
        assert time.process_time() - begin < 0.3

    @pytest.mark.parametrize("which", ["end entity", "between"])
    def test_nobody_is_believed_by_a_sha1_signature(self, rsa_root, which):
        between = authority("Between", issuer=rsa_root)
        if which == "between":
            leaf, hints = end_entity(issuer=between), [resigned(between, rsa_root)]
        else:
            leaf, hints = resigned(end_entity(issuer=rsa_root), rsa_root), []
        refused(rsa_root, leaf, *hints)

    def test_what_an_anchor_says_of_itself_does_not_matter(self, rsa_root):
        old = resigned(rsa_root, rsa_root)
        assert old.certificate.signature_hash_algorithm.name == "sha1"
        assert validate(old, end_entity(issuer=rsa_root))

    def test_an_anchor_that_another_has_signed_with_sha1_is_none(self, rsa_root):
        between = resigned(authority("Between", issuer=rsa_root), rsa_root)
        refused(between, end_entity(issuer=between))


def self_signed_ca(bits: int, issuer: Entity | None = None) -> Entity:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    extensions = (x509.BasicConstraints(ca=True, path_length=None), key_usage("key_cert_sign", "crl_sign"))
    return Entity("RSA", key, certificate(key, extensions, subject=f"RSA {bits}", issuer=issuer))


def resigned(entity: Entity, issuer: Entity) -> Entity:
    """Somebody with the same certificate, but an RSA-SHA-1 signature."""
    der = with_sha1(entity.der, issuer.key)
    return Entity(entity.name, entity.key, x509.load_der_x509_certificate(der))


ONE, TWO, ANY_POLICY = (
    x509.ObjectIdentifier(each) for each in ("1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2", "2.5.29.32.0")
)


def under(*policies: x509.ObjectIdentifier) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(each, None) for each in policies])


class TestPolicies:
    """RFC 5280 6.1, explicit policy; tests/certificates/test_pkits.py has many more."""

    @pytest.mark.parametrize(
        ("of_ca", "of_leaf", "found"),
        [
            ([], [], False),
            ([under(ONE)], [under(ONE)], True),
            ([under(ONE, TWO)], [under(TWO)], True),
            ([under(ONE)], [under(TWO)], False),
            ([under(ONE)], [], False),
            ([], [under(ONE)], False),
            ([under(ANY_POLICY)], [under(ONE)], True),
            ([under(ONE)], [under(ANY_POLICY)], True),
            ([under(ANY_POLICY)], [under(ANY_POLICY)], True),
            ([under(ANY_POLICY), x509.InhibitAnyPolicy(0)], [under(ANY_POLICY)], False),
            ([under(ANY_POLICY), x509.InhibitAnyPolicy(1)], [under(ANY_POLICY)], True),
            ([under(ONE), x509.UnrecognizedExtension(POLICY_MAPPINGS, b"\x30\x00")], [under(ONE)], False),
        ],
    )
    def test_where_a_ca_demands_one_the_path_must_have_one(self, root, of_ca, of_leaf, found):
        for demanded in (True, False):
            demand = [x509.PolicyConstraints(0, None)] if demanded else []
            issuer = authority("Under a policy", *of_ca, *demand, issuer=root)
            leaf = end_entity(*of_leaf, issuer=issuer)
            if found or not demanded:
                assert validate(root, leaf, issuer)
            else:
                refused(root, leaf, issuer)

    def test_it_may_be_demanded_only_further_down(self, root):
        for skipped, found in ((0, False), (2, False), (3, True)):  # RFC 5280 6.1.5 (a)
            issuer = authority("Under a policy", x509.PolicyConstraints(skipped, None), issuer=root)
            below = authority("Below", issuer=issuer)
            leaf = end_entity(issuer=below)
            if found:
                assert validate(root, leaf, below, issuer)
            else:
                refused(root, leaf, below, issuer)

    def test_an_end_entity_may_demand_it_of_its_own_path(self, root):
        demand = x509.PolicyConstraints(0, None)
        refused(root, end_entity(demand, issuer=root))
        assert validate(root, end_entity(demand, under(ONE), issuer=root))
        assert validate(root, end_entity(x509.PolicyConstraints(1, None), issuer=root))
        assert validate(root, end_entity(x509.PolicyConstraints(None, 0), issuer=root))


class TestMemory:
    def test_what_came_along_is_part_of_the_question(self, root):
        """Another CA certificate for the same key: who sends it does not choose for the others."""
        first = authority("Middle", issuer=root)
        second = Entity("Middle", first.key, again(first, root))
        leaf = end_entity(issuer=first)
        paths = PathValidator([root.certificate])
        assert paths.validate(leaf.parsed, [first.parsed], at=MOMENT)[1] == first.certificate
        assert paths.validate(leaf.parsed, [second.parsed], at=MOMENT)[1] == second.certificate
        assert paths.validate(leaf.parsed, at=MOMENT)[1] == first.certificate

    def test_a_path_can_avoid_somebody(self, root):
        first = authority("Middle", issuer=root)
        second = Entity("Middle", first.key, again(first, root))
        leaf, hints = end_entity(issuer=first), [first.parsed, second.parsed]
        paths = PathValidator([root.certificate])
        for avoided, other in ((first, second), (second, first)):
            avoiding = [avoided.parsed.fingerprint]
            assert paths.validate(leaf.parsed, hints, at=MOMENT, avoiding=avoiding)[1] == other.certificate
        both = [each.fingerprint for each in hints]
        with pytest.raises(CertificateError):
            paths.validate(leaf.parsed, hints, at=MOMENT, avoiding=both)

    def test_of_very_many_that_came_along_the_first_are_looked_at(self, root, middle):
        leaf, stranger = end_entity(issuer=middle), end_entity(issuer=root).parsed
        paths = PathValidator([root.certificate])
        assert paths.validate(leaf.parsed, [*[stranger] * 31, middle.parsed], at=MOMENT)
        with pytest.raises(CertificateError):
            PathValidator([root.certificate]).validate(
                leaf.parsed, [*[stranger] * 32, middle.parsed], at=MOMENT
            )

    def test_an_expired_path_without_hints_gives_way_to_a_new_one(self, root):
        short = authority("Middle", issuer=root, valid_until=MOMENT)
        long = Entity("Middle", short.key, again(short, root))
        leaf, later = end_entity(issuer=short), MOMENT + DAY
        paths = PathValidator([root.certificate])
        paths.validate(leaf.parsed, [short.parsed], at=MOMENT)
        path = paths.validate(leaf.parsed, [long.parsed], at=later)
        assert paths.validate(leaf.parsed, at=later) is path

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
