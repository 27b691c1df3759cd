"""Where a CA says that one can ask whether a certificate was revoked (RFC 5280 4.2.1.13, 4.2.2.1).

Only plain `http` and `https` addresses are returned: no user, no fragment, no characters that two readers of
addresses may take differently. Both schemes do: what comes is believed for its signature.

**Not** checked: where these addresses lead to. They are the words of whoever signed the certificate.
"""

import re
from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from slixmpp_e2e.cms.certificates import UNREADABLE

#: How many places are returned, and how many addresses for each of them.
_PLACES: Final = 4
_ALTERNATIVES: Final = 2
_LONGEST: Final = 1024
_URL: Final = re.compile(
    r"https?://(\[[0-9A-F:.]{2,45}\]|[0-9A-Z](?:[0-9A-Z.-]{0,252}))(?::[0-9]{1,5})?(?:/[!\"$-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)


def host_of(url: str) -> str | None:
    """Return the host of an address that may be asked, in lower case; None for any other address."""
    found = _URL.fullmatch(url) if len(url) <= _LONGEST else None
    return None if found is None else found[1].lower()


def responder_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return where the OCSP responders for a certificate are; any of them will do."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    locations = (
        each.access_location for each in found if each.access_method == AuthorityInformationAccessOID.OCSP
    )
    return tuple(_urls(locations))[:_ALTERNATIVES]


def list_urls(certificate: x509.Certificate) -> tuple[tuple[str, ...], ...]:
    """Return where the revocation lists for a certificate are: for each list, where any will do."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    found = (
        tuple(_urls(iter(point.full_name or ())))[:_ALTERNATIVES]
        for point in points
        if point.crl_issuer is None  # else the list is an indirect one
    )
    return tuple(urls for urls in found if urls)[:_PLACES]


def _urls(names: Iterator[x509.GeneralName]) -> Iterator[str]:
    for name in names:
        if isinstance(name, x509.UniformResourceIdentifier) and host_of(name.value) is not None:
            yield name.value
