"""The proxy loses and cuts exactly what it is told to, against a plain echo server."""

import asyncio

import pytest

from .clients import LOOPBACK
from .proxy import RecordingProxy


@pytest.fixture
async def echo():
    """Return a proxy in front of a server that sends back what it gets."""
    arrived = bytearray()
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        try:
            while octets := await reader.read(65536):
                arrived.extend(octets)
                writer.write(octets)
        except ConnectionResetError:
            arrived.extend(b"<reset>")
        finally:
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    async with RecordingProxy(server.sockets[0].getsockname()[1]) as proxy:
        proxy.arrived_at_server = arrived
        yield proxy
    server.close()
    for writer in writers:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.fixture
async def talk(echo):
    """Return a connection to the echo server through the proxy."""
    reader, writer = await asyncio.open_connection(LOOPBACK, echo.port)
    yield reader, writer
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_octets_pass_in_both_directions_and_are_recorded(echo, talk):
    reader, writer = talk
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    assert echo.recorded_from_clients.joined == b"hello"
    assert echo.recorded_to_clients.joined == b"hello"


async def test_swallowed_octets_are_recorded_but_do_not_arrive(echo, talk):
    reader, writer = talk
    writer.write(b"one")
    await reader.readexactly(3)
    echo.swallow("from_clients")
    writer.write(b"two")
    await echo.wait_for("from_clients", b"onetwo")
    assert bytes(echo.arrived_at_server) == b"one"


async def test_a_cut_resets_both_sides_and_ends_the_swallowing(echo, talk):
    reader, writer = talk
    writer.write(b"one")
    await reader.readexactly(3)
    echo.swallow("to_clients")
    echo.cut()
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    again, writer = await asyncio.open_connection(LOOPBACK, echo.port)
    writer.write(b"two")
    assert await again.readexactly(3) == b"two"
    assert bytes(echo.arrived_at_server) == b"one<reset>two"
    assert [bytes(each) for each in echo.recorded_from_clients.connections] == [b"one", b"two"]
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("offset", [1, 4, 999, 1000])
async def test_a_cut_at_an_offset_lets_exactly_so_many_octets_through_to_the_server(echo, offset):
    echo.cut_at("from_clients", offset)
    reader, writer = await asyncio.open_connection(LOOPBACK, echo.port)
    writer.write(b"x" * 1000)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    await echo.stop()
    assert len(echo.arrived_at_server) == offset


@pytest.mark.parametrize("offset", [1, 4, 999])
async def test_a_cut_at_an_offset_lets_exactly_so_many_octets_through_to_the_client(echo, talk, offset):
    reader, writer = talk
    writer.write(b"y")
    await reader.readexactly(1)
    echo.cut_at("to_clients", 1 + offset)
    writer.write(b"x" * 1000)
    assert len(await reader.read()) == offset


async def test_a_cut_cannot_be_placed_in_the_past(echo, talk):
    reader, writer = talk
    writer.write(b"xyz")
    await reader.readexactly(3)
    with pytest.raises(ValueError, match="3 octets have already passed"):
        echo.cut_at("to_clients", 3)


async def test_the_end_of_one_side_is_passed_on_after_its_last_octets(echo, talk):
    reader, writer = talk
    writer.write(b"last words")
    writer.write_eof()
    await asyncio.wait_for(reader.read(), 5)
    assert bytes(echo.arrived_at_server) == b"last words"


async def test_a_server_that_is_not_there_ends_the_clients_connection():
    async with await asyncio.start_server(lambda _r, writer: writer.close(), LOOPBACK, 0) as gone:
        port = gone.sockets[0].getsockname()[1]
    async with RecordingProxy(port) as proxy:
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_cutting_nothing_is_an_error_in_the_test():
    async with RecordingProxy(1) as proxy:
        with pytest.raises(AssertionError, match="no client is connected"):
            proxy.cut()
