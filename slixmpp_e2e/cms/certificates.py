"""Certificates as CMS needs them: parsed once, found again by issuer and serial number or by key identifier."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e.cms.asn1 import (
    BIT_STRING,
    CONSTRUCTED,
    CONTEXT,
    INTEGER,
    SEQUENCE,
    ASN1Error,
    Reader,
    sequence,
    tlv,
)
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.tables import Recent

#: What cryptography raises for parts of a certificate that it can't parse; it parses many only when asked for them.
UNREADABLE: Final = (
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
    Warning,  # of odd names and numbers, where a program makes errors of warnings
)
#: Octets of the largest certificate that is read when somebody sends it: what is in it is looked at, and remembered,
#: before anything is known of who sends it.
LARGEST: Final = 16 * 1024
_MINIMUM_RSA: Final = 2048
_MAXIMUM_RSA: Final = 8192  # a larger key is a way to burn our time (RFC 8551 6)
#: Nobody needs more than 17. With an exponent as long as the modulus a verification takes as long as a hundred.
_MAXIMUM_EXPONENT: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class ParsedCertificate:
    """A certificate with what CMS asks of it again and again."""

    certificate: x509.Certificate
    der: bytes
    public_key: CertificatePublicKeyTypes
    #: IssuerAndSerialNumber (RFC 5652 10.2.4), whole.
    issuer_and_serial: bytes
    #: `[0] SubjectKeyIdentifier`, whole, or None where the certificate has no such extension.
    key_identifier: bytes | None
    #: SHA-256 of the certificate.
    fingerprint: bytes
    #: Why the key must not be used, or None.
    weakness: str | None
    #: From when, and until when, to the second.
    valid_from: datetime
    valid_until: datetime

    @classmethod
    def from_x509(cls, certificate: x509.Certificate) -> "ParsedCertificate":
        """Wrap a certificate; raise `CertificateError` when its key or its structure is beyond the library."""
        der = certificate.public_bytes(Encoding.DER)
        try:
            _check_signature_value(der)
            public_key = certificate.public_key()
            valid_from, valid_until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            issuer_and_serial = _issuer_and_serial(certificate)
            extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            key_identifier = tlv(CONTEXT, extension.value.digest)
        except x509.ExtensionNotFound:
            key_identifier = None
        except UNREADABLE as error:
            raise CertificateError(f"a certificate can't be used: {error}") from None
        return cls(
            certificate=certificate,
            der=der,
            public_key=public_key,
            issuer_and_serial=issuer_and_serial,
            key_identifier=key_identifier,
            fingerprint=certificate.fingerprint(hashes.SHA256()),
            weakness=_weakness(public_key),
            valid_from=valid_from,
            valid_until=valid_until,
        )

    def check_strength(self) -> None:
        """Raise `CertificateError` for a key that is too small, too large or of a kind that we don't use."""
        if self.weakness is not None:
            raise CertificateError(self.weakness)

    def answers_to(self, identifier: bytes) -> bool:
        """Tell whether a SignerIdentifier or RecipientIdentifier means this certificate."""
        return identifier == self.issuer_and_serial or identifier == self.key_identifier  # noqa: PLR1714 faster


def _check_signature_value(der: bytes) -> None:
    """Raise `ValueError` unless the signature is whole octets.

    The library does not look at the count of unused bits: one certificate could have eight fingerprints.
    """
    fields = Reader(der).enter()
    fields.element(SEQUENCE)  # tbsCertificate
    fields.element(SEQUENCE)  # signatureAlgorithm
    if fields.contents(BIT_STRING)[:1] != b"\0":
        raise ASN1Error("a signature of half an octet")


def read_certificates(data: bytes) -> list[x509.Certificate]:
    """Return the certificates in PEM, at least one, or the one in DER; raise `CertificateError`."""
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except (ValueError, x509.InvalidVersion, Warning) as error:
        raise CertificateError(f"not a certificate in PEM or DER: {error}") from None


def read_certificate(der: bytes) -> ParsedCertificate | None:
    """Return the certificate; None if it can't be read, is larger than `LARGEST`, or has a key beyond the library."""
    if len(der) > LARGEST:
        return None
    try:
        return ParsedCertificate.from_x509(x509.load_der_x509_certificate(der))
    except (*UNREADABLE, x509.InvalidVersion, CertificateError):
        return None


def _issuer_and_serial(certificate: x509.Certificate) -> bytes:
    """Cut the IssuerAndSerialNumber out of the certificate: the library can't write every name it reads."""
    fields = Reader(certificate.tbs_certificate_bytes).enter()
    if fields.peek() == CONSTRUCTED:
        fields.element()  # the version
    serial = fields.element(INTEGER)
    fields.element(SEQUENCE)  # the signature algorithm
    return sequence(fields.element(SEQUENCE), serial)


def is_affordable(key: object) -> bool:
    """Tell whether a signature can be checked with a key without that being a way to burn our time."""
    return not isinstance(key, rsa.RSAPublicKey) or (
        key.key_size <= _MAXIMUM_RSA and key.public_numbers().e.bit_length() <= _MAXIMUM_EXPONENT
    )


def _weakness(key: object) -> str | None:
    """Say why a key must not be used: the library signs and verifies with RSA-1024."""
    if isinstance(key, rsa.RSAPublicKey):
        if not _MINIMUM_RSA <= key.key_size <= _MAXIMUM_RSA:
            return f"an RSA key of {key.key_size} bits; {_MINIMUM_RSA} to {_MAXIMUM_RSA} are used"
        if not is_affordable(key):
            return f"an RSA key with an exponent of more than {_MAXIMUM_EXPONENT} bits"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
            return f"a key on the curve {key.curve.name}; P-256 and P-384 are used"
    elif not isinstance(key, (ed25519.Ed25519PublicKey, x25519.X25519PublicKey)):
        return "a key of an unknown kind"
    return None


class CertificatePool:
    """Certificates to look signers up in, and a bounded memory of what was parsed.

    Nothing here is trusted: a pool finds certificates, `trust` judges them. `look_up` is asked for those that
    were not added: it gets an identifier and returns certificates in DER. What it finds is remembered, and
    `forget` makes it be asked again; what it does not find it is asked for every time.
    """

    def __init__(
        self,
        certificates: Iterable[ParsedCertificate] = (),
        *,
        capacity: int = 1024,
        look_up: Callable[[bytes], Iterable[bytes]] | None = None,
    ) -> None:
        self._parsed: Recent[bytes, ParsedCertificate | None] = Recent(capacity)
        self._known: dict[bytes, list[ParsedCertificate]] = {}
        self._look_up = look_up
        #: As DER: so what is found here is the same object as when it comes embedded.
        self._found: Recent[bytes, tuple[bytes, ...]] = Recent(capacity)
        for certificate in certificates:
            self.add(certificate)

    def size(self) -> int:
        """Return how much is remembered, in entries."""
        return len(self._parsed) + len(self._known) + len(self._found)

    def parse(self, der: bytes) -> ParsedCertificate | None:
        """Return the certificate, or None if it can't be read or is too large; remembered either way."""
        if len(der) > LARGEST:  # and not remembered
            return None
        if der in self._parsed:
            return self._parsed.get(der)
        found = read_certificate(der)
        self._parsed.put(der, found)
        return found

    def add(self, certificate: ParsedCertificate) -> None:
        """Make a certificate findable (the caller bounds how many)."""
        for identifier in (certificate.issuer_and_serial, certificate.key_identifier):
            if identifier is not None:
                known = self._known.setdefault(identifier, [])
                if all(other.fingerprint != certificate.fingerprint for other in known):
                    known.append(certificate)

    def find(self, identifier: bytes) -> tuple[ParsedCertificate, ...]:
        """Return the known certificates that an identifier means."""
        known = tuple(self._known.get(identifier, ()))
        if self._look_up is None:
            return known
        found = self._found.get(identifier)
        if found is None:
            found = tuple(self._look_up(identifier))
            if found:
                self._found.put(identifier, found)
        if not found:
            return known
        parsed = (each for der in found if (each := self.parse(der)) is not None)
        added = {each.fingerprint for each in known}
        return (
            *known,
            *(each for each in parsed if each.answers_to(identifier) and each.fingerprint not in added),
        )

    def forget(self, certificate: ParsedCertificate) -> None:
        """Look its identifiers up again when they are asked for the next time."""
        for identifier in (certificate.issuer_and_serial, certificate.key_identifier):
            if identifier is not None:
                self._found.pop(identifier)

    def __iter__(self) -> Iterator[ParsedCertificate]:
        """Return those that were added."""
        seen = {known.fingerprint: known for group in self._known.values() for known in group}
        return iter(seen.values())


class SignerPool(Protocol):
    """Where signers are looked up; see `CertificatePool`."""

    def parse(self, der: bytes) -> ParsedCertificate | None:
        """Return the certificate, or None if it can't be read."""

    def find(self, identifier: bytes) -> tuple[ParsedCertificate, ...]:
        """Return the known certificates that an identifier means, in the order in which they are to be tried."""


@dataclass(frozen=True, slots=True)
class PreferringPool:
    """A pool that finds some certificates first: anybody may have one with the same key identifier as somebody.

    `first` is asked only where an identifier means several.
    """

    pool: CertificatePool
    first: Callable[[], Iterable[ParsedCertificate]]

    def parse(self, der: bytes) -> ParsedCertificate | None:
        """See `CertificatePool`."""
        return self.pool.parse(der)

    def find(self, identifier: bytes) -> tuple[ParsedCertificate, ...]:
        """Return the known certificates that an identifier means, `first` first."""
        found = self.pool.find(identifier)
        if len(found) < 2:
            return found
        ordered = [each for each in self.first() if each.answers_to(identifier)]
        return tuple({each.fingerprint: each for each in (*ordered, *found)}.values())
