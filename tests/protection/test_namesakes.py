"""Certificates of others with a sender's identifiers: they don't keep him from being recognised."""

from collections.abc import Iterator

import pytest

from slixmpp_e2e.certificates.store import CERTIFICATES_FOUND, Chain, MemoryStore, Store
from slixmpp_e2e.errors import DECRYPTION_FAILED, StoreError
from slixmpp_e2e.policy import Level
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.accounts import account
from tests.certificates.building import with_key_identifier_of
from tests.formats.objects import JULIET
from tests.pki import Entity
from tests.protection.ways import protect, refusal, unprotect

#: So many that, in whatever order they are found, hers is seldom among the first.
MANY = 20 * CERTIFICATES_FOUND


def fill(store: Store, entity: Entity, count: int = MANY, *, first: int = 0) -> None:
    """Learn certificates of others, all with the key identifier of somebody's."""
    for number in range(first, first + count):
        store.add_certificate(f"m{number}@evil.example", (with_key_identifier_of(entity.certificate).der,))


@pytest.fixture(params=["memory", "sqlite"])
def kept(request, tmp_path) -> Iterator[Store]:
    store = MemoryStore(started=0) if request.param == "memory" else SQLiteStore(tmp_path / "store.db")
    yield store
    store.close()


@pytest.mark.parametrize("level", [Level.SIGN, Level.REQUIRED])
def test_whoever_came_first_the_senders_own_are_tried_first(pki, sender, romeo, clock, kept, juliet, level):
    fill(kept, juliet)
    receiver = account(pki, romeo, clock, store=kept)
    assert unprotect(receiver, protect(sender, level=level)).learned
    text = protect(sender, level=level)  # without her certificate
    known = MANY
    while juliet.der in kept.find_certificates(juliet.parsed.key_identifier):
        fill(kept, juliet, first=known)
        known += MANY
    assert unprotect(receiver, text).report.authenticated


def test_her_certificates_that_can_not_be_read_are_as_any_failure_before_the_signature(
    pki, sender, romeo, clock, juliet
):
    class Broken(MemoryStore):
        is_broken = False

        def certificates(self, jid: str) -> tuple[Chain, ...]:
            if self.is_broken:
                raise StoreError("the disk is gone")
            return super().certificates(jid)

    kept = Broken(started=0)
    fill(kept, juliet, 2)
    receiver = account(pki, romeo, clock, store=kept)
    unprotect(receiver, protect(sender))
    text = protect(sender)
    kept.is_broken = True
    error = refusal(receiver, text)
    assert (error.reason, error.answer) == ("unknown-signer", DECRYPTION_FAILED)
    assert "the disk is gone" in str(error)
    kept.is_broken = False
    assert [chain[0] for chain in kept.certificates(JULIET.bare)] == [juliet.der]
