"""The store that a command works on, and what it knows of peers.

The same store as the plugin's: SQLite, named by `--store`, or beside the private key.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.store import Chain, Store
from slixmpp_e2e.cms.certificates import CertificatePool, ParsedCertificate
from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.sqlite import SQLiteStore

_PREFIX: Final = "sqlite:///"


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """Add where the store is (`store`, `key`)."""
    parser.add_argument("--store", metavar="STORE", help="the store: sqlite:///PATH, or the path alone")
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="our private key, or PKCS #12 file: the store beside it, where the plugin keeps it by default",
    )


def store_path(store: str | None, beside: Path | None) -> Path:
    """Return the file of the store that is named, or else of the one beside a key; raise `ConfigurationError`."""
    if store is not None:
        path = store.removeprefix(_PREFIX)
        if not path or "://" in path:
            named = store.rpartition("@")[2]  # a password may stand before it
            raise ConfigurationError(
                f"--store is sqlite:///PATH or a path, not {named!a}; the commands can't wait for a shared store."
            )
        return Path(path)
    if beside is None:
        raise ConfigurationError(
            "Which store? Say --store sqlite:///PATH, or --key FILE for the one beside it."
        )
    return beside.with_name(f"{beside.stem}.e2e.db")


@contextmanager
def opened_store(arguments: argparse.Namespace, *, make: bool = False) -> Iterator[Store]:
    """Open the store that the options name, and close it; with `make` it may be a new one.

    Raises `ConfigurationError` where there is none, `StoreError` where it can't be opened.
    """
    path = store_path(arguments.store, arguments.key)
    if not make and not path.exists():
        raise ConfigurationError(f"There is no store {path}.")
    store = SQLiteStore(path)
    try:
        yield store
    finally:
        store.close()


@dataclass(frozen=True, slots=True)
class KnownCertificate:
    """A certificate that was decided about, or learned, or both."""

    jid: str
    fingerprint: bytes
    #: What was decided; None: nothing, so that paths to trust anchors decide.
    decision: Trust | None
    #: None where a fingerprint is all there is.
    certificate: x509.Certificate | None
    #: The certificate and what came along, in DER; empty where a fingerprint is all there is.
    chain: Chain = ()


def known_certificates(store: Store, jid: str | None = None) -> list[KnownCertificate]:
    """Return what a store knows of one JID or of all, by JID, newest certificates first.

    A certificate that can't be read any more is left out unless something was decided about it.
    """
    pool = CertificatePool()
    return [each for owner in _owners(store, pool, jid) for each in _known(store, pool, owner)]


def _owners(store: Store, pool: CertificatePool, jid: str | None) -> list[str]:
    if jid is not None:
        return [jid]
    found = {owner for owner, _, _ in store.all_decisions()}
    for chain in store.all_certificates():  # they are kept for JIDs that they name
        parsed = pool.parse(chain[0])
        found |= certificate_jids(parsed.certificate) if parsed is not None else frozenset()
    return sorted(found)


def _known(store: Store, pool: CertificatePool, jid: str) -> Iterator[KnownCertificate]:
    decided = dict(store.decisions(jid))
    for chain in store.certificates(jid):
        parsed: ParsedCertificate | None = pool.parse(chain[0])
        if parsed is not None:
            decision = decided.pop(parsed.fingerprint, None)
            yield KnownCertificate(jid, parsed.fingerprint, decision, parsed.certificate, chain)
    for fingerprint, decision in sorted(decided.items()):
        yield KnownCertificate(jid, fingerprint, decision, None)
