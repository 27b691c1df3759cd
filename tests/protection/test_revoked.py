"""Somebody whose certificate was revoked is not believed, and not written to; the network learns nothing of it."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.peers import index_by_name
from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.certificates.store import MemoryStore, Store
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.errors import (
    DECRYPTION_FAILED,
    UNVERIFIED_SIGNATURE,
    NoCertificateError,
    SignatureError,
    StoreError,
)
from slixmpp_e2e.media import mime
from slixmpp_e2e.policy import Level
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.report import Trust
from tests.accounts import account
from tests.certificates.building import LISTED, authority, new_key, revocation_list
from tests.cms.forge import CONTENT_IS_DATA, SIGNED_NOW, message_digest, signed_data, signer_info
from tests.formats.objects import JULIET, ROMEO, enveloped, message_cpim
from tests.pki import PKI, Entity
from tests.protection.ways import protect, refusal, unprotect


def asking(
    pki: PKI,
    entity: Entity,
    clock,
    policy="soft",
    lists: Iterable[bytes] = (),
    peers: Iterable[Entity] = (),
    store: Store | None = None,
) -> Protection:
    """Somebody with revocation lists."""
    checker = RevocationChecker(policy)
    for der in lists:
        checker.lists.add(der)
    return account(pki, entity, clock, peers=peers, revocation=checker, store=store)


@pytest.fixture(scope="module")
def good(pki: PKI) -> list[bytes]:
    return [revocation_list(pki.root), revocation_list(pki.intermediate)]


@pytest.fixture(scope="module")
def without_juliet(pki: PKI, juliet: Entity) -> list[bytes]:
    return [revocation_list(pki.root), revocation_list(pki.intermediate, juliet, number=2)]


class TestArriving:
    def test_the_report_says_what_is_known(self, pki, romeo, sender, clock, good):
        old = [revocation_list(pki.root), revocation_list(pki.intermediate, until=LISTED)]
        for lists, said in ((good, "good"), (old, "expired"), ([], "unknown")):
            report = unprotect(asking(pki, romeo, clock, lists=lists), protect(sender)).report
            sender.forget_inclusion(ROMEO)
            assert (report.revocation, "revocation" in report.checks) == (said, said == "good")
            assert report.authenticated
        report = unprotect(asking(pki, romeo, clock, "off", good), protect(sender)).report
        assert report.revocation == "off"

    @pytest.mark.requirement("6120-13.7.2-1")
    @pytest.mark.parametrize(
        ("level", "answer"), [(Level.SIGN, UNVERIFIED_SIGNATURE), (Level.REQUIRED, DECRYPTION_FAILED)]
    )
    def test_who_was_revoked_is_refused_as_everybody_whom_nobody_trusts(
        self, pki, romeo, sender, clock, without_juliet, level, answer
    ):
        error = refusal(asking(pki, romeo, clock, lists=without_juliet), protect(sender, level=level))
        assert (type(error), error.reason, error.answer) == (SignatureError, "revoked", answer)

    @pytest.mark.requirement("6120-13.7.2-1")
    def test_a_revoked_ca_is_no_better(self, pki, romeo, sender, clock):
        lists = [revocation_list(pki.root, pki.intermediate), revocation_list(pki.intermediate)]
        assert refusal(asking(pki, romeo, clock, lists=lists), protect(sender)).reason == "revoked"

    def test_the_hard_policy_takes_nothing_but_good(self, pki, romeo, sender, clock, good):
        for lists in ([], good[:1], good[1:]):
            sender.forget_inclusion(ROMEO)
            error = refusal(asking(pki, romeo, clock, "hard", lists), protect(sender))
            assert error.reason == "revocation-unknown"
        sender.forget_inclusion(ROMEO)
        assert unprotect(asking(pki, romeo, clock, "hard", good), protect(sender)).report.authenticated

    def test_who_was_revoked_is_no_longer_somebody_who_is_answered(
        self, pki, romeo, juliet, clock, without_juliet, good
    ):
        assert asking(pki, romeo, clock, lists=good, peers=[juliet]).trusts_somebody_as(JULIET)
        assert not asking(pki, romeo, clock, lists=without_juliet, peers=[juliet]).trusts_somebody_as(JULIET)


class TestTheChainIsLeftOut:
    """Who stole the key of a revoked certificate names its CA no more, or names many others first."""

    @pytest.fixture
    def store(self, pki, juliet) -> MemoryStore:
        """Juliet's certificate is kept with her CA's, as after her first stanza."""
        kept = MemoryStore(started=0)
        kept.add_certificate(JULIET.bare, (juliet.der, pki.intermediate.der))
        return kept

    def text(self, juliet, *along: Entity) -> str:
        content = message_cpim()
        info = signer_info(juliet, [CONTENT_IS_DATA, SIGNED_NOW, message_digest(content)])
        der = signed_data(content, [info], [juliet.der, *(each.der for each in along)])
        return mime.pkcs7_mime(der, "signed-data", binary=False).decode()

    @pytest.mark.requirement("6120-13.7.2-1")
    @pytest.mark.parametrize("trust", [None, Trust.VERIFIED, Trust.PINNED, Trust.TOFU])
    @pytest.mark.parametrize("along", ["nothing", "many", "many and it"])
    def test_it_is_revoked_all_the_same(self, pki, juliet, romeo, clock, without_juliet, store, trust, along):
        if trust is not None:
            store.decide(JULIET.bare, juliet.parsed.fingerprint, trust)
        many = [] if along == "nothing" else [authority("Verona User CA") for _ in range(9)]
        text = self.text(juliet, *many, *([pki.intermediate] if along == "many and it" else []))
        by = asking(pki, romeo, clock, lists=without_juliet, store=store)
        assert refusal(by, text).reason == "revoked"
        assert not by.can_encrypt_to(JULIET)

    def test_who_was_not_revoked_stays_what_he_was_decided_to_be(
        self, pki, juliet, romeo, clock, good, store
    ):
        store.decide(JULIET.bare, juliet.parsed.fingerprint, Trust.VERIFIED)
        by = asking(pki, romeo, clock, lists=good, store=store)
        assert unprotect(by, self.text(juliet)).report.trust is Trust.VERIFIED

    def test_nor_does_it_help_to_be_configured_without_it(
        self, pki, juliet, romeo, clock, without_juliet, store
    ):
        store.decide(JULIET.bare, juliet.parsed.fingerprint, Trust.PINNED)
        checker = RevocationChecker("soft")
        for der in without_juliet:
            checker.lists.add(der)
        judging = Authority(store, paths=PathValidator([pki.root.certificate]), revocation=checker)
        own, files = identity(romeo.key, romeo.certificate), index_by_name([[juliet.parsed]])
        by = Protection(own, judging, store, clock, configured=files)
        assert not by.can_encrypt_to(JULIET)
        assert not by.trusts_somebody_as(JULIET)
        assert refusal(by, self.text(juliet)).reason == "revoked"


class TestListsThatCameAlong:
    """In the `crls` field of a SignedData (RFC 5652 5.1, RFC 8550 4.1)."""

    def object_with(self, pki, juliet, romeo, *crls: bytes, encrypted: bool) -> str:
        content = message_cpim()
        attributes = [CONTENT_IS_DATA, SIGNED_NOW, message_digest(content)]
        info = signer_info(juliet, attributes)
        der = signed_data(content, [info], [juliet.der, pki.intermediate.der], crls=crls)
        if not encrypted:
            return mime.pkcs7_mime(der, "signed-data", binary=False).decode()
        return enveloped(mime.pkcs7_mime(der, "signed-data", binary=True), romeo)

    @pytest.mark.parametrize("encrypted", [True, False])
    def test_they_count_if_they_verify(self, pki, juliet, romeo, clock, good, without_juliet, encrypted):
        by = asking(pki, romeo, clock)
        text = self.object_with(pki, juliet, romeo, *good, encrypted=encrypted)
        assert unprotect(by, text).report.revocation == "good"
        text = self.object_with(pki, juliet, romeo, *without_juliet, encrypted=encrypted)
        clock.pass_seconds(1)
        assert refusal(by, text).reason == "revoked"

    def test_they_are_kept_and_count_after_a_restart(self, pki, juliet, romeo, clock, without_juliet):
        store = MemoryStore(started=0)
        by = asking(pki, romeo, clock, store=store)
        text = self.object_with(pki, juliet, romeo, *without_juliet, b"\x30\x00", encrypted=True)
        assert refusal(by, text).reason == "revoked"
        assert set(store.revocation_lists()) == set(without_juliet)
        clock.pass_seconds(1)
        text = self.object_with(pki, juliet, romeo, encrypted=True)
        assert refusal(asking(pki, romeo, clock, store=store), text).reason == "revoked"
        assert unprotect(asking(pki, romeo, clock), text).report.authenticated

    def test_a_store_that_is_full_takes_nothing_away(self, pki, juliet, romeo, clock, without_juliet):
        class Full(MemoryStore):
            def add_revocation_list(self, key: bytes, der: bytes) -> None:
                raise StoreError("no space left")

        by = asking(pki, romeo, clock, store=Full(started=0))
        text = self.object_with(pki, juliet, romeo, *without_juliet, encrypted=True)
        assert refusal(by, text).reason == "revoked"

    def test_and_not_if_they_don_t(self, pki, juliet, romeo, clock):
        forged = revocation_list(pki.intermediate, juliet, key=new_key())
        text = self.object_with(pki, juliet, romeo, forged, b"\x30\x00", encrypted=True)
        assert unprotect(asking(pki, romeo, clock), text).report.revocation == "unknown"

    def test_what_nobody_asks_for_is_not_looked_at(self, pki, juliet, romeo, clock, without_juliet):
        text = self.object_with(pki, juliet, romeo, *without_juliet, encrypted=True)
        assert unprotect(asking(pki, romeo, clock, "off"), text).report.revocation == "off"
        assert unprotect(account(pki, romeo, clock), self.object_with(pki, juliet, romeo, encrypted=True))


class TestLeaving:
    def test_nobody_who_was_revoked_is_encrypted_to(self, pki, juliet, romeo, clock):
        by = asking(pki, juliet, clock, peers=[romeo])
        assert protect(by)
        by.authority.revocation.lists.add(
            revocation_list(pki.intermediate, romeo)
        )  # at once, not in a minute
        with pytest.raises(NoCertificateError):
            protect(by)

    def test_nor_while_nothing_is_known_where_the_policy_is_hard(self, pki, juliet, romeo, clock, good):
        assert not asking(pki, juliet, clock, "hard", peers=[romeo]).can_encrypt_to(ROMEO)
        by = asking(pki, juliet, clock, "hard", good, peers=[romeo])
        assert by.can_encrypt_to(ROMEO)
        clock.pass_seconds(timedelta(days=365 * 30).total_seconds())
        assert not by.can_encrypt_to(ROMEO)
