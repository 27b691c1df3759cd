"""The program's commands for keys and certificates, from the command line to the files."""

import base64
import getpass
import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.cli import files, main
from slixmpp_e2e.cli.encoding import encode_key
from slixmpp_e2e.cli.structure import describe_object
from slixmpp_e2e.plugin.configuration import DEFAULTS, load_identity
from tests.certificates import building
from tests.certificates.building import key_usage, new_key

JULIET = "juliet@example.com"
VECTORS = Path(__file__).parent.parent / "vectors" / "pki"


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """Each test has a directory of its own, and is in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "password").write_text("correct horse\nbattery\n")
    return tmp_path


def mode(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


def certificate(path):
    return x509.load_pem_x509_certificate(Path(path).read_bytes())


def leftovers(directory):
    return list(Path(directory).glob(".*.partial"))


def quick(*arguments):
    return (*arguments, "--algorithm", "p-256")


class TestKeygen:
    def test_it_makes_a_key_and_the_certificate_for_it(self, run):
        code, output, errors = run("keygen", JULIET, "--days", "30")
        assert (code, errors) == (0, "")
        key = load_pem_private_key(Path(f"{JULIET}.key").read_bytes(), None)
        made = certificate(f"{JULIET}.crt")
        assert key.key_size == 3072
        assert made.public_key() == key.public_key()
        assert certificate_jids(made) == {JULIET}
        assert (made.not_valid_after_utc - made.not_valid_before_utc).days == 30
        assert f"{JULIET}.key: private key, rsa-3072, not encrypted" in output
        assert f"{JULIET}.crt: self-signed certificate for {JULIET}" in output
        assert made.fingerprint(hashes.SHA256()).hex(":").upper() in output
        assert "Next:" in output

    @pytest.mark.parametrize("algorithm", ["p-256", "p-384"])
    def test_an_elliptic_curve_key_signs_and_decrypts(self, run, algorithm):
        code, _, errors = run("keygen", JULIET, "--algorithm", algorithm)
        assert (code, errors) == (0, "")
        assert "for signing:     yes" in run("show", f"{JULIET}.crt")[1]
        assert "for decrypting:  yes" in run("show", f"{JULIET}.crt")[1]
        assert sorted(path.name for path in Path().glob(f"{JULIET}*")) == [f"{JULIET}.crt", f"{JULIET}.key"]

    @pytest.mark.parametrize("options", [(), ("--password-file", "password")], ids=["plain", "password"])
    def test_a_key_that_only_signs_gets_one_beside_it_that_decrypts(self, run, options):
        code, output, errors = run("keygen", JULIET, "--algorithm", "ed25519", *options)
        assert (code, errors) == (0, "")
        assert mode(f"{JULIET}.encryption.key") == 0o600
        second = certificate(f"{JULIET}.encryption.crt")
        assert second.fingerprint(hashes.SHA256()).hex(":").upper() in output
        second.verify_directly_issued_by(certificate(f"{JULIET}.crt"))
        found = load_identity(
            {
                **DEFAULTS,
                "certificate": f"{JULIET}.crt",
                "private_key": f"{JULIET}.key",
                "encryption_certificate": f"{JULIET}.encryption.crt",
                "encryption_private_key": f"{JULIET}.encryption.key",
                "password": "correct horse" if options else None,
            }
        )
        assert found.recipient.certificate == second
        shown = run("show", f"{JULIET}.encryption.crt")[1]
        assert "usages:          keyAgreement, emailProtection" in shown
        assert "for signing:     no: its key only decrypts; its key usage lacks digitalSignature" in shown
        assert "for decrypting:  yes" in shown
        assert "for decrypting:  no: its key only signs" in run("show", f"{JULIET}.crt")[1]

    def test_the_second_key_is_never_replaced_either(self, run):
        Path(f"{JULIET}.encryption.key").write_text("precious")
        for command in ("keygen", "request"):
            code, _, errors = run(command, JULIET, "--algorithm", "ed25519")
            assert code == 1
            assert f"{JULIET}.encryption.key exists already" in errors
        assert Path(f"{JULIET}.encryption.key").read_text() == "precious"
        assert not Path(f"{JULIET}.key").exists()

    @pytest.mark.requirement("3851-4.1-1")
    def test_only_the_owner_can_read_the_key_whatever_the_umask(self, run, monkeypatch):
        opened = {}
        original = os.open

        def recorded(path, flags, mode=0o777, **options):
            descriptor = original(path, flags, mode, **options)
            opened[Path(path).suffix, stat.S_IMODE(os.fstat(descriptor).st_mode)] = flags
            return descriptor

        monkeypatch.setattr(os, "open", recorded)
        before = os.umask(0)
        try:
            run(*quick("keygen", JULIET, "--out", "new/directory"))
        finally:
            os.umask(before)
        assert mode(f"new/directory/{JULIET}.key") == 0o600
        assert mode(f"new/directory/{JULIET}.crt") == 0o644
        assert mode("new/directory") == 0o700
        # From the moment that it exists, not only afterwards.
        assert opened[".partial", 0o600] & os.O_EXCL
        assert not leftovers("new/directory")

    def test_it_never_replaces_a_file_unless_told_to(self, run):
        Path(f"{JULIET}.key").write_text("precious")
        code, output, errors = run(*quick("keygen", JULIET))
        assert (code, output) == (1, "")
        assert f"{JULIET}.key exists already" in errors
        assert "--force" in errors
        assert Path(f"{JULIET}.key").read_text() == "precious"
        assert not Path(f"{JULIET}.crt").exists()

        assert run(*quick("keygen", JULIET, "--force"))[0] == 0
        assert "PRIVATE KEY" in Path(f"{JULIET}.key").read_text()
        assert mode(f"{JULIET}.key") == 0o600

    def test_it_does_not_write_through_a_dangling_link(self, run):
        Path(f"{JULIET}.key").symlink_to("elsewhere")
        assert run(*quick("keygen", JULIET))[0] == 1
        assert run(*quick("keygen", JULIET, "--force"))[0] == 0
        assert not Path("elsewhere").exists()
        assert not Path(f"{JULIET}.key").is_symlink()

    @pytest.mark.requirement("3851-4.1-1")
    def test_a_password_encrypts_the_key(self, run):
        code, output, _ = run(*quick("keygen", JULIET, "--password-file", "password"))
        assert code == 0
        assert "encrypted with the password" in output
        encoded = Path(f"{JULIET}.key").read_bytes()
        assert encoded.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        assert load_pem_private_key(encoded, b"correct horse")

    def test_a_password_can_be_typed_twice(self, run, monkeypatch):
        typed = iter(["söcret", "söcret"])
        monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(typed))
        assert run(*quick("keygen", JULIET, "--ask-password"))[0] == 0
        assert load_pem_private_key(Path(f"{JULIET}.key").read_bytes(), "söcret".encode())

    @pytest.mark.parametrize("typed", [["one", "other"], [""]])
    def test_a_password_that_is_mistyped_or_empty_makes_no_key(self, run, monkeypatch, typed):
        answers = iter(typed)
        monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(answers))
        assert run(*quick("keygen", JULIET, "--ask-password"))[0] == 2
        assert not list(Path().glob(f"{JULIET}*"))

    def test_where_nobody_types_a_password_no_key_is_made(self, run, monkeypatch):
        """As at the end of standard input."""

        def ended(_prompt):
            raise EOFError

        monkeypatch.setattr(getpass, "getpass", ended)
        code, _, errors = run(*quick("keygen", JULIET, "--ask-password"))
        assert code == 2
        assert "--password-file" in errors
        assert not list(Path().glob(f"{JULIET}*"))

    def test_an_empty_password_file_makes_no_key(self, run):
        Path("empty").write_text("\nsecond line\n")
        code, _, errors = run(*quick("keygen", JULIET, "--password-file", "empty"))
        assert code == 2
        assert "empty" in errors
        assert not Path(f"{JULIET}.key").exists()

    def test_pkcs12_holds_key_and_certificate_under_a_password(self, run):
        code, _, errors = run(*quick("keygen", JULIET, "--pkcs12"))
        assert code == 2
        assert "password" in errors
        assert run(*quick("keygen", JULIET, "--pkcs12", "--password-file", "password"))[0] == 0
        bundle = pkcs12.load_pkcs12(Path(f"{JULIET}.p12").read_bytes(), b"correct horse")
        assert bundle.cert.certificate == certificate(f"{JULIET}.crt")
        assert bundle.key.public_key() == bundle.cert.certificate.public_key()
        assert mode(f"{JULIET}.p12") == 0o600
        assert not Path(f"{JULIET}.key").exists()

    def test_names_of_files_are_ascii_and_letters_of_other_alphabets_are_spelled_out(self, run):
        jid = "jul\N{CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I}et@vérone.example"
        code, output, _ = run(*quick("keygen", jid))
        assert code == 0
        assert "\\u0456" in output
        assert certificate_jids(certificate("jul%D1%96et@v%C3%A9rone.example.crt")) == {jid}

    def test_no_jid_can_lead_out_of_the_directory_or_hide_its_files(self, run):
        assert run(*quick("keygen", "..\\..\\x@example.com", "--out", "out"))[0] == 0
        assert {path.name for path in Path("out").iterdir()} == {
            "%2E.%5C..%5Cx@example.com.key",
            "%2E.%5C..%5Cx@example.com.crt",
        }

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("@",),
            ("ᴬ@example.com",),
            (JULIET, "--days", "0"),
            (JULIET, "--days", "x"),
            (JULIET, "--days", "99999999999999999999"),
            (JULIET, "--algorithm", "rsa-1024"),
            (JULIET, "--password-file", "password", "--ask-password"),
        ],
    )
    def test_a_command_line_that_makes_no_sense_ends_with_2(self, run, arguments):
        code, output, errors = run("keygen", *arguments)
        assert (code, output) == (2, "")
        assert "error:" in errors


class TestAtomicWriting:
    def test_a_file_that_appears_meanwhile_is_not_replaced(self, monkeypatch):
        Path("new.key").write_text("precious")
        monkeypatch.setattr(files, "require_absent", lambda *_, **__: None)
        with pytest.raises(FileExistsError, match="--force"):
            files.write_file(Path("new.key"), b"x", private=True, force=False)
        assert Path("new.key").read_text() == "precious"
        assert not leftovers(".")

    def test_a_disk_that_is_full_leaves_the_old_file_and_nothing_else(self, monkeypatch):
        Path("old.key").write_text("precious")

        def full(_descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        for name in ("old.key", "new.key"):
            with pytest.raises(OSError, match="No space"):
                files.write_file(Path(name), b"x", private=True, force=True)
        assert Path("old.key").read_text() == "precious"
        assert not Path("new.key").exists()
        assert not leftovers(".")

    def test_a_file_system_without_links_works_too(self, monkeypatch):
        def refused(_self, _target):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "hardlink_to", refused)
        files.write_file(Path("a.key"), b"x", private=True, force=False)
        assert (Path("a.key").read_bytes(), mode("a.key")) == (b"x", 0o600)
        with pytest.raises(FileExistsError):
            files.write_file(Path("a.key"), b"y", private=True, force=False)
        assert Path("a.key").read_bytes() == b"x"
        assert not leftovers(".")

    def test_a_directory_that_can_not_be_made_is_a_clear_error(self, run):
        Path("file").write_text("")
        code, _, errors = run(*quick("keygen", JULIET, "--out", "file/below"))
        assert code == 1
        assert "file/below" in errors


class TestAuthority:
    @pytest.mark.parametrize("intermediate", [False, True])
    def test_one_request_file_for_two_keys_becomes_two_certificates(self, run, intermediate):
        run(*quick("ca", "Verona CA", *(["--intermediate"] if intermediate else [])))
        assert run("request", JULIET, "--algorithm", "ed25519")[0] == 0
        shown = run("show", f"{JULIET}.csr")[1]
        assert "signature:       valid" in shown
        assert "signature:       by the key of the first request" in shown
        code, output, errors = run("sign", f"{JULIET}.csr", "--ca", "ca")
        assert (code, errors) == (0, "")
        above = certificate("ca/intermediate.crt" if intermediate else "ca/ca.crt")
        for which, algorithm in (("", "Ed25519"), (".encryption", "X25519")):
            made = certificate(f"{JULIET}{which}.crt")
            made.verify_directly_issued_by(above)
            assert certificate_jids(made) == {JULIET}
            assert type(made.public_key()).__name__ == f"{algorithm}PublicKey"
            assert made.fingerprint(hashes.SHA256()).hex(":").upper() in output
            assert Path(f"{JULIET}{which}.chain.crt").exists() is intermediate

    def test_a_second_request_that_the_first_key_did_not_sign_gets_nothing(self, run):
        run(*quick("ca", "Verona CA"))
        run("request", JULIET, "--algorithm", "ed25519")
        mixed = Path(f"{JULIET}.csr").read_bytes().split(b"-----BEGIN ")
        run("request", JULIET, "--algorithm", "ed25519", "--force")
        other = Path(f"{JULIET}.csr").read_bytes().split(b"-----BEGIN ")
        run(*quick("request", "romeo@example.net"))
        ec_request = Path("romeo@example.net.csr").read_bytes().split(b"-----BEGIN ")
        for first, second, reason in (
            (mixed[1], other[2], "not signed by the key of the first"),
            (ec_request[1], other[2], "Only an Ed25519 key"),
            (mixed[2], mixed[1], "request"),
        ):
            Path("mixed.csr").write_bytes(b"-----BEGIN " + first + b"-----BEGIN " + second)
            code, _, errors = run("sign", "mixed.csr", "--ca", "ca")
            assert code == 1
            assert reason in errors
        assert "NOT VALID: nobody states" in run("show", "mixed.csr")[1]
        Path("three.csr").write_bytes(b"-----BEGIN " + b"-----BEGIN ".join([*mixed[1:], mixed[2]]))
        assert run("sign", "three.csr", "--ca", "ca")[0] == 2
        assert not list(Path().glob("*.crt"))

    @pytest.mark.parametrize("intermediate", [False, True])
    def test_a_request_becomes_a_certificate(self, run, intermediate):
        options = ["--intermediate"] if intermediate else []
        assert run(*quick("ca", "Verona CA", *options, "--password-file", "password"))[0] == 0
        assert mode("ca/ca.key") == 0o600
        assert run(*quick("request", JULIET))[0] == 0
        code, output, _ = run("sign", f"{JULIET}.csr", "--ca", "ca", "--password-file", "password")
        assert code == 0
        assert f"{JULIET}.crt: certificate for {JULIET}" in output
        made = certificate(f"{JULIET}.crt")
        key = load_pem_private_key(Path(f"{JULIET}.key").read_bytes(), None)
        assert made.public_key() == key.public_key()
        made.verify_directly_issued_by(certificate("ca/intermediate.crt" if intermediate else "ca/ca.crt"))
        assert Path(f"{JULIET}.chain.crt").exists() is intermediate
        if intermediate:
            chain = x509.load_pem_x509_certificates(Path(f"{JULIET}.chain.crt").read_bytes())
            assert chain == [made, certificate("ca/intermediate.crt")]

    def test_an_intermediate_is_named_after_its_root_whatever_the_length(self, run):
        assert run(*quick("ca", "é" * 32, "--intermediate"))[0] == 0
        assert certificate("ca/intermediate.crt").subject.rfc4514_string() == f"CN={'é' * 25} intermediate"
        code, _, errors = run(*quick("ca", "é" * 33, "--out", "other"))
        assert code == 1
        assert "64 octets" in errors
        assert not Path("other").exists()

    def test_bundle_puts_key_certificate_and_chain_together(self, run):
        run(*quick("ca", "Verona CA", "--intermediate"))
        run(*quick("request", JULIET, "--password-file", "password"))
        run("sign", f"{JULIET}.csr", "--ca", "ca")
        files_of_juliet = (f"{JULIET}.key", f"{JULIET}.chain.crt")
        assert run("bundle", *files_of_juliet)[0] == 2
        assert run("bundle", *files_of_juliet, "--password-file", "password")[0] == 0
        bundle = pkcs12.load_pkcs12(Path(f"{JULIET}.p12").read_bytes(), b"correct horse")
        assert bundle.cert.friendly_name == JULIET.encode()
        assert bundle.cert.certificate == certificate(f"{JULIET}.crt")
        (issuer,) = bundle.additional_certs
        assert issuer.certificate == certificate("ca/intermediate.crt")

    def test_bundle_refuses_the_key_of_somebody_else(self, run):
        run(*quick("keygen", JULIET))
        run(*quick("keygen", "romeo@example.net"))
        code, _, errors = run(
            "bundle", "romeo@example.net.key", f"{JULIET}.crt", "--password-file", "password"
        )
        assert code == 1
        assert "romeo@example.net.key is not the key" in errors
        assert not list(Path().glob("*.p12"))

    def test_a_key_needs_its_password_and_no_other(self, run):
        run(*quick("ca", "Verona CA", "--password-file", "password"))
        run(*quick("request", JULIET))
        code, _, errors = run("sign", f"{JULIET}.csr", "--ca", "ca")
        assert code == 1
        assert "needs its password" in errors
        Path("wrong").write_text("wrong")
        code, _, errors = run("sign", f"{JULIET}.csr", "--ca", "ca", "--password-file", "wrong")
        assert code == 1
        assert "ca/ca.key: the password is wrong" in errors
        assert not Path(f"{JULIET}.crt").exists()

    def test_sign_certifies_only_what_is_asked_for(self, run):
        run(*quick("ca", "Verona CA"))
        run(*quick("request", JULIET))
        code, _, errors = run("sign", f"{JULIET}.csr", "--ca", "ca", "--jid", "romeo@example.net")
        assert code == 1
        assert "does not ask for romeo@example.net" in errors
        assert run("sign", f"{JULIET}.csr", "--ca", "ca", "--jid", "JULIET@example.com")[0] == 0

    @pytest.mark.parametrize(
        ("content", "code", "problem"),
        [
            (b"nothing", 2, "there is no private key"),
            (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 1, "the key is damaged"),
            (encode_key(x25519.X25519PrivateKey.generate(), None), 2, "not an RSA, elliptic curve"),
        ],
        ids=["no key", "damaged key", "key agreement key"],
    )
    def test_a_file_that_holds_no_usable_key_signs_nothing(self, run, content, code, problem):
        run(*quick("ca", "Verona CA"))
        run(*quick("request", JULIET))
        Path("ca/ca.key").write_bytes(content)
        ended, _, errors = run("sign", f"{JULIET}.csr", "--ca", "ca")
        assert ended == code
        assert f"ca/ca.key: {problem}" in errors
        assert not Path(f"{JULIET}.crt").exists()

    def test_sign_refuses_what_is_no_request(self, run):
        run(*quick("ca", "Verona CA"))
        run(*quick("keygen", JULIET))
        code, _, errors = run("sign", f"{JULIET}.crt", "--ca", "ca", "--out", "out")
        assert code == 2
        assert f"{JULIET}.crt: not a certification request" in errors
        assert run("sign", "missing.csr", "--ca", "ca")[0] == 1

    def test_a_key_that_is_not_that_of_the_authority_signs_nothing(self, run):
        run(*quick("ca", "Verona CA"))
        run(*quick("request", JULIET))
        Path("ca/ca.key").write_bytes(Path(f"{JULIET}.key").read_bytes())
        code, _, errors = run("sign", f"{JULIET}.csr", "--ca", "ca")
        assert code == 1
        assert "ca/ca.key is not the key of ca/ca.crt" in errors

    def test_a_new_root_takes_the_old_intermediate_away(self, run):
        run(*quick("ca", "Verona CA", "--intermediate"))
        assert run(*quick("ca", "Verona CA"))[0] == 1
        assert run(*quick("ca", "Verona CA", "--force"))[0] == 0
        run(*quick("request", JULIET))
        assert run("sign", f"{JULIET}.csr", "--ca", "ca")[0] == 0
        certificate(f"{JULIET}.crt").verify_directly_issued_by(certificate("ca/ca.crt"))


class TestShow:
    def test_it_says_what_a_certificate_is_good_for(self, run):
        run("keygen", JULIET, "--algorithm", "rsa-2048")
        code, output, _ = run("show", f"{JULIET}.crt")
        assert code == 0
        for line in (
            f"JIDs:            {JULIET}",
            "key:             rsa-2048",
            "usages:          digitalSignature, keyEncipherment, emailProtection, clientAuth",
            "for signing:     yes",
            "for decrypting:  yes",
        ):
            assert line in output
        assert "valid now" in output
        assert certificate(f"{JULIET}.crt").fingerprint(hashes.SHA256()).hex(":").upper() in output

    def test_it_says_why_a_certificate_is_not_good_for_something(self, run):
        run(*quick("keygen", JULIET))
        only_signs = building.certificate(new_key(), [building.names(JULIET), key_usage("digital_signature")])
        Path("signs.crt").write_bytes(only_signs.public_bytes(Encoding.PEM))
        output = run("show", "signs.crt")[1]
        assert "for signing:     yes" in output
        assert "for decrypting:  no: its key usage lacks keyAgreement" in output
        run(*quick("ca", "Verona CA"))
        output = run("show", "ca/ca.crt")[1]
        assert "for signing:     no: its extended" not in output
        assert "it is a CA certificate; it names no JID" in output

    def test_letters_that_look_alike_are_spelled_out(self, run):
        assert "('jul\\u0456et@example.com')" in run("show", VECTORS / "juliet-homoglyph.crt")[1]

    def test_it_reads_every_form_that_the_program_writes(self, run):
        run(*quick("ca", "Verona CA", "--intermediate"))
        run(*quick("request", JULIET, "--password-file", "password"))
        run("sign", f"{JULIET}.csr", "--ca", "ca")
        run("bundle", f"{JULIET}.key", f"{JULIET}.chain.crt", "--password-file", "password")
        made = certificate(f"{JULIET}.crt")
        Path("der").write_bytes(made.public_bytes(Encoding.DER))
        request = x509.load_pem_x509_csr(Path(f"{JULIET}.csr").read_bytes())
        Path("csr.der").write_bytes(request.public_bytes(Encoding.DER))
        assert run("show", "der")[1].count("for signing") == 1
        assert run("show", f"{JULIET}.chain.crt")[1].count("for signing") == 2
        assert run("show", f"{JULIET}.p12", "--password-file", "password")[1].count("for signing") == 2
        for form in (f"{JULIET}.csr", "csr.der"):
            assert "signature:       valid" in run("show", form)[1]
        code, _, errors = run("show", f"{JULIET}.p12")
        assert code == 1
        assert "password" in errors

    def test_a_subject_can_not_steer_the_terminal(self, run):
        run(*quick("keygen", JULIET))
        name = b"juliet@example.com"
        der = certificate(f"{JULIET}.crt").public_bytes(Encoding.DER)
        at = der.index(b"\x0c\x12" + name, der.index(b"\x30\x1e\x17\x0d"))  # the subject's, not the issuer's
        Path("evil").write_bytes(der[: at + 2] + b"\x1b[2J\x1b[31mjuliet!!!" + der[at + 20 :])
        code, output, _ = run("show", "evil")
        assert code == 0
        assert "\x1b" not in output
        assert "\\x1b[2J" in output

    @pytest.mark.parametrize(
        "content",
        [b"", b"hello", b"\x30\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
    )
    def test_what_is_no_certificate_ends_with_2(self, run, content):
        Path("file").write_bytes(content)
        code, output, errors = run("show", "file")
        assert (code, output) == (2, "")
        assert errors.startswith("slixmpp-e2e: file: ")

    def test_a_certificate_with_damaged_extensions_is_a_clear_error(self, run):
        run(*quick("keygen", JULIET))
        der = certificate(f"{JULIET}.crt").public_bytes(Encoding.DER)
        Path("damaged").write_bytes(der.replace(b"\x86\x15im:juliet", b"\x87\x15im:juliet"))  # an IP address
        code, output, errors = run("show", "damaged")
        assert (code, output) == (2, "")
        assert "damaged: parts of it can't be parsed" in errors

    def test_a_damaged_bundle_is_a_clear_error(self, run):
        Path("file.p12").write_bytes(b"\x30\x03\x02\x01\x03")
        code, output, errors = run("show", "file.p12", "--password-file", "password")
        assert (code, output) == (1, "")
        assert "file.p12: the password is missing or wrong, or the PKCS #12 file is damaged" in errors

    def test_a_private_key_is_not_shown(self, run):
        run(*quick("keygen", JULIET))
        code, output, errors = run("show", f"{JULIET}.key")
        assert (code, output) == (2, "")
        assert "is a private key" in errors


@pytest.fixture(scope="module")
def rsa_pair(tmp_path_factory):
    out = tmp_path_factory.mktemp("rsa")
    assert main(["keygen", JULIET, "--algorithm", "rsa-2048", "--out", str(out)]) == 0
    key = load_pem_private_key((out / f"{JULIET}.key").read_bytes(), None)
    return key, x509.load_pem_x509_certificate((out / f"{JULIET}.crt").read_bytes())


@pytest.fixture(scope="module")
def signed(rsa_pair):
    key, made = rsa_pair
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"Content-Type: text/plain\r\n\r\n\x1b[2Jhello")
    builder = builder.add_signer(made, key, hashes.SHA256())
    return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])


@pytest.fixture(scope="module")
def enveloped(rsa_pair):
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(b"hello").add_recipient(rsa_pair[1])
    return builder.encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])


class TestInspect:
    def test_it_shows_who_signed_and_how(self, run, signed, rsa_pair):
        Path("signed").write_bytes(signed)
        code, output, _ = run("inspect", "signed")
        assert code == 0
        for line in (
            "content type: SignedData",
            "digest algorithms: sha256",
            "the first line is: Content-Type: text/plain",
            f"signer 1 of 1: serial number {rsa_pair[1].serial_number:x} of Common Name: {JULIET}",
            "  signature algorithm: rsassa_pkcs1v15",
            "  signed attribute content type: Data",
            "  signed attribute signing time: ",
            "  signed attribute message digest: ",
        ):
            assert line in output

    def test_it_shows_for_whom_something_is_encrypted_and_how(self, run, enveloped, rsa_pair):
        Path("enveloped").write_bytes(enveloped)
        code, output, _ = run("inspect", "enveloped")
        assert code == 0
        for line in (
            "content type: EnvelopedData",
            "recipient 1 of 1: KeyTransRecipientInfo",
            f"  for serial number {rsa_pair[1].serial_number:x} of Common Name: {JULIET}",
            "  key encryption: rsaes_pkcs1v15",
            "content encryption: aes128_cbc",
            "encrypted content: 16 octets",
        ):
            assert line in output

    def test_it_reads_der_ber_pem_and_base64(self, run, signed, monkeypatch):
        ber = b"\x30\x80" + cms.ContentInfo.load(signed).contents + b"\x00\x00"
        block = base64.encodebytes(signed)
        pem = b"-----BEGIN CMS-----\n" + block + b"-----END CMS-----\n"
        shown = set()
        for form in (signed, ber, block, b"\n\n" + pem):
            Path("form").write_bytes(form)
            code, output, _ = run("inspect", "form")
            assert code == 0
            shown.add(output.partition("\n")[2])
        assert len(shown) == 1
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pem)))
        assert run("inspect", "-")[1].partition("\n")[2] in shown

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b" ",
            b"hello, world",
            b"\x30",
            b"\x30\x80",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x80" * 100_000,
            b"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02",
            b"-----BEGIN CMS-----\n",
            b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        ],
    )
    def test_what_is_no_cms_object_ends_with_2_and_one_line(self, run, content):
        Path("file").write_bytes(content)
        code, output, errors = run("inspect", "file")
        assert (code, output) == (2, "")
        assert errors.startswith("slixmpp-e2e: file: not a CMS object: ")
        assert errors.count("\n") == 1

    def test_something_behind_the_object_is_an_error(self, run, signed):
        Path("file").write_bytes(signed + b"\x00")
        assert run("inspect", "file")[0] == 2

    def test_a_file_that_is_too_large_is_not_read(self, run):
        with Path("large").open("wb") as file:
            file.truncate(17 * 1024 * 1024)
        code, _, errors = run("inspect", "large")
        assert code == 2
        assert "larger than" in errors

    @given(data=st.data())
    def test_it_survives_any_change_of_octets(self, signed, enveloped, data):
        octets = bytearray(data.draw(st.sampled_from([signed, enveloped])))
        for _ in range(data.draw(st.integers(1, 5))):
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        try:
            text = describe_object(bytes(octets))
        except ValueError:
            return
        assert all(line.isprintable() for line in text.split("\n"))


class TestProgram:
    def test_help_and_version_end_with_0(self, run):
        code, output, _ = run("--help")
        assert code == 0
        for command in ("keygen", "request", "bundle", "ca", "sign", "show", "inspect"):
            assert f"    {command} " in output
            assert run(command, "--help")[0] == 0
        assert run("--version")[0] == 0

    def test_no_command_ends_with_2(self, run):
        assert run()[0] == 2
        assert run("unknown")[0] == 2

    def test_an_interruption_is_no_traceback(self, run, monkeypatch):
        def interrupted(_prompt):
            raise KeyboardInterrupt

        monkeypatch.setattr(getpass, "getpass", interrupted)
        code, _, errors = run("keygen", JULIET, "--ask-password")
        assert (code, errors) == (1, "slixmpp-e2e: interrupted\n")

    def test_a_file_that_is_missing_is_named(self, run):
        code, _, errors = run("sign", "missing.csr", "--ca", "ca")
        assert (code, errors) == (1, "slixmpp-e2e: missing.csr: No such file or directory\n")

    def test_the_module_runs_as_a_program(self, directory):
        root = Path(__file__).parent.parent.parent
        done = subprocess.run(
            [sys.executable, "-m", "slixmpp_e2e", "show", directory / "missing"],
            env={**os.environ, "PYTHONPATH": str(root), "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 1
        assert "missing" in done.stderr
        assert "Traceback" not in done.stderr


def openssl(*arguments):
    try:
        done = subprocess.run(
            ["openssl", *arguments], capture_output=True, text=True, check=False, timeout=30
        )
    except FileNotFoundError:
        pytest.fail("the program openssl is needed for this test")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.peer
class TestOpenSSL:
    def test_it_opens_the_encrypted_key_and_the_bundle(self, run):
        run(*quick("keygen", JULIET, "--password-file", "password"))
        run(*quick("keygen", "romeo@example.net", "--pkcs12", "--password-file", "password"))
        openssl("pkey", "-in", f"{JULIET}.key", "-noout", "-check", "-passin", "file:password")
        text = openssl(
            "pkcs12", "-in", "romeo@example.net.p12", "-noout", "-info", "-passin", "file:password"
        )
        assert "PBES2, PBKDF2, AES-256-CBC" in text

    @pytest.fixture
    def pair(self, rsa_pair):
        key, made = rsa_pair
        Path("key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        Path("crt").write_bytes(made.public_bytes(Encoding.PEM))
        Path("content").write_text("hello")

    @pytest.mark.usefixtures("pair")
    @pytest.mark.parametrize(
        ("arguments", "lines"),
        [
            (
                "-sign -signer crt -inkey key -keyopt rsa_padding_mode:pss -keyid",
                [
                    "content: detached",
                    "signer 1 of 1: subject key identifier ",
                    "  signature algorithm: rsassa_pss with sha256, MGF1 with sha256",
                    "  signed attribute smime capabilities: ",
                ],
            ),
            ("-sign -signer crt -inkey key -cades", ["  signed attribute signing certificate v2: "]),
            ("-sign -signer crt -inkey key -nodetach -stream", ["content: 5 octets", "hello"]),
            (
                "-encrypt -aes-256-gcm -recip crt -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256",
                [
                    "content type: AuthEnvelopedData",
                    "  key encryption: rsaes_oaep with sha256, MGF1 with sha256",
                    "content encryption: aes256_gcm",
                    "authentication tag: 16 octets",
                ],
            ),
            (
                f"-encrypt -aes-128-cbc -stream -secretkey {'00' * 16} -secretkeyid 01 -recip crt",
                ["recipient 1 of 2: KeyTransRecipientInfo", "recipient 2 of 2: KEKRecipientInfo"],
            ),
            (
                f"-EncryptedData_encrypt -aes-128-cbc -secretkey {'00' * 16}",
                ["EncryptedData"],
            ),
        ],
    )
    def test_inspect_shows_what_it_wrote(self, run, arguments, lines):
        openssl("cms", *arguments.split(), "-binary", "-in", "content", "-outform", "DER", "-out", "object")
        code, output, errors = run("inspect", "object")
        assert (code, errors) == (0, "")
        for line in lines:
            assert line in output

    def test_inspect_shows_a_recipient_with_an_elliptic_key(self, run):
        run(*quick("keygen", JULIET))
        Path("content").write_text("hello")
        openssl(*f"cms -encrypt -aes-128-cbc -in content -outform DER -out object {JULIET}.crt".split())
        output = run("inspect", "object")[1]
        assert "recipient 1 of 1: KeyAgreeRecipientInfo" in output
        assert "  key encryption: dhSinglePass-stdDH-sha1kdf-scheme" in output
        assert f"  for serial number {certificate(f'{JULIET}.crt').serial_number:x} of " in output

    def test_inspect_shows_a_recipient_that_is_named_by_its_key(self, run):
        run(*quick("keygen", JULIET))
        Path("content").write_text("hello")
        openssl(
            *[
                "cms",
                "-encrypt",
                "-keyid",
                "-aes-128-cbc",
                "-in",
                "content",
                "-outform",
                "DER",
                "-out",
                "object",
            ],
            *f"-recip {JULIET}.crt -keyopt ecdh_kdf_md:sha256".split(),
        )
        code, output, errors = run("inspect", "object")
        assert (code, errors) == (0, "")
        key = x509.SubjectKeyIdentifier.from_public_key(certificate(f"{JULIET}.crt").public_key())
        assert f"  for subject key identifier {key.digest.hex()}" in output
        assert "  key encryption: dhSinglePass-stdDH-sha256kdf-scheme" in output

    def test_inspect_shows_certificates_without_signers(self, run):
        run(*quick("keygen", JULIET))
        openssl(*f"crl2pkcs7 -nocrl -certfile {JULIET}.crt -out object".split())
        output = run("inspect", "object")[1]
        assert f"certificate: Common Name: {JULIET}" in output
        assert "signers: none (certificates only)" in output
