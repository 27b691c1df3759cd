"""A key that rolls over: the files of our certificate are looked at once a minute, and a new one is taken over.

Keys in tokens, and those that are objects, are not watched; their certificates in files are.

Outside the filters. What can't be used is reported and tried again when the files change again; the identity in
use stays.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, Final

from slixmpp import JID

from slixmpp_e2e.certificates.identity import Identity
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.plugin.own_keys import is_file
from slixmpp_e2e.protection import Protection

log = logging.getLogger(__name__)

_SECONDS: Final = 60
_NAME: Final = "e2e identity files"
_OPTIONS: Final = (
    "certificate",
    "private_key",
    "pkcs12",
    "encryption_certificate",
    "encryption_private_key",
)


@dataclass(slots=True)
class _Source:
    """The options of one identity, and the state that their files had last."""

    config: Mapping[str, Any]
    seen: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Renewal:
    """Watches the files of our identities."""

    xmpp: Any
    protection: Protection
    #: The options of each (`own_keys.identity_options`), our own first.
    configs: InitVar[Iterable[Mapping[str, Any]]]
    #: Returns the identity that the files hold (`own_keys.load_identity`).
    load: Callable[[Mapping[str, Any]], Identity]
    stats: Counter[str]
    _sources: list[_Source] = field(init=False)

    def __post_init__(self, configs: Iterable[Mapping[str, Any]]) -> None:
        self._sources = [_Source(each, _state(each)) for each in configs]

    def start(self) -> None:
        """Look at the files from now on."""
        if _NAME not in self.xmpp.scheduled_events:
            self.xmpp.schedule(_NAME, _SECONDS, self.check, repeat=True)

    def stop(self) -> None:
        """Look no more."""
        if _NAME in self.xmpp.scheduled_events:
            self.xmpp.cancel_schedule(_NAME)

    def check(self) -> None:
        """Take over what the files hold if they changed. Never raises."""
        for source in self._sources:
            state = _state(source.config)
            if state != source.seen:
                source.seen = state
                self._take_over(source.config)

    def _take_over(self, config: Mapping[str, Any]) -> None:
        try:
            identity = self.load(config)
            before = self.protection.identity_of(JID(min(identity.jids)))
            if before is not None and identity.certificate.fingerprint == before.certificate.fingerprint:
                return
            self.protection.add_identity(identity)
        except (CertificateError, ConfigurationError) as error:
            log.warning("our certificate was not renewed: %s", error.diagnostics())
            self.xmpp.event("e2e_renewal_failed", error)
        else:
            self.stats["identities_renewed"] += 1
            log.info("the certificate of %s was renewed", ", ".join(sorted(identity.jids)))


def _state(config: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """Return what changes when a file is written; a file that is not there for a moment is one of size -1."""
    found = []
    for option in _OPTIONS:
        if is_file(config[option]):
            try:
                status = Path(config[option]).stat()
                found.append((status.st_mtime_ns, status.st_size))
            except OSError:
                found.append((0, -1))
    return tuple(found)
