"""The options about revocation: `crls`, `revocation`, `revocation_http`, `revocation_sources`."""

import importlib
from collections.abc import Mapping
from typing import Any

from slixmpp_e2e.certificates.revocation import RevocationChecker, RevocationSource
from slixmpp_e2e.errors import CertificateError, ConfigurationError
from slixmpp_e2e.plugin.files import paths_of
from slixmpp_e2e.stores.crl_files import CRLFiles


def build_checker(config: Mapping[str, Any]) -> RevocationChecker:
    """Return what answers for revocation; raise `ConfigurationError`.

    What can't be read now is an error, later it is reported.
    """
    policy = config["revocation"]
    if policy not in {"off", "soft", "hard"}:
        raise ConfigurationError(f'revocation is "off", "soft" or "hard", not {policy!r}')
    paths = paths_of(config["crls"], "crls")
    files = CRLFiles(paths)
    found = files.read()
    if found.problems:
        raise found.problems[0]
    others = _sources(config)
    if policy == "hard" and not (found.lists or others):
        raise ConfigurationError(
            'revocation="hard" refuses everybody without revocation lists: set crls to files of the CAs, '
            "or revocation_http"
        )
    checker = RevocationChecker(policy, sources=[*([files] if paths else []), *others])
    try:
        for each in found.lists:
            checker.lists.put(each)
    except CertificateError as error:
        raise ConfigurationError(f"crls: {error}") from error
    return checker


def _sources(config: Mapping[str, Any]) -> list[RevocationSource]:
    """Return what is asked beside files: what the program brings, and over HTTP where the CAs say."""
    found: list[RevocationSource] = []
    for each in config["revocation_sources"] or ():
        if isinstance(each, type) or not isinstance(each, RevocationSource):
            raise ConfigurationError(f"revocation_sources: {each!r} is no RevocationSource")
        found.append(each)
    if config["revocation_http"]:
        try:
            http = importlib.import_module("slixmpp_e2e.stores.http_revocation")
        except ImportError as error:
            raise ConfigurationError(
                f"revocation_http needs aiohttp: pip install 'slixmpp_e2e[http]' ({error})"
            ) from error
        found.append(http.HTTPRevocation())
    return found
