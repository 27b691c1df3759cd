"""Requests by what is wrong with them: what `timing_whole_way` measures.

All of them are requests (iq), because these are always answered. Each kind is one failure behind the private key, as
somebody could cause it who has captured an object, or who makes one himself; or, apart, one that everybody could
have foreseen, or that only somebody gets to see who is authenticated.
"""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET

import slixmpp

from slixmpp_e2e.cms.asn1 import Reader, octet_string
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.enveloped_data import encrypt, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys, KeyTransportRecipient
from slixmpp_e2e.cms.signed_data import MESSAGE_DIGEST, Signer, parse_signed_data, sign
from slixmpp_e2e.freshness import to_datetime
from slixmpp_e2e.media import mime
from slixmpp_e2e.outer import E2E_TAG
from tests.benchmarks.parties import JULIET, ROMEO, Parties, Party
from tests.pki import Entity, make_pki
from tests.security.forgery import BLOCK, Captured, pkcs1_blocks, raw_rsa

WRONG: Final = "last octet: the wrong guesses"
#: Nothing is special about it: what a test says of this one is what it says of chance.
CONTROL: Final = "last octet: one wrong guess (control)"
RIGHT: Final = "last octet: the right guess"
#: Authenticated, and refused all the same: it may be told apart.
REPLAY: Final = "a replay (authenticated)"
ABOVE: Final = "encrypted key above the modulus"
EMBEDDED: Final = "untrusted signer, certificate embedded"
#: What everybody can foresee, or nobody but who is authenticated gets to see.
KNOWN_TO_DIFFER: Final = frozenset({ABOVE, EMBEDDED, REPLAY})
_VICTIM: Final = 10  # a block of the ciphertext, somewhere in what is signed
_VARIANTS: Final = 32


@dataclass(frozen=True, slots=True)
class Forgeries:
    """Stanzas by what is wrong with them, and the 256 guesses."""

    kinds: dict[str, Sequence[Any]]
    guesses: tuple[Any, ...]
    right: tuple[int, ...]


def forgeries(parties: Parties, juliet: Party, romeo: Party) -> Forgeries:
    """Return one or several stanzas of each kind."""
    forger = _Forger(parties, juliet, romeo)
    juliet.seal(juliet.message())  # the certificate went with this one
    captured = forger.captured(residue=BLOCK - 1)
    guesses = Captured.from_der(captured).guesses(_VICTIM)
    right = tuple(guess for guess, der in enumerate(guesses) if forger.is_padding_good(der))
    guessed = tuple(forger.stanza(der) for der in guesses)
    wrong = [each for guess, each in enumerate(guessed) if guess not in right]
    control = wrong.pop()
    objects = {**_changed(forger, captured), **_encrypted_keys(forger, captured), **_made(forger, captured)}
    kinds: dict[str, Sequence[Any]] = {
        WRONG: wrong,
        CONTROL: [control],
        RIGHT: [guessed[guess] for guess in right],
        **{name: [forger.stanza(der) for der in ders] for name, ders in objects.items()},
    }
    return Forgeries(kinds, guessed, right)


@dataclass(frozen=True, slots=True)
class _Forger:
    """Makes stanzas from Juliet's address out of CMS objects."""

    parties: Parties
    juliet: Party
    romeo: Party

    @property
    def recipient(self) -> Entity:
        """Who is attacked."""
        return self.parties.pki["romeo"]

    @property
    def _keys(self) -> DecryptionKeys:
        return DecryptionKeys([(self.recipient.key, self.recipient.parsed)])

    def captured(self, *, residue: int) -> bytes:
        """Return an object of Juliet's whose signed part ends so many octets behind a block."""
        for _ in range(64 * BLOCK):
            request = self.juliet.xmpp.make_iq_get("urn:example:x", ito=ROMEO)
            request.xml[0].text = "x" * random.randrange(200, 200 + BLOCK)
            text = self.juliet.seal(request).xml.findtext(E2E_TAG)
            der = mime.parse_entity(text.encode()).decoded_body()
            if self.end(der) % BLOCK == residue:
                return der
        raise AssertionError("no request has that length")

    def plaintext(self, der: bytes) -> bytes:
        """Return what is encrypted, with its padding."""
        return parse_enveloped_data(der).decrypt(self._keys).plaintext

    def end(self, der: bytes) -> int:
        """Return where in the plaintext the signed object ends."""
        entity = mime.parse_entity(self.plaintext(der))
        return entity.body_start + parse_signed_data(entity.body).size

    def is_padding_good(self, der: bytes) -> bool:
        """Tell what the attacker wants to know."""
        return parse_enveloped_data(der).decrypt(self._keys).without_padding() is not None

    def encrypted(self, content: bytes) -> bytes:
        """Return an object that an attacker encrypts himself."""
        return encrypt(content, [KeyTransportRecipient(self.recipient.parsed)])

    def stanza(self, der: bytes) -> Any:
        """Return the request that Romeo gets."""
        element = ET.Element("{jabber:client}iq", {"type": "get", "from": JULIET, "to": ROMEO})
        element.set("id", self.juliet.xmpp.new_id())
        ET.SubElement(element, E2E_TAG).text = mime.pkcs7_text(der, "enveloped-data")
        return slixmpp.Iq(self.romeo.xmpp, xml=element, recv=True)


def _changed(forger: _Forger, captured: bytes) -> Mapping[str, list[bytes]]:
    """Return the captured object with another ciphertext."""
    parts = Captured.from_der(captured)
    plaintext = forger.plaintext(captured)

    def garbled(octet: int) -> list[bytes]:
        """Make a block of garbage where `octet` stands: turn over bits of the ciphertext there."""
        start = octet // BLOCK * BLOCK
        found = []
        for _ in range(_VARIANTS):
            ciphertext = bytearray(parts.ciphertext)
            ciphertext[start : start + BLOCK] = os.urandom(BLOCK)
            found.append(parts.forge(bytes(ciphertext)))
        return found

    return {
        "random garbage": [parts.forge(os.urandom(len(parts.ciphertext))) for _ in range(_VARIANTS)],
        "first block garbled": [
            parts.forge(parts.ciphertext, iv=os.urandom(BLOCK)) for _ in range(_VARIANTS)
        ],
        "signed text garbled": garbled(plaintext.index(b"xxxx") + BLOCK),
        "SignerInfo garbled": garbled(plaintext.index(MESSAGE_DIGEST)),
    }


def _encrypted_keys(forger: _Forger, captured: bytes) -> Mapping[str, list[bytes]]:
    """Return objects with an encrypted key that is wrong in each way in which it can be."""
    parts = Captured.from_der(captured)
    encrypted_key = Reader(Reader(parts.recipient_infos).enter(0x31).element()).enter().elements(limit=4)[3]
    public_key = forger.recipient.key.public_key()
    size = public_key.key_size // 8

    def with_blocks(make: Callable[[], bytes]) -> list[bytes]:
        values = [raw_rsa(make(), public_key) for _ in range(_VARIANTS)]
        return [captured.replace(encrypted_key, octet_string(value)) for value in values]

    above = captured.replace(encrypted_key, octet_string(b"\xff" * size))
    return {
        **{f"PKCS #1: {name}": with_blocks(make) for name, make in pkcs1_blocks(size).items()},
        ABOVE: [above],
    }


def _made(forger: _Forger, captured: bytes) -> Mapping[str, list[bytes]]:
    """Return objects that an attacker makes himself, signs or not, and encrypts."""
    signed = forger.plaintext(captured)[: forger.end(captured)]
    impostor = make_pki()["juliet"]
    return {
        "bad signature": [forger.encrypted(signed[:-1] + bytes((signed[-1] ^ 1,)))],
        "no signature": [forger.encrypted(b"Content-type: text/plain\r\n\r\n".ljust(len(signed), b"x"))],
        "unknown signer": [_untrusted(forger, impostor, signed, embedded=False)],
        EMBEDDED: [_untrusted(forger, impostor, signed, embedded=True)],
        REPLAY: [captured],
    }


def _untrusted(forger: _Forger, impostor: Entity, signed: bytes, *, embedded: bool) -> bytes:
    """Return an object that somebody with a certificate for Juliet's name, of a CA of his own, has signed."""
    content = parse_signed_data(mime.parse_entity(signed).body).content
    assert content is not None
    again = sign(
        content,
        Signer(impostor.key, ParsedCertificate.from_x509(impostor.certificate)),
        signing_time=to_datetime(forger.juliet.plugin.protection.now()),
        certificates=embedded,
    )
    return forger.encrypted(mime.pkcs7_mime(again, "signed-data", binary=True))
