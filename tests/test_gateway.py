"""RFC 3923 8: what a gateway takes out of a stanza is what it put in, to the octet."""

import base64
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slixmpp_e2e.cms.algorithms import CIPHERS_BY_NAME
from slixmpp_e2e.cms.signed_data import certificates_only
from slixmpp_e2e.errors import (
    InvalidStanzaError,
    LocalError,
    MalformedError,
    RefusedError,
    RemoteError,
    TooLargeError,
    UnprotectableError,
)
from slixmpp_e2e.gateway import smime_type, unwrap, unwrap_der, wrap
from slixmpp_e2e.media import mime
from slixmpp_e2e.stanza import MAX_OCTETS, parse_xml
from tests.formats.objects import clear_signed, enveloped_der, message_cpim, opaque, signed_der, signer
from tests.interop.nss import NSS
from tests.interop.openssl import OpenSSL
from tests.interop.peer import Peer, program
from tests.pki import PKI

E2E = "{urn:ietf:params:xml:ns:xmpp-e2e}e2e"
VECTORS = Path(__file__).parent / "vectors"
ROMEO = "romeo@example.net/orchard"
PLAIN = b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\n"


def to_romeo(entity: bytes, **options: object) -> str:
    return wrap(entity, recipient=ROMEO, **options)


def in_a_stanza(text: str) -> str:
    return (
        f"<message xmlns='jabber:client'><e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'>{text}</e2e></message>"
    )


def text_of(xml: str) -> str:
    return fromstring(xml).find(E2E).text


@pytest.fixture(scope="module")
def clear(pki) -> bytes:
    """A multipart/signed entity."""
    return clear_signed(message_cpim(), signer(pki["juliet"], pki.intermediate))


@pytest.fixture(scope="module")
def envelope(pki) -> bytes:
    """A CMS object, signed and encrypted."""
    return enveloped_der(opaque(message_cpim(), signer(pki["juliet"], pki.intermediate)), pki["romeo"])


class TestThereAndBack:
    @pytest.mark.requirement("3923-8-1", "3923-8-2", "3923-8-3", "3923-8-4", "1847-2.1-4")
    @pytest.mark.parametrize("cdata", [True, False])
    def test_a_signed_object_comes_back_to_the_octet(self, clear, cdata):
        assert unwrap(to_romeo(clear, cdata=cdata)) == clear

    @pytest.mark.requirement("3923-8-3", "3923-8-4", "3862-2.2-1", "3862-2.2-16", "3862-2.2-17", "3862-6-2")
    @pytest.mark.requirement("3860-3.3-3", "1847-2.1-4")
    @pytest.mark.parametrize("cdata", [True, False])
    @pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
    @given(
        lines=st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)),
        tricky=st.sampled_from(["", "]]>", "]]]]>>", "<![CDATA[", "&amp;", "<e2e/>", "]]", "\ufeff"]),
        last=st.booleans(),
    )
    def test_nothing_in_an_object_is_changed_but_line_ends(self, cdata, ends, lines, tricky, last):
        body = ends.join(line.encode() for line in [*lines, tricky, "x]"]) + (ends if last else b"")
        assume(not re.search("[\ufffe\uffff]", "".join(lines)))
        entity = b"Content-Type: multipart/signed; boundary=x" + ends + b"Content-X: " + ends + ends + body
        wrapped = to_romeo(entity, cdata=cdata)
        assert unwrap(wrapped) == mime.canonical_line_breaks(entity)
        assert unwrap(wrapped) == unwrap(wrapped.encode())

    @given(data=st.binary(max_size=200).map(b"x".__add__))
    def test_any_other_octets_are_refused_or_come_back(self, data):
        try:
            wrapped = to_romeo(PLAIN + data)
        except LocalError:
            return
        back = unwrap(wrapped)
        assert back.rstrip(b" \t\r\n") == mime.canonical_line_breaks(PLAIN + data).rstrip(b" \t\r\n")

    @pytest.mark.requirement("3923-3.1-3", "3923-4.1-3", "3923-9-1")
    def test_a_cdata_section_and_escaped_text_are_one_to_a_reader(self, clear):
        marked = clear.replace(b"Wherefore", b"<b>]]>&Wherefore")
        section, escaped = to_romeo(marked), to_romeo(marked, cdata=False)
        assert "<![CDATA[" in section
        assert "]]]]><![CDATA[>" in section
        assert "<![CDATA[" not in escaped
        assert text_of(section) == text_of(escaped) == marked.decode().replace("\r\n", "\n")

    @pytest.mark.requirement("3923-8-1")
    def test_an_object_in_der_becomes_the_entity_of_the_errata(self, envelope):
        wrapped = to_romeo(envelope)
        assert unwrap_der(wrapped) == envelope
        assert unwrap(wrapped) == mime.pkcs7_mime(envelope, "enveloped-data", binary=False)


class TestUnwrap:
    def test_white_space_around_the_object_is_not_of_it(self, clear):
        text = clear.decode().replace("\r\n", "\n").replace("&", "&amp;").replace("<", "&lt;")
        assert unwrap(in_a_stanza(f"\n  \t\n{text}\n\n  ")) == clear
        assert unwrap(in_a_stanza(text.rstrip())) == clear.rstrip()

    @pytest.mark.parametrize(
        ("name", "smime_type"), [("aes128-cbc", "enveloped-data"), ("aes128-gcm", "authEnveloped-data")]
    )
    def test_base64_without_header_gets_the_header_of_what_it_is(self, pki, name, smime_type):
        der = enveloped_der(b"x", pki["romeo"], cipher=CIPHERS_BY_NAME[name])
        stanza = in_a_stanza("\n" + base64.b64encode(der).decode() + "\n")
        assert unwrap(stanza) == mime.pkcs7_mime(der, smime_type, binary=False)
        assert unwrap_der(stanza) == der

    def test_signed_data_without_header_is_called_so(self, pki):
        der = signed_der(message_cpim(), signer(pki["juliet"]))
        assert b"smime-type=signed-data" in unwrap(in_a_stanza(base64.b64encode(der).decode()))

    @pytest.mark.parametrize("namespace", ["jabber:client", "jabber:server", "jabber:component:accept", None])
    def test_stanzas_of_every_stream_are_read(self, clear, namespace):
        declared = f" xmlns='{namespace}'" if namespace else ""
        stanza = to_romeo(clear).replace(' xmlns="jabber:client"', declared, 1)
        assert unwrap(stanza) == clear

    @pytest.mark.parametrize(
        ("stanza", "error", "reason"),
        [
            ("<message xmlns='jabber:client'/>", RefusedError, "unprotected"),
            ("<message xmlns='jabber:client'><e2e/></message>", RefusedError, "unprotected"),
            (in_a_stanza("<x/>"), MalformedError, "malformed"),
            (in_a_stanza("").replace("<e2e", "<e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'/><e2e"),
             MalformedError, "malformed"),
            (in_a_stanza(""), MalformedError, "malformed"),
            (in_a_stanza("hello"), MalformedError, "malformed"),
            (in_a_stanza("MAA="), MalformedError, "malformed"),
            (in_a_stanza("Content-Type: text/plain\n\nhello"), RefusedError, "unsupported"),
            (in_a_stanza("A: b\n\nhello"), RefusedError, "unsupported"),
            (in_a_stanza("Content-Type: multipart/signed"), MalformedError, "malformed"),
            ("<!DOCTYPE m [<!ENTITY a 'b'>]>" + in_a_stanza("&a;"), MalformedError, "malformed"),
            ("<body xmlns='jabber:client'/>", MalformedError, "malformed"),
            ("<message", MalformedError, "malformed"),
            ("\ud800", MalformedError, "malformed"),
            (b"\xff\xfe<\0", MalformedError, "malformed"),
        ],
    )  # fmt: skip
    def test_what_holds_no_object_is_refused(self, stanza, error, reason):
        for function in (unwrap, unwrap_der):
            with pytest.raises(error) as caught:
                function(stanza)
            assert caught.value.reason == reason

    def test_a_multipart_has_no_der(self, clear):
        with pytest.raises(RefusedError):
            unwrap_der(to_romeo(clear))

    @given(text=st.text(max_size=60))
    def test_no_text_raises_anything_else(self, text):
        for function in (unwrap, unwrap_der):
            for stanza in (text, in_a_stanza(text), in_a_stanza("A: b\n" + text)):
                with pytest.raises(RemoteError):
                    function(stanza)


class TestWrap:
    @pytest.mark.requirement("3923-8-2")
    def test_a_mail_loses_its_own_header_and_nothing_else(self, clear):
        head, _, rest = clear.partition(b"\r\n\r\n")
        mail = (
            b"Received: from a\r\n\tby b\r\nReceived: from c\r\nFrom: =?utf-8?q?J?= <juliet@example.com>\r\n"
            b"Subject: content-type: text/plain\r\n folded: too\r\nMIME-version: 1.0\r\n"
            + head.replace(b"; ", b";\r\n\t")
            + b"\r\nX-Content-Type: text/plain\r\nTo: romeo\r\n\r\n"
            + rest
        )
        assert unwrap(to_romeo(mail)) == (
            b"MIME-version: 1.0\r\n" + head.replace(b"; ", b";\r\n\t") + b"\r\n\r\n" + rest
        )

    @pytest.mark.requirement("3923-8-2", "3922-4.2.10-1")
    def test_the_stanza_says_what_it_is_told_to(self, clear):
        stanza = parse_xml(
            wrap(
                clear,
                kind="presence",
                type="unavailable",
                sender="juliet@example.com/b",
                recipient="R@x",
                id="<1>",
            ).encode()
        )
        assert stanza.tag == "{jabber:client}presence"
        assert stanza.attrib == {
            "type": "unavailable",
            "from": "juliet@example.com/b",
            "to": "r@x",
            "id": "<1>",
        }
        assert [child.tag for child in stanza] == [E2E]

    def test_an_iq_error_has_its_error(self, clear):
        stanza = parse_xml(to_romeo(clear, kind="iq", type="error", id="1").encode())
        assert stanza.find("{jabber:client}error").get("type") == "cancel"

    @pytest.mark.requirement("3923-8-4")
    @pytest.mark.parametrize(
        "octets", [b"\xe9", b"\x00", b"\x1b", b"x\x0c", b"a\rb", b"\xef\xbf\xbf", b"\xed\xa0\x80"]
    )
    def test_what_xml_cannot_carry_is_refused_and_not_encoded_again(self, octets):
        for cdata in (True, False):
            with pytest.raises(InvalidStanzaError):
                to_romeo(PLAIN + octets, cdata=cdata)

    @pytest.mark.parametrize(
        ("entity", "error"),
        [
            (b"", MalformedError),
            (b"hello", MalformedError),
            (b"hello\n\nhello", MalformedError),
            (b"\n\nhello", RefusedError),
            (b"Content-Type: text/plain\n\nhello", RefusedError),
            (b"Subject: x\n\nhello", RefusedError),
            (b"Content-Type: multipart/mixed; boundary=x\n\n--x--", RefusedError),
            (b"Content-Type: multipart/signed\nContent-Type: multipart/signed\n\n", MalformedError),
            (b"\x30\x00", MalformedError),
            (b"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01", MalformedError),
            (b"x" * (MAX_OCTETS + 1), TooLargeError),
            (PLAIN + b"&" * (MAX_OCTETS - 100), TooLargeError),
        ],
    )
    def test_what_is_no_object_is_refused(self, entity, error):
        with pytest.raises(error):
            to_romeo(entity, cdata=False)

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"recipient": ""}, InvalidStanzaError),
            ({"recipient": "a@b@c@"}, InvalidStanzaError),
            ({"sender": "@"}, InvalidStanzaError),
            ({"id": "\0"}, InvalidStanzaError),
            ({"kind": "iq", "type": "get"}, InvalidStanzaError),
            ({"type": "groupchat"}, UnprotectableError),
            ({"type": "error"}, UnprotectableError),
            ({"type": "no such type"}, UnprotectableError),
            ({"kind": "presence", "type": "subscribe"}, UnprotectableError),
            ({"kind": "iq", "id": "1"}, UnprotectableError),
        ],
    )
    def test_a_stanza_that_can_hold_no_object_is_refused(self, clear, options, error):
        with pytest.raises(error):
            wrap(clear, **{"recipient": ROMEO, **options})


@pytest.mark.requirement("3923-8-3")
@pytest.mark.parametrize("path", sorted(VECTORS.glob("pos-*/*.xml")), ids=lambda path: path.stem)
def test_what_other_programs_put_into_a_stanza_goes_out_and_in_again(path):
    entity = unwrap(path.read_bytes())
    assert b"\n" not in entity.replace(b"\r\n", b"")
    for cdata in (True, False):
        assert unwrap(to_romeo(entity, cdata=cdata)) == entity
    if mime.parse_entity(entity).media_type != "multipart/signed":
        assert mime.parse_entity(entity).decoded_body() == unwrap_der(path.read_bytes())


@pytest.fixture(scope="module")
def directory(pki: PKI, tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("openssl")
    OpenSSL(pki, directory)  # writes keys and certificates
    (directory / "text").write_bytes(message_cpim(content="Content-type: text/plain\r\n\r\n]]> <&> \xe9"))
    return directory


@pytest.fixture(scope="module")
def openssl(directory) -> Callable[..., bytes]:
    def command(*arguments: str, data: bytes = b"") -> bytes:
        done = subprocess.run(
            [program("openssl", "openssl"), "cms", *arguments],
            input=data, cwd=directory, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


@pytest.mark.peer
class TestOtherPrograms:
    """Objects that others made and read again, before and after the way through a stanza."""

    @pytest.mark.requirement("3923-8-3", "3923-2-10", "3923-11-2", "early-8", "3860-3.3-3")
    @pytest.mark.parametrize("cdata", [True, False])
    @pytest.mark.parametrize(
        "options", [("-binary",), ("-binary", "-crlfeol"), (), ("-crlfeol",), ("-nodetach", "-binary")]
    )
    def test_openssl_verifies_what_openssl_signed(self, openssl, options, cdata):
        keys = ("-signer", "juliet.crt", "-inkey", "juliet.key", "-certfile", "intermediate.crt")
        entity = openssl("-sign", "-in", "text", *keys, *options)
        check = ("-verify", "-CAfile", "root.crt", "-purpose", "smimesign")
        before = openssl(*check, data=entity)
        after = openssl(*check, data=unwrap(to_romeo(entity, cdata=cdata)))
        assert mime.canonical_line_breaks(after) == mime.canonical_line_breaks(before)
        assert b"]]> <&> \xc3\xa9" in after

    @pytest.mark.requirement("3923-8-3", "3923-2-10", "3923-11-2", "early-8", "3860-3.3-3")
    def test_openssl_decrypts_what_openssl_encrypted_and_mailed(self, openssl):
        mail = ("-from", "juliet@example.com", "-to", "romeo@example.net", "-subject", "Verona")
        entity = openssl("-encrypt", "-in", "text", "-binary", "-aes-128-cbc", *mail, "-recip", "romeo.crt")
        assert b"Subject: Verona" in entity
        decrypt = ("-decrypt", "-recip", "romeo.crt", "-inkey", "romeo.key", "-binary")
        unwrapped = unwrap(to_romeo(entity))
        assert b"Verona" not in unwrapped
        assert openssl(*decrypt, data=unwrapped) == openssl(*decrypt, data=entity) != b""

    @pytest.mark.requirement("3923-8-3", "3923-2-10", "3923-11-2", "early-8", "3860-3.3-3")
    @pytest.mark.parametrize("peer", [OpenSSL, NSS])
    def test_a_detached_signature_of_a_peer_stays_valid(self, pki, tmp_path, peer: type[Peer]):
        other = peer(pki, tmp_path)
        content = message_cpim()
        entity = mime.multipart_signed(
            content,
            other.sign(content, ["juliet"], scheme="rsa-sha256", detached=True),
            micalg="sha-256",
            boundary="x",
        )
        parts = mime.split_signed(mime.parse_entity(unwrap(to_romeo(entity.replace(b"\r\n", b"\n")))))
        other.verify(parts.signature.decoded_body(), parts.content)
        assert parts.content == content


def test_certificates_alone_are_called_what_they_are(juliet):
    """RFC 8551 3.2.2 and 3.8, in DER and as base64 without a header."""
    der = certificates_only([juliet.parsed])
    assert smime_type(der) == "certs-only"
    entity = unwrap(wrap(der, recipient="romeo@example.net"))
    assert b"smime-type=certs-only; name=smime.p7c" in entity
