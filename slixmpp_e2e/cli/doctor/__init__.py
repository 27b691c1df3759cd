"""`slixmpp-e2e doctor`: whether the plugin would work with these files, and for how long.

It changes nothing. **Not** checked: everything that needs a stream.
"""

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slixmpp_e2e.certificates.identity import Identity
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.cli import arguments as shared
from slixmpp_e2e.cli.arguments import Subparsers, read_password
from slixmpp_e2e.cli.doctor.authorities import Authorities, check_authorities, check_lists
from slixmpp_e2e.cli.doctor.findings import Findings, Level
from slixmpp_e2e.cli.doctor.own import check_own
from slixmpp_e2e.cli.doctor.peers import check_peer_certificates, check_pins
from slixmpp_e2e.cli.doctor.store import check_decisions, check_learned, examined_store
from slixmpp_e2e.cli.peer_store import store_path
from slixmpp_e2e.cli.show import printable
from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.freshness import from_datetime, to_datetime
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection
from slixmpp_e2e.plugin.own_keys import key_file

_FAILED = 1
_PLACES = {Level.OK: "ok     ", Level.WARNING: "warning", Level.ERROR: "error  "}


def add_commands(subparsers: Subparsers) -> None:
    """Add `doctor`."""
    doctor = subparsers.add_parser(
        "doctor", help="check keys, certificates and store as the plugin would use them; changes nothing"
    )
    shared.add_configuration_options(doctor)
    doctor.add_argument(
        "--jid", type=shared.jid, metavar="JID", help="the account that the certificate must name"
    )
    doctor.add_argument(
        "--trust",
        choices=("pkix", "pinned", "tofu"),
        default=DEFAULTS["trust"],
        help="as the plugin's option",
    )
    doctor.add_argument(
        "--crls",
        type=Path,
        action="append",
        metavar="FILE",
        help="revocation lists in DER or PEM, or a directory of *.crl (may be given several times)",
    )
    doctor.add_argument(
        "--revocation", choices=("soft", "hard", "off"), default=DEFAULTS["revocation"], help="likewise"
    )
    doctor.add_argument(
        "--store",
        metavar="STORE",
        help="the store: sqlite:///PATH, the path alone, or memory (default: the one beside the private key)",
    )
    doctor.add_argument(
        "--now", type=shared.moment, metavar="TIME", help="the time that it is, as 2026-11-20T08:30:00Z"
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object instead")
    doctor.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    now = datetime.now(UTC) if arguments.now is None else to_datetime(arguments.now)
    findings = examine(_config(arguments), store=arguments.store, jid=arguments.jid, now=now)
    verdict = max((each.level for each in findings.found), key=list(Level).index)
    if arguments.json:
        found = [asdict(each) for each in findings.found]
        print(json.dumps({"verdict": verdict, "time": now.isoformat(), "findings": found}, indent=2))
    else:
        for each in findings.found:
            print(f"{_PLACES[each.level]}  {printable(each.subject)}: {printable(each.text)}")
            if each.advice:
                print(f"{'':>9}-> {printable(each.advice)}")
        print(", ".join(f"{findings.count(level)} {level}" for level in Level))
    return _FAILED if verdict is Level.ERROR else 0


def _config(arguments: argparse.Namespace) -> dict[str, Any]:
    given = vars(arguments)
    options = {name: given[name] for name in DEFAULTS.keys() & given.keys() if given[name] is not None}
    return {
        **DEFAULTS,
        **options,
        "private_key": arguments.key,
        "password": read_password(arguments, new=False),
        "store": "memory",
    }


def examine(config: dict[str, Any], *, store: str | None, jid: str | None, now: datetime) -> Findings:
    """Return what is found about the options of the plugin, with the store `store` or the one beside the key."""
    findings = Findings()
    findings.ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC; stanzas may be off by {config['window']} seconds")
    beside = key_file(config)
    path = store_path(store, beside) if store != "memory" and (store or beside) else None
    with examined_store(findings, path) as opened:
        anchors = check_authorities(findings, config, "trust_anchors", now)
        intermediates = check_authorities(findings, config, "intermediates", now)
        known = Authorities(anchors, intermediates, check_lists(findings, config, opened, now))
        identity = check_own(findings, config, jid=jid, authorities=known, now=now)
        pins = check_pins(findings, config, now)
        authority = Authority(opened, paths=known.paths(), pins=pins, revocation=known.revocation)
        check_peer_certificates(findings, config, authority, now)
        check_decisions(findings, opened, pins=pins, trust=config["trust"], own=_own(identity))
        check_learned(findings, opened, authority, now)
    if not findings.count(Level.ERROR):
        _check_together(findings, config, now)
    return findings


def _own(identity: Identity | None) -> dict[str, frozenset[bytes]]:
    if identity is None:
        return {}
    own = [identity, *([identity.encryption] if identity.encryption else [])]
    prints = frozenset(each.certificate.fingerprint for each in own)
    return dict.fromkeys(identity.jids, prints)


def _check_together(findings: Findings, config: dict[str, Any], now: datetime) -> None:
    """Check that the plugin takes the options as a whole."""
    try:
        build_protection({**config, "clock": lambda: from_datetime(now)}).store.close()
    except ConfigurationError as error:
        findings.error(
            "options", error.diagnostics(), "docs/configuration.md has every option of the plugin."
        )
    else:
        findings.ok("options", "the plugin starts with them")
