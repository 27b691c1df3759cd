"""What every test may use: one throw-away PKI a session."""

import pytest
from hypothesis import settings

from tests.pki import PKI, Entity, make_pki

# RSA is too uneven in time for deadlines; `timeout` in pyproject.toml bounds the whole test.
settings.register_profile("slixmpp_e2e", deadline=None)
settings.load_profile("slixmpp_e2e")


@pytest.fixture(scope="session")
def pki() -> PKI:
    """A root, an intermediate CA and end entities."""
    return make_pki()


@pytest.fixture(scope="session")
def juliet(pki: PKI) -> Entity:
    """juliet@example.com, RSA-2048."""
    return pki["juliet"]


@pytest.fixture(scope="session")
def romeo(pki: PKI) -> Entity:
    """romeo@example.net, RSA-2048."""
    return pki["romeo"]
