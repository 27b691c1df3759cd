"""A server that is taken for one of another machine: it has to prove its name."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.stores import postgresql_connections
from slixmpp_e2e.stores.postgresql import PostgreSQLStore
from tests.stores.postgresql import Server, Waiting

pytestmark = pytest.mark.postgresql

NOW = 1_772_366_400 * SECOND
AUTHORITY_KEY, SERVER_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def certify(key: ec.EllipticCurvePrivateKey, name: str, issuer: x509.Certificate | None) -> x509.Certificate:
    """Return a certificate of a host, or without an issuer one of the authority."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(AUTHORITY_KEY, hashes.SHA256())
    )


def listening(options: str = "", **arguments: object) -> Iterator[int]:
    """Run a server that listens on the loopback address; yield its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(options=f"-c listen_addresses=127.0.0.1 -p {port} {options}", **arguments)
    yield port
    server.close()


@pytest.fixture(scope="module")
def authority() -> x509.Certificate:
    return certify(AUTHORITY_KEY, "Authority", None)


@pytest.fixture(scope="module")
def root(authority, tmp_path_factory) -> Path:
    """The file that a client knows the authority by."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    path.write_bytes(authority.public_bytes(Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def with_tls(authority) -> Iterator[int]:
    """The port of a server with a certificate for `localhost`."""
    files = {
        "server.crt": certify(SERVER_KEY, "localhost", authority).public_bytes(Encoding.PEM),
        "server.key": SERVER_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    yield from listening("-c ssl=on", files=files)


@pytest.fixture
def without_tls() -> Iterator[int]:
    yield from listening()


@pytest.fixture(autouse=True)
def far_away(monkeypatch):
    monkeypatch.setattr(postgresql_connections, "_is_local", lambda _host: False)


@pytest.mark.parametrize("mode", ["", "&sslmode=verify-full"])
def test_one_with_a_certificate_for_its_name_is_used(with_tls, root, mode):
    store = Waiting(
        PostgreSQLStore(f"postgresql://postgres@localhost:{with_tls}/postgres?sslrootcert={root}{mode}")
    )
    assert store.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    assert not store.admit("juliet@example.com", mode.encode(), NOW, NOW).seen
    store.close()


def test_one_with_another_name_is_not(with_tls, root):
    with pytest.raises(StoreError, match="certificate verify failed"):
        Waiting(PostgreSQLStore(f"postgresql://postgres@127.0.0.1:{with_tls}/postgres?sslrootcert={root}"))


def test_one_of_another_authority_is_not(with_tls):
    with pytest.raises(StoreError, match="certificate verify failed"):
        Waiting(PostgreSQLStore(f"postgresql://postgres@localhost:{with_tls}/postgres"))


def test_one_without_tls_is_not(without_tls, root):
    for query in ("", f"?sslrootcert={root}"):
        with pytest.raises(StoreError, match="SSL"):
            Waiting(PostgreSQLStore(f"postgresql://postgres@localhost:{without_tls}/postgres{query}"))
