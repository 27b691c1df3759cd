"""Whether a certificate is somebody's: names first, then pins, then paths."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.certificates.trust import Authority, ChangedCertificateError, Decision, UntrustedError
from slixmpp_e2e.report import Trust
from tests.certificates.building import (
    JULIET,
    LISTED,
    MAIL,
    SERVER,
    again,
    authority,
    certificate,
    end_entity,
    key_usage,
    names,
    purposes,
    revocation_list,
)
from tests.cms.test_twins import P256, twin
from tests.pki import MOMENT, PKI, Entity

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")


@pytest.fixture(scope="module")
def leaf(root: Entity) -> Entity:
    return end_entity(issuer=root)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(started=0)


def judge(
    judging: Authority, entity: Entity, *hints: Entity, jid=JULIET, at=MOMENT, purpose="sign"
) -> Decision:
    return judging.judge(jid, entity.parsed, [hint.parsed for hint in hints], at=at, purpose=purpose)


def refusal(judging: Authority, entity: Entity, *hints: Entity, **options) -> UntrustedError:
    with pytest.raises(UntrustedError) as caught:
        judge(judging, entity, *hints, **options)
    return caught.value


def pinned(*entities: Entity, jid: str = JULIET) -> dict[str, frozenset[bytes]]:
    return {jid: frozenset(each.parsed.fingerprint for each in entities)}


class TestPaths:
    @pytest.mark.requirement("3850-4.2-1")
    @pytest.mark.requirement("reqs-4-5b")
    def test_a_path_to_an_anchor_is_believed(self, store, root, leaf):
        decision = judge(Authority(store, paths=PathValidator([root.certificate])), leaf)
        assert decision == Decision(Trust.PKIX, (leaf.certificate, root.certificate))

    def test_hints_may_be_part_of_the_path(self, store, pki: PKI):
        judging = Authority(store, paths=PathValidator([pki.root.certificate]))
        assert refusal(judging, pki["juliet"]).why == "untrusted"
        assert len(judge(judging, pki["juliet"], pki.intermediate).chain) == 3

    @pytest.mark.requirement("3850-4.2-1", "6120-13.7.2-1")
    def test_without_a_path_nobody_is_believed(self, store, root):
        error = refusal(Authority(store, paths=PathValidator([root.certificate])), end_entity())
        assert (error.why, error.code) == ("untrusted", "untrusted")
        assert JULIET in str(error)

    def test_without_anchors_and_pins_nobody_is_believed(self, store, leaf):
        assert "no trust anchors" in str(refusal(Authority(store), leaf))

    @pytest.mark.requirement("6120-13.7.2-1")
    def test_an_expired_certificate_is_not_believed(self, store, root):
        expired = end_entity(issuer=root, valid_from=MOMENT - 2 * DAY, valid_until=MOMENT - DAY)
        judging = Authority(store, paths=PathValidator([root.certificate]))
        assert refusal(judging, expired).why == "untrusted"
        assert judge(judging, expired, at=MOMENT - DAY).trust is Trust.PKIX


class TestPins:
    @pytest.mark.requirement("reqs-4-5a")
    def test_a_pin_of_the_configuration_is_believed_without_a_path(self, store):
        own = end_entity()
        assert judge(Authority(store, pins=pinned(own)), own) == Decision(Trust.PINNED, (own.certificate,))

    def test_a_pin_of_the_store_is_believed_from_when_it_is_set_until_it_is_taken_back(self, store):
        own = end_entity()
        judging = Authority(store)
        assert refusal(judging, own).why == "untrusted"
        store.decide(JULIET, own.parsed.fingerprint, Trust.PINNED)
        assert judge(judging, own).trust is Trust.PINNED
        store.undecide(JULIET, own.parsed.fingerprint)
        assert refusal(judging, own).why == "untrusted"

    @pytest.mark.parametrize("decided", ["one", "other"])
    def test_who_is_distrusted_is_so_with_the_other_form_of_the_signature(self, store, root, leaf, decided):
        """Which anybody can make, with another fingerprint (`cms.twins`); the store has no certificates here."""
        judging = Authority(store, paths=PathValidator([root.certificate]))
        other = twin(leaf.der, P256)
        both = {"one": leaf.parsed, "other": other}
        for each in both.values():
            assert judging.judge(JULIET, each, at=MOMENT, purpose="encrypt").trust is Trust.PKIX
        store.decide(JULIET, both[decided].fingerprint, Trust.DISTRUSTED)
        for each in both.values():
            for purpose in ("sign", "encrypt"):
                with pytest.raises(UntrustedError) as caught:
                    judging.judge(JULIET, each, at=MOMENT, purpose=purpose)
                assert caught.value.why == "distrusted"
        assert judge(judging, end_entity(issuer=root)).trust is Trust.PKIX

    def test_both_kinds_of_pins_count_together(self, store):
        first, second = end_entity(), end_entity()
        store.decide(JULIET, second.parsed.fingerprint, Trust.PINNED)
        judging = Authority(store, pins=pinned(first))
        assert judge(judging, first).trust is judge(judging, second).trust is Trust.PINNED

    def test_where_somebody_is_pinned_no_path_counts(self, store, root, leaf):
        judging = Authority(store, paths=PathValidator([root.certificate]), pins=pinned(end_entity()))
        error = refusal(judging, leaf)
        assert isinstance(error, ChangedCertificateError)
        assert error.code == "certificate-changed"

    def test_a_pin_is_for_one_jid_only(self, store, root, leaf):
        judging = Authority(
            store, paths=PathValidator([root.certificate]), pins=pinned(leaf, jid="nurse@example.com")
        )
        assert judge(judging, leaf).trust is Trust.PKIX
        assert refusal(judging, leaf, jid="nurse@example.com").why == "name-mismatch"

    @pytest.mark.parametrize("offset", [-3 * DAY, 3 * DAY])
    def test_a_pin_does_not_outlive_its_certificate(self, store, offset):
        own = end_entity(valid_from=MOMENT - DAY, valid_until=MOMENT + DAY)
        judging = Authority(store, pins=pinned(own))
        assert refusal(judging, own, at=MOMENT + offset).why == "untrusted"
        assert judge(judging, own, at=MOMENT + DAY).trust is judge(judging, own, at=MOMENT - DAY).trust

    def test_what_was_configured_does_not_change_under_its_hands(self, store):
        own, pins = end_entity(), pinned(end_entity(), jid="nurse@example.com")
        judging = Authority(store, pins=pins)
        pins.update(pinned(own))
        assert refusal(judging, own).why == "untrusted"


class TestRevocation:
    def judging(self, store, root, policy, *lists: bytes, **options) -> Authority:
        checker = RevocationChecker(policy)
        for der in lists:
            checker.lists.add(der)
        return Authority(store, paths=PathValidator([root.certificate]), revocation=checker, **options)

    @pytest.mark.requirement("6120-13.7.2-1")
    @pytest.mark.parametrize(
        ("state", "off", "soft", "hard"),
        [
            ("good", "off", "good", "good"),
            ("unknown", "off", "unknown", None),
            ("expired", "off", "expired", None),
            ("revoked", "off", None, None),
        ],
    )
    def test_the_policy_decides(self, store, root, leaf, state, off, soft, hard):
        lists = {
            "good": [revocation_list(root)],
            "unknown": [],
            "expired": [revocation_list(root, until=LISTED)],
            "revoked": [revocation_list(root, leaf)],
        }
        for policy, said in (("off", off), ("soft", soft), ("hard", hard)):
            judging = self.judging(store, root, policy, *lists[state])
            if said is not None:
                assert judge(judging, leaf).revocation == said
            else:
                why = "revoked" if state == "revoked" else "revocation-unknown"
                assert refusal(judging, leaf).why == why

    def test_a_refusal_says_which_certificate_when_and_why(self, store, root, leaf):
        said = str(refusal(self.judging(store, root, "soft", revocation_list(root, leaf)), leaf))
        assert f"{leaf.certificate.serial_number:x}" in said
        assert "2026-10-31" in said

    def test_nobody_who_was_revoked_is_encrypted_to(self, store, root, leaf):
        judging = self.judging(store, root, "soft", revocation_list(root, leaf))
        assert refusal(judging, leaf, purpose="encrypt").why == "revoked"

    def test_around_a_revoked_ca_there_may_be_another_path(self, store, root):
        old = authority("Middle", issuer=root)
        new, subject = Entity("Middle", old.key, again(old, root)), end_entity(issuer=old)
        judging = self.judging(store, root, "soft", revocation_list(root, old))
        assert refusal(judging, subject, old).why == "revoked"
        for hints in ([old, new], [new, old]):
            found = judge(judging, subject, *hints)
            assert found.chain == (subject.certificate, new.certificate, root.certificate)

    def test_how_many_other_paths_are_tried_is_bounded(self, store, root):
        old = authority("Middle", issuer=root)
        others = [Entity("Middle", old.key, again(old, root)) for _ in range(6)]
        subject = end_entity(issuer=old)
        for revoked, found in ((2, True), (5, False)):  # of seven; the good ones come last
            judging = self.judging(store, root, "soft", revocation_list(root, old, *others[:revoked]))
            if found:
                assert judge(judging, subject, old, *others).trust is Trust.PKIX
            else:
                assert refusal(judging, subject, old, *others).why == "revoked"

    @pytest.mark.parametrize("policy", ["soft", "hard"])
    def test_a_pinned_certificate_counts_until_its_ca_has_revoked_it(self, store, root, leaf, policy):
        pins = pinned(leaf)
        for lists in ([], [revocation_list(root, until=LISTED)], [revocation_list(root)]):
            assert judge(self.judging(store, root, policy, *lists, pins=pins), leaf).trust is Trust.PINNED
        revoked = self.judging(store, root, policy, revocation_list(root, leaf), pins=pins)
        assert refusal(revoked, leaf).why == "revoked"

    @pytest.mark.parametrize("policy", ["soft", "hard"])
    def test_so_does_a_list_that_comes_along_where_nothing_else_is_known(self, store, root, leaf, policy):
        judging = self.judging(store, root, policy, pins=pinned(leaf))
        options = {"at": MOMENT, "purpose": "sign"}
        for lists in ([], [revocation_list(root)]):
            assert judging.judge(JULIET, leaf.parsed, crls=lists, **options).trust is Trust.PINNED
        judging = self.judging(store, root, policy, pins=pinned(leaf))
        with pytest.raises(UntrustedError) as caught:
            judging.judge(JULIET, leaf.parsed, crls=[revocation_list(root, leaf)], **options)
        assert caught.value.why == "revoked"

    def test_what_became_of_the_ca_does_not_matter_to_a_pin(self, store, root):
        middle = authority("Middle", issuer=root)
        subject = end_entity(issuer=middle)
        judging = self.judging(store, root, "soft", revocation_list(root, middle), pins=pinned(subject))
        assert judge(judging, subject, middle).trust is Trust.PINNED
        lonely = end_entity()
        judging = self.judging(store, root, "soft", revocation_list(root), pins=pinned(lonely))
        assert judge(judging, lonely).trust is Trust.PINNED

    def test_an_anchor_that_is_somebodys_own_is_not_asked_about(self, store):
        own = end_entity()
        lists = revocation_list(own, own)
        assert judge(self.judging(store, own, "hard", lists), own).revocation == "off"
        assert judge(self.judging(store, own, "hard", lists, pins=pinned(own)), own).trust is Trust.PINNED


class TestWithoutPaths:
    def test_a_pin_counts_though_nothing_can_be_known_of_revocation(self, store, root, leaf):
        checker = RevocationChecker("hard")
        checker.lists.add(revocation_list(root, leaf))
        judging = Authority(store, pins=pinned(leaf), revocation=checker)
        assert judge(judging, leaf).trust is Trust.PINNED


class TestMemory:
    def test_all_that_is_remembered_is_counted(self, store, root, leaf):
        paths, checker = PathValidator([root.certificate]), RevocationChecker("soft")
        for options in ({}, {"revocation": checker}):
            judging = Authority(store, paths=paths, **options)
            judge(judging, leaf)
            assert paths.size() == 1
            assert judging.size() == 2 + checker.size()


class TestNames:
    @pytest.mark.requirement("3923-6.3-10", "3923-6.3-11")
    @pytest.mark.parametrize(
        "jid", ["romeo@example.net", "example.com", "juliet@example.org", "Juliet@example.com", ""]
    )
    def test_who_is_not_named_is_not_believed_to_be_it(self, store, root, leaf, jid):
        judging = Authority(store, paths=PathValidator([root.certificate]), pins=pinned(leaf, jid=jid))
        error = refusal(judging, leaf, jid=jid)
        assert error.why == "name-mismatch"
        assert JULIET in str(error)

    def test_a_certificate_that_names_nobody_says_so(self, store, root):
        key = ec.generate_private_key(ec.SECP256R1())
        nobody = Entity("x", key, certificate(key, issuer=root))
        assert "nobody" in str(refusal(Authority(store, pins=pinned(nobody)), nobody))


class TestKeys:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024),
            lambda: ec.generate_private_key(ec.SECP521R1()),
        ],
    )
    def test_a_weak_key_is_not_believed_whatever_speaks_for_it(self, store, root, make):
        key = make()
        weak = Entity("weak", key, certificate(key, [names(JULIET)], issuer=root))
        judging = Authority(store, paths=PathValidator([root.certificate]), pins=pinned(weak))
        assert refusal(judging, weak).why == "weak"

    @pytest.mark.parametrize(
        ("extensions", "purpose", "believed"),
        [
            ((key_usage("digital_signature"),), "sign", True),
            ((key_usage("digital_signature"),), "encrypt", False),
            ((key_usage("key_agreement"),), "sign", False),
            ((key_usage("key_agreement"),), "encrypt", True),
            ((purposes(MAIL),), "sign", True),
            ((purposes(SERVER),), "sign", False),
        ],
    )
    @pytest.mark.parametrize("by", ["pin", "path"])
    def test_a_key_is_used_only_for_what_its_certificate_allows(
        self, store, root, extensions, purpose, believed, by
    ):
        own = end_entity(*extensions, issuer=root)
        options = {"pins": pinned(own)} if by == "pin" else {"paths": PathValidator([root.certificate])}
        judging = Authority(store, **options)
        if believed:
            assert judge(judging, own, purpose=purpose)
        else:
            assert refusal(judging, own, purpose=purpose).why == "untrusted"
