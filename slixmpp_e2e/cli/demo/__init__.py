"""`slixmpp-e2e demo`: two clients, a server and three attacks, in one process and a few seconds.

    certificates.py   a throw-away CA, keys and certificates
    wire.py           the network, and who sits on it
    stage.py          the server and the clients
    scene.py          what happens; attacks.py: what is done to them
    acts.py           what happened, as values
    layout.py         the same as lines for people; screen.py: onto the terminal; document.py: as JSON

Exit code 0 only if everything ended as it should.
"""

import argparse
import asyncio
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from slixmpp_e2e.cli.arguments import Subparsers
from slixmpp_e2e.cli.demo.acts import Act, failures
from slixmpp_e2e.cli.demo.document import document
from slixmpp_e2e.cli.demo.scene import play
from slixmpp_e2e.cli.demo.screen import Screen
from slixmpp_e2e.cli.demo.stage import set_up

_SERVERS: Final = ("loopback", "prosody")


def add_commands(subparsers: Subparsers) -> None:
    """Add `demo`."""
    demo = subparsers.add_parser(
        "demo",
        help="see a conversation and three attacks, on this machine and without any set-up",
        description="Make a throw-away CA and certificates, start a server, log two clients in, and show what "
        "they send, what the wire carries, what arrives and what is proven; then three attacks.",
    )
    demo.add_argument(
        "--server",
        choices=_SERVERS,
        default=_SERVERS[0],
        help="the XMPP server: one inside this program, or the installed Prosody (default: %(default)s)",
    )
    demo.add_argument("--json", action="store_true", help="print one JSON document, for machines")
    demo.add_argument(
        "-v", "--verbose", action="store_true", help="write the log to standard error, with stanzas in clear"
    )
    demo.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    with _logging(verbose=arguments.verbose):
        acts = asyncio.run(_perform(arguments))
    return 1 if failures(acts) else 0


async def _perform(arguments: argparse.Namespace) -> list[Act]:
    began = time.perf_counter()
    screen = None if arguments.json else Screen()
    async with set_up(arguments.server) as stage:
        if screen is not None:
            screen.open(stage.server)
        acts = await play(stage, screen.show if screen is not None else lambda _: None)
    seconds = time.perf_counter() - began
    if screen is not None:
        screen.close(acts, seconds=seconds)
    else:
        print(json.dumps(document(arguments.server, acts, seconds=seconds), indent=2))
    return acts


@contextmanager
def _logging(*, verbose: bool) -> Iterator[None]:
    """Send the log to standard error, or nowhere: the attacks would fill it with warnings."""
    root = logging.getLogger()
    level = root.level
    handler = logging.StreamHandler() if verbose else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(levelname)-8s %(name)s: %(message)s"))
    root.addHandler(handler)
    if verbose:
        root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
