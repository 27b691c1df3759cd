"""Checks of the store: that it opens, what its decisions mean beside the options, whom it leaves unbelieved."""

import shlex
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from slixmpp_e2e.certificates.store import MemoryStore, Store
from slixmpp_e2e.certificates.trust import Authority, Decision, UntrustedError
from slixmpp_e2e.cli.arguments import shown
from slixmpp_e2e.cli.doctor.findings import Findings
from slixmpp_e2e.cli.doctor.own import check_permissions
from slixmpp_e2e.cli.doctor.peers import judged
from slixmpp_e2e.cli.fingerprints import grouped
from slixmpp_e2e.cli.peer_store import KnownCertificate, known_certificates
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.sqlite import SQLiteStore

_DAMAGED = (
    "Restore it from a backup. If there is none, remove it: pins and decisions are then to be made again."
)


@contextmanager
def examined_store(findings: Findings, path: Path | None) -> Iterator[Store]:
    """Open a copy of the store, so that nothing is changed; an empty store where there is none that opens."""
    if path is None or not path.exists():
        if path is not None:
            findings.ok("store", f"there is no {path} yet; the plugin makes it when it starts")
        yield MemoryStore(started=0)
        return
    check_permissions(findings, path, mended=True)
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "copy.db"
        store = _opened_copy(findings, path, copy)
        if store is None:
            yield MemoryStore(started=0)
            return
        with closing(store):
            yield store


def _opened_copy(findings: Findings, path: Path, copy: Path) -> SQLiteStore | None:
    try:
        version = _copy(path, copy)
        store = SQLiteStore(copy)
        try:
            kept = store.all_decisions(), store.all_certificates(), store.revocation_lists()
            decisions, certificates, lists = (sum(1 for _ in each) for each in kept)
        except BaseException:
            store.close()
            raise
    except StoreError as error:
        findings.error("store", str(error).replace(str(copy), str(path)), _DAMAGED)
        return None
    except (sqlite3.Error, OSError) as error:
        findings.error("store", f"{path}: {error}", _DAMAGED)
        return None
    text = (
        f"{path}: schema version {version}, decisions: {decisions}, certificates: {certificates}, "
        f"revocation lists: {lists}"
    )
    if (newer := _version(copy)) != version:
        findings.warning(
            "store",
            f"{text}; the plugin brings it to version {newer} when it starts",
            "Keep a copy if an earlier version of the plugin is to read it again.",
        )
    else:
        findings.ok("store", text)
    return store


def _copy(path: Path, copy: Path) -> int:
    """Copy a database that others may be writing to; return its schema version."""
    uri = path.absolute().as_uri()
    # Without a write-ahead log nobody has it open, and then nothing needs to be made beside it.
    is_open = path.with_name(f"{path.name}-wal").exists()
    with (
        closing(sqlite3.connect(f"{uri}?{'mode=ro' if is_open else 'immutable=1'}", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    return _version(copy)


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


# --------------------------------------------------------------------------- decisions


def check_decisions(
    findings: Findings,
    store: Store,
    *,
    pins: Mapping[str, frozenset[bytes]],
    trust: str,
    own: Mapping[str, frozenset[bytes]],
) -> None:
    """Check that what persons decided does not contradict the options; `own` are our certificates by JID."""
    before = len(findings.found)
    decided = list(store.all_decisions())
    for jid, fingerprint, decision in decided:
        command = f"slixmpp-e2e trust forget {shlex.quote(jid)} {fingerprint.hex()}"
        is_distrusted = decision is Trust.DISTRUSTED
        if is_distrusted and fingerprint in own.get(jid, frozenset()):
            findings.warning("decisions", "our own certificate is distrusted", f"If that is wrong: {command}")
        if jid not in pins:
            continue
        if is_distrusted and fingerprint in pins[jid]:
            findings.warning(
                "decisions",
                f"pins has a certificate of {shown(jid)} that is distrusted, which counts: {grouped(fingerprint)}",
                "Pin the right one: where every pinned certificate is distrusted, others are believed by their "
                f"path or as the first one. If it is good after all: {command}",
            )
        elif not is_distrusted and fingerprint not in pins[jid]:
            findings.warning(
                "decisions",
                f"beside those in pins, one of {shown(jid)} counts as {decision}: {grouped(fingerprint)}",
                f"If that is not what you want: {command}",
            )
    first_uses = sum(decision is Trust.TOFU for _, _, decision in decided)
    if first_uses and trust != "tofu":
        findings.warning(
            "decisions",
            f"{first_uses} certificates are believed because they were the first, and still are with trust {trust}",
            "Compare the fingerprints (`slixmpp-e2e trust list`), then `trust verify` or `trust forget`.",
        )
    if decided and len(findings.found) == before:
        findings.ok("decisions", "they do not contradict the options")


def check_learned(findings: Findings, store: Store, authority: Authority, now: datetime) -> None:
    """Check which peers are left without a certificate that is valid and believed, by what the store knows."""
    known = [each for each in known_certificates(store) if each.certificate is not None]
    valid = [each for each in known if not _is_expired(each, now)]
    has_valid = {each.jid for each in valid}
    for each in known:
        is_decided = each.decision in {Trust.PINNED, Trust.VERIFIED}
        if _is_expired(each, now) and (is_decided or each.jid not in has_valid):
            word = f"{each.decision} " if each.decision else ""
            findings.warning(
                "store",
                f"the {word}certificate of {shown(each.jid)} is expired: {grouped(each.fingerprint)}",
                "Ask for a new one, compare its fingerprint, and pin or verify it.",
            )
    if known and len(valid) == len(known):
        findings.ok("store", "no certificate in it is expired")
    _check_believed(findings, valid, authority, now)


def _check_believed(
    findings: Findings, valid: Sequence[KnownCertificate], authority: Authority, now: datetime
) -> None:
    """Name the peers none of whose valid certificates is believed, but those whom somebody distrusts."""
    pool = CertificatePool()
    refused: dict[str, UntrustedError] = {}
    believed = set()
    for each in valid:
        if each.jid in believed or each.decision is Trust.DISTRUSTED:
            continue
        group = [parsed for der in each.chain if (parsed := pool.parse(der)) is not None]
        found = judged(authority, each.jid, group, now)
        if isinstance(found, Decision):
            believed.add(each.jid)
        else:
            refused.setdefault(each.jid, found)
    for jid in sorted(refused.keys() - believed):
        findings.warning(
            "store",
            f"no certificate in it is believed to be that of {shown(jid)}: {refused[jid]}",
            "Nothing is encrypted to it, and what it signs is refused. Ask for another one"
            + (
                f"; or, after comparing the fingerprint, `slixmpp-e2e trust pin {shlex.quote(jid)} FINGERPRINT`."
                if refused[jid].why == "untrusted"
                else "."
            ),
        )
    if believed and not refused.keys() - believed:
        findings.ok("store", f"peers with a certificate in it that is believed: {len(believed)}")


def _is_expired(known: KnownCertificate, now: datetime) -> bool:
    return known.certificate is not None and known.certificate.not_valid_after_utc < now
