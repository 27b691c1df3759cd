"""Keys and certificates from files, and into them: PEM, DER, PKCS #8 and PKCS #12."""

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from slixmpp_e2e.certificates.keys import PrivateKey
from slixmpp_e2e.cli.files import read_file
from slixmpp_e2e.cms.certificates import read_certificates
from slixmpp_e2e.errors import CertificateError, ConfigurationError


def encode_key(private_key: PrivateKey | x25519.X25519PrivateKey, password: bytes | None) -> bytes:
    """Return PKCS #8 in PEM, with a password under PBES2 with AES-256 (RFC 8018).

    cryptography leaves the number of iterations to OpenSSL, which takes 2048: a short password is no obstacle.
    """
    encryption: KeySerializationEncryption = NoEncryption()
    if password is not None:
        encryption = BestAvailableEncryption(password)
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def encode_certificates(certificates: Sequence[x509.Certificate | x509.CertificateSigningRequest]) -> bytes:
    """Return certificates, or requests for them, in PEM, one behind the other."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def encode_bundle(
    private_key: PrivateKey,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    *,
    name: str,
    password: bytes,
) -> bytes:
    """Return a PKCS #12 file under PBES2 with AES-256-CBC, with an HMAC of SHA-256 (RFC 7292).

    The key has 100,000 iterations, but the HMAC, which is checked with the same password, keeps 2048.
    """
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(100_000)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password)
    )
    return pkcs12.serialize_key_and_certificates(name.encode(), private_key, certificate, chain, encryption)


def load_key(path: Path, password: bytes | None) -> PrivateKey:
    """Return the private key in a PEM file.

    Raises `ConfigurationError` when there is none, `CertificateError` when the password is missing or wrong.
    """
    data = read_file(path)
    if b"PRIVATE KEY-----" not in data:
        raise ConfigurationError(f"{path}: there is no private key in PEM in it.")
    encrypted = b"-----BEGIN ENCRYPTED" in data or b"Proc-Type: 4,ENCRYPTED" in data
    if encrypted and password is None:
        raise CertificateError(f"{path}: the key needs its password: --password-file or --ask-password.")
    try:
        private_key = load_pem_private_key(data, password if encrypted else None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        problem = "the password is wrong, or the key is damaged" if encrypted else "the key is damaged"
        raise CertificateError(f"{path}: {problem}.") from error
    if isinstance(private_key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        return private_key
    raise ConfigurationError(f"{path}: not an RSA, elliptic curve or Ed25519 key.")


def load_certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates of a PEM or DER file, at least one; raises `ConfigurationError`."""
    return parse_certificates(read_file(path), path)


def parse_certificates(data: bytes, path: Path) -> list[x509.Certificate]:
    """Return the certificates in PEM or DER octets; raises `ConfigurationError`, which names `path`."""
    try:
        return read_certificates(data)
    except CertificateError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def parse_requests(data: bytes, path: Path) -> list[x509.CertificateSigningRequest]:
    """Return the certification requests in PEM or DER octets, at least one; raises `ConfigurationError`."""
    try:
        if b"-----BEGIN" in data:
            _, *armoured = data.split(b"-----BEGIN ")
            return [x509.load_pem_x509_csr(b"-----BEGIN " + each) for each in armoured]
        return [x509.load_der_x509_csr(data)]
    except (ValueError, x509.InvalidVersion, Warning) as error:
        raise ConfigurationError(f"{path}: not a certification request in PEM or DER.") from error


def fingerprint(certificate: x509.Certificate) -> str:
    """Return SHA-256 of the certificate, as people compare it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()
