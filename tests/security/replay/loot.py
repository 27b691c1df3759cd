"""What somebody has to whom a protected stanza was sent: the signed object, taken apart."""

from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, fromstring

from slixmpp import JID

from slixmpp_e2e.cms.algorithms import ID_DATA, ID_SIGNED_DATA
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, OCTET_STRING, OID, SET, Reader, octet_string, sequence, tlv
from slixmpp_e2e.cms.enveloped_data import parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.cms.signed_data import parse_signed_data
from slixmpp_e2e.leaving import Format
from slixmpp_e2e.media import mime
from slixmpp_e2e.outer import E2E_TAG
from slixmpp_e2e.policy import Level
from slixmpp_e2e.stanza import serialise
from tests.formats.objects import der_of
from tests.formats.objenc_parts import peeled
from tests.pki import Entity
from tests.security.replay.wire import READER, stanza
from tests.security.replay.world import Client

KINDS: Final = ("message", "message", "message", "presence", "iq")


@dataclass(frozen=True, slots=True)
class Signed:
    """A SignedData in its parts; each certificate, list and SignerInfo whole, the rest as it stood."""

    version: bytes
    digests: bytes
    certificates: tuple[bytes, ...]
    lists: tuple[bytes, ...]
    infos: tuple[bytes, ...]

    @classmethod
    def of(cls, der: bytes) -> tuple["Signed", bytes | None]:
        """Take an object apart, and return with it the content, unless that is somewhere else."""
        outer = Reader(der).enter()
        outer.element()
        fields = outer.explicit(0)
        version, digests, encapsulated = fields.element(), fields.element(SET), fields.enter()
        encapsulated.element(OID)
        content = encapsulated.enter(CONSTRUCTED).contents(OCTET_STRING) if encapsulated else None
        sets = [
            tuple(fields.enter(tag).elements(limit=20)) if fields.peek() == tag else ()
            for tag in (CONSTRUCTED, CONSTRUCTED + 1, SET)
        ]
        return cls(version, digests, *sets), content

    def write(self, content: bytes | None) -> bytes:
        """Put it together, with the content or without."""
        inside = () if content is None else (tlv(CONSTRUCTED, octet_string(content)),)
        fields = [self.version, self.digests, sequence(ID_DATA, *inside)]
        fields += [tlv(CONSTRUCTED, *self.certificates)] if self.certificates else []
        fields += [tlv(CONSTRUCTED + 1, *self.lists)] if self.lists else []
        return sequence(ID_SIGNED_DATA, tlv(CONSTRUCTED, sequence(*fields, tlv(SET, *self.infos))))


@dataclass(frozen=True, slots=True)
class Loot:
    """A stanza that was sent once."""

    number: int
    kind: str
    #: The full JID of who signed it.
    sender: str
    moment: int
    #: The `<e2e/>` element as it was, and the stanza around it.
    element: str
    wire: str
    #: What was signed, and the object around that.
    content: bytes
    signed: Signed

    @property
    def secret(self) -> str:
        """A word that stands in nothing else."""
        return f"secret-{self.number}-secret"


def write(
    sender: Client, receiver: Entity, number: int, *, kind: str, level: Level, written_as: Format
) -> Loot:
    """Let somebody send something to the reader; `receiver` is the reader, whose key takes it apart."""
    protection, jid = sender.plugin.protection, sender.xmpp.boundjid.full
    word = f"secret-{number}-secret"
    inside = {
        "message": f"<body>{word}</body>",
        "presence": f"<status>{word}</status>",
        "iq": f"<query xmlns='urn:example'>{word}</query>",
    }[kind]
    inner = fromstring(stanza(kind, inside, sender=jid, id_=f"inner-{number}"))
    if number % 3:
        protection.forget_inclusion(JID(READER))
    element = protection.protect(
        inner, sender=JID(jid), recipient=JID(f"{READER}/orchard"), level=level, written_as=written_as
    )
    content, signed = _taken_apart(element, receiver)
    text = serialise(element)
    wire = stanza(kind, text, sender=jid, id_=f"outer-{number}")
    return Loot(number, kind, jid, protection.now(), text, wire, content, signed)


def _taken_apart(element: Element, receiver: Entity) -> tuple[bytes, Signed]:
    if element.tag != E2E_TAG:  # the draft's: what is in it is signed in clear
        inner = fromstring(peeled(element, receiver)[3])
        return _taken_apart(inner.find(E2E_TAG), receiver)
    text = element.text or ""
    if text.startswith("Content-Type: multipart/signed"):
        parts = mime.split_signed(mime.parse_entity(mime.canonical_line_breaks(text.encode())))
        return parts.content, Signed.of(parts.signature.decoded_body())[0]
    keys = DecryptionKeys([(receiver.key, receiver.parsed)])
    entity = mime.parse_entity(parse_enveloped_data(der_of(text)).decrypt(keys).plaintext)
    signed, content = Signed.of(entity.body[: parse_signed_data(entity.body).size])
    assert content is not None
    return content, signed
