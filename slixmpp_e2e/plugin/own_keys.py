"""From the options to our own keys: in files, in PKCS #11 tokens, or brought along as objects.

A private key that is an object has the interface of `cryptography`'s private keys, as far as it is used:
`public_key`, and `sign`, `decrypt` or `exchange`. It is used as it is. Every complaint is a `ConfigurationError` that
names the option or the file; none quotes a password or a PIN.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from cryptography import x509

from slixmpp_e2e.certificates.identity import (
    EncryptionIdentity,
    Identity,
    encryption_identity,
    identity,
    load_encryption_pem,
    load_encryption_pkcs12,
    load_pem,
    load_pkcs12,
    own_certificate,
)
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.plugin.files import read_files, read_octets
from slixmpp_e2e.stores.pkcs11_uri import SCHEME, parse_uri

_ENCRYPTED: Final = b"ENCRYPTED"
_CHAIN: Final = 8
#: The options that make up one identity.
_OF_AN_IDENTITY: Final = frozenset(
    {
        *("certificate", "private_key", "pkcs12", "pkcs11", "password", "signature"),
        *("encryption_certificate", "encryption_private_key"),
    }
)
#: A private key, its certificate, and what else stood beside it.
_Own = tuple[Any, x509.Certificate, list[x509.Certificate]]


@runtime_checkable
class PrivateKeyObject(Protocol):
    """What a private key that is no file must have at least."""

    def public_key(self) -> Any:
        """Return the public half, of one of `cryptography`'s classes."""


def key_file(config: Mapping[str, Any]) -> Path | None:
    """Return the file of our private key; None if it is in a token or an object."""
    found = config["private_key"] if config["private_key"] is not None else config["pkcs12"]
    return Path(found) if is_file(found) else None


def is_file(value: Any) -> bool:
    """Tell whether the value of an option is a path: neither None, nor an object, nor a PKCS #11 URI."""
    return isinstance(value, os.PathLike) or (isinstance(value, str) and not value.startswith(SCHEME))


def load_identity(config: Mapping[str, Any]) -> Identity:
    """Return our identity: of `pkcs12`, `pkcs11`, or `certificate` and `private_key`.

    For a key in a token, the PIN is asked for here. Raises `ConfigurationError`.
    """
    named = [option for option in ("private_key", "pkcs11", "pkcs12") if config[option] is not None]
    if "pkcs11" in named and len(named) > 1:
        raise ConfigurationError(f"{' and '.join(named)} exclude each other")
    if config["pkcs11"] is not None:
        parse_uri(config["pkcs11"])
    password = _Password(config["password"])
    try:
        encryption = _encryption_identity(config, password)
        if config["pkcs12"] is not None:
            return load_pkcs12(
                read_octets(config["pkcs12"], "pkcs12"),
                password=password.read(),
                scheme=config["signature"],
                encryption=encryption,
            )
        key = config["pkcs11"] or config["private_key"]
        if key is None or (config["certificate"] is None and not _is_uri(key)):
            raise ConfigurationError(
                "our own certificate is missing: set certificate and private_key, pkcs12 or pkcs11 "
                "(`slixmpp-e2e keygen JID` makes a pair)"
            )
        if not is_file(key):
            own = _own(key, config["certificate"], "certificate", password)
            return identity(*own, scheme=config["signature"], encryption=encryption)
        return load_pem(
            read_octets(config["certificate"], "certificate"),
            read_octets(key, "private_key"),
            password=password.read(),
            scheme=config["signature"],
            encryption=encryption,
        )
    except CertificateError as error:
        source = config["pkcs12"] or _named(config["certificate"], config["pkcs11"] or config["private_key"])
        raise ConfigurationError(f"{source}: {error}") from error


def hosted_options(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the options of each identity of `hosted`, whole; raise `ConfigurationError`."""
    found = []
    for each in config["hosted"] or ():
        if not isinstance(each, Mapping) or each.keys() - _OF_AN_IDENTITY:
            raise ConfigurationError(
                f"hosted is a list of mappings with {', '.join(sorted(_OF_AN_IDENTITY))}"
            )
        found.append({**defaults, **each})
    return found


def load_older_keys(config: Mapping[str, Any]) -> list[EncryptionIdentity]:
    """Return the keys of `older_keys`, which only decrypt; their certificates may have expired.

    `password` is for those that are encrypted. Raises `ConfigurationError`.
    """
    password = _Password(config["password"])
    return [_older(each, password) for each in config["older_keys"] or ()]


def _older(entry: Any, password: "_Password") -> EncryptionIdentity:
    option = "older_keys"
    source = ""
    try:
        match entry:
            case str() | os.PathLike():
                source = str(entry)
                return load_encryption_pkcs12(read_octets(entry, option), password=password.read())
            case (certificate, key) if key is not None and (is_file(certificate) or _is_uri(key)):
                source = _named(certificate, key)
                return _receiving(certificate, key, (option, option), password)
    except CertificateError as error:
        raise ConfigurationError(f"{option}: {source}: {error}") from error
    raise ConfigurationError(f"{option} is a list of PKCS #12 files and pairs (certificate, private key)")


def _encryption_identity(config: Mapping[str, Any], password: "_Password") -> EncryptionIdentity | None:
    options = "encryption_certificate", "encryption_private_key"
    certificate, key = (config[option] for option in options)
    if certificate is None and key is None:
        return None
    if key is None or (certificate is None and not _is_uri(key)):
        raise ConfigurationError("encryption_certificate and encryption_private_key need each other")
    try:
        return _receiving(certificate, key, options, password, is_plain=config["pkcs11"] is not None)
    except CertificateError as error:
        raise ConfigurationError(f"{_named(certificate, key)}: {error}") from error


def _receiving(
    certificate: Any, key: Any, options: tuple[str, str], password: "_Password", *, is_plain: bool = True
) -> EncryptionIdentity:
    """Return an identity that decrypts; with `is_plain`, a file that is not encrypted needs no password."""
    if not is_file(key):
        return encryption_identity(*_own(key, certificate, options[0], password))
    certificates, data = read_octets(certificate, options[0]), read_octets(key, options[1])
    asked = _ENCRYPTED in data or not is_plain
    return load_encryption_pem(certificates, data, password=password.read() if asked else None)


def _own(key: Any, certificate: Any, option: str, password: "_Password") -> _Own:
    """Return what belongs to a key in a token or an object; raise `ConfigurationError` or `CertificateError`."""
    there: list[x509.Certificate] = []
    if _is_uri(key):
        key, there = _token_key(key, password)
    elif not isinstance(key, PrivateKeyObject):
        raise ConfigurationError("a private key is a file, a PKCS #11 URI, or an object with public_key()")
    if certificate is not None:
        beside = [each for group in read_files(certificate, option) for each in group]
        return key, *own_certificate(key, beside)
    newest_first = sorted(there, key=lambda each: each.not_valid_before_utc, reverse=True)
    try:
        found, others = own_certificate(key, newest_first)
    except CertificateError:
        raise CertificateError(f"the token has no certificate of the key: set {option}") from None
    return key, found, _above(found, others)


def _above(certificate: x509.Certificate, others: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return what leads upwards from a certificate: other certificates in a token are nobody's business."""
    found = [certificate]
    while len(found) < _CHAIN:
        issuer = next(
            (each for each in others if each.subject == found[-1].issuer and each not in found), None
        )
        if issuer is None:
            break
        found.append(issuer)
    return found[1:]


def _token_key(uri: str, password: "_Password") -> tuple[Any, list[x509.Certificate]]:
    parsed = parse_uri(uri)
    try:
        from slixmpp_e2e.stores.pkcs11 import open_token  # noqa: PLC0415 an extra
        from slixmpp_e2e.stores.pkcs11_keys import open_key  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "pkcs11: python-pkcs11 is not installed: pip install 'slixmpp_e2e[pkcs11]'"
        ) from error
    return open_key(open_token(parsed, password.as_pin()), parsed)


def _is_uri(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(SCHEME)


def _named(*values: Any) -> str:
    """Name files, tokens and objects for a person; a URI could hold a PIN."""
    return " and ".join(_name(each) for each in values if each is not None)


def _name(value: Any) -> str:
    if _is_uri(value):
        return str(parse_uri(value))
    return str(value) if is_file(value) else f"an object ({type(value).__name__})"


class _Password:
    """The option `password`; if it is a function, that is called once, when it is needed."""

    def __init__(self, value: str | bytes | Callable[[], str | bytes] | None) -> None:
        self._value = value

    def read(self) -> bytes | None:
        """Return the password of files; raise `ConfigurationError`."""
        value = self()
        return value.encode() if isinstance(value, str) else value

    def __call__(self) -> str | bytes | None:
        if callable(self._value):
            try:
                self._value = self._value()
            except Exception as error:  # noqa: BLE001 a program's own function; its words could hold the password
                raise ConfigurationError(f"password: nobody gave it ({type(error).__name__})") from None
        if not isinstance(self._value, (str, bytes, type(None))):
            raise ConfigurationError("password: what asks for it returned neither str nor bytes")
        return self._value

    def as_pin(self) -> Any:
        """Return the PIN of a token, or what asks for it."""
        return self if callable(self._value) else self._value
