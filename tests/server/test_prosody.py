"""What only concerns the throw-away Prosody: it comes with what was asked for, and goes without a trace."""

import asyncio
import tempfile

import pytest

from slixmpp_e2e.cli import prosody
from slixmpp_e2e.cli.prosody import ProsodyError, ThrowAwayProsody

from .clients import ACCOUNTS, LOOPBACK, Clients, Inbox, close, connect, new_client

pytestmark = pytest.mark.server

ROMEO = "romeo@localhost/orchard"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Return the directory in which temporary files are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


async def logged_in(server, jid):
    """Log in and out again; return the JID of the session."""
    clients = Clients(server.port, server.component_port)
    try:
        return (await clients.log_in(jid)).boundjid
    finally:
        await clients.close()


async def test_it_starts_with_the_accounts_and_leaves_no_process_and_no_file(temporary):
    async with ThrowAwayProsody(ACCOUNTS) as server:
        assert len(list(temporary.iterdir())) == 1
        assert (await logged_in(server, ROMEO)).full == ROMEO
        port = server.port
    assert list(temporary.iterdir()) == []
    with pytest.raises(OSError):  # noqa: PT011
        await asyncio.open_connection(LOOPBACK, port)
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.port
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_without_the_program_the_error_says_what_to_install(monkeypatch, temporary):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ProsodyError) as caught:
        await ThrowAwayProsody(ACCOUNTS).start()
    assert "'prosody' is not installed or not on the PATH. " in caught.value.diagnostics()
    assert "apt install prosody" in caught.value.diagnostics()
    assert list(temporary.iterdir()) == []


async def test_a_wrong_configuration_is_an_error_with_prosodys_own_words(temporary):
    with pytest.raises(ProsodyError, match=r"prosody\.cfg\.lua"):
        await ThrowAwayProsody(ACCOUNTS, extra_configuration="this is not Lua").start()
    assert list(temporary.iterdir()) == []


async def test_a_port_that_is_taken_in_the_meantime_is_replaced_by_another(monkeypatch):
    async with await asyncio.start_server(lambda _reader, writer: writer.close(), LOOPBACK, 0) as thief:
        taken = thief.sockets[0].getsockname()[1]
        free = prosody._free_ports()
        offered = [(taken, free[1]), free]
        monkeypatch.setattr(prosody, "_free_ports", lambda: offered.pop(0))
        async with ThrowAwayProsody(ACCOUNTS) as server:
            assert server.port == free[0]
            assert (await logged_in(server, ROMEO)).full == ROMEO


async def test_extra_configuration_is_in_force():
    async with ThrowAwayProsody(ACCOUNTS, extra_configuration="c2s_stanza_size_limit = 12000") as server:
        clients = Clients(server.port, server.component_port)
        romeo = await clients.log_in(ROMEO)
        gone = Inbox(romeo, "disconnected")
        romeo.send_message(mto="juliet@localhost", mbody=30_000 * "x")
        await gone.next()
        await clients.close()


async def test_another_domain_and_an_awkward_password_and_no_component_work():
    password = 'a"b\\c d\N{SNOWMAN}'
    async with ThrowAwayProsody(
        {"first.last_1": password}, domain="chat.example.org", components={}
    ) as server:
        client = new_client("first.last_1@chat.example.org/r", password)
        await connect(client, server.port)
        await close(client)


async def test_starting_does_not_hold_up_the_event_loop():
    longest, last = 0.0, asyncio.get_running_loop().time()

    async def tick():
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            now = asyncio.get_running_loop().time()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(tick())
    async with ThrowAwayProsody(ACCOUNTS) as server:
        assert server.port
    ticking.cancel()
    assert longest < 0.05


async def test_the_log_can_be_read_while_it_runs():
    async with ThrowAwayProsody(ACCOUNTS) as server:
        assert "Activated service 'c2s'" in server.log
    assert server.log == ""
