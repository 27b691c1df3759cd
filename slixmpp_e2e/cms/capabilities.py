"""What a signer says of his software and of his certificates (RFC 8551 2.5.2 and 2.5.3).

Two signed attributes: SMIMECapabilities lists what he can decrypt, SMIMEEncryptionKeyPreference names the
certificate that he wants to be encrypted to. They are worth what the signature is worth: read them from
trusted signatures only, and let the newest one count (ERRATA E30).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from slixmpp_e2e.cms.algorithms import (
    AES128_CBC,
    AES128_GCM,
    AES256_CBC,
    AES256_GCM,
    CIPHERS,
    ContentCipher,
)
from slixmpp_e2e.cms.asn1 import (
    CONSTRUCTED,
    CONTEXT,
    OCTET_STRING,
    SEQUENCE,
    SET,
    ASN1Error,
    Reader,
    oid,
    sequence,
    tlv,
)
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.recipients import RSA_OAEP_SHA256, RSA_PKCS1, KeyTransport

SMIME_CAPABILITIES: Final = oid("1.2.840.113549.1.9.15")
ENCRYPTION_KEY_PREFERENCE: Final = oid("1.2.840.113549.1.9.16.2.11")

#: Content ciphers, the best first; what a peer has not announced is written with the one of RFC 3923 6.10.
PREFERRED_CIPHERS: Final[tuple[ContentCipher, ...]] = (AES256_GCM, AES128_GCM, AES256_CBC)
_ANNOUNCED: Final = (*PREFERRED_CIPHERS, AES128_CBC)

#: RFC 3560 5 prints these very octets for RSAES-OAEP with SHA-256, without the tags of its fields.
_OAEP_SHA256: Final = bytes.fromhex(
    "303806092a864886f70d010107302b300d06096086480165030402010500301a06092a864886f70d010108300d06096086480165"
    "030402010500"
)
_OAEP_ALIKE: Final = frozenset({_OAEP_SHA256, RSA_OAEP_SHA256.algorithm_identifier})
_MAX_CAPABILITIES: Final = 64


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What somebody's software can decrypt, as far as we can write it."""

    ciphers: frozenset[ContentCipher] = frozenset()
    oaep: bool = False

    @property
    def transport(self) -> KeyTransport:
        """The best key transport."""
        return RSA_OAEP_SHA256 if self.oaep else RSA_PKCS1


#: Of a peer who has announced nothing: RFC 3923 6.10.
UNKNOWN: Final = Capabilities()
#: Our own.
EVERYTHING: Final = Capabilities(frozenset(_ANNOUNCED), oaep=True)
#: Our own where the key is in a token that can't do OAEP with SHA-256.
WITHOUT_OAEP: Final = Capabilities(frozenset(_ANNOUNCED), oaep=False)


def common_cipher(recipients: Iterable[Capabilities]) -> ContentCipher:
    """Return the best content cipher that all recipients have announced, or AES-128-CBC."""
    announced = [each.ciphers for each in recipients]
    common = frozenset.intersection(*announced) if announced else frozenset()
    for cipher in PREFERRED_CIPHERS if common else ():
        if cipher in common:
            return cipher
    return AES128_CBC


def capabilities_attribute(own: Capabilities = EVERYTHING) -> bytes:
    """Return the attribute that announces what we read, the best first.

    That PKCS #1 v1.5 is not read can't be said: what is not announced is not forbidden (RFC 8551 2.5.2).
    """
    rows = [sequence(cipher.identifier) for cipher in _ANNOUNCED if cipher in own.ciphers]
    transports = [_OAEP_SHA256] if own.oaep else []
    return sequence(SMIME_CAPABILITIES, tlv(SET, sequence(*rows, *transports)))


def preference_attribute(certificate: ParsedCertificate) -> bytes:
    """Return the attribute that asks to be encrypted to a certificate."""
    if certificate.key_identifier is not None:
        choice = bytes((CONTEXT + 2,)) + certificate.key_identifier[1:]
    else:
        choice = bytes((CONSTRUCTED,)) + certificate.issuer_and_serial[1:]
    return sequence(ENCRYPTION_KEY_PREFERENCE, tlv(SET, choice))


def read_capabilities(attributes: Mapping[bytes, bytes]) -> Capabilities | None:
    """Return what signed attributes announce; None if they announce nothing, or nothing that can be read."""
    try:
        values = Reader(attributes[SMIME_CAPABILITIES]).enter(SET)
        rows = values.enter().elements(limit=_MAX_CAPABILITIES)
        values.finish()
        known = {cipher for row in rows if (cipher := CIPHERS.get(_identifier(row))) is not None}
    except (KeyError, ASN1Error):
        return None
    return Capabilities(frozenset(known), oaep=not _OAEP_ALIKE.isdisjoint(rows))


def _identifier(row: bytes) -> bytes:
    return Reader(row).enter().element()


def read_preference(attributes: Mapping[bytes, bytes]) -> bytes | None:
    """Return the RecipientIdentifier of the preferred certificate, whole; None if there is none."""
    try:
        values = Reader(attributes[ENCRYPTION_KEY_PREFERENCE]).enter(SET)
        choice = values.element()
        values.finish()
        match choice[0]:
            case 0xA0:  # issuerAndSerialNumber
                return bytes((SEQUENCE,)) + choice[1:]
            case 0xA1:  # receipentKeyId, sic: the key identifier, then a date and more
                return tlv(CONTEXT, Reader(choice).enter(CONSTRUCTED + 1).contents(OCTET_STRING))
            case 0x82:  # subjectAltKeyIdentifier
                return bytes((CONTEXT,)) + choice[1:]
    except (KeyError, ASN1Error):
        pass
    return None
