"""From the options of `register_plugin` to the objects that do the work: the only place that reads files.

Every complaint names the option, the file and what to do about it.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from slixmpp_e2e.certificates.identity import (
    EncryptionIdentity,
    Identity,
    load_encryption_pem,
    load_pem,
    load_pkcs12,
)
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.peers import index_by_name
from slixmpp_e2e.certificates.store import MemoryStore, Store
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.cms.algorithms import CIPHERS_BY_NAME
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.recipients import TRANSPORTS
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.protection import Options, Protection
from slixmpp_e2e.stores.sqlite import SQLiteStore

#: The options of the plugin, with their defaults. `docs/configuration.md` describes them.
DEFAULTS: Final[dict[str, Any]] = {
    "certificate": None,
    "private_key": None,
    "pkcs12": None,
    "password": None,
    "encryption_certificate": None,
    "encryption_private_key": None,
    "trust": "pkix",
    "trust_anchors": None,
    "intermediates": None,
    "pins": None,
    "peer_certificates": None,
    "store": None,
    "policy": {"*": "opportunistic"},
    "signature": None,
    "cipher": "auto",
    "key_transport": "auto",
    "allow_sha1": False,
    "allow_3des": False,
    "allow_early_draft": False,
    "encrypt_to_self": "auto",
    "request_certificates": True,
    "window": 300,
    "deliver_stale": False,
    "send_errors": True,
    "hints": True,
    "fallback_body": None,
    "max_stanza_size": 200_000,
    "clock": time.time_ns,
}

_AUTO: Final = "auto"
_PATH: Final = (str, os.PathLike, type(None))
_FILES: Final = (str, os.PathLike, list, tuple, type(None))
_TYPES: Final[dict[str, Any]] = {
    "certificate": _PATH,
    "private_key": _PATH,
    "pkcs12": _PATH,
    "password": (str, bytes, type(None)),
    "encryption_certificate": _PATH,
    "encryption_private_key": _PATH,
    "trust_anchors": _FILES,
    "intermediates": _FILES,
    "pins": (*_FILES, Mapping),
    "peer_certificates": _FILES,
    "policy": Mapping,
    "signature": (str, type(None)),
    "cipher": str,
    "key_transport": str,
    "encrypt_to_self": (bool, str),
    "window": int,
    "fallback_body": (str, type(None)),
    "max_stanza_size": int,
    "clock": Callable,
}

_CERTIFICATE_FILES: Final = frozenset({".pem", ".crt", ".cer", ".der"})


def check_options(config: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` for an option that does not exist: a misspelt one would be silently unsafe."""
    unknown = sorted(config.keys() - DEFAULTS.keys())
    if unknown:
        raise ConfigurationError(
            f"unknown option {', '.join(unknown)}; there are {', '.join(sorted(DEFAULTS))}"
        )


def _check_types(config: Mapping[str, Any]) -> None:
    for option, kind in _TYPES.items():
        if not isinstance(config[option], kind) or (kind is int and isinstance(config[option], bool)):
            raise ConfigurationError(f"{option} can't be {config[option]!r}")
    if config["encrypt_to_self"] not in {True, False, _AUTO}:
        raise ConfigurationError('encrypt_to_self is True, False or "auto"')


def build_protection(config: Mapping[str, Any]) -> Protection:
    """Return the protection that the options describe; raise `ConfigurationError` or `StoreError`."""
    check_options(config)
    _check_types(config)
    identity = load_identity(config)
    clock: Callable[[], int] = config["clock"]
    peers = [_certificates(path) for path in _files(config["peer_certificates"], "peer_certificates")]
    pins, pinned = _pins(config["pins"])
    store = _store(config, clock)
    try:
        authority = Authority(store, paths=_paths(config, pins), pins=pins)
        return Protection(
            identity,
            authority,
            store,
            clock,
            options=_options(config),
            configured=index_by_name(
                [[ParsedCertificate.from_x509(each) for each in group] for group in (*peers, pinned)]
            ),
        )
    except CertificateError as error:
        store.close()
        raise ConfigurationError(str(error)) from error
    except BaseException:
        store.close()
        raise


# --------------------------------------------------------------------------- parts


def load_identity(config: Mapping[str, Any]) -> Identity:
    """Return our identity: from `certificate` and `private_key`, or from `pkcs12`."""
    password = config["password"].encode() if isinstance(config["password"], str) else config["password"]
    try:
        encryption = _encryption_identity(config, password)
        if config["pkcs12"] is not None:
            return load_pkcs12(
                _read(config["pkcs12"], "pkcs12"),
                password=password,
                scheme=config["signature"],
                encryption=encryption,
            )
        if config["certificate"] is None or config["private_key"] is None:
            raise ConfigurationError(
                "our own certificate is missing: set certificate and private_key, or pkcs12 "
                "(`slixmpp-e2e keygen JID` makes a pair)"
            )
        return load_pem(
            _read(config["certificate"], "certificate"),
            _read(config["private_key"], "private_key"),
            password=password,
            scheme=config["signature"],
            encryption=encryption,
        )
    except CertificateError as error:
        source = config["pkcs12"] or f"{config['certificate']} and {config['private_key']}"
        raise ConfigurationError(f"{source}: {error}") from error


def _encryption_identity(config: Mapping[str, Any], password: bytes | None) -> EncryptionIdentity | None:
    certificate, private_key = config["encryption_certificate"], config["encryption_private_key"]
    if certificate is None and private_key is None:
        return None
    if certificate is None or private_key is None:
        raise ConfigurationError("encryption_certificate and encryption_private_key need each other")
    try:
        return load_encryption_pem(
            _read(certificate, "encryption_certificate"),
            _read(private_key, "encryption_private_key"),
            password=password,
        )
    except CertificateError as error:
        raise ConfigurationError(f"{certificate} and {private_key}: {error}") from error


def _paths(config: Mapping[str, Any], pins: Mapping[str, frozenset[bytes]]) -> PathValidator | None:
    match config["trust"]:
        case "pinned":
            if config["trust_anchors"] is not None:
                raise ConfigurationError('trust="pinned" and trust_anchors exclude each other')
            return None
        case "pkix":
            pass
        case other:
            raise ConfigurationError(f'trust is "pkix" or "pinned", not {other!r}')
    anchors = [
        each for path in _files(config["trust_anchors"], "trust_anchors") for each in _certificates(path)
    ]
    if not anchors:
        if pins:
            return None
        raise ConfigurationError(
            "nobody could be trusted: set trust_anchors to the CA's certificate, or pins to those of the peers"
        )
    between = [
        each for path in _files(config["intermediates"], "intermediates") for each in _certificates(path)
    ]
    return PathValidator(anchors, between)


def _pins(option: Any) -> tuple[dict[str, frozenset[bytes]], list[x509.Certificate]]:
    """Read pins: a mapping of JIDs to files, or files whose certificates say themselves whom they are for."""
    found: dict[str, frozenset[bytes]] = {}
    certificates: list[x509.Certificate] = []
    if isinstance(option, Mapping):
        pairs = [(bare(jid), each) for jid, path in option.items() for each in _certificates(Path(path))]
    else:
        pairs = [
            (jid, each)
            for path in _files(option, "pins")
            for each in _certificates(path)
            for jid in _named(path, each)
        ]
    for jid, certificate in pairs:
        fingerprint = ParsedCertificate.from_x509(certificate).fingerprint
        found[jid] = found.get(jid, frozenset()) | {fingerprint}
        certificates.append(certificate)
    return found, certificates


def _named(path: Path, certificate: x509.Certificate) -> frozenset[str]:
    found = certificate_jids(certificate)
    if not found:
        raise ConfigurationError(
            f"pins: the certificate in {path} names no JID; write a mapping of JIDs to files"
        )
    return found


def _store(config: Mapping[str, Any], clock: Callable[[], int]) -> Store:
    option = config["store"]
    if option == "memory":
        return MemoryStore(started=clock())
    if option is None:
        beside = Path(os.fspath(config["private_key"] or config["pkcs12"]))
        return SQLiteStore(beside.with_name(f"{beside.stem}.e2e.db"))
    if isinstance(option, str):
        scheme, separator, path = option.partition(":///")
        if scheme == "sqlite" and separator:
            return SQLiteStore(Path(path))
        raise ConfigurationError(f'store is "memory", "sqlite:///PATH" or a store object, not {option!r}')
    store: Store = option
    return store


def _options(config: Mapping[str, Any]) -> Options:
    cipher, transport = config["cipher"], config["key_transport"]
    if cipher not in {_AUTO, *CIPHERS_BY_NAME} or transport not in {_AUTO, *TRANSPORTS}:
        raise ConfigurationError(
            f"{cipher} or {transport} is unknown; ciphers: auto, {', '.join(CIPHERS_BY_NAME)}; "
            f"key transports: auto, {', '.join(TRANSPORTS)}"
        )
    return Options(
        cipher=CIPHERS_BY_NAME.get(cipher),
        transport=TRANSPORTS.get(transport),
        allow_sha1=bool(config["allow_sha1"]),
        allow_3des=bool(config["allow_3des"]),
        allow_early_draft=bool(config["allow_early_draft"]),
        encrypt_to_self=config["encrypt_to_self"] is True,
        open_repeated=bool(config["deliver_stale"]),
        window=int(config["window"]) * SECOND,
    )


# --------------------------------------------------------------------------- files


def _read(path: str | os.PathLike[str], option: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{option}: {error.strerror}: {path}") from error


def _files(option: Any, name: str) -> list[Path]:
    """Return the files that an option names: a file, a directory, or several of them."""
    if option is None:
        return []
    if isinstance(option, (list, tuple)):
        return [path for each in option for path in _files(each, name)]
    path = Path(option)
    if not path.exists():
        raise ConfigurationError(f"{name}: there is no {path}")
    if not path.is_dir():
        return [path]
    return sorted(each for each in path.iterdir() if each.suffix.lower() in _CERTIFICATE_FILES)


def _certificates(path: Path) -> list[x509.Certificate]:
    data = _read(path, "certificates")
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except ValueError as error:
        raise ConfigurationError(f"{path}: not a certificate in PEM or DER: {error}") from error
