"""A small XMPP server inside the program, for the demo and for tests.

It is a test double: it listens on the loopback interface only, has no TLS, keeps everything in memory, is not
a conformant server and must never be used in production. It does what a client under test can observe of a
real server (see `LoopbackServer`), and what an attacker who owns the server could do to that client.
"""

from .recording import WireRecord
from .server import LoopbackServer

__all__ = ["LoopbackServer", "WireRecord"]
