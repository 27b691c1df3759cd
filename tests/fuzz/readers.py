"""One target for every function that reads octets from outside.

A target takes any octets at all. What comes out of it is an error that the reader announces, which the target
catches, or a value; and where there is a writer, what it writes of that value reads as the same value. Whatever else
it raises is a finding.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from cryptography import x509

from slixmpp_e2e.certificates.announcement import Announcement
from slixmpp_e2e.certificates.names import certificate_jids, request_jids
from slixmpp_e2e.certificates.ocsp import OCSPResponse
from slixmpp_e2e.certificates.path import PURPOSES, PathValidator, check_usage
from slixmpp_e2e.certificates.policies import check_policies
from slixmpp_e2e.certificates.revocation_list import RevocationList
from slixmpp_e2e.certificates.revocation_urls import list_urls, responder_urls
from slixmpp_e2e.cli.encoding import parse_requests
from slixmpp_e2e.cli.structure import describe_object
from slixmpp_e2e.cms.asn1 import ASN1Error, Reader, ber_to_der, read_time, time
from slixmpp_e2e.cms.capabilities import EVERYTHING, UNKNOWN, WITHOUT_OAEP, read_capabilities, read_preference
from slixmpp_e2e.cms.certificates import (
    LARGEST,
    UNREADABLE,
    CertificatePool,
    read_certificate,
    read_certificates,
)
from slixmpp_e2e.cms.enveloped_data import content_type, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys, read_recipient_infos
from slixmpp_e2e.cms.signed_data import parse_signed_data
from slixmpp_e2e.cms.signing_certificate import read_signing_certificates
from slixmpp_e2e.errors import (
    CertificateError,
    ConfigurationError,
    LocalError,
    MalformedError,
    RefusedError,
    RemoteError,
    RevocationError,
    SignatureError,
    TimestampError,
    UndecryptableError,
)
from slixmpp_e2e.formats.claims import ClaimedKeys
from slixmpp_e2e.formats.content import read_content
from slixmpp_e2e.formats.objenc import Opener as ObjencOpener
from slixmpp_e2e.formats.objenc_envelope import WRITTEN_TRANSPORT, read_envelope, write_envelope
from slixmpp_e2e.formats.rfc3923 import Opener
from slixmpp_e2e.freshness import MICROSECOND, format_date_time, from_datetime, parse_date_time
from slixmpp_e2e.media import cpim, mime, pidf, xmpp_xml
from slixmpp_e2e.media.addresses import bare, jid_to_uri, read_jid, uri_to_jid
from slixmpp_e2e.namespaces import CLIENT
from slixmpp_e2e.outer import find_payload, read_outer, read_stanza
from slixmpp_e2e.plugin.pubkeys import read_keyinfo, write_keyinfo
from slixmpp_e2e.stanza import KINDS, Outer, parse_xml, serialise
from tests.certificates.building import authority
from tests.fuzz.corpora import Corpus, attribute, parsed
from tests.pki import MOMENT, PKI, XMPP_ADDRESS

Seeds = Callable[[Corpus], Iterable[bytes]]
NOW = from_datetime(MOMENT)


@dataclass(frozen=True, slots=True)
class Target:
    """A reader under test."""

    name: str
    read: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


class Readers:
    """The readers, with what they need beside the octets: somebody's keys, and who writes to whom."""

    def __init__(self, pki: PKI, corpus: Corpus) -> None:
        self._pki = pki
        self._keys = DecryptionKeys([(pki[name].key, pki[name].parsed) for name in ("p-256", "x25519")])
        self._slow_keys = DecryptionKeys([(pki["romeo"].key, pki["romeo"].parsed)])
        self._issuers = [each.certificate for each in (pki.root, pki.intermediate)]
        self._leaf = pki["juliet"].certificate
        self._issued, self._intermediate = pki["juliet"].parsed, pki.intermediate.parsed
        constrains = x509.NameConstraints([x509.DirectoryName(self._leaf.subject)], None)
        constrained = authority("Verona User CA", constrains)
        self._paths = PathValidator([pki.root.certificate, constrained.certificate])
        juliet, romeo = read_jid("juliet@example.com"), read_jid("romeo@example.net")
        self._outer = {kind: Outer(kind, _TYPES[kind], "1", juliet, romeo) for kind in sorted(KINDS)}
        self.targets = {
            name: Target(name, getattr(self, f"_{name.replace('-', '_')}"), tuple(seeds(corpus)))
            for name, seeds in _SEEDS.items()
        }

    # ------------------------------------------------------------------ DER and CMS

    def _der(self, data: bytes) -> None:
        with suppress(ASN1Error):
            _walk(Reader(data), 0)

    def _ber(self, data: bytes) -> None:
        try:
            der, size = ber_to_der(data)
        except ASN1Error:
            return
        assert size <= len(data)
        assert ber_to_der(der) == (der, len(der))

    def _time(self, data: bytes) -> None:
        reader = Reader(data)
        with suppress(ASN1Error):
            moment = read_time(reader)
            reader.finish()
            assert read_time(Reader(time(moment))) == moment

    def _signed_data(self, data: bytes) -> None:
        try:
            signed = parse_signed_data(data)
        except MalformedError:
            return
        assert 0 < signed.size <= len(data)
        content = None if signed.content is not None else b"content"
        with suppress(SignatureError):
            signed.verify(CertificatePool(), content=content)

    def _enveloped_data(self, data: bytes) -> None:
        try:
            kind = content_type(data)
            enveloped = parse_enveloped_data(data)
        except MalformedError:
            return
        assert 0 < enveloped.size <= len(data)
        assert kind[:2] == b"\x06\x09" or kind[:2] == b"\x06\x0b"
        with suppress(UndecryptableError):
            decrypted = enveloped.decrypt(self._keys, random=bytes)
            decrypted.without_padding()
            assert not decrypted.ends_at(len(decrypted.plaintext) + 1)

    def _recipient_info(self, data: bytes) -> None:
        with suppress(ASN1Error):
            for info in read_recipient_infos(Reader(data).elements(limit=70)):
                assert info.name
                for key, _ in self._keys:
                    assert len(info.unwrap(key, bytes(16))) == 16

    def _attribute(self, data: bytes) -> None:
        found = attribute(data)
        read_capabilities(found)
        read_preference(found)
        read_signing_certificates(found)

    def _announcement(self, data: bytes) -> None:
        found = Announcement.from_der(data)
        assert found is None or found.to_der() == data

    # ------------------------------------------------------------------ certificates and revocation

    def _certificate(self, data: bytes) -> None:
        found = read_certificate(data)
        if found is None:
            return
        assert found.der == data
        assert found.answers_to(found.issuer_and_serial)
        certificate = found.certificate
        for jid in certificate_jids(certificate):
            assert bare(jid) == jid
        responder_urls(certificate)
        list_urls(certificate)
        for purpose in PURPOSES:
            with suppress(CertificateError):
                check_usage(certificate, purpose)
        with suppress(CertificateError, *UNREADABLE):  # as `path` asks
            check_policies((certificate, *self._issuers))

    def _path(self, data: bytes) -> None:
        """It may be the end entity's, or a CA's that came along."""
        found = read_certificate(data)
        if found is None:
            return
        for certificate, hints in (
            (found, [self._intermediate]),
            (self._issued, [found, self._intermediate]),
        ):
            with suppress(CertificateError):
                chain = self._paths.validate(certificate, hints, at=MOMENT)
                assert chain[-1] == self._issuers[0]
                assert chain[0] == certificate.certificate

    def _certificates(self, data: bytes) -> None:
        with suppress(CertificateError):
            assert read_certificates(data)

    def _request(self, data: bytes) -> None:
        with suppress(ConfigurationError):
            for request in parse_requests(data, Path("request")):
                assert all(bare(jid) == jid for jid in request_jids(request))

    def _crl(self, data: bytes) -> None:
        try:
            found = RevocationList.from_der(data)
        except CertificateError:
            return
        for each in (*self._issuers, self._leaf):
            found.is_signed_by(each)
            found.covers(each)
        assert found.unusable is not None or found.entry(self._leaf) is None

    def _ocsp(self, data: bytes) -> None:
        try:
            found = OCSPResponse.from_der(data)
        except RevocationError:
            return
        assert not found.is_about(self._leaf, self._issuers[1])
        with suppress(RevocationError):
            found.responder(self._issuers[1])

    # ------------------------------------------------------------------ MIME and what stands in it

    def _entity(self, data: bytes) -> None:
        try:
            entity = mime.parse_entity(data)
        except MalformedError:
            return
        assert entity.body == data[entity.body_start :]
        mime.announced_digests(entity)
        with suppress(MalformedError):
            entity.decoded_body()
        with suppress(MalformedError):
            parts = mime.split_signed(entity)
            assert parts.content in data
            assert parts.end <= len(data)
            assert mime.begins_with_field(parts.content) in {True, False}
        with suppress(MalformedError):
            assert len(mime.split_alternative(entity)) <= 33

    def _base64(self, data: bytes) -> None:
        with suppress(MalformedError):
            decoded = mime.decode_base64(data)
            assert mime.decode_base64(mime.encode_base64(decoded)) == decoded

    def _cpim(self, data: bytes) -> None:
        try:
            found = cpim.parse(data)
        except (MalformedError, RefusedError):
            return
        core = tuple(each for each in found.headers if each.namespace == cpim.CORE)
        written = mime.parse_entity(cpim.write(core, found.content))
        again = cpim.parse(written.body) if core else found
        if core == found.headers and not _starts_anew(core):
            assert again == found
        for header in core:
            with suppress(MalformedError):
                cpim.uri(header.value)

    def _pidf(self, data: bytes) -> None:
        try:
            found = pidf.parse(data)
        except MalformedError:
            return
        tuples = tuple(replace(each, basic=each.basic or "open") for each in found.tuples)
        found = replace(found, tuples=tuples)
        with suppress(LocalError):  # larger than what it was read from, with its escapes
            assert pidf.parse(pidf.write(found)) == found

    def _xmpp_xml(self, data: bytes) -> None:
        try:
            stanza = xmpp_xml.parse(data)
        except MalformedError:
            return
        with suppress(LocalError):
            entity = mime.parse_entity(xmpp_xml.write(stanza))
            assert _same(xmpp_xml.parse(entity.body), stanza)

    def _xml(self, data: bytes) -> None:
        try:
            element = parse_xml(data)
        except MalformedError:
            return
        if all(
            "}" in each.tag for each in element.iter()
        ):  # what is in no namespace is written into its parent's
            with suppress(LocalError):
                assert _same(parse_xml(serialise(element).encode()), element)

    def _content(self, data: bytes) -> None:
        for outer in self._outer.values():
            for early in (False, True):
                try:
                    found = read_content(data, outer, signing_time=MOMENT, allow_early_draft=early)
                except RemoteError:
                    continue
                assert found.stanza.tag == f"{{{CLIENT}}}{outer.kind}"
                assert (found.stanza.get("from"), found.stanza.get("to")) == (
                    outer.sender.full,
                    outer.recipient.full,
                )
                with suppress(LocalError):
                    serialise(found.stanza)

    # ------------------------------------------------------------------ what stands in a stanza

    def _stanza(self, data: bytes) -> None:
        try:
            stanza = read_stanza(data)
        except MalformedError:
            return
        for look in (find_payload, lambda found: read_outer(found, {"romeo@example.net"})):
            with suppress(RemoteError):
                look(stanza)

    def _object(self, data: bytes) -> None:
        opener = Opener(
            self._keys, CertificatePool(), _nothing, ClaimedKeys().claim, allow_3des=True, allow_sha1=True
        )
        with suppress(RemoteError):
            opened = opener.open_object(data.decode("utf-8", "surrogateescape"))
            assert opened.signer is not None

    def _objenc(self, data: bytes) -> None:
        element = parsed(data)
        if element is None:
            return
        try:
            envelope = read_envelope(element)
        except MalformedError:
            return
        if envelope.transports[0] is WRITTEN_TRANSPORT:
            assert read_envelope(write_envelope(envelope)) == envelope

    def _objenc_object(self, data: bytes) -> None:
        element = parsed(data)
        if element is not None:
            opener = ObjencOpener(self._slow_keys, ClaimedKeys().claim, allow_pkcs1=True, random=bytes)
            with suppress(RemoteError):
                opener.open_object(element)

    def _pubkeys(self, data: bytes) -> None:
        element = parsed(data)
        if element is not None:
            found = read_keyinfo(element)
            assert found is None or len(found) > LARGEST or read_keyinfo(write_keyinfo(found)) == found

    def _date_time(self, data: bytes) -> None:
        try:
            moment = parse_date_time(data.decode("utf-8", "surrogateescape"))
        except TimestampError:
            return
        assert parse_date_time(format_date_time(moment)) == moment // MICROSECOND * MICROSECOND

    def _address(self, data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        for read in (read_jid, uri_to_jid):
            try:
                address = bare(read(text))
            except ValueError:
                continue
            assert bare(read_jid(address)) == address
            assert bare(uri_to_jid(jid_to_uri(address, "im"))) == address

    def _inspect(self, data: bytes) -> None:
        with suppress(ValueError):
            describe_object(data)


_TYPES = {"message": "chat", "presence": "available", "iq": "set"}


def _walk(reader: Reader, depth: int) -> None:
    """Step into everything that is constructed, as far as a reader would."""
    while reader:
        tag = reader.peek()
        if tag & 0x20 and depth < 40:
            _walk(reader.enter(tag), depth + 1)
        else:
            before = reader.position
            assert len(reader.element()) == reader.position - before


def _nothing(*_: object) -> None:
    pass


def _starts_anew(headers: Iterable[cpim.Header]) -> bool:
    """Tell whether a header says how those behind it are to be read, or is not written as it is named."""
    return any(each.name in {"NS", "Require"} or each.value != each.value.rstrip(" ") for each in headers)


def _same(one: Element, other: Element) -> bool:
    """Tell whether two elements say the same; line ends are those of XML."""
    return _text(tostring(one)) == _text(tostring(other))


def _text(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"&#13;", b"\n").replace(b"\r", b"\n")


_TIMES = (
    b"\x17\x0d261120083015Z",
    b"\x18\x0f20501120083015Z",
    b"\x17\x0d991231235959Z",
    b"\x18\x0f20000229000000Z",
)
_DATE_TIMES = (
    b"2026-11-20T08:30:15Z", b"2026-11-20T08:30:15.123456Z", b"2026-11-20t08:30:60.5+01:30",
    b"0001-01-01T00:00:00-23:59",
    b"9999-12-31T23:59:60Z", b"2026-11-20T08:30:15.000000000000000000000000001z",
)  # fmt: skip
_ADDRESSES = (
    "juliet@example.com", "im:juliet@example.com", "pres:j%C3%BCliet@xn--mnchen-3ya.example",
    "jüliet@münchen.example/x",
    "im:example.com", "romeo@[::1]", "im:romeo@[2001:db8::1]/orchard", "a\\40b@example.com", "ß@straße.example",
    "IM:Juliet%40x@EXAMPLE.COM", "ｊuliet@example.com", "x@y。z", "اب@מה.example", "a@" + "b" * 63 + ".c",
)  # fmt: skip


def _all(*kinds: str) -> Seeds:
    return lambda corpus: [each for kind in kinds for each in corpus[kind]]


def _fixed(*inputs: bytes | str) -> Seeds:
    return lambda _: [each.encode() if isinstance(each, str) else each for each in inputs]


def _announcements(_corpus: Corpus) -> list[bytes]:
    return [
        Announcement(NOW, capabilities, preference, bytes(32)).to_der()
        for capabilities in (UNKNOWN, EVERYTHING, WITHOUT_OAEP)
        for preference in (None, b"\x80\x01a")
    ]


def _constrained() -> list[bytes]:
    """Return certificates of CAs that constrain names, of every kind."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Capulet")])
    kinds = (
        x509.DirectoryName(name),
        x509.DNSName("example.com"),
        x509.RFC822Name("example.com"),
        x509.UniformResourceIdentifier("example.com"),
        x509.IPAddress(ip_network("192.0.2.0/24")),
        x509.OtherName(XMPP_ADDRESS, b"\x0c\x01a"),
    )
    return [
        authority("Constrains", x509.NameConstraints(*constraints), issuer=None).der
        for kind in kinds
        for constraints in (([kind], None), (None, [kind]), ([kind, kinds[0]], [kinds[1]]))
    ]


def _base64(corpus: Corpus) -> list[bytes]:
    return [mime.encode_base64(each) for each in corpus["signed"]]


_SEEDS: dict[str, Seeds] = {
    "der": _all("signed", "enveloped", "certificate", "crl"),
    "ber": _all("signed", "enveloped", "certificate"),
    "time": _fixed(*_TIMES),
    "signed-data": _all("signed"),
    "enveloped-data": _all("enveloped"),
    "recipient-info": _all("recipient"),
    "attribute": _all("attribute"),
    "announcement": _announcements,
    "certificate": _all("certificate"),
    "path": lambda corpus: [*corpus["certificate"], *_constrained()],
    "certificates": _all("certificate"),
    "request": _all("request"),
    "crl": _all("crl"),
    "ocsp": _all("ocsp"),
    "entity": _all("entity"),
    "base64": _base64,
    "cpim": _all("cpim"),
    "pidf": _all("pidf"),
    "xmpp-xml": _all("xmpp"),
    "xml": _all("xmpp", "pidf", "objenc"),
    "content": _all("content"),
    "stanza": _all("wire"),
    "object": _all("text"),
    "objenc": _all("objenc"),
    "objenc-object": _all("objenc"),
    "pubkeys": _all("keyinfo"),
    "date-time": _fixed(*_DATE_TIMES),
    "address": _fixed(*_ADDRESSES),
    "inspect": _all("signed", "enveloped", "entity"),
}
