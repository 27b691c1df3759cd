"""The program `slixmpp-e2e`.

Each module in `_MODULES` adds its subcommands with `add_commands(subparsers)`; a subcommand sets `run`, a
function that takes the parsed arguments and returns the exit code.

Exit codes: 0, done; 1, it could not be done (a file exists already, a password is wrong, a certificate can't
do what is asked); 2, the command line or a file named by it is not what it must be.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from slixmpp_e2e import __version__
from slixmpp_e2e.cli import (
    authority,
    crl,
    demo,
    doctor,
    fingerprints,
    keys,
    layers,
    objects,
    show,
    trust,
    wrapping,
)
from slixmpp_e2e.cli.arguments import Subparsers
from slixmpp_e2e.errors import ConfigurationError, E2EError

DONE: Final = 0
FAILED: Final = 1
WRONG_INPUT: Final = 2


class _CommandModule(Protocol):
    def add_commands(self, subparsers: Subparsers) -> None: ...


_MODULES: Final[tuple[_CommandModule, ...]] = (
    demo,
    keys,
    authority,
    show,
    fingerprints,
    trust,
    crl,
    doctor,
    layers,
    objects,
    wrapping,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` is without the program's name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a JID must be printable on an ASCII terminal too
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough: `| head`
        # what is left is for nobody, or Python would complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
        code: int = arguments.run(arguments)
    except SystemExit as end:  # argparse has said why
        return end.code if isinstance(end.code, int) else WRONG_INPUT
    except ConfigurationError as error:
        return _fail(error.diagnostics(), WRONG_INPUT)
    except E2EError as error:
        return _fail(error.diagnostics(), FAILED)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", FAILED)
    return code


def _fail(reason: str, code: int) -> int:
    print(f"slixmpp-e2e: {reason}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slixmpp-e2e",
        description="Keys, certificates, and stanzas sealed, opened and looked into (RFC 3923).",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in _MODULES:
        module.add_commands(subparsers)
    return parser
