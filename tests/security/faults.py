"""What goes wrong while somebody sends: in our own functions, in what they use, and with the stanza itself."""

import asyncio
import datetime as dt
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e.certificates.issue import certificate_request, issue_certificate
from slixmpp_e2e.certificates.keys import generate_key
from slixmpp_e2e.certificates.peers import PeerCertificates
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.formats import objenc, rfc3923
from slixmpp_e2e.plugin.outbound import Outbound
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.patience import SlowKey
from tests.server.protected import PKI

CANARY: Final = "Kanarienvogel"
#: Whose certificates are good for nothing.
SPOILED: Final = ("expired", "revoked")


class FaultyKey(SlowKey):
    """A private key that can be told to fail."""

    def __init__(self, key: Any, *, is_slow: bool) -> None:
        super().__init__(key, seconds=0)
        self.is_slow = is_slow
        self.is_broken = False

    def _take_time(self) -> None:
        if self.is_broken:
            raise OSError(f"the token was pulled out while it signed {CANARY}")


class FailingResolver:
    """A directory that can't be reached."""

    async def find(self, jid: Any) -> list[bytes]:
        """See `CertificateResolver`."""
        await asyncio.sleep(0)
        raise ConnectionError(f"no route to the certificates of {jid}")


def _nothing(_stage: Any, _faults: ExitStack) -> None:
    pass


def _raises(target: Any, name: str, error: Exception) -> Callable[[Any, ExitStack], None]:
    def fail(*_: Any, **__: Any) -> None:
        raise type(error)(*error.args)  # a new one: its trace would grow

    def set_up(_stage: Any, faults: ExitStack) -> None:
        faults.enter_context(patch.object(target, name, fail))

    return set_up


def _fails_to_encrypt(stage: Any, faults: ExitStack) -> None:
    """Let it fail in whatever format it is written."""
    for target, name in ((rfc3923, "encrypt"), (objenc, "make_mac")):
        _raises(target, name, RuntimeError(f"can't encrypt {CANARY}"))(stage, faults)


def _break_key(stage: Any, faults: ExitStack) -> None:
    stage.key.is_broken = True
    faults.callback(setattr, stage.key, "is_broken", False)


def _fill_disk(stage: Any, faults: ExitStack) -> None:
    """Make the store ask the disk about juliet again, and the disk fail."""
    stage.romeo.plugin["e2e"].protection.peers.forget("juliet@localhost")
    error = StoreError("database or disk is full")
    for name in ("certificates", "announcements", "decisions"):
        _raises(SQLiteStore, name, error)(stage, faults)


#: Texts with a canary, as an exception of a library might quote what it was given.
FAULTS: Final[dict[str, Callable[[Any, ExitStack], None]]] = {
    "nothing": _nothing,
    "unknown": _nothing,  # the resolver raises
    "expired": _nothing,
    "revoked": _nothing,
    "not XML": _nothing,
    "too large": _nothing,
    "cancelled": _nothing,
    "key": _break_key,
    "store": _fill_disk,
    "lookup": _raises(PeerCertificates, "keys", RuntimeError(f"looked up for {CANARY}")),
    "encryption": _fails_to_encrypt,
    "own function": _raises(Protection, "plan", RuntimeError(f"nobody foresaw {CANARY}")),
    "own record": _raises(Outbound, "leaves", RuntimeError(f"nobody foresaw {CANARY}")),
}
#: What makes the stanza itself, or its recipient, impossible.
ALWAYS_FAIL: Final = frozenset(FAULTS) - {"nothing", "cancelled"}


def people(pki: PKI, directory: Path) -> Path:
    """Make certificates that expired or were revoked; return the file with the revocation list."""
    now = dt.datetime.now(dt.UTC)
    serials = []
    for name in SPOILED:
        key = generate_key("p-256")
        request = certificate_request(key, [f"{name}@localhost"])
        certificate = issue_certificate(request, authority=pki.authority, now=now)
        if name == "expired":
            certificate = _of_the_past(certificate, pki, now)
        (pki.directory / f"{name}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        serials.append(certificate.serial_number)
    entry = x509.RevokedCertificateBuilder().serial_number(serials[1]).revocation_date(now).build()
    authority = pki.authority.certificate
    revoked = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now - dt.timedelta(hours=1))
        .next_update(now + dt.timedelta(days=1))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
        )
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_revoked_certificate(entry)
        .sign(pki.authority.private_key, hashes.SHA256())
    )
    path = directory / "revoked.crl"
    path.write_bytes(revoked.public_bytes(Encoding.DER))
    return path


def _of_the_past(certificate: x509.Certificate, pki: PKI, now: dt.datetime) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        certificate.issuer,
        certificate.subject,
        certificate.public_key(),
        certificate.serial_number,
        now - dt.timedelta(days=2),
        now - dt.timedelta(days=1),
        list(certificate.extensions),
    )
    return builder.sign(pki.authority.private_key, hashes.SHA256())
