"""`slixmpp-e2e seal` and `open`: one stanza protected, or opened and judged, without a stream."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.cli import arguments as shared
from slixmpp_e2e.cli.arguments import Subparsers, read_password
from slixmpp_e2e.cli.files import read_file
from slixmpp_e2e.cli.reports import describe_report
from slixmpp_e2e.cli.show import printable
from slixmpp_e2e.cli.wrapping import write_octets
from slixmpp_e2e.cms.algorithms import CIPHERS_BY_NAME
from slixmpp_e2e.cms.recipients import TRANSPORTS
from slixmpp_e2e.cms.signatures import SCHEMES
from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import E2EError, LocalError, RemoteError, TimestampError
from slixmpp_e2e.leaving import FORMATS
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection
from slixmpp_e2e.policy import Level, read_policy
from slixmpp_e2e.stanza import serialise

_REFUSED: Final = 1
_LEVELS: Final = (Level.REQUIRED, Level.SIGN, Level.ENCRYPT_UNSIGNED)


def add_commands(subparsers: Subparsers) -> None:
    """Add `seal` and `open`."""
    seal = subparsers.add_parser("seal", help="sign and encrypt a stanza; prints the outer stanza")
    _add_common(seal, "a stanza, as slixmpp prints it")
    seal.add_argument(
        "--level",
        type=Level,
        choices=_LEVELS,
        default=Level.REQUIRED,
        help="what is done: signed and encrypted (required, the default), only one of them, or nothing comes out",
    )
    seal.add_argument(
        "--cipher", choices=tuple(CIPHERS_BY_NAME), default=DEFAULTS["cipher"], help="the cipher"
    )
    seal.add_argument(
        "--format",
        choices=FORMATS,
        default="rfc3923",
        help="how it is encrypted: RFC 3923, or draft-miller-3923bis-02",
    )
    seal.add_argument(
        "--key-transport", choices=tuple(TRANSPORTS), default=DEFAULTS["key_transport"], help="likewise"
    )
    seal.add_argument("--signature", choices=tuple(SCHEMES), help="the signature scheme (default: by key)")
    seal.add_argument("--encrypt-to-self", action="store_true", help="encrypt to our own certificate too")
    seal.add_argument(
        "--response-to", metavar="ID", help="of an iq result or error: the id of the outer request"
    )
    seal.set_defaults(run=_seal)

    opened = subparsers.add_parser(
        "open", help="decrypt and verify a stanza; prints the stanza in it and what was proven about it"
    )
    _add_common(opened, "a stanza with <e2e/>, as it arrived")
    opened.add_argument(
        "--allow-sha1", action="store_true", help="accept SHA-1 signatures, reported as legacy"
    )
    opened.add_argument(
        "--accept-unsigned",
        action="store_true",
        help="show encrypted content that nobody signed, too; it proves nothing",
    )
    opened.set_defaults(run=_open)


def _add_common(parser: argparse.ArgumentParser, what: str) -> None:
    shared.add_file_argument(parser, what)
    shared.add_configuration_options(parser)
    parser.add_argument(
        "--store",
        type=Path,
        metavar="FILE",
        help="a SQLite store of learned certificates, pins and what was seen; it is made if there is none, and "
        "changed. Without it nothing is written, and a replay is not detected",
    )
    parser.add_argument(
        "--now", type=shared.moment, metavar="TIME", help="the time that it is, as 2026-11-20T08:30:00Z"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


# --------------------------------------------------------------------------- doing it


def _endpoint(arguments: argparse.Namespace) -> Endpoint:
    moment: int | None = arguments.now
    clock: Callable[[], int] = time.time_ns if moment is None else lambda: moment
    given = vars(arguments)
    options = {name: given[name] for name in DEFAULTS.keys() & given.keys() if given[name] is not None}
    protection = build_protection(
        {
            **DEFAULTS,
            **options,
            "private_key": arguments.key,
            "password": read_password(arguments, new=False),
            "trust": "pkix" if arguments.trust_anchors else "pinned",
            "store": f"sqlite:///{arguments.store}" if arguments.store else MemoryStore(started=0),
            "clock": clock,
        }
    )
    unsigned = given.get("accept_unsigned", False)
    everybody = dict.fromkeys(("*", *map("jid:{}".format, protection.identity.jids)), "encrypt-unsigned")
    return Endpoint.over(protection, policy=read_policy(everybody) if unsigned else None)


def _seal(arguments: argparse.Namespace) -> int:
    endpoint = _endpoint(arguments)
    try:
        stanza = endpoint.protect(
            read_file(arguments.file),
            level=arguments.level,
            response_to=arguments.response_to,
            written_as=arguments.format,
        )
    except LocalError as error:
        return _failed("not sealed", {"verdict": "not sealed", "error": _error(error)}, error, arguments)
    finally:
        endpoint.protection.store.close()
    if arguments.json:
        _print_json({"verdict": "sealed", "stanza": stanza})
    else:
        _print_xml(stanza)
    return 0


def _open(arguments: argparse.Namespace) -> int:
    endpoint = _endpoint(arguments)
    try:
        data = read_file(arguments.file)
        found = endpoint.unprotect(data)
    except RemoteError as error:
        answer = endpoint.answer_to(error, data)
        outcome = {"verdict": "refused", "error": _error(error), "answer": answer, "stale": _stale(error)}
        return _failed("refused", outcome, error, arguments, answer)
    finally:
        endpoint.protection.store.close()
    stanza = serialise(found.stanza)
    verdict = "authenticated" if found.report.authenticated else "not authenticated"
    report = describe_report(found.report)
    if arguments.json:
        _print_json({"verdict": verdict, "stanza": stanza, "report": report})
        return 0
    print(f"{verdict}:", *_lines(report), sep="\n", file=sys.stderr, flush=True)
    _print_xml(stanza)
    return 0


# --------------------------------------------------------------------------- saying it


def _lines(report: dict[str, Any], indent: str = "  ") -> list[str]:
    lines = []
    for name, value in report.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")]
            continue
        text = (
            ", ".join(each["subject"] if isinstance(each, dict) else each for each in value)
            if isinstance(value, list)
            else {True: "yes", False: "no", None: "-"}.get(value, value)
        )
        lines.append(f"{indent}{name}: {printable(str(text))}")
    return lines


def _error(error: E2EError) -> dict[str, str]:
    return {"code": error.code, "reason": error.reason, "diagnostics": error.diagnostics()}


def _stale(error: RemoteError) -> dict[str, Any] | None:
    """Return what was authenticated all the same, where only its time speaks against it."""
    if not isinstance(error, TimestampError) or error.stale is None:
        return None
    stanza, report = error.stale
    return {"stanza": serialise(stanza), "report": describe_report(report)}


def _failed(
    verdict: str,
    outcome: dict[str, Any],
    error: E2EError,
    arguments: argparse.Namespace,
    answer: str | None = None,
) -> int:
    if arguments.json:
        _print_json(outcome)
    else:
        text = f"slixmpp-e2e: {verdict} ({error.code}, {error.reason}): {printable(error.diagnostics())}"
        print(text, file=sys.stderr)
        if answer is not None:
            print(f"The answer, where its sender may be told: {xml_for_people(answer)}", file=sys.stderr)
    return _REFUSED


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2))


def _print_xml(stanza: str) -> None:
    write_octets(f"{xml_for_people(stanza)}\n".encode())


def xml_for_people(xml: str) -> str:
    """Return the same XML, with references for the characters that could move the cursor of a terminal.

    Such characters stand in text and attributes only: the names that our writer writes have none.
    """
    return "".join(each if each.isprintable() or each in "\n\t" else f"&#{ord(each)};" for each in xml)
