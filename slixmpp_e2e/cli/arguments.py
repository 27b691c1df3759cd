"""Arguments that several commands share, and the passwords and JIDs they stand for."""

import argparse
import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

from slixmpp_e2e.cli.files import STANDARD_INPUT, read_file
from slixmpp_e2e.errors import ConfigurationError, TimestampError
from slixmpp_e2e.freshness import parse_date_time
from slixmpp_e2e.media.addresses import bare

if TYPE_CHECKING:
    Subparsers: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 no public name
else:
    Subparsers = object

_LONGEST_PASSWORD_FILE: Final = 4096


def jid(text: str) -> str:
    """Read a JID argument; returns the bare JID as it is compared."""
    try:
        return bare(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!a} is not a JID that a certificate can name") from error


def days(text: str) -> int:
    """Read a lifetime in days."""
    if not text.isdecimal() or not 1 <= int(text[:6]) <= 36500:
        raise argparse.ArgumentTypeError("a whole number of days, from 1 to 36500")
    return int(text)


def moment(text: str) -> int:
    """Read a point in time (RFC 3339); returns nanoseconds since 1970."""
    try:
        return parse_date_time(text)
    except TimestampError as error:
        raise argparse.ArgumentTypeError(
            f"{text!a} is {error}; it should be as 2026-11-20T08:30:00Z"
        ) from None


def add_file_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the one file that a command reads (`file`), standard input where none is named."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=STANDARD_INPUT,
        metavar="FILE",
        help=f"{what}; default: standard input",
    )


def add_output_options(parser: argparse.ArgumentParser, *, default: str = ".") -> None:
    """Add where to write and whether files that exist may be replaced."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(default),
        metavar="DIR",
        help=f"write into this directory; it is made if it does not exist (default: {default})",
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist already")


def add_password_options(parser: argparse._ActionsContainer, *, purpose: str) -> None:
    """Add the two ways to give a password; neither is the command line, which other users can read."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--password-file", type=Path, metavar="FILE", help=f"the first line of FILE is the password {purpose}"
    )
    group.add_argument("--ask-password", action="store_true", help=f"ask for the password {purpose}")


def add_configuration_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the plugin that name files, but for the store."""
    own = parser.add_argument_group("who we are")
    own.add_argument(
        "--certificate", type=Path, metavar="FILE", help="our certificate, and its chain, in PEM"
    )
    own.add_argument("--key", type=Path, metavar="FILE", help="our private key, in PEM")
    own.add_argument("--pkcs12", type=Path, metavar="FILE", help="a PKCS #12 file instead of both")
    own.add_argument(
        "--pkcs11", metavar="URI", help="a private key in a token instead: pkcs11:token=...?module-path=..."
    )
    own.add_argument(
        "--encryption-certificate", type=Path, metavar="FILE", help="the certificate that others encrypt to"
    )
    own.add_argument(
        "--encryption-key",
        type=Path,
        metavar="FILE",
        dest="encryption_private_key",
        help="the private key that goes with it, in PEM",
    )
    own.add_argument(
        "--older-keys",
        type=Path,
        action="append",
        metavar="FILE",
        help="a PKCS #12 file with a key that we had before, and that only decrypts (may be given several times)",
    )
    add_password_options(own, purpose="of the key or the PKCS #12 file, or the PIN of the token")
    others = parser.add_argument_group("whom we believe (each may be given several times)")
    for option, meaning in (
        ("--trust-anchors", "certificates of CAs: PEM or DER, or a directory of them"),
        ("--intermediates", "intermediate CAs that don't come along"),
        ("--pins", "certificates that are believed to be whom they name; nothing else counts for these JIDs"),
        ("--peer-certificates", "certificates to encrypt to; they are judged like any other"),
    ):
        others.add_argument(option, type=Path, action="append", metavar="FILE", help=meaning)


def read_password(arguments: argparse.Namespace, *, new: bool) -> bytes | None:
    """Return the password that the options give, or None; a `new` one is asked for twice.

    Raises `ConfigurationError` when it is empty, the two are not the same, or nobody types.
    """
    path: Path | None = arguments.password_file
    if path is not None:
        lines = read_file(path, limit=_LONGEST_PASSWORD_FILE).splitlines()
        if not lines or not lines[0]:
            raise ConfigurationError(f"{path}: the first line is empty; it should be the password.")
        return lines[0]
    if not arguments.ask_password:
        return None
    try:
        password = getpass.getpass("Password: ")
        again = getpass.getpass("Once more: ") if new and password else password
    except EOFError:
        raise ConfigurationError("Nobody types a password; --password-file names a file with it.") from None
    if not password:
        raise ConfigurationError("The password is empty.")
    if again != password:
        raise ConfigurationError("The two passwords are not the same.")
    return password.encode()


def file_stem(address: str) -> str:
    """Return the beginning of the file names for a JID: ASCII, and nothing that a file system dislikes."""
    return quote(address, safe="@+=,").replace(".", "%2E", int(address.startswith(".")))


def shown(address: str) -> str:
    """Return a JID for people: what is not ASCII is spelled out, since letters of two alphabets can look alike."""
    return address if address.isascii() else f"{address} ({address!a})"
