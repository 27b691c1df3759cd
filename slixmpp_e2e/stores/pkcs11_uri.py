"""PKCS #11 URIs (RFC 7512): which token, which key in it, and which library knows the way there.

    pkcs11:token=work;object=juliet?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin

Read strictly: what is misspelt, comes twice or is not understood is an error, because a key that is looked for with
less than what was asked could be another one. No complaint quotes a value: it could be a PIN.

**Not** understood, so refused: attributes of libraries and slots other than `slot-id`, `module-name` (where libraries
are is for the system: name the file), `pin-source` as a command, and vendors' own attributes.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, unquote_to_bytes

from slixmpp_e2e.errors import ConfigurationError

SCHEME: Final = "pkcs11:"
#: RFC 7512 2.3: what stands for itself; `&` in the path only, `/`, `?` and `|` in the query only.
_PLAIN: Final = r"A-Za-z0-9\-._~:\[\]@!$'()*+,="
_PATH_VALUE: Final = re.compile(rf"(?:[{_PLAIN}&]|%[0-9A-Fa-f]{{2}})*")
_QUERY_VALUE: Final = re.compile(rf"(?:[{_PLAIN}/?|]|%[0-9A-Fa-f]{{2}})*")
#: What `type` may be: we look for a key and for its certificate, whichever of the two is named.
_TYPES: Final = frozenset({"private", "cert"})
_MAX_SLOT: Final = 2**64 - 1
#: Reads a value; raises `ValueError`.
_Reader: TypeAlias = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class PKCS11URI:
    """A PKCS #11 URI that was read; None for what it leaves open."""

    module_path: str
    token: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    slot_id: int | None = None
    #: The label of the key, or of its certificate.
    object: str | None = None
    id: bytes | None = None
    #: The PIN; never part of a `repr`.
    pin: str | None = field(default=None, repr=False)
    #: The file that holds the PIN.
    pin_file: str | None = None

    def __str__(self) -> str:
        """Say what is looked for, without the PIN and without where it is."""
        named = {
            "token": self.token,
            "manufacturer": self.manufacturer,
            "model": self.model,
            "serial": self.serial,
            "slot-id": self.slot_id,
            "object": self.object,
            "id": self.id.hex() if self.id is not None else None,
        }
        return SCHEME + ";".join(f"{name}={value}" for name, value in named.items() if value is not None)


def parse_uri(uri: str) -> PKCS11URI:
    """Return what a PKCS #11 URI says; raise `ConfigurationError`."""
    if not uri.startswith(SCHEME):
        raise ConfigurationError("pkcs11: not a PKCS #11 URI: it starts with pkcs11: (RFC 7512)")
    path, has_query, query = uri.removeprefix(SCHEME).partition("?")
    found = _read(path.split(";") if path else [], _PATH_VALUE, _PATH)
    asked = _read(query.split("&") if has_query else [], _QUERY_VALUE, _QUERY)
    if "module_path" not in asked:
        raise ConfigurationError(
            "pkcs11: the URI needs module-path, the file of the PKCS #11 library: "
            "pkcs11:token=...;object=...?module-path=/usr/lib/..."
        )
    if "pin" in asked and "pin_file" in asked:  # RFC 7512 2.4
        raise ConfigurationError("pkcs11: pin-value and pin-source exclude each other")
    found.pop("type", None)
    return PKCS11URI(**found, **asked)


def _read(
    attributes: list[str], value_form: re.Pattern[str], known: dict[str, tuple[str, _Reader]]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in _split(attributes, value_form):
        if name not in known:
            raise ConfigurationError(
                f"pkcs11: the URI has an attribute that is not understood here; there are {', '.join(known)}"
            )
        key, read = known[name]
        if key in found:
            raise ConfigurationError(f"pkcs11: the URI has {name} twice")
        try:
            found[key] = read(value)
        except ValueError:
            raise ConfigurationError(f"pkcs11: {name} in the URI can't be read") from None
    return found


def _split(attributes: list[str], value_form: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for attribute in attributes:
        name, equals, value = attribute.partition("=")
        if not equals or not value_form.fullmatch(value):
            raise ConfigurationError(
                "pkcs11: the URI has an attribute that is not NAME=VALUE, or a character that must be "
                "written as % and two hexadecimal digits"
            )
        yield name, value


# --------------------------------------------------------------------------- values


def _text(value: str) -> str:
    """Decode UTF-8; no text of PKCS #11 is empty or holds a NUL."""
    found = unquote(value, errors="strict")
    if not found or "\0" in found:
        raise ValueError("empty, or with NUL")
    return found


def _octets(value: str) -> bytes:
    if not value:
        raise ValueError("empty")
    return unquote_to_bytes(value)


def _number(value: str) -> int:
    if not re.fullmatch("[0-9]{1,20}", value) or int(value) > _MAX_SLOT:
        raise ValueError("not a slot")
    return int(value)


def _type(value: str) -> str:
    if value not in _TYPES:
        raise ValueError("neither a private key nor a certificate")
    return value


def _path(value: str) -> str:
    """Return an absolute path: what it is relative to would depend on who starts the program."""
    found = _text(value)
    if not PurePosixPath(found).is_absolute():
        raise ValueError("relative")
    return found


def _file(value: str) -> str:
    """Return the path of a file: URI (RFC 8089), or an absolute path.

    A URI in a URI is escaped once for each of the two: its path is decoded once more.
    """
    found = _text(value)
    if not found.startswith("file:"):
        return _path(value)
    found = found.removeprefix("file:")
    if found.startswith("//"):
        host, _, rest = found.removeprefix("//").partition("/")
        if host not in {"", "localhost"}:
            raise ValueError("on another machine")
        found = f"/{rest}"
    return _path(found)


#: RFC 7512 2.3: by the name of the attribute, the field of `PKCS11URI` and how it is read.
_PATH: Final[dict[str, tuple[str, _Reader]]] = {
    "token": ("token", _text),
    "manufacturer": ("manufacturer", _text),
    "model": ("model", _text),
    "serial": ("serial", _text),
    "slot-id": ("slot_id", _number),
    "object": ("object", _text),
    "id": ("id", _octets),
    "type": ("type", _type),
}
#: RFC 7512 2.4.
_QUERY: Final[dict[str, tuple[str, _Reader]]] = {
    "module-path": ("module_path", _path),
    "pin-value": ("pin", _text),
    "pin-source": ("pin_file", _file),
}
