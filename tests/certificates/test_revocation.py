"""What revocation lists say, and what they don't (RFC 5280 5 and 6.3)."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.x509 import ReasonFlags
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.revocation import (
    Evidence,
    RevocationChecker,
)
from slixmpp_e2e.certificates.revocation_list import ALL_REASONS, RevocationList
from slixmpp_e2e.certificates.revocation_lists import RevocationLists
from slixmpp_e2e.certificates.revocation_status import RevocationState, Status
from slixmpp_e2e.cms.asn1 import Reader, sequence, tlv
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from tests.certificates.building import (
    LISTED,
    REVOKED_ON,
    authority,
    certificate,
    distribution_point,
    end_entity,
    key_usage,
    new_key,
    revocation_list,
    with_sha1,
)
from tests.pki import MOMENT, PKI, VALID_UNTIL, Entity

GOOD, REVOKED, UNKNOWN, EXPIRED = RevocationState
DAY = timedelta(days=1)
UNHEARD_OF = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")


@pytest.fixture(scope="module")
def leaf(root) -> Entity:
    return end_entity(issuer=root)


def status(leaf: Entity, issuer: Entity, *lists: bytes, at=MOMENT) -> Status:
    known = RevocationLists()
    for der in lists:
        known.add(der)
    return known.status(leaf.certificate, [issuer.certificate], at=at)


class TestStates:
    @pytest.mark.requirement("6120-13.7.2-1")
    def test_who_is_on_no_current_list_is_good(self, root, leaf):
        found = status(leaf, root, revocation_list(root, end_entity(issuer=root)))
        assert found == Status(GOOD, until=VALID_UNTIL)

    @pytest.mark.requirement("6120-13.7.2-1")
    def test_who_is_on_a_list_is_revoked_since_a_day_for_a_reason(self, root, leaf):
        found = status(leaf, root, revocation_list(root, leaf, reason=ReasonFlags.key_compromise))
        assert (found.state, found.certificate) == (REVOKED, leaf.certificate)
        assert (found.entry.since, found.entry.reason) == (REVOKED_ON, "keyCompromise")

    def test_a_reason_need_not_be_given(self, root, leaf):
        assert status(leaf, root, revocation_list(root, leaf)).entry.reason == "unspecified"

    def test_without_a_list_it_is_unknown(self, root, leaf):
        assert status(leaf, root).state is UNKNOWN

    def test_a_list_of_somebody_else_says_nothing(self, root, leaf):
        assert status(leaf, root, revocation_list(authority("Other"), leaf)).state is UNKNOWN

    def test_a_list_counts_from_its_issue_to_its_next_update(self, root, leaf):
        der = revocation_list(root, issued=LISTED, until=LISTED + DAY)
        second = timedelta(seconds=1)
        assert status(leaf, root, der, at=LISTED - second).state is UNKNOWN
        assert status(leaf, root, der, at=LISTED).state is GOOD
        assert status(leaf, root, der, at=LISTED + DAY).state is GOOD
        assert status(leaf, root, der, at=LISTED + DAY + second).state is EXPIRED

    def test_who_was_revoked_stays_revoked_when_the_list_is_old(self, root, leaf):
        assert status(leaf, root, revocation_list(root, leaf, until=LISTED + DAY)).state is REVOKED


class TestSigner:
    """RFC 5280 6.3.3 (f), (g)."""

    def test_another_key_under_the_same_name_revokes_nobody_and_clears_nobody(self, root, leaf):
        for der in (revocation_list(root, leaf, key=new_key()), revocation_list(root, key=new_key())):
            assert status(leaf, root, der).state is UNKNOWN

    def test_a_forged_list_does_not_displace_a_true_one(self, root, leaf):
        forged = revocation_list(root, number=99, issued=LISTED + DAY, key=new_key())
        assert status(leaf, root, revocation_list(root, leaf), forged).state is REVOKED

    @pytest.mark.parametrize(
        ("usage", "state"),
        [(("key_cert_sign",), UNKNOWN), (("key_cert_sign", "crl_sign"), REVOKED), (None, REVOKED)],
    )
    def test_a_ca_whose_key_usage_does_not_allow_lists_signs_none(self, usage, state):
        key = new_key()
        extensions = [x509.BasicConstraints(ca=True, path_length=None)]
        extensions += [key_usage(*usage)] if usage else []
        issuer = Entity("x", key, certificate(key, extensions, subject="x"))
        subject = end_entity(issuer=issuer)
        assert status(subject, issuer, revocation_list(issuer, subject)).state is state

    def test_a_sha1_signature_is_none(self, pki: PKI):
        issuer, juliet = pki.intermediate, pki["juliet"]
        der = revocation_list(issuer)
        assert status(juliet, issuer, der).state is GOOD
        weak = with_sha1(der, issuer.key)
        assert RevocationList.from_der(weak).crl.signature_hash_algorithm.name == "sha1"
        assert status(juliet, issuer, weak).state is UNKNOWN

    def test_a_list_may_be_signed_with_ed25519_which_names_no_digest(self, pki: PKI):
        issuer = Entity("CA", pki["ed25519"].key, certificate(pki["ed25519"].key, subject="CA"))
        subject = end_entity(issuer=issuer)
        assert status(subject, issuer, revocation_list(issuer, subject)).state is REVOKED

    def test_a_self_issued_certificate_further_up_may_have_signed(self, root):
        """A CA that has changed its key writes one list, with the new one (RFC 5280 6.3.3 (f))."""
        new = authority("CA", issuer=root)
        old_key = new_key()
        old = Entity("CA", old_key, certificate(old_key, [], subject="CA", issuer=new))
        subject = end_entity(issuer=old)
        known = RevocationLists()
        known.add(revocation_list(new, subject))
        above = [old.certificate, new.certificate, root.certificate]
        assert known.status(subject.certificate, above, at=MOMENT).state is REVOKED

    def test_a_key_that_signs_nothing_has_signed_no_list(self, root):
        key = x25519.X25519PrivateKey.generate()
        same_name = certificate(key, [], subject="Root", issuer=root)
        assert RevocationList.from_der(revocation_list(root)).is_signed_by(same_name) is False

    def test_one_changed_bit_makes_it_worthless(self, root, leaf):
        der = revocation_list(root, leaf)
        serial = leaf.certificate.serial_number.to_bytes(20, "big")
        changed = der.replace(serial[-8:], serial[-9:-1])
        assert changed != der
        assert status(leaf, root, changed).state is UNKNOWN


class TestScope:
    """RFC 5280 6.3.3 (b)."""

    @pytest.mark.parametrize(
        ("scope", "of_user", "of_ca"),
        [
            (distribution_point(only_users=True), GOOD, UNKNOWN),
            (distribution_point(only_cas=True), UNKNOWN, GOOD),
            (distribution_point(only_attributes=True), UNKNOWN, UNKNOWN),
            (distribution_point(indirect=True), UNKNOWN, UNKNOWN),
            (distribution_point(reasons=frozenset({ReasonFlags.key_compromise})), UNKNOWN, UNKNOWN),
            (distribution_point("http://example.com/1.crl"), UNKNOWN, UNKNOWN),
        ],
        ids=["users", "CAs", "attributes", "indirect", "reasons", "elsewhere"],
    )
    def test_a_list_says_nothing_about_what_it_does_not_cover(self, root, leaf, scope, of_user, of_ca):
        der = revocation_list(root, extensions=[scope])
        assert status(leaf, root, der).state is of_user
        assert status(authority("Sub", issuer=root), root, der).state is of_ca

    def test_a_partitioned_list_covers_those_who_point_to_it(self, root):
        def pointing(uri: str, reasons: frozenset[ReasonFlags] | None = None) -> Entity:
            names = [x509.UniformResourceIdentifier(uri)]
            points = [x509.DistributionPoint(names, None, reasons, None)]
            return end_entity(x509.CRLDistributionPoints(points), issuer=root)

        der = revocation_list(root, extensions=[distribution_point("http://example.com/1.crl")])
        assert status(pointing("http://example.com/1.crl"), root, der).state is GOOD
        assert status(pointing("http://example.com/2.crl"), root, der).state is UNKNOWN
        partly = pointing("http://example.com/1.crl", frozenset({ReasonFlags.key_compromise}))
        assert status(partly, root, der).state is UNKNOWN

    def test_a_relative_name_continues_the_issuers(self, root):
        relative = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "1")])
        points = x509.CRLDistributionPoints([x509.DistributionPoint(None, relative, None, None)])
        subject = end_entity(points, issuer=root)
        der = revocation_list(root, extensions=[distribution_point(relative=relative)])
        assert status(subject, root, der).state is GOOD
        assert status(end_entity(issuer=root), root, der).state is UNKNOWN

    def test_a_point_whose_lists_somebody_else_signs_is_not_ours_to_read(self, root):
        other = [x509.DirectoryName(authority("Other").certificate.subject)]
        names = [x509.UniformResourceIdentifier("http://example.com/1.crl")]
        points = x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, other)])
        der = revocation_list(root, extensions=[distribution_point("http://example.com/1.crl")])
        assert status(end_entity(points, issuer=root), root, der).state is UNKNOWN

    def test_lists_that_cover_all_reasons_together_are_enough(self, root, leaf):
        some = frozenset({ReasonFlags.key_compromise, ReasonFlags.ca_compromise})
        first = revocation_list(root, extensions=[distribution_point(reasons=some)])
        second = revocation_list(root, number=2, extensions=[distribution_point(reasons=ALL_REASONS - some)])
        assert status(leaf, root, first).state is status(leaf, root, second).state is UNKNOWN
        assert status(leaf, root, first, second).state is GOOD

    def test_who_has_extensions_that_nobody_can_read_is_covered_by_no_partial_list(self, root, leaf):
        # a key identifier as another
        der = leaf.der.replace(bytes.fromhex("0603551d0e"), bytes.fromhex("0603551d23"))
        unreadable = x509.load_der_x509_certificate(der)
        found = RevocationList.from_der(
            revocation_list(root, extensions=[distribution_point(only_users=True)])
        )
        assert found.covers(leaf.certificate) == ALL_REASONS
        assert found.covers(unreadable) == frozenset()

    def test_a_list_for_some_reasons_revokes_all_the_same(self, root, leaf):
        some = distribution_point(reasons=frozenset({ReasonFlags.key_compromise}))
        assert status(leaf, root, revocation_list(root, leaf, extensions=[some])).state is REVOKED


class TestUnusable:
    """RFC 5280 5.2, 5.3: what has a critical extension that is not understood says nothing about anybody."""

    @pytest.mark.parametrize(
        ("options", "word"),
        [
            ({"extensions": [(x509.DeltaCRLIndicator(1), True)]}, "delta"),
            ({"extensions": [(x509.DeltaCRLIndicator(1), False)]}, "delta"),
            ({"extensions": [distribution_point(indirect=True)]}, "indirect"),
            ({"extensions": [(UNHEARD_OF, True)]}, "critical"),
            ({"entry_extensions": [(UNHEARD_OF, True)]}, "critical"),
            (
                {"entry_extensions": [(x509.CertificateIssuer([x509.DNSName("example.com")]), True)]},
                "critical",
            ),
        ],
    )
    def test_it_neither_revokes_nor_clears(self, root, leaf, options, word):
        der = revocation_list(root, leaf, **options)
        assert word in RevocationList.from_der(der).unusable
        assert status(leaf, root, der).state is UNKNOWN
        assert status(end_entity(issuer=root), root, der).state is UNKNOWN

    def test_what_is_not_critical_does_no_harm(self, root, leaf):
        der = revocation_list(
            root, leaf, extensions=[(UNHEARD_OF, False)], entry_extensions=[(UNHEARD_OF, False)]
        )
        assert status(leaf, root, der).state is REVOKED

    @pytest.mark.parametrize(("number", "state"), [(1, GOOD), (3, UNKNOWN)])
    def test_a_newer_one_takes_the_last_word_from_an_older_good_one(self, root, leaf, number, state):
        good = revocation_list(root, number=2)
        delta = revocation_list(root, number=number, extensions=[(x509.DeltaCRLIndicator(1), True)])
        assert status(leaf, root, good, delta).state is state

    def test_but_not_from_an_older_one_that_revokes(self, root, leaf):
        delta = revocation_list(root, number=3, extensions=[(x509.DeltaCRLIndicator(1), True)])
        assert status(leaf, root, revocation_list(root, leaf), delta).state is REVOKED


class TestOrder:
    @pytest.mark.parametrize("backwards", [False, True])
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"number": 1}, {"number": 2}),
            ({"number": 1, "issued": LISTED + DAY}, {"number": 2}),  # RFC 5280 5.2.3: the number decides
            ({"number": None}, {"number": None, "issued": LISTED + DAY}),
            ({"number": None, "issued": LISTED + DAY}, {"number": 1}),
        ],
    )
    def test_the_newer_list_counts_in_whatever_order_they_came(self, root, leaf, first, second, backwards):
        lists = [revocation_list(root, **first), revocation_list(root, leaf, **second)]
        assert status(leaf, root, *(reversed(lists) if backwards else lists)).state is REVOKED
        released = [revocation_list(root, leaf, **first), revocation_list(root, **second)]
        assert status(leaf, root, *(reversed(released) if backwards else released)).state is GOOD

    def test_a_list_from_the_future_does_not_count_before(self, root, leaf):
        future = revocation_list(root, leaf, number=2, issued=MOMENT + DAY)
        assert status(leaf, root, revocation_list(root), future).state is GOOD
        assert status(leaf, root, revocation_list(root), future, at=MOMENT + DAY).state is REVOKED

    def test_what_was_replaced_is_dropped(self, root, leaf):
        known = RevocationLists()
        for number in range(200):
            known.add(revocation_list(root, number=number))
            known.status(leaf.certificate, [root.certificate], at=MOMENT)
        assert len(known) == 1


class TestReading:
    def test_what_is_no_list_is_refused(self, root):
        for data in (b"", b"\x30\x00", b"x" * 100, root.der, revocation_list(root)[:-1]):
            with pytest.raises(CertificateError):
                RevocationLists().add(data)

    @given(st.data())
    def test_a_changed_list_is_refused_or_says_nothing_false(self, data):
        known, der = RevocationLists(), bytearray(LIST)
        place = data.draw(st.integers(0, len(der) - 1))
        der[place] ^= 1 << data.draw(st.integers(0, 7))
        try:
            known.add(bytes(der))
        except CertificateError:
            return
        found = known.status(LEAF.certificate, [ROOT.certificate], at=MOMENT)
        assert found.state in {UNKNOWN, REVOKED}

    @given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
    def test_whatever_a_ca_writes_is_refused_or_judged(self, changes):
        whole = Reader(LIST).enter()
        signed, algorithm = bytearray(whole.element()), whole.element()
        for place, value in changes:
            signed[place % len(signed)] = value
        signature = ROOT.key.sign(bytes(signed), ec.ECDSA(hashes.SHA256()))
        known = RevocationLists()
        try:
            known.add(sequence(bytes(signed), algorithm, tlv(0x03, b"\0" + signature)))
        except CertificateError:
            return
        found = known.status(LEAF.certificate, [ROOT.certificate], at=MOMENT)
        assert found.state in RevocationState

    def test_one_that_is_too_large_is_refused_unread(self, root, monkeypatch):
        der = revocation_list(root)
        monkeypatch.setattr("slixmpp_e2e.certificates.revocation_list.MAX_OCTETS", len(der) - 1)
        with pytest.raises(CertificateError, match="octets"):
            RevocationLists().add(der)

    def test_of_32_megabytes_none_is_read(self):
        for more, refused in ((0, "not a revocation list"), (1, "33554433 octets")):
            with pytest.raises(CertificateError, match=refused):
                RevocationList.from_der(bytes(32 * 1024 * 1024 + more))

    def test_one_that_does_not_say_how_long_it_counts_is_refused(self, root):
        der = revocation_list(root, until=VALID_UNTIL)
        until = b"\x17\x0d491231000000Z"
        assert der.count(until) == 1
        with pytest.raises(CertificateError, match="how long"):
            RevocationLists().add(_shrink(der, until))

    def test_how_many_are_kept_is_bounded(self, root, monkeypatch):
        monkeypatch.setattr("slixmpp_e2e.certificates.revocation_lists._LISTS", 2)
        known = RevocationLists()
        for name in ("A", "B"):
            assert known.add(revocation_list(authority(name)))
        with pytest.raises(CertificateError, match="too many"):
            known.add(revocation_list(root))

    def test_how_large_they_are_altogether_is_bounded(self, root, monkeypatch):
        lists = [revocation_list(root, number=number) for number in range(6)]
        size = max(map(len, lists))
        monkeypatch.setattr("slixmpp_e2e.certificates.revocation_lists._OCTETS", 4 * size)
        known = RevocationLists()
        assert all(known.add(der) for der in lists)  # newer ones take the place of older ones
        with pytest.raises(CertificateError, match="too many"):
            known.add(revocation_list(authority("Other")))
        large = revocation_list(root, *(end_entity(issuer=root) for _ in range(20)), number=7)
        with pytest.raises(CertificateError, match="too many"):
            known.add(large)
        assert len(known) == 4

    def test_of_lists_that_nobody_has_asked_about_the_newest_are_kept(self, root, leaf):
        known = RevocationLists()
        delta = (x509.DeltaCRLIndicator(1), True)
        for number in (*range(100), 50):
            known.add(revocation_list(root, *[leaf][: number > 90], number=number))
            known.add(revocation_list(root, number=number, extensions=[distribution_point(only_cas=True)]))
            known.add(revocation_list(root, number=number, extensions=[delta]))
        assert len(known) == 12
        assert known.status(leaf.certificate, [root.certificate], at=MOMENT).state is REVOKED

    def test_the_same_list_again_changes_nothing(self, root):
        known, der = RevocationLists(), revocation_list(root)
        assert known.add(der)
        generation = known.generation
        assert not known.add(der)
        assert known.generation == generation


ROOT = authority("Root of a changed list")
LEAF = end_entity(issuer=ROOT)
LIST = revocation_list(ROOT, LEAF)


def _shrink(der: bytes, part: bytes) -> bytes:
    """Return a list without a part of its tbsCertList, signed as it was."""
    whole = Reader(der).enter()
    inside = Reader(whole.element()).enter()
    fields = b"".join(inside.elements(limit=20))
    return sequence(sequence(fields.replace(part, b"")), *whole.elements(limit=2))


@pytest.fixture(scope="module")
def middle(root) -> Entity:
    return authority("Middle", issuer=root)


@pytest.fixture(scope="module")
def below(middle) -> Entity:
    return end_entity(issuer=middle)


@pytest.fixture(scope="module")
def path(root, middle, below):
    return PathValidator([root.certificate]).validate(below.parsed, [middle.parsed], at=MOMENT)


class TestPath:
    """The worst of all certificates but the anchor."""

    def check(self, path, *lists: bytes, at=MOMENT, hints=()) -> Status:
        checker = RevocationChecker()
        for der in lists:
            checker.lists.add(der)
        return checker.check(path, at=at, hints=hints)

    @pytest.mark.requirement("6120-13.7.2-1")
    def test_all_must_be_good(self, root, middle, path):
        lists = {"root": revocation_list(root), "middle": revocation_list(middle)}
        assert self.check(path, *lists.values()).state is GOOD
        assert self.check(path, lists["root"]).certificate == path[0]
        assert self.check(path, lists["middle"]).certificate == path[1]
        assert self.check(path).state is UNKNOWN
        assert self.check(path).certificate == path[0]

    @pytest.mark.requirement("6120-13.7.2-1")
    def test_a_ca_that_was_revoked_spoils_it(self, root, middle, path):
        found = self.check(path, revocation_list(root, middle), revocation_list(middle))
        assert (found.state, found.certificate) == (REVOKED, path[1])

    def test_the_anchor_is_not_asked_about(self, root, middle, path):
        assert self.check(path, revocation_list(root, root), revocation_list(middle)).state is GOOD

    def test_unknown_is_worse_than_expired(self, root, middle, path):
        old = revocation_list(root, until=LISTED + DAY)
        assert self.check(path, old, revocation_list(middle)).state is EXPIRED
        assert self.check(path, old).state is UNKNOWN

    def test_an_answer_is_kept_until_a_list_ends_or_another_comes(self, root, middle, below, path):
        checker = RevocationChecker()
        checker.lists.add(revocation_list(root))
        checker.lists.add(revocation_list(middle, until=MOMENT + timedelta(seconds=30)))
        first = checker.check(path, at=MOMENT)
        assert checker.check(path, at=MOMENT + timedelta(seconds=30)) is first
        assert checker.check(path, at=MOMENT + timedelta(seconds=31)).state is EXPIRED
        checker.lists.add(revocation_list(middle, below, number=2))
        assert checker.check(path, at=MOMENT + timedelta(seconds=31)).state is REVOKED

    def test_an_answer_is_kept_for_a_minute(self, root, middle, path):
        checker = RevocationChecker()
        for der in (revocation_list(root), revocation_list(middle)):
            checker.lists.add(der)
        first = checker.check(path, at=MOMENT)
        assert checker.check(path, at=MOMENT) is first
        assert checker.check(path, at=MOMENT + timedelta(seconds=60)) is first
        assert checker.check(path, at=MOMENT + timedelta(seconds=61)) is not first
        assert checker.size() == 1 + checker.lists.size() + checker.responses.size()
        assert checker.lists.size() >= 2

    def test_a_list_that_came_along_has_64_kilobytes_at_the_most(self, root, middle, below, path):
        def of(padding: int) -> bytes:
            extra = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.9"), bytes(padding))
            return revocation_list(middle, below, extensions=[(extra, False)], key=middle.key)

        for size, state in ((65_536, REVOKED), (65_537, UNKNOWN)):
            # an ECDSA signature has one of several lengths: another one is made until it fits
            made = (of(size - len(of(60_000)) + 60_000) for _ in range(500))
            der = next(each for each in made if len(each) == size)
            assert self.check(path, hints=[revocation_list(root), der]).state is state

    def test_lists_that_came_along_count_if_they_verify(self, root, middle, below, path):
        hints = [revocation_list(root), revocation_list(middle, below)]
        assert self.check(path, hints=hints).state is REVOKED
        forged = revocation_list(middle, below, key=new_key())
        assert self.check(path, hints=[revocation_list(root), forged]).state is UNKNOWN

    def test_they_are_kept(self, root, middle, below, path):
        checker = RevocationChecker()
        checker.check(path, at=MOMENT, hints=[revocation_list(middle, below)])
        assert checker.check(path, at=MOMENT).state is REVOKED

    def test_a_list_of_the_end_entitys_own_is_not_kept(self, root):
        subject = end_entity(issuer=root)  # without a key usage, which would say no
        found = RevocationList.from_der(revocation_list(subject, subject))
        assert found.is_signed_by(subject.certificate)
        known = RevocationLists()
        assert not known.learn(found, (subject.certificate, root.certificate))
        assert len(known) == 0

    def test_an_old_list_that_came_along_changes_nothing(self, root, middle, below, path):
        new = [revocation_list(root), revocation_list(middle, below, number=7)]
        assert self.check(path, *new, hints=[revocation_list(middle, number=6)]).state is REVOKED

    def test_of_two_that_came_along_the_newer_counts(self, root, middle, below, path):
        lists = {number: revocation_list(middle, number=number) for number in (1, 3)}
        lists[2] = revocation_list(middle, below, number=2)
        for order, state in (((1, 2), REVOKED), ((2, 1), REVOKED), ((2, 3), GOOD), ((3, 2), GOOD)):
            hints = [revocation_list(root), *(lists[number] for number in order)]
            assert self.check(path, hints=hints).state is state

    def test_nobody_makes_good_lists_doubtful_by_sending_one_that_can_t_be_used(self, root, middle, path):
        delta = revocation_list(middle, number=7, extensions=[(x509.DeltaCRLIndicator(1), True)])
        assert self.check(path, revocation_list(root), revocation_list(middle), hints=[delta]).state is GOOD

    def test_what_came_along_never_displaces_what_was_configured(
        self, root, middle, below, path, monkeypatch
    ):
        monkeypatch.setattr("slixmpp_e2e.certificates.revocation_lists._PER_SCOPE", 1)
        checker = RevocationChecker()
        checker.lists.add(revocation_list(middle, below, number=7))
        scopes = [distribution_point(f"http://example.com/{number}.crl") for number in range(300)]
        for number, scope in enumerate(scopes):
            hint = revocation_list(middle, number=number, extensions=[scope])
            checker.check(path, at=MOMENT, hints=[hint])
        assert checker.check(path, at=MOMENT).state is REVOKED
        assert len(checker.lists) <= 1 + 256

    def test_not_even_by_being_newer(self, root, middle, below, path, monkeypatch):
        monkeypatch.setattr("slixmpp_e2e.certificates.revocation_lists._LEARNED", 1)
        checker = RevocationChecker()
        checker.lists.add(revocation_list(middle, below, number=1))
        checker.check(path, at=MOMENT, hints=[revocation_list(middle, below, number=2)])
        checker.check(path, at=MOMENT, hints=[revocation_list(root)])  # takes the other one's place
        assert checker.check(path, at=MOMENT).state is REVOKED

    @pytest.mark.parametrize("hint", [b"", b"\x30\x00", b"\x30" * 70_000, b"\x30\x82\xff\xff" + b"x" * 100])
    def test_rubbish_that_came_along_is_ignored(self, path, hint):
        assert self.check(path, hints=[hint] * 20).state is UNKNOWN

    def test_of_many_that_came_along_the_first_are_looked_at(self, middle, below, path):
        hint = revocation_list(middle, below)
        assert self.check(path, hints=[*[b"x"] * 7, hint]).state is REVOKED
        assert self.check(path, hints=[*[b"x"] * 8, hint]).state is UNKNOWN

    def test_what_a_strangers_path_could_not_prove_is_looked_at_again(self, root, middle, below, path):
        checker, hint = RevocationChecker(), revocation_list(middle, below)
        stranger = end_entity(issuer=root)
        checker.check((stranger.certificate, root.certificate), at=MOMENT, hints=[hint])
        assert checker.check(path, at=MOMENT, hints=[hint]).state is REVOKED


class Source:
    """A `RevocationSource` that says what a test has put in."""

    def __init__(self) -> None:
        self.evidence, self.wanted = Evidence(), []

    async def fetch(self, wanted, *, at):
        self.wanted.append((tuple(wanted), at))
        return self.evidence


class TestSources:
    async def test_they_are_asked_for_what_is_missing_and_what_they_bring_counts(self, root, leaf):
        source, path = Source(), (leaf.certificate, root.certificate)
        checker = RevocationChecker(sources=[source])
        assert checker.check(path, at=MOMENT).state is UNKNOWN
        source.evidence = Evidence((RevocationList.from_der(revocation_list(root, leaf)),))
        assert await checker.refresh(at=MOMENT) == ()
        assert source.wanted == [((path,), MOMENT)]
        assert checker.check(path, at=MOMENT).state is REVOKED
        await checker.refresh(at=MOMENT)
        assert source.wanted[1] == ((), MOMENT)

    async def test_what_goes_wrong_is_returned(self, root, monkeypatch):
        monkeypatch.setattr("slixmpp_e2e.certificates.revocation_lists._LISTS", 1)
        source, problem = Source(), ConfigurationError("x")
        lists = [RevocationList.from_der(revocation_list(each)) for each in (root, authority("Other"))]
        source.evidence = Evidence(tuple(lists), (problem,))
        found = await RevocationChecker(sources=[source]).refresh(at=MOMENT)
        assert found[0] is problem
        assert "too many" in str(found[1])
