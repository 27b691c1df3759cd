"""`slixmpp-e2e trust`: what was decided about the certificates of peers, seen and changed by a person."""

import argparse
import json
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from slixmpp_e2e.certificates.keys import key_algorithm
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.cli import arguments as shared
from slixmpp_e2e.cli import trust_file
from slixmpp_e2e.cli.arguments import Subparsers, shown
from slixmpp_e2e.cli.encoding import load_certificates
from slixmpp_e2e.cli.fingerprints import (
    add_qr_option,
    fingerprint_of,
    grouped,
    grouped_lines,
    print_fingerprint,
    read_fingerprint,
)
from slixmpp_e2e.cli.peer_store import KnownCertificate, add_store_options, known_certificates, opened_store
from slixmpp_e2e.cli.show import describe_certificate, printable
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.freshness import to_datetime
from slixmpp_e2e.report import Trust

_FINGERPRINT_HELP = "the whole SHA-256 fingerprint in any grouping, or the URI of `slixmpp-e2e fingerprint`"
_UNDECIDED = "-"


def add_commands(subparsers: Subparsers) -> None:
    """Add `trust` and what stands below it."""
    trust = subparsers.add_parser("trust", help="see and change what is decided about certificates of peers")
    below = trust.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listed = _command(below, "list", "show what is decided and which certificates are known", run=_list)
    listed.add_argument("--json", action="store_true", help="print a JSON list instead")

    show = _command(below, "show", "show what is known of one peer, in full", run=_show)
    _add_jid(show)
    add_qr_option(show)

    verify = _command(
        below,
        "verify",
        "say that you have compared the fingerprint with the peer; it must be known",
        run=_verify,
    )
    _add_jid(verify)
    _add_fingerprint(verify)

    pin = _command(below, "pin", "believe this certificate, and no other one of this peer", run=_pin)
    _add_jid(pin)
    pin.add_argument(
        "certificate",
        nargs="+",
        metavar="FILE-or-FINGERPRINT",
        help=f"the certificate, or {_FINGERPRINT_HELP}",
    )

    distrust = _command(below, "distrust", "never believe this certificate again", run=_distrust)
    _add_jid(distrust)
    _add_fingerprint(distrust)

    forget = _command(below, "forget", "take a decision back; the certificate stays known", run=_forget)
    _add_jid(forget)
    _add_fingerprint(forget)
    trust_file.add_commands(below)


def _command(below: Subparsers, name: str, meaning: str, *, run: Any) -> argparse.ArgumentParser:
    parser = below.add_parser(name, help=meaning)
    add_store_options(parser)
    if name in {"list", "show"}:
        parser.add_argument(
            "--now", type=shared.moment, metavar="TIME", help="the time that it is, as 2026-11-20T08:30:00Z"
        )
    parser.set_defaults(run=run)
    return parser


def _add_jid(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jid", type=shared.jid, metavar="JID", help="the peer")


def _add_fingerprint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("fingerprint", nargs="+", metavar="FINGERPRINT", help=_FINGERPRINT_HELP)


# --------------------------------------------------------------------------- seeing


def _list(arguments: argparse.Namespace) -> int:
    now = _now(arguments)
    with opened_store(arguments) as store:
        found = known_certificates(store)
    if arguments.json:
        print(json.dumps([_values(each) for each in found], indent=2))
        return 0
    owner = None
    for each in found:
        if each.jid != owner:
            print(shown(each.jid))
            owner = each.jid
        first, second = grouped_lines(each.fingerprint)
        print(f"  {each.decision or _UNDECIDED:<11}{first}", f"  {'':<11}{second}", sep="\n")
        print(f"  {'':<11}{_summary(each.certificate, now)}")
    if not found:
        print("Nothing is decided, and no certificate is known.")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    now = _now(arguments)
    with opened_store(arguments) as store:
        found = known_certificates(store, arguments.jid)
    if not found:
        raise CertificateError(f"Nothing is known of {shown(arguments.jid)}.")
    for each in found:
        print_fingerprint(each.jid, each.fingerprint, qr=arguments.qr)
        print(f"decided: {each.decision or 'nothing; a path to a trust anchor may decide'}")
        certificate = each.certificate
        print(describe_certificate(certificate, now) if certificate else _summary(None, now), end="\n\n")
    return 0


def _now(arguments: argparse.Namespace) -> datetime:
    return datetime.now(UTC) if arguments.now is None else to_datetime(arguments.now)


def _summary(certificate: x509.Certificate | None, now: datetime) -> str:
    if certificate is None:
        return "the certificate itself is not known"
    state = (
        f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
        if now < certificate.not_valid_before_utc
        else f"{'valid until' if now <= certificate.not_valid_after_utc else 'EXPIRED'} "
        f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    )
    issuer = (
        "itself"
        if certificate.issuer == certificate.subject
        else printable(certificate.issuer.rfc4514_string())
    )
    return f"{key_algorithm(certificate.public_key())}, {state}, issued by {issuer}"


def _values(known: KnownCertificate) -> dict[str, Any]:
    certificate = known.certificate
    return {
        "jid": known.jid,
        "sha256": known.fingerprint.hex(),
        "decision": known.decision,
        "known": certificate is not None,
        "subject": certificate.subject.rfc4514_string() if certificate else None,
        "issuer": certificate.issuer.rfc4514_string() if certificate else None,
        "not_before": certificate.not_valid_before_utc.isoformat() if certificate else None,
        "not_after": certificate.not_valid_after_utc.isoformat() if certificate else None,
    }


# --------------------------------------------------------------------------- changing


def _verify(arguments: argparse.Namespace) -> int:
    jid, fingerprint = arguments.jid, _given(arguments)
    with opened_store(arguments) as store:
        known = {each.fingerprint: each for each in known_certificates(store, jid)}
        if fingerprint not in known or known[fingerprint].certificate is None:
            others = "".join(
                f"\n  known: {grouped(each.fingerprint)}" for each in known.values() if each.certificate
            )
            raise CertificateError(
                f"No certificate of {shown(jid)} with this fingerprint is known, so nothing was changed. Compare "
                f"again; if it is right, pin the certificate from a file.{others}"
            )
        before = known[fingerprint].decision
        _refuse_distrusted(jid, before)
        store.decide(jid, fingerprint, Trust.VERIFIED)
        left = store.decisions(jid)
    _say(jid, fingerprint, before, Trust.VERIFIED)
    _note_unpinned(jid, before, left.values())
    return 0


def _pin(arguments: argparse.Namespace) -> int:
    jid = arguments.jid
    text = " ".join(arguments.certificate)
    chains: list[list[ParsedCertificate]] = []
    fingerprints = []
    if _is_fingerprint(text):
        fingerprints = [fingerprint_of(jid, text)]
    else:
        chains = _chains(jid, Path(text))
        fingerprints = [chain[0].fingerprint for chain in chains]
    with opened_store(arguments, make=True) as store:
        before = store.decisions(jid)
        for fingerprint in fingerprints:
            _refuse_distrusted(jid, before.get(fingerprint))
        for chain in chains:
            store.add_certificate(jid, tuple(each.der for each in chain))
        for fingerprint in fingerprints:
            store.decide(jid, fingerprint, Trust.PINNED)
        known = {each.fingerprint for each in known_certificates(store, jid) if each.certificate}
    for fingerprint in fingerprints:
        _say(jid, fingerprint, before.get(fingerprint), Trust.PINNED)
    for other in sorted(before.keys() - set(fingerprints)):
        if before[other] in {Trust.PINNED, Trust.VERIFIED}:
            print(
                f"Note: one of {shown(jid)} that was {before[other]} before is believed as well, until "
                f"`slixmpp-e2e trust forget`: {grouped(other)}",
                file=sys.stderr,
            )
    if not known.issuperset(fingerprints):
        print(f"Note: no certificate of {shown(jid)} with this fingerprint is known yet.", file=sys.stderr)
    return 0


def _is_fingerprint(text: str) -> bool:
    if text.lower().startswith("xmpp:"):
        return True
    try:
        read_fingerprint(text)
    except ValueError:
        return False
    return True


def _chains(jid: str, path: Path) -> list[list[ParsedCertificate]]:
    """Return the certificates of a file that name a JID, each with all that name nobody behind it."""
    try:
        found = load_certificates(path)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{str(path)!a} is neither a file nor a whole SHA-256 fingerprint (64 digits)."
        ) from None
    own = [ParsedCertificate.from_x509(each) for each in found if jid in certificate_jids(each)]
    above = [ParsedCertificate.from_x509(each) for each in found if not certificate_jids(each)]
    if not own:
        named = sorted({shown(name) for each in found for name in certificate_jids(each)})
        raise CertificateError(f"{path} names {', '.join(named) or 'no JID'}, not {shown(jid)}.")
    for each in own:
        each.check_strength()
    return [[each, *above[: trust_file.LONGEST_CHAIN - 1]] for each in own]


def _distrust(arguments: argparse.Namespace) -> int:
    jid, fingerprint = arguments.jid, _given(arguments)
    with opened_store(arguments, make=True) as store:
        before = store.decisions(jid).get(fingerprint)
        store.decide(jid, fingerprint, Trust.DISTRUSTED)
        left = store.decisions(jid)
    _say(jid, fingerprint, before, Trust.DISTRUSTED)
    _note_unpinned(jid, before, left.values())
    return 0


def _forget(arguments: argparse.Namespace) -> int:
    jid, fingerprint = arguments.jid, _given(arguments)
    with opened_store(arguments) as store:
        before = store.decisions(jid).get(fingerprint)
        if before is None:
            raise CertificateError(f"Nothing is decided about this certificate of {shown(jid)}.")
        store.undecide(jid, fingerprint)
        left = store.decisions(jid)
    _say(jid, fingerprint, before, None)
    _note_unpinned(jid, before, left.values())
    return 0


def _note_unpinned(jid: str, before: Trust | None, left: Collection[Trust]) -> None:
    if before is Trust.PINNED and Trust.PINNED not in left:
        print(
            f"Note: for {shown(jid)} nothing is pinned any more in this store: another certificate may be believed "
            "by its path, or, if nothing else is decided, as the first one, if the plugin's options say so.",
            file=sys.stderr,
        )


def _given(arguments: argparse.Namespace) -> bytes:
    return fingerprint_of(arguments.jid, " ".join(arguments.fingerprint))


def _refuse_distrusted(jid: str, before: Trust | None) -> None:
    if before is Trust.DISTRUSTED:
        raise CertificateError(
            f"This certificate of {shown(jid)} is distrusted, and stays so. If that was a mistake, "
            "`slixmpp-e2e trust forget` takes it back."
        )


def _say(jid: str, fingerprint: bytes, before: Trust | None, after: Trust | None) -> None:
    first, second = grouped_lines(fingerprint)
    print(
        f"{shown(jid)}\n  {first}\n  {second}\n  {before or 'nothing decided'} -> {after or 'nothing decided'}"
    )
