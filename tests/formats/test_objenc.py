"""draft-miller-3923bis-02: what is written, octet by octet, and what becomes of what is read."""

import base64
from copy import deepcopy
from xml.etree.ElementTree import Element, fromstring

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from slixmpp.jid import JID

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES128_GCM, AES192_CBC, AES256_CBC
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.errors import (
    CertificateError,
    InvalidStanzaError,
    LocalError,
    TooLargeError,
    UnprotectableError,
)
from slixmpp_e2e.formats.objenc import Opener, Sealing, protect, read_content
from slixmpp_e2e.freshness import from_datetime
from slixmpp_e2e.stanza import MAX_OCTETS
from tests.elements import same, stanza
from tests.formats.objects import JULIET, ROMEO, outer
from tests.formats.objenc_parts import NAMESPACE, peeled
from tests.pki import MOMENT, Entity, make_certificate

NOW = from_datetime(MOMENT)
HERE = "from='juliet@example.com/balcony' to='romeo@example.net/orchard'"
STANZAS = {
    "message": f"<message {HERE} type='chat' id='i1'><body>O &lt;Romeo&gt;,\n ]]&gt; Ü \U0001f339</body></message>",
    "presence": f"<presence {HERE}><show>away</show><c xmlns='urn:x' a='&quot;&amp;'/></presence>",
    "iq": f"<iq {HERE} type='set' id='i1'><query xmlns='urn:x'><item/></query></iq>",
}
BY_KIND = pytest.mark.parametrize("kind", STANZAS)


def write(to: Entity, xml: str | Element, cipher=AES128_CBC, recipient=ROMEO, **options) -> Element:
    """What juliet's program makes of a stanza."""
    element = stanza(xml) if isinstance(xml, str) else xml
    sealing = Sealing(to.parsed, cipher)
    return protect(element, sealing, sender=JULIET, recipient=recipient, moment=NOW, **options)


def leaves(make, size: int) -> bool:
    try:
        make(size)
    except TooLargeError:
        return False
    return True


class TestWriting:
    @pytest.mark.requirement("bis-3-1", "bis-3-2", "bis-3-4", "bis-3-5", "bis-3-6", "bis-3-7", "bis-3-8")
    @pytest.mark.requirement("bis-3-9", "bis-3-10", "bis-3-11", "bis-6-1", "bis-6-2", "bis-6-3", "bis-7-1")
    @pytest.mark.requirement("bis-7-2", "bis-7-3")
    @BY_KIND
    def test_every_kind_of_stanza_goes_through_the_eleven_steps(self, romeo, kind):
        _, document, timestamp, string = peeled(write(romeo, STANZAS[kind]), romeo)
        assert timestamp == "2026-11-20T08:30:15.000000Z"
        text = base64.b64encode(string).decode()
        assert document == f'<plain xmlns="{NAMESPACE}" timestamp="{timestamp}">{text}</plain>'.encode()
        assert same(fromstring(string), stanza(STANZAS[kind]))

    @pytest.mark.requirement("bis-3-5")
    def test_no_character_of_a_text_is_changed(self, romeo):
        string = peeled(write(romeo, f"<message {HERE}>\n <body> a \n\t b </body> </message>"), romeo)[3]
        assert string == (
            b'<message xmlns="jabber:client" from="juliet@example.com/balcony" to="romeo@example.net/orchard">'
            b"\n <body> a \n\t b </body> </message>"
        )

    @pytest.mark.requirement("bis-3-12", "bis-3-13", "bis-3-14", "bis-A-1", "bis-7-2", "bis-7-4")
    @pytest.mark.parametrize(
        ("cipher", "name", "size"),
        [
            (AES128_CBC, "AES-128-CBC-PKCS5-WITH-IV", 16),
            (AES192_CBC, "AES-192-CBC-PKCS5-WITH-IV", 24),
            (AES256_CBC, "AES-256-CBC-PKCS5-WITH-IV", 32),
        ],
    )
    def test_the_element_names_its_algorithms_and_has_base64_in_one_line(self, romeo, cipher, name, size):
        element = write(romeo, STANZAS["message"], cipher)
        parts = peeled(element, romeo)[0]
        assert (len(parts.key), element.attrib, element.text) == (size, {}, None)
        assert [(each.tag, each.attrib) for each in element] == [
            (f"{{{NAMESPACE}}}key", {"cipher-algo": "RSAES-OAEP-SHA-256-MFG1"}),
            (
                f"{{{NAMESPACE}}}data",
                {
                    "cipher-algo": name,
                    "mac-algo": "HMACSHA256",
                    "mac-hash": base64.b64encode(parts.mac).decode(),
                },
            ),
        ]
        assert not any(space in each.text for each in element for space in " \n\r\t")

    @pytest.mark.requirement("bis-3-3")
    @pytest.mark.requirement("reqs-4-4b")
    def test_every_stanza_has_a_key_and_an_iv_of_its_own(self, romeo):
        first, second = (peeled(write(romeo, STANZAS["iq"]), romeo)[0] for _ in range(2))
        for name in ("key", "iv", "data", "encrypted_key", "mac"):
            assert getattr(first, name) != getattr(second, name)

    @pytest.mark.requirement("bis-3-3")
    def test_key_and_iv_are_what_was_drawn(self, romeo):
        asked = []

        def random(size):
            asked.append(size)
            return bytes((len(asked),)) * size

        parts = peeled(write(romeo, STANZAS["iq"], AES256_CBC, random=random), romeo)[0]
        assert (asked, parts.key, parts.iv) == ([32, 16], b"\1" * 32, b"\2" * 16)

    @pytest.mark.requirement("bis-3-17")
    def test_addresses_that_are_missing_are_written_and_the_stanza_stays_as_it_is(self, romeo):
        element = stanza("<message type='chat'><body>x</body></message>")
        before = deepcopy(element)
        string = peeled(write(romeo, element), romeo)[3]
        assert same(element, before)
        assert dict(fromstring(string).attrib) == {"from": JULIET.full, "to": ROMEO.full, "type": "chat"}

    @pytest.mark.requirement("bis-4-1", "bis-4-2")
    @pytest.mark.parametrize(
        ("xml", "to"),
        [
            ("<presence/>", ""),
            ("<presence type='unavailable'/>", ""),
            ("<presence type='subscribe'/>", "romeo@example.net"),
            ("<presence type='probe'/>", "romeo@example.net"),
            ("<presence type='error'/>", "romeo@example.net/orchard"),
            ("<presence type='other'/>", "romeo@example.net/orchard"),
            ("<message type='groupchat'><body>x</body></message>", "room@example.net"),
            ("<message type='error'/>", "romeo@example.net"),
            ("<iq type='other' id='1'/>", "romeo@example.net/orchard"),
        ],
    )
    def test_what_is_for_a_room_for_everybody_or_for_servers_is_never_encrypted(self, romeo, xml, to):
        with pytest.raises(UnprotectableError):
            write(romeo, xml, recipient=JID(to))

    def test_what_no_reader_takes_does_not_leave(self, romeo):
        spoilt = stanza("<message><body>x</body></message>")
        spoilt[0].text = "\0"
        huge = f"<message><body>{'x' * 295_000}</body></message>"
        for xml, error in (
            (spoilt, InvalidStanzaError),
            (f"<message id='{'x' * 1025}'/>", InvalidStanzaError),
            (huge, TooLargeError),
        ):
            with pytest.raises(error):
                write(romeo, xml)

    def test_the_largest_that_leaves_is_read_and_no_larger_one_leaves(self, romeo):
        def sized(size):
            return write(romeo, f"<message><body>{'x' * size}</body></message>")

        opener = Opener(DecryptionKeys([(romeo.key, romeo.parsed)]), lambda *_: True)
        largest = next(size for size in range(294_800, 294_600, -1) if leaves(sized, size))
        assert len(sized(largest)[1].text) == MAX_OCTETS
        opened = opener.open_object(sized(largest))
        assert len(read_content(opened, outer(type_="normal")).stanza[0].text) == largest

    def test_an_id_of_1024_characters_leaves(self, romeo):
        opener = Opener(DecryptionKeys([(romeo.key, romeo.parsed)]), lambda *_: True)
        opened = opener.open_object(write(romeo, f"<message id='{'x' * 1024}'/>"))
        assert read_content(opened, outer(type_="normal")).stanza.get("id") == "x" * 1024

    def test_a_cipher_without_a_name_here_is_not_written(self, romeo):
        with pytest.raises(UnprotectableError, match="aes128-gcm"):
            write(romeo, STANZAS["iq"], AES128_GCM)

    @pytest.mark.parametrize("name", ["p-256", "x25519", "ed25519", "rsa-1024"])
    def test_only_strong_rsa_keys_receive(self, pki, name):
        if name == "rsa-1024":
            key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
            parsed = ParsedCertificate.from_x509(make_certificate(key, "weak", jid="romeo@example.net"))
        else:
            parsed = pki[name].parsed
        with pytest.raises(CertificateError) as caught:
            protect(stanza(STANZAS["iq"]), Sealing(parsed), sender=JULIET, recipient=ROMEO, moment=NOW)
        assert isinstance(caught.value, LocalError)
        assert "RSA key" in str(caught.value)


class TestThereAndBack:
    @pytest.mark.requirement("bis-5-2", "bis-3-1")
    @pytest.mark.parametrize("cipher", [AES128_CBC, AES192_CBC, AES256_CBC], ids=lambda row: row.name)
    @BY_KIND
    def test_a_stanza_comes_back_and_says_how_it_was_opened_and_nothing_about_its_sender(
        self, romeo, kind, cipher
    ):
        element = write(romeo, STANZAS[kind], cipher)
        opened = Opener(DecryptionKeys([(romeo.key, romeo.parsed)]), lambda *_: True).open_object(element)
        decrypted = opened.decrypted
        assert (opened.signer, opened.timestamp) == (None, NOW)
        assert (decrypted.cipher, decrypted.key_management) == (cipher, "rsa-oaep-sha256")
        assert decrypted.certificate.fingerprint == romeo.parsed.fingerprint
        type_ = {"message": "chat", "presence": "available", "iq": "set"}[kind]
        content = read_content(opened, outer(kind, type_))
        assert content.timestamp == NOW
        assert same(content.stanza, stanza(STANZAS[kind]))
