"""NSS, through `cmsutil`: what Thunderbird reads and writes S/MIME with."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from tests.interop.peer import (
    AGREEMENTS,
    GCM,
    KEY_IDENTIFIER,
    OAEP,
    ON_X25519,
    PSS,
    Cannot,
    Envelope,
    Tool,
    program,
    run,
)
from tests.pki import PKI


class NSS:
    """See `Peer`."""

    CANNOT: ClassVar[Sequence[Cannot]] = (
        Cannot(
            "sign",
            frozenset({"ed25519"}),
            "NSS 3.87 has no Ed25519: it can't even import the key",
            says="the corresponding cert for key .* does not exist",
        ),
        Cannot(
            "verify", frozenset({"ed25519"}), "NSS 3.87 has no Ed25519", says="SEC_ERROR_PKCS7_BAD_SIGNATURE"
        ),
        Cannot("sign", PSS, "cmsutil takes a digest only", missing="(?i)pss|padding"),
        Cannot("encrypt", OAEP, "cmsutil always writes PKCS #1 v1.5", missing="(?i)oaep|padding"),
        Cannot(
            "encrypt",
            GCM | {"aes192-cbc", "aes256-cbc"},
            "cmsutil chooses the cipher by itself: AES-128-CBC",
            missing="(?i)cipher|aes",
        ),
        Cannot(
            "encrypt",
            frozenset({KEY_IDENTIFIER}),
            "cmsutil always names recipients by issuer and serial number",
            missing="(?i)key ?id|subject",
        ),
        Cannot(
            "encrypt",
            AGREEMENTS - {ON_X25519},
            "NSS has key agreement in CMS for Diffie-Hellman in prime fields only",
            says="SEC_ERROR_INVALID_ALGORITHM",
        ),
        Cannot(
            "encrypt",
            frozenset({ON_X25519}),
            "NSS 3.87 has no X25519 in certificates: it can't even import the key",
            says="cannot find certificate",
        ),
        Cannot("decrypt", GCM, "NSS has no AuthEnvelopedData", says="SEC_ERROR_UNRECOGNIZED_OID"),
        Cannot("decrypt", OAEP, "NSS has no OAEP in CMS", says="SEC_ERROR_UNSUPPORTED_KEYALG"),
        Cannot(
            "decrypt",
            AGREEMENTS,
            "NSS reads key agreement in CMS with an ephemeral key in no form",
            says="SEC_ERROR_BAD_DER",
        ),
    )

    def __init__(self, pki: PKI, directory: Path) -> None:
        self.tool = Tool("cmsutil", "libnss3-tools", directory)
        self._database = f"sql:{directory}"
        certutil, pk12util = program("certutil", "libnss3-tools"), program("pk12util", "libnss3-tools")
        run(certutil, "-N", "-d", self._database, "--empty-password")
        for entity, trust in ((pki.root, "C,C,C"), (pki.intermediate, ",,")):
            path = self.tool.file("import", entity.pem)
            run(certutil, "-A", "-n", entity.name, "-t", trust, "-i", path, "-d", self._database)
        for entity in pki.entities.values():
            if isinstance(entity.key, (ed25519.Ed25519PrivateKey, x25519.X25519PrivateKey)):
                continue  # see CANNOT
            lock = BestAvailableEncryption(b"verona")
            packed = pkcs12.serialize_key_and_certificates(
                entity.name.encode(), entity.key, entity.certificate, None, lock
            )
            run(pk12util, "-i", self.tool.file("import", packed), "-d", self._database, "-W", "verona")

    def cmsutil(self, *arguments: str | Path) -> bytes:
        """Return what `cmsutil` writes."""
        return self.tool.make("-o", *arguments, "-d", self._database)

    def help(self) -> str:
        """See `Peer`."""
        return subprocess.run([self.tool.program], capture_output=True, text=True, check=False).stderr

    def sign(
        self, content: bytes, signers: Sequence[str], *, scheme: str, detached: bool, ber: bool = False
    ) -> bytes:
        """See `Peer`; it is always BER."""
        (signer,) = signers
        digest = scheme.rpartition("-")[2].upper() if "-" in scheme else "SHA512"
        arguments = ("-S", "-N", signer, "-H", digest, "-G", "-i", self.tool.file("in", content))
        return self.cmsutil(*arguments, *(("-T",) if detached else ()))

    def verify(self, signed: bytes, content: bytes | None) -> bytes:
        """See `Peer`."""
        detached = () if content is None else ("-c", self.tool.file("content", content))
        return self.cmsutil("-D", "-i", self.tool.file("in", signed), *detached)

    def encrypt(self, content: bytes, recipients: Sequence[str], how: Envelope) -> bytes:
        """See `Peer`; it is always BER."""
        assert (how.cipher, how.key_identifier) == ("aes128-cbc", False)
        assert how.transport in {"rsa-pkcs1", *AGREEMENTS}
        return self.cmsutil("-E", "-r", ",".join(recipients), "-i", self.tool.file("in", content))

    def decrypt(self, enveloped: bytes, recipient: str) -> bytes:
        """See `Peer`; its data base has all keys, and it takes the one that fits."""
        return self.cmsutil("-D", "-i", self.tool.file("in", enveloped))

    def close(self) -> None:
        """See `Peer`."""
