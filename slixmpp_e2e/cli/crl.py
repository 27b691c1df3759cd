"""`slixmpp-e2e crl`: revocation lists that the store keeps, seen and added to by a person.

The store keeps the lists that came along with messages; a program knows them again when it starts. Lists that are
renewed by themselves are better given to the plugin as files, or fetched (`crls`, `revocation_http`).
"""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e.certificates.revocation_list import RevocationList
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.certificates.verified_lists import kept_as
from slixmpp_e2e.cli import arguments as shared
from slixmpp_e2e.cli.arguments import Subparsers
from slixmpp_e2e.cli.encoding import load_certificates
from slixmpp_e2e.cli.peer_store import add_store_options, opened_store
from slixmpp_e2e.cli.show import printable
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.freshness import to_datetime
from slixmpp_e2e.stores.crl_files import read_lists


def add_commands(subparsers: Subparsers) -> None:
    """Add `crl` and what stands below it."""
    crl = subparsers.add_parser("crl", help="see and add to the revocation lists that the store keeps")
    below = crl.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listed = below.add_parser("list", help="show the lists: whose, of when, how many are in them")
    add_store_options(listed)
    listed.add_argument("--json", action="store_true", help="print a JSON list instead")
    listed.add_argument(
        "--now", type=shared.moment, metavar="TIME", help="the time that it is, as 2026-11-20T08:30:00Z"
    )
    listed.set_defaults(run=_list)

    imported = below.add_parser(
        "import", help="keep lists from files, if the CAs signed them and nothing newer is kept"
    )
    imported.add_argument("files", nargs="+", type=Path, metavar="FILE", help="lists in DER or PEM")
    imported.add_argument(
        "--ca",
        action="append",
        type=Path,
        required=True,
        metavar="FILE",
        help="certificates of the CAs that made them; may be repeated",
    )
    add_store_options(imported)
    imported.set_defaults(run=_import)


def _kept(store: Store) -> Iterator[RevocationList]:
    for der in store.revocation_lists():
        try:
            yield RevocationList.from_der(der)
        except CertificateError:  # an older version of ours could read it
            continue


def _list(arguments: argparse.Namespace) -> int:
    now = datetime.now(UTC) if arguments.now is None else to_datetime(arguments.now)
    with opened_store(arguments) as store:
        found = [_values(each, now) for each in _kept(store)]
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    for each in found:
        number = "" if each["number"] is None else f" {each['number']}"
        print(each["issuer"], f"  list{number}, {each['entries']} revoked", sep="\n")
        print(f"  from {each['this_update']} until {each['next_update']}, {each['state']}")
    if not found:
        print("No revocation list is kept.")
    return 0


def _values(found: RevocationList, now: datetime) -> dict[str, Any]:
    return {
        "issuer": printable(found.issuer.rfc4514_string()),
        "number": found.number if found.number >= 0 else None,
        "this_update": f"{found.this_update:%Y-%m-%dT%H:%M:%SZ}",
        "next_update": f"{found.next_update:%Y-%m-%dT%H:%M:%SZ}",
        "state": "expired" if found.next_update < now else "current",
        "entries": len(found.crl),
    }


def _import(arguments: argparse.Namespace) -> int:
    """Keep what verifies and is news; fail if one of the lists can't be kept."""
    authorities = [each for path in arguments.ca for each in load_certificates(path)]
    refused = False
    with opened_store(arguments, make=True) as store:
        kept = list(_kept(store))
        for path in arguments.files:
            for found in read_lists(path):
                why, signer = _judge(found, authorities, kept)
                if why is None and signer is not None:
                    store.add_revocation_list(kept_as(signer, found), found.crl.public_bytes(Encoding.DER))
                    kept.append(found)
                refused = refused or (why is not None and signer is None)
                print(f"{path}: {printable(found.issuer.rfc4514_string())}: {why or 'kept'}")
    return 1 if refused else 0


def _judge(
    found: RevocationList, authorities: list[x509.Certificate], kept: list[RevocationList]
) -> tuple[str | None, x509.Certificate | None]:
    """Return why a list is not kept, or None, and who signed it; nobody did where it can't be kept at all."""
    if found.unusable is not None:
        return f"not kept: {found.unusable}", None
    signer = next((each for each in authorities if found.is_signed_by(each)), None)
    if signer is None:
        return "not kept: none of the CAs signed it", None
    others = (each for each in kept if each.scope == found.scope and each.is_signed_by(signer))
    if any(other.age >= found.age for other in others):
        return "not kept: as new a list, or a newer one, is kept already", signer
    return None, signer
