"""Certificates of our own other devices, so that they can read copies of what we send (`encrypt_to_self`).

They are read once when a session starts, from lists of our own account: what our devices have published (`pep`,
XEP-0189), and what the account's owner has put down to log in with (`saslcert`, XEP-0257 0.3). Who keeps those lists
is the server, so they are hints like all that is found: a certificate counts if it names our JID and trust would
believe it. What is taken off a list later stays learned; `plugin.decide` distrusts it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element

from slixmpp.exceptions import XMPPError

from slixmpp_e2e.certificates.store import CERTIFICATES_PER_JID
from slixmpp_e2e.errors import ConfigurationError, StoreError
from slixmpp_e2e.namespaces import SASLCERT
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.plugin.pubkeys import (
    CERTIFICATES,
    KEYINFO,
    ask,
    bounded,
    read_certificate,
    read_keyinfo,
    read_node,
)
from slixmpp_e2e.plugin.stanzas import own_jid

log = logging.getLogger(__name__)

_ITEMS: Final = f"{{{SASLCERT}}}items"
_ITEM: Final = f"{{{SASLCERT}}}item"
_X509: Final = f"{{{SASLCERT}}}x509cert"
#: Seconds for each request: nobody waits for it.
_SECONDS: Final = 30.0


@dataclass(slots=True)
class OwnDevices:
    """Learns the certificates of our account's other devices. Raises `ConfigurationError` for unknown places."""

    xmpp: Any
    opening: Opening
    #: `pep`, `saslcert`, or several of them: where is read; None: nowhere.
    places: str | Sequence[str] | None
    stats: Counter[str]
    _chosen: tuple[str, ...] = field(default=(), init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._chosen = (self.places,) if isinstance(self.places, str) else tuple(self.places or ())
        for place in self._chosen:
            if not isinstance(place, str) or place not in _PLACES:
                raise ConfigurationError(f"own_devices: {place!r} is not one of {', '.join(_PLACES)}")

    def start(self) -> None:
        """Read in the background, if we encrypt to ourselves; a component has no account."""
        self.close()
        if self._chosen and self.opening.protection.options.encrypt_to_self and not self.xmpp.is_component:
            self._task = asyncio.get_running_loop().create_task(self._read_all())

    def close(self) -> None:
        """Stop what was started; it ends in the next round of the loop."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _read_all(self) -> None:
        own, identity = own_jid(self.xmpp), self.opening.protection.identity
        ours = {each.der for each in (identity.signer.certificate, identity.recipient) if each is not None}
        for place in self._chosen:
            try:
                found = bounded(der for der in await _PLACES[place](self.xmpp) if der not in ours)
                self.stats["own_certificates_found"] += len(found)
                await self.opening.take_certificates(found, own, at_once=CERTIFICATES_PER_JID)
            except XMPPError as error:
                log.info("our account has no list of its devices (%s): %s", place, error.condition)
            except StoreError as error:
                log.warning("certificates of our devices can't be kept: %s", error.diagnostics())
            except Exception:
                log.exception("the certificates of our devices were not read (%s)", place)


async def _published(xmpp: Any) -> list[bytes]:
    items = await read_node(xmpp, None, _SECONDS)
    keyinfos = (each for item in items[:CERTIFICATES] for each in item.findall(KEYINFO)[:1])
    return _those_that_are(read_keyinfo(each) for each in keyinfos)


async def _for_logging_in(xmpp: Any) -> list[bytes]:
    return read_items(await ask(xmpp, "get", None, Element(_ITEMS), _SECONDS))


def read_items(answer: Element) -> list[bytes]:
    """Return the certificates in an answer with a list (XEP-0257 2.2), the first sixteen items' at most."""
    items = answer.findall(f"{_ITEMS}/{_ITEM}")[:CERTIFICATES]
    return _those_that_are(read_certificate(each, _X509) for each in items)


def _those_that_are(read: Iterable[bytes | None]) -> list[bytes]:
    return [der for der in read if der is not None]


_PLACES: Final[Mapping[str, Callable[[Any], Awaitable[list[bytes]]]]] = {
    "pep": _published,
    "saslcert": _for_logging_in,
}
