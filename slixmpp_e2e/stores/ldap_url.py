"""LDAP URLs (RFC 4516) whose filter has places for the JID that is looked up.

`ldaps://ldap.example.com/ou=people,dc=example,dc=com?userCertificate;binary?sub?(mail={bare})`: `{bare}`, `{local}`
and `{domain}` stand for parts of the bare JID. What a JID brings is escaped (RFC 4515 3), and has a place in values
only, so that it can't change what the filter asks for.

**Not** checked here: the syntax of the filter and of the base DN.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from slixmpp import JID

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.media.addresses import bare

#: What is asked for if the URL does not say: with the option, as RFC 4523 2.1 wants it, and without, as some do it.
ATTRIBUTES: Final = ("userCertificate;binary", "userCertificate")

_PORTS: Final = {"ldap": 389, "ldaps": 636}
_SCOPES: Final = frozenset({"base", "one", "sub"})
_URL: Final = re.compile(
    r"(?P<scheme>ldap|ldaps|ldapi)://(?P<host>[^/?#\s]*)(?:/(?P<rest>[^#\s]*))?", re.IGNORECASE
)
_ATTRIBUTE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?:;[A-Za-z0-9-]+)*")  # RFC 4512 2.5
_PLACE: Final = re.compile(r"\{(\w*)\}")
_PLACES: Final = frozenset({"bare", "local", "domain"})
# All but these is escaped, more than RFC 4515 demands: nothing is left that a reader of filters could stumble over.
_PLAIN: Final = re.compile(rb"[A-Za-z0-9@._-]")


@dataclass(frozen=True, slots=True)
class DirectoryURL:
    """Where is searched, and for what."""

    scheme: str
    #: The server's name or address; the path of the socket for `ldapi`.
    host: str
    #: None for `ldapi`.
    port: int | None
    base: str
    attributes: tuple[str, ...]
    #: `base`, `one` or `sub`.
    scope: str
    #: The filter with its places.
    template: str

    @property
    def is_local(self) -> bool:
        """Whether what is asked never leaves this machine."""
        if self.scheme == "ldapi" or self.host == "localhost":  # RFC 6761 6.3
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def search_filter(self, jid: JID | str) -> str | None:
        """Return the filter for a JID; None for one without localpart where the filter needs it.

        Raises `ValueError` for what is no JID (`media.addresses.bare`).
        """
        name = bare(jid)
        local, _, domain = name.rpartition("@")
        if not local and "{local}" in self.template:
            return None
        return fill(self.template, {"bare": name, "local": local, "domain": domain})


def fill(template: str, values: dict[str, str]) -> str:
    """Return a filter with the values, escaped, in the places of their names (`{bare}`)."""
    return _PLACE.sub(lambda match: escape(values[match[1]]), template)


def escape(value: str) -> str:
    r"""Return any text as a value in a filter: `\2a` and the like for all octets but few (RFC 4515 3)."""
    octets = (value.encode()[i : i + 1] for i in range(len(value.encode())))
    return "".join(each.decode() if _PLAIN.match(each) else f"\\{each.hex()}" for each in octets)


def is_url(text: str) -> bool:
    """Tell whether a text is meant to be an LDAP URL."""
    return text.lower().startswith(("ldap://", "ldaps://", "ldapi://"))


def read_url(text: str) -> DirectoryURL:
    """Read a URL; raise `ConfigurationError` for what is none, and for parts that would have no effect."""
    match = _URL.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"{text!r} is no LDAP URL: ldaps://HOST/BASE?ATTRIBUTES?SCOPE?FILTER")
    try:
        return _read(match["scheme"].lower(), match["host"], (match["rest"] or "").split("?"))
    except ValueError as error:
        raise ConfigurationError(f"the LDAP URL {text!r}: {error}") from error


def _read(scheme: str, authority: str, parts: list[str]) -> DirectoryURL:
    if len(parts) > 4:
        raise ValueError("extensions are not supported")  # bindname, say, would be left out silently
    base, attributes, scope, template = (unquote(each, errors="strict") for each in (*parts, "", "", "")[:4])
    _check_template(template)
    if _PLACE.search(base):
        raise ValueError("only the filter has places for a JID")
    names = tuple(attributes.split(",")) if attributes else ATTRIBUTES
    if not all(_ATTRIBUTE.fullmatch(name) for name in names):
        raise ValueError(f"attributes {attributes!r} that can't be asked for")
    if (scope or "base").lower() not in _SCOPES:
        raise ValueError(f"the scope is base, one or sub, not {scope!r}")
    host, port = _read_host(scheme, authority)
    return DirectoryURL(scheme, host, port, base, names, (scope or "base").lower(), template)


def _read_host(scheme: str, authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise ValueError("it names a user; give bind_dn and password to LDAPResolver")
    if scheme == "ldapi":
        host, port = unquote(authority, errors="strict"), None
    else:
        split = urlsplit(f"//{authority}")
        host, port = split.hostname or "", split.port or _PORTS[scheme]
    if not host or "\0" in host:
        raise ValueError("it names no server")
    return host, port


def _check_template(template: str) -> None:
    """Raise `ValueError` unless places are known, at least one of them tells JIDs apart, and all are in values."""
    places = {match[1] for match in _PLACE.finditer(template)}
    if places - _PLACES:
        raise ValueError(f"the filter has places for {', '.join(sorted(places - _PLACES))}")
    if not places & {"bare", "local"}:
        raise ValueError("the filter must have a place for the JID, as in (mail={bare})")
    for match in _PLACE.finditer(template):
        if "=" not in template[: match.start()].rpartition("(")[2]:
            raise ValueError(f"{match[0]} stands where the filter has no value")
