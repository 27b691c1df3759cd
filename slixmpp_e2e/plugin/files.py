"""The files that options name, and the certificates in them.

An option names a file, a directory of certificates, or a list of them; a file holds certificates in PEM, or one
in DER. Every complaint is a `ConfigurationError` that names the option or the file. **Not** checked here:
whether anything in them is to be trusted.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.cms.certificates import ParsedCertificate, read_certificates
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.media.addresses import bare

#: What counts in a directory.
_SUFFIXES: Final = frozenset({".pem", ".crt", ".cer", ".der"})


def read_octets(path: str | os.PathLike[str], option: str) -> bytes:
    """Return what is in the file that an option names; raise `ConfigurationError`."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{option}: {error.strerror}: {path}") from error


def read_files(value: Any, option: str) -> list[list[x509.Certificate]]:
    """Return the certificates that an option names, file by file; raise `ConfigurationError`."""
    return [_certificates(path, option) for path in _paths(value, option)]


def read_all(value: Any, option: str) -> list[x509.Certificate]:
    """Return the certificates that an option names, all in one; raise `ConfigurationError`."""
    return [each for group in read_files(value, option) for each in group]


def read_pins(value: Any) -> tuple[dict[str, frozenset[bytes]], list[x509.Certificate]]:
    """Return the fingerprints (SHA-256) that are pinned for each bare JID, and the certificates.

    `value` is a mapping of JIDs to files, or files whose certificates say themselves whom they are for. Raises
    `ConfigurationError`, also for a JID without a certificate: nothing would then be pinned for it.
    """
    if isinstance(value, Mapping):
        pairs = [(_jid(jid), each) for jid, files in value.items() for each in _pinned(jid, files)]
    else:
        pairs = [
            (jid, each)
            for path in _paths(value, "pins")
            for each in _certificates(path, "pins")
            for jid in _names(each, path)
        ]
    found: dict[str, frozenset[bytes]] = {}
    for jid, certificate in pairs:
        try:
            fingerprint = ParsedCertificate.from_x509(certificate).fingerprint
        except CertificateError as error:
            raise ConfigurationError(f"pins for {jid}: {error}") from error
        found[jid] = found.get(jid, frozenset()) | {fingerprint}
    return found, [certificate for _, certificate in pairs]


def paths_of(value: Any, option: str) -> list[Path]:
    """Return the files and directories that an option names; raise `ConfigurationError` for what is not there."""
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [path for each in value for path in paths_of(each, option)]
    if not isinstance(value, (str, os.PathLike)):
        raise ConfigurationError(f"{option} can't be {value!r}")
    path = Path(value)
    if not path.exists():
        raise ConfigurationError(f"{option}: there is no {path}")
    return [path]


def _paths(value: Any, option: str) -> list[Path]:
    """Return the files that an option names; of a directory, those that look like certificates."""
    found: list[Path] = []
    for path in paths_of(value, option):
        if path.is_dir():
            found += sorted(each for each in path.iterdir() if each.suffix.lower() in _SUFFIXES)
        else:
            found.append(path)
    return found


def _certificates(path: Path, option: str) -> list[x509.Certificate]:
    try:
        return read_certificates(read_octets(path, option))
    except CertificateError as error:
        raise ConfigurationError(f"{option}: {path}: {error}") from error


def _pinned(jid: Any, files: Any) -> list[x509.Certificate]:
    found = read_all(files, "pins")
    if not found:
        raise ConfigurationError(f"pins: there is no certificate for {jid}")
    return found


def _jid(jid: Any) -> str:
    try:
        return bare(jid)
    except (TypeError, ValueError):
        raise ConfigurationError(f"pins: {jid!r} is no JID") from None


def _names(certificate: x509.Certificate, path: Path) -> frozenset[str]:
    found = certificate_jids(certificate)
    if not found:
        raise ConfigurationError(
            f"pins: the certificate in {path} names no JID; write a mapping of JIDs to files"
        )
    return found
