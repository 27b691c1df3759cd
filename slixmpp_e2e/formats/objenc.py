"""draft-miller-3923bis-02: a stanza encrypted as a string, both ways (`urn:ietf:params:xml:ns:xmpp-objenc:0`).

Writing, the eleven steps of its section 3: stanza -> `<plain/>` with the time -> encrypted, with a MAC -> `<e2e/>`.
Reading goes the same way back in two steps, as with RFC 3923: `Opener.open_object` authenticates and decrypts,
`read_content` parses the stanza and binds it to the outer one.

Nobody signs anything here. Whoever has a certificate of ours can make an object that says whatever he wants, in
anybody's name; the MAC only says that nobody has changed it since (ERRATA B16). What comes out of it is never
authenticated, nor is its timestamp. `objenc_signed` puts an RFC 3923 signature inside.

The MAC is looked at before anything is decrypted, and is right only if whoever made it knew the session key: the one
who made the object. So what is found later can tell him nothing that he did not know; and before that, all that
depends on a private key ends in the same way. Still all failures have one and the same `answer` (section 5, case 4).

**Not** checked here: whose certificate it is encrypted to, whether it is trusted, and whether the timestamp is fresh.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element

from cryptography.hazmat.primitives.asymmetric import rsa
from slixmpp.jid import JID

from slixmpp_e2e.cms.algorithms import AES128_CBC, SHA256, ContentCipher, Random
from slixmpp_e2e.cms.asn1 import octet_string
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.enveloped_data import Decrypted
from slixmpp_e2e.cms.recipients import RSA_PKCS1, DecryptionKeys, KeyTransport, KeyTransportInfo
from slixmpp_e2e.errors import (
    CertificateError,
    InvalidStanzaError,
    MalformedError,
    RefusedError,
    RemoteError,
    TimestampError,
    TooLargeError,
    UndecryptableError,
    UnprotectableError,
)
from slixmpp_e2e.formats.content import Content
from slixmpp_e2e.formats.objenc_envelope import (
    CIPHER_NAMES,
    WRITTEN_TRANSPORT,
    Envelope,
    make_mac,
    read_base64,
    read_envelope,
    write_base64,
    write_envelope,
)
from slixmpp_e2e.freshness import format_date_time, parse_date_time
from slixmpp_e2e.namespaces import OBJENC
from slixmpp_e2e.outer import OPENED, kind_of, never_protected, read_stanza
from slixmpp_e2e.stanza import MAX_ID, MAX_OCTETS, Outer, bind, parse_xml, serialise, stanza_type

NAME: Final = "objenc"

_PLAIN: Final = f"{{{OBJENC}}}plain"
_IV: Final = 16
#: How many of our keys are tried: nothing in an object says which of them is meant (ERRATA B24).
MAX_KEYS: Final = 8


# --------------------------------------------------------------------------- writing


@dataclass(frozen=True, slots=True)
class Sealing:
    """What is to be done to a stanza: to whose key it is encrypted (one, ERRATA B24), and with which cipher."""

    certificate: ParsedCertificate
    cipher: ContentCipher = AES128_CBC  # section 7


def protect(
    stanza: Element,
    sealing: Sealing,
    *,
    sender: JID,
    recipient: JID,
    moment: int,
    random: Random = os.urandom,
) -> Element:
    """Return the `<e2e/>` element for a stanza in `jabber:client`, dated `moment`; the stanza is not touched.

    `moment` is in nanoseconds since 1970; that it increases from stanza to stanza is the caller's part (section 6),
    as is an outer id that is not the inner one (step 11). `random` is asked for the session key, then for the IV.
    Addresses that the stanza lacks are written into it.

    Raises `UnprotectableError` for rooms, undirected presence, subscriptions and errors (section 4), and for a cipher
    that the draft has no name for; `InvalidStanzaError` for what can't be written as XML; `TooLargeError`;
    `CertificateError` for a key that is not RSA, or too weak.
    """
    _require_protectable(stanza, recipient)
    if sealing.cipher.name not in CIPHER_NAMES:
        raise UnprotectableError(f"this format has no name for {sealing.cipher.name}")
    document = _write_plain(_write_stanza(stanza, sender, recipient), moment)
    key, iv = random(sealing.cipher.key_size), random(_IV)
    data = iv + sealing.cipher.encrypt(key, document, lambda _size: iv)[1]  # ERRATA B05
    size = (len(data) + 2) // 3 * 4  # in base64
    if size > MAX_OCTETS:
        raise TooLargeError(f"the object has {size} octets; nobody reads more than {MAX_OCTETS}")
    envelope = Envelope(
        (WRITTEN_TRANSPORT,),
        _wrap(key, sealing.certificate),
        sealing.cipher,
        data,
        make_mac(data, key),
    )
    return write_envelope(envelope)


def _require_protectable(stanza: Element, recipient: JID) -> None:
    kind, type_ = kind_of(stanza), stanza_type(stanza)
    why = never_protected(kind, type_, recipient)
    if why is None and type_ not in OPENED[kind]:
        why = f"a {kind} of this type is never opened"
    if why is not None:
        raise UnprotectableError(why)
    if len(stanza.get("id", "")) > MAX_ID:
        raise InvalidStanzaError("an id that is too long")


def _write_stanza(stanza: Element, sender: JID, recipient: JID) -> bytes:
    """Return the stanza-string (section 3 (4), ERRATA B21)."""
    addressed = Element(stanza.tag, {"from": sender.full, "to": recipient.full} | stanza.attrib)
    addressed.text = stanza.text
    addressed.extend(stanza)
    return serialise(addressed).encode()


def _write_plain(stanza: bytes, moment: int) -> bytes:
    """Return the envelope E (section 3 (5) and (6))."""
    plain = Element(_PLAIN, {"timestamp": format_date_time(moment)})
    plain.text = write_base64(stanza)
    return serialise(plain).encode()


def _wrap(key: bytes, certificate: ParsedCertificate) -> bytes:
    """Return the session key as only the owner of a certificate can read it (section 3 (9))."""
    public_key = certificate.public_key
    if not isinstance(public_key, rsa.RSAPublicKey):
        raise CertificateError("the certificate's key is not an RSA key, and this format knows no other")
    certificate.check_strength()
    return public_key.encrypt(key, WRITTEN_TRANSPORT.padding)


# --------------------------------------------------------------------------- opening


@dataclass(frozen=True, slots=True)
class Opened:
    """What an object held. Nothing says who it is from: its timestamp and all addresses in it are mere claims."""

    #: The stanza-string, not parsed yet.
    content: bytes
    #: When it says that it was sent, in nanoseconds since 1970.
    timestamp: int
    decrypted: Decrypted
    #: SHA-256 of the encrypted data: what a record of what came before can know it by, whoever has encrypted its key
    #: once more (ERRATA B19).
    digest: bytes

    @property
    def signer(self) -> None:
        """Nobody: here for who asks an object of either format."""
        return


@dataclass(frozen=True, slots=True)
class Opener:
    """What it takes to open objects."""

    keys: DecryptionKeys
    #: Takes note of an encrypted key, or of encrypted data, and of the object that bears it, and tells whether it is
    #: new: see `formats.rfc3923.Opener`. The data are claimed once the MAC has verified over them.
    claim: Callable[[bytes, bytes], bool]
    #: Decrypt keys that were encrypted with PKCS #1 v1.5 (ERRATA B06); it is never written.
    allow_pkcs1: bool = False
    #: Read objects whose session key has the IV behind it, and whose data have none: the sizes in the draft's
    #: examples would fit, but nothing says so, and no others are read then (ERRATA B05). For experiments; it is
    #: never written.
    iv_in_key: bool = False
    random: Random = os.urandom

    def open_object(self, element: Element) -> Opened:
        """Authenticate and decrypt an `<e2e/>` element; raise a `RemoteError`.

        `reason` is `malformed` for what everybody can see, `not-for-us` where none of our keys has the size,
        `seen` for what came before, `decryption-failed` for whatever depends on a private key; whoever made the
        object may then have put something else than a dated text into it (`malformed`, `missing`). Whatever it is has
        one and the same `answer`, but for `seen`. Raises `NotYet` for slow keys.
        """
        try:
            return self._open(read_envelope(element))
        except RemoteError as error:
            if error.reason != "seen":
                error.conceal()
            raise

    def _open(self, envelope: Envelope) -> Opened:
        if RSA_PKCS1 in envelope.transports and not self.allow_pkcs1:
            raise MalformedError("PKCS #1 v1.5, which the policy forbids")
        candidates = self._candidates(len(envelope.encrypted_key))
        if not candidates:
            raise UndecryptableError("none of our keys is of its size", reason="not-for-us")
        self._claim(envelope.encrypted_key, envelope)
        key, transport, certificate = self._find_key(envelope, candidates)
        self._claim(envelope.data, envelope)
        decrypted = Decrypted(self._decrypt(envelope, key), envelope.cipher, transport.name, certificate)
        document = decrypted.without_padding()
        if document is None:
            raise UndecryptableError("the padding is wrong")
        content, timestamp = _read_plain(document)
        return Opened(content, timestamp, decrypted, SHA256.digest(envelope.data))

    def _candidates(self, size: int) -> Sequence[tuple[Any, ParsedCertificate]]:
        """Return those of our keys that can have encrypted keys of a size, which is public."""
        fitting = [
            (key, certificate)
            for key, certificate in self.keys
            if isinstance(certificate.public_key, rsa.RSAPublicKey)
            and (certificate.public_key.key_size + 7) // 8 == size
        ]
        return fitting[:MAX_KEYS]

    def _claim(self, what: bytes, envelope: Envelope) -> None:
        if not self.claim(what, envelope.octets):
            raise TimestampError("an object with this encrypted key or data came before", reason="seen")

    def _find_key(
        self, envelope: Envelope, candidates: Sequence[tuple[Any, ParsedCertificate]]
    ) -> tuple[bytes, KeyTransport, ParsedCertificate]:
        """Return the session key with which the MAC verifies, and how it was found; raise `UndecryptableError`.

        What can't be unwrapped, or has another length than the cipher's name says (ERRATA B08), goes on as the random
        key that was drawn before (RFC 3218 2.3.2).
        """
        size = envelope.cipher.key_size + (_IV if self.iv_in_key else 0)
        for transport in envelope.transports:
            for private_key, certificate in candidates:
                fallback = self.random(size)
                info = KeyTransportInfo(certificate.issuer_and_serial, transport, envelope.encrypted_key)
                key = self.keys.unwrap(info, private_key, fallback)
                if envelope.is_authentic(key):
                    return key, transport, certificate
        raise UndecryptableError("it is not encrypted to any of our keys, or was changed on the way")

    def _decrypt(self, envelope: Envelope, key: bytes) -> bytes:
        size = envelope.cipher.key_size
        iv, ciphertext = (
            (key[size:], envelope.data) if self.iv_in_key else (envelope.data[:_IV], envelope.data[_IV:])
        )
        plaintext = envelope.cipher.read(octet_string(iv), ciphertext)(key[:size], b"", b"")
        assert plaintext is not None  # there is no tag
        return plaintext


def _read_plain(document: bytes) -> tuple[bytes, int]:
    """Return the stanza-string and the timestamp of an envelope E; raise `MalformedError`, `TimestampError`."""
    plain = parse_xml(document)
    if plain.tag != _PLAIN or len(plain):
        raise MalformedError("not a plain element with nothing but text in it")
    timestamp = parse_date_time(plain.get("timestamp", ""))
    return read_base64(plain.text or ""), timestamp


def read_content(opened: Opened, outer: Outer) -> Content:
    """Parse the stanza of an object, and bind it to the outer stanza (ERRATA B20); raise a concealed `RemoteError`.

    Its addresses are the outer stanza's then, which the servers vouch for, and nobody else.
    """
    try:
        stanza = read_stanza(opened.content)
        if outer.kind == "presence" and stanza.get("to") is None:  # section 4
            raise RefusedError("undirected presence is never encrypted")
        bind(stanza, outer)
    except RemoteError as error:
        error.conceal()
        raise
    return Content(stanza, opened.timestamp)
