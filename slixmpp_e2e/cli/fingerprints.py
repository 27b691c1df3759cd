"""`slixmpp-e2e fingerprint`: SHA-256 of a certificate as people compare it, read it out, or scan it.

Three forms of the same 256 bits: sixteen groups of four hexadecimal digits, a URI for a business card, and that
URI as a QR code. The URI is ours, no text has it: `xmpp:juliet@example.com?e2e;sha256=HEX`, where HEX are 64
digits. It has the form of XEP-0147, so a client that does not know the action `e2e` still knows the address.
"""

import argparse
import io
import re
import sys
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.cli import arguments as shared
from slixmpp_e2e.cli.arguments import Subparsers, shown
from slixmpp_e2e.cli.encoding import load_certificates
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.media.addresses import jid_to_uri, uri_to_jid

_DIGITS: Final = 64
_GROUP: Final = 4
_SCHEME: Final = "xmpp"
_ACTION: Final = "e2e"
_PARAMETER: Final = "sha256"
#: What people put between the groups.
_SEPARATORS: Final = re.compile(r"[\s:.-]+")


def add_commands(subparsers: Subparsers) -> None:
    """Add `fingerprint`."""
    fingerprint = subparsers.add_parser(
        "fingerprint", help="print the fingerprint of a certificate, to be compared, or scanned as a QR code"
    )
    fingerprint.add_argument(
        "file", type=Path, metavar="FILE", help="the certificate, in PEM or DER; the first one in it counts"
    )
    fingerprint.add_argument("--jid", type=shared.jid, metavar="JID", help="for which of its JIDs the URI is")
    add_qr_option(fingerprint)
    fingerprint.set_defaults(run=_fingerprint)


def add_qr_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that asks for a QR code (`qr`)."""
    parser.add_argument(
        "--qr", action="store_true", help="print the URI as a QR code too (needs the extra `demo`)"
    )


def _fingerprint(arguments: argparse.Namespace) -> int:
    certificate = load_certificates(arguments.file)[0]
    jids = sorted(certificate_jids(certificate))
    jid: str | None = arguments.jid
    if jid is None:
        if len(jids) != 1:
            named = ", ".join(shown(each) for each in jids) or "no JID"
            raise ConfigurationError(f"{arguments.file} names {named}; say with --jid whose it is to be.")
        jid = jids[0]
    elif jid not in jids:
        raise CertificateError(f"{arguments.file} does not name {shown(jid)}.")
    print_fingerprint(jid, certificate.fingerprint(hashes.SHA256()), qr=arguments.qr)
    return 0


def print_fingerprint(jid: str, fingerprint: bytes, *, qr: bool) -> None:
    """Print a fingerprint in groups and as a URI, and that as a QR code if wanted.

    Raises `ConfigurationError` where there is no library for it; nothing is printed then.
    """
    uri = fingerprint_uri(jid, fingerprint)
    code = qr_code(uri) if qr else ""
    print(shown(jid), *(f"  {line}" for line in grouped_lines(fingerprint)), uri, sep="\n")
    if code:
        print(code, end="")


# --------------------------------------------------------------------------- forms of it


def grouped(fingerprint: bytes) -> str:
    """Return a fingerprint in groups of four digits."""
    digits = fingerprint.hex().upper()
    return " ".join(digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP))


def grouped_lines(fingerprint: bytes) -> tuple[str, str]:
    """Return the same in two lines of eight groups."""
    half = len(fingerprint) // 2
    return grouped(fingerprint[:half]), grouped(fingerprint[half:])


def read_fingerprint(text: str) -> bytes:
    """Return the 32 octets that 64 hexadecimal digits stand for, in any case and grouping.

    Raises `ValueError` for less than all of it: a part can be forged.
    """
    digits = _SEPARATORS.sub("", text.strip())
    if len(digits) != _DIGITS or not re.fullmatch(r"[0-9A-Fa-f]+", digits):
        raise ValueError(
            f"a SHA-256 fingerprint has {_DIGITS} hexadecimal digits, and all of them are compared"
        )
    return bytes.fromhex(digits)


def fingerprint_uri(jid: str, fingerprint: bytes) -> str:
    """Return the URI for a bare JID and a fingerprint, in ASCII."""
    address = jid_to_uri(jid, "im").removeprefix("im:")
    return f"{_SCHEME}:{address}?{_ACTION};{_PARAMETER}={fingerprint.hex()}"


def read_fingerprint_uri(uri: str) -> tuple[str, bytes]:
    """Return the bare JID and the fingerprint in such a URI; other parameters are ignored.

    Raises `ValueError`, also where there are several fingerprints.
    """
    address, _, query = uri.partition("?")
    action, *parameters = query.split(";")
    found = [value for name, _, value in (each.partition("=") for each in parameters) if name == _PARAMETER]
    if action != _ACTION or len(found) != 1:
        raise ValueError(f"not of the form xmpp:JID?{_ACTION};{_PARAMETER}=HEX")
    return str(uri_to_jid(address, schemes={_SCHEME})), read_fingerprint(found[0])


def fingerprint_of(jid: str, text: str) -> bytes:
    """Return the fingerprint that somebody gives for a JID: digits, or a URI, which must be for the same JID.

    Raises `ConfigurationError`.
    """
    try:
        if not text.lower().startswith(f"{_SCHEME}:"):
            return read_fingerprint(text)
        owner, fingerprint = read_fingerprint_uri(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!a}: {error}.") from error
    if owner != jid:
        raise ConfigurationError(f"The URI is for {shown(owner)}, not for {shown(jid)}.")
    return fingerprint


def qr_code(text: str) -> str:
    """Return a QR code as lines for a terminal: in half blocks, or coloured where it can't print these.

    Raises `ConfigurationError` where segno is not installed.
    """
    try:
        import segno  # noqa: PLC0415 optional
    except ImportError:
        raise ConfigurationError(
            "A QR code needs segno, of the extra `demo`: pip install 'slixmpp_e2e[demo]' (or pip install segno)."
        ) from None
    drawn = io.StringIO()
    segno.make_qr(text).terminal(drawn, compact=_prints_blocks())
    return drawn.getvalue()


def _prints_blocks() -> bool:
    try:
        "\u2580\u2584\u2588".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
