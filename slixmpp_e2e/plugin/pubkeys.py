"""Certificates as published keys (XEP-0189): asked of a peer's account, or of a client directly.

The format is that of version 0.9 of XEP-0189 (`urn:xmpp:pubkey:0`): one item for each X.509 certificate, base64
of its DER in `<x509cert/>`. Later versions (`urn:xmpp:pubkey:2`) have bare RSA numbers only, and say nothing of
whose they are; they are neither written nor read.

**Not** checked here: anything about the certificates that are found. They are hints until trust has judged them.
"""

import hashlib
import secrets
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp import JID, Iq
from slixmpp.exceptions import XMPPError

from slixmpp_e2e.certificates.identity import Identity
from slixmpp_e2e.cms.certificates import LARGEST, ParsedCertificate
from slixmpp_e2e.errors import MalformedError
from slixmpp_e2e.media.mime import decode_base64
from slixmpp_e2e.namespaces import PUBKEY, PUBSUB
from slixmpp_e2e.plugin.stanzas import mark_sealed, new_iq, own_jid, set_error
from slixmpp_e2e.protection import Protection

#: How many certificates are read from one node or answer, and published on one.
CERTIFICATES: Final = 16
#: Octets that they may have together, in DER.
OCTETS: Final = 64 * 1024
#: Seconds that the answer to one question may take.
SECONDS: Final = 3.0

KEYINFO: Final = f"{{{PUBKEY}}}keyinfo"
_PUBKEYS: Final = f"{{{PUBKEY}}}pubkeys"
_X509: Final = f"{{{PUBKEY}}}x509cert"


# --------------------------------------------------------------------------- the format


def item_id(certificate: bytes) -> str:
    """Return the name of a certificate's item: SHA-1 of the DER, lower-case hex (XEP-0189 0.9, 3.2)."""
    return hashlib.sha1(certificate, usedforsecurity=False).hexdigest()


def write_keyinfo(certificate: bytes) -> Element:
    """Return the element for a certificate in DER (XEP-0189 0.9, 2.1)."""
    keyinfo = Element(KEYINFO)
    SubElement(keyinfo, _X509).text = b64encode(certificate).decode()
    return keyinfo


def read_keyinfo(keyinfo: Element) -> bytes | None:
    """Return the octets of the certificate, or None where there is none, or one that is too large to be one."""
    return read_certificate(keyinfo, _X509)


def read_certificate(parent: Element, name: str) -> bytes | None:
    """Return what stands in base64 in the one child of that name, as `read_keyinfo` does."""
    found = parent.findall(name)
    text = (found[0].text or "") if len(found) == 1 and not len(found[0]) else ""
    if not text or len(text) > 2 * LARGEST:
        return None
    try:
        return decode_base64(text.encode()) or None
    except (MalformedError, ValueError):
        return None


def bounded(certificates: Iterable[bytes]) -> list[bytes]:
    """Return as many certificates as may be looked at, in their order; what is too large is left out."""
    found: dict[bytes, None] = {}
    octets = 0
    for certificate in certificates:
        if len(found) == CERTIFICATES:
            break
        if certificate in found or len(certificate) > LARGEST:
            continue
        if octets + len(certificate) <= OCTETS:
            found[certificate] = None
            octets += len(certificate)
    return list(found)


def own_certificates(identity: Identity) -> list[ParsedCertificate]:
    """Return what others need to judge us and to encrypt to us: our certificates and what leads to the root."""
    signer = identity.signer
    return list({each.der: each for each in (signer.certificate, *signer.chain)}.values())


# --------------------------------------------------------------------------- asking


async def ask(
    xmpp: Any, kind_type: str, to: JID | None, payload: Element, seconds: float = SECONDS
) -> Element:
    """Send a request of our own in clear, whatever the policy, and return the result; raise `XMPPError`.

    It waits for nothing: it may be what those that wait are waiting for. `to` is None for our own account.
    """
    iq: Any = new_iq(xmpp, kind_type, secrets.token_hex(16))
    if to is not None:
        iq["to"] = to
    if xmpp.is_component:
        iq["from"] = own_jid(xmpp)
    iq.xml.append(payload)
    mark_sealed(iq)
    try:
        result: Iq = await iq.send(timeout=seconds)
    finally:  # what slixmpp keeps for an answer nobody waits for any more
        xmpp.remove_handler(f"IqCallback_{iq['id']}")
        if f"IqTimeout_{iq['id']}" in xmpp.scheduled_events:
            xmpp.cancel_schedule(f"IqTimeout_{iq['id']}")
    return result.xml


async def read_node(xmpp: Any, account: JID | None, seconds: float = SECONDS) -> list[Element]:
    """Return the items that an account has published; raise `XMPPError`, `item-not-found` if there is no node."""
    question = Element(f"{{{PUBSUB}}}pubsub")
    items = SubElement(question, f"{{{PUBSUB}}}items", {"node": PUBKEY})
    if account is not None:
        items.set("max_items", str(CERTIFICATES))
    answer = await ask(xmpp, "get", account, question, seconds)
    found = answer.find(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}items")
    if found is None or found.get("node") != PUBKEY:
        return []
    return found.findall(f"{{{PUBSUB}}}item")


@dataclass(slots=True)
class PublishedKeys:
    """Finds what peers have published (a `CertificateResolver`), and answers who asks this client."""

    xmpp: Any
    protection: Protection
    stats: Counter[str]
    #: Tell everybody who asks; else nobody is told.
    public: bool = False

    async def find(self, jid: JID) -> list[bytes]:
        """Return certificates in DER that a peer's account has published, or else those of the full JID.

        Never more than `CERTIFICATES` and `OCTETS`; nothing if nobody may be asked, or nobody answers.
        """
        found = await self._published(JID(jid.bare))
        if not found and jid.resource:
            found = await self._directly(jid)
        return found

    async def _published(self, account: JID) -> list[bytes]:
        try:
            items = await read_node(self.xmpp, account)
        except XMPPError:
            return []
        return _read_all(each for item in items[:CERTIFICATES] for each in item.findall(KEYINFO)[:1])

    async def _directly(self, jid: JID) -> list[bytes]:
        """Ask a client (XEP-0189 0.9, 5)."""
        try:
            answer = await ask(self.xmpp, "get", jid, Element(_PUBKEYS))
        except XMPPError:
            return []
        return _read_all(answer.findall(f"{_PUBKEYS}/{KEYINFO}")[:CERTIFICATES])

    def answer(self, iq: Iq) -> bool:
        """Tell whether a request that came in clear asks for our certificates; it is answered then.

        It never reaches the program, so that it may come from who must send everything else protected. Where
        nobody is told, the answer is the one that hides whether we are here (XEP-0189 0.9, 5).
        """
        if iq.xml.get("type") != "get" or len(iq.xml) != 1 or iq.xml[0].tag != _PUBKEYS:
            return False
        answer = new_iq(self.xmpp, "result" if self.public else "error", iq["id"])
        answer["to"] = iq["from"]
        if self.xmpp.is_component:
            answer["from"] = iq["to"]
        if self.public:
            pubkeys = SubElement(answer.xml, _PUBKEYS)
            asked = self.protection.identity_of(iq["to"]) if iq["to"].bare else None
            own = own_certificates(self.protection.identity if asked is None else asked)
            pubkeys.extend(write_keyinfo(each.der) for each in own)
            self.stats["certificates_sent"] += 1
        else:
            set_error(answer, "service-unavailable", "cancel")
        mark_sealed(answer)  # public, or empty
        self.xmpp.send(answer)
        return True


def _read_all(keyinfos: Iterable[Element]) -> list[bytes]:
    return bounded(der for each in keyinfos if (der := read_keyinfo(each)) is not None)
