"""One search in a directory, on a connection of its own, in the thread that calls it (RFC 4511, with ldap3).

ldap3 blocks, and has no limits of its own on what comes and on how long it takes altogether; it reads host names in
certificates itself, leaves sockets open when it fails, and connects again where it finds itself closed. So all its
sockets go through one `_Line`, which counts, can be cut from another thread, and closes what it held; and TLS is
Python's.

No referral is followed, no alias dereferenced, no schema fetched, nothing is sent before TLS is there.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.core.results import RESULT_SIZE_LIMIT_EXCEEDED, RESULT_SUCCESS
from ldap3.operation.search import parse_filter
from ldap3.utils.dn import parse_dn

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.stores.ldap import DirectoryError
from slixmpp_e2e.stores.ldap_url import DirectoryURL, fill

#: How many entries may match.
ENTRIES: Final = 8
#: Octets that a directory may answer altogether, certificates and what is around them.
OCTETS: Final = 64 * 1024
#: Seconds that one attempt to connect may take: a server may have several addresses.
_CONNECT: Final = 1.0
#: Seconds that may pass until something is answered; whole ones, because ldap3 has no others.
_SECONDS: Final = 2

_SCOPE: Final = {"base": ldap3.BASE, "one": ldap3.LEVEL, "sub": ldap3.SUBTREE}


def check_syntax(url: DirectoryURL) -> None:
    """Raise `ConfigurationError` for a base or filter that no directory could read."""
    try:
        parse_dn(url.base) if url.base else None
        sample = fill(url.template, dict.fromkeys(("bare", "local", "domain"), "*()\\\0"))
        parse_filter(sample, None, auto_escape=False, auto_encode=False, validator=None, check_names=False)
    except LDAPException as error:
        raise ConfigurationError(f"{url.base!r} or {url.template!r} in an LDAP URL: {error}") from error


class DirectorySearch:
    """A search that is run once, in a thread, and can be cut off from another."""

    def __init__(
        self,
        url: DirectoryURL,
        search_filter: str,
        *,
        bind_dn: str | None,
        password: str | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._url = url
        self._filter = search_filter
        self._credentials = {"user": bind_dn, "password": password}
        self._tls = tls
        self._line = _Line(OCTETS)

    def run(self) -> list[bytes]:
        """Return the values of the attributes of all entries that match; raise `DirectoryError`."""
        try:
            return self._run(_Connection(self._server(), self._line, **self._credentials))
        except DirectoryError:
            raise
        except Exception as error:  # ldap3 reads what the server sends, and raises whatever comes of it
            raise DirectoryError(str(error) or type(error).__name__) from error
        finally:
            self._line.close()

    def abort(self) -> None:
        """Cut the connection, if there is one: `run` ends at once, unless it looks up the server's name."""
        self._line.cut()

    def _server(self) -> Any:
        url = self._url
        tls = _TLS(self._tls, url.host) if self._tls is not None else None
        common = {"get_info": ldap3.NONE, "allowed_referral_hosts": [], "connect_timeout": _CONNECT}
        if url.scheme == "ldapi":
            server = ldap3.Server(f"ldapi://{quote(url.host, safe='')}", **common)
            server.host = url.host  # ldap3 2.9.1 puts a slash before it
            return server
        return ldap3.Server(url.host, url.port, use_ssl=url.scheme == "ldaps", tls=tls, **common)

    def _run(self, connection: Any) -> list[bytes]:
        connection.open(read_server_info=False)
        self._line.is_open = True
        if self._tls is not None and self._url.scheme != "ldaps":
            self._must(connection.start_tls(read_server_info=False), connection)
        self._must(connection.bind(read_server_info=False), connection)
        connection.search(
            self._url.base,
            self._filter,
            search_scope=_SCOPE[self._url.scope],
            dereference_aliases=ldap3.DEREF_NEVER,
            attributes=list(self._url.attributes),
            size_limit=ENTRIES,
            time_limit=_SECONDS,
        )
        found = list(self._values(connection.result["result"], connection))
        with suppress(LDAPException):  # it has said what we wanted to know
            connection.unbind()
        return found

    def _must(self, done: bool, connection: Any) -> None:
        """ldap3 does not raise for all that is not a success, whatever it is told."""
        if not done:
            raise DirectoryError(f"{connection.result['description']}: {connection.result['message']}")

    def _values(self, code: int, connection: Any) -> Iterator[bytes]:
        entries = [each for each in connection.response if each["type"] == "searchResEntry"]
        if code == RESULT_SIZE_LIMIT_EXCEEDED or len(entries) > ENTRIES:
            raise DirectoryError(f"more than {ENTRIES} entries match {self._filter}")
        self._must(code == RESULT_SUCCESS, connection)
        wanted = {_kind(name) for name in self._url.attributes}
        for entry in entries:
            for name, values in entry["raw_attributes"].items():
                if _kind(name) in wanted:
                    yield from values or ()


def _kind(attribute: str) -> str:
    """Return the name of an attribute without its options (`;binary`), as it is compared."""
    return attribute.partition(";")[0].lower()


# --------------------------------------------------------------------------- what ldap3 is given


class _Line:
    """What looks like a socket to ldap3, whichever it holds: the plain one, then the one with TLS over it."""

    def __init__(self, octets: int) -> None:
        self.inner: socket.socket | None = None
        #: There is a connection: from here on there is no other one, only TLS over this one.
        self.is_open = False
        self._left = octets
        self._is_cut = False
        #: A number of a socket must not become somebody else's between reading and using it.
        self._lock = threading.Lock()

    def hold(self, inner: socket.socket) -> None:
        """Take a socket, and close the one that was held.

        Raises `ConnectionAbortedError` if nobody waits any more, or if it is a second connection.
        """
        with self._lock:
            if self.inner is not None:
                self.inner.close()
            if self._is_cut or (self.is_open and not isinstance(inner, ssl.SSLSocket)):
                inner.close()
                raise ConnectionAbortedError("no other connection is made, or nobody waits for it any more")
            self.inner = inner

    def cut(self) -> None:
        """End all that is done with it, also in another thread, and all that will be."""
        with self._lock:
            self._is_cut = True
            if self.inner is not None:
                with suppress(OSError):
                    socket.socket.shutdown(self.inner, socket.SHUT_RDWR)  # without a word of TLS

    def close(self) -> None:
        """Close what it holds."""
        with self._lock:
            if self.inner is not None:
                self.inner.close()
                self.inner = None

    def recv(self, size: int) -> bytes:
        """See `socket.recv`; raise `OSError` beyond the limit."""
        data = self._held().recv(size)
        self._left -= len(data)
        if self._left < 0:
            raise OSError(f"more than {OCTETS} octets")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._held(), name)

    def _held(self) -> socket.socket:
        inner = self.inner  # another thread may close it
        if inner is None:
            raise OSError("the connection is closed")
        return inner


class _Connection(ldap3.Connection):  # type: ignore[misc]  # ldap3 has no types
    """A connection all of whose sockets are held by one line."""

    def __init__(self, server: Any, line: _Line, **credentials: str | None) -> None:
        self._line = line
        super().__init__(
            server,
            **credentials,
            client_strategy=ldap3.SYNC,
            read_only=True,
            raise_exceptions=True,
            receive_timeout=_SECONDS,
            auto_referrals=False,
            auto_range=False,
            auto_escape=False,  # it is: twice would be another value
            check_names=False,
            return_empty_attributes=False,
        )

    @property
    def socket(self) -> _Line | None:
        """What ldap3 reads and writes."""
        return None if self._line.inner is None else self._line

    @socket.setter
    def socket(self, made: Any) -> None:
        if made is None:
            self._line.close()
        else:
            self._line.hold(made)


class _TLS(ldap3.Tls):  # type: ignore[misc]
    """TLS as the context has it; ldap3 would not send the server's name, and read certificates itself."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context
        self._host = host

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """See `ldap3.Tls`; the handshake is always made here, and the name checked in it."""
        wrapped = self._context.wrap_socket(
            connection.socket.inner, server_hostname=self._host, do_handshake_on_connect=False
        )
        connection.socket = wrapped  # before it blocks
        wrapped.do_handshake()
