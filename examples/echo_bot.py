"""Answers every message that is proven to come from its sender, protected as it came.

python echo_bot.py juliet@example.com --certificate juliet.crt --key juliet.key --anchors company-ca.pem
"""

import argparse
import asyncio
import getpass
import logging
from typing import Any

import slixmpp

import slixmpp_e2e

log = logging.getLogger(__name__)


class EchoBot(slixmpp.ClientXMPP):
    def __init__(self, jid: str, password: str, options: dict[str, Any]) -> None:
        super().__init__(jid, password)
        self.register_plugin("e2e", options, module=slixmpp_e2e)
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("e2e_error", self.on_error)

    async def on_start(self, _: Any) -> None:
        self.send_presence()

    async def on_message(self, message: slixmpp.Message) -> None:
        report = self.plugin["e2e"].report(message)
        if report and report.authenticated and message["body"]:
            message.reply(f"{report.signer} said: {message['body']}").send()

    def on_error(self, failure: slixmpp_e2e.ReceiveFailure) -> None:
        log.warning("from %s: %s", failure.stanza["from"], failure.error.diagnostics())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("jid")
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--anchors", required=True, help="the CA's certificate")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)

    async def run() -> None:
        bot = EchoBot(
            arguments.jid,
            getpass.getpass(),
            {
                "certificate": arguments.certificate,
                "private_key": arguments.key,
                "trust_anchors": arguments.anchors,
            },
        )
        bot.connect()
        await bot.disconnected

    asyncio.run(run())


if __name__ == "__main__":
    main()
