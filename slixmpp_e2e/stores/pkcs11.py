"""PKCS #11 tokens (smart cards, security modules): found, opened once, and opened again when they were away.

A library is told nothing of threads, and logging in or out counts for every session of a process. So there is one
`Token` for each token, with one session, and one lock for each library; several keys and several clients share
them. Calls block, as long as the token or the person at it takes: see `is_slow` of the keys (`pkcs11_keys`).

A PIN is asked for once, kept in memory for a token that comes back, and tried once: one that was refused is not tried
again, and the last try before the token locks itself is left to people. It stands in no error and no log line.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import pkcs11
from cryptography import x509
from pkcs11 import Attribute, ObjectClass, TokenFlag
from pkcs11.types import PROTECTED_AUTH

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.stores.pkcs11_objects import (
    PublicKey,
    describe,
    id_of,
    needs_pin_each_time,
    own_key,
    read_certificate,
    read_public_key,
)
from slixmpp_e2e.stores.pkcs11_slots import find_token, lock_of, serial_of
from slixmpp_e2e.stores.pkcs11_uri import PKCS11URI

log = logging.getLogger(__name__)

_T = TypeVar("_T")
#: A PIN, or what asks for it.
PIN: TypeAlias = str | bytes | Callable[[], str | bytes]

#: The session, or what was found in it, is no more: the token was pulled out, or somebody logged us out. Not among
#: them is what a token may also say of bad data (CKR_DEVICE_ERROR): trying that twice would take twice as long.
_LOST: Final = (
    pkcs11.DeviceRemoved,
    pkcs11.KeyHandleInvalid,
    pkcs11.ObjectHandleInvalid,
    pkcs11.OperationActive,
    pkcs11.SessionClosed,
    pkcs11.SessionHandleInvalid,
    pkcs11.SlotIDInvalid,
    pkcs11.TokenNotPresent,
    pkcs11.TokenNotRecognised,
    pkcs11.UserNotLoggedIn,
)
_REFUSED: Final[dict[type[Exception], str]] = {
    pkcs11.PinIncorrect: "it refuses the PIN",
    pkcs11.PinInvalid: "it refuses the PIN",
    pkcs11.PinLenRange: "it refuses the PIN: it is too long or too short",
    pkcs11.PinExpired: "its PIN has expired and must be changed",
    pkcs11.PinLocked: "it is locked, after too many wrong PINs",
    pkcs11.UserPinNotInitialized: "it has no PIN yet",
}

_TOKENS: Final[WeakValueDictionary[tuple[str, str, str], "Token"]] = WeakValueDictionary()


def open_token(uri: PKCS11URI, pin: PIN | None = None) -> "Token":
    """Return the token that a URI names; nobody is asked for a PIN yet.

    The PIN of the URI comes before `pin`. Raises `ConfigurationError` for a library that can't be loaded, and
    where not exactly one token is there that the URI could mean.
    """
    with lock_of(uri.module_path):
        found = find_token(uri)
        identity = uri.module_path, found.label, serial_of(found)
        token = _TOKENS.get(identity)
        if token is None:
            exact = PKCS11URI(uri.module_path, token=found.label or None, serial=serial_of(found) or None)
            token = _TOKENS[identity] = Token(exact)
    if uri.pin_file is not None:
        pin = _PINFile(uri.pin_file)
    elif uri.pin is not None:
        pin = uri.pin
    if pin is not None:
        token.offer(pin)
    return token


@dataclass(frozen=True, slots=True)
class _PINFile:
    """Reads a PIN from the first line of a file."""

    path: str

    def __call__(self) -> bytes:
        try:
            return Path(self.path).read_bytes().partition(b"\n")[0].removesuffix(b"\r")
        except OSError as error:
            raise ConfigurationError(f"the PIN can't be read: {error.strerror}: {self.path}") from None


@dataclass(frozen=True, slots=True)
class Found:
    """What a token says about a private key."""

    #: None if it does not say, or if it is of a kind that is not used here.
    public_key: PublicKey | None
    #: All certificates in the token.
    certificates: list[x509.Certificate]


class Token:
    """A token with one session, which is opened when it is needed. See `open_token`."""

    def __init__(self, uri: PKCS11URI) -> None:
        self._uri = uri
        self._lock = lock_of(uri.module_path)
        self._pin: PIN | None = None
        self._refused = False
        self._session: Any = None
        self._keys: dict[tuple[str | None, bytes | None], tuple[Any, bool]] = {}

    def __str__(self) -> str:
        """Name the token."""
        return str(self._uri)

    def __del__(self) -> None:
        """Log out: a session does not end by itself. Nobody waits for that, if another token is at work."""
        if self._lock.acquire(blocking=False):
            try:
                self._forget()
            finally:
                self._lock.release()

    def offer(self, pin: PIN) -> None:
        """Give the PIN, or what asks for it; another one than before may be tried."""
        with self._lock:
            self._refused = self._refused and pin == self._pin
            if self._session is None:
                self._pin = pin

    # ------------------------------------------------------------------ keys

    def use(self, label: str | None, key_id: bytes | None, operation: Callable[[Any, str | None], _T]) -> _T:
        """Return what an operation does with a private key and, where every use needs it, the PIN.

        It is tried once more if the token was away. Raises `ConfigurationError` when the token or the key is
        not there, or the PIN is refused; and whatever the operation raises.
        """
        with self._lock:
            return self._retried(lambda: operation(*self._key(label, key_id)))

    def find(self, label: str | None, key_id: bytes | None) -> "Found":
        """Log in, and return what the token has about the one private key of this label and id.

        Raises `ConfigurationError` if the token is not there, the PIN is refused, or it is not exactly one key.
        """
        with self._lock:
            try:
                return self._retried(lambda: self._found(self._key(label, key_id)[0]))
            except pkcs11.PKCS11Error as error:
                raise ConfigurationError(f"{self}: it can't be read ({type(error).__name__})") from None

    def _key(self, label: str | None, key_id: bytes | None) -> tuple[Any, str | None]:
        self._logged_in()
        if (label, key_id) not in self._keys:
            found = self._only(label, key_id)
            self._keys[label, key_id] = found, needs_pin_each_time(found)
        key, each_time = self._keys[label, key_id]
        return key, (self._pin if each_time and isinstance(self._pin, str) else None)

    def _only(self, label: str | None, key_id: bytes | None) -> Any:
        found = self._objects(ObjectClass.PRIVATE_KEY, label, key_id)
        if len(found) == 1:
            return found[0]
        there = describe(self._objects(ObjectClass.PRIVATE_KEY))
        wanted = PKCS11URI("", object=label, id=key_id)
        problem = "several private keys are" if found else "there is no private key that is"
        raise ConfigurationError(f"{self}: {problem} {wanted}; the token has {there}")

    def _found(self, key: Any) -> "Found":
        certificates = [
            (each, certificate)
            for each in self._objects(ObjectClass.CERTIFICATE)
            if (certificate := read_certificate(each)) is not None
        ]
        public = read_public_key(key)
        key_id = id_of(key)
        if public is None and key_id:
            named = [read_public_key(each) for each in self._objects(ObjectClass.PUBLIC_KEY, None, key_id)]
            named += [own_key(certificate) for each, certificate in certificates if id_of(each) == key_id]
            public = next((each for each in named if each is not None), None)
        return Found(public, [certificate for _, certificate in certificates])

    def _objects(self, kind: ObjectClass, label: str | None = None, key_id: bytes | None = None) -> list[Any]:
        template: dict[Attribute, Any] = {Attribute.CLASS: kind}
        if label is not None:
            template[Attribute.LABEL] = label
        if key_id is not None:
            template[Attribute.ID] = key_id
        return list(self._logged_in().get_objects(template))

    # ------------------------------------------------------------------ the session

    def _retried(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except _LOST as error:
            log.info("%s: the session is lost (%s), a new one is opened", self, type(error).__name__)
        self._forget()
        try:
            return work()
        except _LOST as error:
            self._forget()
            raise ConfigurationError(f"{self}: the token is not there ({type(error).__name__})") from None

    def _forget(self) -> None:
        session, self._session = self._session, None
        self._keys.clear()
        if session is not None:
            with suppress(RuntimeError):  # PKCS11Error is one, and so is what comes when the program ends
                session.close()

    def _logged_in(self) -> Any:
        """Return the session."""
        if self._session is None:
            found = find_token(self._uri)
            self._session = self._open(found, self._ask(found))
        return self._session

    def _open(self, found: Any, pin: Any) -> Any:
        try:
            try:
                return found.open(user_pin=pin)
            except pkcs11.UserAlreadyLoggedIn:  # by something else in this process
                return found.open()
        except tuple(_REFUSED) as error:
            self._refused = True
            raise ConfigurationError(f"{self}: {_REFUSED[type(error)]}") from None
        except _LOST:
            raise
        except pkcs11.PKCS11Error as error:
            raise ConfigurationError(f"{self}: it can't be opened ({type(error).__name__})") from None

    def _ask(self, found: Any) -> Any:
        """Return the PIN for a token as it is now, or None if it needs none; raise `ConfigurationError`."""
        if found.flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH:
            return PROTECTED_AUTH
        if not found.flags & TokenFlag.LOGIN_REQUIRED:
            return None
        if found.flags & TokenFlag.USER_PIN_LOCKED:
            raise ConfigurationError(f"{self}: it is locked, after too many wrong PINs")
        if self._refused:
            raise ConfigurationError(f"{self}: it refused the PIN, which is not tried again")
        if found.flags & TokenFlag.USER_PIN_FINAL_TRY:
            raise ConfigurationError(
                f"{self}: one more wrong PIN would lock it; log in with another program first"
            )
        if self._pin is None:
            raise ConfigurationError(f"{self}: it needs a PIN: set password, or pin-source in the URI")
        if callable(self._pin):
            self._pin = self._ask_somebody(self._pin)
        if isinstance(self._pin, bytes):
            self._pin = self._decode(self._pin)
        return self._pin

    def _ask_somebody(self, ask: Callable[[], str | bytes]) -> str | bytes:
        try:
            pin = ask()
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 a program's own function; its words could hold the PIN
            raise ConfigurationError(f"{self}: nobody gave a PIN ({type(error).__name__})") from None
        if not isinstance(pin, (str, bytes)):
            raise ConfigurationError(f"{self}: what asks for the PIN returned neither str nor bytes")
        return pin

    def _decode(self, pin: bytes) -> str:
        try:
            return pin.decode()
        except UnicodeDecodeError:
            raise ConfigurationError(f"{self}: the PIN is not UTF-8") from None
