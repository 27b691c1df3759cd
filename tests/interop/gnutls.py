"""GnuTLS, through `certtool`: signatures only."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.interop.peer import AGREEMENTS, OAEP, PSS, Cannot, Envelope, Tool
from tests.pki import PKI

_TRANSPORTS = frozenset({"rsa-pkcs1"}) | OAEP | AGREEMENTS
_NO_ENVELOPES = "GnuTLS has PKCS #7 signatures and nothing else of CMS"
_AN_ENVELOPE_OPTION = "(?i)p7-(encrypt|decrypt|envelop)"


class GnuTLS:
    """See `Peer`."""

    CANNOT: ClassVar[Sequence[Cannot]] = (
        Cannot(
            "sign",
            PSS,
            "certtool's --sign-params is for certificates; --p7-sign does not look at it",
            missing="sign-params=str +Sign a (?!certificate with)",
        ),
        Cannot(
            "verify",
            PSS - {"rsa-pss-sha256"},
            "GnuTLS 3.7 takes every RSASSA-PSS of a SignerInfo for one with SHA-256",
            says="Public key signature verification has failed.*RSA-PSS-SHA256",
        ),
        Cannot("encrypt", _TRANSPORTS, _NO_ENVELOPES, missing=_AN_ENVELOPE_OPTION),
        Cannot("decrypt", _TRANSPORTS, _NO_ENVELOPES, missing=_AN_ENVELOPE_OPTION),
    )

    def __init__(self, pki: PKI, directory: Path) -> None:
        self.tool = Tool("certtool", "gnutls-bin", directory)
        # Unlike the others it looks for issuers among the trusted certificates only.
        self._trusted = self.tool.file("trusted.crt", pki.root.pem + pki.intermediate.pem)
        self.tool.files(pki.entities.values())

    def help(self) -> str:
        """See `Peer`."""
        return self.tool.run("--help").decode()

    def sign(
        self, content: bytes, signers: Sequence[str], *, scheme: str, detached: bool, ber: bool = False
    ) -> bytes:
        """See `Peer`."""
        return self._sign(content, signers, scheme=scheme, detached=detached, attributes=True)

    def sign_without_attributes(self, content: bytes, signer: str) -> bytes:
        """Return an opaque SignedData as it comes without `--p7-time`: with no signed attributes."""
        return self._sign(content, [signer], scheme="rsa-sha256", detached=False, attributes=False)

    def _sign(
        self, content: bytes, signers: Sequence[str], *, scheme: str, detached: bool, attributes: bool
    ) -> bytes:
        (signer,) = signers
        return self.tool.make(
            "--outfile",
            *("--p7-detached-sign" if detached else "--p7-sign", "--outder"),
            *("--load-privkey", self.tool[f"{signer}.key"]),
            *("--load-certificate", self.tool[f"{signer}.crt"]),
            *("--hash", scheme.rpartition("-")[2].upper() if "-" in scheme else "SHA512"),
            *(("--p7-time",) if attributes else ()),
            *("--infile", self.tool.file("in", content)),
        )

    def verify(self, signed: bytes, content: bytes | None) -> bytes:
        """See `Peer`."""
        path = self.tool.file("in", signed)
        arguments = ("--inder", "--infile", path, "--load-ca-certificate", self._trusted)
        if content is not None:
            self.tool.run("--p7-verify", *arguments, "--load-data", self.tool.file("content", content))
            return content
        self.tool.run("--p7-verify", *arguments)
        return self.tool.make("--outfile", "--p7-verify", "--p7-show-data", *arguments)

    def encrypt(self, content: bytes, recipients: Sequence[str], how: Envelope) -> bytes:
        """See `Peer`."""
        raise NotImplementedError(_NO_ENVELOPES)

    def decrypt(self, enveloped: bytes, recipient: str) -> bytes:
        """See `Peer`."""
        raise NotImplementedError(_NO_ENVELOPES)

    def close(self) -> None:
        """See `Peer`."""
