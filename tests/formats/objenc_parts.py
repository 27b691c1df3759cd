"""Objects of draft-miller-3923bis-02 in parts, made and taken apart with primitives and no code of ours."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element, fromstring

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.pki import Entity

NAMESPACE = "urn:ietf:params:xml:ns:xmpp-objenc:0"
DATED = "2026-11-20T08:30:15.000Z"
STANZA = (
    b"<message xmlns='jabber:client' from='juliet@example.com/balcony' to='romeo@example.net/orchard' type='chat' "
    b"id='inner-1'><body>Wherefore art thou, Romeo?</body></message>"
)
#: How the key is encrypted and what that is called.
OAEP_SHA256 = ("RSAES-OAEP-SHA-256-MFG1", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
OAEP_MASK_SHA1 = ("RSAES-OAEP-SHA-256-MFG1", padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA256(), None))
PKCS1 = ("RSAES-PKCS1-v1_5", padding.PKCS1v15())


def base64_of(data: bytes) -> str:
    """Base64 in one line."""
    return base64.b64encode(data).decode()


def plain(stanza: bytes = STANZA, timestamp: str | None = DATED) -> bytes:
    """The envelope E."""
    dated = "" if timestamp is None else f' timestamp="{timestamp}"'
    return f'<plain xmlns="{NAMESPACE}"{dated}>{base64_of(stanza)}</plain>'.encode()


def pkcs7(data: bytes) -> bytes:
    """Octets with the padding of PKCS #7."""
    fill = 16 - len(data) % 16
    return data + bytes((fill,)) * fill


def literal(data: bytes, key: bytes) -> bytes:
    """The MAC as the draft says it."""
    return hmac.new(data, key, hashlib.sha256).digest()


def usual(data: bytes, key: bytes) -> bytes:
    """The MAC as everybody else would do it."""
    return hmac.new(key, data, hashlib.sha256).digest()


@dataclass(frozen=True)
class Parts:
    """What an object is made of; what is not said is as it should be."""

    document: bytes = field(default_factory=plain)
    key: bytes = bytes(range(16))
    iv: bytes = bytes(range(0xA0, 0xB0))
    #: K, T and M where they are others than those that follow.
    encrypted_key: bytes | None = None
    data: bytes | None = None
    mac: bytes | None = None
    #: The document is padded already.
    padded: bool = False
    transport: tuple[str, padding.AsymmetricPadding] = OAEP_SHA256
    cipher_name: str = "AES-128-CBC-PKCS5-WITH-IV"
    mac_name: str = "HMACSHA256"
    make_mac: Callable[[bytes, bytes], bytes] = literal

    def octets(self, to: Entity) -> "Parts":
        """The same with K, T and M worked out."""
        data = self.data
        if data is None:
            encryptor = Cipher(algorithms.AES(self.key), modes.CBC(self.iv)).encryptor()
            data = self.iv + encryptor.update(self.document if self.padded else pkcs7(self.document))
        key = self.encrypted_key
        if key is None:
            key = to.key.public_key().encrypt(self.key, self.transport[1])
        mac = self.make_mac(data, self.key) if self.mac is None else self.mac
        return replace(self, data=data, encrypted_key=key, mac=mac)

    def xml(self, to: Entity) -> str:
        """The `<e2e/>` element."""
        parts = self.octets(to)
        return (
            f'<e2e xmlns="{NAMESPACE}"><key cipher-algo="{parts.transport[0]}">{base64_of(parts.encrypted_key)}</key>'
            f'<data cipher-algo="{parts.cipher_name}" mac-algo="{parts.mac_name}" mac-hash="{base64_of(parts.mac)}">'
            f"{base64_of(parts.data)}</data></e2e>"
        )

    def element(self, to: Entity) -> Element:
        """Likewise, as it comes out of a parser."""
        return fromstring(self.xml(to))


def peeled(element: Element, by: Entity) -> tuple[Parts, bytes, str, bytes]:
    """Return parts, envelope E, timestamp and stanza-string of an object that follows the draft to the letter."""
    key, data = element
    assert (element.tag, key.tag, data.tag) == tuple(
        f"{{{NAMESPACE}}}{name}" for name in ("e2e", "key", "data")
    )
    assert key.get("cipher-algo") == OAEP_SHA256[0]
    encrypted_key, octets, mac = (
        base64.b64decode(each, validate=True) for each in (key.text, data.text, data.get("mac-hash"))
    )
    session_key = by.key.decrypt(encrypted_key, OAEP_SHA256[1])
    assert mac == literal(octets, session_key)
    decryptor = Cipher(algorithms.AES(session_key), modes.CBC(octets[:16])).decryptor()
    padded = decryptor.update(octets[16:])
    document = padded[: -padded[-1]]
    assert pkcs7(document) == padded
    envelope = fromstring(document)
    assert (envelope.tag, list(envelope), set(envelope.attrib)) == (
        f"{{{NAMESPACE}}}plain",
        [],
        {"timestamp"},
    )
    parts = Parts(
        document, session_key, octets[:16], encrypted_key, octets, mac,
        cipher_name=data.get("cipher-algo"), mac_name=data.get("mac-algo"),
    )  # fmt: skip
    return parts, document, envelope.get("timestamp"), base64.b64decode(envelope.text, validate=True)
