"""Our own keys: in files, in tokens, or objects; and the older ones, which only decrypt."""

import builtins
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate
from slixmpp.jid import JID

from slixmpp_e2e import ConfigurationError
from slixmpp_e2e.certificates.issue import certificate_request, create_root, issue_certificate
from slixmpp_e2e.certificates.keys import generate_key, is_slow
from slixmpp_e2e.errors import DECRYPTION_FAILED, RemoteError, UndecryptableError
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection
from slixmpp_e2e.plugin.own_keys import load_identity, load_older_keys
from slixmpp_e2e.plugin.renewal import Renewal
from slixmpp_e2e.policy import Level
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.stanza import Outer
from tests.elements import stanza
from tests.pki import make_certificate
from tests.server.protected import _NOW, PKI, introduce, make_pki
from tests.softhsm import MODULE, PIN, SoftHSM

ROMEO = JID("romeo@localhost/r")
JULIET = JID("juliet@localhost/j")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


class Elsewhere:
    """A private key that is not in memory, as somebody else could write it: no class of cryptography's."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def __getattr__(self, name: str) -> Any:
        if name in {"public_key", "sign", "decrypt", "exchange"}:
            return getattr(self._key, name)
        raise AttributeError(name)

    def public_key(self) -> Any:
        return self._key.public_key()


def config(options: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**DEFAULTS, **options, **more}


def complaint(options: dict[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        build_protection(config(options))
    return str(caught.value)


def key_of(files: PKI, name: str) -> Any:
    return load_pem_private_key((files.directory / f"{name}.key").read_bytes(), None)


def from_romeo(by: Protection, body: str = "Good morrow") -> str:
    element = stanza(f"<message type='chat' id='m1'><body>{body}</body></message>")
    return by.protect(element, sender=ROMEO, recipient=JULIET, level=Level.REQUIRED).text


def opened(by: Protection, text: str, **how: Any) -> Any:
    outer = Outer("message", "chat", "o1", ROMEO, JULIET)
    return by.unprotect(text, outer, **how)


class TestObjects:
    @pytest.mark.parametrize("algorithm", ["rsa-2048", "p-256"])
    def test_a_key_of_any_class_signs_and_decrypts(self, files, algorithm):
        name = f"juliet-{algorithm}"
        files.issue(name, "juliet@localhost", algorithm)
        elsewhere = Elsewhere(key_of(files, name))
        juliet = build_protection(config(files.options(name), private_key=elsewhere))
        romeo = build_protection(config(files.options("romeo", peer_certificates=introduce(files, name))))
        found = opened(juliet, from_romeo(romeo))
        assert found.report.authenticated
        assert found.report.decrypted_with == juliet.identity.certificate.fingerprint
        assert juliet.identity.signer.key is elsewhere
        assert juliet.identity.is_slow

    def test_whatever_it_raises_is_a_failure_like_any_other(self, files):
        broken = Elsewhere(key_of(files, "juliet"))
        broken.decrypt = lambda *_: 1 / 0
        juliet = build_protection(config(files.options("juliet"), private_key=broken))
        romeo = build_protection(config(files.options("romeo", peer_certificates=introduce(files, "juliet"))))
        with pytest.raises(RemoteError) as caught:
            opened(juliet, from_romeo(romeo))
        assert caught.value.answer == DECRYPTION_FAILED

    def test_one_may_decrypt_and_another_one_sign(self, files):
        files.issue("second", "juliet@localhost", "p-256")
        second = Elsewhere(key_of(files, "second"))
        options = files.options("juliet", encryption_certificate=files.directory / "second.crt")
        found = load_identity(config(options, encryption_private_key=second))
        assert found.encryption is not None
        assert found.encryption.key is second
        assert (found.is_slow, found.encryption.is_slow) == (False, True)

    def test_that_of_another_certificate_is_an_error(self, files):
        said = complaint(files.options("juliet", private_key=Elsewhere(key_of(files, "romeo"))))
        assert "juliet.crt and an object (Elsewhere): none of the certificates belongs" in said

    @pytest.mark.parametrize("option", ["private_key", "encryption_private_key", "password"])
    def test_what_is_no_key_is_not_quoted(self, files, option):
        secret = SimpleNamespace(secret="hunter2") if option == "password" else b"hunter2"
        said = complaint(files.options("juliet", **{option: secret}))
        assert said == f"{option} can't be of the type {type(secret).__name__}"

    def test_the_store_must_be_named(self, files):
        said = complaint(files.options("juliet", private_key=Elsewhere(key_of(files, "juliet")), store=None))
        assert said.endswith("set store")

    def test_they_are_not_watched_but_the_certificate_in_its_file_is(self, files, tmp_path):
        certificate = tmp_path / "juliet.crt"
        certificate.write_bytes((files.directory / "juliet.crt").read_bytes())
        options = config(
            files.options("juliet", private_key=Elsewhere(key_of(files, "juliet"))), certificate=certificate
        )
        loaded: list[Any] = []
        identity = load_identity(options)
        protection: Any = SimpleNamespace(identity_of=lambda _jid: identity)
        renewal = Renewal(None, protection, [options], lambda each: loaded.append(each) or identity, {})
        renewal.check()
        assert not loaded
        certificate.write_bytes(certificate.read_bytes() + b"\n")
        renewal.check()
        assert loaded == [options]


@pytest.mark.parametrize(
    ("key", "slow"),
    [
        (ec.generate_private_key(ec.SECP256R1()), False),
        (rsa.generate_private_key(65537, 2048), False),
        (rsa.generate_private_key(65537, 4096), True),
        (Elsewhere(ec.generate_private_key(ec.SECP256R1())), True),
        (SimpleNamespace(is_slow=False), False),
        (SimpleNamespace(is_slow=True), True),
    ],
    ids=["P-256", "RSA-2048", "RSA-4096", "somebody's", "quick by its own word", "slow by its own word"],
)
def test_what_is_slow(key, slow):
    assert is_slow(key) is slow


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"certificate": None}, "our own certificate is missing"),
        ({"private_key": None}, "our own certificate is missing"),
        ({"encryption_certificate": "x"}, "need each other"),
        ({"encryption_private_key": "x"}, "need each other"),
        ({"private_key": "pkcs11:token=a"}, "the URI needs module-path"),
        ({"pkcs11": "juliet.key", "private_key": None}, "not a PKCS #11 URI"),
    ],
)
def test_what_is_missing_or_no_uri_is_said(files, options, words):
    assert words in complaint(files.options("juliet", **options))


def test_a_second_key_of_another_certificate_is_named(files):
    second = {
        "encryption_certificate": files.directory / "juliet.crt",
        "encryption_private_key": files.directory / "romeo.key",
    }
    said = complaint(files.options("juliet", **second))
    assert said.startswith(" and ".join(map(str, second.values())))


class TestPassword:
    def test_a_function_is_asked_once_for_all_files(self, files, tmp_path):
        asked = []
        key = key_of(files, "juliet").private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")
        )
        (tmp_path / "locked.key").write_bytes(key)
        options = files.options("juliet", private_key=tmp_path / "locked.key")
        options |= {
            "encryption_certificate": options["certificate"],
            "encryption_private_key": options["private_key"],
        }
        found = load_identity(config(options, password=lambda: asked.append(1) or "open sesame"))
        assert found.encryption is not None
        assert asked == [1]

    @pytest.mark.parametrize("ask", [lambda: {}["open sesame"], lambda: 5])
    def test_one_that_fails_is_said(self, files, ask):
        said = complaint(files.options("juliet", password=ask))
        assert said.startswith("password: ")
        assert "sesame" not in said


@pytest.fixture(scope="module")
def captured(files) -> str:
    """A message to juliet's first certificate; then she gets another one."""
    romeo = build_protection(config(files.options("romeo", peer_certificates=introduce(files, "juliet"))))
    text = from_romeo(romeo)
    files.issue("juliet-2", "juliet@localhost")
    key = key_of(files, "juliet")
    certificate = load_pem_x509_certificate((files.directory / "juliet.crt").read_bytes())
    for name, how in (("plain", NoEncryption()), ("locked", BestAvailableEncryption(b"old"))):
        data = pkcs12.serialize_key_and_certificates(b"old", key, certificate, None, how)
        (files.directory / f"{name}.p12").write_bytes(data)
    return text


class TestOlderKeys:
    """A key rolls over, the program starts again, and somebody reads the archive."""

    def older(self, files: PKI, how: str) -> tuple[list[Any], str | None]:
        certificate, key = files.directory / "juliet.crt", files.directory / "juliet.key"
        return {
            "pair": ([(certificate, key)], None),
            "list": ([[str(certificate), str(key)]], None),
            "object": ([(certificate, Elsewhere(key_of(files, "juliet")))], None),
            "PKCS #12": ([files.directory / "plain.p12"], None),
            "PKCS #12 with a password": ([files.directory / "locked.p12"], "old"),
            "a file without password beside one with": (
                [(certificate, key), files.directory / "locked.p12"],
                "old",
            ),
        }[how]

    @pytest.mark.parametrize(
        "how",
        [
            "pair",
            "list",
            "object",
            "PKCS #12",
            "PKCS #12 with a password",
            "a file without password beside one with",
        ],
    )
    def test_what_was_encrypted_to_one_stays_readable(self, files, captured, how):
        older, password = self.older(files, how)
        options = files.options("juliet-2", older_keys=older)
        if password:
            path = files.directory / "locked.key"
            path.write_bytes(
                key_of(files, "juliet-2").private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
                )
            )
            options |= {"private_key": path, "password": password}
        juliet = build_protection(config(options))
        found = opened(juliet, captured, archived=True)
        assert found.stanza.findtext("{jabber:client}body") == "Good morrow"
        assert found.report.signer_trusted
        (old,) = {each.certificate.fingerprint for each in load_older_keys(config(options))}
        assert found.report.decrypted_with == old != juliet.identity.certificate.fingerprint

    def test_without_them_it_is_not(self, files, captured):
        juliet = build_protection(config(files.options("juliet-2")))
        with pytest.raises(UndecryptableError) as caught:
            opened(juliet, captured, archived=True)
        assert caught.value.reason == "not-for-us"

    def test_their_certificates_may_have_expired(self, files, tmp_path):
        key = generate_key("p-256")
        before = _NOW - timedelta(days=5000)
        request = certificate_request(key, ["juliet@localhost"])
        certificate = issue_certificate(
            request, authority=create_root(generate_key("p-256"), "Old CA", now=before), now=before, days=30
        )
        (tmp_path / "old.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        (tmp_path / "old.key").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        pair = (tmp_path / "old.crt", tmp_path / "old.key")
        (found,) = load_older_keys(config({}, older_keys=[pair]))
        assert found.certificate.certificate.not_valid_after_utc < _NOW

    @pytest.mark.parametrize(
        ("older", "words"),
        [
            ("juliet.p12", "older_keys can't be of the type str"),
            (("juliet.crt", "juliet.key"), "older_keys can't be of the type tuple"),
            ([5], "older_keys is a list of PKCS #12 files and pairs"),
            ([("juliet.crt",)], "older_keys is a list of PKCS #12 files and pairs"),
            ([("juliet.crt", None)], "older_keys is a list of PKCS #12 files and pairs"),
            ([("juliet.crt", 5)], "a private key is a file, a PKCS #11 URI, or an object"),
            (["nowhere.p12"], "older_keys: No such file or directory: nowhere.p12"),
        ],
    )
    def test_what_can_not_be_one_is_said(self, files, older, words):
        assert words in complaint(files.options("juliet", older_keys=older))

    def test_a_pair_that_does_not_belong_together_is_named(self, files):
        pair = (files.directory / "juliet.crt", files.directory / "romeo.key")
        said = complaint(files.options("juliet", older_keys=[pair]))
        assert said.startswith(f"older_keys: {pair[0]} and {pair[1]}: ")


@pytest.mark.pkcs11
class TestTokens:
    def test_certificate_and_chain_come_from_the_token(self, softhsm: SoftHSM, files):
        found = load_identity(config({}, pkcs11=softhsm.uri("work", "rsa"), password=PIN))
        assert found.certificate.certificate == softhsm.work["rsa"].certificate
        assert [each.certificate.subject.rfc4514_string() for each in found.chain] == ["CN=Verona User CA"]
        assert found.is_slow

    def test_or_from_a_file(self, softhsm: SoftHSM, tmp_path):
        (tmp_path / "romeo.crt").write_bytes(softhsm.work["without"].pem)
        options = config({}, pkcs11=softhsm.uri("work", "without"), password=lambda: PIN)
        assert complaint({**options, "trust": "tofu"}) == (
            "pkcs11:token=work;object=without: the token has no certificate of the key: set certificate"
        )
        found = load_identity({**options, "certificate": tmp_path / "romeo.crt"})
        assert found.certificate.certificate == softhsm.work["without"].certificate

    def test_a_second_key_in_a_token_decrypts(self, softhsm: SoftHSM):
        options = config(
            {},
            pkcs11=softhsm.uri("work", "ed25519"),
            encryption_private_key=softhsm.uri("work", "p-384"),
            password=PIN,
        )
        found = load_identity(options)
        assert found.recipient is not None
        assert found.recipient.certificate == softhsm.work["p-384"].certificate

    def test_and_an_older_one(self, softhsm: SoftHSM):
        pair = (None, softhsm.uri("work", "rsa", pin_value=PIN))
        (found,) = load_older_keys(config({}, older_keys=[pair]))
        assert found.certificate.certificate == softhsm.work["rsa"].certificate

    def test_a_file_beside_it_needs_no_password(self, softhsm: SoftHSM, tmp_path):
        second = softhsm.work["p-256"]
        (tmp_path / "second.crt").write_bytes(second.pem)
        (tmp_path / "second.key").write_bytes(second.key_pem)
        options = {
            "encryption_certificate": tmp_path / "second.crt",
            "encryption_private_key": tmp_path / "second.key",
        }
        found = load_identity(config(options, pkcs11=softhsm.uri("work", "ed25519"), password=PIN))
        assert found.recipient is not None

    def test_a_renewed_certificate_of_the_same_key_is_taken_over(self, softhsm: SoftHSM, pki, tmp_path):
        entity = softhsm.work["without"]
        path = tmp_path / "romeo.crt"
        path.write_bytes(entity.pem)
        files = {"certificate": path, "store": "memory", "trust": "tofu"}
        options = config(files, pkcs11=softhsm.uri("work", "without"), password=PIN)
        protection = build_protection(options)
        failed: list[Any] = []
        xmpp = SimpleNamespace(event=lambda *_: failed.append(1))
        renewal = Renewal(xmpp, protection, [options], load_identity, Counter())
        renewed = make_certificate(entity.key, "renewed", issuer=pki.intermediate, jid="romeo@example.net")
        path.write_bytes(renewed.public_bytes(Encoding.PEM))
        renewal.check()
        assert protection.identity.certificate.certificate == renewed
        assert protection.identity.key.public_key() == entity.key.public_key()
        assert not failed

    def test_two_sources_exclude_each_other(self, softhsm: SoftHSM, files):
        said = complaint(files.options("juliet", pkcs11=softhsm.uri("work", "rsa")))
        assert said == "private_key and pkcs11 exclude each other"

    def test_without_python_pkcs11_it_says_what_to_install(self, monkeypatch):
        for name in [
            each for each in sys.modules if each.partition(".")[0] == "pkcs11" or "stores.pkcs11" in each
        ]:
            if name != "slixmpp_e2e.stores.pkcs11_uri":
                monkeypatch.delitem(sys.modules, name)
        load = builtins.__import__

        def without(name: str, *arguments: Any, **more: Any) -> Any:
            if name.partition(".")[0] == "pkcs11":
                raise ModuleNotFoundError(f"No module named {name!r}", name="pkcs11")
            return load(name, *arguments, **more)

        monkeypatch.setattr(builtins, "__import__", without)
        said = complaint({"pkcs11": f"pkcs11:token=a?module-path={MODULE}", "trust": "tofu"})
        assert "pip install 'slixmpp_e2e[pkcs11]'" in said

    def test_the_pin_in_a_uri_is_in_no_complaint(self, softhsm: SoftHSM):
        said = complaint({"pkcs11": softhsm.uri("work", "twin", pin_value=PIN), "trust": "tofu"})
        assert "several private keys" in said
        assert PIN not in said
        assert Path(MODULE).name not in said
