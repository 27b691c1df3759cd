"""Other implementations, where they are installed: `pip install -r tests/benchmarks/peers.txt`."""

from collections.abc import Awaitable, Callable
from typing import Final

from tests.benchmarks.peers.m2crypto import m2crypto
from tests.benchmarks.peers.omemo import omemo
from tests.benchmarks.peers.openssl import openssl
from tests.benchmarks.peers.peer import NotInstalledError, Peer
from tests.pki import PKI

#: Each takes keys and certificates, and the text to protect.
ALL: Final[tuple[Callable[[PKI, bytes], Awaitable[Peer]], ...]] = (openssl, m2crypto, omemo)

__all__ = ["ALL", "NotInstalledError", "Peer"]
