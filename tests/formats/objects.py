"""RFC 3923 objects in parts: each layer as it should be, or as somebody else might write it."""

import base64
import re
from collections.abc import Callable, Sequence

from slixmpp.jid import JID

from slixmpp_e2e.cms.algorithms import AES128_CBC, ContentCipher
from slixmpp_e2e.cms.enveloped_data import encrypt
from slixmpp_e2e.cms.recipients import RSA_PKCS1, KeyTransport, KeyTransportRecipient
from slixmpp_e2e.cms.signatures import SCHEMES
from slixmpp_e2e.cms.signed_data import Signer, sign
from slixmpp_e2e.media import mime
from slixmpp_e2e.stanza import Outer
from tests.pki import MOMENT, PKI, Entity

JULIET = JID("juliet@example.com/balcony")
ROMEO = JID("romeo@example.net/orchard")

#: What a message of juliet's to romeo says in its headers, at `MOMENT`.
FROM = "From: <im:juliet@example.com>"
TO = "To: <im:romeo@example.net>"
DATED = "DateTime: 2026-11-20T08:30:15.000000Z"
TEXT = "Content-type: text/plain; charset=utf-8\r\n\r\nWherefore art thou, Romeo?"


def outer(
    kind: str = "message", type_: str = "chat", *, sender: JID = JULIET, recipient: JID = ROMEO
) -> Outer:
    """The stanza around an object."""
    return Outer(kind, type_, "outer-1", sender, recipient)


def message_cpim(*headers: str, content: str = TEXT, fields: str = "Content-type: Message/CPIM") -> bytes:
    """A Message/CPIM entity, by default from juliet to romeo."""
    lines = "\r\n".join(headers or (FROM, TO, DATED))
    return f"{fields}\r\n\r\n{lines}\r\n\r\n{content}".encode()


def xmpp_entity(xml: str, *, fields: str = "Content-type: application/xmpp+xml; charset=utf-8") -> str:
    """An application/xmpp+xml entity with one stanza, or what stands there instead."""
    return f'{fields}\r\n\r\n<xmpp xmlns="jabber:client">{xml}</xmpp>'


def signer(entity: Entity, *chain: Entity, scheme: str | None = None) -> Signer:
    """Somebody who signs."""
    above = [each.parsed for each in chain]
    return Signer(entity.key, entity.parsed, above, scheme=SCHEMES[scheme] if scheme else None)


def signed_der(content: bytes, by: Signer, *, detached: bool = False, certificates: bool = True) -> bytes:
    """A SignedData."""
    return sign(content, by, signing_time=MOMENT, detached=detached, certificates=certificates)


def opaque(content: bytes, by: Signer, **options: bool) -> bytes:
    """An application/pkcs7-mime entity with SignedData, as it stands in an envelope."""
    return mime.pkcs7_mime(signed_der(content, by, **options), "signed-data", binary=True)


def clear_signed(content: bytes, by: Signer, *, boundary: str = "next", **options: bool) -> bytes:
    """A multipart/signed entity."""
    signature = signed_der(content, by, detached=True, **options)
    return mime.multipart_signed(content, signature, micalg="sha-256", boundary=boundary)


def enveloped_der(
    plaintext: bytes,
    *recipients: Entity,
    cipher: ContentCipher = AES128_CBC,
    transport: KeyTransport = RSA_PKCS1,
) -> bytes:
    """An EnvelopedData or AuthEnvelopedData."""
    found = [KeyTransportRecipient(each.parsed, transport=transport) for each in recipients]
    return encrypt(plaintext, found, cipher=cipher)


def enveloped(plaintext: bytes, *recipients: Entity, **options: object) -> str:
    """The text of an `<e2e/>` element with an envelope."""
    der = enveloped_der(plaintext, *recipients, **options)
    return mime.pkcs7_mime(der, "enveloped-data", binary=False).decode()


def der_of(text: str) -> bytes:
    """The CMS object in the text of an `<e2e/>` element."""
    return base64.b64decode(re.split(r"\r?\n\r?\n", text, maxsplit=1)[1])


def changed(text: str, change: Callable[[bytes], bytes]) -> str:
    """The same text with another CMS object."""
    return mime.pkcs7_mime(change(der_of(text)), "enveloped-data", binary=False).decode()


def flipped(data: bytes, at: int) -> bytes:
    """The same octets but for one bit."""
    at %= len(data)
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def chain(pki: PKI) -> Sequence[Entity]:
    """What stands between everybody and the root."""
    return (pki.intermediate,)
