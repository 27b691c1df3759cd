"""GnuTLS, through `certtool`: signatures only."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.interop.peer import AGREEMENTS, Cannot, program, run
from tests.pki import PKI

_TRANSPORTS = frozenset({"rsa-pkcs1", "rsa-oaep-sha1", "rsa-oaep-sha256"}) | AGREEMENTS
_NO_ENVELOPES = "GnuTLS has PKCS #7 signatures and nothing else of CMS"
_AN_ENVELOPE_OPTION = "(?i)p7-(encrypt|decrypt|envelop)"


class GnuTLS:
    """See `Peer`."""

    CANNOT: ClassVar[Sequence[Cannot]] = (
        Cannot(
            "sign",
            frozenset({"rsa-pss-sha256"}),
            "certtool's --sign-params is for certificates; --p7-sign does not look at it",
            missing="sign-params=str +Sign a (?!certificate with)",
        ),
        Cannot("encrypt", _TRANSPORTS, _NO_ENVELOPES, missing=_AN_ENVELOPE_OPTION),
        Cannot("decrypt", _TRANSPORTS, _NO_ENVELOPES, missing=_AN_ENVELOPE_OPTION),
    )

    def __init__(self, pki: PKI, directory: Path) -> None:
        self._program = program("certtool", "gnutls-bin")
        self._directory = directory
        # Unlike the others it looks for issuers among the trusted certificates only.
        self._trusted = self._file("trusted.crt", pki.root.pem + pki.intermediate.pem)
        for entity in pki.entities.values():
            self._file(f"{entity.name}.crt", entity.pem)
            self._file(f"{entity.name}.key", entity.key_pem)

    def _file(self, name: str, content: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(content)
        return path

    def help(self) -> str:
        """See `Peer`."""
        return run(self._program, "--help").decode()

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
        out = self._file("out", b"")
        run(
            *(self._program, "--p7-detached-sign" if detached else "--p7-sign", "--outder", "--outfile", out),
            *("--load-privkey", self._directory / f"{signer}.key"),
            *("--load-certificate", self._directory / f"{signer}.crt"),
            *("--hash", scheme.rpartition("-")[2].upper() if "-" in scheme else "SHA512"),
            *(("--p7-time",) if attributes else ()),
            *("--infile", self._file("in", content)),
        )
        return out.read_bytes()

    def verify(self, signed: bytes, content: bytes | None) -> bytes:
        """See `Peer`."""
        path = self._file("in", signed)
        arguments = ("--inder", "--infile", path, "--load-ca-certificate", self._trusted)
        if content is not None:
            run(self._program, "--p7-verify", *arguments, "--load-data", self._file("content", content))
            return content
        run(self._program, "--p7-verify", *arguments)
        out = self._file("out", b"")
        run(self._program, "--p7-verify", "--p7-show-data", *arguments, "--outfile", out)
        return out.read_bytes()

    def encrypt(
        self,
        content: bytes,
        recipients: Sequence[str],
        *,
        transport: str,
        cipher: str,
        key_identifier: bool = False,
        ber: bool = False,
    ) -> bytes:
        """See `Peer`."""
        raise NotImplementedError(_NO_ENVELOPES)

    def decrypt(self, enveloped: bytes, recipient: str) -> bytes:
        """See `Peer`."""
        raise NotImplementedError(_NO_ENVELOPES)

    def close(self) -> None:
        """See `Peer`."""
