"""Stanzas of up to 2 MiB that are made to cost as much as can be: how they are made, and all of them."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from xml.sax.saxutils import escape

from cryptography import x509

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES256_GCM, ID_ENVELOPED_DATA, ID_SIGNED_DATA
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, OID, Reader, sequence, tlv
from slixmpp_e2e.cms.enveloped_data import encrypt
from slixmpp_e2e.cms.recipients import recipient_for
from slixmpp_e2e.cms.signed_data import Signer, sign
from slixmpp_e2e.namespaces import E2E
from tests.benchmarks.parties import JULIET, ROMEO
from tests.certificates.building import certificate, costly_key, key_usage
from tests.pki import MOMENT, PKI, Entity

LARGEST = 2 << 20
#: Octets that are nearly 2 MiB in base64.
ROOM = 1_450_000
BER = b"\x30\x80"
TEXT = b"\r\nContent-type: text/plain; charset=utf-8\r\n\r\n"
_CPIM = b"Content-type: Message/CPIM\r\n\r\nFrom: <im:juliet@example.com>\r\nTo: <im:romeo@example.net>\r\n"
_CA = x509.BasicConstraints(ca=True, path_length=None)
_DATED = b"DateTime: 2026-11-20T08:30:15Z\r\n"

Make = Callable[["Maker"], bytes]
_CASES: dict[str, Make] = {}


def case(make: Make) -> Make:
    """Take a function in that makes a stanza; its name says what of."""
    _CASES[make.__name__.replace("_", " ")] = make
    return make


def stanza(inside: str, **attributes: str) -> bytes:
    """Return a message from Juliet to Romeo."""
    given = {"from": JULIET, "to": ROMEO, "type": "chat", "id": "a", **attributes}
    written = "".join(f' {name}="{value}"' for name, value in given.items())
    return f"<message{written}>{inside}</message>".encode()


def e2e(text: bytes | str) -> str:
    """Return an `<e2e/>` element of RFC 3923."""
    return f"<e2e xmlns='{E2E}'>{escape(text if isinstance(text, str) else text.decode())}</e2e>"


def an_object(der: bytes) -> bytes:
    """Return a message with a CMS object."""
    return stanza(e2e(base64.b64encode(der)))


def many(value: bytes, size: int = ROOM) -> bytes:
    """Return a value as often as there is room for it."""
    return value * (size // len(value))


def fitting(key: object) -> list[Entity]:
    """Return a stranger's CA, and eight certificates for it that are each good for all of them."""
    extensions = (key_usage("key_cert_sign", "crl_sign"), _CA)
    first = Entity("CA", key, certificate(key, extensions, subject="Strangers"))
    again = (certificate(key, extensions, subject="Strangers", issuer=first) for _ in range(8))
    return [first, *(Entity("CA", key, each) for each in again)]


@dataclass(frozen=True)
class Maker:
    """What it takes: the keys of a PKI. Juliet signs with P-256, and encrypts to Romeo."""

    pki: PKI

    @cached_property
    def signer(self) -> Signer:
        """Juliet."""
        return Signer(self.pki["p-256"].key, self.pki["p-256"].parsed, [self.pki.intermediate.parsed])

    @cached_property
    def costly(self) -> list[Entity]:
        """A stranger's CA with a key that takes long to use."""
        return fitting(costly_key())

    def signed(self, content: bytes, **fields: bytes) -> bytes:
        """Return a SignedData of Juliet's, with other `digests`, `certificates`, `crls` or `infos`."""
        return with_fields(sign(content, self.signer, signing_time=MOMENT), **fields)

    def enveloped(self, *infos: bytes) -> bytes:
        """Return an EnvelopedData with other RecipientInfos."""
        der = encrypt(b"x", [recipient_for(self.pki["romeo"].parsed)], cipher=AES128_CBC)
        outer = Reader(der).enter()
        outer.element(OID)
        version, _, encrypted = outer.explicit(0).elements(limit=3)
        fields = sequence(version, tlv(0x31, *infos), encrypted)
        return sequence(ID_ENVELOPED_DATA, tlv(CONSTRUCTED, fields))

    def cpim(self, content: bytes, headers: bytes = b"") -> bytes:
        """Return a Message/CPIM entity from Juliet to Romeo."""
        return _CPIM + _DATED + headers + content

    def by_juliet(self, content: bytes) -> bytes:
        """Return what she signs and encrypts."""
        return an_object(
            encrypt(self.signed(content), [recipient_for(self.pki["romeo"].parsed)], cipher=AES256_GCM)
        )

    def by_stranger(self, leaf: Entity, *along: Entity) -> bytes:
        """Return what somebody else signs who says that he is Juliet."""
        der = sign(self.cpim(TEXT + b"x"), Signer(leaf.key, leaf.parsed), signing_time=MOMENT)
        return an_object(
            with_fields(der, certificates=tlv(CONSTRUCTED, *(each.der for each in (leaf, *along))))
        )


def with_fields(der: bytes, **fields: bytes) -> bytes:
    """Return a SignedData with other fields."""
    outer = Reader(der).enter()
    outer.element(OID)
    version, digests, content, certificates, infos = outer.explicit(0).elements(limit=5)
    found = {
        "digests": digests,
        "content": content,
        "certificates": certificates,
        "crls": b"",
        "infos": infos,
    }
    return sequence(ID_SIGNED_DATA, tlv(CONSTRUCTED, sequence(version, *(found | fields).values())))


def worst_cases(pki: PKI) -> Iterator[tuple[str, bytes]]:
    """Yield all of them by name, of 2 MiB at the most."""
    maker = Maker(pki)
    for name, make in _CASES.items():
        yield name, make(maker)
