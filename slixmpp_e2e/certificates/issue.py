"""Self-signed certificates, certification requests, and a small certification authority.

For people without a company CA, for tests and for the demo. The certificates follow RFC 8550 4.4 and
RFC 6120 13.7.1: the JID in three forms of subjectAltName, digitalSignature, what others need to encrypt to the
key (keyEncipherment for RSA, keyAgreement for elliptic curves), emailProtection for S/MIME, and clientAuth so
that the same certificate serves SASL EXTERNAL. An X25519 key agrees and does nothing else.

No I/O and no clock: the time comes in as `now` (aware), lifetimes in days. Serial numbers come in, or are 20
random octets.

Two choices against the letter of a text. basicConstraints stands in end-entity certificates too, where
RFC 8550 4.4.1 would rather not have it: several programs take a certificate without it for a CA. And no
Authority Information Access is written (RFC 6120 13.7.1.1, a SHOULD), since no responder stands behind.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from slixmpp.jid import JID

from slixmpp_e2e.certificates.encryption_request import stated_key
from slixmpp_e2e.certificates.keys import (
    PrivateKey,
    PublicKey,
    SubjectKey,
    authority_key,
    signature_hash,
    subject_key,
)
from slixmpp_e2e.certificates.names import request_jids, subject_alternative_name
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.media.addresses import bare

DEFAULT_DAYS: Final = 730
DEFAULT_AUTHORITY_DAYS: Final = 3650

#: Certificates are valid from a little before they are made: clocks differ.
CLOCK_SKEW: Final = timedelta(minutes=5)

_LONGEST_LIFETIME: Final = 36500
_LONGEST_COMMON_NAME: Final = 64  # RFC 5280 ub-common-name; cryptography counts octets of UTF-8


@dataclass(frozen=True, slots=True)
class CertificationAuthority:
    """A CA certificate with its private key, and the CA certificates above it, the root last."""

    certificate: x509.Certificate
    private_key: PrivateKey
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def intermediates(self) -> tuple[x509.Certificate, ...]:
        """What a signer sends along with a certificate of this CA: everything but the root."""
        return (self.certificate, *self.issuers)[:-1]

    @property
    def root(self) -> x509.Certificate:
        """The trust anchor."""
        return (self.certificate, *self.issuers)[-1]


# --------------------------------------------------------------------------- end entities


def self_signed_certificate(
    private_key: PrivateKey,
    jids: Iterable[JID | str],
    *,
    now: datetime,
    days: int = DEFAULT_DAYS,
    serial: int | None = None,
) -> x509.Certificate:
    """Return an end-entity certificate that its own key has signed; peers trust it by pinning it.

    Raises `CertificateError` when there is no JID, one that can't be named, or an impossible lifetime.
    """
    names = _prepared(jids)
    public_key = private_key.public_key()
    subject = _subject(names[0])
    builder = _end_entity(
        subject_key(public_key), names, subject=subject, issuer=subject, issuer_key=public_key
    )
    return _sign(_dated(builder, now, days, serial), private_key)


def certificate_request(private_key: PrivateKey, jids: Iterable[JID | str]) -> x509.CertificateSigningRequest:
    """Return a certification request (RFC 2986) that asks for every subjectAltName of these JIDs.

    Raises `CertificateError` when there is no JID or one that can't be named.
    """
    names = _prepared(jids)
    builder = x509.CertificateSigningRequestBuilder(_subject(names[0])).add_extension(
        subject_alternative_name(names), critical=False
    )
    return builder.sign(private_key, signature_hash(private_key))


def issue_certificate(
    request: x509.CertificateSigningRequest,
    *,
    authority: CertificationAuthority,
    now: datetime,
    days: int = DEFAULT_DAYS,
    jids: Collection[JID | str] | None = None,
    serial: int | None = None,
    signed_by: ed25519.Ed25519PublicKey | None = None,
) -> x509.Certificate:
    """Return the end-entity certificate that a request asks for.

    Of the request only the public key and the JIDs are taken, the latter as `names.request_jids()` reads
    them; the authority writes subject, names and usages itself. With `jids` the certificate names just these,
    all of which the request must ask for. It never outlives the authority's own certificate. A request for
    an X25519 key is `signed_by` the key of another request, which has to be in order itself.

    **Not checked here:** whether the requester is who the JIDs say. That is for the authority's people.

    Raises `CertificateError` when the request's signature, its key or its names are not in order, or when the
    authority's certificate is not valid at `now`.
    """
    public_key = _requested_key(request) if signed_by is None else stated_key(request, signed_by)
    requested = request_jids(request)
    names = sorted(requested) if jids is None else _prepared(jids)
    if not names:
        raise CertificateError(
            "The request asks for no JID: no id-on-xmppAddr, im: or pres: name in it is one."
        )
    if not requested.issuperset(names):
        surplus = ", ".join(sorted(set(names) - requested))
        raise CertificateError(
            f"The request does not ask for {surplus}, but for {', '.join(sorted(requested))}."
        )
    issuer = authority.certificate
    builder = _end_entity(
        public_key,
        names,
        subject=_subject(names[0]),
        issuer=issuer.subject,
        issuer_key=authority.private_key.public_key(),
    )
    return _sign(_dated(builder, now, days, serial, within=issuer), authority.private_key)


# --------------------------------------------------------------------------- authorities


def create_root(
    private_key: PrivateKey,
    name: str,
    *,
    now: datetime,
    days: int = DEFAULT_AUTHORITY_DAYS,
    path_length: int = 0,
    serial: int | None = None,
) -> CertificationAuthority:
    """Return a self-signed CA; `path_length` is how many CAs may stand between it and an end entity.

    Raises `CertificateError` for a key that is not of `AUTHORITY_KEY_ALGORITHMS` and for an empty name.
    """
    public_key = authority_key(private_key.public_key())
    subject = _authority_name(name)
    builder = _authority(public_key, path_length, subject=subject, issuer=subject, issuer_key=public_key)
    return CertificationAuthority(_sign(_dated(builder, now, days, serial), private_key), private_key)


def create_intermediate(
    private_key: PrivateKey,
    name: str,
    *,
    root: CertificationAuthority,
    now: datetime,
    days: int = DEFAULT_AUTHORITY_DAYS,
    serial: int | None = None,
) -> CertificationAuthority:
    """Return a CA below `root` that issues end-entity certificates only (path length 0).

    Raises `CertificateError` as `create_root()`, and when the root allows no CA below it.
    """
    constraints = root.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    if constraints.path_length == 0:
        raise CertificateError("The root was made with path length 0: it can't have a CA below it.")
    issuer = root.certificate.subject
    subject = _authority_name(name)
    if subject == issuer:
        raise CertificateError("An intermediate CA needs another name than its root.")
    public_key = authority_key(private_key.public_key())
    issuer_key = root.private_key.public_key()
    builder = _authority(public_key, 0, subject=subject, issuer=issuer, issuer_key=issuer_key)
    certificate = _sign(_dated(builder, now, days, serial, within=root.certificate), root.private_key)
    return CertificationAuthority(certificate, private_key, (root.certificate, *root.issuers))


# --------------------------------------------------------------------------- parts


def _prepared(jids: Iterable[JID | str]) -> list[str]:
    try:
        names = list(dict.fromkeys(bare(jid) for jid in jids))
    except ValueError as error:
        raise CertificateError(f"A certificate can't name this JID: {error}.") from error
    if not names:
        raise CertificateError("A certificate needs at least one JID.")
    return names


def _subject(jid: str) -> x509.Name:
    """RFC 6120 13.7.1.1: not null. For people only; nothing reads a JID from it."""
    encoded = jid.encode()
    if len(encoded) > _LONGEST_COMMON_NAME:
        jid = f"{encoded[: _LONGEST_COMMON_NAME - 3].decode(errors='ignore')}…"
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, jid)])


def _authority_name(name: str) -> x509.Name:
    if not name.strip() or not name.isprintable() or len(name.encode()) > _LONGEST_COMMON_NAME:
        raise CertificateError(f"The name of a CA is printable, and 1 to {_LONGEST_COMMON_NAME} octets long.")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _requested_key(request: x509.CertificateSigningRequest) -> SubjectKey:
    try:
        proven = request.is_signature_valid
        public_key = request.public_key()
    except (UnsupportedAlgorithm, TypeError, ValueError) as error:
        raise CertificateError("The request has a key or a signature of an unknown kind.") from error
    if not proven:
        raise CertificateError("The signature of the request is not valid: its key is not the requester's.")
    return subject_key(public_key)


def _end_entity(
    public_key: SubjectKey, jids: list[str], *, subject: x509.Name, issuer: x509.Name, issuer_key: PublicKey
) -> x509.CertificateBuilder:
    """RFC 8550 4.4: which extensions there are and which of them are critical."""
    signs = not isinstance(public_key, x25519.X25519PublicKey)
    usage = _key_usage(
        sign=signs,
        encipher=isinstance(public_key, rsa.RSAPublicKey),
        agree=isinstance(public_key, (ec.EllipticCurvePublicKey, x25519.X25519PublicKey)),
    )
    login = (ExtendedKeyUsageOID.CLIENT_AUTH,) if signs else ()
    purposes = x509.ExtendedKeyUsage((ExtendedKeyUsageOID.EMAIL_PROTECTION, *login))
    return (
        _named(public_key, subject=subject, issuer=issuer, issuer_key=issuer_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
        .add_extension(subject_alternative_name(jids), critical=False)
    )


def _authority(
    public_key: PublicKey, path_length: int, *, subject: x509.Name, issuer: x509.Name, issuer_key: PublicKey
) -> x509.CertificateBuilder:
    return (
        _named(public_key, subject=subject, issuer=issuer, issuer_key=issuer_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(certify=True), critical=True)
    )


def _named(
    public_key: SubjectKey, *, subject: x509.Name, issuer: x509.Name, issuer_key: PublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(
    *, sign: bool = True, encipher: bool = False, agree: bool = False, certify: bool = False
) -> x509.KeyUsage:
    """DigitalSignature in each that can: RFC 6120 13.7.1.1 asks for it in CA certificates as well."""
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=encipher,
        data_encipherment=False,
        key_agreement=agree,
        key_cert_sign=certify,
        crl_sign=certify,
        encipher_only=False,
        decipher_only=False,
    )


def _dated(
    builder: x509.CertificateBuilder,
    now: datetime,
    days: int,
    serial: int | None,
    *,
    within: x509.Certificate | None = None,
) -> x509.CertificateBuilder:
    if now.tzinfo is None:
        raise ValueError("now must be an aware datetime")
    if not 1 <= days <= _LONGEST_LIFETIME:
        raise CertificateError(f"A certificate lives 1 to {_LONGEST_LIFETIME} days, not {days}.")
    first, last = now - CLOCK_SKEW, now + timedelta(days=days)
    if within is not None:
        if not within.not_valid_before_utc <= now < within.not_valid_after_utc:
            raise CertificateError("The certificate of the authority is not valid at this time.")
        first, last = max(first, within.not_valid_before_utc), min(last, within.not_valid_after_utc)
    number = x509.random_serial_number() if serial is None else serial
    return builder.not_valid_before(first).not_valid_after(last).serial_number(number)


def _sign(builder: x509.CertificateBuilder, private_key: PrivateKey) -> x509.Certificate:
    return builder.sign(private_key, signature_hash(private_key))
