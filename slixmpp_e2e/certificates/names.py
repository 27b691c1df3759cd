"""Which JIDs a certificate names, and whether it names the one that is expected (RFC 3923 6.3, RFC 6120 13.7).

The *patterns* are read from the certificate, the *ID* is what the caller expects; both become bare JIDs in
one spelling, and then they are equal or not. Three forms of subjectAltName count: id-on-xmppAddr, `im:` and
`pres:` URIs. Common names, e-mail addresses, DNS names, other otherNames and `xmpp:` URIs never do; there are
no wildcards; a JID without localpart names that domain or component itself, never its users (ERRATA E25).

**Not checked here:** who issued the certificate, whether it is valid now, whether it was revoked, what its
key may be used for.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from cryptography import x509
from slixmpp.jid import JID

from slixmpp_e2e.cms.asn1 import UTF8_STRING, Reader, tlv
from slixmpp_e2e.cms.certificates import UNREADABLE
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.media.addresses import bare, jid_to_uri, read_jid, uri_to_jid

#: RFC 6120 13.7.1.4.
XMPP_ADDR: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")


class CertificateNameError(CertificateError):
    """A certificate does not name the JID that was expected; `names` are those that it does name."""

    code = "name-mismatch"

    def __init__(self, jid: str, names: frozenset[str]) -> None:
        self.jid = jid
        self.names = names
        named = ", ".join(sorted(names)) or "no JID at all"
        super().__init__(f"The certificate is not for {jid}: it names {named}.")


def certificate_jids(certificate: x509.Certificate) -> frozenset[str]:
    """Return the bare JIDs that a certificate names, as `bare()` writes them.

    Never raises. An entry that is malformed is ignored, as is one whose domain becomes another when it is
    prepared for comparison. A certificate whose extensions can't be parsed, or whose subjectAltName holds
    general names that no JID needs and no S/MIME certificate has (x400Address, ediPartyName), names nobody.
    """
    return _named(certificate)


def request_jids(request: x509.CertificateSigningRequest) -> frozenset[str]:
    """Return the bare JIDs that a certification request asks for, read as strictly as a certificate's."""
    return _named(request)


def verify_certificate_names(certificate: x509.Certificate, jid: JID | str) -> None:
    """Verify that a certificate names the bare JID of `jid`.

    Raises `CertificateNameError`, which lists what the certificate does name, and `ValueError` when `jid` is
    no JID. See the head of this module for what is not checked.
    """
    expected = bare(jid)
    names = certificate_jids(certificate)
    if expected not in names:
        raise CertificateNameError(expected, names)


def subject_alternative_name(jids: Iterable[JID | str]) -> x509.SubjectAlternativeName:
    """Return the extension that names these JIDs: id-on-xmppAddr, `im:` and `pres:` for each (ERRATA E25).

    Raises `ValueError` for what can't be named.
    """
    names: list[x509.GeneralName] = []
    for jid in dict.fromkeys(bare(jid) for jid in jids):
        names.append(x509.OtherName(XMPP_ADDR, tlv(UTF8_STRING, jid.encode())))
        names += [x509.UniformResourceIdentifier(jid_to_uri(jid, scheme)) for scheme in ("im", "pres")]
    return x509.SubjectAlternativeName(names)


def _named(source: x509.Certificate | x509.CertificateSigningRequest) -> frozenset[str]:
    try:
        names = source.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return frozenset(_jids(names))
    except (x509.ExtensionNotFound, *UNREADABLE):
        return frozenset()


def _jids(names: Iterable[x509.GeneralName]) -> Iterator[str]:
    for name in names:
        try:
            if isinstance(name, x509.OtherName) and name.type_id == XMPP_ADDR:
                yield read_jid(_utf8_string(name.value)).bare
            elif isinstance(name, x509.UniformResourceIdentifier):
                yield uri_to_jid(name.value).bare
        except ValueError:
            continue


def _utf8_string(der: bytes) -> str:
    """Return the text of exactly one DER UTF8String; raises `ValueError` for anything else."""
    reader = Reader(der)
    text = reader.contents(UTF8_STRING)
    reader.finish()
    return text.decode("utf-8")
