"""A directory of our own: OpenLDAP's slapd on ports of the loopback interface, in a temporary directory."""

import datetime as dt
import os
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

SUFFIX: Final = "dc=example,dc=com"
PEOPLE: Final = f"ou=people,{SUFFIX}"
#: Who may read what is below `STAFF`.
READER: Final = f"cn=reader,{SUFFIX}"
READER_PASSWORD: Final = "sésame"
STAFF: Final = f"ou=staff,{SUFFIX}"

_PLACES: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/lib/openldap"))
_CONFIGURATION: Final = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {directory}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {directory}/ca.pem
TLSCertificateFile {directory}/server.pem
TLSCertificateKeyFile {directory}/server.key
database mdb
maxsize 10485760
suffix "{suffix}"
directory {directory}/data
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="{staff}" by users read by * none
access to * by * read
"""


class ThrowAwayDirectory:
    """A slapd that has the entries that it was given, as long as the `with` lasts.

    It runs as whoever runs the tests. `ca` is the file with the CA of its certificate, which is for "localhost".
    """

    def __init__(self, directory: Path, entries: Iterable[str]) -> None:
        self.directory = directory
        self.ca = directory / "ca.pem"
        self._entries = (_SKELETON, *entries)
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = _free_ports()
        self._socket = directory / "socket"

    @property
    def plain(self) -> str:
        """The beginning of URLs: without TLS, or with StartTLS."""
        return f"ldap://localhost:{self._ports[0]}/"

    @property
    def tls(self) -> str:
        """The beginning of URLs: TLS from the start."""
        return f"ldaps://localhost:{self._ports[1]}/"

    @property
    def local(self) -> str:
        """The beginning of URLs: by a socket in the file system."""
        return f"ldapi://{quote(str(self._socket), safe='')}/"

    def __enter__(self) -> Self:
        (self.directory / "data").mkdir()
        write_server_certificate(self.directory)
        configuration = self.directory / "slapd.conf"
        configuration.write_text(_CONFIGURATION.format(directory=self.directory, suffix=SUFFIX, staff=STAFF))
        slapd = shutil.which("slapd", path=_PLACES)
        assert slapd
        ldif = "\n".join(self._entries).encode()
        loaded = subprocess.run(
            [slapd, "-T", "add", "-f", configuration], input=ldif, capture_output=True, check=False
        )
        assert loaded.returncode == 0, loaded.stderr.decode()
        addresses = f"{self.plain} {self.tls} {self.local}".replace("localhost", "127.0.0.1")
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [slapd, "-f", configuration, "-h", addresses, "-d", "0"], stdout=log, stderr=log
            )
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        assert self._process
        for _ in range(1000):
            assert self._process.poll() is None, (self.directory / "log").read_text()
            try:
                for port in self._ports:
                    socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError("slapd does not answer")


_SKELETON: Final = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Verona

dn: {PEOPLE}
objectClass: organizationalUnit

dn: {STAFF}
objectClass: organizationalUnit

dn: {READER}
objectClass: person
sn: Reader
userPassword:: {b64encode(READER_PASSWORD.encode()).decode()}
"""


def person(
    name: str, mail: str, *certificates: bytes, base: str = PEOPLE, attribute: str = "userCertificate;binary"
) -> str:
    """Return an entry in LDIF: `mail` stands in that attribute if it can, and in `displayName` always."""
    lines = [f"dn: cn={name},{base}", "objectClass: inetOrgPerson", f"sn: {name}"]
    lines += [f"displayName:: {b64encode(mail.encode()).decode()}"]
    lines += [f"mail: {mail}"] if mail.isascii() else []
    lines += [f"{attribute}:: {b64encode(each).decode()}" for each in certificates]
    return "\n".join(lines) + "\n"


def write_server_certificate(directory: Path) -> None:
    """Write `ca.pem`, and `server.pem` with `server.key` for the name localhost."""
    now = dt.datetime.now(dt.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "server")}
    names = {
        name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Verona Directory {name}")])
        for name in keys
    }
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["ca"].public_key())
    for name, key in keys.items():
        authority = name == "ca"
        usage = x509.KeyUsage(
            digital_signature=not authority,
            key_cert_sign=authority,
            crl_sign=authority,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["ca"])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer, critical=False)
        )
        if not authority:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
            )
        certificate = builder.sign(keys["ca"], hashes.SHA256())
        (directory / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (directory / "server.key").write_bytes(
        keys["server"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
