"""RFC 3923: the S/MIME object inside `<e2e/>`, both ways.

Writing: stanza -> MIME entity -> signed -> encrypted -> text. Reading goes the same way back in two steps,
because between them somebody else decides who the signer is: `open_object` here decrypts and verifies,
`content.read_content` parses what verified. Nothing is opened twice.

**Not** checked here: who a certificate belongs to, whether it is trusted, and whether the timestamp is fresh.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

from slixmpp.jid import JID

from slixmpp_e2e.cms.algorithms import (
    AES128_CBC,
    ID_SIGNED_DATA,
    ContentCipher,
    Random,
)
from slixmpp_e2e.cms.certificates import ParsedCertificate, SignerPool
from slixmpp_e2e.cms.enveloped_data import (
    ENVELOPES,
    Decrypted,
    EnvelopedData,
    content_type,
    encrypt,
    parse_enveloped_data,
)
from slixmpp_e2e.cms.recipients import DecryptionKeys, Recipient
from slixmpp_e2e.cms.signed_data import (
    MalformedSignerInfoError,
    Signer,
    VerifiedSigner,
    certificates_only,
    parse_signed_data,
    sign,
)
from slixmpp_e2e.errors import (
    CertificatesOnlyError,
    MalformedError,
    RemoteError,
    SignatureError,
    TimestampError,
    UndecryptableError,
)
from slixmpp_e2e.formats.content import write_object
from slixmpp_e2e.formats.decoy import Missed
from slixmpp_e2e.freshness import to_datetime
from slixmpp_e2e.media import mime
from slixmpp_e2e.stanza import SPACE

NAME: Final = "rfc3923"

_MICALG: Final = {"sha1": "sha1", "sha256": "sha-256", "sha384": "sha-384", "sha512": "sha-512"}  # ERRATA E14


# --------------------------------------------------------------------------- writing


class Sealing(NamedTuple):
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
    return _secure(write_object(stanza, sender, recipient, moment), sealing, moment, random)


def _secure(entity: bytes, sealing: Sealing, moment: int, random: Random) -> str:
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
        whole = mime.multipart_signed(entity, signature, micalg=micalg, boundary=random(12).hex())
        return whole.decode().replace("\r\n", "\n")  # what XML makes of it anyway (ERRATA E09)
    # E08: binary inside the envelope, base64 once
    signed = sign(entity, sealing.signer, signing_time=signing_time, certificates=sealing.certificates)
    return _write_envelope(mime.pkcs7_mime(signed, "signed-data", binary=True), sealing, random)


def _write_envelope(entity: bytes, sealing: Sealing, random: Random) -> str:
    der = encrypt(entity, sealing.recipients, cipher=sealing.cipher, random=random)
    kind = "authEnveloped-data" if sealing.cipher.authenticated else "enveloped-data"  # RFC 8551 3.2.2
    return mime.pkcs7_text(der, kind)


def write_certificates(certificates: Sequence[ParsedCertificate]) -> str:
    """Return the text of an `<e2e/>` element with certificates and nothing else (RFC 3851 3.7)."""
    return mime.pkcs7_text(certificates_only(certificates), "certs-only")


# --------------------------------------------------------------------------- opening


class Opened(NamedTuple):
    """An object that was decrypted and verified. Who the signer is has not been decided yet."""

    #: The MIME entity that was signed, or the decrypted one where nothing was signed.
    content: bytes
    signer: VerifiedSigner | None
    #: The certificates that came along: hints.
    certificates: tuple[bytes, ...]
    decrypted: Decrypted | None
    #: The names of the digests that were signed.
    digests: frozenset[str] = frozenset()
    #: The revocation lists that came along: hints.
    crls: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Opener:
    """What it takes to open objects."""

    keys: DecryptionKeys
    pool: SignerPool
    #: Does in vain what a failure has left out that comes before the signature (see `formats.decoy`).
    decoy: Callable[[bytes, Missed], None]
    #: Takes note of an encrypted key and of the object that bears it, and tells whether the key is new. What
    #: follows a key that is not new is never decrypted: that somebody sends it again with another ciphertext is
    #: how every adaptive attack on CBC or on PKCS #1 v1.5 begins, and even success could tell him something, as
    #: much of an object is not signed.
    claim: Callable[[bytes, bytes], bool]
    allow_sha1: bool = False
    allow_3des: bool = False
    allow_unsigned: bool = False
    random: Random = os.urandom

    def open_object(self, text: str) -> Opened:
        """Decrypt and verify the text of an `<e2e/>` element; raise a `RemoteError`.

        Whatever goes wrong inside an envelope has one and the same `answer`.
        """
        # the XML parser has left LF where CRLF was signed (ERRATA E09)
        raw = text.strip(SPACE).encode("utf-8", "surrogatepass")
        data = mime.canonical_line_breaks(raw)
        if not mime.begins_with_field(data):
            return self._open_cms(mime.decode_base64(data))  # E07: base64 without a MIME header
        entity = mime.parse_entity(data)
        if entity.media_type == "multipart/signed":
            try:
                return self._open_multipart(entity)
            except SignatureError:
                if raw == data:
                    raise
                return self._open_multipart(mime.parse_entity(raw))  # E09 (b): as it was received
        if entity.media_type in mime.PKCS7_MIME:
            return self._open_cms(entity.decoded_body())
        raise SignatureError("the object is neither signed nor encrypted", reason="unsigned")

    def _open_cms(self, der: bytes) -> Opened:
        kind = content_type(der)  # E07: what it is, not what it is called
        if kind in ENVELOPES:
            return self._open_envelope(der)
        if kind == ID_SIGNED_DATA:
            opened, size = self._verify(der, None, outermost=True)
            if size != len(der):
                raise SignatureError("something follows the signed object", reason="invalid")
            return opened
        raise MalformedError("neither signed nor enveloped data")

    def _open_multipart(self, entity: mime.Entity) -> Opened:
        parts = mime.split_signed(entity)
        if entity.data[parts.end :].strip():
            raise SignatureError("something follows the closing boundary", reason="invalid")
        return self._verify_detached(parts, entity)

    def _verify_detached(
        self, parts: mime.MultipartSigned, entity: mime.Entity, *, inside: bool = False
    ) -> Opened:
        der = parts.signature.decoded_body()
        opened, size = self._verify(der, parts.content, inside=inside)
        if size != len(der):
            raise SignatureError("something follows the signature", reason="invalid")
        announced = mime.announced_digests(entity)
        if announced and announced.isdisjoint(opened.digests):  # RFC 1847 2.1, ERRATA E14
            raise SignatureError("another digest was announced than was used", reason="invalid")
        return opened

    def _verify(
        self, der: bytes, content: bytes | None, *, outermost: bool = False, inside: bool = False
    ) -> tuple[Opened, int]:
        try:
            signed = parse_signed_data(der, secret=inside)
        except MalformedError as error:
            raise SignatureError(str(error), reason="malformed") from error
        if outermost and signed.holds_certificates_only:
            raise CertificatesOnlyError(signed.certificates)
        if (signed.content is None) == (content is None):
            raise SignatureError("the signed content is missing, or there twice", reason="malformed")
        verified, signer = signed.verify(self.pool, content=content, allow_sha1=self.allow_sha1)
        if inside:
            signed.check_listed(signer)
        digests = frozenset(info.scheme.digest.name for info in signed.signer_infos)
        return Opened(verified, signer, signed.certificates, None, digests, signed.crls), signed.size

    # ------------------------------------------------------------------ inside an envelope

    def _open_envelope(self, der: bytes) -> Opened:
        try:
            envelope = parse_enveloped_data(der)
            if envelope.size != len(der):
                raise MalformedError("something follows the enveloped object")
            if envelope.cipher.weak and not self.allow_3des:
                raise MalformedError("Triple-DES, which the policy forbids")
            if not self.claim(envelope.encrypted_key(self.keys), der):
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
            self.decoy(b"", "header")
            raise
        try:
            opened, end = self._open_inside(decrypted.plaintext)
        except RemoteError as error:
            if self.allow_unsigned and error.reason == "unsigned":
                return self._take_unsigned(decrypted)
            if error.reason != "invalid":  # an invalid signature has cost its verification
                self.decoy(decrypted.plaintext, _missed(error, decrypted.plaintext))
            raise
        if not decrypted.ends_at(end):  # last: see `cms.enveloped_data`
            raise UndecryptableError("the padding is wrong, or something follows the signed object")
        return opened._replace(decrypted=decrypted)

    def _open_inside(self, plaintext: bytes) -> tuple[Opened, int]:
        """Verify the signed object in a plaintext of unknown end, and return where it ends."""
        if plaintext.startswith(b"\x30"):  # a SignedData without a MIME header
            return self._verify(plaintext, None, inside=True)
        entity = mime.parse_entity(plaintext)
        if entity.media_type == "multipart/signed":
            parts = mime.split_signed(entity)
            return self._verify_detached(parts, entity, inside=True), parts.end
        if entity.media_type not in mime.PKCS7_MIME:
            raise SignatureError("the encrypted object is not signed", reason="unsigned")
        if entity.transfer_encoding == "base64":
            der, end = mime.base64_prefix(plaintext, entity.body_start)
            opened, size = self._verify(der, None, inside=True)
            if size != len(der):  # `invalid`, as its verification has been paid for
                raise SignatureError("something follows the signed object", reason="invalid")
            return opened, end
        opened, size = self._verify(entity.body, None, inside=True)
        return opened, entity.body_start + size

    @staticmethod
    def _take_unsigned(decrypted: Decrypted) -> Opened:
        content = decrypted.without_padding()
        if content is None:
            raise UndecryptableError("the padding is wrong")
        return Opened(content, None, (), decrypted)


def _missed(error: RemoteError, plaintext: bytes) -> Missed:
    """Return what was left out when a plaintext was refused, before a signature in it was verified."""
    if error.reason == "unknown-signer":
        return "signature"
    if error.reason == "weak" or isinstance(error.__cause__, MalformedSignerInfoError):
        return "digest"
    if not isinstance(error, SignatureError) or plaintext.startswith(b"\x30"):
        return "header"
    return "object" if error.reason == "unsigned" else "half"
