"""Directories that hang, lie or refuse TLS: a look-up ends in time, and nothing is left of it."""

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Self

import ldap3
import pytest
from ldap3.core.exceptions import LDAPException
from slixmpp import JID

from slixmpp_e2e.stores.ldap import THREADS, DirectoryError, LDAPResolver
from slixmpp_e2e.stores.ldap_search import _Connection, _Line

from .directory import write_server_certificate

JULIET = JID("juliet@example.com")
PASSWORD = "sesame"
#: LDAP messages (RFC 4511); `reply` puts the right id into them.
BIND_SUCCESS = bytes.fromhex("300c 020101 61 07 0a0100 0400 0400")
STARTTLS_SUCCESS = bytes.fromhex("300c 020101 78 07 0a0100 0400 0400")
STARTTLS_REFUSED = bytes.fromhex("300c 020101 78 07 0a0102 0400 0400")
ENTRY = bytes.fromhex("300a 020101 64 05 0401 78 3000")
DISCONNECTION = b"\x30\x24\x02\x01\x00\x78\x1f\x0a\x01\x34\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20036"

Talk = Callable[["Impostor", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Impostor:
    """Something that listens, and says what `talk` says; it keeps what it was told."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._tasks: set[asyncio.Task[None]] = set()
        self.heard = bytearray()
        self.connections = self.ended = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return f"ldap://127.0.0.1:{port}/o=x??sub?(mail={{bare}})"

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """Return what came, and fail when nothing comes any more."""
        data = await reader.read(4096)
        self.heard += data
        if not data:
            raise EOFError
        return data

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        try:
            await self._talk(self, reader, writer)
            while True:
                await self.read(reader)
        except (EOFError, OSError):
            self.ended += 1
        finally:
            writer.close()


def reply(request: bytes, answer: bytes) -> bytes:
    """Return an answer with the id of a request in it."""
    length = request[3]
    number = request[2 : 4 + length]  # 30 LL 02 LL ...
    rest = answer[5:]
    return bytes([0x30, len(number) + len(rest)]) + number + rest


async def silence(*_: object) -> None:
    return


async def drops(_: Impostor, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One octet after the other of an answer that never ends."""
    for octet in bytes.fromhex("3083ffffff") + bytes(1000):
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def entries_without_end(
    server: Impostor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(reply(await server.read(reader), BIND_SUCCESS))
    entry = reply(await server.read(reader), ENTRY)
    while True:
        writer.write(entry)
        await writer.drain()


async def nonsense(server: Impostor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.read(reader)
    writer.write(bytes.fromhex("30050201016100") + b"\xff" * 100)


async def nested(server: Impostor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.read(reader)
    inner = b""
    for _ in range(10_000):
        length = len(inner)
        inner = b"\x30\x83" + length.to_bytes(3) + inner
    writer.write(inner)


async def disconnection(server: Impostor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.read(reader)
    writer.write(DISCONNECTION)


async def closing(server: Impostor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.read(reader)
    writer.close()


def answering(answer: bytes) -> Talk:
    async def talk(server: Impostor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(await server.read(reader), answer))

    return talk


def threads_of(resolver: LDAPResolver) -> set[threading.Thread]:
    return {each for each in resolver._threads._threads if each.is_alive()}


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not true():  # noqa: ASYNC110 threads set no event of the loop
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("talk", [silence, drops])
async def test_who_never_answers_is_left_in_time(talk):
    async with Impostor(talk) as server:
        start = time.monotonic()
        with pytest.raises((TimeoutError, DirectoryError)):
            await LDAPResolver(server.url).find(JULIET)
        assert time.monotonic() - start < 3
        await until(lambda: server.ended == 1)


@pytest.mark.parametrize("talk", [entries_without_end, nonsense, nested, disconnection, closing])
async def test_what_is_no_answer_is_an_error(talk):
    async with Impostor(talk) as server:
        with pytest.raises(DirectoryError):
            await LDAPResolver(server.url).find(JULIET)
        await until(lambda: server.ended == 1)
        assert server.connections == 1


async def test_ldap3_does_not_connect_again_by_itself():
    """It would when it binds and finds itself closed: in clear, with the password."""
    line = _Line(1000)
    async with Impostor(silence) as server:
        port = int(server.url[len("ldap://127.0.0.1:") :].partition("/")[0])
        connection = _Connection(ldap3.Server("127.0.0.1", port), line, user="cn=me", password=PASSWORD)
        await asyncio.to_thread(connection.open, read_server_info=False)
        line.is_open = True
        connection.strategy.close()
        with pytest.raises(LDAPException, match="no other connection"):
            await asyncio.to_thread(connection.bind)
        await until(lambda: server.ended == 1)
        assert (server.connections, server.heard) == (1, b"")


async def test_nobody_there_is_an_error():
    async with Impostor(silence) as server:
        url = server.url
    with pytest.raises(DirectoryError, match="refused"):
        await LDAPResolver(url).find(JULIET)


@pytest.mark.parametrize(
    "talk",
    [
        answering(STARTTLS_REFUSED),
        answering(STARTTLS_SUCCESS),  # and then no TLS comes
        answering(STARTTLS_SUCCESS + BIND_SUCCESS),
        disconnection,
        closing,
        silence,
        nonsense,
    ],
)
async def test_without_tls_nothing_is_said_and_nobody_asked_again(talk, tmp_path):
    write_server_certificate(tmp_path)
    credentials = {"bind_dn": "cn=me", "password": PASSWORD, "ca_file": tmp_path / "ca.pem"}
    async with Impostor(talk) as server:
        with pytest.raises((DirectoryError, TimeoutError)):
            await LDAPResolver(server.url, **credentials).find(JULIET)
        await until(lambda: server.ended == 1)
    assert server.connections == 1
    assert b"1.3.6.1.4.1.1466.20037" in server.heard
    assert b"juliet" not in server.heard
    assert PASSWORD.encode() not in server.heard


def test_over_a_network_tls_is_always_demanded():
    for scheme in ("ldap", "ldaps"):
        assert LDAPResolver(f"{scheme}://ldap.example.com/???(mail={{bare}})")._tls is not None


async def test_what_is_cancelled_holds_up_nobody_and_leaves_nothing():
    async with Impostor(silence) as server:
        resolver = LDAPResolver(server.url)
        tasks = [asyncio.create_task(resolver.find(JULIET)) for _ in range(50)]
        await until(lambda: server.connections == THREADS)
        assert len(threads_of(resolver)) == THREADS
        start = time.monotonic()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in results} == {asyncio.CancelledError}
        await until(lambda: server.ended == server.connections)
        assert time.monotonic() - start < 1


async def test_the_threads_go_with_the_resolver():
    async with Impostor(closing) as server:
        resolver = LDAPResolver(server.url)
        with pytest.raises(DirectoryError):
            await resolver.find(JULIET)
        threads = threads_of(resolver)
        assert threads
        del resolver
        gc.collect()
        await until(lambda: not any(each.is_alive() for each in threads))
