"""Key agreement: the content-encryption key travels under a key that both sides derive (RFC 5652 6.2.2).

Ephemeral-static ECDH on P-256 and P-384 (RFC 5753) and on X25519 (RFC 8418), with the key wrap of AES
(RFC 3394). The sender makes a key pair for each object and forgets it. The algorithms are in `key_derivation`.

**Not** understood, so for somebody else: a sender who names a certificate instead of an ephemeral key,
one-pass MQV, cofactor ECDH (on these curves it would be the same), Triple-DES key wrap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from slixmpp_e2e.cms.algorithms import NULL_PARAMETERS
from slixmpp_e2e.cms.asn1 import (
    BIT_STRING,
    CONSTRUCTED,
    CONTEXT,
    GENERALIZED_TIME,
    OCTET_STRING,
    SEQUENCE,
    ASN1Error,
    Reader,
    integer,
    octet_string,
    oid,
    sequence,
    tlv,
)
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.key_derivation import (
    HKDF_SHA256,
    KEY_ENCRYPTIONS,
    SHA256_KDF,
    SHA384_KDF,
    WRAPS,
    KeyDerivation,
    KeyEncryption,
)
from slixmpp_e2e.errors import CertificateError

_EC_PUBLIC_KEY: Final = oid("1.2.840.10045.2.1")
_X25519: Final = oid("1.3.101.110")
_V3: Final = integer(3)
_MAX_RECIPIENTS: Final = 64
#: AES key wrap adds one block of 64 bits (RFC 3394 2.2.1).
_BLOCK: Final = 8
#: What an ephemeral key may be said to be, by AlgorithmIdentifier: the curve, or None where it is that of the
#: recipient (RFC 5753 7.1.2, RFC 8418 3.1).
_CURVES: Final[dict[bytes, str | None]] = {
    sequence(_X25519): "x25519",
    sequence(_EC_PUBLIC_KEY): None,
    sequence(_EC_PUBLIC_KEY, NULL_PARAMETERS): None,
    sequence(_EC_PUBLIC_KEY, oid("1.2.840.10045.3.1.7")): "secp256r1",
    sequence(_EC_PUBLIC_KEY, oid("1.3.132.0.34")): "secp384r1",
}


# --------------------------------------------------------------------------- writing

#: Makes an ephemeral key; returns its public half as it travels, and the secret shared with the recipient.
_Ephemeral = Callable[[], tuple[bytes, bytes]]


def _ephemeral_ec(theirs: ec.EllipticCurvePublicKey) -> _Ephemeral:
    curve, algorithm = theirs.curve, ec.ECDH()

    def make() -> tuple[bytes, bytes]:
        ours = ec.generate_private_key(curve)
        point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return point, ours.exchange(algorithm, theirs)

    return make


def _ephemeral_x25519(theirs: x25519.X25519PublicKey) -> _Ephemeral:
    def make() -> tuple[bytes, bytes]:
        ours = x25519.X25519PrivateKey.generate()
        return ours.public_key().public_bytes_raw(), ours.exchange(theirs)

    return make


@dataclass(frozen=True, slots=True)
class _Template:
    """What stays the same in all KeyAgreeRecipientInfos to one recipient, for keys of one length."""

    encryption: KeyEncryption
    before: bytes
    between: bytes


class KeyAgreementRecipient:
    """A recipient with an elliptic curve key; raises `CertificateError` for other or weak keys.

    The content-encryption key is wrapped with AES of its own length (RFC 8551 2.3). The key derivation is the
    one that goes with the curve (RFC 5753 8, RFC 8551 2.3) unless another one is asked for. No ukm is
    written: each ephemeral key is used once. Key usage and validity are not checked here: see
    `certificates.trust`.
    """

    #: Of the EnvelopedData, see `cms.recipients.Recipient`; this RecipientInfo itself has version 3.
    version: Final = 2

    def __init__(
        self,
        certificate: ParsedCertificate,
        *,
        derivation: KeyDerivation | None = None,
        key_identifier: bool = False,
    ) -> None:
        public_key = certificate.public_key
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            large = public_key.curve.key_size > 256
            self._originator, self._point_size = _EC_PUBLIC_KEY, 2 * (public_key.curve.key_size // 8) + 1
            self._derivation = derivation or (SHA384_KDF if large else SHA256_KDF)
            self._make = _ephemeral_ec(public_key)
        elif isinstance(public_key, x25519.X25519PublicKey):
            self._originator, self._point_size = _X25519, 32
            self._derivation = derivation or HKDF_SHA256
            self._make = _ephemeral_x25519(public_key)
        else:
            raise CertificateError("the certificate's key can't receive encrypted content: it only signs")
        certificate.check_strength()
        self.certificate = certificate
        self._identifier = certificate.issuer_and_serial
        if key_identifier:
            if certificate.key_identifier is None:
                raise CertificateError("the certificate has no subjectKeyIdentifier")
            key_id = Reader(certificate.key_identifier).contents(CONTEXT)
            self._identifier = tlv(CONSTRUCTED, octet_string(key_id))  # rKeyId
        self._templates: dict[int, _Template] = {}

    def recipient_info(self, key: bytes) -> bytes:
        """See `Recipient`; raise `CertificateError` where the recipient's key agrees with nobody."""
        template = self._templates.get(len(key)) or self._make_template(len(key))
        try:
            point, secret = self._make()
        except ValueError:  # X25519: the key in the certificate is one of the few that make every secret zero
            raise CertificateError("the certificate's key can't receive encrypted content") from None
        wrapping = template.encryption.derive(secret)
        return b"".join((template.before, point, template.between, aes_key_wrap(wrapping, key)))

    def _make_template(self, size: int) -> _Template:
        """Write a RecipientInfo whose ephemeral and encrypted keys are zero, and cut these out."""
        encryption = KEY_ENCRYPTIONS[sequence(self._derivation.identifier, sequence(WRAPS[size]))]
        point, wrapped = bytes(self._point_size), bytes(size + _BLOCK)
        recipients = sequence(sequence(self._identifier, octet_string(wrapped)))
        behind = encryption.algorithm_identifier + recipients
        originator = tlv(CONSTRUCTED + 1, sequence(self._originator), tlv(BIT_STRING, b"\0", point))
        whole = tlv(CONSTRUCTED + 1, _V3, tlv(CONSTRUCTED, originator), behind)
        before = whole[: len(whole) - len(behind) - len(point)]
        template = _Template(encryption, before, behind[: -len(wrapped)])
        self._templates[size] = template
        return template


# --------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class _Agreement:
    """What the recipients of one KeyAgreeRecipientInfo have in common."""

    #: See `_CURVES`.
    curve: str | None
    ephemeral: bytes
    encryption: KeyEncryption
    ukm: bytes | None

    @property
    def name(self) -> str:
        return f"{'x25519' if self.curve == 'x25519' else 'ecdh'}-{self.encryption.derivation.name}"

    def wrapping_key(self, key: Any) -> bytes:
        """Return the key-encryption key; raise `ValueError` where `key` and the ephemeral key don't agree.

        The library refuses points that are not on the curve, and secrets that are zero.
        """
        ours = key.public_key()  # says of what kind the key is, whatever class it has
        if isinstance(ours, x25519.X25519PublicKey) and self.curve == "x25519":
            secret: bytes = key.exchange(x25519.X25519PublicKey.from_public_bytes(self.ephemeral))
        elif isinstance(ours, ec.EllipticCurvePublicKey) and self.curve in {None, ours.curve.name}:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ours.curve, self.ephemeral)
            secret = key.exchange(ec.ECDH(), point)
        else:
            raise ValueError("keys of two kinds")
        return self.encryption.derive(secret, self.ukm)


@dataclass(frozen=True, slots=True)
class KeyAgreementInfo:
    """One RecipientEncryptedKey of a KeyAgreeRecipientInfo, with what it shares with the others."""

    #: As a RecipientIdentifier: a key identifier has lost what may stand beside it in a rKeyId.
    identifier: bytes
    #: It alone says whether a key came before, whatever ephemeral key stands beside it: a point and its
    #: negative, or the many ways to write a key on X25519, lead to one and the same secret. And who knows
    #: neither of the two keys can't wrap the one under the other in a second way.
    encrypted_key: bytes
    agreement: _Agreement

    @property
    def name(self) -> str:
        """See `RecipientInfo`."""
        return self.agreement.name

    def unwrap(self, key: Any, fallback: bytes) -> bytes:
        """See `RecipientInfo`; whatever is wrong, from the point to the key wrap, leads to `fallback`.

        Only for a point that is not on the curve, which everybody can see, it does so in less time.
        """
        try:
            found = aes_key_unwrap(self.agreement.wrapping_key(key), self.encrypted_key)
        except Exception:  # noqa: BLE001 see `KeyTransportInfo.unwrap`
            return fallback
        return found if len(found) == len(fallback) else fallback


def read_key_agreement(fields: Reader) -> tuple[KeyAgreementInfo, ...]:
    """Read the inside of a KeyAgreeRecipientInfo, which may be for several; raise `ASN1Error`."""
    if fields.integer(maximum=3) != 3:
        raise ASN1Error("another version of KeyAgreeRecipientInfo")
    curve, ephemeral = _read_originator(fields.enter(CONSTRUCTED))
    ukm = None
    if fields.peek() == CONSTRUCTED + 1:
        explicit = fields.enter(CONSTRUCTED + 1)
        ukm = explicit.contents(OCTET_STRING)
        explicit.finish()
    encryption = KEY_ENCRYPTIONS.get(fields.element(SEQUENCE))
    if encryption is None:
        raise ASN1Error("an unknown key agreement or key wrap algorithm")
    recipients = fields.enter().each(limit=_MAX_RECIPIENTS)
    fields.finish()
    agreement = _Agreement(curve, ephemeral, encryption, ukm)
    return tuple(_read_recipient(recipient, agreement) for recipient in recipients)


def _read_originator(choice: Reader) -> tuple[str | None, bytes]:
    """Read an originatorKey: the curve (see `_CURVES`) and the ephemeral key."""
    key = choice.enter(CONSTRUCTED + 1)
    choice.finish()
    algorithm, bits = key.element(SEQUENCE), key.contents(BIT_STRING)
    key.finish()
    if algorithm not in _CURVES or bits[:1] != b"\0":
        raise ASN1Error("an ephemeral key of an unknown kind")
    return _CURVES[algorithm], bits[1:]


def _read_recipient(fields: Reader, agreement: _Agreement) -> KeyAgreementInfo:
    info = KeyAgreementInfo(_read_identifier(fields), fields.contents(OCTET_STRING), agreement)
    fields.finish()
    return info


def _read_identifier(fields: Reader) -> bytes:
    if fields.peek() == SEQUENCE:
        return fields.element(SEQUENCE)
    key_id = fields.enter(CONSTRUCTED)
    identifier = tlv(CONTEXT, key_id.contents(OCTET_STRING))
    # date and other say which of several public keys it was; ours have one each
    for optional in (GENERALIZED_TIME, SEQUENCE):
        if key_id.peek() == optional:
            key_id.element()
    key_id.finish()
    return identifier
