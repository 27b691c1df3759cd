"""Files that must not be half written, replaced by accident, or readable by others."""

import os
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from slixmpp_e2e.errors import ConfigurationError

#: How a command line names it.
STANDARD_INPUT: Final = Path("-")
_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644
_LARGEST: Final = 16 * 1024 * 1024


def read_file(path: Path, *, limit: int = _LARGEST) -> bytes:
    """Return the octets of a file; `-` is standard input.

    Raises `OSError`, and `ConfigurationError` for more than `limit` octets.
    """
    if path == STANDARD_INPUT:
        data = sys.stdin.buffer.read(limit + 1)
    else:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    if len(data) > limit:
        raise ConfigurationError(f"{path}: larger than {limit} octets; this is not the file that was meant.")
    return data


def require_absent(paths: Iterable[Path], *, force: bool) -> None:
    """Raise `FileExistsError` if one of the files is there already and may not be replaced.

    Called before any work is done, so that a refusal leaves nothing behind; `write_file()` checks again.
    """
    for path in paths:
        if not force and os.path.lexists(path):
            raise _exists(path)


def write_file(path: Path, data: bytes, *, private: bool, force: bool) -> None:
    """Write a file so that it is there whole or not at all.

    The octets go into a new file beside it, which is readable by its owner only when `private`, from the
    first moment on, and which then takes the name. Missing directories are made, for their owner only.
    Without `force` a file that exists, or came to exist meanwhile, stays.

    Raises `OSError`.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE if private else _PUBLIC)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if force:
            partial.replace(path)
        else:
            _take_name(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _take_name(partial: Path, path: Path) -> None:
    """Give the file its name unless that is taken: a link does both in one step, renaming would replace."""
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # a file system without links
        require_absent([path], force=False)
        partial.rename(path)


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(f"{path} exists already and was not changed; --force replaces it.")
