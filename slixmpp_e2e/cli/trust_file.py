"""`slixmpp-e2e trust export` and `import`: decisions and certificates from one store into another, as JSON.

    {"format": "slixmpp-e2e trust 1",
     "peers": [{"jid": "juliet@example.com",
                "decisions": {"<64 hexadecimal digits>": "verified"},
                "certificates": ["<PEM: the certificate, then what came along>"]}]}

Decisions are `verified`, `pinned`, `tofu` and `distrusted`. The file is nobody's word but that of who gives it:
it is not signed. It is read strictly, so that what is shown before it counts is all that is in it.
"""

import argparse
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.store import CERTIFICATES_PER_JID, Chain, Store, check_decision
from slixmpp_e2e.cli.arguments import Subparsers, shown
from slixmpp_e2e.cli.encoding import encode_certificates, parse_certificates
from slixmpp_e2e.cli.files import STANDARD_INPUT, read_file, require_absent, write_file
from slixmpp_e2e.cli.fingerprints import grouped_lines, read_fingerprint
from slixmpp_e2e.cli.peer_store import add_store_options, known_certificates, opened_store
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.report import Trust

FORMAT: Final = "slixmpp-e2e trust 1"
#: How many certificates are kept as one chain: stores read no more than 32.
LONGEST_CHAIN: Final = 10
_KEPT_BACK: Final = 1


def add_commands(below: Subparsers) -> None:
    """Add `export` and `import` below `trust`."""
    exported = below.add_parser("export", help="write decisions and certificates into a JSON file")
    exported.add_argument("file", type=Path, metavar="FILE", help="the file to write; -: standard output")
    exported.add_argument("--force", action="store_true", help="replace the file if it exists already")
    add_store_options(exported)
    exported.set_defaults(run=_export)

    imported = below.add_parser("import", help="merge such a file into the store, and show what that changes")
    imported.add_argument("file", type=Path, metavar="FILE", help="the file to read; -: standard input")
    imported.add_argument(
        "--dry-run", action="store_true", help="show what it would change, and change nothing"
    )
    imported.add_argument(
        "--force",
        action="store_true",
        help="let the file win where the store's decision is the more careful one",
    )
    add_store_options(imported)
    imported.set_defaults(run=_import)


@dataclass(frozen=True, slots=True)
class Peer:
    """What a file says of one bare JID."""

    jid: str
    decisions: Mapping[bytes, Trust] = field(default_factory=dict)
    chains: Sequence[Chain] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What an import does to one decision."""

    jid: str
    fingerprint: bytes
    before: Trust | None
    after: Trust
    #: Why the store's decision stays, or None.
    kept_because: str | None


# --------------------------------------------------------------------------- export


def _export(arguments: argparse.Namespace) -> int:
    path: Path = arguments.file
    to_terminal = path == STANDARD_INPUT
    if not to_terminal:
        require_absent([path], force=arguments.force)
    with opened_store(arguments) as store:
        peers = list(_peers(store))
    text = write_trust_file(peers)
    if to_terminal:
        print(text, end="")
        return 0
    write_file(path, text.encode(), private=True, force=arguments.force)
    decisions, chains = sum(len(each.decisions) for each in peers), sum(len(each.chains) for each in peers)
    print(
        f"{path}: readable by you only; peers: {len(peers)}, decisions: {decisions}, certificates: {chains}"
    )
    return 0


def _peers(store: Store) -> Iterator[Peer]:
    known = known_certificates(store)
    for jid in dict.fromkeys(each.jid for each in known):
        own = [each for each in known if each.jid == jid]
        decisions = {each.fingerprint: each.decision for each in own if each.decision is not None}
        yield Peer(jid, decisions, [each.chain for each in own if each.chain])


def write_trust_file(peers: Sequence[Peer]) -> str:
    """Return the JSON for what is known of peers."""
    entries = [
        {
            "jid": each.jid,
            "decisions": {key.hex(): str(trust) for key, trust in sorted(each.decisions.items())},
            "certificates": [_pem(chain) for chain in each.chains],
        }
        for each in peers
    ]
    return json.dumps({"format": FORMAT, "peers": entries}, indent=2) + "\n"


def _pem(chain: Chain) -> str:
    return encode_certificates([x509.load_der_x509_certificate(each) for each in chain]).decode()


# --------------------------------------------------------------------------- reading


def read_trust_file(data: bytes, path: Path) -> list[Peer]:
    """Return what a file says; raise `ConfigurationError`, which names `path`, for anything unexpected in it."""
    try:
        document = json.loads(data, object_pairs_hook=_object)
        _require(
            isinstance(document, dict) and document.get("format") == FORMAT, f"its format is not {FORMAT!r}"
        )
        _require(document.keys() == {"format", "peers"}, "it has other members than format and peers")
        _require(isinstance(document["peers"], list), "peers is no list")
        peers = [_read_peer(each, path) for each in document["peers"]]
        _require(len({each.jid for each in peers}) == len(peers), "a JID stands in it twice")
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not a file of `trust export`: {error}.") from error
    return peers


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _require(len({name for name, _ in pairs}) == len(pairs), "a name stands in an object twice")
    return dict(pairs)


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def _read_peer(value: Any, path: Path) -> Peer:
    _require(
        isinstance(value, dict) and value.keys() == {"jid", "decisions", "certificates"},
        "a peer has a jid, decisions and certificates, and nothing else",
    )
    jid, decisions, certificates = value["jid"], value["decisions"], value["certificates"]
    _require(isinstance(jid, str) and bare(jid) == jid, f"{jid!a} is not a bare JID as it is compared")
    _require(isinstance(decisions, dict), f"the decisions for {jid!a} are no object")
    _require(isinstance(certificates, list), f"the certificates of {jid!a} are no list")
    _require(len(certificates) <= CERTIFICATES_PER_JID, f"more certificates of {jid!a} than a store keeps")
    return Peer(
        jid,
        {read_fingerprint(digits): check_decision(Trust(trust)) for digits, trust in decisions.items()},
        [_read_chain(jid, each, path) for each in certificates],
    )


def _read_chain(jid: str, text: Any, path: Path) -> Chain:
    _require(isinstance(text, str) and text.isascii(), f"a certificate of {jid!a} is not in PEM")
    _require("-----BEGIN CERTIFICATE-----" in text, f"a certificate of {jid!a} is not in PEM")
    found = parse_certificates(text.encode(), path)
    _require(len(found) <= LONGEST_CHAIN, f"a chain of {jid!a} has more than {LONGEST_CHAIN} certificates")
    _require(jid in certificate_jids(found[0]), f"a certificate that is there for {jid!a} does not name it")
    try:
        ParsedCertificate.from_x509(found[0])
    except CertificateError as error:
        raise ValueError(f"{jid!a}: {error}") from error
    return tuple(each.public_bytes(Encoding.DER) for each in found)


# --------------------------------------------------------------------------- merging


def changes(store: Store, peers: Sequence[Peer], *, force: bool) -> list[Change]:
    """Return what the decisions of a file would change, compared with the store as it is now.

    Where the two differ the more careful one counts, unless `force`: see `_why_kept`.
    """
    found = []
    for peer in peers:
        decided = store.decisions(peer.jid)
        for fingerprint, after in peer.decisions.items():
            before = decided.get(fingerprint)
            if before != after:
                others = {trust for other, trust in decided.items() if other != fingerprint}
                why = None if force else _why_kept(before, after, others)
                found.append(Change(peer.jid, fingerprint, before, after, why))
    return found


def _why_kept(before: Trust | None, after: Trust, others: Collection[Trust]) -> str | None:
    """Say why a decision of the file may not take the place of the store's, or return None.

    `others` is what the store says of other certificates of the same JID.
    """
    if after is Trust.DISTRUSTED:
        return None
    if before in {Trust.DISTRUSTED, Trust.VERIFIED, Trust.PINNED}:
        return f"it is {before} here"
    if Trust.PINNED in others:
        return "another certificate is pinned here"
    if after is Trust.TOFU and not {Trust.VERIFIED, Trust.TOFU}.isdisjoint(others):
        return "another certificate was there first"
    return None


def _import(arguments: argparse.Namespace) -> int:
    peers = read_trust_file(read_file(arguments.file), arguments.file)
    with opened_store(arguments, make=not arguments.dry_run) as store:
        planned = changes(store, peers, force=arguments.force)
        new = [(each.jid, chain) for each in peers for chain in _unknown(store, each)]
        if not arguments.dry_run:
            for jid, chain in new:
                store.add_certificate(jid, chain)
            # What closes a door first, in case that the disk is full half way.
            for change in sorted(planned, key=lambda each: each.after is not Trust.DISTRUSTED):
                if change.kept_because is None:
                    store.decide(change.jid, change.fingerprint, change.after)
    _say(planned, new, dry_run=arguments.dry_run)
    return _KEPT_BACK if any(each.kept_because for each in planned) else 0


def _unknown(store: Store, peer: Peer) -> list[Chain]:
    """Return the certificates that the store does not have, the newest last, as far as none has to go for them."""
    known = {chain[0] for chain in store.certificates(peer.jid)}
    new = [chain for chain in peer.chains if chain[0] not in known]
    return new[: CERTIFICATES_PER_JID - len(known)][::-1]


def _say(planned: Sequence[Change], new: Sequence[tuple[str, Chain]], *, dry_run: bool) -> None:
    for each in planned:
        first, second = grouped_lines(each.fingerprint)
        print(f"{shown(each.jid)}\n  {first}\n  {second}")
        before = each.before or "nothing decided"
        if each.kept_because is None:
            print(f"  {before} -> {each.after}")
        else:
            print(
                f"  stays {before}: {each.kept_because}; the file says {each.after}, and --force takes that"
            )
    kept = sum(each.kept_because is not None for each in planned)
    would = "would be " if dry_run else ""
    print(
        f"decisions: {len(planned) - kept} {would}changed, {kept} {would}kept back; "
        f"certificates: {len(new)} {would}added"
    )
