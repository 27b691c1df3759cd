"""JIDs, and the `im:` and `pres:` URIs that stand for them (RFC 3922 3.2 and 3.3).

Addresses are compared as bare JIDs, as strings, after `bare()`; nothing else in the package compares them.
What a peer wrote (a certificate, a CPIM header, a PIDF entity) is read by `read_jid()` and `uri_to_jid()`,
which are stricter than the JID type: two spellings that a person or a CA could take for two different
domains never become one.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import quote, unquote_to_bytes

from slixmpp.jid import JID, InvalidJID

#: The schemes that RFC 3923 6.3 knows; `xmpp:` is not one of them.
SCHEMES: Final = frozenset({"im", "pres"})

# RFC 7622 3.1: three parts of at most 1023 octets, an "@" and a "/".
_LONGEST_JID: Final = 3071
_LONGEST_URI: Final = 3 * _LONGEST_JID + len("pres:")

# Letters, digits, hyphen; the underscore is no host name, but such domains are in use.
_ASCII_DOMAIN: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
# RFC 3986: what may stand in a URI, each "%" followed by two digits. No "?" (headers), no "#" (fragment).
_URI_TEXT: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})+")
# RFC 3922 3.2 step 4, with "-" as it is and without "?" (ERRATA M05).
_UNESCAPED: Final = "!$*.~_+=-"
# The same few addresses are asked for again with every stanza.
_REMEMBERED: Final = 2048


def bare(jid: JID | str) -> str:
    """Return the bare JID in the one spelling in which addresses are compared.

    That is slixmpp's preparation of the localpart and domain, with A-labels of the domain as U-labels, no
    final dot, and IPv6 addresses in their short form. The resource is dropped.

    Raises `ValueError` (of which slixmpp's `InvalidJID` is one) for what is no JID, for the empty JID, for a
    domain that no DNS name can be, and for an address that changes again when it is prepared a second time:
    slixmpp's preparation turns a few letters into others that it would map further, so that one address
    could pass for another.
    """
    return _bare(jid.bare if isinstance(jid, JID) else JID(jid).bare)


@lru_cache(maxsize=_REMEMBERED)
def _bare(prepared: str) -> str:
    parsed = JID(prepared)
    if not prepared or parsed.bare != prepared:
        raise InvalidJID(f"not an address that can be compared: {prepared!a}")
    local, domain = parsed.node, _unicode_domain(parsed.domain)
    _ascii_domain(domain)
    return f"{local}@{domain}" if local else domain


def read_jid(text: str) -> JID:
    """Read a JID that a peer wrote, and return it bare.

    Stricter than `JID()`: no control characters, no white space before the resource, and a domain that
    preparation leaves as it is but for upper and lower case (no full-width letters, no characters that
    disappear). The localpart is prepared as slixmpp does it.

    Raises `ValueError`.
    """
    return JID(_read(text))


@lru_cache(maxsize=_REMEMBERED)
def _read(text: str) -> str:
    if len(text) > _LONGEST_JID or any(unicodedata.category(character) == "Cc" for character in text):
        raise InvalidJID("too long for a JID, or with control characters in it")
    address = text.partition("/")[0]
    if any(character.isspace() for character in address):
        raise InvalidJID("white space in a JID")
    written = address.rpartition("@")[2]
    prepared = JID(bare(text))
    unchanged = unicodedata.is_normalized("NFKC", written) and not written.endswith(".")
    if not unchanged or _unicode_domain(written.lower()) != prepared.domain:
        raise InvalidJID("the domain is not written as it is compared")
    return str(prepared)


def jid_to_uri(jid: JID | str, scheme: Literal["im", "pres"]) -> str:
    r"""Return the `im:` or `pres:` URI of a bare JID, in ASCII (RFC 3922 3.2, ERRATA E25, M04, M05).

    The localpart is percent-encoded UTF-8, the domain is written with A-labels. XEP-0106 escapes such as
    `\26` are ordinary text. A JID without localpart becomes `im:example.com`.

    Raises `ValueError` for what `bare()` refuses.
    """
    return f"{scheme}:{_uri_address(bare(jid))}"


@lru_cache(maxsize=_REMEMBERED)
def _uri_address(address: str) -> str:
    local, _, domain = address.rpartition("@")
    host = quote(_ascii_domain(domain), safe=":")  # the brackets of an IPv6 address may not stand in a path
    return f"{quote(local, safe=_UNESCAPED)}@{host}" if local else host


def uri_to_jid(uri: str, *, schemes: Collection[str] = SCHEMES) -> JID:
    """Return the bare JID that an `im:` or `pres:` URI stands for (RFC 3922 3.3).

    The URI is split first and decoded afterwards, so an encoded "@" or "/" separates nothing. Any
    percent-encoding of UTF-8 is read, in the domain too, where A-labels and U-labels mean the same. The
    resource is dropped; it must be valid all the same.

    Raises `ValueError` for other schemes, for anything that is not the ASCII text of a URI, for a headers
    part or a fragment, and for what `read_jid()` refuses.
    """
    scheme, colon, address = uri.partition(":")
    if not colon or scheme.lower() not in schemes:
        raise InvalidJID(f"not a URI of {' or '.join(sorted(schemes))}")
    if len(uri) > _LONGEST_URI or not _URI_TEXT.fullmatch(address):
        raise InvalidJID("not an address URI: a headers part, a fragment, or characters that no URI has")
    mailbox, slash, resource = address.partition("/")
    local, at, domain = (_decoded(part) for part in mailbox.rpartition("@"))
    if any(separator in part for separator in "@/" for part in (local, domain)):
        raise InvalidJID("an encoded separator in an address URI")
    return read_jid(f"{local}{at}{domain}{slash}{_decoded(resource)}")


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8")


def _unicode_domain(domain: str) -> str:
    """Return the domain with U-labels where they and the A-labels are the same name, both ways.

    Where U-labels may not stand together, all labels are A-labels: the name has one spelling, however it was written.
    """
    if domain.startswith("["):
        return f"[{ipaddress.IPv6Address(domain[1:-1])}]"
    domain = domain.removesuffix(".")
    if "xn--" not in domain:
        return domain
    candidate = ".".join(_unicode_label(label) for label in domain.split("."))
    try:
        if JID(candidate).bare == candidate:
            return candidate
    except InvalidJID:  # letters that came later, or labels that are not allowed side by side (RFC 3454 6)
        pass
    return ".".join(_ascii_label(label) for label in domain.split("."))


def _unicode_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        decoded = label.encode("ascii").decode("idna")
        # IDNA 2003 can't express every A-label of IDNA 2008 ("ß"): what does not come back stays as it is.
        return decoded if decoded.encode("idna") == label.encode("ascii") else label
    except UnicodeError:
        return label


def _ascii_label(label: str) -> str:
    """Return the A-label of a U-label that comes back from it as it was; any other label as it is."""
    try:
        encoded = label.encode("idna")
        return encoded.decode("ascii") if encoded.decode("idna") == label else label
    except UnicodeError:
        return label


def _ascii_domain(domain: str) -> str:
    """Return the domain with A-labels; raises `ValueError` for what no DNS name or IPv6 address can be."""
    if domain.startswith("["):
        return domain
    # Label by label: a dot that IDNA would see inside a label (U+3002) must not become a separator here.
    labels = [
        label if label.isascii() else label.encode("idna").decode("ascii") for label in domain.split(".")
    ]
    ascii_domain = ".".join(labels)
    if len(labels) != ascii_domain.count(".") + 1 or not _ASCII_DOMAIN.fullmatch(ascii_domain):
        raise InvalidJID(f"not a domain name: {domain!a}")
    return ascii_domain
