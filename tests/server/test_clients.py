"""The clients of the tests leave nothing behind, in whatever state they are closed."""

import asyncio

import pytest

from slixmpp_e2e.cli.loopback import LoopbackServer

from .clients import ACCOUNTS, Inbox, close, connect, new_client

ROMEO = "romeo@localhost/orchard"
PLUGINS = ["xep_0030", "xep_0198", "xep_0199", "xep_0280"]


@pytest.fixture
async def server():
    """A loopback server is enough here."""
    async with LoopbackServer(ACCOUNTS) as running:
        yield running


def slixmpp_tasks():
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_a_closed_client_leaves_no_task_and_no_timer(server):
    romeo = new_client(ROMEO, plugins=PLUGINS)
    await connect(romeo, server.port)
    unanswered = romeo.make_iq_get(ito=ROMEO).send(timeout=60)
    assert romeo.scheduled_events
    assert slixmpp_tasks()
    await close(romeo)
    assert romeo.scheduled_events == {}
    assert slixmpp_tasks() == set()
    assert romeo.transport is None
    unanswered.cancel()


async def test_a_reconnecting_client_comes_back_until_it_is_closed(server):
    romeo = new_client(ROMEO, plugins=PLUGINS)
    await connect(romeo, server.port, reconnect=True)
    resumed = Inbox(romeo, "session_resumed")
    server.cut(ROMEO)
    await resumed.next()
    await close(romeo)
    assert slixmpp_tasks() == set()
    assert romeo.transport is None
    assert len(server.recorded_from_clients.connections) == 2


async def test_a_client_whose_server_is_gone_can_be_closed(server):
    romeo = new_client(ROMEO, plugins=PLUGINS)
    await connect(romeo, server.port, reconnect=True)
    await server.stop()
    await asyncio.sleep(0.01)
    await close(romeo)
    assert slixmpp_tasks() == set()


async def test_a_client_can_be_closed_in_the_middle_of_its_login():
    silent = asyncio.Event()

    async def serve(reader, writer):
        await reader.read(1)
        silent.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        romeo = new_client(ROMEO, plugins=PLUGINS)
        with pytest.raises(TimeoutError):
            await connect(romeo, listener.sockets[0].getsockname()[1], seconds=0.05)
        assert silent.is_set()
        await close(romeo)
        assert romeo.transport is None
        assert not romeo.is_connecting()


async def test_an_unreachable_server_is_reported_at_once():
    async with LoopbackServer(ACCOUNTS) as server:
        port = server.port
    romeo = new_client(ROMEO)
    with pytest.raises(ConnectionError, match="romeo@localhost/orchard could not start its session"):
        await connect(romeo, port)
    await close(romeo)
    assert slixmpp_tasks() == set()
