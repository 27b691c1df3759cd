"""What only concerns the throw-away ejabberd: it comes with what was asked for, and goes without a trace."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from . import ejabberd
from .clients import ACCOUNTS, COMPONENTS, LOOPBACK, Clients, Inbox, connect, new_client, round_trip
from .ejabberd import EjabberdError, ThrowAwayEjabberd

pytestmark = pytest.mark.ejabberd

ROMEO = "romeo@localhost/orchard"
NOBODY = 65534


async def test_it_starts_with_accounts_and_component_and_leaves_no_process_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ThrowAwayEjabberd(ACCOUNTS, components=COMPONENTS) as server:
        assert len(list(tmp_path.iterdir())) == 1
        clients = Clients(server.port, server.component_port)
        assert (await clients.log_in(ROMEO)).boundjid.full == ROMEO
        await clients.component()
        await clients.close()
        process = server._process
    assert process.returncode is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("server", ["ejabberd"], indirect=True)
async def test_it_forgets_what_was_kept_for_an_account(server, clients):
    romeo = await clients.log_in(ROMEO)
    for _ in range(2):
        romeo.send_message("juliet@localhost", "a message that is stored", mtype="chat")
    await round_trip(romeo)
    assert b"a message that is stored" in server.on_disk()
    juliet = await clients.log_in("juliet@localhost/j", available=False)
    stored = Inbox(juliet)
    juliet.send_presence()
    assert len(await stored.take(2)) == 2
    await clients.close()
    romeo = await clients.log_in(ROMEO)
    romeo.send_message("juliet@localhost", "a message that is stored", mtype="chat")
    await round_trip(romeo)
    server.forget()
    juliet = await clients.log_in("juliet@localhost/j", available=False)
    stored = Inbox(juliet)
    juliet.send_presence()
    await round_trip(juliet)
    assert stored.empty


@pytest.mark.parametrize("server", ["ejabberd"], indirect=True)
async def test_a_wrong_password_is_refused(server):
    client = new_client(ROMEO, "wrong")
    with pytest.raises(ConnectionError):
        await connect(client, server.port)
    client.abort()


def test_without_the_program_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(ejabberd, "_libraries", lambda: None)
    with pytest.raises(EjabberdError, match="apt install ejabberd"):
        ThrowAwayEjabberd(ACCOUNTS).start()


def test_it_runs_as_somebody_who_is_not_root():
    directory = Path(tempfile.mkdtemp(prefix="nobodys-"))
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    code = f"""
import os, socket
from tests.server.ejabberd import ThrowAwayEjabberd
if os.geteuid() == 0:
    os.setgid({NOBODY})
    os.setuid({NOBODY})
with ThrowAwayEjabberd({{"romeo": "secret"}}) as server:
    socket.create_connection(({LOOPBACK!r}, server.port)).close()
    print("it answers")
"""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "TMPDIR": str(directory), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stdout == "it answers\n", done.stderr
    finally:
        shutil.rmtree(directory)
