"""Paths through CAs that constrain directory names, link by link (RFC 5280 6.1): the library refuses them all.

Whatever the library asks of a CA is asked here, too (tests/certificates/test_links.py compares the two), and what it
does not know in a critical extension is refused: nothing is accepted here that it would refuse without that
constraint. Names of issuers must be equal octet by octet, and self-issued CAs count in the length of a path.

**Not** checked: how strong keys and hashes are, certificate policies, revocation, what the end entity may do.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from slixmpp_e2e.certificates.fields import CertificateFields, read_fields
from slixmpp_e2e.certificates.name_constraints import NAME_CONSTRAINTS, check_name_constraints
from slixmpp_e2e.cms.algorithms import MGF1, NULL_PARAMETERS, SHA256, SHA384, SHA512
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, GENERALIZED_TIME, integer, oid, sequence, tlv
from slixmpp_e2e.cms.certificates import UNREADABLE
from slixmpp_e2e.errors import CertificateError

#: How many CAs stand between an end entity and an anchor.
MAX_DEPTH: Final = 5
#: How many signatures are verified for one end entity: who sends certificates chooses how many would fit.
_MAX_SIGNATURES: Final = 8
#: The largest serial number, in octets: 20, and one of zeros (RFC 5280 4.1.2.2).
_MAX_SERIAL: Final = 21
_EC: Final = oid("1.2.840.10045.2.1")
#: The AlgorithmIdentifiers of keys that a CA may have.
_KEYS: Final = frozenset(
    (
        sequence(oid("1.2.840.113549.1.1.1"), NULL_PARAMETERS),
        sequence(_EC, oid("1.2.840.10045.3.1.7")),
        sequence(_EC, oid("1.3.132.0.34")),
        sequence(_EC, oid("1.3.132.0.35")),
    )
)


def _pss(digest: bytes, size: int) -> bytes:
    """RSASSA-PSS with one digest for both (RFC 4055 3.1)."""
    hashing = sequence(digest, NULL_PARAMETERS)
    parameters = (hashing, sequence(MGF1, hashing), integer(size))
    return sequence(
        oid("1.2.840.113549.1.1.10"),
        sequence(*(tlv(CONSTRUCTED + number, each) for number, each in enumerate(parameters))),
    )


#: The AlgorithmIdentifiers of signatures that count.
_SIGNATURES: Final = frozenset(
    (
        *(sequence(oid(f"1.2.840.113549.1.1.{last}"), NULL_PARAMETERS) for last in (11, 12, 13)),
        *(_pss(each.identifier, each.algorithm.digest_size) for each in (SHA256, SHA384, SHA512)),
        *(sequence(oid(f"1.2.840.10045.4.3.{last}")) for last in (2, 3, 4)),
    )
)
#: What may be critical.
_UNDERSTOOD: Final = (
    x509.AuthorityInformationAccess,
    x509.AuthorityKeyIdentifier,
    x509.BasicConstraints,
    x509.ExtendedKeyUsage,
    x509.KeyUsage,
    x509.NameConstraints,
    x509.SubjectAlternativeName,
    x509.SubjectKeyIdentifier,
)
#: What must not be, in a CA's certificate.
_NEVER_CRITICAL: Final = (
    x509.AuthorityInformationAccess,
    x509.AuthorityKeyIdentifier,
    x509.ExtendedKeyUsage,
    x509.SubjectKeyIdentifier,
)
#: What a CA may be for: messages (RFC 8550 4.4.4), or clients, as the library has it.
AUTHORITY_USAGES: Final = frozenset(
    {
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }
)

#: Raises `CertificateError` for a path that is not good enough.
Accept = Callable[[tuple[x509.Certificate, ...]], None]


class LinkedPaths:
    """Finds paths from end entities to trust anchors. What can't be read of anchors and intermediates is left out."""

    def __init__(
        self, anchors: Iterable[x509.Certificate], intermediates: Iterable[x509.Certificate] = ()
    ) -> None:
        trusted = _readable(anchors)
        self._anchors = frozenset(each.fingerprint for each in trusted)
        self._authorities = (*trusted, *_readable(intermediates))

    def find(
        self,
        certificate: x509.Certificate,
        along: Iterable[x509.Certificate] = (),
        *,
        at: datetime,
        accept: Accept,
        avoided: frozenset[bytes] = frozenset(),
    ) -> tuple[x509.Certificate, ...]:
        """Return the first path that holds and that `accept` does not refuse; raise `CertificateError`.

        `along` are certificates of CAs that came along. None of those whose SHA-256 is in `avoided` is used, unless
        it is an anchor. The caller bounds how many there are; eight signatures are verified at the most.
        """
        authorities: dict[bytes, list[CertificateFields]] = {}
        for each in (*self._authorities, *_readable(along)):
            if each.fingerprint in self._anchors or each.fingerprint not in avoided:
                authorities.setdefault(each.subject, []).append(each)
        search = _Search(self._anchors, authorities, at, accept)
        try:
            leaf = read_fields(certificate)
            _check_end_entity(leaf, at)
        except UNREADABLE as error:
            raise CertificateError(str(error)) from None
        found = search.extend((leaf,))
        if found is None:
            raise CertificateError(search.failure)
        return tuple(each.certificate for each in found)


def _readable(certificates: Iterable[x509.Certificate]) -> list[CertificateFields]:
    found = []
    for each in certificates:
        try:
            found.append(read_fields(each))
        except UNREADABLE:
            continue
    return found


@dataclass(slots=True)
class _Search:
    """One search, from below, depth first."""

    anchors: frozenset[bytes]
    #: By subject.
    authorities: dict[bytes, list[CertificateFields]]
    at: datetime
    accept: Accept
    signatures: int = 0
    #: Why the last try led nowhere.
    failure: str = "none of its issuers is known"

    def extend(self, path: tuple[CertificateFields, ...]) -> tuple[CertificateFields, ...] | None:
        """Return a whole path that begins with this one, or None. All links of this one hold."""
        last = path[-1]
        if last.fingerprint in self.anchors:
            return path if self._holds(path) else None
        if len(path) > MAX_DEPTH + 1:
            self.failure = "a path of too many CAs"
            return None
        for issuer in self.authorities.get(last.issuer, ()):
            if any(issuer.fingerprint == each.fingerprint for each in path):
                continue
            try:
                self._check_link(last, issuer, below=len(path) - 1)
            except (CertificateError, *UNREADABLE) as error:
                self.failure = str(error)
                continue
            found = self.extend((*path, issuer))
            if found is not None:
                return found
        return None

    def _holds(self, path: tuple[CertificateFields, ...]) -> bool:
        try:
            check_name_constraints(path)
            self.accept(tuple(each.certificate for each in path))
        except (CertificateError, *UNREADABLE) as error:
            self.failure = str(error)
            return False
        return True

    def _check_link(self, certificate: CertificateFields, issuer: CertificateFields, *, below: int) -> None:
        """Check the issuer and its signature; what costs most comes last."""
        _check_authority(issuer, self.at, below=below)
        if certificate.signature_algorithm not in _SIGNATURES:
            raise CertificateError("a certificate with a signature of an algorithm that does not count")
        if _is_another_key(certificate.certificate, issuer.certificate):
            raise CertificateError("an issuer with another key than the one that signed")
        if self.signatures == _MAX_SIGNATURES:
            raise CertificateError("too many certificates that might belong to the path")
        self.signatures += 1
        try:
            certificate.certificate.verify_directly_issued_by(issuer.certificate)
        except InvalidSignature:
            raise CertificateError("a certificate with a wrong signature") from None


def _is_another_key(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether the key identifiers of both say that the signature need not be tried (RFC 5280 4.2.1.1)."""
    try:
        wanted = certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value.key_identifier
        found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return False
    return wanted is not None and wanted != found


def _check_basics(fields: CertificateFields, at: datetime) -> None:
    """RFC 5280 4.1, of any certificate of a path, the anchor's included."""
    certificate = fields.certificate
    if not fields.is_v3:
        raise CertificateError("a certificate of another version than 3")
    if fields.signature_algorithm != fields.outer_algorithm:
        raise CertificateError("a certificate with two signature algorithms")
    if len(fields.serial_number) > _MAX_SERIAL or fields.serial_number[:1] >= b"\x80":
        raise CertificateError("a certificate with a serial number that is negative or too long")
    if fields.issuer == sequence():
        raise CertificateError("a certificate of nobody")
    validity = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    for moment, tag in zip(validity, fields.time_tags, strict=True):
        if tag == GENERALIZED_TIME and 1950 <= moment.year < 2050:  # RFC 5280 4.1.2.5
            raise CertificateError("a certificate with a GeneralizedTime before 2050")
    if not validity[0] <= at <= validity[1]:
        raise CertificateError("a certificate outside its validity")
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            raise CertificateError(f"a critical extension that is not known: {extension.oid.dotted_string}")


def _check_end_entity(fields: CertificateFields, at: datetime) -> None:
    _check_basics(fields, at)
    if NAME_CONSTRAINTS in fields.extensions:  # RFC 5280 4.2.1.10
        raise CertificateError("name constraints in the certificate of an end entity")


def _check_authority(fields: CertificateFields, at: datetime, *, below: int) -> None:
    """Check what a CA's certificate must say of itself; `below` CAs stand between it and the end entity."""
    _check_basics(fields, at)
    if fields.key_algorithm not in _KEYS:
        raise CertificateError("a CA with a key of an algorithm that does not count")
    is_authority = may_sign = False
    for extension in fields.certificate.extensions:
        value = extension.value
        if extension.critical and isinstance(value, _NEVER_CRITICAL):
            raise CertificateError(f"an extension that may not be critical: {extension.oid.dotted_string}")
        if isinstance(value, x509.BasicConstraints):
            is_authority = value.ca and extension.critical  # RFC 5280 4.2.1.9
            if value.path_length is not None and below > value.path_length:
                raise CertificateError("a path of more CAs than one of them allows")
        elif isinstance(value, x509.KeyUsage):
            may_sign = value.key_cert_sign
        elif isinstance(value, x509.AuthorityKeyIdentifier) and value.key_identifier is None:
            raise CertificateError("a CA's authorityKeyIdentifier without a key identifier")
        elif isinstance(value, x509.ExtendedKeyUsage) and not AUTHORITY_USAGES & set(value):
            raise CertificateError("a CA's extended key usage does not allow messages")
    if not is_authority or not may_sign:
        raise CertificateError("a certificate of an issuer that is no CA, or may not sign certificates")
