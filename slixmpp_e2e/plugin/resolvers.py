"""Where certificates of peers are looked for: what the option `resolvers` names."""

from collections.abc import Sequence
from typing import Any

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.plugin.certificate_search import CertificateResolver
from slixmpp_e2e.plugin.pubkeys import PublishedKeys
from slixmpp_e2e.stores.ldap import LDAPResolver
from slixmpp_e2e.stores.ldap_url import is_url


def read_resolvers(option: Any, published: PublishedKeys) -> Sequence[CertificateResolver]:
    """Return those that the option names.

    `pep` stands for what peers have published in their accounts, an LDAP URL for that directory.
    """
    chosen = [option] if isinstance(option, str) else option
    found: list[CertificateResolver] = []
    for each in chosen:
        if each == "pep":
            found.append(published)
        elif isinstance(each, str) and is_url(each):
            found.append(_directory(each))
        elif isinstance(each, CertificateResolver) and not isinstance(
            each, (str, type)
        ):  # str has find(), too
            found.append(each)
        else:
            raise ConfigurationError(
                f'resolvers: {each!r} is neither "pep", an LDAP URL nor a CertificateResolver'
            )
    return found


def _directory(url: str) -> LDAPResolver:
    try:
        return LDAPResolver(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"resolvers: {error}") from error
