"""draft-miller-3923bis-02 with nothing but the OpenSSL command line, hashlib and hmac, both ways.

No program is known to speak this format. So this is the draft once more, step by step, by somebody who has none of
our code: `openssl pkeyutl` for the key, `openssl enc` for the data, `openssl dgst` beside hmac for the MAC.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, fromstring, tostring

import pytest

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES192_CBC, AES256_CBC, ContentCipher
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.errors import RemoteError
from slixmpp_e2e.formats.objenc import Opener, Sealing, protect, read_content
from slixmpp_e2e.freshness import from_datetime, parse_date_time
from tests.elements import same, stanza
from tests.formats.objects import JULIET, ROMEO, outer
from tests.interop.openssl import OpenSSL
from tests.interop.peer import Start, Tool
from tests.pki import PKI

pytestmark = pytest.mark.peer

NAMESPACE = "urn:ietf:params:xml:ns:xmpp-objenc:0"
XML = (
    f"<message from='{JULIET}' to='{ROMEO}' type='chat' id='inner'><body>Wherefore art thou,\n"
    "Romeo? ]]&gt; \U0001f339</body></message>"
)
SIZES = {128: AES128_CBC, 192: AES192_CBC, 256: AES256_CBC}
BY_SIZE = pytest.mark.parametrize("size", SIZES)
OAEP = ("rsa_padding_mode:oaep", "rsa_oaep_md:sha256")


@dataclass
class ByHand:
    """Somebody with a shell."""

    tool: Tool

    def encrypt(
        self, document: bytes, size: int, *, options: tuple[str, ...] = OAEP, usual: bool = False
    ) -> str:
        """Return an `<e2e/>` element, by the steps 2 and 7 to 10 of section 3."""
        key = self.tool.run("rand", "-hex", str(size // 8)).decode().strip()
        iv = self.tool.run("rand", "-hex", "16").decode().strip()
        data = bytes.fromhex(iv) + self.cipher("-e", document, size, key, iv)
        encrypted_key = self.pkeyutl("-encrypt", "-certin", "romeo.crt", bytes.fromhex(key), options)
        mac = self.mac(bytes.fromhex(key), data) if usual else self.mac(data, bytes.fromhex(key))
        text = {
            name: base64.encodebytes(value).decode()
            for name, value in (("key", encrypted_key), ("data", data))
        }
        return (
            f"<e2e xmlns='{NAMESPACE}'><key cipher-algo='RSAES-OAEP-SHA-256-MFG1'>{text['key']}</key>"
            f"<data cipher-algo='AES-{size}-CBC-PKCS5-WITH-IV' mac-algo='HMACSHA256' "
            f"mac-hash='{base64.b64encode(mac).decode()}'>{text['data']}</data></e2e>"
        )

    def decrypt(self, element: Element, size: int) -> bytes:
        """Return the envelope of an element; the key first, then the MAC, then the rest."""
        key, data = element
        assert data.get("cipher-algo") == f"AES-{size}-CBC-PKCS5-WITH-IV"
        encrypted_key, octets = base64.b64decode(key.text), base64.b64decode(data.text)
        session_key = self.pkeyutl("-decrypt", "", "romeo.key", encrypted_key, OAEP)
        assert len(session_key) == size // 8
        assert base64.b64decode(data.get("mac-hash")) == self.mac(octets, session_key)
        return self.cipher("-d", octets[16:], size, session_key.hex(), octets[:16].hex())

    def cipher(self, operation: str, data: bytes, size: int, key: str, iv: str) -> bytes:
        """`openssl enc`, which pads with PKCS #7."""
        file = self.tool.file("in", data)
        return self.tool.make("-out", "enc", operation, f"-aes-{size}-cbc", "-K", key, "-iv", iv, "-in", file)

    def pkeyutl(
        self, operation: str, certificate: str, key: str, data: bytes, options: tuple[str, ...]
    ) -> bytes:
        """`openssl pkeyutl`."""
        chosen = [each for option in options for each in ("-pkeyopt", option)]
        certin = [certificate] if certificate else []
        file = self.tool.file("in", data)
        return self.tool.make(
            "-out", "pkeyutl", operation, *certin, "-inkey", self.tool[key], *chosen, "-in", file
        )

    def mac(self, key: bytes, message: bytes) -> bytes:
        """HMAC-SHA-256, by OpenSSL and by Python."""
        file = self.tool.file("in", message)
        found = self.tool.run(
            "dgst", "-sha256", "-binary", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", file
        )
        assert found == hmac.new(key, message, hashlib.sha256).digest()
        return found


@pytest.fixture
def by_hand(start: Start) -> ByHand:
    peer = start(OpenSSL)
    assert isinstance(peer, OpenSSL)
    return ByHand(peer.tool)


@pytest.fixture
def opener(pki: PKI) -> Opener:
    romeo = pki["romeo"]
    return Opener(DecryptionKeys([(romeo.key, romeo.parsed)]), lambda *_: True)


def envelope(timestamp: str = "2026-11-20T08:30:15.012Z") -> bytes:
    """Steps 4 to 6: the draft's own layout, with line breaks."""
    string = tostring(stanza(XML), encoding="utf-8")
    text = base64.encodebytes(string).decode()
    return f'<plain  xmlns="{NAMESPACE}"\n        timestamp="{timestamp}">\n{text}</plain>'.encode()


@pytest.mark.requirement("bis-3-6", "bis-3-7", "bis-3-8", "bis-3-9", "bis-3-10", "bis-3-11", "bis-7-2")
@BY_SIZE
@pytest.mark.requirement("reqs-5-2a")
def test_openssl_opens_what_we_write(pki, by_hand, size):
    cipher: ContentCipher = SIZES[size]
    moment = from_datetime(datetime.now(UTC))
    element = protect(
        stanza(XML), Sealing(pki["romeo"].parsed, cipher), sender=JULIET, recipient=ROMEO, moment=moment
    )
    document = by_hand.decrypt(fromstring(tostring(element)), size)
    assert re.fullmatch(
        rb'<plain xmlns="urn:ietf:params:xml:ns:xmpp-objenc:0" timestamp="[0-9T:.-]+Z">[A-Za-z0-9+/]+=*</plain>',
        document,
    )
    plain = fromstring(document)
    assert parse_date_time(plain.get("timestamp")) == moment
    assert same(fromstring(base64.b64decode(plain.text, validate=True)), stanza(XML))


@pytest.mark.parametrize("usual", [False, True], ids=["as the draft has it", "as usual"])
@pytest.mark.parametrize("mask", [(), ("rsa_mgf1_md:sha1",)], ids=["SHA-256", "SHA-1 in the mask"])
@BY_SIZE
@pytest.mark.requirement("reqs-5-2a")
def test_we_open_what_openssl_writes(by_hand, opener, size, mask, usual):
    document = envelope()
    element = fromstring(by_hand.encrypt(document, size, options=OAEP + mask, usual=usual))
    opened = opener.open_object(element)
    assert opened.timestamp == parse_date_time("2026-11-20T08:30:15.012Z")
    assert opened.decrypted.cipher is SIZES[size]
    assert same(read_content(opened, outer()).stanza, stanza(XML))


def test_a_changed_octet_is_refused_by_both(pki, by_hand, opener):
    element = fromstring(by_hand.encrypt(envelope(), 128))
    data = bytearray(base64.b64decode(element[1].text))
    data[20] ^= 1
    element[1].text = base64.b64encode(data).decode()
    with pytest.raises(RemoteError):
        opener.open_object(element)
    with pytest.raises(AssertionError):
        by_hand.decrypt(element, 128)
