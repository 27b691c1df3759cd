"""OpenSSL 3.0, through `openssl cms`."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.interop.peer import ON_X25519, Cannot, Envelope, Tool
from tests.pki import PKI

_SIGN = {
    "rsa-sha1": ("-md", "sha1"),
    "rsa-sha256": ("-md", "sha256"),
    "rsa-sha384": ("-md", "sha384"),
    "rsa-sha512": ("-md", "sha512"),
    "rsa-pss-sha256": ("-md", "sha256", "-keyopt", "rsa_padding_mode:pss"),
    "rsa-pss-sha384": ("-md", "sha384", "-keyopt", "rsa_padding_mode:pss"),
    "rsa-pss-sha512": ("-md", "sha512", "-keyopt", "rsa_padding_mode:pss"),
    "ecdsa-sha256": ("-md", "sha256"),
    "ecdsa-sha384": ("-md", "sha384"),
    "ed25519": ("-md", "sha512"),
}
_TRANSPORT = {
    "rsa-pkcs1": (),
    "rsa-oaep-sha1": ("-keyopt", "rsa_padding_mode:oaep"),
    "rsa-oaep-sha256": ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"),
    "rsa-oaep-sha384": ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha384"),
    "rsa-oaep-sha512": ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha512"),
    "ecdh-sha1kdf": (),  # what it does unless it is told otherwise
    "ecdh-sha256kdf": ("-keyopt", "ecdh_kdf_md:sha256"),
    "ecdh-sha384kdf": ("-keyopt", "ecdh_kdf_md:sha384"),
    "ecdh-sha512kdf": ("-keyopt", "ecdh_kdf_md:sha512"),
    ON_X25519: (),
}


class OpenSSL:
    """See `Peer`."""

    CANNOT: ClassVar[Sequence[Cannot]] = (
        Cannot(
            "sign",
            frozenset({"ed25519"}),
            "OpenSSL 3.0 has Ed25519, but not in CMS (RFC 8419); 3.6 has",
            says="eddsa_digest_signverify_init:invalid digest",
        ),
        Cannot(
            "verify",
            frozenset({"ed25519"}),
            "OpenSSL 3.0 has Ed25519, but not in CMS (RFC 8419); 3.6 has",
            says="eddsa_digest_signverify_init:invalid digest",
        ),
        Cannot(
            "encrypt",
            frozenset({ON_X25519}),
            "OpenSSL does not know RFC 8418: in CMS it takes the key for one like RSA",
            says="evp_pkey_asym_cipher_init:operation not supported for this keytype",
        ),
        Cannot(
            "decrypt",
            frozenset({ON_X25519}),
            "OpenSSL does not know RFC 8418: it looks for another kind of RecipientInfo",
            says="no matching recipient",
        ),
    )

    def __init__(self, pki: PKI, directory: Path) -> None:
        self.tool = Tool("openssl", "openssl", directory)
        self.tool.files((pki.root, pki.intermediate, *pki.entities.values()))

    def _cms(self, *arguments: str | Path) -> bytes:
        return self.tool.make("-out", "cms", "-binary", *arguments)

    def help(self) -> str:
        """See `Peer`."""
        done = subprocess.run([self.tool.program, "cms", "-help"], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def sign(
        self, content: bytes, signers: Sequence[str], *, scheme: str, detached: bool, ber: bool = False
    ) -> bytes:
        """See `Peer`."""
        keys: list[str | Path] = []
        for name in signers:  # -keyopt belongs to the signer before it
            keys += ("-signer", self.tool[f"{name}.crt"], "-inkey", self.tool[f"{name}.key"])
            keys += _SIGN[scheme][2:]
        return self._cms(
            *("-sign", "-in", self.tool.file("in", content), "-outform", "DER"),
            *("-certfile", self.tool["intermediate.crt"]),
            *keys,
            *_SIGN[scheme][:2],
            *(() if detached else ("-nodetach",)),
            *(("-stream",) if ber else ("-noindef",)),
        )

    def verify(self, signed: bytes, content: bytes | None) -> bytes:
        """See `Peer`."""
        return self._cms(
            *("-verify", "-inform", "DER", "-in", self.tool.file("in", signed)),
            *("-CAfile", self.tool["root.crt"], "-purpose", "smimesign"),
            *(() if content is None else ("-content", self.tool.file("content", content))),
        )

    def encrypt(self, content: bytes, recipients: Sequence[str], how: Envelope) -> bytes:
        """See `Peer`."""
        to: list[str | Path] = []
        for name in recipients:  # -keyopt belongs to the recipient before it
            to += ("-recip", self.tool[f"{name}.crt"], *_TRANSPORT[how.transport])
        return self._cms(
            *("-encrypt", "-in", self.tool.file("in", content), "-outform", "DER"),
            "-" + how.cipher.replace("aes", "aes-"),  # -aes-128-cbc
            *to,
            *(("-keyid",) if how.key_identifier else ()),
            *(("-stream",) if how.ber else ("-noindef",)),
        )

    def decrypt(self, enveloped: bytes, recipient: str) -> bytes:
        """See `Peer`."""
        return self._cms(
            *("-decrypt", "-inform", "DER", "-in", self.tool.file("in", enveloped)),
            *("-recip", self.tool[f"{recipient}.crt"], "-inkey", self.tool[f"{recipient}.key"]),
        )

    def close(self) -> None:
        """See `Peer`."""
