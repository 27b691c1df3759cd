"""The S/MIME object inside `<e2e/>`: what is written, what is read, and what is refused with which words."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slixmpp.jid import JID

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES128_GCM, AES256_CBC, AES256_GCM, ID_SIGNED_DATA
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.recipients import DecryptionKeys, KeyTransportRecipient
from slixmpp_e2e.cms.signed_data import MESSAGE_DIGEST, certificates_only
from slixmpp_e2e.errors import (
    DECRYPTION_FAILED,
    UNVERIFIED_SIGNATURE,
    CertificatesOnlyError,
    InvalidStanzaError,
    MalformedError,
    RemoteError,
    SignatureError,
    UndecryptableError,
)
from slixmpp_e2e.formats.decoy import Missed
from slixmpp_e2e.formats.rfc3923 import Opened, Opener, Sealing, protect
from slixmpp_e2e.freshness import from_datetime
from slixmpp_e2e.media import mime
from tests.elements import stanza
from tests.formats.objects import (
    JULIET,
    ROMEO,
    TEXT,
    changed,
    clear_signed,
    der_of,
    enveloped,
    enveloped_der,
    flipped,
    message_cpim,
    opaque,
    outer,
    signed_der,
    signer,
    xmpp_entity,
)
from tests.pki import MOMENT, Entity

NOW = from_datetime(MOMENT)
CONTENT = message_cpim()
PKCS7 = "Content-Type: application/pkcs7-mime"


@dataclass
class Decoy:
    """Takes note of how time was spent in vain."""

    calls: list[Missed] = field(default_factory=list)

    def __call__(self, _data: bytes, missed: Missed) -> None:
        self.calls.append(missed)


@dataclass
class Receiver:
    """Romeo, who knows nobody's certificate yet."""

    keys: DecryptionKeys
    pool: CertificatePool = field(default_factory=CertificatePool)
    decoy: Decoy = field(default_factory=Decoy)

    def open(self, text: str | bytes, **options: bool) -> Opened:
        text = text if isinstance(text, str) else text.decode()
        return Opener(self.keys, self.pool, self.decoy, lambda _key, _object: True, **options).open_object(
            text
        )

    def refuse(self, text: str | bytes, **options: bool) -> RemoteError:
        with pytest.raises(RemoteError) as caught:
            self.open(text, **options)
        return caught.value


@pytest.fixture
def receiver(romeo: Entity) -> Receiver:
    return Receiver(DecryptionKeys([(romeo.key, romeo.parsed)]))


@pytest.fixture
def by_juliet(juliet: Entity):
    return signer(juliet)


def kind_and_reason(error: RemoteError) -> tuple[type, str]:
    return type(error), error.reason


TEXT_STANZA = "<message type='chat'><body>x</body></message>"
PRESENCE = "<presence to='romeo@example.net/orchard'><show>away</show><status>a</status></presence>"
QUERY = "<iq type='get' id='1'><query xmlns='urn:x'/></iq>"


class TestWriting:
    def write(self, by, *recipients: Entity, cipher=AES128_CBC, certificates=True, xml=TEXT_STANZA) -> str:
        sealing = Sealing(
            by, tuple(KeyTransportRecipient(each.parsed) for each in recipients), cipher, certificates
        )
        return protect(stanza(xml), sealing, sender=JULIET, recipient=ROMEO, moment=NOW)

    @pytest.mark.requirement("3923-2-11", "3923-3.1-1", "3923-3.2-1", "3923-2-13", "3923-6.9-1", "3862-2.4-1")
    @pytest.mark.requirement("3862-4.4-1", "3862-4.7-1", "3922-4-1", "3922-4.1-1", "3922-4.1.1-1")
    @pytest.mark.requirement("3922-4.1.1-2", "3922-4.1.2-1", "3922-4.1.2-2", "3922-4.1.7-1", "3922-4.1.9-1")
    @pytest.mark.requirement("3851-3.1.1-3", "3851-3.4.3.2-1", "3851-3.4.3.2-2", "1847-2.1-2", "3860-3.3-1")
    def test_what_is_only_signed_can_be_read_by_everybody(self, by_juliet):
        text = self.write(by_juliet)
        boundary = re.search('boundary="([0-9a-f]{24})"', text)[1]
        assert text.startswith(
            'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; '
            f'boundary="{boundary}"\n\n--{boundary}\n'
            "Content-type: Message/CPIM\n\n"
            "From: <im:juliet@example.com>\nTo: <im:romeo@example.net>\nDateTime: 2026-11-20T08:30:15.000000Z\n\n"
            f"Content-type: text/plain; charset=utf-8\n\nx\n--{boundary}\n"
        )
        assert text.endswith(f"\n--{boundary}--\n")
        assert "\r" not in text

    @pytest.mark.requirement("3851-3.4.3.2-4")
    @pytest.mark.parametrize(
        ("scheme", "micalg"),
        [
            ("rsa-sha1", "sha1"),
            ("rsa-sha256", "sha-256"),
            ("rsa-sha384", "sha-384"),
            ("rsa-pss-sha512", "sha-512"),
        ],
    )
    def test_the_digest_is_named_as_the_rfc_names_it(self, juliet, scheme, micalg):
        assert f"micalg={micalg};" in self.write(signer(juliet, scheme=scheme))  # ERRATA E14

    @pytest.mark.requirement("3923-2-8", "3923-3.1-2", "3923-6.7-2", "3851-3.2-1", "3851-3.2.1-1")
    @pytest.mark.requirement("3851-3.2.2-1")
    @pytest.mark.parametrize(
        ("cipher", "smime_type"), [(AES128_CBC, "enveloped-data"), (AES256_GCM, "authEnveloped-data")]
    )
    @pytest.mark.requirement("reqs-4-7a", "reqs-4-7b")
    def test_what_is_encrypted_shows_nothing(self, by_juliet, romeo, cipher, smime_type):
        text = self.write(by_juliet, romeo, cipher=cipher)
        header, _, body = text.partition("\n\n")
        assert header == (
            f"Content-Type: application/pkcs7-mime; smime-type={smime_type}; name=smime.p7m\n"
            "Content-Transfer-Encoding: base64\n"
            "Content-Disposition: attachment; handling=required; filename=smime.p7m"
        )
        assert b"juliet" not in base64.b64decode(body)

    @pytest.mark.requirement("3923-3.1-2", "3923-3.2-2", "3923-6.4-1", "3923-6.5-1", "3860-4-1")
    @pytest.mark.requirement("3851-3.1.2-1")
    def test_inside_the_envelope_nothing_is_base64(self, receiver, by_juliet, romeo):
        opened = receiver.open(self.write(by_juliet, romeo))
        assert b"Content-Transfer-Encoding: binary\r\n" in opened.decrypted.plaintext  # ERRATA E08
        assert opened.content.startswith(
            b"Content-type: Message/CPIM\r\n\r\nFrom: <im:juliet@example.com>\r\n"
        )

    def test_the_certificate_may_stay_at_home(self, receiver, by_juliet, romeo):
        assert receiver.open(self.write(by_juliet, romeo)).certificates
        receiver.pool.add(by_juliet.certificate)
        assert receiver.open(self.write(by_juliet, romeo, certificates=False)).certificates == ()

    @pytest.mark.requirement("3923-5-1", "3860-3.3-2")
    def test_what_has_more_than_text_travels_whole(self, receiver, by_juliet, romeo):
        opened = receiver.open(self.write(by_juliet, romeo, xml=QUERY))
        document = b'<xmpp xmlns="jabber:client"><iq type="get" id="1"><query xmlns="urn:x"/></iq></xmpp>'
        assert document in opened.content
        assert b"\r\nDateTime: 2026-11-20T08:30:15.000000Z\r\n" in opened.content  # ERRATA E22

    @pytest.mark.requirement("3923-2-12", "3923-2-13", "3923-4.1-1", "3923-4.1-2", "3923-4.2-1", "3923-6.9-1")
    @pytest.mark.requirement("3922-5-1", "3922-5.1-1", "3859-3.3-1", "3859-4-1")
    def test_presence_is_a_pidf_document_that_is_signed_or_encrypted(self, receiver, by_juliet, romeo):
        clear = mime.canonical_line_breaks(self.write(by_juliet, xml=PRESENCE).encode())
        parts = mime.split_signed(mime.parse_entity(clear))
        assert parts.signature.media_type == "application/pkcs7-signature"
        for content in (
            parts.content,
            receiver.open(self.write(by_juliet, romeo, xml=PRESENCE)).content,
            receiver.open(self.write(None, romeo, xml=PRESENCE), allow_unsigned=True).content,
        ):
            assert content.startswith(b"Content-Type: application/pidf+xml; charset=utf-8\r\n\r\n<?xml ")
            assert b"<timestamp>2026-11-20T08:30:15.000000Z</timestamp>" in content

    @pytest.mark.requirement("3922-5.1.1-1", "3922-5.1.2-1", "3923-5-1")
    def test_presence_that_has_more_travels_whole_between_bare_im_addresses(self, by_juliet):
        text = self.write(by_juliet, xml=PRESENCE.replace("<status>", "<x xmlns='urn:x'/><status>"))
        assert "\nFrom: <im:juliet@example.com>\nTo: <im:romeo@example.net>\n" in text
        assert "\nContent-Type: application/xmpp+xml; charset=utf-8\n" in text

    @pytest.mark.parametrize("xml", ["<message><body>x</body></message>", "<iq type='get' id='1'><q/></iq>"])
    def test_what_xml_cannot_carry_is_not_written(self, by_juliet, xml):
        element = stanza(xml)
        element[0].text = "\0"
        with pytest.raises(InvalidStanzaError):
            protect(element, Sealing(by_juliet, ()), sender=JULIET, recipient=ROMEO, moment=NOW)

    def test_addresses_are_written_as_uris(self, by_juliet):
        element = stanza("<message><body>x</body></message>")
        sender, recipient = outer().sender, JID("a#b@bücher.example")
        text = protect(element, Sealing(by_juliet, ()), sender=sender, recipient=recipient, moment=NOW)
        assert "\nTo: <im:a%23b@xn--bcher-kva.example>\n" in text


SPACES = st.text(st.sampled_from(" \t\r\n"), max_size=5)


class TestOpening:
    @pytest.mark.requirement("3923-2-14", "3851-3.4-1")
    def test_a_clear_signed_object_is_opened(self, receiver, by_juliet):
        opened = receiver.open(clear_signed(CONTENT, by_juliet))
        assert (opened.content, opened.decrypted) == (CONTENT, None)
        assert opened.signer.certificate.der == by_juliet.certificate.der
        assert opened.signer.signing_time == MOMENT

    def test_a_line_break_is_a_line_break_however_xml_left_it(self, receiver, by_juliet):
        text = clear_signed(CONTENT, by_juliet).decode()
        for each in (text, text.replace("\r\n", "\n"), text.replace("\r\n", "\r")):
            assert receiver.open(each).content == CONTENT

    @pytest.mark.requirement("3862-9-1")
    def test_what_was_signed_with_other_line_breaks_is_taken_as_it_came(self, receiver, by_juliet):
        content = CONTENT.replace(b"\r\n", b"\n")
        text = clear_signed(content, by_juliet).replace(b"\r\n", b"\n")
        assert receiver.open(text).content == content  # ERRATA E09 (b)

    def test_only_two_readings_are_tried(self, receiver, by_juliet):
        content = CONTENT.replace(b"\r\n", b"\r")
        text = clear_signed(content, by_juliet).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        error = receiver.refuse(text)
        assert kind_and_reason(error) == (SignatureError, "invalid")

    @given(before=SPACES, after=SPACES)
    def test_white_space_around_an_object_does_not_matter(self, before, after, pki):
        romeo, juliet = pki["romeo"], pki["juliet"]
        receiver = Receiver(DecryptionKeys([(romeo.key, romeo.parsed)]))
        by = signer(juliet)
        for text in (clear_signed(CONTENT, by).decode(), enveloped(opaque(CONTENT, by), romeo)):
            assert receiver.open(before + text + after).content == CONTENT

    @pytest.mark.requirement("3851-3.2.1-3", "3851-3.2.2-1", "3851-3.4-1")
    def test_an_opaque_object_is_opened(self, receiver, by_juliet):
        der = signed_der(CONTENT, by_juliet)
        for text in (
            mime.pkcs7_mime(der, "signed-data", binary=False),
            mime.pkcs7_mime(
                der, "enveloped-data", binary=False
            ),  # what it is, not what it is called: ERRATA E07
            mime.pkcs7_mime(der, "signed-data", binary=False).replace(b"pkcs7-mime", b"x-pkcs7-mime"),
            mime.pkcs7_mime(der, "signed-data", binary=False).replace(b"smime.p7m", b"smime.txt"),
            mime.encode_base64(der),
        ):
            assert receiver.open(text).content == CONTENT

    @pytest.mark.requirement("3851-3.4.3.2-5")
    @pytest.mark.parametrize("micalg", [b"sha256", b"SHA-256", b"rsa-sha256", b"x-unknown", b"sha1,sha-256"])
    def test_the_digest_is_the_one_of_the_signature_whatever_else_it_is_called(
        self, receiver, by_juliet, micalg
    ):
        text = clear_signed(CONTENT, by_juliet)
        assert b"micalg=sha-256" in text
        assert receiver.open(text.replace(b"micalg=sha-256", b"micalg=" + micalg)).content == CONTENT

    @pytest.mark.requirement("1847-2.1-3")
    @pytest.mark.parametrize("micalg", [b"md5", b"sha-1", b"rsa-sha512", b"SHA384"])
    def test_a_micalg_that_contradicts_the_signature_makes_it_invalid(self, receiver, by_juliet, micalg):
        text = clear_signed(CONTENT, by_juliet).replace(b"micalg=sha-256", b"micalg=" + micalg)
        assert kind_and_reason(receiver.refuse(text)) == (SignatureError, "invalid")  # ERRATA E14

    @pytest.mark.requirement("3851-3.6-1", "3851-3.1.2-1")
    @pytest.mark.parametrize("cipher", [AES128_CBC, AES256_CBC, AES128_GCM])
    @pytest.mark.parametrize(
        "inside",
        [
            opaque,
            clear_signed,
            signed_der,
            lambda content, by: mime.pkcs7_mime(signed_der(content, by), "signed-data", binary=False),
            lambda content, by: opaque(content, by).replace(b"pkcs7-mime", b"x-pkcs7-mime"),
            lambda content, by: opaque(content, by) + b"\r\n \t",
            lambda content, by: clear_signed(content, by) + b"\r\n",
            lambda content, by: mime.pkcs7_mime(signed_der(content, by), "x", binary=False) + b"\r\n",
        ],
        ids=["opaque", "clear-signed", "bare", "base64", "x-", "white space", "blank line", "base64 and more"],
    )  # fmt: skip
    def test_an_envelope_is_opened_whatever_is_in_it(self, receiver, by_juliet, romeo, inside, cipher):
        plaintext = inside(CONTENT, by_juliet)
        without_header = mime.encode_base64(enveloped_der(plaintext, romeo, cipher=cipher)).decode()
        for text in (enveloped(plaintext, romeo, cipher=cipher), without_header):
            opened = receiver.open(text)
            assert opened.content == CONTENT
            assert (opened.decrypted.cipher, opened.decrypted.key_management) == (cipher, "rsa-pkcs1")
            assert opened.decrypted.certificate.der == romeo.der
        assert receiver.decoy.calls == []

    def test_we_need_not_be_the_only_recipient(self, receiver, by_juliet, juliet, romeo):
        assert receiver.open(enveloped(opaque(CONTENT, by_juliet), juliet, romeo)).content == CONTENT

    def test_the_signers_certificate_may_be_known_already(self, receiver, by_juliet, juliet, romeo):
        text = enveloped(opaque(CONTENT, by_juliet, certificates=False), romeo)
        assert receiver.refuse(text).reason == "unknown-signer"
        receiver.pool.add(juliet.parsed)
        assert receiver.open(text).signer.certificate.der == juliet.der

    @pytest.mark.requirement("3923-6.10-2")
    def test_sha1_is_a_matter_of_policy(self, receiver, juliet):
        text = clear_signed(CONTENT, signer(juliet, scheme="rsa-sha1")).replace(b"sha-256", b"sha1")
        assert kind_and_reason(receiver.refuse(text)) == (SignatureError, "weak")
        assert receiver.open(text, allow_sha1=True).signer.scheme.digest.weak

    @given(text=st.text(max_size=60) | st.text(st.sampled_from("AB=\n:- ;/+"), max_size=60))
    def test_whatever_it_is_it_is_refused(self, text, pki):
        receiver = Receiver(DecryptionKeys([(pki["romeo"].key, pki["romeo"].parsed)]))
        receiver.refuse(text)
        receiver.refuse("Content-Type: multipart/signed; boundary=b\n" + text)


class TestWhatIsNotSignedInClear:
    @pytest.mark.requirement("3851-3.2.1-2")
    @pytest.mark.parametrize(
        ("text", "kind", "reason"),
        [
            ("", MalformedError, "malformed"),
            ("text", MalformedError, "malformed"),
            ("AAAA", MalformedError, "malformed"),
            ("MIIB", MalformedError, "malformed"),
            ("MAsGCSqGSIb3DQEHAQ==", MalformedError, "malformed"),  # id-data
            ("U2FsdGVkX19okeKTlLxa/w==", MalformedError, "malformed"),  # ERRATA E06: `openssl enc`
            ("Content-Type: text/plain", MalformedError, "malformed"),
            ("Content-Type: text/plain\n\nx", SignatureError, "unsigned"),
            (CONTENT.decode(), SignatureError, "unsigned"),
            (xmpp_entity("<message/>"), SignatureError, "unsigned"),
            ("Content-Type: application/pkcs7-mime\n\nAAAA", MalformedError, "malformed"),
            (
                "Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\nA",
                MalformedError,
                "malformed",
            ),
            ("Content-Type: multipart/signed\n\nx", MalformedError, "malformed"),
            ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--", SignatureError, "unsigned"),
            ("<xmpp xmlns='jabber:client'><message/></xmpp>", MalformedError, "malformed"),
            ("\ud83d", MalformedError, "malformed"),
            ("A: \ud83d\n\n", MalformedError, "malformed"),
        ],
    )
    def test_it_is_refused(self, receiver, text, kind, reason):
        error = receiver.refuse(text)
        assert kind_and_reason(error) == (kind, reason)
        assert error.answer == (UNVERIFIED_SIGNATURE if kind is SignatureError else DECRYPTION_FAILED)
        assert not error.concealed

    @pytest.mark.requirement("3923-2-1", "3923-3.1-2", "1847-2.1-1", "3862-9-1")
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda text: text.replace(b"Romeo?", b"Paris?"), "invalid"),
            (lambda text: text.replace(b"From: <im:juliet", b"From: <im:nurse"), "invalid"),
            (lambda text: text.replace(b"Wherefore", b" Wherefore"), "invalid"),
            (lambda text: text.replace(b"Romeo?\r\n", b"Romeo?\r\n\r\n"), "invalid"),
            (lambda text: text + b"trailer", "invalid"),
            (lambda text: text + text, "invalid"),
        ],
    )  # fmt: skip
    def test_a_signature_is_over_every_octet(self, receiver, by_juliet, change, reason):
        text = clear_signed(CONTENT, by_juliet)
        assert change(text) != text
        error = receiver.refuse(change(text))
        assert (kind_and_reason(error), error.answer) == ((SignatureError, reason), UNVERIFIED_SIGNATURE)
        assert not error.concealed

    @pytest.mark.requirement("3851-2.4.1-2", "3851-3.4.3.1-1")
    def test_the_content_stands_in_one_place(self, receiver, by_juliet):
        twice = mime.multipart_signed(
            CONTENT, signed_der(CONTENT, by_juliet), micalg="sha-256", boundary="next"
        )
        assert kind_and_reason(receiver.refuse(twice)) == (SignatureError, "malformed")  # ERRATA E40
        nowhere = mime.pkcs7_mime(signed_der(CONTENT, by_juliet, detached=True), "signed-data", binary=False)
        assert kind_and_reason(receiver.refuse(nowhere)) == (SignatureError, "malformed")

    def test_in_clear_nobody_is_helped_by_a_change_of_what_comes_along(self, receiver, juliet, pki):
        issuer = pki.intermediate.der
        der = signed_der(CONTENT, signer(juliet, pki.intermediate), detached=True)
        text = mime.multipart_signed(
            CONTENT, der.replace(issuer, flipped(issuer, -1)), micalg="sha-256", boundary="next"
        )
        assert receiver.open(text).content == CONTENT
        opaque_der = signed_der(CONTENT, signer(juliet, pki.intermediate))
        changed_der = opaque_der.replace(issuer, flipped(issuer, -1))
        assert receiver.open(mime.pkcs7_mime(changed_der, "signed-data", binary=False)).content == CONTENT

    def test_nothing_follows_a_signed_object(self, receiver, by_juliet):
        der = signed_der(CONTENT, by_juliet)
        error = receiver.refuse(mime.pkcs7_mime(der + b"\0", "signed-data", binary=False))
        assert kind_and_reason(error) == (SignatureError, "invalid")
        detached = signed_der(CONTENT, by_juliet, detached=True)
        text = mime.multipart_signed(CONTENT, detached + b"\0", micalg="sha-256", boundary="next")
        assert kind_and_reason(receiver.refuse(text)) == (SignatureError, "invalid")

    def test_a_signature_that_is_no_signature_is_said(self, receiver):
        text = mime.multipart_signed(CONTENT, b"\x30\x00", micalg="sha-256", boundary="next")
        assert kind_and_reason(receiver.refuse(text)) == (SignatureError, "malformed")

    def test_certificates_alone_sign_nothing(self, receiver, juliet):
        der = certificates_only([juliet.parsed])
        found = receiver.refuse(mime.encode_base64(der))
        assert kind_and_reason(found) == (CertificatesOnlyError, "certificates-only")
        assert (found.certificates, found.silent) == ((juliet.parsed.der,), True)
        text = mime.multipart_signed(CONTENT, der, micalg="sha-256", boundary="next")
        assert kind_and_reason(receiver.refuse(text)) == (SignatureError, "unsigned")


INSIDE: dict[str, tuple[Callable[..., bytes], str]] = {
    "nothing": (lambda by: b"", "malformed"),
    "random octets": (lambda by: bytes(range(256)), "malformed"),
    "a MIME header without an end": (lambda by: b"Content-Type: text/plain", "malformed"),
    "text without a signature": (lambda by: TEXT.encode(), "unsigned"),
    "Message/CPIM without a signature": (lambda by: CONTENT, "unsigned"),
    "certificates without a signature": (
        lambda by: mime.pkcs7_mime(certificates_only([by.certificate]), "certs-only", binary=True), "malformed"
    ),
    "an object that only calls itself signed": (
        lambda by: mime.pkcs7_mime(b"\x30\x00", "signed-data", binary=True), "malformed"
    ),
    "a signature without a content": (lambda by: opaque(CONTENT, by, detached=True), "malformed"),
    "a multipart of one part": (
        lambda by: clear_signed(CONTENT, by).replace(b"--next\r\nContent-T", b"xx"), "malformed"
    ),
    "a signature over something else": (lambda by: opaque(CONTENT, by).replace(b"Romeo?", b"Paris?"), "invalid"),
    "a clear signature over something else": (
        lambda by: clear_signed(CONTENT, by).replace(b"Romeo?", b"Paris?"), "invalid"
    ),
    "a signature of somebody unknown": (lambda by: opaque(CONTENT, by, certificates=False), "unknown-signer"),
    "something after the signed object": (lambda by: opaque(CONTENT, by) + b"x", "decryption-failed"),
    "something after the bare object": (lambda by: signed_der(CONTENT, by) + b"\0", "decryption-failed"),
    "a second object": (lambda by: opaque(CONTENT, by) * 2, "decryption-failed"),
    "something after the closing boundary": (lambda by: clear_signed(CONTENT, by) + b"x", "decryption-failed"),
    "something after the base64": (
        lambda by: mime.pkcs7_mime(signed_der(CONTENT, by), "x", binary=False) + b".", "decryption-failed"
    ),
    "something in the base64 after the object": (
        lambda by: mime.pkcs7_mime(signed_der(CONTENT, by) + b"\0", "x", binary=False), "invalid"
    ),
    "base64 that is none": (
        lambda by: f"{PKCS7}\r\nContent-Transfer-Encoding: base64\r\n\r\nAAA".encode(), "malformed"
    ),
}  # fmt: skip


#: The forms in which a SignedData may stand in an envelope.
CHAINED: dict[str, Callable[[bytes], bytes]] = {
    "bare": lambda der: der,
    "opaque": lambda der: mime.pkcs7_mime(der, "signed-data", binary=True),
    "base64": lambda der: mime.pkcs7_mime(der, "signed-data", binary=False),
    "clear-signed": lambda der: mime.multipart_signed(CONTENT, der, micalg="sha-256", boundary="next"),
}


class TestInsideAnEnvelope:
    @pytest.mark.parametrize("cipher", [AES128_CBC, AES128_GCM], ids=["CBC", "GCM"])
    @pytest.mark.parametrize("what", INSIDE)
    def test_every_failure_has_one_answer_and_costs_a_verification(
        self, receiver, by_juliet, romeo, what, cipher
    ):
        make, reason = INSIDE[what]
        error = receiver.refuse(enveloped(make(by_juliet), romeo, cipher=cipher))
        assert (error.answer, error.concealed) == (DECRYPTION_FAILED, True)
        assert error.reason == reason
        verified = reason in {"invalid", "decryption-failed"}  # then a signature has been verified already
        assert len(receiver.decoy.calls) == (0 if verified else 1)

    @pytest.mark.parametrize(
        ("change", "missed"),
        [
            (lambda inside: b"\xff" + inside[1:], "header"),
            (lambda inside: inside.replace(b"\r\n\r\n", b"\r\n!\r\n", 1), "header"),
            (lambda inside: inside.replace(MESSAGE_DIGEST, b"\x07" + MESSAGE_DIGEST[1:]), "digest"),
            (lambda inside: inside.replace(ID_SIGNED_DATA, b"\x07" + ID_SIGNED_DATA[1:]), "half"),
            (lambda inside: inside.replace(MESSAGE_DIGEST, b"\x06\x80" + MESSAGE_DIGEST[2:]), "half"),
            (lambda inside: inside[:-100], "half"),
            (lambda inside: b"0" + inside, "header"),
            (lambda _inside: b"Content-Type: text/plain\r\n\r\nx", "object"),
        ],
        ids=["first octet", "no end", "attribute", "type", "length in BER", "cut", "no header", "unsigned"],
    )  # fmt: skip
    def test_what_a_failure_has_left_out_is_made_up_for(self, receiver, by_juliet, romeo, change, missed):
        receiver.refuse(enveloped(change(opaque(CONTENT, by_juliet)), romeo))
        assert receiver.decoy.calls == [missed]

    def test_a_wrong_tag_leaves_everything_out(self, receiver, by_juliet, romeo):
        text = enveloped(opaque(CONTENT, by_juliet), romeo, cipher=AES128_GCM)
        receiver.refuse(changed(text, lambda der: flipped(der, -1)))
        assert receiver.decoy.calls == ["header"]

    def test_a_weak_signature_is_one_of_them(self, receiver, juliet, romeo):
        text = enveloped(opaque(CONTENT, signer(juliet, scheme="rsa-sha1")), romeo)
        error = receiver.refuse(text)
        assert (error.reason, error.answer, error.concealed) == ("weak", DECRYPTION_FAILED, True)
        assert receiver.decoy.calls == ["digest"]

    def test_a_signer_who_is_not_known_leaves_out_the_signature_alone(self, receiver, by_juliet, romeo):
        error = receiver.refuse(enveloped(opaque(CONTENT, by_juliet, certificates=False), romeo))
        assert (error.reason, receiver.decoy.calls) == ("unknown-signer", ["signature"])

    @pytest.mark.parametrize("cipher", [AES128_CBC, AES256_GCM], ids=["CBC", "GCM"])
    def test_no_change_of_an_envelope_is_told_from_another(self, receiver, by_juliet, romeo, cipher):
        text = enveloped(opaque(CONTENT, by_juliet), romeo, cipher=cipher)
        der = der_of(text)
        assert receiver.open(text).content == CONTENT
        seen = set()
        for at in [*range(-40, 0), *range(len(der) // 2 - 20, len(der) // 2 + 20)]:
            error = receiver.refuse(changed(text, lambda der, at=at: flipped(der, at)))
            seen.add((error.answer, error.concealed))
        assert seen == {(DECRYPTION_FAILED, True)}

    @pytest.mark.parametrize("form", CHAINED)
    def test_a_certificate_along_that_is_not_the_one_listed_is_one_of_them(
        self, receiver, juliet, pki, romeo, form
    ):
        """No signature is over the certificates: in CBC mode somebody on the way could try blocks there."""
        by, issuer = signer(juliet, pki.intermediate), pki.intermediate.der
        honest = CHAINED[form](signed_der(CONTENT, by, detached=form == "clear-signed"))
        assert receiver.open(enveloped(honest, romeo)).content == CONTENT
        der = signed_der(CONTENT, by, detached=form == "clear-signed")
        assert issuer in der
        other = CHAINED[form](der.replace(issuer, flipped(issuer, -1)))
        error = receiver.refuse(enveloped(other, romeo))
        assert (error.reason, error.answer, error.concealed) == ("invalid", DECRYPTION_FAILED, True)

    def test_an_envelope_for_somebody_else_is_not_opened(self, receiver, by_juliet, juliet):
        error = receiver.refuse(enveloped(opaque(CONTENT, by_juliet), juliet))
        assert kind_and_reason(error) == (UndecryptableError, "not-for-us")
        assert (error.answer, error.concealed) == (DECRYPTION_FAILED, True)
        assert receiver.decoy.calls == []  # whom it is for everybody can see

    def test_nothing_follows_an_envelope(self, receiver, by_juliet, romeo):
        error = receiver.refuse(
            changed(enveloped(opaque(CONTENT, by_juliet), romeo), lambda der: der + b"\0")
        )
        assert (kind_and_reason(error), error.concealed) == ((MalformedError, "malformed"), True)

    def test_an_envelope_that_is_none_is_concealed_too(self, receiver, by_juliet, romeo):
        error = receiver.refuse(changed(enveloped(opaque(CONTENT, by_juliet), romeo), lambda der: der[:200]))
        assert (error.answer, error.concealed) == (DECRYPTION_FAILED, True)

    @pytest.mark.requirement("3851-3.6-1")
    def test_an_envelope_in_an_envelope_stays_closed(self, receiver, by_juliet, romeo):
        inner = mime.pkcs7_mime(
            enveloped_der(opaque(CONTENT, by_juliet), romeo), "enveloped-data", binary=True
        )
        for plaintext in (inner, enveloped_der(opaque(CONTENT, by_juliet), romeo)):
            error = receiver.refuse(enveloped(plaintext, romeo))
            assert (error.reason, error.concealed) == ("malformed", True)


class TestUnsigned:
    @pytest.mark.parametrize("cipher", [AES128_CBC, AES128_GCM], ids=["CBC", "GCM"])
    def test_it_is_opened_only_where_that_is_allowed(self, receiver, romeo, cipher):
        text = enveloped(CONTENT, romeo, cipher=cipher)
        assert receiver.refuse(text).reason == "unsigned"
        opened = receiver.open(text, allow_unsigned=True)
        assert (opened.content, opened.signer, opened.certificates) == (CONTENT, None, ())
        assert opened.decrypted.cipher is cipher

    def test_in_clear_it_is_never_opened(self, receiver):
        assert receiver.refuse(CONTENT, allow_unsigned=True).reason == "unsigned"

    def test_a_signature_that_is_bad_does_not_become_no_signature(self, receiver, by_juliet, romeo):
        text = enveloped(opaque(CONTENT, by_juliet).replace(b"Romeo?", b"Paris?"), romeo)
        assert receiver.refuse(text, allow_unsigned=True).reason == "invalid"

    def test_padding_that_is_wrong_is_refused(self, receiver, romeo):
        text = changed(
            enveloped(CONTENT, romeo), lambda der: flipped(der, -17)
        )  # the last octet of the block before
        error = receiver.refuse(text, allow_unsigned=True)
        assert (error.answer, error.concealed) == (DECRYPTION_FAILED, True)
        assert kind_and_reason(error) == (UndecryptableError, "decryption-failed")
