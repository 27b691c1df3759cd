"""Certificates in directories, found over LDAP (RFC 4511, RFC 4523); needs the extra `ldap`.

What a directory says is a hint, like all that a `CertificateResolver` finds: who asked judges it.
"""

import asyncio
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final

from slixmpp import JID

from slixmpp_e2e.errors import ConfigurationError, LocalError
from slixmpp_e2e.stores.ldap_url import DirectoryURL, read_url

#: Seconds for one look-up, with everything; the search would wait for three.
SECONDS: Final = 2.5
#: Threads, and so connections, of one resolver at the same time; others wait, within their time.
THREADS: Final = 8


class DirectoryError(LocalError):
    """A directory did not answer, or not as it should."""

    code: ClassVar[str] = "directory"


class LDAPResolver:
    """Looks certificates up in a directory, on a connection of its own each time.

    `url` is an LDAP URL (RFC 4516) whose filter has a place for the JID (`ldap_url`):
    `ldaps://ldap.example.com/ou=people,dc=example,dc=com?userCertificate;binary?sub?(mail={bare})`. Without
    attributes, `userCertificate` is asked for, with the option `;binary` and without it.

    With `bind_dn` and `password` a simple bind is made, else an anonymous one. The server has to show a certificate
    for the name in the URL, from a CA in the PEM file `ca_file` or, without one, from a CA of the system. `ldap://`
    becomes TLS before anything is said (StartTLS), or nothing is said; only where the server is on the same machine
    (`ldapi://`, a loopback address) and there is no `ca_file`, TLS is not demanded.

    **Not** done: following referrals and aliases, SASL, certificates of our own for TLS, and looking for the CAs'
    certificates, unless the URL asks for `cACertificate;binary` and they stand in the same entries.

    Raises `ConfigurationError` for a URL or file that can't be used, and when ldap3 is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        bind_dn: str | None = None,
        password: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
    ) -> None:
        self._url = read_url(url)
        try:
            from slixmpp_e2e.stores import ldap_search  # noqa: PLC0415 ldap3 is an extra
        except ImportError as error:
            raise ConfigurationError(
                f"{url!r} needs ldap3, which can't be used ({error}): pip install 'slixmpp_e2e[ldap]'"
            ) from error
        ldap_search.check_syntax(self._url)
        if bool(bind_dn) != bool(password) or "" in (bind_dn, password):
            # A name without a password would be an anonymous bind that looks like another one (RFC 4513 5.1.2).
            raise ConfigurationError("bind_dn and password go together, and neither is empty")
        self._new_search = ldap_search.DirectorySearch
        self._credentials = {"bind_dn": bind_dn, "password": password}
        self._tls = _context(self._url, ca_file)
        self._threads = ThreadPoolExecutor(THREADS, "e2e-ldap")

    async def find(self, jid: JID) -> list[bytes]:
        """Return the certificates in the entries for the bare JID; see `CertificateResolver`.

        Raises `DirectoryError` if the directory does not answer, answers wrongly, or says too much (more than 8
        entries or 64 KiB), `TimeoutError` after 2.5 seconds. When it is cancelled, the connection is cut, and its
        thread ends by itself.
        """
        search_filter = self._url.search_filter(jid)
        if search_filter is None:
            return []
        search = self._new_search(self._url, search_filter, tls=self._tls, **self._credentials)
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, search.run)
        finally:
            search.abort()


def _context(url: DirectoryURL, ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext | None:
    """Return what TLS is made with, or None where there need be none."""
    if url.scheme == "ldapi" and ca_file is not None:
        raise ConfigurationError("ldapi:// has no TLS, and no use for a ca_file")
    if url.scheme != "ldaps" and url.is_local and ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # no such file; nothing in it
        raise ConfigurationError(f"the certificates of CAs in {ca_file} can't be read: {error}") from error
