"""`slixmpp-e2e doctor`: what is wrong with the files, said before the plugin stumbles over it."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from slixmpp_e2e.certificates.issue import self_signed_certificate
from slixmpp_e2e.certificates.revocation_list import RevocationList
from slixmpp_e2e.certificates.verified_lists import kept_as
from slixmpp_e2e.cli.doctor.certificate import span
from slixmpp_e2e.cli.encoding import encode_certificates
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.certificates.building import revocation_list
from tests.pki import MOMENT, VALID_FROM, VALID_UNTIL

JULIET = "juliet@example.com"
ROMEO = "romeo@example.net"
OWN = ("--certificate", "juliet.crt", "--key", "juliet.key")
ANCHORS = ("--trust-anchors", "root.crt")

#: A store as the first version of the schema had it.
FIRST_VERSION = """
CREATE TABLE certificate (
    jid TEXT NOT NULL, leaf BLOB NOT NULL, chain BLOB NOT NULL, PRIMARY KEY (jid, leaf)
);
CREATE TABLE pin (jid TEXT NOT NULL, fingerprint BLOB NOT NULL, PRIMARY KEY (jid, fingerprint)) WITHOUT ROWID;
CREATE TABLE signer (
    jid TEXT PRIMARY KEY, floor INTEGER NOT NULL, newest INTEGER NOT NULL, entries INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE seen (
    jid TEXT NOT NULL, digest BLOB NOT NULL, timestamp INTEGER NOT NULL, received INTEGER NOT NULL,
    PRIMARY KEY (jid, digest)
) WITHOUT ROWID;
CREATE INDEX seen_by_timestamp ON seen (jid, timestamp);
CREATE TABLE everybody (floor INTEGER NOT NULL);
INSERT INTO everybody VALUES (0);
INSERT INTO pin VALUES ('romeo@example.net', x'00');
PRAGMA application_id = 0x65326578;
PRAGMA user_version = 1;
"""


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch, pki):
    """Each test has a directory of its own with keys and certificates, and is in it."""
    monkeypatch.chdir(tmp_path)
    Path("root.crt").write_bytes(pki.root.pem)
    Path("intermediate.crt").write_bytes(pki.intermediate.pem)
    for name in ("juliet", "romeo", "p-256", "rsa-3072"):
        Path(f"{name}.crt").write_bytes(pki[name].pem + pki.intermediate.pem)
        Path(f"{name}.key").write_bytes(pki[name].key_pem)
        Path(f"{name}.key").chmod(0o600)
    return tmp_path


@pytest.fixture
def examine(run):
    """Run it; returns the exit code and what was found, as (level, subject, text)."""

    def command(*arguments, at=MOMENT):
        code, output, _ = run("doctor", *arguments, "--now", f"{at:%Y-%m-%dT%H:%M:%SZ}", "--json")
        found = json.loads(output)
        assert code == int(found["verdict"] == "error")
        for each in found["findings"]:
            assert bool(each["advice"]) is (each["level"] != "ok")
        return code, [(each["level"], each["subject"], each["text"]) for each in found["findings"]]

    return command


def problems(found):
    return [(level, subject) for level, subject, _ in found if level != "ok"]


def text_of(found, level, subject):
    (text,) = [text for each, about, text in found if (each, about) == (level, subject)]
    return text


def self_signed(pki, name="juliet", jid=JULIET, *, now=MOMENT, days=365, path=None):
    made = self_signed_certificate(pki[name].key, [jid], now=now, days=days)
    Path(path or f"{name}.crt").write_bytes(encode_certificates([made]))
    return ParsedCertificate.from_x509(made)


def store():
    return SQLiteStore(Path("juliet.e2e.db"))


class TestOwn:
    def test_all_is_well_and_it_says_so_line_by_line(self, run, examine):
        code, found = examine(*OWN, *ANCHORS, "--jid", JULIET)
        assert (code, problems(found)) == (0, [])
        said = "\n".join(text for _, _, text in found)
        for part in (
            "they belong together", f"it names {JULIET}, as xmppAddr, im: and pres:", "used to sign",
            "used to encrypt", "rsa-2048, signed with sha256", "path to a trust anchor, 3 certificates",
            "only its owner can read it", "there is no juliet.e2e.db yet", "the plugin starts with them",
        ):  # fmt: skip
            assert part in said
        output = run("doctor", *OWN, *ANCHORS, "--now", f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}")[1]
        assert output.startswith("ok       clock: ")
        assert output.endswith(f"{len(found)} ok, 0 warning, 0 error\n")
        assert not Path("juliet.e2e.db").exists()

    def test_a_key_of_somebody_else_is_an_error_and_the_certificate_is_looked_at_all_the_same(self, examine):
        code, found = examine("--certificate", "juliet.crt", "--key", "romeo.key", *ANCHORS, "--jid", ROMEO)
        assert code == 1
        assert problems(found) == [("error", "key and certificate"), ("error", "certificate")]
        assert "none of the certificates belongs" in text_of(found, "error", "key and certificate")
        assert text_of(found, "error", "certificate") == f"it names {JULIET}, not {ROMEO}"

    @pytest.mark.parametrize(
        "options", [(), ("--certificate", "juliet.crt"), ("--certificate", "x.crt", "--key", "x.key")]
    )
    def test_files_that_are_not_there_are_errors(self, examine, options):
        assert ("error", "key and certificate") in problems(examine(*options, *ANCHORS)[1])

    @pytest.mark.parametrize(
        ("at", "level", "part"),
        [
            (VALID_UNTIL - timedelta(days=31), "ok", "for 31 days"),
            (VALID_UNTIL - timedelta(days=29), "warning", "for 29 days"),
            (VALID_UNTIL + timedelta(days=3), "error", "3 days ago"),
            (VALID_FROM - timedelta(minutes=4), "warning", "in 4 minutes"),
            (VALID_FROM - timedelta(days=4), "error", "in 4 days"),
        ],
    )
    def test_it_warns_a_month_ahead_and_of_a_clock_that_is_slow(self, examine, pki, at, level, part):
        self_signed(pki, "romeo", ROMEO, now=at, path="pin.crt")
        _, found = examine(*OWN, "--pins", "pin.crt", at=at)
        validity = [(each, text) for each, about, text in found if about == "certificate" and part in text]
        assert [each for each, _ in validity] == [level]

    def test_a_certificate_without_its_intermediate_is_only_believed_here(self, examine, pki):
        Path("juliet.crt").write_bytes(pki["juliet"].pem)
        _, found = examine(*OWN, *ANCHORS)
        assert "no path to a trust anchor" in text_of(found, "warning", "certificate")
        code, found = examine(*OWN, *ANCHORS, "--intermediates", "intermediate.crt")
        assert code == 0
        assert "only by way of --intermediates" in text_of(found, "warning", "certificate")

    def test_a_self_signed_certificate_is_fine_unless_anchors_decide(self, examine, pki):
        self_signed(pki)
        assert problems(examine(*OWN, "--trust", "tofu")[1]) == []
        assert "self-signed" in text_of(examine(*OWN, *ANCHORS)[1], "warning", "certificate")

    def test_a_certificate_that_lacks_names_or_usages_is_no_good(self, examine, pki):
        name = x509.Name([])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(pki["juliet"].key.public_key())
            .serial_number(1)
            .not_valid_before(VALID_FROM)
            .not_valid_after(VALID_UNTIL)
        )
        uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"im:{JULIET}")])
        usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
        named = builder.add_extension(uri, critical=False)
        Path("juliet.crt").write_bytes(encode_certificates([named.sign(pki["juliet"].key, hashes.SHA256())]))
        _, found = examine(*OWN, "--trust", "tofu")
        assert text_of(found, "warning", "certificate").endswith("but not as pres: and xmppAddr")
        made = named.add_extension(usage, critical=False)
        Path("juliet.crt").write_bytes(encode_certificates([made.sign(pki["juliet"].key, hashes.SHA256())]))
        _, found = examine(*OWN, "--trust", "tofu")
        assert "does not allow messages" in text_of(found, "error", "key and certificate")
        Path("juliet.crt").write_bytes(
            encode_certificates([builder.sign(pki["juliet"].key, hashes.SHA256())])
        )
        _, found = examine(*OWN, "--trust", "tofu")
        assert ("error", "certificate", "it names no JID") in found

    def test_who_has_no_key_to_encrypt_to_is_told_how_to_get_one(self, run, examine):
        assert run("keygen", JULIET, "--algorithm", "ed25519")[0] == 0
        now = datetime.now(UTC)
        own = ("--certificate", f"{JULIET}.crt", "--key", f"{JULIET}.key", "--trust", "tofu")
        assert problems(examine(*own, at=now)[1]) == [("warning", "encryption certificate")]
        second = ("--encryption-certificate", f"{JULIET}.encryption.crt")
        second += ("--encryption-key", f"{JULIET}.encryption.key")
        _, found = examine(*own, *second, at=now)
        assert [each for each in found if each[0] == "error"] == []
        assert ("ok", "encryption certificate", "it may be used to encrypt") in found
        other = ("--encryption-certificate", "romeo.crt", "--encryption-key", "romeo.key")
        assert ("error", "key and certificate") in problems(examine(*own, *other, at=now)[1])

    @pytest.mark.parametrize(
        ("mode", "level"), [(0o640, "warning"), (0o644, "error"), (0o660, "error"), (0o400, None)]
    )
    def test_a_key_that_others_can_read_is_an_error(self, examine, mode, level):
        Path("juliet.key").chmod(mode)
        assert problems(examine(*OWN, *ANCHORS)[1]) == ([(level, "juliet.key")] if level else [])

    def test_a_directory_that_others_can_write_to_is_a_warning(self, examine, directory):
        directory.chmod(0o777)
        _, found = examine(*OWN, *ANCHORS)
        assert "other users can replace it" in text_of(found, "warning", "juliet.key")
        directory.chmod(0o1777)
        assert problems(examine(*OWN, *ANCHORS)[1]) == []


class TestRevocation:
    CRLS = ("--crls", "lists.crl")

    def write(self, pki, *revoked, until=VALID_UNTIL, number=1):
        Path("lists.crl").write_bytes(revocation_list(pki.intermediate, *revoked, until=until, number=number))

    def test_who_is_not_on_the_list_is_said_to_be_good(self, examine, pki):
        self.write(pki)
        Path("root.crl").write_bytes(revocation_list(pki.root))
        _, found = examine(*OWN, *ANCHORS, *self.CRLS, "--crls", "root.crl", "--revocation", "hard")
        assert problems(found) == []
        assert ("ok", "certificate", "it was not revoked, as far as the lists say") in found

    def test_our_own_certificate_revoked_is_an_error(self, examine, pki):
        self.write(pki, pki["juliet"])
        _, found = examine(*OWN, *ANCHORS, *self.CRLS)
        assert text_of(found, "error", "certificate") == "it was revoked"
        assert problems(examine(*OWN, *ANCHORS, *self.CRLS, "--revocation", "off")[1]) == []

    def test_a_peer_who_was_revoked_is_not_believed(self, examine, pki):
        self.write(pki, pki["romeo"])
        _, found = examine(*OWN, *ANCHORS, *self.CRLS, "--peer-certificates", "romeo.crt")
        assert "revoked" in text_of(found, "warning", "peer_certificates")

    def test_a_list_that_is_late_is_named(self, examine, pki):
        self.write(pki, until=MOMENT - timedelta(days=1))
        _, found = examine(*OWN, *ANCHORS, *self.CRLS)
        assert "should have been replaced" in text_of(found, "warning", "crls")
        _, found = examine(*OWN, *ANCHORS, *self.CRLS, "--revocation", "hard")
        assert "whether it was revoked is" in text_of(found, "warning", "certificate")

    def keep(self, pki, der):
        kept = store()
        kept.add_revocation_list(kept_as(pki.intermediate.certificate, RevocationList.from_der(der)), der)
        kept.close()

    def test_lists_that_the_store_keeps_count_as_they_do_in_the_plugin(self, examine, pki):
        self.keep(pki, revocation_list(pki.intermediate, pki["juliet"], pki["romeo"]))
        kept = store()
        kept.add_certificate(ROMEO, (pki["romeo"].der, pki.intermediate.der))
        kept.close()
        _, found = examine(*OWN, *ANCHORS, "--peer-certificates", "romeo.crt")
        assert "revocation lists: 1" in " ".join(text for _, subject, text in found if subject == "store")
        assert text_of(found, "error", "certificate") == "it was revoked"
        assert "revoked" in text_of(found, "warning", "peer_certificates")
        assert "revoked" in text_of(found, "warning", "store")
        off = examine(*OWN, *ANCHORS, "--peer-certificates", "romeo.crt", "--revocation", "off")
        assert problems(off[1]) == []

    def test_nobody_is_told_to_pin_who_was_revoked(self, run, pki):
        arguments = (*OWN, *ANCHORS, *self.CRLS, "--peer-certificates", "romeo.crt")
        now = ("--now", f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}")
        kept = store()
        kept.add_certificate(ROMEO, (pki["romeo"].der, pki.intermediate.der))
        kept.close()
        self.write(pki, pki["romeo"])
        output = run("doctor", *arguments, *now)[1]
        assert "nor would it be if it were pinned" in output
        assert "Ask for another one." in output
        assert "trust pin" not in output
        self_signed(pki, "romeo", ROMEO)
        assert "trust pin" in run("doctor", *arguments, *now)[1]

    def test_a_list_in_the_store_that_is_late_is_named_unless_its_ca_has_one_in_a_file(self, examine, pki):
        late = MOMENT - timedelta(days=1)
        self.keep(pki, revocation_list(pki.intermediate, until=late))
        _, found = examine(*OWN, *ANCHORS)
        assert f"should have been replaced on {late:%Y-%m-%d}" in text_of(found, "warning", "store")
        assert problems(examine(*OWN, *ANCHORS, "--revocation", "off")[1]) == []
        self.write(pki, number=2)
        assert problems(examine(*OWN, *ANCHORS, *self.CRLS)[1]) == []

    @pytest.mark.parametrize("content", [None, b"nothing"])
    def test_a_list_that_can_not_be_read_is_an_error(self, examine, content):
        if content is not None:
            Path("lists.crl").write_bytes(content)
        assert ("error", "crls") in problems(examine(*OWN, *ANCHORS, *self.CRLS)[1])


class TestPeers:
    def test_without_anybody_to_trust_the_plugin_would_not_start(self, examine):
        code, found = examine(*OWN)
        assert code == 1
        assert "nobody could be trusted" in text_of(found, "error", "options")

    def test_anchors_that_are_none_are_found_out(self, examine, pki):
        Path("broken.crt").write_text("nothing")
        assert ("error", "trust_anchors") in problems(examine(*OWN, "--trust-anchors", "broken.crt")[1])
        _, found = examine(*OWN, *ANCHORS, "--trust-anchors", "romeo.crt")
        assert "is not a CA's certificate" in text_of(found, "warning", "trust_anchors")
        _, found = examine(*OWN, *ANCHORS, at=VALID_UNTIL + timedelta(days=1))
        assert "none of them is valid now" in text_of(found, "error", "trust_anchors")

    def test_pins_that_are_expired_are_named(self, examine, pki):
        self_signed(pki, "romeo", ROMEO, days=1)
        pins = ("--pins", "romeo.crt")
        assert problems(examine(*OWN, *pins)[1]) == []
        code, found = examine(*OWN, *pins, at=MOMENT + timedelta(days=2))
        assert code == 0
        assert ROMEO in text_of(found, "warning", "pins")
        assert ("error", "pins") in problems(examine(*OWN, "--pins", "root.crt")[1])

    def test_certificates_to_encrypt_to_are_judged_as_the_plugin_does_it(self, examine, pki):
        peers = ("--peer-certificates", "romeo.crt")
        _, found = examine(*OWN, *ANCHORS, *peers)
        assert f"{ROMEO}: pkix, valid until" in text_of(found, "ok", "peer_certificates")
        self_signed(pki, "romeo", ROMEO)
        _, found = examine(*OWN, *ANCHORS, *peers)
        assert f"{ROMEO} is not believed" in text_of(found, "warning", "peer_certificates")
        _, found = examine(*OWN, *ANCHORS, "--peer-certificates", "root.crt")
        assert "names no JID" in text_of(found, "warning", "peer_certificates")


class TestStore:
    def test_the_store_is_examined_and_nothing_is_changed(self, examine, pki):
        kept = store()
        kept.add_certificate(ROMEO, (pki["romeo"].der,))
        kept.decide(ROMEO, pki["romeo"].parsed.fingerprint, Trust.VERIFIED)
        for _ in range(2):  # while somebody has it open, and afterwards
            before = {each.name: each.stat().st_mtime_ns for each in Path().iterdir()}
            _, found = examine(*OWN, *ANCHORS)
            assert problems(found) == []
            assert "decisions: 1, certificates: 1" in " ".join(text for _, _, text in found)
            assert {each.name: each.stat().st_mtime_ns for each in Path().iterdir()} == before
            kept.close()

    def test_a_store_that_is_none_is_an_error(self, examine):
        Path("other.db").write_bytes(b"not a database" * 1000)
        Path("other.db").chmod(0o600)
        _, found = examine(*OWN, *ANCHORS, "--store", "sqlite:///other.db")
        assert text_of(found, "error", "store") == "other.db: file is not a database"
        assert Path("other.db").read_bytes() == b"not a database" * 1000

    def test_a_store_with_a_decision_that_is_none_is_damaged(self, examine):
        kept = store()
        kept.decide(ROMEO, b"x" * 32, Trust.PINNED)
        kept.close()
        connection = sqlite3.connect("juliet.e2e.db")
        connection.executescript("UPDATE decision SET trust = 'perhaps'")
        connection.close()
        _, found = examine(*OWN, *ANCHORS)
        assert text_of(found, "error", "store").startswith("juliet.e2e.db is damaged")

    def test_somebody_elses_database_is_not_taken_for_a_store(self, examine):
        connection = sqlite3.connect("other.db")
        connection.execute("CREATE TABLE x (y)")
        connection.close()
        _, found = examine(*OWN, *ANCHORS, "--store", "other.db")
        assert text_of(found, "error", "store") == "other.db is a database of something else"

    def test_a_store_of_an_earlier_version_is_not_migrated_by_looking_at_it(self, examine):
        connection = sqlite3.connect("juliet.e2e.db")
        connection.executescript(FIRST_VERSION)
        connection.close()
        Path("juliet.e2e.db").chmod(0o600)
        _, found = examine(*OWN, *ANCHORS)
        assert "version 1, decisions: 1" in text_of(found, "warning", "store")
        connection = sqlite3.connect("juliet.e2e.db")
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        connection.close()

    def test_a_store_that_others_can_read_is_a_warning(self, examine):
        store().close()
        Path("juliet.e2e.db").chmod(0o644)
        assert problems(examine(*OWN, *ANCHORS)[1]) == [("warning", "juliet.e2e.db")]

    @pytest.mark.parametrize(
        ("decided", "is_pinned", "part"),
        [
            (Trust.DISTRUSTED, True, "that is distrusted, which counts"),
            (Trust.VERIFIED, False, "beside those in pins"),
            (Trust.VERIFIED, True, None),
            (Trust.PINNED, True, None),
            (Trust.DISTRUSTED, False, None),
        ],
    )
    def test_decisions_that_contradict_the_pins_are_named(self, examine, pki, decided, is_pinned, part):
        kept = store()
        kept.decide(ROMEO, pki["romeo"].parsed.fingerprint if is_pinned else b"x" * 32, decided)
        kept.close()
        Path("pin.crt").write_bytes(pki["romeo"].pem)
        _, found = examine(*OWN, "--pins", "pin.crt")
        if part is None:
            assert ("ok", "decisions", "they do not contradict the options") in found
        else:
            assert part in text_of(found, "warning", "decisions")

    def test_first_uses_that_still_count_are_named(self, examine):
        kept = store()
        kept.decide(ROMEO, b"x" * 32, Trust.TOFU)
        kept.close()
        assert problems(examine(*OWN, "--trust", "tofu")[1]) == []
        assert "the first" in text_of(examine(*OWN, *ANCHORS)[1], "warning", "decisions")

    def test_peers_without_a_valid_certificate_are_named(self, examine, pki):
        expired = self_signed(pki, "romeo", ROMEO, days=1)
        renewed = self_signed(pki, "romeo", ROMEO, days=99)
        later = MOMENT + timedelta(days=2)
        kept = store()
        kept.add_certificate(ROMEO, (expired.der,))
        _, found = examine(*OWN, *ANCHORS, at=later)
        assert f"the certificate of {ROMEO} is expired" in text_of(found, "warning", "store")
        kept.add_certificate(ROMEO, (renewed.der,))
        kept.decide(ROMEO, renewed.fingerprint, Trust.VERIFIED)
        assert problems(examine(*OWN, *ANCHORS, at=later)[1]) == []
        kept.decide(ROMEO, expired.fingerprint, Trust.PINNED)
        _, found = examine(*OWN, *ANCHORS, at=later)
        assert f"the pinned certificate of {ROMEO} is expired" in text_of(found, "warning", "store")
        kept.close()

    def test_peers_none_of_whose_certificates_is_believed_are_named(self, examine, pki):
        kept = store()
        stranger = self_signed(pki, "romeo", ROMEO)
        kept.add_certificate(ROMEO, (stranger.der,))
        _, found = examine(*OWN, *ANCHORS)
        assert f"believed to be that of {ROMEO}" in text_of(found, "warning", "store")
        kept.add_certificate(ROMEO, (pki["romeo"].der, pki.intermediate.der))
        _, found = examine(*OWN, *ANCHORS)
        assert problems(found) == []
        assert ("ok", "store", "peers with a certificate in it that is believed: 1") in found
        kept.decide(ROMEO, pki["romeo"].parsed.fingerprint, Trust.DISTRUSTED)
        assert problems(examine(*OWN, *ANCHORS)[1]) == [("warning", "store")]
        kept.decide(ROMEO, stranger.fingerprint, Trust.DISTRUSTED)  # somebody knows that already
        assert problems(examine(*OWN, *ANCHORS)[1]) == []
        kept.close()

    def test_our_own_certificate_distrusted_is_named(self, examine, pki):
        kept = store()
        kept.decide(JULIET, pki["juliet"].parsed.fingerprint, Trust.DISTRUSTED)
        kept.close()
        assert "our own" in text_of(examine(*OWN, *ANCHORS)[1], "warning", "decisions")


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(seconds=59), "0 minutes"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=30), "30 days"),
    ],
)
def test_spans_are_said_in_one_unit(time, words):
    assert span(time) == words
