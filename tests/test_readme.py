"""What the README says is run as it stands there."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from slixmpp_e2e.cli import main
from slixmpp_e2e.cli.loopback import LoopbackServer
from tests.server.clients import Inbox, close, connect, new_client, round_trip, without_tls
from tests.server.protected import protect

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(*commands: str) -> None:
    """Run lines that begin with slixmpp-e2e."""
    for command in commands:
        words = re.sub(r"\s+#.*", "", command).replace('"', "'").split("'")
        arguments = [part for at, each in enumerate(words) for part in ([each] if at % 2 else each.split())]
        assert arguments[0] == "slixmpp-e2e"
        assert main(arguments[1:]) == 0, command


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_two_commands_stand_on_lines_of_their_own():
    assert {"make demo", "make test"} <= set(README.splitlines())


def test_the_commands_for_keys_and_certificates_work(directory):
    (block,) = [each for each in blocks("sh") if "slixmpp-e2e ca" in each]
    run(*block.strip().splitlines())
    assert (directory / "juliet@example.com.key").stat().st_mode & 0o777 == 0o600
    assert (directory / "juliet@example.com.crt").exists()


async def test_the_bot_answers_who_proves_to_be_romeo_and_nobody_else(directory):
    names = ("juliet", "romeo", "mercutio")
    await asyncio.to_thread(
        run,
        'slixmpp-e2e ca "Example CA" --out ca',
        *(
            command
            for name in names
            for command in (
                f"slixmpp-e2e request {name}@example.com",
                f"slixmpp-e2e sign {name}@example.com.csr --ca ca",
            )
        ),
    )
    namespace: dict[str, Any] = {}
    exec(blocks("python")[0].replace("example.net", "example.com"), namespace)  # one server has one domain

    async with LoopbackServer(dict.fromkeys(names, "secret"), domain="example.com") as server:
        bot = without_tls(namespace["Bot"]("juliet@example.com/bot", "secret"))
        talkers = {name: new_client(f"{name}@example.com/x") for name in names[1:]}
        inboxes = {name: Inbox(talker) for name, talker in talkers.items()}
        try:
            for client in (bot, *talkers.values()):
                await connect(client, server.port)
                client.send_presence()
                await round_trip(client)
            for name, talker in talkers.items():
                options = {
                    "certificate": f"{name}@example.com.crt",
                    "private_key": f"{name}@example.com.key",
                    "trust_anchors": "ca/ca.crt",
                    "peer_certificates": "juliet@example.com.crt",
                    "policy": {"*": "required"},
                }
                protect(talker, options)
            heard = Inbox(bot)
            talkers["mercutio"].send_message("juliet@example.com/bot", "I am romeo", mtype="chat")
            assert bot.plugin["e2e"].report(await heard.next()).signer == "mercutio@example.com"
            talkers["romeo"].send_message("juliet@example.com", "Do it", mtype="chat")
            answer = await inboxes["romeo"].next()
            assert answer["body"] == "Done."
            assert talkers["romeo"].plugin["e2e"].report(answer).encrypted
            await round_trip(talkers["mercutio"])
            assert inboxes["mercutio"].empty
        finally:
            await close(bot, *talkers.values())
            for client in (bot, *talkers.values()):
                client.plugin.disable("e2e")
    assert (directory / "juliet@example.com.e2e.db").stat().st_mode & 0o777 == 0o600
