"""The program's commands for single stanzas: seal, open, inspect, unwrap, wrap."""

import gc
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.store import MemoryStore
from slixmpp_e2e.cli import main
from slixmpp_e2e.cli.layers import describe
from slixmpp_e2e.cli.objects import xml_for_people
from slixmpp_e2e.gateway import unwrap
from slixmpp_e2e.media import mime
from slixmpp_e2e.policy import Level
from slixmpp_e2e.report import SecurityReport
from tests.accounts import Clock, account
from tests.elements import stanza
from tests.formats.objects import JULIET as JULIET_JID
from tests.formats.objects import ROMEO as ROMEO_JID
from tests.formats.objects import clear_signed, message_cpim, opaque, signer
from tests.pki import MOMENT, Entity, make_certificate
from tests.softhsm import PIN

ROOT = Path(__file__).parent.parent.parent
VECTORS = ROOT / "tests" / "vectors"
#: Without a key, the layouts of draft-miller-3923bis-02 look alike: one of four is enough.
LOOKED_INTO = sorted(set(VECTORS.glob("*/*.xml")) - set(VECTORS.glob("*/obj-[bcd]-*.xml")))
E2E = "{urn:ietf:params:xml:ns:xmpp-e2e}e2e"
NOW = ("--now", f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}")
MESSAGE = "<message to='romeo@example.net/orchard' id='m1'><body>Art th\u00f6u, \x9b\u202e?</body></message>"
JULIET = ("--certificate", "juliet.crt", "--key", "juliet.key", "--trust-anchors", "root.crt", *NOW)
ROMEO = ("--certificate", "romeo.crt", "--key", "romeo.key", "--trust-anchors", "root.crt", *NOW)
TO_ROMEO = ("--peer-certificates", "romeo.crt")


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch, pki):
    """Each test has a directory of its own with keys and certificates, and is in it."""
    monkeypatch.chdir(tmp_path)
    Path("root.crt").write_bytes(pki.root.pem)
    for name in ("juliet", "romeo", "p-256"):
        Path(f"{name}.crt").write_bytes(pki[name].pem + pki.intermediate.pem)
        Path(f"{name}.key").write_bytes(pki[name].key_pem)
    Path("message.xml").write_text(MESSAGE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def sealed(run) -> str:
    code, output, errors = run("seal", "message.xml", *JULIET, *TO_ROMEO)
    assert (code, errors) == (0, "")
    Path("sealed.xml").write_text(output, encoding="utf-8")
    return output


def program(*arguments, data: bytes = b"", **environment):
    """Run it as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "slixmpp_e2e", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        input=data, capture_output=True, check=False, timeout=60,
    )  # fmt: skip


class TestSealAndOpen:
    @pytest.mark.parametrize("level", ["required", "sign"])
    def test_a_stanza_goes_through_two_programs_and_comes_out_as_it_was(self, level):
        sealed = program("seal", *JULIET, *TO_ROMEO, "--level", level, data=MESSAGE.encode())
        assert (sealed.returncode, sealed.stderr) == (0, b"")
        opened = program("open", *ROMEO, data=sealed.stdout, PYTHONIOENCODING="ascii")
        assert opened.returncode == 0
        assert opened.stderr.startswith(b"authenticated:\n  authenticated: yes\n")
        assert fromstring(opened.stdout)[0].text == stanza(MESSAGE)[0].text
        assert b"\xc2\x9b" not in opened.stdout  # a terminal might obey it
        assert not Path("juliet.e2e.db").exists()

    def test_the_json_has_the_stanza_and_the_report_field_by_field(self, run, sealed):
        code, output, errors = run("open", "sealed.xml", *ROMEO, "--json")
        found = json.loads(output)
        assert (code, errors, found["verdict"]) == (0, "", "authenticated")
        assert found["report"].keys() == {each.name for each in fields(SecurityReport)} | {
            "authenticated",
            "signer_trusted",
        }
        assert found["report"]["certificate"]["jids"] == ["juliet@example.com"]
        assert found["report"]["outer_id"] == fromstring(sealed).get("id")
        assert (found["report"]["authenticated"], found["report"]["skew"]) == (True, 0.0)
        assert "body" in found["stanza"]
        assert run("seal", "message.xml", *JULIET, *TO_ROMEO, "--json")[1].startswith(
            '{\n  "verdict": "sealed"'
        )

    def test_a_refusal_says_why_and_what_the_sender_would_be_told(self, run, sealed):
        late = [*ROMEO[:-1], "2027-01-01T00:00:00Z"]
        code, output, errors = run("open", "sealed.xml", *late)
        assert (code, output) == (1, "")
        assert errors.startswith("slixmpp-e2e: refused (bad-timestamp, old): ")
        assert '<message xmlns="jabber:client" type="error"' in errors
        found = json.loads(run("open", "sealed.xml", *late, "--json")[1])
        assert (found["verdict"], found["error"]["code"], found["error"]["reason"]) == (
            "refused", "bad-timestamp", "old",
        )  # fmt: skip
        assert "bad-timestamp" in found["answer"]
        assert found["stale"]["report"]["authenticated"] is False
        assert "stanza" not in found

    @pytest.mark.parametrize(
        ("xml", "reason"),
        [
            (MESSAGE, "unprotected"),
            ("<message", "malformed"),
            ("", "malformed"),
            (f"<message to='romeo@example.net'><e2e xmlns='{E2E[1:-4]}'>x</e2e></message>", "malformed"),
        ],
    )
    def test_what_can_not_be_opened_ends_with_1(self, run, xml, reason):
        Path("stanza.xml").write_text(xml, encoding="utf-8")
        code, output, _ = run("open", "stanza.xml", *ROMEO, "--json")
        found = json.loads(output)
        assert (code, found["verdict"], found["error"]["reason"], found["stale"]) == (
            1,
            "refused",
            reason,
            None,
        )

    def test_a_replay_is_detected_with_a_store_and_only_then(self, run, sealed):
        assert [run("open", "sealed.xml", *ROMEO)[0] for _ in range(2)] == [0, 0]
        before = set(Path.cwd().iterdir())
        assert run("open", "sealed.xml", *ROMEO, "--store", "audit.db")[0] == 0
        assert Path("audit.db") in {
            path.relative_to(Path.cwd()) for path in set(Path.cwd().iterdir()) - before
        }
        code, _, errors = run("open", "sealed.xml", *ROMEO, "--store", "audit.db")
        assert code == 1
        assert "seen" in errors

    def test_what_was_learned_in_a_store_is_encrypted_to(self, run, sealed):
        run("open", "sealed.xml", *ROMEO, "--store", "romeo.db")
        answer = "<message to='juliet@example.com'><body>I take thee at thy word</body></message>"
        Path("answer.xml").write_text(answer, encoding="utf-8")
        assert run("seal", "answer.xml", *ROMEO)[0] == 1
        assert run("seal", "answer.xml", *ROMEO, "--store", "romeo.db")[0] == 0

    def test_pins_do_instead_of_trust_anchors(self, run, sealed, pki):
        Path("pin.crt").write_bytes(pki["juliet"].pem)
        own = ROMEO[:4] + NOW
        assert run("open", "sealed.xml", *own)[0] == 1
        code, output, _ = run("open", "sealed.xml", *own, "--pins", "pin.crt", "--json")
        assert (code, json.loads(output)["report"]["trust"]) == (0, "pinned")

    def test_keys_may_be_in_pkcs12_with_a_password(self, run, sealed, romeo):
        locked = pkcs12.serialize_key_and_certificates(
            b"romeo", romeo.key, romeo.certificate, None, BestAvailableEncryption(b"verona")
        )
        Path("romeo.p12").write_bytes(locked)
        Path("password").write_text("verona\n")
        own = ("--pkcs12", "romeo.p12", "--trust-anchors", "root.crt", *NOW)
        assert run("open", "sealed.xml", *own, "--password-file", "password")[0] == 0
        code, _, errors = run("open", "sealed.xml", *own)
        assert code == 2
        assert "romeo.p12" in errors

    def test_an_older_key_opens_what_was_encrypted_to_it(self, run, sealed, romeo, pki):
        key = ec.generate_private_key(ec.SECP256R1())
        new = Entity(
            "new", key, make_certificate(key, "new", issuer=pki.intermediate, jid="romeo@example.net")
        )
        Path("new.crt").write_bytes(new.pem)
        Path("new.key").write_bytes(new.key_pem)
        old = pkcs12.serialize_key_and_certificates(
            b"romeo", romeo.key, romeo.certificate, None, NoEncryption()
        )
        Path("old.p12").write_bytes(old)
        own = ("--certificate", "new.crt", "--key", "new.key", "--trust-anchors", "root.crt", *NOW)
        assert run("open", "sealed.xml", *own)[0] == 1
        code, output, _ = run("open", "sealed.xml", *own, "--older-keys", "old.p12", "--json")
        found = json.loads(output)["report"]["decrypted_with"]
        assert (code, found) == (0, romeo.parsed.fingerprint.hex(":").upper())

    @pytest.mark.pkcs11
    def test_the_key_may_be_in_a_token(self, run, softhsm, pki):
        entity = softhsm.work["p-256"]
        Path("token.crt").write_bytes(entity.pem + pki.intermediate.pem)
        Path("pin").write_text(f"{PIN}\n")
        output = run("seal", "message.xml", *JULIET, "--peer-certificates", "token.crt")[1]
        Path("sealed.xml").write_text(output, encoding="utf-8")
        own = ("--pkcs11", softhsm.uri("work", "p-256"), "--trust-anchors", "root.crt", *NOW)
        code, output, _ = run("open", "sealed.xml", *own, "--password-file", "pin", "--json")
        found = json.loads(output)["report"]["decrypted_with"]
        assert (code, found) == (0, entity.parsed.fingerprint.hex(":").upper())
        Path("pin").write_text("wrong\n")
        gc.collect()  # another program would not be logged in to the token already
        code, _, errors = run("seal", "message.xml", *own, "--password-file", "pin")
        assert (code, "refuses the PIN" in errors, "wrong" in errors) == (2, True, False)

    def test_unsigned_content_is_shown_on_demand_as_what_it_is(self, run):
        code, output, _ = run("seal", "message.xml", *JULIET, *TO_ROMEO, "--level", "encrypt-unsigned")
        assert code == 0
        Path("sealed.xml").write_text(output, encoding="utf-8")
        code, output, _ = run("open", "sealed.xml", *ROMEO, "--json")
        assert (code, json.loads(output)["error"]["reason"]) == (1, "unsigned")
        code, output, _ = run("open", "sealed.xml", *ROMEO, "--accept-unsigned", "--json")
        assert (code, json.loads(output)["verdict"]) == (0, "not authenticated")
        assert run("open", "sealed.xml", *ROMEO, "--accept-unsigned")[2].startswith("not authenticated:\n")

    def test_sha1_is_opened_on_demand_and_marked(self, run):
        output = run("seal", "message.xml", *JULIET, *TO_ROMEO, "--signature", "rsa-sha1")[1]
        Path("sealed.xml").write_text(output, encoding="utf-8")
        assert run("open", "sealed.xml", *ROMEO)[0] == 1
        code, output, _ = run("open", "sealed.xml", *ROMEO, "--allow-sha1", "--json")
        assert (code, json.loads(output)["report"]["legacy"]) == (0, True)

    def test_algorithms_and_recipient_are_those_that_were_asked_for(self, run, pki):
        options = ("--cipher", "aes256-gcm", "--key-transport", "rsa-oaep-sha256", "--encrypt-to-self")
        output = run("seal", "message.xml", *JULIET, *TO_ROMEO, *options)[1]
        Path("sealed.xml").write_text(output, encoding="utf-8")
        report = json.loads(run("open", "sealed.xml", *ROMEO, "--json")[1])["report"]
        assert report["encryption_algorithm"] == "aes256-gcm"
        assert report["key_management_algorithm"] == "rsa-oaep-sha256"
        assert report["decrypted_with"] == pki["romeo"].parsed.fingerprint.hex(":").upper()
        assert "recipient 2 of 2" in run("inspect", "sealed.xml")[1]

    def test_nothing_comes_out_that_could_not_be_sealed(self, run):
        code, output, errors = run("seal", "message.xml", *JULIET)
        assert (code, output) == (1, "")
        assert errors.startswith("slixmpp-e2e: not sealed (no-certificate, no-certificate): ")
        found = json.loads(run("seal", "message.xml", *JULIET, "--json")[1])
        assert (found["verdict"], found["error"]["code"]) == ("not sealed", "no-certificate")
        Path("message.xml").write_text("<message to='room@x' type='groupchat'/>")
        assert run("seal", "message.xml", *JULIET, *TO_ROMEO)[0] == 1

    def test_a_response_has_the_id_of_its_request(self, run):
        Path("result.xml").write_text("<iq to='romeo@example.net/x' type='result' id='i1'/>")
        code, output, _ = run("seal", "result.xml", *JULIET, *TO_ROMEO, "--response-to", "outer-1")
        assert (code, fromstring(output).get("id")) == (0, "outer-1")

    @pytest.mark.parametrize(
        "arguments",
        [
            ("open", "sealed.xml"),
            ("open", "sealed.xml", "--certificate", "romeo.crt"),
            ("open", "sealed.xml", *ROMEO, "--now", "yesterday"),
            ("open", "sealed.xml", *ROMEO, "--trust-anchors", "nowhere.crt"),
            ("open", "sealed.xml", *ROMEO, "--pins", "message.xml"),
            ("seal", "message.xml", *JULIET, "--level", "off"),
            ("seal", "message.xml", *JULIET, "--cipher", "rot13"),
            ("wrap", "message.xml"),
        ],
    )
    def test_a_wrong_command_line_ends_with_2(self, run, sealed, arguments):
        code, output, errors = run(*arguments)
        assert (code, output) == (2, "")
        assert errors
        assert "Traceback" not in errors

    def test_a_file_that_is_not_there_ends_with_1(self, run):
        for command in (
            ("open", *ROMEO),
            ("seal", *JULIET),
            ("unwrap",),
            ("inspect",),
            ("wrap", "--to", "a@b"),
        ):
            code, _, errors = run(command[0], "nowhere.xml", *command[1:])
            assert code == 1
            assert "nowhere.xml" in errors

    def test_without_a_store_the_floor_lies_in_the_past(self):
        assert MemoryStore(started=0).admit("x", b"y", 1, 2).seen is False


class TestUnwrapAndWrap:
    def test_octets_go_out_and_in_again_through_the_program(self, pki):
        entity = clear_signed(
            message_cpim(content="Content-type: text/plain\r\n\r\n]]> \xe9"), signer(pki["juliet"])
        )
        for options in ((), ("--escaped",)):
            stanza_xml = program("wrap", "--to", "romeo@example.net", *options, data=entity).stdout
            assert program("unwrap", data=stanza_xml, PYTHONIOENCODING="ascii").stdout == entity
        assert b"CDATA" not in stanza_xml

    def test_the_stanza_is_as_told(self, run, pki):
        Path("object").write_bytes(clear_signed(message_cpim(), signer(pki["juliet"])))
        arguments = (
            "--from",
            "j@x/y",
            "--to",
            "r@x",
            "--kind",
            "presence",
            "--type",
            "unavailable",
            "--id",
            "1",
        )
        code, output, _ = run("wrap", "object", *arguments)
        found = fromstring(output)
        assert (code, found.tag) == (0, "{jabber:client}presence")
        assert found.attrib == {"type": "unavailable", "from": "j@x/y", "to": "r@x", "id": "1"}
        ids = {fromstring(run("wrap", "object", "--to", "r@x")[1]).get("id") for _ in range(2)}
        assert len(ids) == 2

    def test_der_goes_both_ways(self, run, sealed, capsysbinary):
        assert main(["unwrap", "--der", "sealed.xml"]) == 0
        der = capsysbinary.readouterr().out
        assert der == mime.parse_entity(unwrap(sealed)).decoded_body()
        Path("object.p7m").write_bytes(der)
        assert unwrap(run("wrap", "object.p7m", "--to", "romeo@example.net")[1]) == unwrap(sealed)

    @pytest.mark.parametrize("command", [("unwrap",), ("unwrap", "--der"), ("wrap", "--to", "a@b")])
    def test_what_is_no_object_ends_with_1(self, run, command):
        code, output, errors = run(command[0], "message.xml", *command[1:])
        assert (code, output) == (1, "")
        assert errors.count("\n") == 1


def paragraphs(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


class TestInspect:
    def test_an_encrypted_stanza_shows_its_layers(self, run, sealed, romeo):
        code, output, _ = run("inspect", "sealed.xml")
        assert code == 0
        lines = paragraphs(output)
        assert lines[0].startswith("stanza: message ")
        for line in (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m",
            "content type: EnvelopedData",
            f"for serial number {romeo.certificate.serial_number:x} of Common Name: Verona User CA",
            "content encryption: aes128_cbc",
        ):
            assert line in lines

    @pytest.mark.parametrize("form", ["detached", "opaque", "opaque, der"])
    def test_a_signed_object_shows_its_content_and_its_certificates(self, run, pki, form):
        by = signer(pki["juliet"], pki.intermediate)
        entity = clear_signed(message_cpim(), by) if form == "detached" else opaque(message_cpim(), by)
        Path("object").write_bytes(mime.parse_entity(entity).body if form == "opaque, der" else entity)
        code, output, _ = run("inspect", "object")
        assert code == 0
        lines = paragraphs(output)
        for line in (
            "Message/CPIM",
            "From: <im:juliet@example.com>",
            "26 octets: Wherefore art thou, Romeo?",
            "certificate: Common Name: juliet@example.com (juliet)",
            "issued by Common Name: Verona User CA",
            "names juliet@example.com",
            "valid 2020-01-01 00:00 to 2049-12-31 00:00 UTC",
            "signed attribute signing time: 2026-11-20 08:30:15+00:00",
        ):
            assert line in lines

    def test_a_stanza_inside_shows_its_children(self, run, pki):
        by = account(pki, pki["juliet"], Clock())
        element = stanza("<iq type='get' id='1'><query xmlns='urn:x'>what</query></iq>")
        text = by.protect(element, sender=JULIET_JID, recipient=ROMEO_JID, level=Level.SIGN).text
        Path("object").write_bytes(mime.canonical_line_breaks(text.encode()))
        lines = paragraphs(run("inspect", "object")[1])
        assert "stanza: iq type='get' id='1'" in lines
        assert "query (urn:x): what" in lines

    def test_an_object_of_the_draft_shows_its_parts(self, run):
        code, output, _ = run("inspect", VECTORS / "objenc-pos" / "obj-a-aes128.xml")
        assert code == 0
        assert paragraphs(output)[1:] == [
            "e2e (urn:ietf:params:xml:ns:xmpp-objenc:0)",
            "encrypted, unsigned (draft-miller-3923bis-02)",
            "key: 256 octets cipher-algo='RSAES-OAEP-SHA-256-MFG1'",
            "data: 384 octets cipher-algo='AES-128-CBC-PKCS5-WITH-IV' mac-algo='HMACSHA256'",
            "mac-hash: 32 octets",
        ]

    def test_what_is_wrong_with_an_object_of_the_draft_is_said_behind_its_parts(self, run):
        code, output, _ = run("inspect", VECTORS / "objenc-neg" / "obj-a-m-hex.xml")
        assert code == 1
        assert "mac-hash: 48 octets" in paragraphs(output)
        assert paragraphs(output)[-1].startswith("this can't be read: no MAC")

    def test_a_layer_that_can_not_be_read_is_named_and_the_rest_is_shown(self, run):
        Path("object").write_bytes(b"Content-Type: application/pkcs7-mime\n\nMIIB")
        code, output, _ = run("inspect", "object")
        assert code == 1
        assert "MIME entity: application/pkcs7-mime" in output
        assert "this can't be read: " in output

    def test_layers_end_somewhere(self, run):
        entity = b"Content-Type: message/cpim\n\nFrom: <im:a@b>\n\n" * 9 + b"Content-Type: text/plain\n\nx"
        Path("object").write_bytes(entity)
        code, output, _ = run("inspect", "object")
        assert code == 1
        assert "more layers" in output

    def test_what_is_no_stanza_ends_with_2(self, run):
        for content in (b"<", b"<x/>", b"<!DOCTYPE a><a/>", b"<message xmlns='urn:x'/>"):
            Path("object").write_bytes(content)
            code, output, errors = run("inspect", "object")
            assert (code, output) == (2, "")
            assert errors.startswith("slixmpp-e2e: object: not a stanza: ")

    def test_it_reads_standard_input_when_no_file_is_named(self, run, sealed, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sealed.encode())))
        assert run("inspect")[1] == run("inspect", "sealed.xml")[1]

    @pytest.mark.parametrize("path", LOOKED_INTO, ids=lambda path: path.stem)
    def test_hostile_stanzas_of_others_are_shown_or_refused_in_one_line(self, run, path):
        code, output, errors = run("inspect", path)
        assert code in ({0, 1} if path.parent.name.startswith("pos-") else {0, 1, 2})
        assert errors.count("\n") == (code == 2)
        assert all(line.isprintable() for line in output.splitlines())

    @given(data=st.data())
    def test_it_survives_any_change_of_octets(self, pki, data):
        by = signer(pki["juliet"])
        entity = data.draw(st.sampled_from([clear_signed(message_cpim(), by), opaque(message_cpim(), by)]))
        octets = bytearray(entity)
        for _ in range(data.draw(st.integers(1, 5))):
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        try:
            found = describe(bytes(octets))
        except ValueError:
            return
        assert all(line.isprintable() for line in found.lines)


def test_xml_for_people_is_the_same_xml_without_what_moves_a_cursor():
    for text in ("\x9b31m", "\u202e", "\x7f", "\u2028", "\n\t\u00e4\U0001f600"):
        xml = f'<a b="{text.strip()}">{text}</a>'
        shown = xml_for_people(xml)
        assert all(each.isprintable() or each in "\n\t" for each in shown)
        assert fromstring(shown).text == text
        assert fromstring(shown).get("b") == text.strip()


def test_each_command_has_its_help(run):
    _, output, _ = run("--help")
    for command in ("seal", "open", "inspect", "unwrap", "wrap"):
        assert f"    {command} " in output
        assert run(command, "--help")[0] == 0


class TestPage:
    """docs/tools.md."""

    page = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")

    @pytest.mark.peer
    def test_its_commands_work_when_they_are_copied(self, directory):
        work = directory / "work"
        work.mkdir()
        shim = directory / "slixmpp-e2e"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m slixmpp_e2e "$@"\n')
        shim.chmod(0o700)
        script = "".join(re.findall(r"```sh\n(.*?)```", self.page, re.DOTALL))
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=work, env=environment, capture_output=True, check=False, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        assert done.stderr.count(b"authenticated: yes") == 4
        assert done.stderr.count(b"Verification successful") == 2
        assert json.loads((work / "opened.json").read_text())["verdict"] == "authenticated"

    def test_it_names_every_command_and_every_verdict(self):
        for word in ("seal", "open", "inspect", "unwrap", "wrap", "sealed", "not sealed", "refused"):
            assert f"`{word}`" in self.page

    def test_its_python_runs(self):
        (block,) = re.findall(r"```python\n(.*?)```", self.page, re.DOTALL)
        namespace = {}
        exec(block, namespace)
        assert callable(namespace["unwrap"])


def test_the_other_format_is_sealed_and_opened_as_well(run):
    code, sealed, errors = run("seal", "message.xml", "--format", "objenc", *JULIET, *TO_ROMEO)
    assert (code, errors) == (0, "")
    Path("sealed.xml").write_text(sealed, encoding="utf-8")
    assert "urn:ietf:params:xml:ns:xmpp-objenc:0" in sealed
    code, output, _ = run("open", "sealed.xml", "--json", *ROMEO)
    found = json.loads(output)
    assert (code, found["verdict"]) == (0, "authenticated")
    assert (found["report"]["format"], found["report"]["signed"]) == ("objenc", True)
