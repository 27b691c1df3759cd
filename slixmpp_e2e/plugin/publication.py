"""Publishing our certificates in our own account (XEP-0189 0.9, 3; XEP-0163), beside those of other devices.

Each certificate is an item of its own, named by its fingerprint, so that two devices that publish at the same
time don't overwrite each other. Read, merge, write, read back: what other devices have published stays as it is,
except for certificates that have expired, which are taken away. Everybody may read the node.

Who can publish is whoever has the account. Nobody who reads believes a certificate because it stands there.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp.exceptions import IqError, XMPPError

from slixmpp_e2e.errors import PublicationError
from slixmpp_e2e.freshness import to_datetime
from slixmpp_e2e.namespaces import DATA_FORMS, PUBKEY, PUBSUB, PUBSUB_ERRORS, PUBSUB_OWNER
from slixmpp_e2e.plugin.pubkeys import (
    CERTIFICATES,
    KEYINFO,
    OCTETS,
    ask,
    item_id,
    own_certificates,
    read_keyinfo,
    read_node,
    write_keyinfo,
)
from slixmpp_e2e.protection import Protection

log = logging.getLogger(__name__)

#: How the node must be (XEP-0189 0.9, 3.1; XEP-0222). Room for more items than we publish: servers drop the
#: oldest one when there are too many.
_NODE: Final[Mapping[str, str]] = {
    "pubsub#persist_items": "true",
    "pubsub#max_items": str(2 * CERTIFICATES),
    "pubsub#send_last_published_item": "never",
    "pubsub#access_model": "open",
}
_PUBLISH_OPTIONS: Final = f"{PUBSUB}#publish-options"
_NODE_CONFIG: Final = f"{PUBSUB}#node_config"
#: Seconds for each request: nobody waits for it.
_SECONDS: Final = 30.0


@dataclass(slots=True)
class Publication:
    """Keeps our certificates on the node of our own account."""

    xmpp: Any
    protection: Protection
    stats: Counter[str]
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Publish in the background; a component has no account to do it in. What fails is logged."""
        self.close()
        if not self.xmpp.is_component:
            self._task = asyncio.get_running_loop().create_task(self._publish_or_log())

    def close(self) -> None:
        """Stop what was started; it ends in the next round of the loop."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _publish_or_log(self) -> None:
        try:
            await self.publish()
        except PublicationError as error:
            log.warning("our certificates were not published: %s", error.diagnostics())
        except Exception:
            log.exception("our certificates were not published")

    async def publish(self) -> None:
        """Publish what is not published yet, and check that it is there; raise `PublicationError`.

        There may be at most 16 items and 64 KiB of certificates altogether: beyond, nothing is written.
        """
        try:
            before = await self._read()
            expired = [name for name, der in before.items() if der is not None and self._is_expired(der)]
            kept = {name: der for name, der in before.items() if name not in expired}
            ours = self._ours()
            wanted = {**kept, **ours}
            _check_bounds(list(wanted.values()))
            for name in expired:
                await self._retract(name)
            missing = [name for name in ours if kept.get(name) != ours[name]]
            for name in missing:
                await self._write(name, ours[name])
            after = await self._read() if missing or expired else before
        except XMPPError as error:
            raise PublicationError(f"our account did not take them: {error.condition}") from error
        lost = [name for name, der in wanted.items() if name not in after or after[name] != der]
        if lost:
            raise PublicationError(f"these are not there after publishing: {', '.join(sorted(lost))}")
        self.stats["certificates_published"] += len(missing)

    async def _read(self) -> dict[str, bytes | None]:
        """Return the items by their names; None for what is no certificate of X.509."""
        try:
            items = await read_node(self.xmpp, None, _SECONDS)
        except IqError as error:
            if error.condition == "item-not-found":
                return {}
            raise
        found: dict[str, bytes | None] = {}
        for item in items:
            keyinfo = item.find(KEYINFO)
            found[item.get("id", "")] = read_keyinfo(keyinfo) if keyinfo is not None else None
        return found

    def _ours(self) -> dict[str, bytes]:
        own = own_certificates(self.protection.identity)
        return {item_id(each.der): each.der for each in own if not self._is_expired(each.der)}

    def _is_expired(self, der: bytes) -> bool:
        """Tell whether a certificate has expired; what can't be read is left to who published it."""
        parsed = self.protection.peers.parse([der])
        at = to_datetime(self.protection.now())
        return any(each.certificate.not_valid_after_utc < at for each in parsed)

    # ------------------------------------------------------------------ requests

    async def _write(self, name: str, der: bytes) -> None:
        """Publish an item; configure the node first if it is there and is not as it must be."""
        try:
            await ask(self.xmpp, "set", None, _publish(name, der), _SECONDS)
        except IqError as error:
            if error.iq.xml.find(f".//{{{PUBSUB_ERRORS}}}precondition-not-met") is None:
                raise
            await ask(self.xmpp, "set", None, _configure(), _SECONDS)
            await ask(self.xmpp, "set", None, _publish(name, der), _SECONDS)

    async def _retract(self, name: str) -> None:
        pubsub = Element(f"{{{PUBSUB}}}pubsub")
        retract = SubElement(pubsub, f"{{{PUBSUB}}}retract", {"node": PUBKEY})
        SubElement(retract, f"{{{PUBSUB}}}item", {"id": name})
        try:
            await ask(self.xmpp, "set", None, pubsub, _SECONDS)
        except IqError as error:  # another device was quicker
            if error.condition != "item-not-found":
                raise


def _check_bounds(certificates: Sequence[bytes | None]) -> None:
    octets = sum(len(der) for der in certificates if der is not None)
    if len(certificates) > CERTIFICATES or octets > OCTETS:
        raise PublicationError(
            f"there would be {len(certificates)} items with {octets} octets; "
            f"{CERTIFICATES} with {OCTETS} are read"
        )


def _publish(name: str, der: bytes) -> Element:
    pubsub = Element(f"{{{PUBSUB}}}pubsub")
    publish = SubElement(pubsub, f"{{{PUBSUB}}}publish", {"node": PUBKEY})
    SubElement(publish, f"{{{PUBSUB}}}item", {"id": name}).append(write_keyinfo(der))
    options = SubElement(pubsub, f"{{{PUBSUB}}}publish-options")
    options.append(_form(_PUBLISH_OPTIONS))
    return pubsub


def _configure() -> Element:
    pubsub = Element(f"{{{PUBSUB_OWNER}}}pubsub")
    SubElement(pubsub, f"{{{PUBSUB_OWNER}}}configure", {"node": PUBKEY}).append(_form(_NODE_CONFIG))
    return pubsub


def _form(form_type: str) -> Element:
    form = Element(f"{{{DATA_FORMS}}}x", {"type": "submit"})
    hidden = SubElement(form, f"{{{DATA_FORMS}}}field", {"var": "FORM_TYPE", "type": "hidden"})
    SubElement(hidden, f"{{{DATA_FORMS}}}value").text = form_type
    for name, value in _NODE.items():
        field = SubElement(form, f"{{{DATA_FORMS}}}field", {"var": name})
        SubElement(field, f"{{{DATA_FORMS}}}value").text = value
    return form
