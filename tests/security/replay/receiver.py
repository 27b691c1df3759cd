"""A program that receives until it is killed: `python -m tests.security.replay.receiver DIRECTORY`.

DIRECTORY is that of a `World`. It waits for lines. `start PORT HOW` starts a program in a process of its own, which
logs in at that port and has its store in DIRECTORY, and answers with the number of the process; HOW is what the
program's handler is, `function` or `coroutine`. `wait NUMBER` answers when that process has ended. What is slow to
import is imported once.

What becomes of a stanza the program writes, one line for each, into the pipe `report` in DIRECTORY: `accepted ID`,
when its handler has got it, or `refused ID REASON` and whether the error has it to read; and at first `ready`.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

import slixmpp_e2e
from slixmpp_e2e.plugin.stanzas import ReceiveFailure
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.security.replay.wire import READER
from tests.server.clients import connect, new_client

#: Nothing is dropped for others: so it can be counted what was taken in.
ENTRIES: Final = 1_000_000


async def receive(directory: Path, port: int, how: str) -> None:
    """Be the program."""
    report = os.open(directory / "report", os.O_WRONLY)

    def say(*words: str) -> None:
        os.write(report, f"{' '.join(words)}\n".encode())

    def got(message: Any) -> None:
        found = xmpp.plugin["e2e"].report(message)
        say("accepted" if found is not None and found.authenticated else "unmarked", message["body"])

    async def get(message: Any) -> None:
        got(message)

    def refused(failure: ReceiveFailure) -> None:
        readable = failure.stale is not None and failure.stale["body"] == failure.stanza["id"]
        say("refused", failure.stanza["id"], failure.reason, "readable" if readable else "hidden")

    xmpp = new_client(f"{READER}/orchard", plugins=["xep_0198"])
    xmpp.register_plugin("e2e", options(directory), module=slixmpp_e2e)
    xmpp.add_event_handler("message", got if how == "function" else get)
    xmpp.add_event_handler("e2e_error", refused)
    await connect(xmpp, port, seconds=60)
    say("ready")
    await asyncio.Event().wait()


def options(directory: Path) -> dict[str, Any]:
    """Return the options of the plugin."""
    return {
        "certificate": directory / "romeo.crt",
        "private_key": directory / "romeo.key",
        "trust_anchors": directory / "root.pem",
        "peer_certificates": directory / "peers",
        "policy": {"*": "sign"},
        "window": 86_400,  # nothing becomes too old: what stops a replay is the record alone
        "store": SQLiteStore(directory / "killed.db", entries_per_signer=ENTRIES),
    }


def main(directory: Path) -> None:
    """Do what the lines say."""
    for line in sys.stdin:
        match line.split():
            case "start", port, how:
                number = os.fork()
                if number == 0:
                    asyncio.run(receive(directory, int(port), how))
                    os._exit(1)
                print(number, flush=True)
            case "wait", number:
                print(os.waitstatus_to_exitcode(os.waitpid(int(number), 0)[1]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
