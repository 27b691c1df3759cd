"""`slixmpp-e2e show`: what a certificate or a request says, and what it is good for."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from slixmpp_e2e.certificates.encryption_request import stated_key
from slixmpp_e2e.certificates.keys import key_algorithm, subject_key
from slixmpp_e2e.certificates.names import certificate_jids, request_jids
from slixmpp_e2e.cli import arguments as shared
from slixmpp_e2e.cli.arguments import Subparsers, read_password, shown
from slixmpp_e2e.cli.encoding import fingerprint, parse_certificates, parse_requests
from slixmpp_e2e.cli.files import read_file
from slixmpp_e2e.cms.certificates import UNREADABLE
from slixmpp_e2e.cms.recipients import can_receive
from slixmpp_e2e.errors import CertificateError, ConfigurationError

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_KEY_USAGES: Final = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}
_PURPOSES: Final = {
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}


def add_commands(subparsers: Subparsers) -> None:
    """Add `show`."""
    show = subparsers.add_parser(
        "show", help="show what a certificate or a request says, and what it is good for"
    )
    show.add_argument(
        "file", type=Path, metavar="FILE", help="certificates or a request in PEM or DER, or a PKCS #12 file"
    )
    shared.add_password_options(show, purpose="of a PKCS #12 file")
    show.set_defaults(run=_show)


def _show(arguments: argparse.Namespace) -> int:
    path: Path = arguments.file
    data = read_file(path)
    try:
        blocks = _blocks(data, path, arguments)
    except UNREADABLE as error:
        raise ConfigurationError(f"{path}: parts of it can't be parsed: {printable(str(error))}") from error
    print("\n\n".join(blocks))
    return 0


def _blocks(data: bytes, path: Path, arguments: argparse.Namespace) -> list[str]:
    if b"-----BEGIN CERTIFICATE REQUEST-----" in data or b"-----BEGIN NEW CERTIFICATE REQUEST-----" in data:
        return _describe_requests(parse_requests(data, path))
    if b"PRIVATE KEY-----" in data and b"-----BEGIN CERTIFICATE-----" not in data:
        raise ConfigurationError(f"{path} is a private key; show takes its certificate.")
    now = datetime.now(UTC)
    if b"-----BEGIN" in data:
        return [describe_certificate(certificate, now) for certificate in parse_certificates(data, path)]
    for parse in (_der_certificate, _der_request):
        if (block := parse(data, now)) is not None:
            return [block]
    return [describe_certificate(certificate, now) for certificate in _bundled(data, path, arguments)]


def _der_certificate(data: bytes, now: datetime) -> str | None:
    try:
        certificate = x509.load_der_x509_certificate(data)
    except (ValueError, x509.InvalidVersion):
        return None
    return describe_certificate(certificate, now)


def _der_request(data: bytes, _: datetime) -> str | None:
    try:
        request = x509.load_der_x509_csr(data)
    except (ValueError, x509.InvalidVersion):
        return None
    return "\n\n".join(_describe_requests([request]))


def _bundled(data: bytes, path: Path, arguments: argparse.Namespace) -> list[x509.Certificate]:
    # Both are a SEQUENCE that begins with version 3; nothing else that `show` takes does.
    if not data.startswith(b"\x30") or b"\x02\x01\x03" not in data[:12]:
        raise ConfigurationError(f"{path}: neither a certificate nor a request nor a PKCS #12 file.")
    password = read_password(arguments, new=False)
    try:
        bundle = pkcs12.load_pkcs12(data, password)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(
            f"{path}: the password is missing or wrong, or the PKCS #12 file is damaged; "
            "give it with --password-file or --ask-password."
        ) from error
    found = [bundle.cert, *bundle.additional_certs]
    certificates = [entry.certificate for entry in found if entry is not None]
    if not certificates:
        raise ConfigurationError(f"{path}: a PKCS #12 file without a certificate.")
    return certificates


def describe_certificate(certificate: x509.Certificate, now: datetime) -> str:
    """Return what a certificate says, for people. Raises what cryptography raises for what it can't parse."""
    certificate.extensions  # noqa: B018 what can't be parsed must not look like something that is absent
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    state = "not yet valid" if now < first else "valid now" if now <= last else "expired"
    signed = certificate.signature_hash_algorithm
    return _table(
        [
            ("Certificate", printable(certificate.subject.rfc4514_string()) or "(no subject)"),
            ("issued by", _issuer(certificate)),
            ("serial number", f"{certificate.serial_number:x}"),
            ("JIDs", _jids(certificate_jids(certificate))),
            ("key", key_algorithm(certificate.public_key())),
            (
                "signed with",
                signed.name if signed is not None else certificate.signature_algorithm_oid.dotted_string,
            ),
            ("usages", _usages(certificate)),
            ("valid", f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC: {state}"),
            ("SHA-256", fingerprint(certificate)),
            ("for signing", _verdict(_obstacles(certificate, decrypting=False))),
            ("for decrypting", _verdict(_obstacles(certificate, decrypting=True))),
        ]
    )


def _describe_requests(requests: Sequence[x509.CertificateSigningRequest]) -> list[str]:
    """Return what requests say; those behind the first may be for keys that it signs for."""
    return [_describe_request(request, requests[0].public_key()) for request in requests]


def _describe_request(request: x509.CertificateSigningRequest, first: object) -> str:
    public_key = request.public_key()
    if isinstance(public_key, x25519.X25519PublicKey):
        proven = "NOT VALID: nobody states that the requester has the key"
        if isinstance(first, ed25519.Ed25519PublicKey) and _is_stated(request, first):
            proven = "by the key of the first request"
    else:
        proven = "valid" if request.is_signature_valid else "NOT VALID: the requester does not have the key"
    return _table(
        [
            ("Request", printable(request.subject.rfc4514_string()) or "(no subject)"),
            ("JIDs", _jids(request_jids(request))),
            ("key", key_algorithm(public_key)),
            ("signature", proven),
        ]
    )


def _is_stated(request: x509.CertificateSigningRequest, first: ed25519.Ed25519PublicKey) -> bool:
    try:
        stated_key(request, first)
    except CertificateError:
        return False
    return True


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{label + ':':16} {value}" for label, value in rows)


def _issuer(certificate: x509.Certificate) -> str:
    if certificate.issuer == certificate.subject:
        can_sign = not isinstance(certificate.public_key(), x25519.X25519PublicKey)
        return "itself" if can_sign else "the key that signs for the same name"
    return printable(certificate.issuer.rfc4514_string())


def _jids(jids: frozenset[str]) -> str:
    return ", ".join(shown(jid) for jid in sorted(jids)) or "none"


def _usages(certificate: x509.Certificate) -> str:
    usage = _extension(certificate, x509.KeyUsage)
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    constraints = _extension(certificate, x509.BasicConstraints)
    words = [
        word for attribute, word in _KEY_USAGES.items() if usage is not None and getattr(usage, attribute)
    ]
    words += [_PURPOSES.get(purpose, purpose.dotted_string) for purpose in purposes or ()]
    if constraints is not None and constraints.ca:
        words.insert(0, "CA")
    return ", ".join(words) or "not limited"


def _obstacles(certificate: x509.Certificate, *, decrypting: bool) -> list[str]:
    """Return why a certificate does not serve an end entity (RFC 8550 4.4); empty when it does.

    **Not checked here:** validity in time, the issuer, revocation.
    """
    found = []
    public_key = certificate.public_key()
    try:
        subject_key(public_key)
    except CertificateError as error:
        found.append(str(error))
    if decrypting and not can_receive(public_key):
        found.append("its key only signs")
    if not decrypting and isinstance(public_key, x25519.X25519PublicKey):
        found.append("its key only decrypts")
    usage = _extension(certificate, x509.KeyUsage)
    bit = "key_encipherment" if isinstance(public_key, rsa.RSAPublicKey) else "key_agreement"
    if usage is not None and decrypting and can_receive(public_key) and not getattr(usage, bit):
        found.append(f"its key usage lacks {_KEY_USAGES[bit]}")
    if usage is not None and not decrypting and not (usage.digital_signature or usage.content_commitment):
        found.append("its key usage lacks digitalSignature")
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    accepted = {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if purposes is not None and accepted.isdisjoint(purposes):
        found.append("its extended key usage lacks emailProtection")
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        found.append("it is a CA certificate")
    if not certificate_jids(certificate):
        found.append("it names no JID")
    return found


def _verdict(obstacles: list[str]) -> str:
    return f"no: {'; '.join(obstacles)}" if obstacles else "yes"


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def printable(text: str) -> str:
    """Return text from a peer without what could move the cursor of a terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
