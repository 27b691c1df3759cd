"""How the content-encryption key reaches a recipient (RFC 5652 6.2).

`RECIPIENT_INFOS` knows the kinds of RecipientInfo, `TRANSPORTS` the key transport algorithms; key agreement
is in `key_agreement`. `recipient_for` chooses the kind that goes with a certificate's key. Unwrapping never
fails visibly: whatever is wrong with an encrypted key, the caller goes on with the random key that it drew
before (RFC 3218 2.3.2), so that nobody learns from us whether a guess was right.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519

from slixmpp_e2e.cms.algorithms import (
    MGF1,
    NULL_PARAMETERS,
    SHA1,
    SHA256,
    SHA384,
    SHA512,
    Digest,
    read_algorithm,
    read_digest,
    read_mask_digest,
)
from slixmpp_e2e.cms.asn1 import (
    CONSTRUCTED,
    CONTEXT,
    OCTET_STRING,
    SEQUENCE,
    ASN1Error,
    BERError,
    Reader,
    octet_string,
    oid,
    sequence,
    tlv,
)
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.key_agreement import KeyAgreementRecipient, read_key_agreement
from slixmpp_e2e.cms.signatures import RSA_ENCRYPTION
from slixmpp_e2e.errors import CertificateError

_OAEP: Final = oid("1.2.840.113549.1.1.7")
_P_SPECIFIED: Final = oid("1.2.840.113549.1.1.9")
#: How many may be named in one object; it bounds our work.
MAX_RECIPIENTS: Final = 64
_V0: Final = b"\x02\x01\x00"
_V2: Final = b"\x02\x01\x02"


@dataclass(frozen=True, slots=True)
class KeyTransport:
    """An RSA key transport algorithm."""

    name: str
    algorithm_identifier: bytes
    #: What the AlgorithmIdentifier says, as the library wants it; it has no hash.
    padding: Any = field(compare=False)


def oaep(digest: Digest, mask_digest: Digest) -> KeyTransport:
    """Return RSAES-OAEP with a digest and that of its mask generation function, MGF1; no label (RFC 4055 4.1)."""
    fields = []
    if digest is not SHA1:
        fields.append(tlv(CONSTRUCTED, digest.algorithm_identifier))
    if mask_digest is not SHA1:
        fields.append(tlv(CONSTRUCTED + 1, sequence(MGF1, mask_digest.algorithm_identifier)))
    identifier = sequence(_OAEP, sequence(*fields) if fields else sequence(b""))
    scheme = padding.OAEP(padding.MGF1(mask_digest.algorithm), digest.algorithm, None)
    return KeyTransport(f"rsa-oaep-{digest.name}", identifier, scheme)


#: RFC 3923 6.10.
RSA_PKCS1: Final = KeyTransport("rsa-pkcs1", sequence(RSA_ENCRYPTION, NULL_PARAMETERS), padding.PKCS1v15())
RSA_OAEP_SHA256: Final = oaep(SHA256, SHA256)
#: What we can write, by name.
TRANSPORTS: Final[dict[str, KeyTransport]] = {
    row.name: row
    for row in (RSA_PKCS1, oaep(SHA1, SHA1), RSA_OAEP_SHA256, *(oaep(d, d) for d in (SHA384, SHA512)))
}


def _read_oaep(parameters: bytes) -> KeyTransport:
    """Read RSAES-OAEP-params (RFC 4055 4.1); what is absent has the default that the RFC gives it."""
    digest = mask_digest = SHA1
    if parameters:
        fields = Reader(parameters).enter()
        if fields.peek() == CONSTRUCTED:
            digest = read_digest(fields.enter(CONSTRUCTED))
        if fields.peek() == CONSTRUCTED + 1:
            mask_digest = read_mask_digest(fields.enter(CONSTRUCTED + 1))
        if fields.peek() == CONSTRUCTED + 2:
            source, label = read_algorithm(fields.enter(CONSTRUCTED + 2))
            if source != _P_SPECIFIED or label != octet_string(b""):
                raise ASN1Error("a label")
        fields.finish()
    return oaep(digest, mask_digest)


#: Algorithms without parameters to read, by the whole AlgorithmIdentifier.
_FIXED: Final = {
    RSA_PKCS1.algorithm_identifier: RSA_PKCS1,
    sequence(RSA_ENCRYPTION): RSA_PKCS1,  # the NULL is missing in some old software
}
#: Algorithms with parameters to read, by OBJECT IDENTIFIER.
_READERS: Final[dict[bytes, Callable[[bytes], KeyTransport]]] = {_OAEP: _read_oaep}


def _read_transport(data: Reader) -> KeyTransport:
    element = data.element(SEQUENCE)
    if element in _FIXED:
        return _FIXED[element]
    identifier, parameters = read_algorithm(Reader(element))
    if identifier not in _READERS:
        raise ASN1Error("an unknown key transport algorithm")
    return _READERS[identifier](parameters)


# --------------------------------------------------------------------------- writing


class Recipient(Protocol):
    """Somebody whom content can be encrypted to."""

    @property
    def version(self) -> int:
        """The version of the EnvelopedData that this RecipientInfo asks for (RFC 5652 6.1)."""

    def recipient_info(self, key: bytes) -> bytes:
        """Return the RecipientInfo that hands `key` over."""


class KeyTransportRecipient:
    """A recipient with an RSA key (RFC 5652 6.2.1); raises `CertificateError` for other or weak keys.

    Key usage and validity are not checked here: see `certificates.trust`.
    """

    def __init__(
        self,
        certificate: ParsedCertificate,
        *,
        transport: KeyTransport = RSA_PKCS1,
        key_identifier: bool = False,
    ) -> None:
        if not isinstance(certificate.public_key, rsa.RSAPublicKey):
            raise CertificateError(
                "the certificate's key can't receive encrypted content: it is not an RSA key"
            )
        certificate.check_strength()
        identifier = certificate.key_identifier if key_identifier else certificate.issuer_and_serial
        if identifier is None:
            raise CertificateError("the certificate has no subjectKeyIdentifier")
        self.certificate = certificate
        self.version = 2 if key_identifier else 0
        self._public_key = certificate.public_key
        self._transport = transport
        self._prefix = (_V2 if key_identifier else _V0) + identifier + transport.algorithm_identifier

    def recipient_info(self, key: bytes) -> bytes:
        """See `Recipient`."""
        return sequence(self._prefix, octet_string(self._public_key.encrypt(key, self._transport.padding)))


_AGREEING: Final = (ec.EllipticCurvePublicKey, x25519.X25519PublicKey)


def can_receive(public_key: object) -> bool:
    """Tell whether content can be encrypted to a key of this kind: RSA, elliptic curve, X25519."""
    return isinstance(public_key, (rsa.RSAPublicKey, *_AGREEING))


def recipient_for(
    certificate: ParsedCertificate, *, transport: KeyTransport = RSA_PKCS1, key_identifier: bool | None = None
) -> Recipient:
    """Return the recipient that a certificate's key makes: `transport` is for RSA keys.

    Unless `key_identifier` says how it is named, an RSA key is by issuer and serial number, as S/MIME always
    did, any other one by its key identifier if it has one: that is shorter, and who knows key agreement knows
    both (RFC 5652 6.2.2). Raises `CertificateError` for a key that is weak or can't receive; see the two kinds
    for what is not checked.
    """
    if isinstance(certificate.public_key, _AGREEING):
        if key_identifier is None:
            key_identifier = certificate.key_identifier is not None
        return KeyAgreementRecipient(certificate, key_identifier=key_identifier)
    return KeyTransportRecipient(certificate, transport=transport, key_identifier=bool(key_identifier))


# --------------------------------------------------------------------------- reading


class RecipientInfo(Protocol):
    """A RecipientInfo as it arrived."""

    @property
    def identifier(self) -> bytes:
        """The RecipientIdentifier (RFC 5652 6.2.1), whole."""

    @property
    def name(self) -> str:
        """The key management algorithm."""

    @property
    def encrypted_key(self) -> bytes:
        """The content-encryption key as it travels: the same key twice has the same octets twice."""

    def unwrap(self, key: Any, fallback: bytes) -> bytes:
        """Return the content-encryption key, or `fallback` where there is none of its length. Never raises."""


class KeyTransportInfo(NamedTuple):
    """KeyTransRecipientInfo (RFC 5652 6.2.1)."""

    identifier: bytes
    transport: KeyTransport
    encrypted_key: bytes

    @property
    def name(self) -> str:
        """See `RecipientInfo`."""
        return self.transport.name

    def unwrap(self, key: Any, fallback: bytes) -> bytes:
        """See `RecipientInfo`.

        For PKCS #1 v1.5 the library answers bad padding with octets that depend on key and ciphertext only
        (implicit rejection), so a wrong length is no news either: it takes the same way on. So does whatever a
        key outside of this process raises, for which nobody can say what it depends on.
        """
        try:
            found: bytes = key.decrypt(self.encrypted_key, self.transport.padding)
            return found if len(found) == len(fallback) else fallback
        except Exception:  # noqa: BLE001
            return fallback


def _read_key_transport(fields: Reader) -> tuple[KeyTransportInfo]:
    fields.integer(maximum=2)
    identifier = fields.element(SEQUENCE if fields.peek() == SEQUENCE else CONTEXT)
    info = KeyTransportInfo(identifier, _read_transport(fields), fields.contents(OCTET_STRING))
    fields.finish()
    return (info,)


#: The kinds of RecipientInfo by their tag; a new kind (KEM) is a new row. One of them may be for several.
RECIPIENT_INFOS: Final[dict[int, Callable[[Reader], Iterable[RecipientInfo]]]] = {
    SEQUENCE: _read_key_transport,
    CONSTRUCTED + 1: read_key_agreement,
}


def read_recipient_infos(elements: Iterable[bytes]) -> tuple[RecipientInfo, ...]:
    """Return the RecipientInfos that we understand; the others are for somebody else.

    Raises `ASN1Error` for more than `MAX_RECIPIENTS`, `BERError` for what is not DER.
    """
    found: list[RecipientInfo] = []
    for element in elements:
        try:
            read = RECIPIENT_INFOS.get(element[0])
            if read is not None:
                found += read(Reader.inside(element, element[0]))
        except BERError:
            raise  # the whole object is rewritten and read again
        except ASN1Error:
            continue
        if len(found) > MAX_RECIPIENTS:  # one RecipientInfo may be for several
            raise ASN1Error("too many recipients")
    return tuple(found)


class DecryptionKeys:
    """Our private keys for decryption, found by the identifiers of their certificates."""

    def __init__(self, keys: Iterable[tuple[Any, ParsedCertificate]] = ()) -> None:
        self._keys: dict[bytes, tuple[Any, ParsedCertificate]] = {}
        for key, certificate in keys:
            self.add(key, certificate)

    def add(self, key: Any, certificate: ParsedCertificate) -> None:
        """Make a key usable; keys of expired certificates stay, for old messages."""
        for identifier in (certificate.issuer_and_serial, certificate.key_identifier):
            if identifier is not None:
                self._keys[identifier] = key, certificate

    def __iter__(self) -> Iterator[tuple[Any, ParsedCertificate]]:
        """Yield each key with its certificate, those of the newest certificates first.

        For formats that don't say which key of ours is meant.
        """
        found = {certificate.fingerprint: (key, certificate) for key, certificate in self._keys.values()}
        newest = sorted(
            found.values(), key=lambda each: each[1].certificate.not_valid_before_utc, reverse=True
        )
        return iter(newest)

    def find(self, infos: Iterable[RecipientInfo]) -> tuple[Any, ParsedCertificate, RecipientInfo] | None:
        """Return key, certificate and RecipientInfo of the first one that is for us.

        Only the first: trying the next one after a failure would tell which of them was good (CVE-2019-1563).
        """
        for info in infos:
            if (found := self._keys.get(info.identifier)) is not None:
                return *found, info
        return None

    def unwrap(self, info: RecipientInfo, key: Any, fallback: bytes) -> bytes:
        """Return what a RecipientInfo holds for a key that was found; see `RecipientInfo.unwrap`.

        Here it is done at once. Where that takes long somebody else may do it, and say so from here.
        """
        return info.unwrap(key, fallback)
