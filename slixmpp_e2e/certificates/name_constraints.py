"""Name constraints of a path (RFC 5280 4.2.1.10, 6.1.3 (b), (c)): directory names, DNS names, e-mail addresses.

A constraint on names of another kind (URI, otherName and so xmppAddr, IP address, ...) forbids every certificate
below that has a name of that kind. So does what can't be compared: a wildcard or a malformed name where DNS names or
e-mail addresses are constrained.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e.certificates.distinguished_names import DistinguishedName, read_text
from slixmpp_e2e.certificates.fields import CertificateFields, read_fields
from slixmpp_e2e.cms.asn1 import SEQUENCE, ASN1Error, Reader, oid
from slixmpp_e2e.cms.certificates import UNREADABLE
from slixmpp_e2e.errors import CertificateError

NAME_CONSTRAINTS: Final = oid("2.5.29.30")
_ALTERNATIVE_NAME: Final = oid("2.5.29.17")
_EMAIL_ADDRESS: Final = oid("1.2.840.113549.1.9.1")
# the tags of GeneralName
_MAIL, _DNS, _DIRECTORY = 0x81, 0x82, 0xA4
_MAX_SUBTREES: Final = 128
_MAX_NAMES: Final = 64
#: Of names with subtrees, on one path: milliseconds.
_MAX_COMPARISONS: Final = 4096
#: Of all directory names that are compared on one path, in octets: preparing text takes time.
_MAX_OCTETS: Final = 32768
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
#: RFC 5321 4.1.2 without quoted strings.
_LOCAL_PART: Final = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)

#: The tag of a GeneralName and its contents.
GeneralName = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """What one CA says about the names of those below it."""

    permitted: tuple[GeneralName, ...]
    excluded: tuple[GeneralName, ...]

    @classmethod
    def from_der(cls, der: bytes) -> "NameConstraints":
        """Read the extension; raise `ASN1Error`, also for one that says nothing, or uses minimum or maximum."""
        outer = Reader(der)
        inside = outer.enter()
        outer.finish()
        permitted = _subtrees(inside, 0xA0)
        excluded = _subtrees(inside, 0xA1)
        inside.finish()
        if not permitted and not excluded:
            raise ASN1Error("name constraints that say nothing")
        return cls(permitted, excluded)


def _subtrees(inside: Reader, tag: int) -> tuple[GeneralName, ...]:
    if inside.peek() != tag:
        return ()
    found = []
    for subtree in inside.enter(tag).each(SEQUENCE, limit=_MAX_SUBTREES):
        found.append(_general_name(subtree.element()))
        subtree.finish()  # minimum and maximum: RFC 5280 4.2.1.10
    return tuple(found)


def _general_name(der: bytes) -> GeneralName:
    return der[0], Reader(der).contents(der[0])


def constrains_directory_names(certificate: x509.Certificate) -> bool:
    """Tell whether a CA constrains directory names, or whether nobody can tell."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return False
    except UNREADABLE:
        return NAME_CONSTRAINTS in certificate.public_bytes(Encoding.DER)
    subtrees = (*(found.permitted_subtrees or ()), *(found.excluded_subtrees or ()))
    return any(isinstance(base, x509.DirectoryName) for base in subtrees)


def check_name_constraints(path: Sequence[CertificateFields]) -> None:
    """Raise `CertificateError` if a certificate has a name that a CA above it does not allow.

    `path` goes from the end entity to the anchor, both included; the anchor's constraints count as well. Raises
    `ASN1Error` where names can't be read or compared, and where there are too many of them.
    """
    _check(path, _all_names)


def check_subject_addresses(path: Sequence[x509.Certificate]) -> None:
    """Raise `CertificateError` for an e-mail address in a subject that a CA above does not allow.

    For paths that the library has validated: it looks at subjectAltName alone, and RFC 5280 4.2.1.10 wants the
    emailAddress of subjects to be constrained where a certificate has no subjectAltName. It ignores minimum and
    maximum, too. Raises `ASN1Error` as `check_name_constraints` does.
    """
    if any(NAME_CONSTRAINTS in each.public_bytes(Encoding.DER) for each in path):
        _check([read_fields(each) for each in path], _names_that_the_library_ignores)


def _check(
    path: Sequence[CertificateFields], names_of: Callable[[CertificateFields, bool], Iterator[GeneralName]]
) -> None:
    comparison = _Comparison()
    for place, authority in enumerate(path):
        found = authority.extensions.get(NAME_CONSTRAINTS)
        if found is None:
            continue
        constraints = NameConstraints.from_der(found)
        for below, certificate in enumerate(path[: place + 1]):
            if below and certificate.is_self_issued:  # RFC 5280 6.1.3 (b)
                continue
            for name in names_of(certificate, below == place):
                comparison.check(name, constraints)


def _all_names(certificate: CertificateFields, is_own: bool) -> Iterator[GeneralName]:
    """Yield names. Its subject is not for its own constraints; the others are, because the library wants it so."""
    der = certificate.extensions.get(_ALTERNATIVE_NAME)
    if der is not None:
        yield from map(_general_name, Reader(der).enter().elements(limit=_MAX_NAMES))
    if not is_own:
        yield from _subject_names(certificate)


def _names_that_the_library_ignores(certificate: CertificateFields, is_own: bool) -> Iterator[GeneralName]:
    if not is_own and _ALTERNATIVE_NAME not in certificate.extensions:
        yield from _subject_names(certificate)


def _subject_names(certificate: CertificateFields) -> Iterator[GeneralName]:
    subject = DistinguishedName(certificate.subject)
    if subject.rdns:
        yield _DIRECTORY, certificate.subject
    for rdn in subject.rdns:
        for kind, value in rdn:
            if kind == _EMAIL_ADDRESS:
                yield _MAIL, read_text(value).encode()


# --------------------------------------------------------------------------- comparing


class _Comparison:
    """Compares the names of one path with its constraints; what was read once is not read again."""

    def __init__(self) -> None:
        self._left = _MAX_COMPARISONS
        self._octets = _MAX_OCTETS
        self._directory_names: dict[bytes, DistinguishedName] = {}

    def check(self, name: GeneralName, constraints: NameConstraints) -> None:
        """Raise `CertificateError` if there may not be such a name, `ASN1Error` if nobody can tell."""
        if any(self._matches(name, base) for base in constraints.excluded if base[0] == name[0]):
            raise CertificateError("a name that a CA of the path excludes")
        permitted = [base for base in constraints.permitted if base[0] == name[0]]
        if permitted and not any(self._matches(name, base) for base in permitted):
            raise CertificateError("a name that a CA of the path does not permit")

    def _matches(self, name: GeneralName, base: GeneralName) -> bool:
        """Tell whether a name lies within a subtree of its own kind."""
        self._left -= 1
        if self._left < 0:
            raise ASN1Error("more names and constraints than anybody needs")
        kind, value = name
        if kind == _DIRECTORY:
            return self._directory_name(value).is_within(self._directory_name(base[1]))
        if kind == _DNS:
            host, domain = _host(value), _host(base[1])
            return host == domain or host.endswith(f".{domain}")
        if kind == _MAIL:
            return _is_mail_within(value, base[1])
        raise ASN1Error("a name of a kind that is constrained, and that is not compared here")

    def _directory_name(self, der: bytes) -> DistinguishedName:
        if der not in self._directory_names:
            self._octets -= len(der)
            if self._octets < 0:
                raise ASN1Error("longer names than anybody needs")
            self._directory_names[der] = DistinguishedName(der)
        return self._directory_names[der]


def _host(value: bytes) -> str:
    """Return a DNS name in lower case; raise `ASN1Error` for a malformed one or a wildcard."""
    text = value.decode("ascii", "replace").lower()
    if _HOST.fullmatch(text) is None:
        raise ASN1Error("a malformed DNS name, where they are constrained")
    return text


def _mailbox(value: bytes) -> tuple[str, str]:
    """Return local part and host of an e-mail address; raise `ASN1Error`."""
    local, at, host = value.decode("ascii", "replace").partition("@")
    if not at or _LOCAL_PART.fullmatch(local) is None:
        raise ASN1Error("a malformed e-mail address, where they are constrained")
    return local, _host(host.encode("ascii", "replace"))


def _is_mail_within(value: bytes, base: bytes) -> bool:
    """RFC 5280 4.2.1.10: a mailbox, all mailboxes of a host, or those of all hosts below a domain."""
    mailbox = _mailbox(value)
    if b"@" in base:
        return mailbox == _mailbox(base)
    if base.startswith(b"."):
        return mailbox[1].endswith(f".{_host(base[1:])}")
    return mailbox[1] == _host(base)
