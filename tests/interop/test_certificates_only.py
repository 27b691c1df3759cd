"""Certificates and nothing else (RFC 8551 3.8), both ways."""

import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from slixmpp.jid import JID

from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import CertificatesOnlyError, RemoteError
from slixmpp_e2e.gateway import unwrap, unwrap_der, wrap
from slixmpp_e2e.outer import write_outer
from tests.accounts import Clock, account
from tests.interop import documents
from tests.interop.gnutls import GnuTLS
from tests.interop.nss import NSS
from tests.interop.openssl import OpenSSL
from tests.interop.peer import PeerError, Start
from tests.pki import PKI

pytestmark = pytest.mark.peer

JULIET, ROMEO = "juliet@example.com/balcony", "romeo@example.net/orchard"


@pytest.fixture
def ours(pki: PKI) -> str:
    """A message with juliet's certificate and the one above it."""
    text = account(pki, pki["juliet"], Clock()).certificates_only()
    return write_outer("message", {"from": JULIET, "to": ROMEO}, text)


def from_juliet(der: bytes) -> str:
    """Return a message of juliet's to romeo with this object."""
    return wrap(documents.pkcs7_mime(der, "certs-only"), sender=JULIET, recipient=ROMEO)


def by_openssl(start: Start, *names: str) -> bytes:
    """Return the certificates with these names as OpenSSL puts them together."""
    tool = start(OpenSSL).tool
    files = (each for name in names for each in ("-certfile", tool[f"{name}.crt"]))
    return tool.make("-out", "crl2pkcs7", "-nocrl", "-outform", "DER", *files)


def refusal(by: Endpoint, xml: str) -> RemoteError:
    """Return why a stanza is not delivered."""
    with pytest.raises(RemoteError) as caught:
        by.unprotect(xml)
    return caught.value


def in_pem(text: bytes) -> set[bytes]:
    """Return the certificates in a text, in DER."""
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", text, re.DOTALL)
    return {each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(b"".join(blocks))}


def test_what_openssl_writes_is_learned(start: Start, romeos: Endpoint):
    error = refusal(romeos, from_juliet(by_openssl(start, "juliet", "intermediate")))
    assert isinstance(error, CertificatesOnlyError)
    assert error.learned
    assert romeos.protection.can_encrypt_to(JID(JULIET))


def test_without_the_certificate_above_it_is_not(start: Start, romeos: Endpoint):
    error = refusal(romeos, from_juliet(by_openssl(start, "juliet")))
    assert isinstance(error, CertificatesOnlyError)
    assert not error.learned
    assert not romeos.protection.can_encrypt_to(JID(JULIET))


def test_openssl_and_gnutls_read_what_we_write(start: Start, pki: PKI, ours: str):
    fields, body = documents.header_and_body(unwrap(ours))
    assert fields.get_content_type() == "application/pkcs7-mime"
    assert fields.get_param("smime-type") == "certs-only"
    der, expected = documents.octets(fields, body), {pki["juliet"].der, pki.intermediate.der}
    tool = start(OpenSSL).tool
    assert (
        in_pem(tool.run("pkcs7", "-inform", "DER", "-print_certs", "-in", tool.file("in", der))) == expected
    )
    tool = start(GnuTLS).tool
    assert in_pem(tool.run("--p7-info", "--inder", "--infile", tool.file("in", der))) == expected


def test_nss_reads_end_entities_only(start: Start, ours: str):
    """It judges every certificate as one for e-mail: a CA's makes it refuse even what it wrote itself."""
    nss = start(NSS)
    assert nss.cmsutil("-D", "-i", nss.tool.file("in", by_openssl(start, "juliet"))) == b""
    written = nss.cmsutil("-O", "-r", "juliet", "-i", nss.tool.file("empty", b""))
    for der in (by_openssl(start, "juliet", "intermediate"), unwrap_der(ours), written):
        with pytest.raises(PeerError, match="Verify certs-only failed!"):
            nss.cmsutil("-D", "-i", nss.tool.file("in", der))


def test_empty_content_is_none_but_of_another_type_it_is_something_else(start: Start, romeos: Endpoint):
    """RFC 8551 3.8: eContent is absent; NSS writes an empty one. 5652 11.1: id-data; GnuTLS says digestedData."""
    nss, gnutls = start(NSS), start(GnuTLS).tool
    written = nss.cmsutil("-O", "-r", "juliet", "-i", nss.tool.file("empty", b""))
    assert b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x80\x24\x80\x00\x00" in written
    assert refusal(romeos, from_juliet(written)).reason == "certificates-only"
    generate = ("--p7-generate", "--outder", "--load-certificate", gnutls["juliet.crt"])
    written = gnutls.make("--outfile", *generate)
    assert b"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x05" in written
    assert refusal(romeos, from_juliet(written)).reason == "malformed"
