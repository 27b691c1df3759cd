"""The peers, each started once a session, when the first test asks for it."""

from collections.abc import Callable, Iterator

import pytest

from tests.interop.gnutls import GnuTLS
from tests.interop.peer import Peer
from tests.pki import PKI


@pytest.fixture(scope="session")
def start(pki: PKI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[type[Peer]], Peer]]:
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
def gnutls(start: Callable[[type[Peer]], Peer]) -> GnuTLS:
    """GnuTLS, for what only it writes."""
    peer = start(GnuTLS)
    assert isinstance(peer, GnuTLS)
    return peer
