"""RFC 3923: the S/MIME object inside `<e2e/>`, both ways.

Writing: stanza -> Message/CPIM -> signed -> encrypted -> text. Reading goes the same way back in two steps,
because between them somebody else decides who the signer is: `open_object` decrypts and verifies,
`read_content` parses what verified. Nothing is opened twice.

**Not** checked here: who a certificate belongs to, whether it is trusted, and whether the timestamp is fresh.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from slixmpp.jid import JID, InvalidJID

from slixmpp_e2e.cms.algorithms import (
    AES128_CBC,
    ID_AUTH_ENVELOPED_DATA,
    ID_ENVELOPED_DATA,
    ID_SIGNED_DATA,
    ContentCipher,
    Random,
)
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.enveloped_data import (
    Decrypted,
    EnvelopedData,
    content_type,
    encrypt,
    parse_enveloped_data,
)
from slixmpp_e2e.cms.recipients import DecryptionKeys, Recipient
from slixmpp_e2e.cms.signed_data import Signer, VerifiedSigner, parse_signed_data, sign
from slixmpp_e2e.errors import (
    MalformedError,
    RefusedError,
    RemoteError,
    SignatureError,
    TimestampError,
    UndecryptableError,
)
from slixmpp_e2e.freshness import format_date_time, from_datetime, parse_date_time, to_datetime
from slixmpp_e2e.media import cpim, mapping, mime, xmpp_xml
from slixmpp_e2e.media.addresses import bare, jid_to_uri, read_jid, uri_to_jid
from slixmpp_e2e.stanza import Outer, bind

NAME: Final = "rfc3923"

_PKCS7_MIME: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_ENVELOPES: Final = frozenset({ID_ENVELOPED_DATA, ID_AUTH_ENVELOPED_DATA})
#: Why a signature is refused once the SignedData has been read.
_AFTER_READING: Final = frozenset({"unknown-signer", "weak"})
_XML_SPACE: Final = " \t\r\n"
_FIELD: Final = re.compile(rb"[!-9;-~]+:")
_MICALG: Final = {"sha1": "sha1", "sha256": "sha-256", "sha384": "sha-384", "sha512": "sha-512"}  # ERRATA E14


# --------------------------------------------------------------------------- writing


@dataclass(frozen=True, slots=True)
class Sealing:
    """What is to be done to a stanza: signed by whom, encrypted to whom; at least one of them."""

    signer: Signer | None
    recipients: tuple[Recipient, ...]
    cipher: ContentCipher = AES128_CBC
    #: Send our certificate and its chain along.
    certificates: bool = True


def protect(
    stanza: Element,
    sealing: Sealing,
    *,
    sender: JID,
    recipient: JID,
    moment: int,
    random: Random = os.urandom,
) -> str:
    """Return the text of the `<e2e/>` element for a stanza in `jabber:client`, dated `moment`.

    Raises `InvalidStanzaError` for a stanza that can't be written as XML.
    """
    entity = _secure(_write_object(stanza, sender, recipient, moment), sealing, moment, random)
    return entity.decode().replace("\r\n", "\n")  # what XML makes of it anyway (ERRATA E09)


def _secure(entity: bytes, sealing: Sealing, moment: int, random: Random) -> bytes:
    if sealing.signer is None:
        return _write_envelope(entity, sealing, random)
    signing_time = to_datetime(moment)
    if not sealing.recipients:
        # E40: clear text stays readable for who can't verify it
        signature = sign(
            entity,
            sealing.signer,
            signing_time=signing_time,
            detached=True,
            certificates=sealing.certificates,
        )
        micalg = _MICALG[sealing.signer.scheme.digest.name]
        return mime.multipart_signed(entity, signature, micalg=micalg, boundary=random(12).hex())
    # E08: binary inside the envelope, base64 once
    signed = sign(entity, sealing.signer, signing_time=signing_time, certificates=sealing.certificates)
    return _write_envelope(mime.pkcs7_mime(signed, "signed-data", binary=True), sealing, random)


def _write_envelope(entity: bytes, sealing: Sealing, random: Random) -> bytes:
    der = encrypt(entity, sealing.recipients, cipher=sealing.cipher, random=random)
    kind = "authEnveloped-data" if sealing.cipher.authenticated else "enveloped-data"  # RFC 8551 3.2.2
    return mime.pkcs7_mime(der, kind, binary=False)


def _write_object(stanza: Element, sender: JID, recipient: JID, moment: int) -> bytes:
    headers = [
        cpim.Header("From", f"<{jid_to_uri(sender, 'im')}>"),
        cpim.Header("To", f"<{jid_to_uri(recipient, 'im')}>"),
        cpim.Header("DateTime", format_date_time(moment)),
    ]
    if mapping.fits_text(stanza):
        more, content = mapping.write_text(stanza, sender)
        return cpim.write([*headers, *more], content)
    return cpim.write(headers, xmpp_xml.write(stanza))  # ERRATA E22


# --------------------------------------------------------------------------- opening


@dataclass(frozen=True, slots=True)
class Opened:
    """An object that was decrypted and verified. Who the signer is has not been decided yet."""

    #: The MIME entity that was signed, or the decrypted one where nothing was signed.
    content: bytes
    signer: VerifiedSigner | None
    #: The certificates that came along: hints.
    certificates: tuple[bytes, ...]
    decrypted: Decrypted | None


@dataclass(frozen=True, slots=True)
class Opener:
    """What it takes to open objects."""

    keys: DecryptionKeys
    pool: CertificatePool
    #: Does one hash and one signature verification in vain, and with False the reading of a SignedData too. It
    #: keeps failures that come before the signature from being faster than those that come after it
    #: (ARCHITECTURE invariant 15).
    decoy: Callable[[bytes, bool], None]
    #: Takes note of an encrypted key, and tells whether it is new. What follows a key that is not new is never
    #: decrypted: that somebody sends it again with another ciphertext is how every adaptive attack on CBC or
    #: on PKCS #1 v1.5 begins, and even success could tell him something, as much of an object is not signed.
    claim: Callable[[bytes], bool]
    allow_sha1: bool = False
    allow_unsigned: bool = False
    random: Random = os.urandom

    def open_object(self, text: str) -> Opened:
        """Decrypt and verify the text of an `<e2e/>` element; raise a `RemoteError`.

        Whatever goes wrong inside an envelope has one and the same `answer`.
        """
        # the XML parser has left LF where CRLF was signed (ERRATA E09)
        raw = text.strip(_XML_SPACE).encode("utf-8", "surrogatepass")
        data = mime.canonical_line_breaks(raw)
        if not _FIELD.match(data):
            return self._open_cms(mime.decode_base64(data))  # E07: base64 without a MIME header
        entity = mime.parse_entity(data)
        if entity.media_type == "multipart/signed":
            try:
                return self._open_multipart(entity)
            except SignatureError:
                if raw == data:
                    raise
                return self._open_multipart(mime.parse_entity(raw))  # E09 (b): as it was received
        if entity.media_type in _PKCS7_MIME:
            return self._open_cms(entity.decoded_body())
        raise SignatureError("the object is neither signed nor encrypted", reason="unsigned")

    def _open_cms(self, der: bytes) -> Opened:
        kind = content_type(der)  # E07: what it is, not what it is called
        if kind in _ENVELOPES:
            return self._open_envelope(der)
        if kind == ID_SIGNED_DATA:
            opened, size = self._verify(der, None)
            if size != len(der):
                raise SignatureError("something follows the signed object", reason="invalid")
            return opened
        raise MalformedError("neither signed nor enveloped data")

    def _open_multipart(self, entity: mime.Entity) -> Opened:
        parts = mime.split_signed(entity)
        if entity.data[parts.end :].strip():
            raise SignatureError("something follows the closing boundary", reason="invalid")
        return self._verify_detached(parts)

    def _verify_detached(self, parts: mime.MultipartSigned) -> Opened:
        der = parts.signature.decoded_body()
        opened, size = self._verify(der, parts.content)
        if size != len(der):
            raise SignatureError("something follows the signature", reason="invalid")
        return opened

    def _verify(self, der: bytes, content: bytes | None) -> tuple[Opened, int]:
        try:
            signed = parse_signed_data(der)
        except MalformedError as error:
            raise SignatureError(str(error), reason="malformed") from None
        if (signed.content is None) == (content is None):
            raise SignatureError("the signed content is missing, or there twice", reason="malformed")
        verified, signer = signed.verify(self.pool, content=content, allow_sha1=self.allow_sha1)
        return Opened(verified, signer, signed.certificates, None), signed.size

    # ------------------------------------------------------------------ inside an envelope

    def _open_envelope(self, der: bytes) -> Opened:
        try:
            envelope = parse_enveloped_data(der)
            if envelope.size != len(der):
                raise MalformedError("something follows the enveloped object")
            if not self.claim(envelope.encrypted_key(self.keys)):
                raise TimestampError("an object with this encrypted key came before", reason="seen")
            return self._decrypt(envelope)
        except TimestampError:
            raise
        except RemoteError as error:
            error.conceal()
            raise

    def _decrypt(self, envelope: EnvelopedData) -> Opened:
        try:
            decrypted = envelope.decrypt(self.keys, random=self.random)
        except UndecryptableError:
            self.decoy(b"", False)
            raise
        try:
            opened, end = self._open_inside(decrypted.plaintext)
        except RemoteError as error:
            if self.allow_unsigned and error.reason == "unsigned":
                return self._take_unsigned(decrypted)
            if error.reason != "invalid":  # an invalid signature has cost its verification
                self.decoy(decrypted.plaintext, error.reason in _AFTER_READING)
            raise
        if not decrypted.ends_at(end):  # last: see `cms.enveloped_data`
            raise UndecryptableError("the padding is wrong, or something follows the signed object")
        return Opened(opened.content, opened.signer, opened.certificates, decrypted)

    def _open_inside(self, plaintext: bytes) -> tuple[Opened, int]:
        """Verify the signed object in a plaintext of unknown end, and return where it ends."""
        if plaintext.startswith(b"\x30"):  # a SignedData without a MIME header
            return self._verify(plaintext, None)
        entity = mime.parse_entity(plaintext)
        if entity.media_type == "multipart/signed":
            parts = mime.split_signed(entity)
            return self._verify_detached(parts), parts.end
        if entity.media_type not in _PKCS7_MIME:
            raise SignatureError("the encrypted object is not signed", reason="unsigned")
        if entity.transfer_encoding == "base64":
            der, end = mime.base64_prefix(plaintext, entity.body_start)
            opened, size = self._verify(der, None)
            if size != len(der):
                raise MalformedError("something follows the signed object")
            return opened, end
        opened, size = self._verify(entity.body, None)
        return opened, entity.body_start + size

    @staticmethod
    def _take_unsigned(decrypted: Decrypted) -> Opened:
        content = decrypted.without_padding()
        if content is None:
            raise UndecryptableError("the padding is wrong")
        return Opened(content, None, (), decrypted)


# --------------------------------------------------------------------------- reading what verified


@dataclass(frozen=True, slots=True)
class Content:
    """The stanza that an object held, bound to its outer stanza, and when it was sent."""

    stanza: Element
    timestamp: int


def read_content(opened: Opened, outer: Outer) -> Content:
    """Parse what was verified, and bind it to the outer stanza; raise a `RemoteError`.

    Message/CPIM with text or a stanza, or a bare stanza dated by its signature (ERRATA E21, E22). The
    addresses in it must be those of the outer stanza (ERRATA E26).
    """
    entity = mime.parse_entity(opened.content)
    if entity.media_type == "message/cpim":
        return _read_cpim(cpim.parse(entity.decoded_body()), outer)
    if entity.media_type == xmpp_xml.MEDIA_TYPE:
        signing_time = opened.signer.signing_time if opened.signer else None
        if signing_time is None:
            raise TimestampError("nothing says when it was sent", reason="missing")
        return Content(_read_stanza(entity, outer, addressed=False), from_datetime(signing_time))
    raise RefusedError(f"an object of type {entity.media_type[:60]}", reason="unsupported")


def _read_cpim(message: cpim.CPIMMessage, outer: Outer) -> Content:
    _check_addresses(message, outer)
    date_time = message.one("DateTime")
    if date_time is None:
        raise TimestampError("nothing says when it was sent", reason="missing")
    timestamp = parse_date_time(date_time)
    entity = mime.parse_entity(message.content)
    if entity.media_type == xmpp_xml.MEDIA_TYPE:
        addressed = bool(message.all("To") or message.all("cc"))
        return Content(_read_stanza(entity, outer, addressed=addressed), timestamp)
    if entity.media_type != "text/plain" or outer.kind != "message" or "content-type" not in entity.fields:
        raise RefusedError(f"content of type {entity.media_type[:60]}", reason="unsupported")
    if not (message.all("To") or message.all("cc")):
        raise SignatureError("nothing says whom it is for", reason="other-recipient")
    stanza = mapping.read_text(message, entity, outer)
    bind(stanza, outer)
    return Content(stanza, timestamp)


def _read_stanza(entity: mime.Entity, outer: Outer, *, addressed: bool) -> Element:
    if entity.parameters.get("charset", "utf-8").lower() != "utf-8":
        raise MalformedError("a stanza in another charset than UTF-8")
    stanza = xmpp_xml.parse(entity.decoded_body())
    if not addressed and stanza.get("to") is None and outer.kind != "presence":
        raise SignatureError("nothing says whom it is for", reason="other-recipient")
    bind(stanza, outer)
    return stanza


def _check_addresses(message: cpim.CPIMMessage, outer: Outer) -> None:
    sender = message.one("From")
    if sender is None or _address(sender) != bare(outer.sender):
        raise SignatureError("the From header is not the sender's address", reason="name-mismatch")
    recipients = [_address(header.value) for header in (*message.all("To"), *message.all("cc"))]
    if recipients and bare(outer.recipient) not in recipients:
        raise SignatureError("it is addressed to somebody else", reason="other-recipient")


def _address(value: str) -> str | None:
    """Return the bare JID of a From, To or cc value; None for an address of another kind (ERRATA C03)."""
    uri = cpim.uri(value)
    try:
        if uri.lower().startswith(("im:", "pres:")):
            return bare(uri_to_jid(uri, schemes={"im", "pres"}))
        return bare(read_jid(uri))
    except (InvalidJID, ValueError):
        return None
