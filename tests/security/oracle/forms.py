"""Objects that an attacker makes himself, broken in every layer: he must not hear which one it was.

He has a certificate of the same authority, with his own name in it, and whatever was captured.
"""

import os
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES128_GCM, ContentCipher
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, OCTET_STRING, octet_string, sequence, tlv
from slixmpp_e2e.cms.enveloped_data import encrypt
from slixmpp_e2e.cms.recipients import KeyTransportRecipient
from slixmpp_e2e.cms.signed_data import certificates_only
from slixmpp_e2e.media import mime
from tests.cms.forge import CONTENT_IS_DATA, SIGNED_NOW, message_digest, signed_data, signer_info
from tests.formats.objects import clear_signed, message_cpim, opaque, signed_der, signer, xmpp_entity
from tests.pki import Entity
from tests.security.oracle.scene import Scene, text_of

_FROM, _TO = "From: <im:romeo@localhost>", "To: <im:juliet@localhost>"
_DATED = "DateTime: 2026-11-20T08:30:15Z"


def forms(scene: Scene) -> Mapping[str, str]:
    """Return the text of an `<e2e/>` element for each of them."""
    recipient = KeyTransportRecipient(scene.victim.parsed)

    def sealed(content: bytes, cipher: ContentCipher = AES128_CBC) -> str:
        return text_of(encrypt(content, [recipient], cipher=cipher))

    own = _entity(scene, "mercutio")
    by = signer(own)
    content = message_cpim(_FROM, _TO, _DATED)
    signed, detached = opaque(content, by), clear_signed(content, by)
    der = signed_der(content, by)
    attributes = [CONTENT_IS_DATA, SIGNED_NOW, message_digest(content)]
    captured = scene.capture()
    unsigned_attribute = tlv(
        CONSTRUCTED + 1, sequence(b"\x06\x03\x55\x04\x03", tlv(0x31, octet_string(b"x")))
    )

    def inside(*infos: bytes) -> bytes:
        whole = signed_data(content, infos, [own.der])
        return mime.pkcs7_mime(whole, "signed-data", binary=True)

    plain = {
        "nothing": b"",
        "octets": os.urandom(700),
        "zeros": bytes(700),
        "text that nobody signed": b"Content-Type: text/plain\r\n\r\nx",
        "Message/CPIM that nobody signed": content,
        "XML that nobody signed": xmpp_entity("<message/>").encode(),
        "broken XML that nobody signed": xmpp_entity("<message>").encode(),
        "a MIME header without an end": b"Content-Type: text/plain",
        "a MIME header twice": b"A: b\r\nA: b\r\n\r\n",
        "a media type that is none": b"Content-Type: x\r\n\r\n",
        "no boundary": b"Content-Type: multipart/signed\r\n\r\n",
        "no second part": detached[: len(detached) // 2],
        "base64 that is none": b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n=",
        "signed by somebody else": signed,
        "signed by somebody else, multipart": detached,
        "signed by somebody unknown": opaque(content, by, certificates=False),
        "signed, other content": signed.replace(b"Romeo?", b"Paris?"),
        "signed, a bad signature": signed[:-1] + bytes((signed[-1] ^ 1,)),
        "signed, broken CPIM": opaque(b"Content-Type: Message/CPIM\r\n\r\nFrom", by),
        "signed, broken XML": opaque(xmpp_entity("<message>").encode(), by),
        "signed, no date": opaque(message_cpim(_FROM, _TO), by),
        "signed, for somebody else": opaque(message_cpim(_FROM, "To: <im:x@localhost>", _DATED), by),
        "something behind the object": signed + b"x",
        "something behind the closing boundary": detached + b"x",
        "something behind the base64": mime.pkcs7_mime(der, "signed-data", binary=False) + b".",
        "something behind the object in base64": mime.pkcs7_mime(der + b"\0", "x", binary=False),
        "an unsigned attribute": inside(signer_info(own, attributes, unsigned=unsigned_attribute)),
        "an attribute twice": inside(signer_info(own, [*attributes, SIGNED_NOW])),
        "no attributes": inside(signer_info(own, None, over=content)),
        "no signer": inside(),
        "certificates only": mime.pkcs7_mime(certificates_only([own.parsed]), "certs-only", binary=True),
        "an envelope": mime.pkcs7_mime(captured.der, "enveloped-data", binary=True),
        "BER": b"0\x80" + der[2:],
        "a string in pieces": der.replace(bytes((OCTET_STRING, 0x82)), bytes((OCTET_STRING | 0x20, 0x82)), 1),
    }
    return {
        **{name: sealed(each) for name, each in plain.items()},
        **{f"{name}, AES-GCM": sealed(each, AES128_GCM) for name, each in plain.items()},
        "a wrong tag": text_of(encrypt(signed, [recipient], cipher=AES128_GCM)[:-1] + b"\0"),
        "nothing for us": text_of(encrypt(signed, [KeyTransportRecipient(own.parsed)])),
        "something behind the envelope": text_of(captured.der + b"\0"),
        "cut off": text_of(captured.der[:-1]),
        "no object": "AAAA",
    }


def _entity(scene: Scene, name: str) -> Entity:
    directory = scene.pki.directory
    certificate = x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())
    return Entity(name, load_pem_private_key((directory / f"{name}.key").read_bytes(), None), certificate)
