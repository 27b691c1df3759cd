"""A stanza that comes again: what is the same about it, what may be another, and how it stands on the wire."""

import base64
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import fromstring
from xml.sax.saxutils import escape

from slixmpp import JID

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES256_GCM
from slixmpp_e2e.cms.enveloped_data import encrypt
from slixmpp_e2e.cms.recipients import RSA_OAEP_SHA256, RSA_PKCS1, recipient_for
from slixmpp_e2e.formats import objenc, objenc_signed
from slixmpp_e2e.media import mime
from slixmpp_e2e.namespaces import E2E
from slixmpp_e2e.stanza import serialise
from tests.security.replay.loot import Loot, Signed
from tests.security.replay.wire import READER, stanza
from tests.security.replay.world import OTHER, World

#: What stands around the signed object: `as it was` is the very envelope that it came in.
AS_IT_WAS: Final = "as it was"


@dataclass(slots=True)
class Replay:
    """A stanza that comes again."""

    loot: Loot
    world: World
    chance: random.Random
    #: Nanoseconds since 1970: when it comes.
    now: int
    signed: Signed = field(init=False)
    around: str = AS_IT_WAS
    #: How many octets of DER make a line of base64, 0 for one line; what it is separated by; and for a header.
    width: int = 57
    separator: str = "\n"
    header: Callable[[str], str] = str
    #: Change how an object is encoded, and how the finished element is written.
    encode: Callable[[bytes], bytes] = bytes
    spell: Callable[[str], str] = str
    to_others: bool = False
    sender: str = ""
    to: str = f"{READER}/orchard"
    type_: str | None = None
    id_: str = ""
    #: Elements beside the object.
    beside: str = ""
    wrap: Callable[[str], str] = str
    worn: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.signed = self.loot.signed
        self.sender = self.loot.sender
        self.id_ = f"outer-{self.loot.number}"

    def wire(self) -> str:
        """Return what comes over the wire."""
        element = self.loot.element if self.around == AS_IT_WAS else self._element()
        written = stanza(
            self.loot.kind,
            self.spell(element) + self.beside,
            sender=self.sender,
            to=self.to,
            type_=self.type_,
            id_=self.id_,
        )
        return self.wrap(written)

    # ------------------------------------------------------------------ what stands around the signed object

    def _element(self) -> str:
        loot, chance = self.loot, self.chance
        if self.around == "clear":
            return self._e2e(self._clear())
        if self.around == "opaque":
            return self._e2e(self._text(self.encode(self.signed.write(loot.content)), "signed-data"))
        if self.around == "draft":
            inner = fromstring(stanza(loot.kind, "", sender=loot.sender, id_="again", type_=self.type_))
            sealed = objenc.protect(
                objenc_signed.wrap_signed(inner, self._clear()),
                objenc.Sealing(self.world.people[READER].parsed),
                sender=JID(loot.sender),
                recipient=JID(f"{READER}/orchard"),
                moment=self.now,
            )
            return serialise(sealed)
        der = encrypt(
            self._inside(),
            [
                recipient_for(
                    self.world.people[jid].parsed, transport=chance.choice([RSA_PKCS1, RSA_OAEP_SHA256])
                )
                for jid in ([READER, OTHER] if self.to_others else [READER])
            ],
            cipher=chance.choice([AES128_CBC, AES256_GCM]),
        )
        return self._e2e(self._text(der, "enveloped-data"))

    def _inside(self) -> bytes:
        """Return what is encrypted: the signed object in one of the forms that are read."""
        whole = self.encode(self.signed.write(self.loot.content))
        match self.around:
            case "enveloped bare":
                return whole
            case "enveloped base64":
                return mime.pkcs7_mime(whole, "signed-data", binary=False)
            case "enveloped clear":
                return self._clear().replace("\n", "\r\n").encode()
        return mime.pkcs7_mime(whole, "signed-data", binary=True)

    def _clear(self) -> str:
        der = self.encode(self.signed.write(None))
        boundary = f"b{self.chance.randrange(10**9)}"
        whole = mime.multipart_signed(self.loot.content, der, micalg="sha-256", boundary=boundary)
        return whole.decode().replace("\r\n", "\n")

    def _text(self, der: bytes, kind: str) -> str:
        fields = (
            f"Content-Type: application/pkcs7-mime; smime-type={kind}; name=smime.p7m\n"
            "Content-Transfer-Encoding: base64\n\n"
        )
        width = self.width or len(der)
        lines = [base64.b64encode(der[at : at + width]).decode() for at in range(0, len(der), width)]
        return self.header(fields) + self.separator.join(lines) + "\n"

    def _e2e(self, text: str) -> str:
        return f'<e2e xmlns="{E2E}">{escape(text)}</e2e>'
