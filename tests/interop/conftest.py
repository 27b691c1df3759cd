"""The peers, each started once a session, when the first test asks for it."""

import time
from collections.abc import Iterator

import pytest

from slixmpp_e2e.endpoint import Endpoint
from tests.accounts import Clock, account
from tests.interop.gnutls import GnuTLS
from tests.interop.peer import Peer, Start
from tests.pki import PKI


@pytest.fixture(scope="session")
def start(pki: PKI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Return what starts a peer, or returns the one that runs."""
    running: dict[type[Peer], Peer] = {}

    def get(kind: type[Peer]) -> Peer:
        if kind not in running:
            running[kind] = kind(pki, tmp_path_factory.mktemp(kind.__name__.lower()))
        return running[kind]

    yield get
    for peer in running.values():
        peer.close()


@pytest.fixture(scope="session")
def gnutls(start: Start) -> GnuTLS:
    """GnuTLS, for what only it writes."""
    peer = start(GnuTLS)
    assert isinstance(peer, GnuTLS)
    return peer


@pytest.fixture
def clock() -> Clock:
    """The time of this machine: peers sign with it, and take no other."""
    return Clock(time.time_ns())


@pytest.fixture
def romeos(pki: PKI, clock: Clock) -> Endpoint:
    """Romeo's end, where nothing has arrived yet."""
    return Endpoint.over(account(pki, pki["romeo"], clock))
