"""From the options of `register_plugin` to the objects that do the work.

Every complaint names the option, the file and what to do about it.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Final

from slixmpp_e2e.certificates.algorithm_dates import AlgorithmDates
from slixmpp_e2e.certificates.mirror import FRESH, Mirror
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.certificates.peers import REMEMBERED, index_by_name
from slixmpp_e2e.certificates.store import MemoryStore, Store
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.cms.algorithms import CIPHERS_BY_NAME
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.recipients import TRANSPORTS, DecryptionKeys
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.freshness import SECOND
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.options import Options
from slixmpp_e2e.plugin.files import read_all, read_files, read_pins
from slixmpp_e2e.plugin.own_keys import (
    PrivateKeyObject,
    hosted_options,
    key_file,
    load_identity,
    load_older_keys,
)
from slixmpp_e2e.plugin.revocation_options import build_checker
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.stores.postgresql import PostgreSQLStore
from slixmpp_e2e.stores.sqlite import SQLiteStore

#: The options of the plugin, with their defaults. `docs/configuration.md` describes them.
DEFAULTS: Final[dict[str, Any]] = {
    "certificate": None,
    "private_key": None,
    "pkcs12": None,
    "pkcs11": None,
    "password": None,
    "encryption_certificate": None,
    "encryption_private_key": None,
    "older_keys": None,
    "hosted": None,
    "trust": "pkix",
    "trust_anchors": None,
    "intermediates": None,
    "pins": None,
    "algorithm_dates": None,
    "crls": None,
    "revocation": "soft",
    "revocation_http": False,
    "revocation_sources": None,
    "peer_certificates": None,
    "store": None,
    "policy": {"*": "opportunistic"},
    "signature": None,
    "format": "rfc3923",
    "formats": ("rfc3923", "objenc"),
    "cipher": "auto",
    "key_transport": "auto",
    "allow_sha1": False,
    "allow_3des": False,
    "allow_early_draft": False,
    "allow_objenc_pkcs1": False,
    "encrypt_to_self": "auto",
    "request_certificates": True,
    "resolvers": "pep",
    "own_devices": None,
    "publish_certificates": False,
    "certificate_wait": 5,
    "window": 300,
    "deliver_stale": False,
    "send_errors": True,
    "hints": True,
    "fallback_body": None,
    "max_stanza_size": 200_000,
    "debug_plaintext": False,
    "clock": time.time_ns,
}

_AUTO: Final = "auto"
_PATH: Final = (str, os.PathLike, type(None))
_FILES: Final = (str, os.PathLike, list, tuple, type(None))
_TYPES: Final[dict[str, Any]] = {
    "certificate": _PATH,
    "private_key": (*_PATH, PrivateKeyObject),
    "pkcs12": _PATH,
    "pkcs11": (str, type(None)),
    "password": (str, bytes, type(None), Callable),
    "encryption_certificate": _PATH,
    "encryption_private_key": (*_PATH, PrivateKeyObject),
    "older_keys": (list, type(None)),
    "hosted": (list, tuple, type(None)),
    "trust_anchors": (*_FILES, Mapping),
    "intermediates": _FILES,
    "pins": (*_FILES, Mapping),
    "algorithm_dates": (Mapping, type(None)),
    "crls": _FILES,
    "revocation": str,
    "revocation_http": bool,
    "revocation_sources": (list, tuple, type(None)),
    "peer_certificates": _FILES,
    "policy": Mapping,
    "signature": (str, type(None)),
    "cipher": str,
    "key_transport": str,
    "allow_sha1": bool,
    "allow_3des": bool,
    "allow_early_draft": bool,
    "allow_objenc_pkcs1": bool,
    "format": (str, Mapping),
    "formats": (str, list, tuple),
    "encrypt_to_self": (bool, str),
    "request_certificates": bool,
    "resolvers": (str, list, tuple),
    "own_devices": (str, list, tuple, type(None)),
    "publish_certificates": bool,
    "window": int,
    "certificate_wait": (int, float),
    "deliver_stale": bool,
    "send_errors": bool,
    "hints": bool,
    "fallback_body": (str, type(None)),
    "max_stanza_size": int,
    "debug_plaintext": bool,
    "clock": Callable,
}
#: What no complaint quotes.
_SECRET: Final = frozenset(
    {"private_key", "pkcs11", "password", "encryption_private_key", "older_keys", "hosted"}
)
#: The least that a number can be.
_LEAST: Final = {"window": 1, "certificate_wait": 0, "max_stanza_size": 1}


def check_options(config: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` for an option that does not exist: a misspelt one would be silently unsafe."""
    unknown = sorted(config.keys() - DEFAULTS.keys())
    if unknown:
        raise ConfigurationError(
            f"unknown option {', '.join(unknown)}; there are {', '.join(sorted(DEFAULTS))}"
        )


def _check_types(config: Mapping[str, Any]) -> None:
    for option, kind in _TYPES.items():
        value = config[option]
        least = _LEAST.get(option)
        if not isinstance(value, kind) or (
            least is not None and (isinstance(value, bool) or not value >= least)
        ):
            shown = f"of the type {type(value).__name__}" if option in _SECRET else repr(value)
            raise ConfigurationError(f"{option} can't be {shown}")
    if config["encrypt_to_self"] not in {True, False, _AUTO}:
        raise ConfigurationError('encrypt_to_self is True, False or "auto"')


def build_protection(config: Mapping[str, Any], keys: DecryptionKeys | None = None) -> Protection:
    """Return the protection that the options describe; raise `ConfigurationError` or `StoreError`.

    Of a store that is shared, it sees a `Mirror`.
    """
    check_options(config)
    _check_types(config)
    identity, older = load_identity(config), load_older_keys(config)
    hosted = [load_identity(each) for each in hosted_options(config, DEFAULTS)]
    clock: Callable[[], int] = config["clock"]
    peers = read_files(config["peer_certificates"], "peer_certificates")
    pins, pinned = read_pins(config["pins"])
    revocation, dates = build_checker(config), AlgorithmDates(config["algorithm_dates"])
    store = _store(config, clock)
    try:
        first_use = config["trust"] == "tofu"
        authority = Authority(
            store,
            paths=_paths(config, pins),
            pins=pins,
            first_use=first_use,
            revocation=revocation,
            dates=dates,
        )
        protection = Protection(
            identity,
            authority,
            store,
            clock,
            options=_options(config),
            keys=keys,
            remembered=timedelta(seconds=FRESH) if isinstance(store, Mirror) else REMEMBERED,
            configured=index_by_name(
                [[ParsedCertificate.from_x509(each) for each in group] for group in (*peers, pinned)]
            ),
        )
        for each in hosted:
            protection.host(each)
    except CertificateError as error:
        store.close()
        raise ConfigurationError(str(error)) from error
    except BaseException:
        store.close()
        raise
    for old in older:
        protection.add_decryption_key(old)
    return protection


# --------------------------------------------------------------------------- parts


def _paths(config: Mapping[str, Any], pins: Mapping[str, frozenset[bytes]]) -> dict[str, PathValidator]:
    """Return the paths to the anchors of each domain; `*` stands for those that are not named."""
    trust, option = config["trust"], config["trust_anchors"]
    if trust not in {"pkix", "pinned", "tofu"}:
        raise ConfigurationError(f'trust is "pkix", "pinned" or "tofu", not {trust!r}')
    if trust == "pinned" and option is not None:
        raise ConfigurationError('trust="pinned" and trust_anchors exclude each other')
    intermediates = read_all(config["intermediates"], "intermediates")
    by_domain = option if isinstance(option, Mapping) else {"*": option}
    found = {}
    for domain, files in by_domain.items():
        if anchors := read_all(files, "trust_anchors"):
            found[_domain(domain)] = PathValidator(anchors, intermediates)
    if not found and not pins and trust == "pkix":
        raise ConfigurationError(
            "nobody could be trusted: set trust_anchors to the CA's certificate, or pins to those of the peers"
        )
    return found


def _domain(name: Any) -> str:
    try:
        found = "*" if name == "*" else bare(name)
    except (TypeError, ValueError):
        found = "@"
    if "@" in found:
        raise ConfigurationError(f"trust_anchors: {name!r} is no domain and not *")
    return found


def _store(config: Mapping[str, Any], clock: Callable[[], int]) -> Store:
    option = config["store"]
    if option == "memory":
        return MemoryStore(started=clock())
    if option is None:
        beside = key_file(config)
        if beside is None:
            raise ConfigurationError(
                "our private key is in no file that the store could stand beside: set store"
            )
        return SQLiteStore(beside.with_name(f"{beside.stem}.e2e.db"))
    if isinstance(option, str):
        scheme, separator, path = option.partition(":///")
        if scheme == "sqlite" and separator:
            return SQLiteStore(Path(path))
        if option.startswith(("postgresql://", "postgres://")):
            return Mirror(PostgreSQLStore(option), time.monotonic, asyncio.Lock)
        raise ConfigurationError(
            'store is "memory", "sqlite:///PATH", "postgresql://HOST/DATABASE" or a store object, '
            f"not {option.split('@')[-1]!r}"  # a password may stand before it
        )
    if iscoroutinefunction(getattr(option, "load", None)):
        return Mirror(option, time.monotonic, asyncio.Lock)
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
        allow_objenc_pkcs1=bool(config["allow_objenc_pkcs1"]),
        encrypt_to_self=config["encrypt_to_self"] is True,
        open_repeated=bool(config["deliver_stale"]),
        window=int(config["window"]) * SECOND,
    )
