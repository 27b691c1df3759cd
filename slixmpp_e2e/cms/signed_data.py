"""SignedData (RFC 5652 5): opaque, detached and certs-only, several signers; signed attributes always.

A SignerInfo without signed attributes is refused: its signature could as well be one over attributes that
somebody passes off as content. What is *not* checked here is who a certificate belongs to, whether it is
valid and whether anybody trusts it: see `certificates.trust`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from slixmpp_e2e.cms.algorithms import ID_DATA, ID_SIGNED_DATA, SHA256, read_digest
from slixmpp_e2e.cms.asn1 import (
    CONSTRUCTED,
    CONTEXT,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    ASN1Error,
    BERError,
    Reader,
    begins_in_ber,
    octet_string,
    oid,
    read_der_or_ber,
    read_time,
    sequence,
    time,
    tlv,
)
from slixmpp_e2e.cms.certificates import ParsedCertificate, SignerPool
from slixmpp_e2e.cms.signatures import SignatureScheme, default_scheme, read_scheme
from slixmpp_e2e.cms.signing_certificate import (
    are_listed,
    means_signer,
    read_signing_certificates,
    signing_certificate_attribute,
)
from slixmpp_e2e.errors import CertificateError, MalformedError, SignatureError

CONTENT_TYPE: Final = oid("1.2.840.113549.1.9.3")
MESSAGE_DIGEST: Final = oid("1.2.840.113549.1.9.4")
SIGNING_TIME: Final = oid("1.2.840.113549.1.9.5")

_TYPES: Final = frozenset({ID_SIGNED_DATA})
_V1: Final = b"\x02\x01\x01"
_V3: Final = b"\x02\x01\x03"
_DATA: Final = tlv(SET, ID_DATA)
_CONTENT_TYPE_IS_DATA: Final = sequence(CONTENT_TYPE, _DATA)

_MAX_SIGNERS: Final = 4
_MAX_CERTIFICATES: Final = 16
_MAX_ATTRIBUTES: Final = 32
_MAX_VERIFICATIONS: Final = 8


# --------------------------------------------------------------------------- writing


class Signer:
    """A private key with its certificate and chain, and the blocks that every signature of it shares.

    `chain` is what stands between the certificate and the root, without the root (RFC 3850 2.3). With
    `key_identifier` the signer is named by the certificate's SubjectKeyIdentifier, which is shorter than
    issuer and serial number (RFC 5652 5.3). `attributes` are whole Attributes that are signed too. Raises
    `CertificateError` for keys that are too weak, that can't sign, or that are not the certificate's.
    """

    def __init__(
        self,
        key: Any,
        certificate: ParsedCertificate,
        chain: Sequence[ParsedCertificate] = (),
        *,
        scheme: SignatureScheme | None = None,
        key_identifier: bool = False,
        attributes: Sequence[bytes] = (),
    ) -> None:
        certificate.check_strength()
        if key.public_key() != certificate.public_key:
            raise CertificateError("the private key is not the one of the certificate")
        self.key = key
        self.certificate = certificate
        self.chain = tuple(chain)
        self.scheme = scheme or default_scheme(key)
        if not isinstance(key.public_key(), self.scheme.key_type):
            raise CertificateError(f"this kind of key can't make {self.scheme.name} signatures")
        identifier = certificate.key_identifier if key_identifier else certificate.issuer_and_serial
        if identifier is None:
            raise CertificateError("the certificate has no subjectKeyIdentifier")
        digest = self.scheme.digest
        self._version = _V3 if key_identifier else _V1
        self._digests = tlv(SET, digest.algorithm_identifier)
        self._certificates = tlv(CONSTRUCTED, *sorted(each.der for each in (certificate, *self.chain)))
        self._info = self._version + identifier + digest.algorithm_identifier
        self._attributes = (_CONTENT_TYPE_IS_DATA, *attributes)
        listed = [each.der for each in (certificate, *self.chain)]
        self._attributes_along = (*self._attributes, signing_certificate_attribute(listed))

    def signer_info(self, content: bytes, moment: datetime, *, certificates: bool = False) -> bytes:
        """Return the SignerInfo for `content` (RFC 5652 5.3); with `certificates` it says which come along."""
        digest = self.scheme.digest.digest(content)
        attributes = b"".join(
            sorted(
                (
                    *(self._attributes_along if certificates else self._attributes),
                    _signing_time(moment.replace(microsecond=0)),
                    sequence(MESSAGE_DIGEST, self.scheme.digest.attribute_value(digest)),
                )
            )
        )
        # RFC 5652 5.4: the signature is over the SET OF, the wire has [0] IMPLICIT
        signature = self.scheme.sign(self.key, tlv(SET, attributes))
        return sequence(
            self._info,
            tlv(CONSTRUCTED, attributes),
            self.scheme.algorithm_identifier,
            octet_string(signature),
        )

    def signed_data(self, content: bytes, moment: datetime, *, detached: bool, certificates: bool) -> bytes:
        """Return the ContentInfo; see `sign`."""
        return _content_info(
            self._version,
            self._digests,
            sequence(ID_DATA) if detached else sequence(ID_DATA, tlv(CONSTRUCTED, octet_string(content))),
            self._certificates if certificates else b"",
            tlv(SET, self.signer_info(content, moment, certificates=certificates)),
        )


@lru_cache(maxsize=16)
def _signing_time(moment: datetime) -> bytes:
    """Return the attribute (RFC 5652 11.3); many stanzas may leave in a second."""
    return sequence(SIGNING_TIME, tlv(SET, time(moment)))


def _content_info(*fields: bytes) -> bytes:
    return sequence(ID_SIGNED_DATA, tlv(CONSTRUCTED, sequence(*fields)))


def sign(
    content: bytes,
    signer: Signer,
    *,
    signing_time: datetime,
    detached: bool = False,
    certificates: bool = True,
) -> bytes:
    """Return a DER ContentInfo with the SignedData over `content`.

    `signing_time` goes into the signed attributes, in whole seconds. With `certificates` the signer's
    certificate and chain travel along. Nothing is checked about the certificate's validity or names.
    """
    return signer.signed_data(content, signing_time, detached=detached, certificates=certificates)


def certificates_only(certificates: Sequence[ParsedCertificate]) -> bytes:
    """Return a certs-only ContentInfo (RFC 3851 3.7)."""
    encoded = sorted(certificate.der for certificate in certificates)
    return _content_info(_V1, tlv(SET, b""), sequence(ID_DATA), tlv(CONSTRUCTED, *encoded), tlv(SET, b""))


# --------------------------------------------------------------------------- reading


class MalformedSignerInfoError(MalformedError):
    """A SignerInfo can't be read; everything else of the SignedData was."""


class _SignerInfoError(ASN1Error):
    """See `MalformedSignerInfoError`."""


class SignerInfo(NamedTuple):
    """One signature as it arrived; nothing about it is proven yet."""

    identifier: bytes
    scheme: SignatureScheme
    signature: bytes
    #: The signed attributes as they were signed: a SET OF.
    signed_attributes: bytes
    signing_time: datetime | None
    #: The signed attributes by type: their values, each a whole SET OF.
    attributes: Mapping[bytes, bytes]


class VerifiedSigner(NamedTuple):
    """Who signed: the holder of the certificate's key, over the content that was returned with this."""

    certificate: ParsedCertificate
    scheme: SignatureScheme
    signing_time: datetime | None
    #: The signed attributes as they were signed: a SET OF.
    signed_attributes: bytes
    #: The signed attributes by type: their values, each a whole SET OF.
    attributes: Mapping[bytes, bytes]

    @property
    def attributes_digest(self) -> bytes:
        """SHA-256 of the signed attributes: what earlier versions recognised a replay by (`ReplayRecord.admit`)."""
        return SHA256.digest(self.signed_attributes)


class SignedData(NamedTuple):
    """A SignedData as it arrived; call `verify` before anything in it is believed."""

    content: bytes | None
    certificates: tuple[bytes, ...]
    signer_infos: tuple[SignerInfo, ...]
    #: The octets of the input that the object took; for what follows it, see `formats`.
    size: int
    #: Revocation lists that came along; nothing says that they are good.
    crls: tuple[bytes, ...] = ()
    #: Everything that stands where the certificates are, whatever it is.
    came_along: tuple[bytes, ...] = ()

    @property
    def holds_certificates_only(self) -> bool:
        """Nothing is signed by nobody (RFC 8551 3.8); some write empty content instead of none."""
        return not self.signer_infos and not self.content and bool(self.certificates)

    def verify(
        self,
        pool: SignerPool,
        *,
        content: bytes | None = None,
        allow_sha1: bool = False,
    ) -> tuple[bytes, VerifiedSigner]:
        """Return the content and its signer, or raise `SignatureError`.

        `content` is what a detached signature is over. All signatures must be good, and the signer of the first
        one is returned: nobody signed that it is the first, or that there were not more. Signers are looked up in
        the object's own certificates, then in `pool`; where one says which certificate is his, it must be that
        (RFC 5035 4). No more than eight verifications are done. Reasons are `invalid`, `unsigned`,
        `unknown-signer` and `weak`.
        """
        if (self.content is None) == (content is None):
            raise SignatureError("the content is missing, or there twice", reason="invalid")
        signed = self.content if content is None else content
        assert signed is not None
        if not self.signer_infos:
            raise SignatureError("there is no signature", reason="unsigned")
        embedded = self._embedded(pool) if self.certificates else []
        budget = _MAX_VERIFICATIONS
        signers = []
        for info in self.signer_infos:
            if info.scheme.digest.weak and not allow_sha1:
                raise SignatureError("signed with SHA-1", reason="weak")
            digest = info.scheme.digest.attribute_value(info.scheme.digest.digest(signed))
            candidates: Sequence[ParsedCertificate] = pool.find(info.identifier)
            if embedded:  # what came along first: others may bear the same key identifier
                along = [known for known in embedded if known.answers_to(info.identifier)]
                candidates = along + [known for known in candidates if known not in along]
            if not candidates:
                raise SignatureError("the signer's certificate is not known", reason="unknown-signer")
            if not budget:
                raise SignatureError("too many certificates to try", reason="invalid")
            candidates = candidates[:budget]
            budget -= len(candidates)
            signers.append(_verify(info, candidates))
            # after the signature, so that a wrong digest takes no less time (see `enveloped_data`)
            if info.attributes[MESSAGE_DIGEST] != digest:
                raise SignatureError("the content is not the one that was signed", reason="invalid")
        for signer in signers:
            if not means_signer(signer.attributes, signer.certificate.der):
                raise SignatureError("the signer means another certificate", reason="invalid")
        return signed, signers[0]

    def _embedded(self, pool: SignerPool) -> list[ParsedCertificate]:
        return [found for der in self.certificates if (found := pool.parse(der)) is not None]

    def check_listed(self, signer: VerifiedSigner) -> None:
        """Raise `SignatureError` if the signer lists what comes along, and this is not it.

        Only what has verified says that (`verify`). It matters where the object came in an envelope: see
        `cms.signing_certificate`.
        """
        if not are_listed(
            self.came_along, signer.certificate.der, read_signing_certificates(signer.attributes)
        ):
            raise SignatureError("the certificates are not those that the signer lists", reason="invalid")


def _verify(info: SignerInfo, candidates: Sequence[ParsedCertificate]) -> VerifiedSigner:
    failure: SignatureError | None = None
    for certificate in candidates:
        try:
            certificate.check_strength()
            info.scheme.verify(certificate.public_key, info.signature, info.signed_attributes)
        except CertificateError as error:
            failure = SignatureError(str(error), reason="weak")
        except SignatureError as error:
            failure = error
        else:
            return VerifiedSigner(
                certificate, info.scheme, info.signing_time, info.signed_attributes, info.attributes
            )
    assert failure is not None
    raise failure


def parse_signed_data(data: bytes, *, secret: bool = False) -> SignedData:
    """Read a ContentInfo with SignedData from the start of `data`; raise `MalformedError`.

    DER is read as it is; BER (RFC 5652 allows it) is rewritten first. What follows the object is not looked
    at: `size` says where it begins.

    What was `secret` is not rewritten unless its first length is BER already, as it is wherever somebody writes
    BER: rewriting takes its time, and of somebody who had changed a block of an encrypted object in DER, it would
    tell that there is a length octet of BER in it now.
    """
    try:
        if secret and not begins_in_ber(data):
            return _read_content_info(Reader(data))
        found, size = read_der_or_ber(data, _read_content_info)
    except _SignerInfoError as error:
        raise MalformedSignerInfoError(f"not a SignedData: {error}") from None
    except ASN1Error as error:
        raise MalformedError(f"not a SignedData: {error}") from None
    return found if size is None else found._replace(size=size)


def _read_content_info(whole: Reader) -> SignedData:
    _, fields = whole.content_info(_TYPES)
    fields.integer(maximum=5)
    fields.element(SET)  # digestAlgorithms: a hint for one-pass readers
    encapsulated = fields.enter()
    if encapsulated.element(OID) != ID_DATA:  # RFC 3851 2.4.1
        raise ASN1Error("signed content that is not id-data")
    content = None
    if encapsulated:
        explicit = encapsulated.enter(CONSTRUCTED)
        content = explicit.contents(OCTET_STRING)
        explicit.finish()
    encapsulated.finish()
    came_along: list[bytes] = []
    if fields.peek() == CONSTRUCTED:
        came_along = fields.enter(CONSTRUCTED).elements(limit=_MAX_CERTIFICATES)
    crls: list[bytes] = []
    if fields.peek() == CONSTRUCTED + 1:
        crls = fields.enter(CONSTRUCTED + 1).elements(limit=_MAX_CERTIFICATES)
    infos = fields.enter(SET).each(limit=_MAX_SIGNERS)
    fields.finish()
    return SignedData(
        content,
        _sequences(came_along) if came_along else (),  # other CertificateChoices are of no use here
        _read_signer_infos(infos),
        whole.position,
        _sequences(crls) if crls else (),  # the others are OCSP answers and the like
        tuple(came_along),
    )


def _sequences(elements: list[bytes]) -> tuple[bytes, ...]:
    return tuple([each for each in elements if each[0] == SEQUENCE])


def _read_signer_infos(infos: list[Reader]) -> tuple[SignerInfo, ...]:
    try:
        return tuple([_read_signer_info(info) for info in infos])
    except BERError:
        raise  # the whole object is rewritten and read again
    except ASN1Error as error:
        raise _SignerInfoError(str(error)) from None


def _read_signer_info(fields: Reader) -> SignerInfo:
    fields.integer(maximum=5)
    identifier = fields.element(SEQUENCE if fields.peek() == SEQUENCE else CONTEXT)
    digest = read_digest(fields)
    implicit, inside = fields.element_and_inside(CONSTRUCTED)  # absent signedAttrs end here
    attributes = _read_attributes(inside)
    scheme = read_scheme(fields, digest)
    signature = fields.contents(OCTET_STRING)
    if fields.peek() == CONSTRUCTED + 1:
        fields.element()  # unsigned attributes prove nothing
    fields.finish()
    if attributes.get(CONTENT_TYPE) != _DATA or MESSAGE_DIGEST not in attributes:  # RFC 5652 5.3, 11.1, 11.2
        raise ASN1Error("a signed attribute is missing, or not the content's")
    signing_time = None
    if SIGNING_TIME in attributes:
        moment = Reader.inside(attributes[SIGNING_TIME], SET)
        signing_time = read_time(moment)
        moment.finish()
    # RFC 5652 5.4: the signature is over the SET OF, the wire has [0] IMPLICIT
    return SignerInfo(identifier, scheme, signature, b"\x31" + implicit[1:], signing_time, attributes)


def _read_attributes(fields: Reader) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for kind, values in fields.pairs(OID, SET, limit=_MAX_ATTRIBUTES):
        if kind in found:
            raise ASN1Error("a signed attribute twice")
        found[kind] = values
    return found
