"""Juliet, romeo, and the clock that both have."""

import pytest

from slixmpp_e2e.protection import Protection
from tests.accounts import Clock, account
from tests.pki import PKI, Entity


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sender(pki: PKI, juliet: Entity, romeo: Entity, clock: Clock) -> Protection:
    """Juliet, who knows romeo's certificate."""
    return account(pki, juliet, clock, peers=[romeo])


@pytest.fixture
def receiver(pki: PKI, romeo: Entity, clock: Clock) -> Protection:
    """Romeo, who knows the root and nobody else."""
    return account(pki, romeo, clock)
