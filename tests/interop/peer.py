"""What a peer is: another implementation of CMS, and a list of what it can't do.

A peer names keys and certificates as `tests.pki` does, signature schemes, key transports and ciphers as the
tables in `slixmpp_e2e.cms` do.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import pytest

from tests.pki import PKI, Entity

Operation = Literal["sign", "verify", "encrypt", "decrypt"]
#: How a recipient is named: features as schemes and ciphers are.
ISSUER_AND_SERIAL = "issuerAndSerial"
KEY_IDENTIFIER = "subjectKeyIdentifier"
#: With RSA keys: features too, as the kinds of signature are.
PSS = frozenset({"rsa-pss-sha256", "rsa-pss-sha384", "rsa-pss-sha512"})
OAEP = frozenset({"rsa-oaep-sha1", "rsa-oaep-sha256", "rsa-oaep-sha384", "rsa-oaep-sha512"})
#: How content is encrypted so that changes are seen: features too.
GCM = frozenset({"aes128-gcm", "aes192-gcm", "aes256-gcm"})
#: How elliptic curve keys receive: features too.
ON_X25519 = "x25519-hkdf-sha256"
AGREEMENTS = frozenset({"ecdh-sha1kdf", "ecdh-sha256kdf", "ecdh-sha384kdf", "ecdh-sha512kdf", ON_X25519})


class PeerError(Exception):
    """The other program refused; the text is its own."""


@dataclass(frozen=True, slots=True)
class Cannot:
    """Something that a peer can't do.

    Either it `says` so when it is asked, and the tests ask; or there is no way to ask, and what one would look
    for is `missing` from its help text, which a test looks for. Both are regular expressions.
    """

    operation: Operation
    #: One of them is enough.
    features: frozenset[str]
    because: str
    says: str = ""
    missing: str = ""

    def __post_init__(self) -> None:
        assert bool(self.says) != bool(self.missing)

    def __str__(self) -> str:
        return f"{self.operation} {'/'.join(sorted(self.features))}"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an envelope is made with; by default what every peer that makes envelopes can do."""

    transport: str = "rsa-pkcs1"
    cipher: str = "aes128-cbc"
    key_identifier: bool = False
    #: BER where the peer has the choice.
    ber: bool = False


class Peer(Protocol):
    """Another implementation. Each operation raises `PeerError` when it refuses."""

    CANNOT: ClassVar[Sequence[Cannot]]

    def __init__(self, pki: PKI, directory: Path) -> None:
        """Get ready in an empty directory; fail the test if the program is not there."""

    def help(self) -> str:
        """Return what it says about its own options."""

    def sign(
        self, content: bytes, signers: Sequence[str], *, scheme: str, detached: bool, ber: bool = False
    ) -> bytes:
        """Return a ContentInfo with a SignedData, the certificates along with it; BER if asked and able."""

    def verify(self, signed: bytes, content: bytes | None) -> bytes:
        """Return what was signed, once signature and certificates are good; `content` for a detached one."""

    def encrypt(self, content: bytes, recipients: Sequence[str], how: Envelope) -> bytes:
        """Return a ContentInfo with an EnvelopedData or AuthEnvelopedData."""

    def decrypt(self, enveloped: bytes, recipient: str) -> bytes:
        """Return the content."""

    def close(self) -> None:
        """End what runs."""


#: Starts a peer, or returns the one that runs.
Start = Callable[[type[Peer]], Peer]


def limit(peer: type[Peer], operation: Operation, features: Iterable[str]) -> Cannot | None:
    """Return why a peer can't do this, or None if it can."""
    wanted = frozenset(features)
    return next(
        (each for each in peer.CANNOT if each.operation == operation and each.features & wanted), None
    )


class Tool:
    """A program that works on files, and the directory where they are."""

    def __init__(self, name: str, package: str, directory: Path) -> None:
        self.program = program(name, package)
        self._directory = directory

    def __getitem__(self, name: str) -> Path:
        """Return the path of a file."""
        return self._directory / name

    def file(self, name: str, content: bytes) -> Path:
        """Write a file, and return its path."""
        self[name].write_bytes(content)
        return self[name]

    def files(self, entities: Iterable[Entity]) -> None:
        """Write certificates and private keys: `juliet.crt` and `juliet.key`."""
        for entity in entities:
            self.file(f"{entity.name}.crt", entity.pem)
            self.file(f"{entity.name}.key", entity.key_pem)

    def run(self, *arguments: str | Path) -> bytes:
        """Run the program, and return what it prints; raise `PeerError`."""
        return run(self.program, *arguments)

    def make(self, option: str, *arguments: str | Path) -> bytes:
        """Run the program, and return what it writes into the file that `option` names; raise `PeerError`."""
        out = self.file("out", b"")
        self.run(*arguments, option, out)
        return out.read_bytes()


def program(name: str, package: str) -> str:
    """Return the path of a program; fail the test if it is not there."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"the program {name!r} is not installed (Debian: {package})", pytrace=False)
    return path


def run(*arguments: str | Path) -> bytes:
    """Run a program and return what it prints; raise `PeerError` with all it says when it fails."""
    done = subprocess.run(arguments, capture_output=True, timeout=60, check=False)
    if done.returncode:
        text = (done.stderr + done.stdout).decode(errors="replace")
        raise PeerError(re.sub(r"\s+", " ", text).strip() or f"{arguments[0]} ended with {done.returncode}")
    return done.stdout
