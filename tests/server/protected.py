"""Clients with the plugin, and the certificates that they need."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import slixmpp
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import slixmpp_e2e
from slixmpp_e2e.certificates.issue import (
    CertificationAuthority,
    certificate_request,
    create_intermediate,
    create_root,
    issue_certificate,
)
from slixmpp_e2e.certificates.keys import generate_key

_NOW: Final = dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class PKI:
    """A throw-away CA and the files that it made."""

    directory: Path
    authority: CertificationAuthority

    @property
    def anchors(self) -> Path:
        """The root certificate."""
        return self.directory / "root.pem"

    def options(self, name: str, **more: Any) -> dict[str, Any]:
        """Return the plugin's options for somebody, by the name of the account."""
        return {
            "certificate": self.directory / f"{name}.crt",
            "private_key": self.directory / f"{name}.key",
            "trust_anchors": self.anchors,
            "store": "memory",
            "policy": {"*": "required"},
            "certificate_wait": 0,  # what can't be sent fails at once
            **more,
        }

    def issue(self, name: str, jid: str, algorithm: str = "rsa-2048") -> None:
        """Write a key and a certificate with its chain."""
        key = generate_key(algorithm)
        request = certificate_request(key, [jid])
        certificate = issue_certificate(request, authority=self.authority, now=_NOW)
        chain = [certificate, *self.authority.intermediates]
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
        (self.directory / f"{name}.crt").write_bytes(pem)
        (self.directory / f"{name}.key").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )


def make_pki(directory: Path) -> PKI:
    """Return a root, an intermediate, and certificates for the accounts of the test servers."""
    root = create_root(generate_key("p-256"), "Verona Root CA", now=_NOW, path_length=1)
    pki = PKI(directory, create_intermediate(generate_key("p-256"), "Verona Issuing CA", root=root, now=_NOW))
    pki.anchors.write_bytes(root.certificate.public_bytes(Encoding.PEM))
    for name in ("romeo", "juliet", "mercutio"):
        pki.issue(name, f"{name}@localhost")
    pki.issue("component", "component.localhost")
    return pki


def introduce(pki: PKI, *names: str) -> Path:
    """Return a directory with the certificates of the named ones, as `peer_certificates` takes it."""
    directory = pki.directory / f"known-{'-'.join(names)}"
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / f"{name}.crt").write_bytes((pki.directory / f"{name}.crt").read_bytes())
    return directory


class Failures:
    """Collects what `e2e_error` and `e2e_send_failed` say."""

    def __init__(self, xmpp: slixmpp.BaseXMPP) -> None:
        self.received: list[slixmpp_e2e.ReceiveFailure] = []
        self.sent: list[slixmpp_e2e.SendFailure] = []
        xmpp.add_event_handler("e2e_error", self.received.append)
        xmpp.add_event_handler("e2e_send_failed", self.sent.append)

    @property
    def reasons(self) -> list[str]:
        """Why stanzas were refused."""
        return [failure.reason for failure in self.received]


def protect(xmpp: Any, options: dict[str, Any]) -> Failures:
    """Enable the plugin."""
    xmpp.register_plugin("e2e", options, module=slixmpp_e2e)
    return Failures(xmpp)
