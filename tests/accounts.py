"""Accounts of the throw-away PKI: who protects, who unprotects, and whose clock it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.peers import index_by_name
from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.certificates.store import MemoryStore, Store
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.freshness import SECOND, from_datetime
from slixmpp_e2e.options import Options
from slixmpp_e2e.protection import Protection
from tests.pki import MOMENT, PKI, Entity


@dataclass
class Clock:
    """A clock that somebody sets."""

    now: int = from_datetime(MOMENT)

    def __call__(self) -> int:
        """Return the time."""
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass, or go back."""
        self.now += int(seconds * SECOND)


def account(
    pki: PKI,
    entity: Entity,
    clock: Clock,
    *,
    peers: Iterable[Entity] = (),
    store: Store | None = None,
    pins: dict[str, frozenset[bytes]] | None = None,
    anchors: Iterable[Entity] | None = None,
    revocation: RevocationChecker | None = None,
    scheme: str | None = None,
    adjusted: list[float] | None = None,
    **options: Any,
) -> Protection:
    """Return the protection of somebody who believes in the root of the PKI."""
    kept = MemoryStore(started=0) if store is None else store
    roots = [each.certificate for each in ([pki.root] if anchors is None else anchors)]
    paths = PathValidator(roots) if roots else None
    return Protection(
        identity(
            entity.key,
            entity.certificate,
            [pki.intermediate.certificate, pki.root.certificate],
            scheme=scheme,
        ),
        Authority(kept, paths=paths, pins=pins, revocation=revocation),
        kept,
        clock,
        options=Options(**options),
        configured=index_by_name([[each.parsed, pki.intermediate.parsed] for each in peers]),
        on_clock_adjustment=(adjusted if adjusted is not None else []).append,
    )
