"""One certificate revocation list (RFC 5280 5): whose it is, how new, what it covers, whom it names.

Only complete lists of a CA's own certificates are understood. A delta, an indirect list, or one with a critical
extension that is not known, in the list or in any entry, says nothing about anybody: `unusable`.

**Not** checked here: whether the signer may be believed, and whether the list is of today.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from slixmpp_e2e.certificates.revocation_status import Entry
from slixmpp_e2e.errors import CertificateError

#: The largest list, in octets: the lists of the largest public CAs have a tenth of it.
MAX_OCTETS: Final = 32 << 20
_REASONS: Final = frozenset(x509.ReasonFlags) - {
    x509.ReasonFlags.unspecified,
    x509.ReasonFlags.remove_from_crl,
}
#: Whoever can make a second document with the same digest writes his own lists.
_DIGESTS: Final = frozenset({"sha256", "sha384", "sha512"})
# What cryptography raises for parts that it reads only when it needs them, and for what it doesn't know.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    Warning,  # of odd names, where a program makes errors of warnings
)
#: What may be critical because it is understood; RFC 5280 5.2 makes only the first one so.
_UNDERSTOOD: Final = (x509.IssuingDistributionPoint, x509.CRLNumber, x509.AuthorityKeyIdentifier)
_UNDERSTOOD_OF_ENTRIES: Final = (x509.CRLReason, x509.InvalidityDate)


@dataclass(frozen=True, slots=True, eq=False)
class RevocationList:
    """A revocation list that was read; nothing in it is believed before `is_signed_by` has said yes."""

    crl: x509.CertificateRevocationList
    issuer: x509.Name
    #: SHA-256 of the list.
    fingerprint: bytes
    #: How long it is, in DER.
    octets: int
    this_update: datetime
    next_update: datetime
    #: -1 where the list has none.
    number: int
    scope: x509.IssuingDistributionPoint | None
    #: Why it says nothing about anybody, or None.
    unusable: str | None

    @classmethod
    def from_der(cls, der: bytes) -> "RevocationList":
        """Read a list; raise `CertificateError` for what is too large, no list, or has no nextUpdate."""
        if len(der) > MAX_OCTETS:
            raise CertificateError(f"a revocation list of {len(der)} octets; {MAX_OCTETS} are read")
        try:
            crl = x509.load_der_x509_crl(der)
            next_update = crl.next_update_utc
            if next_update is None:  # RFC 5280 5.1.2.5
                raise CertificateError("a revocation list that does not say how long it counts")
            scope, number, unusable = _read_extensions(crl)
            return cls(
                crl,
                crl.issuer,
                crl.fingerprint(hashes.SHA256()),
                len(der),
                crl.last_update_utc,
                next_update,
                number,
                scope,
                unusable or _read_entries(crl),
            )
        except _UNREADABLE as error:
            raise CertificateError(f"not a revocation list that can be read: {error}") from None

    @property
    def age(self) -> tuple[int, datetime]:
        """What is greater for the newer one of two lists (RFC 5280 5.2.3)."""
        return self.number, self.this_update

    def is_signed_by(self, certificate: x509.Certificate) -> bool:
        """Tell whether the holder of a certificate made this list, and was allowed to (RFC 5280 6.3.3 (f), (g))."""
        try:
            if certificate.subject != self.issuer or not _may_sign_lists(certificate):
                return False
            digest = self.crl.signature_hash_algorithm
            if digest is not None and digest.name not in _DIGESTS:
                return False
            return self.crl.is_signature_valid(certificate.public_key())  # type: ignore[arg-type]
        except _UNREADABLE:
            return False

    def covers(self, certificate: x509.Certificate) -> frozenset[x509.ReasonFlags]:
        """Return for which reasons this list would name a certificate of its issuer (RFC 5280 6.3.3 (b), (d))."""
        scope = self.scope
        if scope is None:
            return _REASONS
        try:
            authority = is_authority(certificate)
            if (
                scope.only_contains_attribute_certs
                or (scope.only_contains_user_certs and authority)
                or (scope.only_contains_ca_certs and not authority)
            ):
                return frozenset()
            ours = _names(scope.full_name, scope.relative_name, self.issuer)
            reasons = _REASONS if scope.only_some_reasons is None else scope.only_some_reasons
            found: frozenset[x509.ReasonFlags] = frozenset()
            for names, covered in _distribution_points(certificate):
                if not ours or ours & names:
                    found |= reasons & covered
        except _UNREADABLE:
            return frozenset()
        return found

    def entry(self, certificate: x509.Certificate) -> Entry | None:
        """Return what the list says of a certificate of its issuer, or None if it does not name it."""
        found = self.crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if found is None:
            return None
        reason = x509.ReasonFlags.unspecified
        for extension in found.extensions:
            if isinstance(extension.value, x509.CRLReason):
                reason = extension.value.reason
        return Entry(found.revocation_date_utc, reason.value)


def takes_the_place(der: bytes, kept: bytes) -> bool:
    """Tell whether a list may replace one of the same signer and scope that a store keeps: not if that is newer.

    Who asks has verified it, but need not know what other processes have kept. What can't be read any more goes.
    """
    try:
        age = RevocationList.from_der(kept).age
    except CertificateError:
        return True
    try:
        return RevocationList.from_der(der).age >= age
    except CertificateError:
        return False


#: All reasons: a certificate is good when lists that cover them all don't name it.
ALL_REASONS: Final = _REASONS


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate is a CA's."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _may_sign_lists(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True  # RFC 5280 6.3.3 (f): if a key usage extension is present


def _read_extensions(
    crl: x509.CertificateRevocationList,
) -> tuple[x509.IssuingDistributionPoint | None, int, str | None]:
    """Return the scope, the number, and why the list can't be used, or None."""
    scope, number, unusable = None, -1, None
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.CRLNumber):
            number = value.crl_number
        elif isinstance(value, x509.IssuingDistributionPoint):
            scope = value
            if value.indirect_crl:
                unusable = "it is indirect"
        elif isinstance(value, x509.DeltaCRLIndicator):
            unusable = "it is a delta"
        if extension.critical and not isinstance(value, _UNDERSTOOD):
            unusable = unusable or f"it has the critical extension {extension.oid.dotted_string}"
    return scope, number, unusable


def _read_entries(crl: x509.CertificateRevocationList) -> str | None:
    """Return why an entry makes the whole list useless (RFC 5280 5.3), or None."""
    for entry in crl:
        for extension in entry.extensions:
            if extension.critical and not isinstance(extension.value, _UNDERSTOOD_OF_ENTRIES):
                return f"an entry has the critical extension {extension.oid.dotted_string}"
    return None


def _distribution_points(
    certificate: x509.Certificate,
) -> Iterator[tuple[frozenset[x509.GeneralName], frozenset[x509.ReasonFlags]]]:
    """Yield where a certificate says that lists are, by names and for which reasons; its issuer comes last."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        points = x509.CRLDistributionPoints([])
    for point in points:
        if point.crl_issuer is None:  # else the list is an indirect one
            names = _names(point.full_name, point.relative_name, certificate.issuer)
            yield names, _REASONS if point.reasons is None else point.reasons
    yield frozenset({x509.DirectoryName(certificate.issuer)}), _REASONS


def _names(
    full: list[x509.GeneralName] | None, relative: x509.RelativeDistinguishedName | None, issuer: x509.Name
) -> frozenset[x509.GeneralName]:
    """Return the names of a distribution point; a relative one continues the issuer's (RFC 5280 4.2.1.13)."""
    if relative is not None:
        return frozenset({x509.DirectoryName(x509.Name([*issuer.rdns, relative]))})
    return frozenset(full or ())
