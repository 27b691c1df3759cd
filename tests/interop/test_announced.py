"""What signers announce of their software and of their certificates (RFC 8551 2.5.2, 2.5.3), and what follows.

Each peer signs as it does by itself; what it announced decides how it is answered, and it reads the answer.
"""

import re
import time

import pytest

from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.cms.algorithms import AES128_CBC, AES192_CBC, AES256_CBC, DES_EDE3_CBC
from slixmpp_e2e.cms.capabilities import Capabilities, read_capabilities, read_preference
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.signed_data import VerifiedSigner, parse_signed_data, sign
from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.gateway import unwrap, wrap
from slixmpp_e2e.policy import Level
from tests.accounts import Clock, account
from tests.interop import documents
from tests.interop.bouncycastle import BouncyCastle
from tests.interop.gnutls import GnuTLS
from tests.interop.nss import NSS
from tests.interop.openssl import OpenSSL
from tests.interop.peer import Peer, PeerError, Start
from tests.pki import MOMENT, PKI

pytestmark = pytest.mark.peer

JULIET, ROMEO = "juliet@example.com/balcony", "romeo@example.net/orchard"
STANZAS = {
    "presence": f"<presence from='{ROMEO}' to='{JULIET}'><show>away</show></presence>",
    "iq": f"<iq from='{ROMEO}' to='{JULIET}' type='get' id='i1'><query xmlns='urn:x'/></iq>",
}
SEALED = ["enveloped-data", "signed-data"]
#: `{}` is the timestamp.
MESSAGE = (
    "Content-type: Message/CPIM\r\n\r\nFrom: <im:juliet@example.com>\r\nTo: <im:romeo@example.net>\r\n"
    "DateTime: {}\r\n\r\nContent-type: text/plain; charset=utf-8\r\n\r\nWherefore art thou?"
)


@pytest.fixture
def content(clock: Clock) -> bytes:
    """A message of juliet's, from now."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(clock.now // 10**9))
    return MESSAGE.format(f"{moment}.31Z").encode()


def by_openssl(start: Start, command: str, content: bytes, *options: str) -> bytes:
    """Return an opaque SignedData of juliet's as `openssl cms` or `openssl smime` makes it."""
    tool = start(OpenSSL).tool
    keys = ("-signer", tool["juliet.crt"], "-inkey", tool["juliet.key"])
    above = ("-certfile", tool["intermediate.crt"])
    data = ("-in", tool.file("in", content), "-binary", "-nodetach", "-outform", "DER")
    return tool.make("-out", command, "-sign", *data, *keys, *above, *options)


def by_nss(start: Start, content: bytes, name: str, *options: str) -> bytes:
    """Return an opaque SignedData as `cmsutil` makes it."""
    nss = start(NSS)
    return nss.cmsutil("-S", "-G", "-N", name, "-i", nss.tool.file("in", content), *options)


def signer_of(signed: bytes) -> VerifiedSigner:
    """Return who made an opaque SignedData; his certificate is not judged."""
    return parse_signed_data(signed).verify(CertificatePool())[1]


def answered(romeos: Endpoint, signed: bytes, xml: str) -> bytes:
    """Let romeo receive an object of juliet's, and return the object that he answers with."""
    entity = documents.pkcs7_mime(signed, "signed-data")
    assert romeos.unprotect(wrap(entity, sender=JULIET, recipient=ROMEO)).report.authenticated
    return unwrap(romeos.protect(xml))


def require_read(peer: Peer, entity: bytes, layers: list[str], name: str = "juliet") -> None:
    """Assert that a peer opens one of `STANZAS` with juliet's key, or another one."""
    content, found = documents.opened(peer, entity, name)
    assert found == layers
    assert b">away</im>" in content or b'<query xmlns="urn:x"/>' in content


def shown(start: Start, entity: bytes) -> str:
    """Return what OpenSSL shows of the CMS object in an entity."""
    tool = start(OpenSSL).tool
    return tool.run("cms", "-cmsout", "-print", "-noout", "-in", tool.file("in", entity)).decode()


def algorithms(start: Start, entity: bytes) -> list[str]:
    """Return the key transport and the cipher of an envelope as OpenSSL names them."""
    wanted = r"(?:keyEncryption|contentEncryption)Algorithm: \s+algorithm: (\S+) \("
    return re.findall(wanted, shown(start, entity))


# --------------------------------------------------------------------------- capabilities


@pytest.mark.parametrize("command", ["cms", "smime"])
def test_what_openssl_announces_by_itself_is_read(start: Start, content: bytes, command: str):
    ciphers = frozenset({AES256_CBC, AES192_CBC, AES128_CBC, DES_EDE3_CBC})
    found = read_capabilities(signer_of(by_openssl(start, command, content)).attributes)
    assert found == Capabilities(ciphers, oaep=False)


def test_what_openssl_leaves_out_is_not_there(start: Start, content: bytes):
    signer = signer_of(by_openssl(start, "cms", content, "-nosmimecap"))
    assert read_capabilities(signer.attributes) is None


def test_what_nss_announces_is_read(start: Start, content: bytes):
    found = read_capabilities(signer_of(by_nss(start, content, "juliet", "-P")).attributes)
    assert found == Capabilities(frozenset({AES256_CBC, AES128_CBC, DES_EDE3_CBC}), oaep=False)
    assert read_capabilities(signer_of(by_nss(start, content, "juliet")).attributes) is None


@pytest.mark.parametrize("kind", [GnuTLS, BouncyCastle])
def test_others_announce_nothing_by_themselves(start: Start, content: bytes, kind: type[Peer]):
    signed = start(kind).sign(content, ["juliet"], scheme="rsa-sha256", detached=False)
    assert read_capabilities(signer_of(signed).attributes) is None


@pytest.mark.parametrize("xml", STANZAS.values(), ids=STANZAS)
@pytest.mark.parametrize("kind", [OpenSSL, NSS])
def test_a_peer_reads_the_cipher_that_it_announced(
    start: Start, romeos, content: bytes, kind: type[Peer], xml: str
):
    signed = by_openssl(start, "cms", content) if kind is OpenSSL else by_nss(start, content, "juliet", "-P")
    entity = answered(romeos, signed, xml)
    require_read(start(kind), entity, SEALED)
    assert algorithms(start, entity) == ["rsaEncryption", "aes-256-cbc"]


def test_who_announced_nothing_gets_the_cipher_of_rfc_3923(start: Start, romeos, content: bytes):
    entity = answered(romeos, by_openssl(start, "cms", content, "-nosmimecap"), STANZAS["iq"])
    require_read(start(OpenSSL), entity, SEALED)
    assert algorithms(start, entity) == ["rsaEncryption", "aes-128-cbc"]


def test_openssl_names_what_we_announce(start: Start, romeos):
    text = shown(start, unwrap(romeos.protect(STANZAS["presence"], level=Level.SIGN)))
    _, found, after = text.partition("object: S/MIME Capabilities (1.2.840.113549.1.9.15)")
    assert found
    rows = after.partition("signatureAlgorithm")[0]
    named = re.findall(r"d=2 .*prim: +OBJECT +:(\S+)", rows)
    assert named == ["aes-256-gcm", "aes-128-gcm", "aes-256-cbc", "aes-128-cbc", "rsaesOaep"]
    assert re.findall(r"d=[45] .*prim: +OBJECT +:(\S+)", rows) == ["sha256", "mgf1", "sha256"]


# --------------------------------------------------------------------------- authenticated encryption and OAEP


@pytest.mark.parametrize("xml", STANZAS.values(), ids=STANZAS)
def test_two_of_us_use_gcm_and_oaep_and_others_read_it(start: Start, pki: PKI, clock, romeos, xml: str):
    juliets = Endpoint.over(account(pki, pki["juliet"], clock))
    hello = f"<message from='{JULIET}' to='{ROMEO}'><body>x</body></message>"
    romeos.unprotect(juliets.protect(hello, level=Level.SIGN))
    entity = unwrap(romeos.protect(xml))
    assert algorithms(start, entity) == ["rsaesOaep", "aes-256-gcm"]
    for kind in (OpenSSL, BouncyCastle):
        require_read(start(kind), entity, ["authEnveloped-data", "signed-data"])
    with pytest.raises(PeerError, match="SEC_ERROR_UNRECOGNIZED_OID"):
        documents.opened(start(NSS), entity, "juliet")


# --------------------------------------------------------------------------- the certificate to encrypt to


@pytest.mark.parametrize(
    ("signer", "options", "preferred"),
    [
        ("p-256", ("-Y", "juliet"), "juliet"),
        ("juliet", ("-Y", "rsa-3072"), "rsa-3072"),
        ("juliet", (), "juliet"),
        ("juliet", ("-Y", "NONE"), None),
    ],
)
def test_the_certificate_that_nss_prefers_is_read(
    start: Start, pki: PKI, content: bytes, signer: str, options: tuple[str, ...], preferred: str | None
):
    found = read_preference(signer_of(by_nss(start, content, signer, "-P", *options)).attributes)
    assert found == (None if preferred is None else pki[preferred].parsed.issuer_and_serial)


@pytest.mark.parametrize(("signer", "preferred"), [("p-256", "juliet"), ("juliet", "rsa-3072")])
def test_nss_is_encrypted_to_the_certificate_that_it_prefers(
    start: Start, pki: PKI, romeos, content: bytes, signer: str, preferred: str
):
    entity = answered(romeos, by_nss(start, content, signer, "-P", "-Y", preferred), STANZAS["iq"])
    for kind in (NSS, BouncyCastle):
        require_read(start(kind), entity, SEALED, preferred)
    with pytest.raises(PeerError, match="not for us"):
        documents.opened(start(BouncyCastle), entity, "rsa-3072" if preferred == "juliet" else "juliet")


def test_openssl_shows_the_certificate_that_we_prefer(start: Start, pki: PKI):
    encryption = identity(pki["juliet"].key, pki["juliet"].certificate)
    own = identity(pki["p-256"].key, pki["p-256"].certificate, encryption=encryption)
    tool, der = start(OpenSSL).tool, sign(b"x", own.signer, signing_time=MOMENT)
    text = tool.run("asn1parse", "-inform", "DER", "-in", tool.file("in", der)).decode()
    found = re.search(
        r":id-smime-aa-encrypKeyPref\n.*cons: SET +\n *(\d+):.*hl=2 l= +20 prim: cont \[ 2 \]", text
    )
    octets = der[int(found[1]) + 2 :][:20]
    named = tool.run("x509", "-noout", "-ext", "subjectKeyIdentifier", "-in", tool["juliet.crt"]).decode()
    assert octets.hex(":").upper() == named.splitlines()[1].strip()
