"""Which JIDs a certificate names."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtensionOID
from hypothesis import assume, example, given
from hypothesis import strategies as st
from slixmpp.jid import JID, InvalidJID

from slixmpp_e2e.certificates.names import (
    XMPP_ADDR,
    CertificateNameError,
    certificate_jids,
    request_jids,
    subject_alternative_name,
    verify_certificate_names,
)
from slixmpp_e2e.errors import CertificateError
from slixmpp_e2e.media.addresses import bare

VECTORS = Path(__file__).parent.parent / "vectors" / "pki"
KEY = ed25519.Ed25519PrivateKey.generate()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

#: The verdicts of the corpus that these certificates come from.
VERDICTS = {
    "juliet-badutf8": [],
    "juliet-domainonly": ["example.com"],
    "juliet-emailonly": [],
    "juliet-fulljid": ["juliet@example.com"],
    "juliet-homoglyph": ["jul\N{CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I}et@example.com"],
    "juliet-ia5": [],
    "juliet-idn": ["julïette@vérone.example"],
    "juliet-imonly": ["juliet@example.com"],
    "juliet-imquery": [],
    "juliet-multisan": ["nurse@example.com", "juliet@example.com"],
    "juliet-nosan": [],
    "juliet-nul": [],
    "juliet-presonly": ["juliet@example.com"],
    "juliet-substr": ["juliet@example.com.evil.example", "notjuliet@example.com"],
    "juliet-upper": ["juliet@example.com"],
    "juliet-wildcard": ["*@example.com"],
    "juliet-wrongjid": ["nurse@example.com"],
    "juliet-wrongoid": [],
    "juliet-xmppuri": [],
}


def load(name):
    return x509.load_pem_x509_certificate((VECTORS / f"{name}.crt").read_bytes())


def certificate(*extensions, common_name="somebody"):
    """Return a certificate with these extensions and nothing else."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder(name, name, KEY.public_key(), 1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, None)


def naming(*names):
    return certificate(x509.SubjectAlternativeName(names))


def xmpp_addr(der):
    return x509.OtherName(XMPP_ADDR, der)


def utf8(text):
    """Return a DER UTF8String, whatever the length."""
    value = text if isinstance(text, bytes) else text.encode()
    if len(value) < 0x80:
        return bytes((0x0C, len(value))) + value
    size = (len(value).bit_length() + 7) // 8
    return bytes((0x0C, 0x80 | size)) + len(value).to_bytes(size) + value


class TestVectors:
    @pytest.mark.requirement("3923-6.3-5", "3923-6.3-7", "3923-6.3-13", "6120-13.7.1.4-1", "3920-5.1.1-1")
    @pytest.mark.requirement("3923-6.3-12")
    @pytest.mark.parametrize(("name", "jids"), VERDICTS.items())
    def test_a_certificate_made_by_others_names_what_its_lesson_says(self, name, jids):
        assert certificate_jids(load(name)) == set(jids)

    @pytest.mark.requirement("3923-6.3-9")
    @pytest.mark.parametrize("name", VERDICTS)
    def test_only_a_certificate_that_names_juliet_is_verified_for_juliet(self, name):
        if "juliet@example.com" in VERDICTS[name]:
            verify_certificate_names(load(name), JID("juliet@example.com/balcony"))
        else:
            with pytest.raises(CertificateNameError):
                verify_certificate_names(load(name), JID("juliet@example.com/balcony"))

    def test_every_vector_has_a_verdict(self):
        assert {path.stem for path in VECTORS.glob("juliet-*.crt")} >= VERDICTS.keys()


class TestVerify:
    @pytest.mark.requirement("3923-6.3-11")
    def test_the_error_says_what_the_certificate_does_name(self):
        with pytest.raises(CertificateNameError) as caught:
            verify_certificate_names(load("juliet-multisan"), "romeo@example.net/orchard")
        assert caught.value.jid == "romeo@example.net"
        assert caught.value.names == {"nurse@example.com", "juliet@example.com"}
        assert "it names juliet@example.com, nurse@example.com" in caught.value.diagnostics()
        assert isinstance(caught.value, CertificateError)
        assert caught.value.reason == "name-mismatch"

    def test_the_error_says_when_it_names_nobody(self):
        with pytest.raises(CertificateNameError, match="no JID at all"):
            verify_certificate_names(load("juliet-nosan"), "juliet@example.com")

    def test_what_is_expected_must_be_a_jid(self):
        with pytest.raises(InvalidJID):
            verify_certificate_names(load("juliet-upper"), "")

    def test_spellings_of_one_address_are_one(self):
        verify_certificate_names(load("juliet-idn"), "JULÏETTE@xn--vrone-bsa.example")

    def test_a_domain_names_itself_and_not_its_users(self):
        verify_certificate_names(load("juliet-domainonly"), "example.com")
        with pytest.raises(CertificateNameError):
            verify_certificate_names(load("juliet-domainonly"), "juliet@example.com")

    def test_an_asterisk_is_a_localpart_like_any_other(self):
        verify_certificate_names(load("juliet-wildcard"), "*@example.com")


class TestXmppAddr:
    def test_long_names_have_long_lengths(self):
        for size in (100, 127, 128, 255, 256, 1000):
            jid = "a" * size + "@example.com"
            assert certificate_jids(naming(xmpp_addr(utf8(jid)))) == {jid}

    @pytest.mark.parametrize(
        "der",
        [
            b"\x16\x12juliet@example.com",  # IA5String
            b"\x13\x12juliet@example.com",  # PrintableString
            b"\x04\x12juliet@example.com",  # OCTET STRING
            b"\x30\x14\x0c\x12juliet@example.com",
            b"\xa0\x14\x0c\x12juliet@example.com",
            utf8("juliet@example.com\x00"),
            utf8("juliet@example.com\x00.evil.example"),
            utf8("juliet@example.com\n"),
            utf8(" juliet@example.com"),
            utf8("juliet@example.com "),
            utf8("jul\N{NO-BREAK SPACE}iet@example.com"),
            utf8(b"juliet\xff@example.com"),
            utf8(b"juliet\xed\xa0\x80@example.com"),
            utf8(b"juliet\xc0\xaf@example.com"),
            utf8(""),
            utf8("@example.com"),
            utf8("juliet@"),
            utf8("juliet@romeo@example.com"),
            utf8("xmpp:juliet@example.com"),
            utf8("juliet@*.example.com"),
            utf8("*.example.com"),
            utf8("juliet@example.com."),
            utf8("juliet@ｅxample.com"),
            utf8("juliet@\N{KELVIN SIGN}.example"),
            utf8("a" * 5000 + "@example.com"),
        ],
    )
    def test_a_malformed_entry_names_nobody_and_spoils_no_other(self, der):
        good = xmpp_addr(utf8("nurse@example.com"))
        assert certificate_jids(naming(xmpp_addr(der), good)) == {"nurse@example.com"}

    @pytest.mark.requirement("6120-13.7.1.4-1")
    @pytest.mark.parametrize(
        "der",
        [
            b"\x0c\x81\x12juliet@example.com",  # a long length for a short string
            b"\x0c\x82\x00\x12juliet@example.com",
            b"\x0c\x12juliet@example.comm",  # something behind it
            b"\x0c\x13juliet@example.com",  # cut off
            b"\x2c\x14\x0c\x12juliet@example.com",  # constructed
            b"\x2c\x80\x0c\x12juliet@example.com\x00\x00",
            b"\x0c",
        ],
    )
    def test_only_der_is_read(self, der):
        # As raw octets of the extension, since the builder would refuse some of them.
        name = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x05" + bytes((0xA0, len(der))) + der
        value = bytes((0x30, len(name) + 2, 0xA0, len(name))) + name
        extension = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, value)
        assert certificate_jids(certificate(extension)) == frozenset()

    @pytest.mark.parametrize("oid", ["1.3.6.1.5.5.7.8.7", "1.3.6.1.4.1.311.20.2.3", "1.3.6.1.5.5.7.8.9"])
    def test_other_other_names_do_not_count(self, oid):
        name = x509.OtherName(x509.ObjectIdentifier(oid), utf8("juliet@example.com"))
        assert certificate_jids(naming(name)) == frozenset()


class TestOtherForms:
    @pytest.mark.parametrize(
        "name",
        [
            x509.RFC822Name("juliet@example.com"),
            x509.DNSName("example.com"),
            x509.DNSName("*.example.com"),
            x509.UniformResourceIdentifier("xmpp:juliet@example.com"),
            x509.UniformResourceIdentifier("mailto:juliet@example.com"),
            x509.UniformResourceIdentifier("im:juliet@example.com?x=1"),
            x509.UniformResourceIdentifier("im:juliet@example.com%00"),
            x509.RegisteredID(XMPP_ADDR),
        ],
    )
    def test_what_rfc_3923_does_not_name_does_not_count(self, name):
        assert certificate_jids(naming(name)) == frozenset()

    @pytest.mark.requirement("3923-6.3-4", "3923-6.3-12")
    def test_a_common_name_never_counts(self):
        assert certificate_jids(certificate(common_name="juliet@example.com")) == frozenset()

    def test_a_general_name_that_can_not_be_parsed_leaves_a_certificate_without_names(self):
        jid = b"\x86\x15im:juliet@example.com"
        for unknown in (b"\xa5\x04\xa1\x02\x0c\x00", b"\xa3\x02\x30\x00", b"\x87\x03abc"):
            value = bytes((0x30, len(jid + unknown))) + jid + unknown
            extension = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, value)
            assert certificate_jids(certificate(extension)) == frozenset()

    def test_a_request_is_read_like_a_certificate(self):
        builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
        names = subject_alternative_name(["juliet@example.com", "nurse@example.com"])
        assert request_jids(builder.sign(KEY, None)) == frozenset()
        request = builder.add_extension(names, critical=False).sign(KEY, None)
        assert request_jids(request) == {"juliet@example.com", "nurse@example.com"}


class TestProperties:
    @given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda value: utf8(b"0" + value)))
    @example(b"")
    @example(b"\x30\x80\x00\x00")
    @example(b"\x30\x02\xa0\x00")
    @example(b"\x30\x02\x86\x00")
    def test_reading_never_raises_whatever_the_extension_holds(self, value):
        extension = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, value)
        assert isinstance(certificate_jids(certificate(extension)), frozenset)

    @given(st.data())
    def test_reading_never_raises_when_octets_of_good_names_change(self, data):
        octets = bytearray(subject_alternative_name(["juliet@example.com"]).public_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        extension = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes(octets))
        for jid in certificate_jids(certificate(extension)):
            assert bare(jid) == jid

    @given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=200))
    @example("\\20juliet")
    @example("a" * 128)
    def test_every_jid_comes_back_from_its_certificate(self, local):
        try:
            jid = bare(f"{local}@vérone.example")
        except ValueError:
            assume(False)
        extension = subject_alternative_name([f"{local}@vérone.example/balcony"])
        assert len(extension) == 3
        assert certificate_jids(certificate(extension)) == {jid}
        verify_certificate_names(certificate(extension), jid)
        for name in extension:  # each of the three forms is enough
            assert certificate_jids(naming(name)) == {jid}
