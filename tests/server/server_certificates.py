"""Certificates by which servers know each other: for domains (RFC 6120 13.7.1), by a CA that knows no people."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True)
class ServerCA:
    """A throw-away CA and the files that it writes."""

    directory: Path
    _key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        certificate = self._sign(self._key.public_key(), "Verona Servers", ca=True)
        self.root.write_bytes(certificate.public_bytes(Encoding.PEM))

    @property
    def root(self) -> Path:
        """The root certificate."""
        return self.directory / "servers.pem"

    def issue(self, domain: str) -> tuple[Path, Path]:
        """Write a certificate and a key for a domain; return where they are."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate_path, key_path = (self.directory / f"{domain}.{kind}" for kind in ("crt", "key"))
        certificate_path.write_bytes(
            self._sign(key.public_key(), domain, ca=False).public_bytes(Encoding.PEM)
        )
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate_path, key_path

    def _sign(self, key: ec.EllipticCurvePublicKey, name: str, *, ca: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Verona Servers")]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False).add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())
