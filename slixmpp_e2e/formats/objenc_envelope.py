"""The `<e2e/>` element of draft-miller-3923bis-02: what everybody can see of it, and its MAC.

An encrypted key (K in section 3 of the draft), the data that it encrypts (T, with the IV in front: ERRATA B05) and a
MAC over it (M). Nothing here depends on a private key, so what is wrong with it may be said: `MalformedError`.
Octets are base64 as RFC 4648 4 has it, without line breaks; white space in it is read over, and nothing else is
(ERRATA B18).
"""

import binascii
import hmac
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from cryptography.hazmat.primitives.constant_time import bytes_eq

from slixmpp_e2e.cms.algorithms import (
    AES128_CBC,
    AES192_CBC,
    AES256_CBC,
    SHA1,
    SHA256,
    SHA384,
    SHA512,
    ContentCipher,
    Digest,
)
from slixmpp_e2e.cms.recipients import RSA_OAEP_SHA256, RSA_PKCS1, KeyTransport, oaep
from slixmpp_e2e.errors import MalformedError
from slixmpp_e2e.namespaces import OBJENC
from slixmpp_e2e.outer import OBJENC_TAG
from slixmpp_e2e.stanza import MAX_OCTETS, SPACE

_KEY: Final = f"{{{OBJENC}}}key"
_DATA: Final = f"{{{OBJENC}}}data"
_MACS: Final = ("mac-hash", "mac-data")  # section 3 (10), and the examples (ERRATA B03)
_MAC_SIZE: Final = 32
#: An RSA key of 8192 bits; ours have 4096 at the most.
_MAX_KEY: Final = 1024
#: The block of SHA-256. A MAC whose key is T (ERRATA B04) sees no difference between a T of up to one block and the
#: same with zeros behind it, nor between a longer T and its SHA-256 (RFC 2104 2). No honest T is as short as that:
#: `<plain/>` alone has more octets.
_SHORTEST_DATA: Final = 64
_BLOCK: Final = 16

#: The one that is written, as the examples spell it (ERRATA B06).
WRITTEN_TRANSPORT: Final = RSA_OAEP_SHA256
_WRITTEN_TRANSPORT_NAME: Final = "RSAES-OAEP-SHA-256-MFG1"
_WRITTEN_MAC: Final = "HMACSHA256"
#: Names of ciphers as they are written.
CIPHER_NAMES: Final = {
    AES128_CBC.name: "AES-128-CBC-PKCS5-WITH-IV",  # section 7, spelt like the one in the examples (ERRATA B08)
    AES192_CBC.name: "AES-192-CBC-PKCS5-WITH-IV",
    AES256_CBC.name: "AES-256-CBC-PKCS5-WITH-IV",
}


def _masks(digest: Digest) -> tuple[KeyTransport, ...]:
    """Return the readings of a name that says nothing of the mask's digest: SHA-1 for some (ERRATA B07)."""
    return (oaep(digest, digest),) if digest is SHA1 else (oaep(digest, digest), oaep(digest, SHA1))


#: What a name in small letters may mean, the likeliest first.
_TRANSPORTS: Final[dict[str, tuple[KeyTransport, ...]]] = {
    **{
        f"rsaes-oaep-{name}-{mask}": _masks(digest)
        for name, digest in (("sha-1", SHA1), ("sha-256", SHA256), ("sha-384", SHA384), ("sha-512", SHA512))
        for mask in ("mfg1", "mgf1")
    },
    # XML Encryption; what its child elements would say has the default that it gives them
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p": _masks(SHA1),
    "http://www.w3.org/2009/xmlenc11#rsa-oaep": _masks(SHA1),
    "http://www.w3.org/2001/04/xmlenc#rsa-1_5": (RSA_PKCS1,),
    "rsaes-pkcs1-v1_5": (RSA_PKCS1,),
}
_CIPHERS: Final[dict[str, ContentCipher]] = {
    CIPHER_NAMES[row.name].lower(): row for row in (AES128_CBC, AES192_CBC, AES256_CBC)
}
_MAC_ALGORITHMS: Final = frozenset({"hmacsha256", "hmac-sha-256"})  # ERRATA B09


@dataclass(frozen=True, slots=True)
class Envelope:
    """An object as it travels."""

    #: The ways in which the encrypted key may have been encrypted; the private key has to tell.
    transports: tuple[KeyTransport, ...]
    #: K.
    encrypted_key: bytes
    cipher: ContentCipher
    #: T.
    data: bytes
    #: M.
    mac: bytes

    @property
    def octets(self) -> bytes:
        """All that it says, however it was written: two objects are the same if these are."""
        return self.encrypted_key + self.data + self.mac

    def is_authentic(self, key: bytes) -> bool:
        """Tell whether the MAC over the data was made with this session key, in constant time.

        The draft's own order of arguments and the usual one are read (ERRATA B04). It says that whoever made the
        object knew the key, which he did, as he drew it: nothing about who he is.
        """
        return bytes_eq(self.mac, make_mac(self.data, key)) | bytes_eq(
            self.mac, hmac.digest(key, self.data, "sha256")
        )


def make_mac(data: bytes, key: bytes) -> bytes:
    """Return M: the data as the key of HMAC-SHA-256, the session key as its message (section 3 (8))."""
    return hmac.digest(data, key, "sha256")


# --------------------------------------------------------------------------- writing


def write_envelope(envelope: Envelope) -> Element:
    """Return the element (section 3 (10)); the key has to be encrypted with `WRITTEN_TRANSPORT`."""
    element = Element(OBJENC_TAG)
    key = SubElement(element, _KEY, {"cipher-algo": _WRITTEN_TRANSPORT_NAME})
    key.text = write_base64(envelope.encrypted_key)
    attributes = {
        "cipher-algo": CIPHER_NAMES[envelope.cipher.name],
        "mac-algo": _WRITTEN_MAC,
        "mac-hash": write_base64(envelope.mac),
    }
    SubElement(element, _DATA, attributes).text = write_base64(envelope.data)
    return element


def write_base64(data: bytes) -> str:
    """Return base64 in one line."""
    return binascii.b2a_base64(data, newline=False).decode()


# --------------------------------------------------------------------------- reading


def read_envelope(element: Element) -> Envelope:
    """Return the object in an `<e2e/>` element; raise `MalformedError` for what everybody can see.

    Attributes that the draft doesn't have are not looked at.
    """
    if element.tag != OBJENC_TAG or [child.tag for child in element] != [_KEY, _DATA]:
        raise MalformedError("not one key and one data element, in this order")  # appendix A
    key, data = element
    if (
        len(key)
        or len(data)
        or any((text or "").strip(SPACE) for text in (element.text, key.tail, data.tail))
    ):
        raise MalformedError("an e2e element with more in it than a key and data")
    cipher = _CIPHERS.get(_name(data, "cipher-algo"))
    transports = _TRANSPORTS.get(_name(key, "cipher-algo"))
    if transports is None or cipher is None or _name(data, "mac-algo") not in _MAC_ALGORITHMS:
        raise MalformedError("an algorithm that is missing or unknown")
    macs = {read_base64(data.attrib[name]) for name in _MACS if name in data.attrib}
    if len(macs) != 1 or len(mac := macs.pop()) != _MAC_SIZE:
        raise MalformedError("no MAC, two different ones, or one of another size")
    encrypted_key, octets = read_base64(key.text or ""), read_base64(data.text or "")
    if not 0 < len(encrypted_key) <= _MAX_KEY:
        raise MalformedError("an encrypted key of a size that none has")
    if len(octets) <= _SHORTEST_DATA or len(octets) % _BLOCK:
        raise MalformedError("data of a size that none has")
    return Envelope(transports, encrypted_key, cipher, octets, mac)


def _name(element: Element, attribute: str) -> str:
    return element.get(attribute, "").lower()


def read_base64(text: str) -> bytes:
    """Return what canonical base64 with white space in it stands for; raise `MalformedError` for anything else.

    Bits that stand for nothing have to be zero (section 3 (5)), so that no two texts mean the same octets.
    """
    if len(text) > MAX_OCTETS:
        raise MalformedError("base64 that is too large")
    digits = text.translate(_NO_SPACE)
    try:
        data = binascii.a2b_base64(digits, strict_mode=True)
    except ValueError:
        raise MalformedError("not base64") from None
    if write_base64(data) != digits:
        raise MalformedError("base64 that is not canonical")
    return data


_NO_SPACE: Final = dict.fromkeys(map(ord, SPACE))
