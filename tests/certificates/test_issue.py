"""Issuing keys, certificates, requests and authorities."""

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from slixmpp_e2e.certificates.encryption_request import encryption_request, stated_key
from slixmpp_e2e.certificates.issue import (
    CLOCK_SKEW,
    CertificationAuthority,
    certificate_request,
    create_intermediate,
    create_root,
    issue_certificate,
    self_signed_certificate,
)
from slixmpp_e2e.certificates.keys import (
    AUTHORITY_KEY_ALGORITHMS,
    KEY_ALGORITHMS,
    generate_key,
    key_algorithm,
    subject_key,
)
from slixmpp_e2e.certificates.names import certificate_jids, request_jids
from slixmpp_e2e.certificates.path import PathValidator
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.errors import CertificateError
from tests.certificates.building import key_usage

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JULIET = "juliet@example.com"


@pytest.fixture(scope="module")
def keys():
    return {algorithm: generate_key(algorithm) for algorithm in KEY_ALGORITHMS}


@pytest.fixture(scope="module", params=AUTHORITY_KEY_ALGORITHMS)
def chain(request, keys):
    """An intermediate authority below a root, with keys of each kind an authority may have."""
    root = create_root(keys[request.param], "Verona Root", now=NOW, path_length=1)
    return create_intermediate(generate_key("p-256"), "Verona Issuing", root=root, now=NOW)


@pytest.fixture(scope="module")
def root(keys):
    return create_root(keys["p-256"], "Verona Root", now=NOW, days=100)


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def issued(authority, key, *, jids=(JULIET,), now=NOW, **options):
    return issue_certificate(certificate_request(key, jids), authority=authority, now=now, **options)


def verify(certificate, intermediates, anchor, *, now=NOW):
    """Path validation as the project does it: cryptography's verifier, with a policy for end entities of S/MIME."""

    def key_usage(_policy, _certificate, usage):
        assert usage.digital_signature

    def extended_key_usage(_policy, _certificate, purposes):
        assert ExtendedKeyUsageOID.EMAIL_PROTECTION in purposes

    agnostic = verification.Criticality.AGNOSTIC
    end_entity = (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.SubjectAlternativeName, agnostic, lambda _policy, _certificate, _names: None)
        .require_present(x509.ExtendedKeyUsage, agnostic, extended_key_usage)
        .require_present(x509.KeyUsage, agnostic, key_usage)
    )
    return (
        verification.PolicyBuilder()
        .store(verification.Store([anchor]))
        .time(now)
        .max_chain_depth(5)
        .extension_policies(ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(), ee_policy=end_entity)
        .build_client_verifier()
        .verify(certificate, list(intermediates))
    )


class TestKeys:
    @pytest.mark.parametrize("algorithm", KEY_ALGORITHMS)
    def test_a_key_is_of_the_kind_that_was_asked_for(self, keys, algorithm):
        public_key = keys[algorithm].public_key()
        assert key_algorithm(public_key) == algorithm
        assert subject_key(public_key) is public_key

    def test_an_unknown_kind_is_refused(self):
        with pytest.raises(CertificateError, match="rsa-1024"):
            generate_key("rsa-1024")

    @pytest.mark.requirement("3851-4.1-2")
    @pytest.mark.parametrize(
        "private_key",
        [
            rsa.generate_private_key(65537, 1024),
            rsa.generate_private_key(3, 2048),
            ec.generate_private_key(ec.SECP521R1()),
            ec.generate_private_key(ec.SECP256K1()),
            ed448.Ed448PrivateKey.generate(),
        ],
        ids=["rsa-1024", "exponent-3", "p-521", "secp256k1", "ed448"],
    )
    def test_keys_that_are_weak_or_that_few_programs_know_get_no_certificate(self, private_key):
        with pytest.raises(CertificateError):
            subject_key(private_key.public_key())
        with pytest.raises(CertificateError):
            self_signed_certificate(private_key, [JULIET], now=NOW)


class TestEndEntity:
    @pytest.mark.requirement("3850-4.4-1", "6120-13.7.1-1", "6120-13.7.1-2")
    @pytest.mark.parametrize("algorithm", KEY_ALGORITHMS)
    def test_its_extensions_are_those_of_rfc_8550(self, keys, root, algorithm):
        for certificate in (
            issued(root, keys[algorithm]),
            self_signed_certificate(keys[algorithm], [JULIET], now=NOW),
        ):
            assert certificate.version is x509.Version.v3
            assert certificate.subject.rfc4514_string() == f"CN={JULIET}"
            assert certificate_jids(certificate) == {JULIET}
            constraints = extension(certificate, x509.BasicConstraints)
            assert constraints.critical
            assert not constraints.value.ca
            usage = extension(certificate, x509.KeyUsage)
            assert usage.critical
            assert usage.value.digital_signature
            assert usage.value.key_encipherment is algorithm.startswith("rsa")
            assert usage.value.key_agreement is algorithm.startswith("p-")
            assert not usage.value.key_cert_sign
            purposes = extension(certificate, x509.ExtendedKeyUsage)
            assert not purposes.critical
            assert set(purposes.value) == {
                ExtendedKeyUsageOID.EMAIL_PROTECTION,
                ExtendedKeyUsageOID.CLIENT_AUTH,
            }
            own = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
            assert extension(certificate, x509.SubjectKeyIdentifier).value == own
            assert not extension(certificate, x509.SubjectAlternativeName).critical
            assert len(certificate.extensions) == 6

    @pytest.mark.requirement("6120-13.7.1-4")
    @pytest.mark.parametrize("algorithm", KEY_ALGORITHMS)
    def test_its_signature_is_made_with_the_hash_of_its_key(self, keys, algorithm):
        certificate = self_signed_certificate(keys[algorithm], [JULIET], now=NOW)
        certificate.verify_directly_issued_by(certificate)
        expected = {"p-384": hashes.SHA384, "ed25519": type(None)}.get(algorithm, hashes.SHA256)
        assert isinstance(certificate.signature_hash_algorithm, expected)

    @pytest.mark.requirement("3923-6.3-1", "3923-6.3-2", "3923-6.3-3", "3923-6.3-5", "3923-6.3-6")
    @pytest.mark.requirement("3923-6.3-12", "3923-6.3-13", "6120-13.7.1.3-1", "6120-13.7.1.3-2")
    @pytest.mark.requirement("6120-13.7.1.4-2", "3860-4-3", "3859-4-2", "bis-8-2")
    def test_it_names_each_jid_once_in_three_forms(self, keys):
        jids = [f"{JULIET}/balcony", "JULIET@example.com", "julïette@vérone.example"]
        certificate = self_signed_certificate(keys["p-256"], jids, now=NOW)
        names = extension(certificate, x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
            "im:juliet@example.com",
            "pres:juliet@example.com",
            "im:jul%C3%AFette@xn--vrone-bsa.example",
            "pres:jul%C3%AFette@xn--vrone-bsa.example",
        ]
        assert [name.value for name in names.get_values_for_type(x509.OtherName)] == [
            b"\x0c\x12juliet@example.com",
            b"\x0c\x19" + "julïette@vérone.example".encode(),
        ]

    @pytest.mark.requirement("6120-13.7.1-3")
    def test_its_subject_is_not_null_however_long_the_jid_is(self, keys):
        for local, shown in (("j" * 500, "j" * 61 + "…"), ("ï" * 100, "ï" * 30 + "…")):
            certificate = self_signed_certificate(keys["ed25519"], [f"{local}@example.com"], now=NOW)
            (name,) = certificate.subject
            assert name.value == shown
            assert certificate_jids(certificate) == {f"{local}@example.com"}

    def test_it_is_valid_from_a_little_before_now_for_the_days_asked_for(self, keys):
        certificate = self_signed_certificate(keys["ed25519"], [JULIET], now=NOW, days=30)
        assert certificate.not_valid_before_utc == NOW - CLOCK_SKEW
        assert certificate.not_valid_after_utc == NOW + timedelta(days=30)

    def test_a_lifetime_beyond_2049_is_written_too(self, keys):
        certificate = self_signed_certificate(keys["ed25519"], [JULIET], now=NOW, days=36500)
        assert certificate.not_valid_after_utc == NOW + timedelta(days=36500)

    def test_serial_numbers_are_positive_random_and_at_most_20_octets(self, keys):
        serials = {
            self_signed_certificate(keys["ed25519"], [JULIET], now=NOW).serial_number for _ in range(50)
        }
        assert len(serials) == 50
        assert all(0 < serial < 2**159 for serial in serials)
        assert max(serial.bit_length() for serial in serials) > 150

    def test_the_same_input_gives_the_same_certificate(self, keys):
        first, second = (
            self_signed_certificate(keys["rsa-2048"], [JULIET], now=NOW, serial=7) for _ in range(2)
        )
        assert first == second
        assert first.serial_number == 7

    @pytest.mark.parametrize("days", [0, -1, 36501])
    def test_an_impossible_lifetime_is_refused(self, keys, days):
        with pytest.raises(CertificateError, match="days"):
            self_signed_certificate(keys["ed25519"], [JULIET], now=NOW, days=days)

    def test_the_time_must_say_its_zone(self, keys):
        with pytest.raises(ValueError, match="aware"):
            self_signed_certificate(keys["ed25519"], [JULIET], now=NOW.replace(tzinfo=None))

    @pytest.mark.parametrize("jids", [[], [""], ["@"], [JULIET, "ᴬ@example.com"]])
    def test_a_certificate_without_a_jid_is_refused(self, keys, jids):
        with pytest.raises(CertificateError):
            self_signed_certificate(keys["ed25519"], jids, now=NOW)
        with pytest.raises(CertificateError):
            certificate_request(keys["ed25519"], jids)


class TestRequest:
    @pytest.mark.parametrize("algorithm", KEY_ALGORITHMS)
    def test_it_asks_for_the_jids_in_all_forms_and_proves_the_key(self, keys, algorithm):
        request = certificate_request(keys[algorithm], [JULIET, "nurse@example.com"])
        assert request.is_signature_valid
        assert request_jids(request) == {JULIET, "nurse@example.com"}
        names = extension(request, x509.SubjectAlternativeName).value
        assert len(names) == 6

    def test_a_request_whose_signature_is_not_valid_is_refused(self, keys, root):
        octets = bytearray(certificate_request(keys["p-256"], [JULIET]).public_bytes(Encoding.DER))
        octets[octets.index(b"im:juliet") + 3] ^= 1
        request = x509.load_der_x509_csr(bytes(octets))
        with pytest.raises(CertificateError, match="signature"):
            issue_certificate(request, authority=root, now=NOW)

    def test_a_request_for_no_jid_is_refused(self, keys, root):
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, JULIET)])
        names = x509.SubjectAlternativeName([x509.RFC822Name(JULIET), x509.DNSName("example.com")])
        for builder in (
            x509.CertificateSigningRequestBuilder(name),
            x509.CertificateSigningRequestBuilder(name).add_extension(names, critical=False),
        ):
            with pytest.raises(CertificateError, match="no JID"):
                issue_certificate(builder.sign(keys["ed25519"], None), authority=root, now=NOW)

    def test_a_weak_key_gets_no_certificate_from_an_authority(self, root):
        request = certificate_request(rsa.generate_private_key(65537, 1024), [JULIET])
        with pytest.raises(CertificateError, match="1024"):
            issue_certificate(request, authority=root, now=NOW)

    @pytest.mark.parametrize("oid", [b"\x06\x03\x2b\x65\x70", b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"])
    def test_a_key_or_signature_of_an_unknown_kind_is_refused(self, keys, root, oid):
        key = keys["ed25519" if len(oid) == 5 else "p-256"]
        octets = certificate_request(key, [JULIET]).public_bytes(Encoding.DER)
        for count in (1, -1):  # in the key, and where Ed25519 has it a second time, in the signature
            changed = octets.replace(oid, oid[:-1] + b"\x7f", count)
            with pytest.raises(CertificateError, match="request"):
                issue_certificate(x509.load_der_x509_csr(changed), authority=root, now=NOW)

    def test_only_the_jids_are_taken_over_from_it(self, keys, root):
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "romeo@example.net")])
        names = x509.SubjectAlternativeName(
            [
                x509.UniformResourceIdentifier("im:JULIET@example.com/balcony"),
                x509.DNSName("example.com"),
                x509.RFC822Name("romeo@example.net"),
            ]
        )
        request = (
            x509.CertificateSigningRequestBuilder(subject)
            .add_extension(names, critical=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(keys["ed25519"], None)
        )
        certificate = issue_certificate(request, authority=root, now=NOW, serial=9)
        expected = issued(root, keys["ed25519"], serial=9)
        assert certificate.tbs_certificate_bytes == expected.tbs_certificate_bytes

    def test_the_authority_may_certify_fewer_jids_but_no_others(self, keys, root):
        request = certificate_request(keys["ed25519"], [JULIET, "nurse@example.com"])
        certificate = issue_certificate(request, authority=root, now=NOW, jids=["NURSE@example.com"])
        assert certificate_jids(certificate) == {"nurse@example.com"}
        with pytest.raises(CertificateError, match=r"does not ask for romeo@example\.net"):
            issue_certificate(request, authority=root, now=NOW, jids=["romeo@example.net"])


@pytest.fixture(scope="module")
def pair(keys):
    first = certificate_request(keys["ed25519"], [JULIET])
    key = x25519.X25519PrivateKey.generate()
    second = encryption_request(
        key.public_key(), [JULIET], subject=first.subject, signing_key=keys["ed25519"]
    )
    return key, first, second


class TestEncryptionRequest:
    """A request for an X25519 key, signed by the Ed25519 key of the same owner."""

    def test_it_asks_for_the_same_and_is_signed_by_the_other_key(self, pair, keys):
        key, first, second = pair
        assert second.public_key() == key.public_key()
        assert (second.subject, request_jids(second)) == (first.subject, {JULIET})
        assert stated_key(second, keys["ed25519"].public_key()) == key.public_key()

    def test_its_certificate_is_for_key_agreement_only(self, pair, keys, chain):
        key, _, second = pair
        signed_by = keys["ed25519"].public_key()
        certificate = issue_certificate(second, authority=chain, now=NOW, signed_by=signed_by)
        assert certificate.public_key() == key.public_key()
        assert certificate_jids(certificate) == {JULIET}
        usage = extension(certificate, x509.KeyUsage).value
        assert usage == key_usage("key_agreement")
        purposes = extension(certificate, x509.ExtendedKeyUsage).value
        assert list(purposes) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]
        parsed = ParsedCertificate.from_x509(certificate)
        above = [ParsedCertificate.from_x509(each) for each in chain.intermediates]
        assert PathValidator([chain.root]).validate(parsed, above, at=NOW)[-1] == chain.root

    def test_nobody_gets_one_without_the_key_that_signed_it(self, pair, keys, root):
        with pytest.raises(CertificateError, match="request"):
            issue_certificate(pair[2], authority=root, now=NOW)
        other = generate_key("ed25519").public_key()
        with pytest.raises(CertificateError, match="not signed by the key of the first one"):
            issue_certificate(pair[2], authority=root, now=NOW, signed_by=other)

    def test_a_change_of_it_is_found(self, pair, keys, root):
        octets = pair[2].public_bytes(Encoding.DER)
        raw = pair[0].public_key().public_bytes_raw()
        signed_by = keys["ed25519"].public_key()
        for old, new in ((b"im:juliet", b"im:romeoo"), (raw, bytes(32))):
            changed = x509.load_der_x509_csr(octets.replace(old, new))
            with pytest.raises(CertificateError, match="not signed by"):
                issue_certificate(changed, authority=root, now=NOW, signed_by=signed_by)

    def test_a_key_that_signs_has_to_sign_for_itself(self, keys, root):
        signed_by = keys["ed25519"].public_key()
        with pytest.raises(CertificateError, match="sign for themselves"):
            issue_certificate(
                certificate_request(keys["p-256"], [JULIET]), authority=root, now=NOW, signed_by=signed_by
            )

    def test_a_self_signed_owner_issues_it_to_himself(self, pair, keys):
        own = self_signed_certificate(keys["ed25519"], [JULIET], now=NOW, days=10)
        itself = CertificationAuthority(own, keys["ed25519"])
        signed_by = keys["ed25519"].public_key()
        certificate = issue_certificate(pair[2], authority=itself, now=NOW, signed_by=signed_by)
        certificate.verify_directly_issued_by(own)
        assert certificate.not_valid_after_utc == own.not_valid_after_utc


class TestAuthority:
    def test_its_certificates_are_those_of_a_ca(self, chain):
        for certificate, path_length in ((chain.root, 1), (chain.certificate, 0)):
            constraints = extension(certificate, x509.BasicConstraints)
            assert constraints.critical
            assert constraints.value == x509.BasicConstraints(ca=True, path_length=path_length)
            usage = extension(certificate, x509.KeyUsage)
            assert usage.critical
            assert usage.value.key_cert_sign
            assert usage.value.crl_sign
            assert usage.value.digital_signature
            assert not usage.value.key_encipherment
        assert chain.intermediates == (chain.certificate,)

    def test_a_root_alone_has_no_intermediates(self, root):
        assert root.intermediates == ()
        assert root.root == root.certificate

    @pytest.mark.parametrize("algorithm", sorted(set(KEY_ALGORITHMS) - set(AUTHORITY_KEY_ALGORITHMS)))
    def test_keys_that_path_validation_refuses_make_no_authority(self, keys, algorithm):
        with pytest.raises(CertificateError, match=algorithm):
            create_root(keys[algorithm], "Verona Root", now=NOW)

    @pytest.mark.parametrize("name", ["", "  ", "a" * 65, "é" * 33, "Verona\nRoot", "Verona\x1b[0m"])
    def test_its_name_is_one_that_can_be_shown(self, keys, name):
        with pytest.raises(CertificateError, match="name"):
            create_root(keys["p-256"], name, now=NOW)

    def test_a_root_for_end_entities_alone_gets_no_intermediate(self, keys, root):
        with pytest.raises(CertificateError, match="path length 0"):
            create_intermediate(keys["rsa-3072"], "Verona Issuing", root=root, now=NOW)

    def test_an_intermediate_is_not_called_like_its_root(self, keys):
        root = create_root(keys["p-256"], "Verona", now=NOW, path_length=1)
        with pytest.raises(CertificateError, match="another name"):
            create_intermediate(keys["rsa-3072"], "Verona", root=root, now=NOW)

    def test_nothing_that_it_issues_outlives_it(self, keys, root):
        certificate = issued(root, keys["ed25519"], days=5000)
        assert certificate.not_valid_after_utc == root.certificate.not_valid_after_utc
        assert certificate.not_valid_before_utc >= root.certificate.not_valid_before_utc

    @pytest.mark.parametrize("days", [-1, 101])
    def test_it_issues_nothing_before_or_after_its_own_time(self, keys, root, days):
        with pytest.raises(CertificateError, match="not valid at this time"):
            issued(root, keys["ed25519"], now=NOW + timedelta(days=days))


class TestPathValidation:
    @pytest.mark.requirement("6120-13.7.1-1")
    @pytest.mark.parametrize("algorithm", KEY_ALGORITHMS)
    def test_cryptography_accepts_what_an_intermediate_issued(self, keys, chain, algorithm):
        certificate = issued(chain, keys[algorithm])
        verified = verify(certificate, chain.intermediates, chain.root)
        assert list(verified.chain) == [certificate, chain.certificate, chain.root]

    @pytest.mark.parametrize("algorithm", KEY_ALGORITHMS)
    def test_cryptography_accepts_a_self_signed_certificate_as_its_own_anchor(self, keys, algorithm):
        certificate = self_signed_certificate(keys[algorithm], [JULIET], now=NOW)
        assert list(verify(certificate, [], certificate).chain) == [certificate]

    def test_an_end_entity_can_not_issue(self, keys, chain):
        between = issued(chain, keys["p-256"], jids=["iago@example.com"])
        rogue = issued(type(chain)(between, keys["p-256"], (chain.certificate, chain.root)), keys["ed25519"])
        with pytest.raises(verification.VerificationError):
            verify(rogue, [between, chain.certificate], chain.root)

    def test_nothing_is_accepted_after_its_time(self, keys, chain):
        certificate = issued(chain, keys["p-256"], days=10)
        with pytest.raises(verification.VerificationError):
            verify(certificate, chain.intermediates, chain.root, now=NOW + timedelta(days=11))


def openssl(*arguments, directory):
    try:
        done = subprocess.run(
            ["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=False, timeout=30
        )
    except FileNotFoundError:
        pytest.fail("the program openssl is needed for this test")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(path, *certificates):
    path.write_bytes(b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates))


@pytest.mark.peer
class TestOpenSSL:
    @pytest.mark.requirement("6120-13.7.1-1")
    @pytest.mark.parametrize("algorithm", KEY_ALGORITHMS)
    def test_it_verifies_the_chain_for_smime(self, keys, chain, algorithm, tmp_path):
        write(tmp_path / "root.crt", chain.root)
        write(tmp_path / "chain.crt", *chain.intermediates)
        write(tmp_path / "juliet.crt", issued(chain, keys[algorithm]))
        for purpose in ("smimesign", "smimeencrypt", "sslclient"):
            if purpose == "smimeencrypt" and not algorithm.startswith("rsa"):
                continue
            output = openssl(
                *("verify", "-x509_strict", "-purpose", purpose, "-attime", str(int(NOW.timestamp()))),
                *("-CAfile", "root.crt", "-untrusted", "chain.crt", "juliet.crt"),
                directory=tmp_path,
            )
            assert output == "juliet.crt: OK\n"

    @pytest.mark.parametrize("algorithm", KEY_ALGORITHMS)
    def test_it_verifies_a_self_signed_certificate_for_smime(self, keys, algorithm, tmp_path):
        write(tmp_path / "juliet.crt", self_signed_certificate(keys[algorithm], [JULIET], now=NOW))
        output = openssl(
            *("verify", "-x509_strict", "-purpose", "smimesign", "-attime", str(int(NOW.timestamp()))),
            *("-CAfile", "juliet.crt", "juliet.crt"),
            directory=tmp_path,
        )
        assert output == "juliet.crt: OK\n"

    @pytest.mark.requirement("3923-6.3-2", "3923-6.3-3", "3923-6.3-13", "6120-13.7.1.3-2", "6120-13.7.1.4-1")
    @pytest.mark.requirement("3920-5.1.1-1")
    def test_it_reads_the_names_and_usages(self, keys, chain, tmp_path):
        jids = ["julïette@vérone.example"]
        write(tmp_path / "juliet.crt", issued(chain, keys["rsa-2048"], jids=jids))
        text = openssl(
            *("x509", "-in", "juliet.crt", "-noout", "-text", "-nameopt", "utf8"), directory=tmp_path
        )
        assert "XmppAddr::julïette@vérone.example" in text
        assert "URI:im:jul%C3%AFette@xn--vrone-bsa.example" in text
        assert "URI:pres:jul%C3%AFette@xn--vrone-bsa.example" in text
        assert "Digital Signature, Key Encipherment\n" in text
        assert "E-mail Protection, TLS Web Client Authentication\n" in text
        assert "CA:FALSE" in text

    @pytest.mark.parametrize("algorithm", KEY_ALGORITHMS)
    def test_it_verifies_a_request(self, keys, algorithm, tmp_path):
        write(tmp_path / "juliet.csr", certificate_request(keys[algorithm], [JULIET]))
        text = openssl("req", "-in", "juliet.csr", "-noout", "-verify", "-text", directory=tmp_path)
        assert "XmppAddr::juliet@example.com, URI:im:juliet@example.com, URI:pres:juliet@example.com" in text
