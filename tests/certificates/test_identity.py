"""Our own key and certificate: loaded from any reasonable file, refused with a reason from any other."""

from datetime import timedelta
from itertools import permutations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from slixmpp_e2e.certificates.identity import (
    encryption_identity,
    identity,
    load_encryption_pem,
    load_pem,
    load_pkcs12,
)
from slixmpp_e2e.cms.capabilities import ENCRYPTION_KEY_PREFERENCE, SMIME_CAPABILITIES
from slixmpp_e2e.errors import CertificateError
from tests.certificates.building import JULIET, certificate, end_entity, key_usage, names
from tests.pki import PKI, VALID_FROM, VALID_UNTIL, Entity, make_certificate


def pkcs12_file(entity: Entity, *above: x509.Certificate, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"x", entity.key, entity.certificate, above, encryption)


def private_pem(key: object, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


class TestPEM:
    def test_the_certificates_may_stand_in_any_order(self, pki: PKI, juliet: Entity):
        for order in permutations((juliet, pki.intermediate, pki.root)):
            found = load_pem(b"".join(each.pem for each in order), juliet.key_pem)
            assert found.certificate.certificate == juliet.certificate
            assert [each.certificate for each in found.chain] == [pki.intermediate.certificate]
            assert found.jids == {JULIET}
            assert found.signer.chain == found.chain

    @pytest.mark.parametrize(
        ("name", "scheme", "can_decrypt"),
        [
            ("juliet", "rsa-sha256", True),
            ("rsa-3072", "rsa-sha256", True),
            ("p-256", "ecdsa-sha256", True),
            ("p-384", "ecdsa-sha384", True),
            ("ed25519", "ed25519", False),
        ],
    )
    def test_the_key_decides_how_it_signs_and_whether_it_decrypts(self, pki: PKI, name, scheme, can_decrypt):
        found = load_pem(pki[name].pem, pki[name].key_pem)
        assert found.signer.scheme.name == found.short_signer.scheme.name == scheme
        assert found.can_decrypt is can_decrypt

    def test_another_scheme_may_be_asked_for(self, juliet: Entity):
        found = load_pem(juliet.pem, juliet.key_pem, scheme="rsa-pss-sha256")
        assert found.signer.scheme.name == found.short_signer.scheme.name == "rsa-pss-sha256"

    def test_a_password_opens_the_key(self, juliet: Entity):
        found = load_pem(juliet.pem, private_pem(juliet.key, b"secret"), password=b"secret")
        assert found.key.public_key() == juliet.key.public_key()

    @pytest.mark.parametrize("password", [None, b"wrong", b""])
    def test_without_its_password_the_key_stays_closed(self, juliet: Entity, password):
        with pytest.raises(CertificateError, match="unreadable"):
            load_pem(juliet.pem, private_pem(juliet.key, b"secret"), password=password)

    def test_a_password_for_a_key_that_has_none_is_an_error(self, juliet: Entity):
        with pytest.raises(CertificateError, match="unreadable"):
            load_pem(juliet.pem, juliet.key_pem, password=b"secret")

    @pytest.mark.parametrize(
        "data", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    )
    def test_what_is_no_pem_is_said(self, juliet: Entity, data):
        with pytest.raises(CertificateError, match="unreadable"):
            load_pem(data, juliet.key_pem)
        with pytest.raises(CertificateError, match="unreadable"):
            load_pem(juliet.pem, data)

    def test_a_key_of_somebody_else_is_said(self, juliet: Entity, romeo: Entity):
        with pytest.raises(CertificateError, match="none of the certificates belongs to the private key"):
            load_pem(juliet.pem, romeo.key_pem)

    def test_a_certificate_of_the_chain_with_a_key_that_nobody_can_read_is_said(
        self, juliet: Entity, pki: PKI
    ):
        curve = bytes.fromhex("06082a8648ce3d030107")
        unreadable = pki["p-256"].der.replace(curve, curve[:-1] + b"\x7f")
        armoured = x509.load_der_x509_certificate(unreadable).public_bytes(Encoding.PEM)
        with pytest.raises(CertificateError, match="unreadable"):
            load_pem(juliet.pem + armoured, juliet.key_pem)


class TestPKCS12:
    @pytest.mark.parametrize("password", [None, b"secret"])
    def test_one_file_holds_it_all(self, pki: PKI, juliet: Entity, password):
        data = pkcs12_file(juliet, pki.root.certificate, pki.intermediate.certificate, password=password)
        found = load_pkcs12(data, password=password)
        assert found.certificate.certificate == juliet.certificate
        assert [each.certificate for each in found.chain] == [pki.intermediate.certificate]
        assert found.jids == {JULIET}

    def test_another_scheme_may_be_asked_for(self, juliet: Entity):
        assert load_pkcs12(pkcs12_file(juliet), scheme="rsa-sha512").signer.scheme.name == "rsa-sha512"

    @pytest.mark.parametrize("password", [None, b"wrong", b""])
    def test_without_its_password_it_stays_closed(self, juliet: Entity, password):
        with pytest.raises(CertificateError, match="unreadable"):
            load_pkcs12(pkcs12_file(juliet, password=b"secret"), password=password)

    @pytest.mark.parametrize("data", [b"", b"x", b"\x30\x00", b"\x30\x80"])
    def test_what_is_no_pkcs12_is_said(self, data):
        with pytest.raises(CertificateError, match="unreadable"):
            load_pkcs12(data)

    def test_a_file_without_a_key_or_its_certificate_is_said(self, juliet: Entity):
        without_key = pkcs12.serialize_key_and_certificates(
            b"x", None, None, [juliet.certificate], NoEncryption()
        )
        without_certificate = pkcs12.serialize_key_and_certificates(
            b"x", juliet.key, None, None, NoEncryption()
        )
        for data in (without_key, without_certificate):
            with pytest.raises(CertificateError, match="lacks"):
                load_pkcs12(data)


class TestWhatIsNoIdentity:
    def test_a_certificate_that_names_no_jid(self, juliet: Entity):
        with pytest.raises(CertificateError, match="names no JID"):
            identity(juliet.key, certificate(juliet.key))

    @pytest.mark.parametrize("usages", [["key_encipherment"], ["key_cert_sign", "crl_sign"]])
    def test_a_certificate_that_forbids_signatures(self, pki: PKI, juliet: Entity, usages):
        extensions = [names("juliet@example.com"), key_usage(*usages)]
        own = certificate(juliet.key, extensions, issuer=pki.intermediate)
        with pytest.raises(CertificateError, match="key usage forbids to sign"):
            identity(juliet.key, own)

    @pytest.mark.requirement("3923-6.1-1")
    def test_a_key_that_is_not_the_certificates(self, juliet: Entity, romeo: Entity):
        with pytest.raises(CertificateError, match="not the one of the certificate"):
            identity(romeo.key, juliet.certificate)

    @pytest.mark.parametrize(
        ("name", "scheme"), [("juliet", "ecdsa-sha256"), ("p-256", "rsa-sha256"), ("ed25519", "ecdsa-sha256")]
    )
    def test_a_scheme_that_the_key_cannot_do(self, pki: PKI, name, scheme):
        with pytest.raises(CertificateError, match=scheme):
            identity(pki[name].key, pki[name].certificate, scheme=scheme)

    def test_a_scheme_that_does_not_exist(self, juliet: Entity):
        with pytest.raises(CertificateError, match=r"md5.*there are .*rsa-sha256"):
            identity(juliet.key, juliet.certificate, scheme="rsa-md5")

    @pytest.mark.parametrize(
        "make",
        [
            lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024),
            lambda: ec.generate_private_key(ec.SECP521R1()),
            lambda: dsa.generate_private_key(2048),
            ed448.Ed448PrivateKey.generate,
        ],
    )
    def test_a_key_of_a_kind_that_is_not_used(self, pki: PKI, make):
        key = make()
        own = certificate(key, [names(JULIET)], issuer=pki.intermediate)
        with pytest.raises(CertificateError):
            identity(key, own)
        with pytest.raises(CertificateError):
            load_pem(own.public_bytes(Encoding.PEM), private_pem(key))

    def test_a_key_that_cannot_sign(self, pki: PKI):
        key = x25519.X25519PrivateKey.generate()
        with pytest.raises(CertificateError):
            load_pem(pki["juliet"].pem, private_pem(key))


class TestShortSigner:
    def test_it_names_us_by_our_key_identifier(self, juliet: Entity):
        found = identity(juliet.key, juliet.certificate)
        assert found.short_signer.signer_info(b"", VALID_FROM) != found.signer.signer_info(b"", VALID_FROM)
        assert juliet.parsed.key_identifier in found.short_signer.signer_info(b"", VALID_FROM)
        assert juliet.parsed.issuer_and_serial in found.signer.signer_info(b"", VALID_FROM)

    def test_without_a_key_identifier_it_is_the_usual_one(self):
        key = ed25519.Ed25519PrivateKey.generate()
        found = identity(key, make_certificate(key, "x", jid=JULIET, subject_key_identifier=False))
        assert found.certificate.issuer_and_serial in found.short_signer.signer_info(b"", VALID_FROM)

    @pytest.mark.requirement("3851-2.5-2", "3851-2.5.2-1")
    def test_it_does_not_say_again_what_we_can_do(self, juliet: Entity):
        found = identity(juliet.key, juliet.certificate)
        assert SMIME_CAPABILITIES in found.signer.signer_info(b"", VALID_FROM)
        assert SMIME_CAPABILITIES not in found.short_signer.signer_info(b"", VALID_FROM)


class TestEncryptionIdentity:
    """A second certificate for what others encrypt to us (RFC 8551 2.5.3)."""

    @pytest.mark.requirement("3851-2.5-2", "3851-2.5.3-1")
    def test_others_are_asked_to_encrypt_to_it_and_it_travels_along(self, pki: PKI):
        own = certificate(
            key := ed25519.Ed25519PrivateKey.generate(), [names(JULIET)], issuer=pki.intermediate
        )
        other = identity(pki["juliet"].key, pki["juliet"].certificate)
        found = identity(key, own, encryption=other)
        assert not found.can_decrypt
        assert found.recipient is other.certificate
        assert ENCRYPTION_KEY_PREFERENCE in found.signer.signer_info(b"", VALID_FROM)
        assert pki["juliet"].der in [each.der for each in found.signer.chain]

    def test_it_needs_a_key_that_decrypts_and_the_same_names(self, pki: PKI):
        own = certificate(
            key := ed25519.Ed25519PrivateKey.generate(), [names(JULIET)], issuer=pki.intermediate
        )
        for other in (pki["romeo"], pki["ed25519"]):
            with pytest.raises(CertificateError):
                identity(key, own, encryption=identity(other.key, other.certificate))

    def test_without_one_the_own_certificate_is_it_if_it_can(self, pki: PKI):
        for name, can in (("juliet", True), ("p-256", True), ("ed25519", False)):
            found = identity(pki[name].key, pki[name].certificate)
            assert (found.recipient is found.certificate) is can

    @pytest.mark.parametrize("name", ["x25519", "p-256", "juliet"])
    def test_its_key_need_not_sign(self, pki: PKI, name):
        other, signing = pki[name], pki["ed25519"]
        second = load_encryption_pem(other.pem + pki.intermediate.pem, other.key_pem)
        assert second.can_decrypt
        assert [each.certificate for each in second.chain] == [pki.intermediate.certificate]
        found = identity(signing.key, signing.certificate, encryption=second)
        assert found.recipient.der == other.der
        assert {each.der for each in found.signer.chain} == {other.der, pki.intermediate.der}

    def test_an_encryption_identity_has_a_key_that_may_decrypt(self, pki: PKI):
        with pytest.raises(CertificateError, match="only signs"):
            load_encryption_pem(pki["ed25519"].pem, pki["ed25519"].key_pem)
        forbidden = end_entity(key_usage("digital_signature"), issuer=pki.intermediate)
        with pytest.raises(CertificateError, match="forbids to encrypt"):
            load_encryption_pem(forbidden.pem, forbidden.key_pem)
        with pytest.raises(CertificateError, match="not the one of the encryption certificate"):
            encryption_identity(pki["p-256"].key, pki["x25519"].certificate)
        weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        with pytest.raises(CertificateError, match="1024"):
            encryption_identity(weak, certificate(weak, [names(JULIET)]))

    def test_a_certificate_that_may_only_sign_is_not_encrypted_to(self, pki: PKI):
        own = end_entity(key_usage("digital_signature"), issuer=pki.intermediate)
        found = identity(own.key, own.certificate)
        assert found.can_decrypt
        assert found.recipient is None


class TestValidity:
    def test_it_lasts_from_its_first_to_its_last_moment(self, juliet: Entity):
        found = identity(juliet.key, juliet.certificate)
        for moment in (VALID_FROM, VALID_UNTIL):
            found.check_validity(moment)
        for moment in (VALID_FROM - timedelta(microseconds=1), VALID_UNTIL + timedelta(microseconds=1)):
            with pytest.raises(CertificateError, match="valid from 2020-01-01 to 2049-12-31 only"):
                found.check_validity(moment)


def test_a_certificate_may_name_several_jids(pki: PKI):
    several = end_entity(issuer=pki.intermediate)
    own = certificate(several.key, [names(JULIET, "nurse@example.com")], issuer=pki.intermediate)
    assert identity(several.key, own).jids == {JULIET, "nurse@example.com"}
