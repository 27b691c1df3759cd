"""Bouncy Castle, through a small Java program that is compiled here and then kept running."""

import subprocess
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from tests.interop.peer import ON_X25519, Cannot, Envelope, PeerError, program, run
from tests.pki import PKI

_SOURCE = Path(__file__).with_name("BouncyCastlePeer.java")
_JARS = ("bcprov", "bcutil", "bcpkix")
#: Where Debian puts them.
_JAR_DIRECTORY = Path("/usr/share/java")
_SCHEMES = {
    "rsa-sha1": "SHA1withRSA",
    "rsa-sha256": "SHA256withRSA",
    "rsa-sha384": "SHA384withRSA",
    "rsa-sha512": "SHA512withRSA",
    "rsa-pss-sha256": "SHA256withRSAandMGF1",
    "rsa-pss-sha384": "SHA384withRSAandMGF1",
    "rsa-pss-sha512": "SHA512withRSAandMGF1",
    "ecdsa-sha256": "SHA256withECDSA",
    "ecdsa-sha384": "SHA384withECDSA",
    "ed25519": "Ed25519",
}


class BouncyCastle:
    """See `Peer`."""

    CANNOT: ClassVar[Sequence[Cannot]] = (
        Cannot(
            "encrypt",
            frozenset({ON_X25519}),
            "Bouncy Castle 1.72 does not know RFC 8418",
            says="Unknown key agreement algorithm",
        ),
        Cannot(
            "decrypt",
            frozenset({ON_X25519}),
            "Bouncy Castle 1.72 does not know RFC 8418: it wants an ephemeral EC key",
            says="originator key invalid",
        ),
    )

    def __init__(self, pki: PKI, directory: Path) -> None:
        java, javac = program("java", "default-jre-headless"), program("javac", "default-jdk-headless")
        jars = [_JAR_DIRECTORY / f"{name}.jar" for name in _JARS]
        for jar in jars:
            if not jar.exists():
                pytest.fail(
                    f"Bouncy Castle's {jar.name} is not installed (Debian: libbcpkix-java)", pytrace=False
                )
        class_path = ":".join(map(str, (*jars, directory)))
        run(javac, "-cp", class_path, "-d", directory, _SOURCE)
        self._pki = pki
        # the two options let a JVM that lives for seconds only start faster
        self._process = subprocess.Popen(
            [java, "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", class_path, _SOURCE.stem],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _ask(self, command: str, *arguments: bytes | str | bool) -> bytes:
        """Send one line, read one line: words, of which octets are base64."""
        words = [command]
        for each in arguments:
            if isinstance(each, bytes):
                words.append(b64encode(each).decode() or "-")
            else:
                words.append(each if isinstance(each, str) else str(each).lower())
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        verdict, _, rest = self._process.stdout.readline().strip().partition(" ")
        if verdict != "OK":
            raise PeerError(rest or f"{_SOURCE.stem} ended")
        return b64decode(rest)

    def help(self) -> str:
        """See `Peer`."""
        return _SOURCE.read_text()

    def sign(
        self, content: bytes, signers: Sequence[str], *, scheme: str, detached: bool, ber: bool = False
    ) -> bytes:
        """See `Peer`."""
        who = [self._pki[name] for name in signers]
        return self._ask(
            *("sign", _SCHEMES[scheme], detached, ber, content, self._pki.intermediate.der),
            *(part for entity in who for part in (entity.key_der, entity.der)),
        )

    def verify(self, signed: bytes, content: bytes | None) -> bytes:
        """See `Peer`."""
        return self._ask("verify", signed, content is not None, content or b"", self._pki.intermediate.der)

    def encrypt(self, content: bytes, recipients: Sequence[str], how: Envelope) -> bytes:
        """See `Peer`."""
        certificates = (self._pki[name].der for name in recipients)
        return self._ask(
            *("encrypt", how.transport, how.cipher, how.key_identifier, how.ber, content), *certificates
        )

    def decrypt(self, enveloped: bytes, recipient: str) -> bytes:
        """See `Peer`."""
        entity = self._pki[recipient]
        return self._ask("decrypt", enveloped, entity.key_der, entity.der)

    def close(self) -> None:
        """See `Peer`."""
        self._process.communicate(timeout=10)
