"""HTTP requests to addresses that somebody else has chosen: bounded, and not into our own network.

Where a connection really goes is looked at when its socket is made, after the name was resolved: only addresses of
the public Internet, unless the operator names a network. Redirects are not followed, no proxy and no cookie is used,
and nothing says who asks but the request itself. Every answer has an end, in octets and in time.
"""

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import TracebackType
from typing import Final, Self

import aiohttp

from slixmpp_e2e.errors import RevocationError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_CHUNK: Final = 1 << 16
_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public Internet, and whatever it stands for is, too."""
    if isinstance(address, IPv6Address):
        inside = _inside(address)
        if inside is not None:
            return is_public(inside)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _inside(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that packets to an IPv6 address may come out at."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo is not None else None)


def read_networks(networks: Sequence[str]) -> tuple[Network, ...]:
    """Return networks by their names, as in `10.0.0.0/8`; raise `ValueError`."""
    return tuple(ip_network(each) for each in networks)


@dataclass(frozen=True, slots=True)
class _Sockets:
    """Makes sockets for public addresses and for those in some networks; raises `PermissionError` for others."""

    networks: Sequence[Network]

    def __call__(self, found: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, where = found
        address = ip_address(str(where[0]).partition("%")[0])
        if not is_public(address) and not any(address in network for network in self.networks):
            raise PermissionError(errno.EPERM, f"{address} is no address of the public Internet")
        return socket.socket(family, kind, protocol)


class BoundedHTTP:
    """Asks servers; an asynchronous context manager that leaves no connection behind."""

    def __init__(self, *, seconds: float, networks: Sequence[Network] = ()) -> None:
        connector = aiohttp.TCPConnector(socket_factory=_Sockets(networks), force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            skip_auto_headers={"User-Agent"},
            auto_decompress=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, url: str, *, limit: int) -> bytes:
        """Return what is at an address, of `limit` octets at the most; raise `RevocationError`."""
        return await self._read("GET", url, None, {}, limit)

    async def post(self, url: str, body: bytes, kind: str, *, limit: int) -> bytes:
        """Return the answer to what is sent, as `get` does. `kind` is the media type of the body."""
        return await self._read("POST", url, body, {"Content-Type": kind}, limit)

    async def _read(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str], limit: int
    ) -> bytes:
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise RevocationError(f"the server answers {answer.status}")
                return await _content(answer, limit)
        except TimeoutError:
            raise RevocationError("the server took too long") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise RevocationError(str(error) or type(error).__name__) from error


async def _content(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    found = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        found += chunk
        if len(found) > limit:
            raise RevocationError(f"more than {limit} octets come")
    return bytes(found)
