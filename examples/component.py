"""A component (XEP-0114) that only talks to people who prove who they are."""

import asyncio
import getpass
import sys
from typing import Any

import slixmpp

import slixmpp_e2e


class Library(slixmpp.ComponentXMPP):
    def __init__(self, domain: str, secret: str, options: dict[str, Any], *, shelves: dict[str, str]) -> None:
        super().__init__(domain, secret)
        self.shelves = shelves
        self.register_plugin("e2e", options, module=slixmpp_e2e)
        self.add_event_handler("message", self.on_message)

    async def on_message(self, message: slixmpp.Message) -> None:
        report = self.plugin["e2e"].report(message)
        if report is None or not report.authenticated:
            message.reply("Please sign and encrypt your question.").send()
            return
        found = self.shelves.get(message["body"], "There is no such book.")
        message.reply(found).send()


def main() -> None:
    """Run with: python component.py library.example.com SERVER PORT."""
    domain, host, port = sys.argv[1:]

    async def run() -> None:
        # its certificate names the domain: slixmpp-e2e request library.example.com
        options = {
            "certificate": "library.crt",
            "private_key": "library.key",
            "trust_anchors": "company-ca.pem",
        }
        library = Library(domain, getpass.getpass(), options, shelves={"1": "Romeo and Juliet"})
        library.connect(host, int(port))
        await library.disconnected

    asyncio.run(run())


if __name__ == "__main__":
    main()
