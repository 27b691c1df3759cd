"""What fuzzing starts from: the stanzas in `tests/vectors`, taken apart, and what we write ourselves.

The vectors are the same octets in every run. What we write is signed and encrypted with keys that are made for
the run, so an input that breaks something is printed whole.
"""

import base64
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring, tostring

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from slixmpp_e2e.certificates.issue import certificate_request
from slixmpp_e2e.cms.algorithms import AES128_CBC, AES256_GCM, ID_SIGNED_DATA
from slixmpp_e2e.cms.asn1 import Reader
from slixmpp_e2e.cms.capabilities import capabilities_attribute, preference_attribute
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.enveloped_data import content_type, encrypt, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys, recipient_for
from slixmpp_e2e.cms.signed_data import SignedData, Signer, certificates_only, parse_signed_data, sign
from slixmpp_e2e.errors import RemoteError
from slixmpp_e2e.media import cpim, mime
from slixmpp_e2e.namespaces import E2E, OBJENC
from slixmpp_e2e.plugin.pubkeys import write_keyinfo
from tests.certificates import building, responses
from tests.pki import MOMENT, PKI

VECTORS = Path(__file__).parents[1] / "vectors"
#: Octets of the longest input, and how many there are of a kind.
_LONGEST, _MOST = 16_000, 80
CONTENT = b"\r\n".join(
    (
        b"Content-type: Message/CPIM\r\n",
        b"From: <im:juliet@example.com>",
        b"To: <im:romeo@example.net>",
        b"DateTime: 2026-11-20T08:30:15Z\r\n",
        b"Content-type: text/plain; charset=utf-8\r\n",
        b"Good night\r\n",
    )
)


class Corpus:
    """Inputs by kind.

    `wire`, `text`, `entity`, `signed`, `enveloped`, `attribute`, `content`, `cpim`, `pidf`, `xmpp`, `objenc`,
    `certificate`, `crl`, `ocsp`, `request`, `keyinfo`, `recipient`.
    """

    def __init__(self, pki: PKI) -> None:
        self._found: defaultdict[str, dict[bytes, None]] = defaultdict(dict)
        keys = []
        for path in sorted((VECTORS / "pki").glob("romeo-rsa[23]*.key")):
            certificate = x509.load_pem_x509_certificate(path.with_suffix(".crt").read_bytes())
            keys.append(
                (load_pem_private_key(path.read_bytes(), None), ParsedCertificate.from_x509(certificate))
            )
        self._keys = DecryptionKeys(keys)
        for path in sorted(VECTORS.glob("*/*.xml")):
            self._add_stanza(path.read_bytes())
        for path in sorted((VECTORS / "pki").glob("*.crt")):
            self._add_certificate(x509.load_pem_x509_certificate(path.read_bytes()))
        for path in sorted((VECTORS / "pki").glob("*.crl")):
            self._add("crl", x509.load_pem_x509_crl(path.read_bytes()).public_bytes(Encoding.DER))
        self._add_ours(pki)

    def __getitem__(self, kind: str) -> list[bytes]:
        """Return the inputs of a kind: at most 80, from all over the collection, in a fixed order."""
        found = list(self._found[kind])
        return found[:: max(1, -(-len(found) // _MOST))]

    def _add(self, kind: str, data: bytes) -> None:
        if 0 < len(data) <= _LONGEST:
            self._found[kind][data] = None

    # ------------------------------------------------------------------ what others made

    def _add_stanza(self, wire: bytes) -> None:
        self._add("wire", wire)
        with suppress(ParseError):
            for element in fromstring(wire).iter():
                if element.tag == f"{{{E2E}}}e2e":
                    self._add_text(element.text or "")
                elif element.tag == f"{{{OBJENC}}}e2e":
                    self._add("objenc", tostring(element))

    def _add_text(self, text: str) -> None:
        self._add("text", text.encode())
        data = mime.canonical_line_breaks(text.strip().encode())
        with suppress(RemoteError):
            if mime.begins_with_field(data):
                self._add_entity(data)
            else:
                self._add_object(mime.decode_base64(data))

    def _add_entity(self, data: bytes) -> None:
        self._add("entity", data)
        with suppress(RemoteError):
            entity = mime.parse_entity(data)
            if entity.media_type in mime.PKCS7_MIME:
                self._add_object(entity.decoded_body())
            elif entity.media_type == "multipart/signed":
                parts = mime.split_signed(entity)
                self._add_object(parts.signature.decoded_body())
                self._add_content(parts.content)
            else:
                self._add_content(data)

    def _add_object(self, der: bytes) -> None:
        with suppress(RemoteError):
            if content_type(der) == ID_SIGNED_DATA:
                self._add("signed", der)
                self._add_signed(parse_signed_data(der))
            else:
                self._add("enveloped", der)
                plaintext = parse_enveloped_data(der).decrypt(self._keys).plaintext
                if plaintext.startswith(b"\x30"):
                    self._add_object(plaintext)
                else:
                    self._add_entity(plaintext)

    def _add_signed(self, signed: SignedData) -> None:
        for info in signed.signer_infos:
            for kind, values in info.attributes.items():
                self._add("attribute", kind + values)
        if signed.content is not None:
            self._add_content(signed.content)

    def _add_content(self, data: bytes) -> None:
        self._add("content", data)
        with suppress(RemoteError):
            entity = mime.parse_entity(data)
            kind = {"message/cpim": "cpim", "application/pidf+xml": "pidf", "application/xmpp+xml": "xmpp"}
            if entity.media_type in kind:
                self._add(kind[entity.media_type], entity.decoded_body())
            if entity.media_type == "message/cpim":
                self._add_content(cpim.parse(entity.decoded_body()).content)

    def _add_certificate(self, certificate: x509.Certificate) -> None:
        der = certificate.public_bytes(Encoding.DER)
        self._add("certificate", der)
        self._add("keyinfo", tostring(write_keyinfo(der)))

    # ------------------------------------------------------------------ what we write

    def _add_ours(self, pki: PKI) -> None:
        root = building.authority("Root")
        leaf = building.end_entity(issuer=root)
        delegate = responses.responder(root)
        self._add("crl", building.revocation_list(root, leaf))
        self._add("crl", building.revocation_list(root, leaf, reason=x509.ReasonFlags.key_compromise))
        self._add("ocsp", responses.response(root, leaf))
        self._add("ocsp", responses.response(root, leaf, responses.REVOKED, signer=delegate))
        for entity in (root, leaf, delegate, pki.root, pki.intermediate, *pki.entities.values()):
            self._add_certificate(entity.certificate)
        for name in ("juliet", "p-256", "p-384", "ed25519"):
            entity = pki[name]
            attributes = (capabilities_attribute(), preference_attribute(entity.parsed))
            for key_identifier in (False, True):
                signer = Signer(
                    entity.key,
                    entity.parsed,
                    [pki.intermediate.parsed],
                    key_identifier=key_identifier,
                    attributes=attributes,
                )
                der = sign(CONTENT, signer, signing_time=MOMENT, certificates=not key_identifier)
                self._add_object(der)
            for attribute in attributes:
                self._add("attribute", b"".join(Reader(attribute).enter().elements(limit=2)))
            request = certificate_request(entity.key, ["juliet@example.com"])
            self._add("request", request.public_bytes(Encoding.DER))
        self._add("signed", certificates_only([pki["juliet"].parsed, pki.intermediate.parsed]))
        recipients = [recipient_for(pki[name].parsed) for name in ("romeo", "p-256", "p-384", "x25519")]
        for cipher in (AES128_CBC, AES256_GCM):
            for recipient in recipients:
                self._add("enveloped", encrypt(CONTENT, [recipient], cipher=cipher))
                self._add("recipient", recipient.recipient_info(b"0123456789abcdef"))
            self._add("enveloped", encrypt(CONTENT, recipients, cipher=cipher))


def attribute(data: bytes) -> dict[bytes, bytes]:
    """Return signed attributes, of which an input is one: its type and its values."""
    try:
        kind = Reader(data).element()
    except ValueError:
        return {}
    return {kind: data[len(kind) :]}


def parsed(data: bytes) -> Element | None:
    """Return the element that an input is, or None; expat itself is not what is tried."""
    try:
        return fromstring(data)
    except ParseError:
        return None


def stanzas(corpus: Corpus) -> Iterator[bytes]:
    """Yield the stanzas of the vectors that are not larger than what most are."""
    yield from (wire for wire in corpus["wire"] if len(wire) < 10_000)


def base64_lines(der: bytes) -> bytes:
    """Return base64 as it stands in a stanza."""
    return base64.encodebytes(der).rstrip(b"\n")
