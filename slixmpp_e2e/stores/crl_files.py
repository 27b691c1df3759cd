"""Revocation lists from files and directories, read again when they change.

A file that can't be read, or that holds no list any more, is reported once for each of its states; what it held
before stays known. Nothing is ever forgotten because a file is gone or has become an older one.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e.certificates.revocation import Evidence
from slixmpp_e2e.certificates.revocation_list import MAX_OCTETS, RevocationList
from slixmpp_e2e.certificates.revocation_status import Path as CertificatePath
from slixmpp_e2e.errors import CertificateError, ConfigurationError, E2EError

#: What is read of a directory.
SUFFIX: Final = ".crl"
_PEM: Final = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)
#: Time of change, size, inode: what tells one state of a file from another.
_Stamp = tuple[int, int, int]
#: Base64 with line breaks takes this much more than DER.
_ARMOUR: Final = 2


class CRLFiles:
    """A `RevocationSource`: files in DER or PEM (several lists in one are fine), and directories of `*.crl`."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._stamps: dict[Path, _Stamp | None] = {}

    def read(self) -> Evidence:
        """Return what is in files that are new or have changed since they were read last; never raises."""
        lists: list[RevocationList] = []
        problems: list[E2EError] = []
        for path in self._files():
            stamp = _stamp(path)
            if path in self._stamps and self._stamps[path] == stamp:
                continue
            self._stamps[path] = stamp
            try:
                lists += read_lists(path)
            except ConfigurationError as error:
                problems.append(error)
        return Evidence(tuple(lists), tuple(problems))

    async def fetch(self, wanted: Sequence[CertificatePath], *, at: datetime) -> Evidence:
        """See `RevocationSource`; files have what they have."""
        return await asyncio.to_thread(self.read)

    def _files(self) -> Iterator[Path]:
        for path in self._paths:
            try:
                inside = sorted(path.iterdir()) if path.is_dir() else [path]
            except OSError:
                inside = [path]  # reading it says why
            yield from (each for each in inside if each == path or each.suffix.lower() == SUFFIX)


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_lists(path: Path) -> list[RevocationList]:
    """Return the lists in a file; raise `ConfigurationError` if one of them can't be read."""
    try:
        with path.open("rb") as file:
            data = file.read(_ARMOUR * MAX_OCTETS + 1)
    except OSError as error:
        raise ConfigurationError(f"crls: {error.strerror}: {path}") from error
    if len(data) > _ARMOUR * MAX_OCTETS:
        raise ConfigurationError(f"crls: {path} is larger than {_ARMOUR * MAX_OCTETS} octets")
    try:
        return [RevocationList.from_der(der) for der in _lists_in(data)]
    except (CertificateError, ValueError) as error:
        raise ConfigurationError(f"crls: {path}: {error}") from error


def _lists_in(data: bytes) -> Iterator[bytes]:
    """Yield the lists in a file, in DER."""
    if b"-----BEGIN" not in data:
        yield data
        return
    armoured = _PEM.findall(data)
    if not armoured:
        raise ValueError("no X509 CRL in it")
    for each in armoured:
        yield x509.load_pem_x509_crl(each).public_bytes(Encoding.DER)
