"""The ladder of trust: decisions, paths, first use, and what a changed certificate means."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.certificates.trust import Authority, ChangedCertificateError
from slixmpp_e2e.report import Trust
from tests.certificates.building import (
    JULIET,
    SERVER,
    authority,
    certificate,
    end_entity,
    names,
    purposes,
    revocation_list,
)
from tests.certificates.test_trust import judge, pinned, refusal
from tests.pki import MOMENT, Entity

ROMEO = "romeo@example.net"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")


@pytest.fixture(scope="module")
def renewed(root: Entity) -> Entity:
    """Another certificate of juliet's, from the CA."""
    return end_entity(issuer=root)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(started=0)


def decide(store: MemoryStore, entity: Entity, trust: Trust, jid: str = JULIET) -> None:
    store.decide(jid, entity.parsed.fingerprint, trust)


class TestDecisions:
    @pytest.mark.parametrize("trust", [Trust.VERIFIED, Trust.PINNED])
    def test_a_decision_goes_before_a_path(self, store, root, renewed, trust):
        judging = Authority(store, paths=PathValidator([root.certificate]))
        decide(store, renewed, trust)
        assert judge(judging, renewed).trust is trust

    def test_a_path_goes_before_first_use(self, store, root, renewed):
        judging = Authority(store, paths=PathValidator([root.certificate]), first_use=True)
        decide(store, renewed, Trust.TOFU)
        assert judge(judging, renewed).trust is Trust.PKIX

    def test_what_is_distrusted_is_refused_whatever_else_speaks_for_it(self, store, root, renewed):
        judging = Authority(
            store, paths=PathValidator([root.certificate]), pins=pinned(renewed), first_use=True
        )
        decide(store, renewed, Trust.DISTRUSTED)
        for purpose in ("sign", "encrypt"):
            assert refusal(judging, renewed, purpose=purpose).why == "distrusted"

    def test_distrusting_the_only_pin_opens_nothing(self, store, root, renewed):
        pinned_one = end_entity()
        judging = Authority(
            store, paths=PathValidator([root.certificate]), pins=pinned(pinned_one), first_use=True
        )
        decide(store, pinned_one, Trust.DISTRUSTED)
        assert refusal(judging, pinned_one).why == "distrusted"
        for other in (renewed, end_entity()):
            assert isinstance(refusal(judging, other), ChangedCertificateError)

    def test_what_is_distrusted_says_nothing_about_another_certificate(self, store, root, renewed):
        decide(store, end_entity(), Trust.DISTRUSTED)
        judging = Authority(store, paths=PathValidator([root.certificate]))
        assert judge(judging, renewed).trust is Trust.PKIX

    def test_a_decision_does_not_make_a_certificate_somebody_elses(self, store):
        own = end_entity()
        decide(store, own, Trust.VERIFIED, ROMEO)
        assert refusal(Authority(store), own, jid=ROMEO).why == "name-mismatch"

    def test_a_person_may_verify_what_the_configuration_pins(self, store):
        own = end_entity()
        decide(store, own, Trust.VERIFIED)
        assert judge(Authority(store, pins=pinned(own)), own).trust is Trust.VERIFIED

    def test_who_pins_the_one_that_was_the_first_has_it_pinned(self, store):
        own, other = end_entity(), end_entity()
        decide(store, own, Trust.TOFU)
        judging = Authority(store, pins=pinned(own), first_use=True)
        for purpose in ("sign", "encrypt"):
            assert judge(judging, own, purpose=purpose).trust is Trust.PINNED
        assert judging.decisions(JULIET) == {own.parsed.fingerprint: Trust.PINNED}
        assert isinstance(refusal(judging, other), ChangedCertificateError)

    def test_who_pins_another_than_the_first_has_that_one_alone(self, store):
        own, first = end_entity(), end_entity()
        decide(store, first, Trust.TOFU)
        judging = Authority(store, pins=pinned(own), first_use=True)
        assert judge(judging, own).trust is Trust.PINNED
        assert isinstance(refusal(judging, first), ChangedCertificateError)


class TestChange:
    def test_a_renewed_certificate_of_a_pki_needs_nobody(self, store, root, renewed):
        decide(store, end_entity(), Trust.VERIFIED)
        judging = Authority(store, paths=PathValidator([root.certificate]))
        assert judge(judging, renewed).trust is Trust.PKIX

    @pytest.mark.parametrize("trust", [Trust.VERIFIED, Trust.TOFU, Trust.PINNED])
    def test_another_one_without_a_path_is_a_change(self, store, trust):
        decide(store, end_entity(), trust)
        assert isinstance(refusal(Authority(store, first_use=True), end_entity()), ChangedCertificateError)

    def test_where_it_is_pinned_a_path_does_not_help(self, store, root, renewed):
        decide(store, end_entity(), Trust.PINNED)
        judging = Authority(store, paths=PathValidator([root.certificate]))
        assert isinstance(refusal(judging, renewed), ChangedCertificateError)


class TestFirstUse:
    def test_who_is_not_known_is_believed_once_and_that_is_to_be_kept(self, store):
        own = end_entity()
        decision = judge(Authority(store, first_use=True), own)
        assert (decision.trust, decision.first_use) == (Trust.TOFU, True)
        decide(store, own, Trust.TOFU)
        decision = judge(Authority(store, first_use=True), own)
        assert (decision.trust, decision.first_use) == (Trust.TOFU, False)

    def test_nothing_is_encrypted_to_a_certificate_whose_owner_has_not_signed_with_it(self, store):
        assert refusal(Authority(store, first_use=True), end_entity(), purpose="encrypt").why == "untrusted"

    def test_it_has_to_be_asked_for(self, store):
        assert refusal(Authority(store), end_entity()).why == "untrusted"

    def test_none_of_our_own_jids_is_found_out_by_who_writes_first(self, store, root, renewed):
        judging = Authority(store, paths=PathValidator([root.certificate]), first_use=True)
        judging.is_ours = lambda jid: jid == JULIET
        server = end_entity()
        assert refusal(judging, server).why == "untrusted"
        decide(store, server, Trust.TOFU)  # as it was kept before it was ours
        for purpose in ("sign", "encrypt"):
            assert refusal(judging, server, purpose=purpose).why == "untrusted"
        assert judging.decisions(JULIET) == {}
        assert judge(judging, renewed).trust is Trust.PKIX
        decide(store, server, Trust.VERIFIED)
        assert judge(judging, server).trust is Trust.VERIFIED
        romeo = end_entity(jid=ROMEO)
        assert judge(judging, romeo, jid=ROMEO).first_use


class TestFirstUseBesideOthers:
    """Nobody is the first one where another certificate is, or was, believed by a path."""

    def first_or_changed(self, judging: Authority, entity: Entity, *others: list[Entity]) -> bool:
        """Tell whether it is a first use; it is a change otherwise."""
        try:
            found = judging.judge(
                JULIET,
                entity.parsed,
                at=MOMENT,
                purpose="sign",
                others=[[each.parsed for each in other] for other in others],
            )
        except ChangedCertificateError:
            return False
        return found.first_use

    @pytest.fixture
    def judging(self, store, root) -> Authority:
        return Authority(store, paths=PathValidator([root.certificate]), first_use=True)

    def test_who_is_known_by_a_path_is_not_joined_by_anybody(self, judging, root, renewed):
        middle = authority("Middle", issuer=root)
        below = end_entity(issuer=middle)
        for other in ([renewed], [below, middle]):
            assert not self.first_or_changed(judging, end_entity(), other)

    @pytest.mark.parametrize(
        ("begins", "ends"), [(-9 * DAY, -DAY), (-9 * DAY, DAY)], ids=["expired", "the CA alone is expired"]
    )
    def test_nor_who_was_as_long_as_it_was_valid(self, judging, root, begins, ends):
        middle = authority(
            "Middle", issuer=root, valid_from=MOMENT - 99 * DAY, valid_until=MOMENT - timedelta(hours=36)
        )
        below = end_entity(issuer=middle, valid_from=MOMENT + begins, valid_until=MOMENT + ends)
        assert not self.first_or_changed(judging, end_entity(), [below, middle])

    def test_nor_who_began_before_a_renewed_ca(self, judging, root):
        middle = authority("Middle", issuer=root, valid_from=MOMENT - 5 * DAY, valid_until=MOMENT - DAY)
        below = end_entity(issuer=middle, valid_from=MOMENT - 9 * DAY)
        assert not self.first_or_changed(judging, end_entity(), [below, middle])

    def test_nor_who_was_revoked_since(self, store, root, renewed):
        checker = RevocationChecker("hard")
        checker.lists.add(revocation_list(root, renewed))
        judging = Authority(
            store, paths=PathValidator([root.certificate]), first_use=True, revocation=checker
        )
        assert not self.first_or_changed(judging, end_entity(), [renewed])

    def test_what_nobody_ever_believed_rules_nothing_out(self, store, judging, root):
        somebody_elses = end_entity(issuer=root, jid=ROMEO)
        for_servers = end_entity(purposes(SERVER), issuer=root)
        weak = Entity(
            "weak",
            key := ec.generate_private_key(ec.SECP521R1()),
            certificate(key, [names(JULIET)], issuer=root),
        )
        of_an_unknown_ca = end_entity(issuer=authority("Other"))
        for other in (end_entity(), of_an_unknown_ca, somebody_elses, for_servers, weak):
            assert self.first_or_changed(judging, end_entity(), [other])
        assert self.first_or_changed(Authority(store, first_use=True), end_entity(), [of_an_unknown_ca])

    def test_nor_does_what_a_person_distrusts(self, store, judging, renewed):
        decide(store, renewed, Trust.DISTRUSTED)
        assert self.first_or_changed(judging, end_entity(), [renewed])

    def test_a_certificate_is_not_another_one_than_itself(self, judging):
        middle = authority("Middle")
        own = end_entity(issuer=middle)
        assert self.first_or_changed(judging, own, [own])


class TestAnchorsOfADomain:
    def test_the_ca_of_one_domain_says_nothing_about_another(self, store, root, renewed):
        other = authority("Other")
        paths = {"example.net": PathValidator([root.certificate]), "*": PathValidator([other.certificate])}
        judging = Authority(store, paths=paths)
        assert refusal(judging, renewed).why == "untrusted"  # juliet is of example.com
        assert judge(judging, end_entity(issuer=other)).trust is Trust.PKIX
        romeos = end_entity(jid=ROMEO, issuer=root)
        assert judge(judging, romeos, jid=ROMEO).trust is Trust.PKIX
        assert refusal(judging, end_entity(jid=ROMEO, issuer=other), jid=ROMEO).why == "untrusted"

    def test_where_there_are_none_nobody_is_believed(self, store, root, renewed):
        judging = Authority(store, paths={"example.net": PathValidator([root.certificate])})
        assert "no trust anchors" in str(refusal(judging, renewed))
