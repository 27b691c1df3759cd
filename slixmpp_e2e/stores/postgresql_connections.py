"""Connections to PostgreSQL: a few, each call within its time, and every failure a `StoreError`.

What is kept decides who is trusted, so the server must be the right one: it is reached through a Unix socket, on a
loopback address, or with TLS and a certificate that is verified. Nothing else is connected to.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from slixmpp_e2e.cms.asn1 import ASN1Error
from slixmpp_e2e.errors import ConfigurationError, StoreError

try:
    import asyncpg
except ImportError:  # pragma: no cover - an extra
    asyncpg = None

_VERIFIED: Final = frozenset({"verify-ca", "verify-full"})


class Connections:
    """A pool of connections that are made when they are needed and again when they were lost."""

    def __init__(self, url: str, *, schema: str, size: int, seconds: float) -> None:
        if asyncpg is None:
            raise ConfigurationError("PostgreSQL needs asyncpg: pip install 'slixmpp_e2e[postgresql]'")
        if size < 1 or seconds <= 0:
            raise ConfigurationError("a store needs a connection and some time to answer")
        try:
            split = urlsplit(url)
            name = f"{split.scheme}://{split.hostname or ''}{split.path}"  # without the password
            tls = choose_tls(split)
        except (ValueError, OSError) as error:  # of which no text holds the password
            raise ConfigurationError(
                f"the URL of the database can't be used: {type(error).__name__}"
            ) from None
        if split.scheme not in {"postgresql", "postgres"}:
            raise ConfigurationError(
                f"the URL of the database begins with postgresql://, not {split.scheme}:"
            )
        self.name: Final = name
        self._url = url
        self._size = size
        self._seconds = seconds
        self._options: dict[str, Any] = {} if tls is None else {"ssl": tls}
        self._settings = {
            "search_path": schema,
            "application_name": "slixmpp_e2e",
            # the functions of the schema count on it, whatever the server's default is
            "default_transaction_isolation": "read committed",
        }
        self._pool: Any = None
        self._opening = asyncio.Lock()

    async def open(self, prepare: Callable[[Any], Awaitable[None]], seconds: float) -> None:
        """Connect, and let `prepare` make the schema within some seconds, on a connection of its own."""
        async with self._opening:
            if self._pool is not None:
                return
            with self._errors():
                async with asyncio.timeout(seconds):
                    first = await self._connect()
                    try:
                        await prepare(first)
                    except BaseException:
                        first.terminate()
                        raise
                    await first.close()
                    self._pool = await asyncpg.create_pool(
                        self._url,
                        min_size=0,
                        max_size=self._size,
                        timeout=self._seconds,
                        reset=_leave_alone,
                        # a lock that is not given in time: the server needs not wait any longer than we do
                        server_settings=self._settings | {"lock_timeout": str(int(self._seconds * 1000))},
                        **self._options,
                    )

    async def _connect(self) -> Any:
        try:
            return await asyncpg.connect(
                self._url, timeout=self._seconds, server_settings=self._settings, **self._options
            )
        except OSError:  # a certificate that is not believed is a ValueError, too
            raise
        except (ValueError, IndexError) as error:  # a port that is no number, a host that has no name
            raise ConfigurationError(f"{self.name}: the URL can't be used: {error}") from error

    @asynccontextmanager
    async def connection(self, seconds: float | None = None) -> AsyncIterator[Any]:
        """Lend a connection; what is not done within the time limit ends with `StoreError`."""
        pool = self._pool
        if pool is None:
            raise StoreError(f"{self.name} is not open")
        with self._errors():
            async with asyncio.timeout(seconds or self._seconds):
                lent = await pool.acquire()
                try:
                    yield lent
                except asyncio.CancelledError:
                    lent.terminate()  # it is waiting for an answer, which may never come
                    raise
                finally:
                    await pool.release(lent)

    async def close(self) -> None:
        """Close the connections; those that are lent are cut."""
        async with self._opening:
            pool, self._pool = self._pool, None
            if pool is None:
                return
            try:
                async with asyncio.timeout(self._seconds):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise StoreError(f"{self.name}: no answer in time") from error
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,
            ASN1Error,
        ) as error:
            raise StoreError(f"{self.name}: {error}") from error


async def _leave_alone(_connection: object) -> None:
    """Nothing is ever changed on a connection that would have to be reset: that would be another round trip."""


def choose_tls(url: SplitResult) -> ssl.SSLContext | str | None:
    """Return what asyncpg is told of TLS; None: nothing, as the URL says it, or the server is on this machine.

    Raises `ConfigurationError` for another machine's server whose certificate would not be verified.
    """
    options = {name: values[-1] for name, values in parse_qs(url.query).items()}
    is_local = "service" not in options and all(map(_is_local, _hosts(url, options)))
    if is_local or options.get("sslmode") in _VERIFIED:
        return None
    if "sslmode" in options:
        raise ConfigurationError(
            "the database is on another machine: with this sslmode somebody else could answer for it; "
            "use sslmode=verify-full"
        )
    return "verify-full" if "sslrootcert" in options else ssl.create_default_context()


def _hosts(url: SplitResult, options: dict[str, str]) -> list[str]:
    """Return what may be connected to; asyncpg looks in the same places, in the same order."""
    before, at, after = url.netloc.partition("@")
    named = (after if at else before) or options.get("host") or os.environ.get("PGHOST") or ""
    return [unquote(each) for each in named.split(",")]


def _is_local(host: str) -> bool:
    """Tell whether a host, with or without a port, is a Unix socket or a loopback address."""
    if host.startswith("/") or not host:
        return True
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
