"""Keys in a token: they sign and decrypt what others verify and encrypt, and never leave it."""

import gc
import logging
import re
import subprocess
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pkcs11
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from pkcs11.types import PROTECTED_AUTH

import slixmpp_e2e
from slixmpp_e2e.certificates.identity import identity
from slixmpp_e2e.cms.capabilities import EVERYTHING, WITHOUT_OAEP, read_capabilities
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.enveloped_data import encrypt, parse_enveloped_data
from slixmpp_e2e.cms.key_agreement import KeyAgreementRecipient
from slixmpp_e2e.cms.recipients import (
    RSA_OAEP_SHA256,
    TRANSPORTS,
    DecryptionKeys,
    KeyTransportRecipient,
)
from slixmpp_e2e.cms.signatures import SCHEMES
from slixmpp_e2e.cms.signed_data import Signer, parse_signed_data, sign
from slixmpp_e2e.errors import DECRYPTION_FAILED, CertificateError, ConfigurationError
from slixmpp_e2e.policy import Level
from slixmpp_e2e.stores.pkcs11 import Token, open_token
from slixmpp_e2e.stores.pkcs11_keys import ECKey, Ed25519Key, PKCS11Key, RSAKey, open_key
from slixmpp_e2e.stores.pkcs11_uri import PKCS11URI, parse_uri
from tests.accounts import Clock, account
from tests.elements import stanza
from tests.formats.objects import JULIET, ROMEO, outer
from tests.pki import MOMENT, Entity
from tests.protection.ways import protect, refusal, unprotect
from tests.softhsm import IDS, MODULE, PIN, SoftHSM

pytestmark = pytest.mark.pkcs11

CONTENT = b"Content-Type: text/plain\r\n\r\nWherefore art thou\r\n"
#: Which keys make which signatures.
SIGNING = {
    "rsa": ["rsa-sha256", "rsa-sha384", "rsa-sha512", "rsa-pss-sha256", "rsa-pss-sha384", "rsa-pss-sha512"],
    "p-256": ["ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512"],
    "p-384": ["ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512"],
}
PAIRS = [(key, scheme) for key, schemes in SIGNING.items() for scheme in schemes]


def key_of(softhsm: SoftHSM, name: str, pin: object = PIN) -> PKCS11Key:
    uri = parse_uri(softhsm.uri("work", name))
    return open_key(open_token(uri, pin), uri)[0]


def openssl(*arguments: str) -> bytes:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


def decrypt(der: bytes, key: PKCS11Key, entity: Entity) -> bytes | None:
    return parse_enveloped_data(der).decrypt(DecryptionKeys([(key, entity.parsed)])).without_padding()


@pytest.fixture
def at(softhsm: SoftHSM) -> Callable[[str], tuple[PKCS11Key, Entity]]:
    return lambda name: (key_of(softhsm, name), softhsm.work[name])


class TestSigning:
    @pytest.mark.parametrize(("name", "scheme"), PAIRS)
    def test_we_and_openssl_verify_what_it_signs(self, at, pki, tmp_path, name, scheme):
        key, entity = at(name)
        signer = Signer(key, entity.parsed, [pki.intermediate.parsed], scheme=SCHEMES[scheme])
        der = sign(CONTENT, signer, signing_time=MOMENT)
        content, verified = parse_signed_data(der).verify(CertificatePool([entity.parsed]))
        assert (content, verified.scheme.name) == (CONTENT, scheme)
        (tmp_path / "signed.der").write_bytes(der)
        (tmp_path / "root.pem").write_bytes(pki.root.pem)
        options = ("-in", str(tmp_path / "signed.der"), "-CAfile", str(tmp_path / "root.pem"))
        found = openssl("cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any", *options)
        assert found == CONTENT

    def test_ed25519_signs_as_the_same_key_in_memory(self, at):
        """OpenSSL 3.0 has Ed25519, but not in CMS (RFC 8419); and there is one signature only."""
        key, entity = at("ed25519")
        found = [
            sign(CONTENT, Signer(each, entity.parsed), signing_time=MOMENT) for each in (key, entity.key)
        ]
        assert found[0] == found[1]

    @pytest.mark.parametrize(
        ("name", "kind", "scheme"),
        [
            ("rsa", RSAKey, "rsa-sha256"),
            ("p-256", ECKey, "ecdsa-sha256"),
            ("p-384", ECKey, "ecdsa-sha384"),
            ("ed25519", Ed25519Key, "ed25519"),
        ],
    )
    def test_the_key_decides_how_it_signs(self, at, name, kind, scheme):
        key, entity = at(name)
        own = identity(key, entity.certificate)
        assert type(key) is kind
        assert (own.signer.scheme.name, own.is_slow) == (scheme, True)
        assert key.public_key() == entity.key.public_key()

    def test_what_the_attributes_of_a_key_forbid_is_said(self, softhsm, at):
        key, _ = at("ed25519")
        wrong = RSAKey(key._token, key._uri, softhsm.work["rsa"].key.public_key())
        with pytest.raises(CertificateError, match=r"object=ed25519.* can't sign: .*RSA_PKCS"):
            wrong.sign(b"", padding.PKCS1v15(), hashes.SHA256())


class TestDecrypting:
    @pytest.mark.parametrize(
        "options", [(), ("rsa_padding_mode:oaep", "rsa_oaep_md:sha1")], ids=["v1.5", "oaep"]
    )
    def test_it_reads_what_openssl_encrypted_to_rsa(self, at, tmp_path, options):
        key, entity = at("rsa")
        assert decrypt(self.encrypted(tmp_path, entity, *options), key, entity) == CONTENT

    @pytest.mark.parametrize("name", ["p-256", "p-384"])
    def test_it_reads_what_openssl_encrypted_to_an_elliptic_curve(self, at, tmp_path, name):
        key, entity = at(name)
        assert decrypt(self.encrypted(tmp_path, entity), key, entity) == CONTENT

    def encrypted(self, directory: Path, entity: Entity, *options: str) -> bytes:
        (directory / "content").write_bytes(CONTENT)
        (directory / "recipient.pem").write_bytes(entity.pem)
        pairs = [word for option in options for word in ("-keyopt", option)]
        arguments = ("-binary", "-outform", "DER", "-aes128", "-in", str(directory / "content"))
        return openssl("cms", "-encrypt", *arguments, "-recip", str(directory / "recipient.pem"), *pairs)

    def test_both_ends_agree_on_the_secret(self, at):
        key, _ = at("p-256")
        other = ec.generate_private_key(ec.SECP256R1())
        assert key.exchange(ec.ECDH(), other.public_key()) == other.exchange(ec.ECDH(), key.public_key())

    @pytest.mark.parametrize("name", ["rsa-oaep-sha256", "rsa-oaep-sha384", "rsa-oaep-sha512"])
    def test_a_padding_that_the_token_lacks_looks_like_any_failure_and_is_logged(self, at, caplog, name):
        """SoftHSM knows OAEP with SHA-1 only."""
        key, entity = at("rsa")
        recipient = KeyTransportRecipient(entity.parsed, transport=TRANSPORTS[name])
        der = encrypt(CONTENT, [recipient])
        with caplog.at_level(logging.WARNING):
            assert decrypt(der, key, entity) != CONTENT
        (record,) = caplog.records
        assert re.search(r"token=work.*object=rsa can't decrypt: \w+ \(RSA_PKCS_OAEP\)", record.getMessage())

    @pytest.mark.parametrize(
        "octets", [b"", b"\0", b"\1" * 256, b"\xff" * 256, bytes(256), b"\1" * 257], ids=len
    )
    @pytest.mark.parametrize("name", ["rsa-pkcs1", "rsa-oaep-sha1"])
    def test_wrong_padding_leads_to_the_random_key_and_no_log_line(self, at, caplog, octets, name):
        key, entity = at("rsa")
        recipient = KeyTransportRecipient(entity.parsed, transport=TRANSPORTS[name])
        (info,) = parse_enveloped_data(encrypt(CONTENT, [recipient])).recipient_infos
        forged = type(info)(info.identifier, info.transport, octets)
        with caplog.at_level(logging.WARNING):
            assert forged.unwrap(key, b"fallback".ljust(16)) == b"fallback".ljust(16)
        assert not caplog.records

    def test_a_changed_ephemeral_key_leads_to_the_random_key(self, at):
        key, entity = at("p-256")
        der = encrypt(CONTENT, [KeyAgreementRecipient(entity.parsed)])
        (info,) = parse_enveloped_data(der).recipient_infos
        forged = type(info)(info.identifier, info.encrypted_key[:-1] + b"\0", info.agreement)
        assert forged.unwrap(key, bytes(16)) == bytes(16)

    @pytest.mark.parametrize("name", ["rsa", "p-256"])
    def test_the_network_learns_nothing_of_why_it_failed(self, at, pki, juliet, name):
        key, entity = at(name)
        receiver = account(pki, Entity("romeo", key, entity.certificate), Clock())
        text = protect(account(pki, juliet, Clock(), peers=[entity]))
        head, _, body = text.partition("\n\n")
        der = b64decode(body)
        (info,) = parse_enveloped_data(der).recipient_infos
        for wrong in (bytes(len(info.encrypted_key)), info.encrypted_key[:-1] + b"\0"):
            forged = b64encode(der.replace(info.encrypted_key, wrong)).decode()
            assert refusal(receiver, f"{head}\n\n{forged}").answer == DECRYPTION_FAILED
        assert unprotect(receiver, text).report.authenticated


class TestWhatIsAnnounced:
    def test_oaep_with_sha256_only_if_the_token_can(self, at):
        key, entity = at("rsa")
        own = identity(key, entity.certificate)
        assert not key.can_decrypt_with(RSA_OAEP_SHA256.padding)
        assert key.can_decrypt_with(TRANSPORTS["rsa-oaep-sha1"].padding)
        assert own.capabilities == WITHOUT_OAEP
        info = parse_signed_data(sign(CONTENT, own.signer, signing_time=MOMENT)).signer_infos[0]
        assert read_capabilities(info.attributes) == WITHOUT_OAEP

    def test_copies_for_ourselves_are_written_so_that_it_can_read_them(self, at, pki, juliet):
        key, entity = at("rsa")
        by = account(
            pki, Entity("romeo", key, entity.certificate), Clock(), peers=[juliet], encrypt_to_self=True
        )
        element = stanza("<message type='chat' id='m2'><body>Neither, fair maid</body></message>")
        text = by.protect(element, sender=ROMEO, recipient=JULIET, level=Level.REQUIRED).text
        copy = unprotect(by, text, outer(sender=ROMEO, recipient=JULIET))
        assert copy.report.key_management_algorithm == "rsa-pkcs1"

    def test_everything_by_keys_that_oaep_does_not_concern(self, at):
        key, entity = at("p-256")
        assert identity(key, entity.certificate).capabilities == EVERYTHING


class TestFinding:
    def test_by_id(self, softhsm):
        uri = parse_uri(f"pkcs11:token=work;id=%{IDS['p-384']}?module-path={MODULE}")
        assert open_key(open_token(uri, PIN), uri)[0].public_key() == softhsm.work["p-384"].key.public_key()

    def test_its_public_key_may_be_known_by_its_certificate_alone(self, at):
        key, entity = at("carded")
        assert key.public_key() == entity.key.public_key()

    def test_a_key_of_which_the_token_tells_nothing_is_an_error(self, at):
        with pytest.raises(ConfigurationError, match=r"object=mute: the token tells no public key"):
            at("mute")

    def test_certificates_come_along(self, softhsm, pki):
        uri = parse_uri(softhsm.uri("work", "rsa"))
        found = open_key(open_token(uri, PIN), uri)[1]
        assert softhsm.work["rsa"].certificate in found
        assert pki.intermediate.certificate in found

    @pytest.mark.parametrize(
        ("name", "words"), [("nobody", "there is no"), ("twin", "several"), (None, "several")]
    )
    def test_none_or_several_keys_are_an_error_that_lists_what_is_there(self, softhsm, name, words):
        uri = parse_uri(softhsm.uri("work", name))
        with pytest.raises(ConfigurationError) as caught:
            open_key(open_token(uri, PIN), uri)
        said = str(caught.value)
        assert words in said
        for label, key_id in IDS.items():
            assert f"'{label}' (id {key_id})" in said

    @pytest.mark.parametrize(
        ("token", "words"), [("nowhere", "there is no"), ("same", "several"), (None, "several")]
    )
    def test_none_or_several_tokens_are_an_error_that_lists_what_is_there(self, softhsm, token, words):
        with pytest.raises(ConfigurationError) as caught:
            open_token(parse_uri(softhsm.uri(token)), PIN)
        said = str(caught.value)
        assert words in said
        assert said.count("(serial ") == 5

    def test_a_library_that_is_none_is_named(self, softhsm, tmp_path):
        path = tmp_path / "none.so"
        path.write_bytes(b"")
        with pytest.raises(ConfigurationError, match=re.escape(str(path))):
            open_token(PKCS11URI(str(path)), PIN)


class TestPIN:
    @pytest.fixture
    def token(self, softhsm) -> Token:
        return Token(parse_uri(softhsm.uri("refusing")))

    def test_a_wrong_one_is_tried_once_and_never_shown(self, token, caplog):
        asked = []
        token.offer(lambda: asked.append(1) or "very-wrong")
        with caplog.at_level(logging.DEBUG):
            with pytest.raises(ConfigurationError, match="refuses the PIN") as first:
                token.find(None, None)
            with pytest.raises(ConfigurationError, match="not tried again") as second:
                token.find(None, None)
        assert asked == [1]
        assert "very-wrong" not in caplog.text + str(first.value) + str(second.value) + repr(token)
        assert first.value.__cause__ is None
        token.offer(PIN)
        with pytest.raises(ConfigurationError, match="none that can be seen"):  # an empty token, open
            token.find("x", None)

    def test_none_at_all_says_how_to_give_one(self, token):
        with pytest.raises(ConfigurationError, match="set password, or pin-source"):
            token.find(None, None)

    @pytest.mark.parametrize(
        "ask", [lambda: 1 / 0, lambda: 5, lambda: b"\xff"], ids=["raises", "number", "octets"]
    )
    def test_what_asks_for_it_may_fail(self, token, ask):
        token.offer(ask)
        with pytest.raises(ConfigurationError, match=r"nobody gave a PIN|neither str nor bytes|not UTF-8"):
            token.find(None, None)

    def test_a_file_holds_it(self, softhsm, tmp_path):
        (tmp_path / "pin").write_text(f"{PIN}\n", encoding="utf-8")
        token = open_token(parse_uri(softhsm.uri("refusing", pin_source=f"file:{tmp_path}/pin")), "wrong")
        with pytest.raises(ConfigurationError, match="there is no private key"):
            token.find("x", None)

    def test_a_file_that_is_not_there_is_named(self, softhsm, tmp_path):
        token = Token(parse_uri(softhsm.uri("refusing")))
        found = open_token(parse_uri(softhsm.uri("refusing", pin_source=f"file:{tmp_path}/pin")))
        token.offer(found._pin)
        with pytest.raises(ConfigurationError, match=re.escape(f"{tmp_path}/pin")):
            token.find(None, None)

    @pytest.mark.parametrize(
        ("flag", "words"),
        [
            (pkcs11.TokenFlag.USER_PIN_LOCKED, "is locked"),
            (pkcs11.TokenFlag.USER_PIN_FINAL_TRY, "would lock it"),
        ],
    )
    def test_neither_a_locked_token_nor_one_about_to_lock_itself_is_tried(self, token, flag, words):
        """SoftHSM never locks itself: only what the token says of itself is made up."""
        token.offer(PIN)
        with pytest.raises(ConfigurationError, match=words):
            token._ask(SimpleNamespace(flags=pkcs11.TokenFlag.LOGIN_REQUIRED | flag))

    @pytest.mark.parametrize(
        ("flags", "pin"),
        [
            (pkcs11.TokenFlag.TOKEN_INITIALIZED, None),
            (
                pkcs11.TokenFlag.LOGIN_REQUIRED | pkcs11.TokenFlag.PROTECTED_AUTHENTICATION_PATH,
                PROTECTED_AUTH,
            ),
        ],
        ids=["no PIN", "a keypad of its own"],
    )
    def test_nobody_is_asked_where_the_token_needs_none_or_asks_itself(self, token, flags, pin):
        token.offer(lambda: pytest.fail("asked"))
        assert token._ask(SimpleNamespace(flags=flags)) is pin

    def test_another_part_of_the_program_may_be_logged_in(self, softhsm, logged_out):
        with logged_out.open(user_pin=PIN):
            token = Token(parse_uri(softhsm.uri("refusing")))
            token.offer(PIN)
            with pytest.raises(ConfigurationError, match="there is no private key"):
                token.find("x", None)

    def test_a_token_that_nobody_uses_any_more_is_logged_out(self, softhsm, logged_out):
        token = Token(parse_uri(softhsm.uri("refusing")))
        token.offer(PIN)
        token._logged_in()
        with pytest.raises(pkcs11.UserAlreadyLoggedIn):
            logged_out.open(user_pin=PIN)
        del token
        gc.collect()
        logged_out.open(user_pin=PIN).close()

    @pytest.fixture
    def logged_out(self, softhsm):
        """The token as python-pkcs11 has it; whatever other tests had open is closed."""
        gc.collect()
        (found,) = [each for each in pkcs11.lib(str(MODULE)).get_tokens() if each.label == "refusing"]
        return found


class TestTheTokenComesAndGoes:
    def test_a_new_session_is_opened_when_the_old_one_is_lost(self, at, caplog):
        key, entity = at("p-256")
        pkcs11.lib(str(MODULE)).reinitialize()  # every handle is void, as after pulling a card out
        with caplog.at_level(logging.INFO):
            signature = key.sign(CONTENT, ec.ECDSA(hashes.SHA256()))
        entity.key.public_key().verify(signature, CONTENT, ec.ECDSA(hashes.SHA256()))
        assert "a new one is opened" in caplog.text

    def test_a_token_that_is_gone_is_an_error_for_us_and_a_failure_like_any_other_for_the_rest(
        self, softhsm, caplog
    ):
        gone = Token(PKCS11URI(str(MODULE), token="gone"))
        key = RSAKey(gone, PKCS11URI("", token="gone"), softhsm.work["rsa"].key.public_key())
        with pytest.raises(ConfigurationError, match="there is no token that is pkcs11:token=gone"):
            key.sign(CONTENT, padding.PKCS1v15(), hashes.SHA256())
        with (
            caplog.at_level(logging.WARNING),
            pytest.raises(ValueError, match=r"^the token did not decrypt it$"),
        ):
            key.decrypt(bytes(256), padding.PKCS1v15())
        assert "there is no token" in caplog.text

    def test_several_threads_share_it(self, at):
        key, entity = at("rsa")
        found: list[bytes] = []

        def work() -> None:
            found.extend(key.sign(CONTENT, padding.PKCS1v15(), hashes.SHA256()) for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(found) == 80
        assert set(found) == {entity.key.sign(CONTENT, padding.PKCS1v15(), hashes.SHA256())}

    def test_one_token_is_one_object(self, softhsm):
        first = open_token(parse_uri(softhsm.uri("work")), PIN)
        assert open_token(parse_uri(softhsm.uri("work", "rsa")), PIN) is first


class TestNothingLeaves:
    @pytest.mark.parametrize("name", [*SIGNING, "ed25519"])
    def test_the_key_stays_in_the_token(self, at, name):
        key, _ = at(name)
        attributes = (pkcs11.Attribute.EXTRACTABLE, pkcs11.Attribute.SENSITIVE)
        found = key._token.use(name, None, lambda each, _: [each[attribute] for attribute in attributes])
        assert found == [False, True]
        assert not any(
            hasattr(key, method) for method in ("private_bytes", "private_bytes_raw", "private_numbers")
        )

    def test_nobody_here_asks_for_it_but_the_program_that_makes_keys(self):
        package = Path(slixmpp_e2e.__file__).parent
        asking = {
            str(path.relative_to(package))
            for path in package.rglob("*.py")
            if re.search(r"\.private_(bytes|numbers)", path.read_text(encoding="utf-8"))
        }
        assert asking == {"cli/encoding.py"}
