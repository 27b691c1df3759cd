"""Obeys commands, but only those of a list of signers; everybody else is told no.

The list is of bare JIDs: what counts is who *signed* the command, not what the server says of its sender.
"""

import asyncio
import getpass
import sys
from collections.abc import Collection
from typing import Any

import slixmpp

import slixmpp_e2e


class CommandBot(slixmpp.ClientXMPP):
    def __init__(
        self, jid: str, password: str, options: dict[str, Any], *, operators: Collection[str]
    ) -> None:
        super().__init__(jid, password)
        self.operators = frozenset(operators)
        self.deployed: list[str] = []
        # nothing unprotected is delivered, and nothing leaves unprotected
        self.register_plugin("e2e", {**options, "policy": {"*": "required"}}, module=slixmpp_e2e)
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("message", self.on_message)

    async def on_start(self, _: Any) -> None:
        self.send_presence()

    async def on_message(self, message: slixmpp.Message) -> None:
        report = self.plugin["e2e"].report(message)
        if report is None or not report.authenticated:
            return
        if report.signer not in self.operators:
            message.reply(f"{report.signer} may not give orders here.").send()
            return
        command, _, argument = message["body"].partition(" ")
        if command == "deploy" and argument:
            self.deployed.append(argument)
            message.reply(
                f"Deployed {argument}, ordered by {report.signer} at {report.timestamp:%H:%M:%S}."
            ).send()
        else:
            message.reply("I know: deploy NAME").send()


def main() -> None:
    """Run with: python command_bot.py bot@example.com ops@example.com [more operators]."""
    jid, *operators = sys.argv[1:]

    async def run() -> None:
        options = {"certificate": "bot.crt", "private_key": "bot.key", "trust_anchors": "company-ca.pem"}
        bot = CommandBot(jid, getpass.getpass(), options, operators=operators)
        bot.connect()
        await bot.disconnected

    asyncio.run(run())


if __name__ == "__main__":
    main()
