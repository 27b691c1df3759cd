"""Signed as in RFC 3923, encrypted as in draft-miller-3923bis-02: who signed counts, and who encrypted does not."""

from xml.etree.ElementTree import Element, SubElement, tostring

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.certificates.names import verify_certificate_names
from slixmpp_e2e.cms.algorithms import AES256_CBC
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import (
    DECRYPTION_FAILED,
    CertificateError,
    MalformedError,
    RemoteError,
    SignatureError,
)
from slixmpp_e2e.formats import rfc3923
from slixmpp_e2e.formats.content import Content, read_content
from slixmpp_e2e.formats.objenc import Opened, Opener, Sealing, protect
from slixmpp_e2e.formats.objenc import read_content as read_stanza
from slixmpp_e2e.formats.objenc_signed import open_signed, protect_signed, signed_text, wrap_signed
from slixmpp_e2e.freshness import from_datetime
from slixmpp_e2e.policy import Level
from slixmpp_e2e.stanza import Outer
from tests.accounts import Clock, account
from tests.elements import same, stanza
from tests.formats.objects import (
    JULIET,
    ROMEO,
    chain,
    clear_signed,
    enveloped,
    message_cpim,
    opaque,
    outer,
    signer,
)
from tests.formats.objenc_parts import peeled
from tests.pki import MOMENT, PKI, Entity

NOW = from_datetime(MOMENT)
HERE = "from='juliet@example.com/balcony' to='romeo@example.net/orchard'"
E2E = "{urn:ietf:params:xml:ns:xmpp-e2e}e2e"
STANZAS = {
    "message": (f"<message {HERE} type='chat' id='i1'><body>O Romeo,\n ]]&gt; é</body></message>", "chat"),
    "presence": (f"<presence {HERE}><show>away</show></presence>", "available"),
    "iq": (f"<iq {HERE} type='set' id='i1'><query xmlns='urn:x'/></iq>", "set"),
    "an error": (f"<iq {HERE} type='error' id='i1'><error type='cancel'/></iq>", "error"),
}


def decrypted(element: Element, romeo: Entity) -> Opened:
    """What romeo finds when he has decrypted an object, and before anything is known of its sender."""
    return Opener(DecryptionKeys([(romeo.key, romeo.parsed)]), lambda *_: True).open_object(element)


def carrying(text: str, romeo: Entity) -> Opened:
    """A message that carries some text where a signed object should be, by anybody."""
    carrier = wrap_signed(stanza("<message type='chat'/>"), text)
    element = protect(carrier, Sealing(romeo.parsed), sender=JULIET, recipient=ROMEO, moment=NOW)
    return decrypted(element, romeo)


def read(opened: Opened, around: Outer) -> tuple[rfc3923.Opened, Content]:
    """Go on to the end, as who receives it does."""
    text = signed_text(read_stanza(opened, around).stanza)
    assert text is not None
    found = open_signed(text, opened, CertificatePool())
    assert found.signer is not None
    return found, read_content(found.content, around, signing_time=found.signer.signing_time)


def test_sha1_is_a_matter_of_policy(juliet: Entity, romeo: Entity) -> None:
    text = clear_signed(message_cpim(), signer(juliet, scheme="rsa-sha1")).decode()
    opened = carrying(
        text.replace('micalg="sha-256"', 'micalg="sha1"').replace("micalg=sha-256", "micalg=sha1"), romeo
    )
    inside = signed_text(read_stanza(opened, outer()).stanza)
    with pytest.raises(SignatureError) as caught:
        open_signed(inside, opened, CertificatePool())
    assert (caught.value.reason, caught.value.answer) == ("weak", DECRYPTION_FAILED)
    assert open_signed(inside, opened, CertificatePool(), allow_sha1=True).signer.scheme.name == "rsa-sha1"


def sealed(pki: PKI, xml: str, **options) -> Element:
    """What juliet signs and encrypts."""
    by, to = signer(pki["juliet"], *chain(pki)), Sealing(pki["romeo"].parsed, AES256_CBC)
    return protect_signed(stanza(xml), to, by, sender=JULIET, recipient=ROMEO, moment=NOW, **options)


@pytest.mark.parametrize("name", STANZAS)
def test_a_stanza_comes_back_with_its_signer_and_how_it_was_decrypted(pki, romeo, name):
    xml, type_ = STANZAS[name]
    around = outer(stanza(xml).tag.rpartition("}")[2], type_)
    found, content = read(decrypted(sealed(pki, xml), romeo), around)
    assert same(content.stanza, stanza(xml))
    assert content.timestamp == NOW
    assert found.signer.certificate.der == pki["juliet"].der
    assert found.decrypted.cipher is AES256_CBC
    assert found.decrypted.certificate.fingerprint == romeo.parsed.fingerprint


def test_what_is_encrypted_is_the_stanza_that_would_carry_the_signed_object_in_clear(pki, romeo):
    """Both have one moment; an end that knows RFC 3923 alone can go on with what was decrypted."""
    clock = Clock(NOW)
    document, timestamp, string = peeled(sealed(pki, STANZAS["message"][0]), romeo)[1:]
    assert timestamp == "2026-11-20T08:30:15.000000Z"
    assert b"Romeo" not in document
    found = Endpoint.over(account(pki, romeo, clock)).unprotect(string)
    assert found.report.authenticated
    assert not found.report.encrypted
    assert found.stanza.findtext("{jabber:client}body") == "O Romeo,\n ]]> é"


def test_the_certificates_may_stay_at_home(pki, romeo):
    opened = decrypted(sealed(pki, STANZAS["iq"][0], certificates=False), romeo)
    with pytest.raises(SignatureError) as caught:
        read(opened, outer("iq", "set"))
    assert (caught.value.reason, caught.value.concealed) == ("unknown-signer", True)
    text = signed_text(read_stanza(opened, outer("iq", "set")).stanza)
    assert open_signed(text, opened, CertificatePool([pki["juliet"].parsed])).signer is not None


def test_what_stands_beside_the_signed_object_is_dropped(pki, juliet, romeo):
    carrier = wrap_signed(
        stanza("<message type='chat'/>"), clear_signed(message_cpim(), signer(juliet)).decode()
    )
    carrier.text = "x"
    SubElement(carrier, "{jabber:client}body").text = "nobody signed this"
    element = protect(carrier, Sealing(romeo.parsed), sender=JULIET, recipient=ROMEO, moment=NOW)
    found = read(decrypted(element, romeo), outer())[1].stanza
    assert "nobody" not in tostring(found, encoding="unicode")
    assert found.findtext("{jabber:client}body") == "Wherefore art thou, Romeo?"


class TestWhoEncryptsIsNobody:
    """Iago has a signed object of juliet's, and the certificate of whom he wants to deceive."""

    def rewrapped(self, pki: PKI, around: Outer, entity: bytes | None = None) -> Content:
        text = (entity or clear_signed(message_cpim(), signer(pki["juliet"]))).decode()
        return read(carrying(text, pki["romeo"]), around)[1]

    def test_he_can_send_it_on_to_whom_it_was_for(self, pki):
        assert self.rewrapped(pki, outer()).timestamp == NOW

    def test_not_in_his_own_name(self, pki, romeo):
        """The carrier is bound to the outer stanza first; so he writes his name on that, too."""
        iago = JID("iago@example.com/x")
        with pytest.raises(SignatureError) as caught:
            self.rewrapped(pki, outer(sender=iago))
        assert (caught.value.reason, caught.value.concealed) == ("name-mismatch", True)
        carrier = wrap_signed(
            stanza("<message type='chat'/>"), clear_signed(message_cpim(), signer(pki["juliet"])).decode()
        )
        element = protect(carrier, Sealing(romeo.parsed), sender=iago, recipient=ROMEO, moment=NOW)
        with pytest.raises(SignatureError) as caught:
            read(decrypted(element, romeo), outer(sender=iago))
        assert (caught.value.reason, str(caught.value)) == (
            "name-mismatch", "the From header is not the sender's address"
        )  # fmt: skip

    def test_not_to_somebody_else(self, pki):
        content = message_cpim(
            "From: <im:juliet@example.com>",
            "To: <im:benvolio@example.net>",
            "DateTime: 2026-11-20T08:30:15Z",
        )
        with pytest.raises(SignatureError) as caught:
            self.rewrapped(pki, outer(), clear_signed(content, signer(pki["juliet"])))
        assert caught.value.reason == "other-recipient"

    def test_not_with_another_time(self, pki, romeo):
        """That of `<plain/>` is his; the signed one counts."""
        text = clear_signed(message_cpim(), signer(pki["juliet"])).decode()
        element = protect(
            wrap_signed(stanza("<message type='chat'/>"), text),
            Sealing(romeo.parsed),
            sender=JULIET,
            recipient=ROMEO,
            moment=NOW + 10**15,
        )
        opened = decrypted(element, romeo)
        assert opened.timestamp == NOW + 10**15
        assert read(opened, outer())[1].timestamp == NOW

    def test_not_with_a_signature_of_his_own(self, pki, juliet):
        found, _ = read(
            carrying(clear_signed(message_cpim(), signer(pki["romeo"])).decode(), pki["romeo"]), outer()
        )
        with pytest.raises(CertificateError):  # what the caller does with the signer
            verify_certificate_names(found.signer.certificate.certificate, JULIET)


class TestOneLayerOfEach:
    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            pytest.param(lambda _by, _to: message_cpim().decode(), "unsigned", id="not signed"),
            pytest.param(lambda _by, to: enveloped(message_cpim(), to), "unsigned", id="encrypted once more"),
            pytest.param(lambda by, to: enveloped(opaque(message_cpim(), by), to), "unsigned", id="signed in that"),
            pytest.param(
                lambda by, _to: rfc3923.write_certificates([by.certificate]),
                "unsigned", id="certificates only",
            ),
            pytest.param(
                lambda by, _to: clear_signed(message_cpim(), by).decode().replace("Romeo", "Tybalt"),
                "invalid", id="another text",
            ),
            pytest.param(lambda by, _to: clear_signed(message_cpim(), by).decode() + "x", "invalid", id="more"),
            pytest.param(lambda _by, _to: "", "malformed", id="nothing"),
        ],
    )  # fmt: skip
    def test_anything_but_a_signed_object_is_refused_with_the_one_answer(self, juliet, romeo, make, reason):
        opened = carrying(make(signer(juliet), romeo), romeo)
        with pytest.raises(RemoteError) as caught:
            read(opened, outer())
        error = caught.value
        assert (error.reason, error.answer, error.concealed) == (reason, DECRYPTION_FAILED, True)

    def test_a_stanza_without_one_is_what_it_is(self, romeo):
        xml = "<x xmlns='urn:x'><e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'/></x>"
        element = stanza(f"<message {HERE} type='chat'>{xml}</message>")
        element = protect(element, Sealing(romeo.parsed), sender=JULIET, recipient=ROMEO, moment=NOW)
        assert signed_text(read_stanza(decrypted(element, romeo), outer()).stanza) is None

    @pytest.mark.parametrize("children", [2, "inside"])
    def test_several_of_them_are_refused(self, children):
        carrier = wrap_signed(stanza("<message/>"), "x")
        if children == 2:
            SubElement(carrier, E2E)
        else:
            SubElement(carrier[0], "x")
        with pytest.raises(MalformedError) as caught:
            signed_text(carrier)
        assert (caught.value.answer, caught.value.concealed) == (DECRYPTION_FAILED, True)

    def test_an_object_in_an_object_is_not_opened(self, romeo):
        """It is delivered as what it is: an element that nobody has looked into."""
        sealing = Sealing(romeo.parsed)
        inner = protect(stanza(STANZAS["message"][0]), sealing, sender=JULIET, recipient=ROMEO, moment=NOW)
        carrier = stanza("<message type='chat'/>")
        carrier.append(inner)
        element = protect(carrier, sealing, sender=JULIET, recipient=ROMEO, moment=NOW)
        found = read_stanza(decrypted(element, romeo), outer()).stanza
        assert signed_text(found) is None
        assert same(found[0], inner)


def test_a_signed_stanza_that_was_protected_elsewhere_is_wrapped_as_well(pki, romeo):
    """`wrap_signed` takes the text that any way of RFC 3923 has made."""
    clock = Clock(NOW)
    by = account(pki, pki["juliet"], clock)
    element = stanza(STANZAS["message"][0])
    signed = by.protect(element, sender=JULIET, recipient=ROMEO, level=Level.SIGN)
    carrier = wrap_signed(element, signed.text)
    assert (carrier.attrib, [each.tag for each in carrier]) == (element.attrib, [E2E])
    opened = decrypted(
        protect(carrier, Sealing(romeo.parsed), sender=JULIET, recipient=ROMEO, moment=NOW), romeo
    )
    assert same(read(opened, outer())[1].stanza, element)
