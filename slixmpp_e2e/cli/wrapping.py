"""`slixmpp-e2e unwrap` and `wrap`: S/MIME objects out of stanzas and into them, as a gateway does it.

They need no key and verify nothing (RFC 3923 8).
"""

import argparse
import secrets
import sys

from slixmpp_e2e.cli.arguments import Subparsers, add_file_argument
from slixmpp_e2e.cli.files import read_file
from slixmpp_e2e.gateway import unwrap, unwrap_der, wrap

_ID_OCTETS = 16


def add_commands(subparsers: Subparsers) -> None:
    """Add `unwrap` and `wrap`."""
    out = subparsers.add_parser(
        "unwrap", help="take the S/MIME object out of a stanza, for any S/MIME program; nothing is verified"
    )
    add_file_argument(out, "a stanza with <e2e/>")
    out.add_argument(
        "--der",
        action="store_true",
        help="the CMS object alone, in DER, as in a .p7m file (not for a multipart/signed)",
    )
    out.set_defaults(run=_unwrap)

    into = subparsers.add_parser(
        "wrap", help="put an S/MIME object into a stanza, as it is; nothing is verified"
    )
    add_file_argument(into, "a MIME entity, a mail (its own header is left out), or a CMS object in DER")
    into.add_argument("--to", required=True, metavar="JID", help="to whom the stanza goes")
    into.add_argument("--from", dest="sender", metavar="JID", help="who it is from")
    into.add_argument(
        "--kind",
        choices=("message", "presence", "iq"),
        default="message",
        help="the kind of stanza (default: message)",
    )
    into.add_argument("--type", help="its type, as chat or unavailable")
    into.add_argument("--id", help="its id (default: a random one)")
    into.add_argument(
        "--escaped", action="store_true", help="escape the text, instead of writing a CDATA section"
    )
    into.set_defaults(run=_wrap)


def _unwrap(arguments: argparse.Namespace) -> int:
    data = read_file(arguments.file)
    write_octets(unwrap_der(data) if arguments.der else unwrap(data))
    return 0


def _wrap(arguments: argparse.Namespace) -> int:
    stanza = wrap(
        read_file(arguments.file),
        recipient=arguments.to,
        sender=arguments.sender,
        kind=arguments.kind,
        type=arguments.type,
        id=arguments.id or secrets.token_hex(_ID_OCTETS),
        cdata=not arguments.escaped,
    )
    write_octets(f"{stanza}\n".encode())
    return 0


def write_octets(data: bytes) -> None:
    """Write octets to standard output, whatever encoding and line ends the terminal has."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
