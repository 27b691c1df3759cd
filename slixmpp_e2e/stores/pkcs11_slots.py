"""PKCS #11 libraries, and the tokens that are in their slots at the moment."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

import pkcs11
from pkcs11 import TokenFlag

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.stores.pkcs11_uri import PKCS11URI

_LOCKS: Final[dict[str, threading.RLock]] = {}


def lock_of(module_path: str) -> threading.RLock:
    """Return what whoever uses a library has to hold."""
    return _LOCKS.setdefault(module_path, threading.RLock())


def find_token(uri: PKCS11URI) -> Any:
    """Return the one token that a URI could mean, as it is now; raise `ConfigurationError`."""
    try:
        library = pkcs11.lib(uri.module_path)
        there = list(_present(library.get_slots(token_present=True)))
    except pkcs11.PKCS11Error as error:
        what = str(error) or type(error).__name__
        raise ConfigurationError(f"{uri.module_path}: the PKCS #11 library can't be used: {what}") from None
    found = [each for each in there if _is_meant(each, uri)]
    if len(found) == 1:
        return found[0]
    named = ", ".join(f"{each.label!r} (serial {serial_of(each)})" for each in there) or "none"
    problem = "several tokens are" if found else "there is no token that is"
    raise ConfigurationError(f"{problem} {uri}; {uri.module_path} has: {named}")


def _present(slots: Iterable[Any]) -> Iterator[Any]:
    for slot in slots:
        with suppress(pkcs11.TokenNotPresent, pkcs11.TokenNotRecognised):
            token = slot.get_token()
            if token.flags & TokenFlag.TOKEN_INITIALIZED:
                yield token


def _is_meant(token: Any, uri: PKCS11URI) -> bool:
    pairs = (
        (uri.token, token.label),
        (uri.serial, serial_of(token)),
        (uri.model, token.model),
        (uri.manufacturer, token.manufacturer_id),
        (uri.slot_id, token.slot.slot_id),
    )
    return all(wanted is None or wanted == found for wanted, found in pairs)


def serial_of(token: Any) -> str:
    """Return the serial number of a token, as a URI has it."""
    return bytes(token.serial).decode("utf-8", "replace").strip()
