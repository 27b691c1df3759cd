"""OCSP (RFC 6960): a request for one certificate, and what a responder answered.

A request names the certificate by SHA-1, as RFC 5019 2.1.1 has it and all responders know; an answer may use SHA-256.
It carries no nonce: most responders sign their answers in advance (RFC 5019 2.2.1) and would leave it out, and an
answer without the nonce that was sent can't be told from an old one anyway. How old an answer may be is
what its own dates say: who stands in between can show an older one until its nextUpdate, and no longer.

An answer is about one certificate, has no critical extension, and is signed with SHA-2 or Ed25519, either by the
issuer of the certificate or by an end entity to whom that very key gave a certificate for it (RFC 6960 4.2.2.2).

**Not** checked here: which of two answers is newer, and whether a responder was himself revoked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from slixmpp_e2e.certificates.revocation_list import is_authority
from slixmpp_e2e.certificates.revocation_status import Entry, RevocationState
from slixmpp_e2e.cms.algorithms import SHA256, SHA384, SHA512
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, OCTET_STRING, OID, SEQUENCE, ASN1Error, Reader
from slixmpp_e2e.cms.certificates import UNREADABLE, ParsedCertificate
from slixmpp_e2e.cms.signatures import SignatureScheme, read_scheme
from slixmpp_e2e.errors import CertificateError, RevocationError, SignatureError

#: The largest response, in octets: one with a responder's chain has a tenth of it.
MAX_OCTETS: Final = 64 << 10
#: How long an answer counts that names no next one: its responder always has a newer one (RFC 6960 4.2.2.1).
WITHOUT_NEXT_UPDATE: Final = timedelta(hours=1)
#: How far the responder's clock may be ahead of ours.
SKEW: Final = timedelta(minutes=5)
#: How many of the certificates in a response are looked at.
_CERTIFICATES: Final = 8
_UNREADABLE: Final = (*UNREADABLE, x509.InvalidVersion)
#: Whoever can make a second document with the same digest writes his own certificates.
_DIGESTS: Final = frozenset({"sha256", "sha384", "sha512"})
_STATES: Final = {
    ocsp.OCSPCertStatus.GOOD: RevocationState.GOOD,
    ocsp.OCSPCertStatus.REVOKED: RevocationState.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN: RevocationState.UNKNOWN,
}
#: What may be critical in the certificate of a responder because it is understood, or changes nothing for it.
_UNDERSTOOD: Final = (
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.BasicConstraints,
    x509.OCSPNoCheck,
    x509.SubjectAlternativeName,
    x509.CertificatePolicies,
)


@dataclass(frozen=True, slots=True)
class CertID:
    """Which certificate is meant (RFC 6960 4.1.1)."""

    algorithm: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int

    @classmethod
    def of(cls, found: ocsp.OCSPRequest | ocsp.OCSPResponse) -> "CertID":
        """Return the one in a request or a response with one."""
        return cls(
            found.hash_algorithm.name, found.issuer_name_hash, found.issuer_key_hash, found.serial_number
        )


def _request(
    certificate: x509.Certificate, issuer: x509.Certificate, algorithm: hashes.HashAlgorithm
) -> ocsp.OCSPRequest:
    return ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm).build()


def build_request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """Return the OCSPRequest in DER that asks for a certificate of an issuer."""
    return _request(certificate, issuer, hashes.SHA1()).public_bytes(Encoding.DER)  # noqa: S303 a name, no proof


def certificate_ids(certificate: x509.Certificate, issuer: x509.Certificate) -> tuple[CertID, ...]:
    """Return how responses may name a certificate of an issuer: by SHA-1 and by SHA-256."""
    algorithms: tuple[hashes.HashAlgorithm, ...] = (hashes.SHA1(), hashes.SHA256())  # noqa: S303 likewise
    return tuple(CertID.of(_request(certificate, issuer, each)) for each in algorithms)


@dataclass(frozen=True, slots=True, eq=False)
class OCSPResponse:
    """A response that was read; nothing in it is believed before `responder` has returned."""

    der: bytes
    response: ocsp.OCSPResponse
    #: Which certificate it is about.
    identifier: CertID
    #: `good`, `revoked` or `unknown`, as the responder says.
    state: RevocationState
    #: Where `revoked`: since when, and why.
    entry: Entry | None
    this_update: datetime
    #: Until when it counts.
    until: datetime

    @classmethod
    def from_der(cls, der: bytes) -> "OCSPResponse":
        """Read a response; raise `RevocationError` for what is none, and for one that gives no answer."""
        if len(der) > MAX_OCTETS:
            raise RevocationError(f"an OCSP response of {len(der)} octets; {MAX_OCTETS} are read")
        try:
            response = ocsp.load_der_ocsp_response(der)
            status = response.response_status
            if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
                raise RevocationError(f"the responder gives no answer: {status.name.lower()}")
            if len(list(response.responses)) != 1:
                raise RevocationError("an OCSP response about several certificates")
            for extension in (*response.extensions, *response.single_extensions):
                if extension.critical:  # none has to be (RFC 6960 4.4), so none is understood
                    raise RevocationError(
                        f"an OCSP response with the critical extension {extension.oid.dotted_string}"
                    )
            this_update = response.this_update_utc
            until = response.next_update_utc or this_update + WITHOUT_NEXT_UPDATE
            if until < this_update:
                raise RevocationError("an OCSP response that ends before it begins")
            state = _STATES[response.certificate_status]
            return cls(der, response, CertID.of(response), state, _entry(response), this_update, until)
        except _UNREADABLE as error:
            raise RevocationError(f"not an OCSP response that can be read: {error}") from None

    def is_about(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        """Tell whether it is about a certificate of an issuer."""
        return self.identifier in certificate_ids(certificate, issuer)

    def responder(self, issuer: x509.Certificate) -> x509.Certificate | None:
        """Return the certificate that an issuer gave to who signed it; None if the issuer did so itself.

        Raises `RevocationError` if it is signed by nobody who may, or was when his certificate did not count.
        That the issuer is the one whom the response means is for the caller (`is_about`).
        """
        why = "its responder's certificate is not there"
        try:
            scheme = _scheme(self.der)
            for candidate in self._candidates(issuer):
                is_own = candidate.public_key() == issuer.public_key()
                try:
                    if not is_own:
                        self._check_responder(candidate, issuer)
                    scheme.verify(
                        candidate.public_key(), self.response.signature, self.response.tbs_response_bytes
                    )
                except SignatureError:
                    why = "its signature is not its responder's"
                except RevocationError as error:
                    why = str(error)
                else:
                    return None if is_own else candidate
        except _UNREADABLE as error:
            why = str(error)
        raise RevocationError(f"an OCSP response that nobody may believe: {why}")

    def _candidates(self, issuer: x509.Certificate) -> Iterator[x509.Certificate]:
        """Yield whom the ResponderID may mean (RFC 6960 4.2.2.3)."""
        name, key_hash = self.response.responder_name, self.response.responder_key_hash
        for each in (issuer, *self.response.certificates[:_CERTIFICATES]):
            if name is not None:
                if each.subject == name:
                    yield each
            elif x509.SubjectKeyIdentifier.from_public_key(each.public_key()).digest == key_hash:
                yield each

    def _check_responder(self, candidate: x509.Certificate, issuer: x509.Certificate) -> None:
        """Raise `RevocationError` unless somebody may answer for an issuer (RFC 6960 4.2.2.2)."""
        try:
            candidate.verify_directly_issued_by(issuer)
            digest = candidate.signature_hash_algorithm
            weakness = ParsedCertificate.from_x509(candidate).weakness
        except (InvalidSignature, CertificateError, *_UNREADABLE):
            raise RevocationError("the responder has no certificate of that issuer") from None
        if weakness is not None or (digest is not None and digest.name not in _DIGESTS):
            raise RevocationError(f"the responder's certificate has {weakness or 'a weak signature'}")
        signed = self.response.produced_at_utc  # thisUpdate may be of before the responder had a certificate
        if not candidate.not_valid_before_utc <= signed <= candidate.not_valid_after_utc:
            raise RevocationError("the responder's certificate was not valid when he answered")
        _check_extensions(candidate)


def _check_extensions(candidate: x509.Certificate) -> None:
    """Raise `RevocationError` unless a certificate was made for an OCSP responder."""
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    for extension in candidate.extensions:
        value = extension.value
        if extension.critical and not isinstance(value, _UNDERSTOOD):
            raise RevocationError(
                f"the responder's certificate has the critical extension {extension.oid.dotted_string}"
            )
        if isinstance(value, x509.ExtendedKeyUsage):
            purposes = tuple(value)
        elif isinstance(value, x509.KeyUsage) and not (value.digital_signature or value.content_commitment):
            raise RevocationError("the responder's certificate does not allow signatures")
    if ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:  # anyExtendedKeyUsage is not enough (4.2.2.2)
        raise RevocationError("the responder's certificate is not for OCSP")
    if is_authority(candidate):  # a CA of somebody else would answer for its own issuer
        raise RevocationError("the responder's certificate is a CA's")


def _entry(response: ocsp.OCSPResponse) -> Entry | None:
    since = response.revocation_time_utc
    if since is None:
        return None
    reason = response.revocation_reason or x509.ReasonFlags.unspecified
    return Entry(since, reason.value)


def _scheme(der: bytes) -> SignatureScheme:
    """Return how a response is signed; raise `ASN1Error` for what is broken or unknown. The library has read it."""
    fields = Reader(der).enter()
    fields.element(0x0A)  # responseStatus
    inside = fields.enter(CONSTRUCTED).enter()
    inside.element(OID)
    basic = Reader(inside.contents(OCTET_STRING)).enter()
    basic.element(SEQUENCE)  # tbsResponseData
    algorithm = basic.element(SEQUENCE)
    for digest in (SHA256, SHA384, SHA512):
        try:
            return read_scheme(Reader(algorithm), digest)
        except ASN1Error:
            continue
    raise ASN1Error("a signature algorithm that is unknown or weak")
