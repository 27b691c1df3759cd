"""The demo: what it shows, and that it notices when something does not end as it should."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

from slixmpp_e2e.cli import main, prosody
from slixmpp_e2e.cli.demo import attacks, stage
from slixmpp_e2e.cli.demo.attacks import change_one_octet
from slixmpp_e2e.cli.demo.certificates import Certificates

COLOURS = ("\x1b[3", "\x1b[9")


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """Everything temporary is made here."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def terminal(monkeypatch):
    """Standard output passes for a terminal with colours, as far as rich is concerned."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def run(capsys):
    """Run the demo; returns exit code, standard output and standard error."""

    def command(*arguments):
        code = main(["demo", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def document(run):
    """Run the demo; returns exit code and what its JSON says."""

    def command(*arguments):
        code, out, err = run("--json", *arguments)
        assert not err
        return code, json.loads(out)

    return command


def of_kind(found, kind):
    return [step for step in found["steps"] if step["kind"] == kind]


def attack_named(found, title):
    return next(step for step in of_kind(found, "attack") if step["title"] == title)


SERVERS = ["loopback", pytest.param("prosody", marks=pytest.mark.server)]


@pytest.mark.parametrize("server", SERVERS)
def test_everything_ends_as_it_should(document, server):
    code, found = document("--server", server)
    assert found["summary"]["failed"] == []
    assert code == 0
    assert found["server"] == server
    assert found["summary"]["ok"] is True
    assert all(step["ok"] and step["expected"] for step in found["steps"])
    assert [step["kind"] for step in found["steps"]] == ["exchange"] * 5 + ["attack"] * 3 + ["finale"]
    assert (found["summary"]["delivered"], found["summary"]["refused"]) == (5, 3)


def test_each_stanza_is_told_from_the_program_to_the_proof(document):
    _, found = document()
    for step in of_kind(found, "exchange"):
        assert "urn:ietf:params:xml:ns:xmpp-e2e" in step["wire"]
        assert "body" not in step["wire"]
        assert "urn:xmpp:ping" not in step["wire"]
        report = step["report"]
        assert report["authenticated"]
        assert report["encrypted"]
        assert report["signer"] == step["from"].partition("/")[0]
        assert report["certificate"]["jids"] == [report["signer"]]
        assert (report["trust"], report["signature_algorithm"]) == ("pkix", "rsa-sha256")
    sent = [step["sent"] for step in of_kind(found, "exchange")]
    assert sum("<body>" in stanza for stanza in sent) == 3
    assert any("<body>" in stanza and not stanza.isascii() for stanza in sent)
    assert any('type="get"' in stanza and "urn:xmpp:ping" in stanza for stanza in sent)
    assert any('type="result"' in stanza for stanza in sent)


def test_the_attacks_are_refused_for_their_own_reasons_and_answered_without_them(document):
    _, found = document()
    outcomes = [step["outcome"] for step in of_kind(found, "attack")]
    assert [outcome["delivered"] for outcome in outcomes] == [[], [], []]
    assert [outcome["reason"] for outcome in outcomes] == ["decryption-failed", "seen", "name-mismatch"]
    changed, replayed, forged = ("".join(outcome["answers"]) for outcome in outcomes)
    assert "decryption-failed" in changed
    assert "decryption-failed" in forged
    assert "bad-timestamp" in replayed
    assert "mallory" not in changed + replayed + forged


def test_the_forged_stanza_bears_the_name_of_juliet_and_nothing_of_mallory(document):
    _, found = document()
    wire = attack_named(found, "A stranger claims to be Juliet")["wire"]
    assert 'from="juliet@localhost/balcony"' in wire
    assert "mallory" not in wire


def test_without_rich_it_is_plain_text_of_eighty_columns(run, monkeypatch, terminal):
    for name in ("rich", "rich.console", "rich.text"):
        monkeypatch.setitem(sys.modules, name, None)
    code, out, err = run()
    assert code == 0
    assert not err
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80
    for line in ("the program sent", "on the wire", "arrived", "proven", "signed by juliet@localhost"):
        assert line in out
    assert out.count("✓ as it should be") == 8
    assert "octets in all" in out
    assert "Everything ended as it should" in out


def test_with_rich_it_says_the_same_in_colours(run, terminal):
    code, out, _ = run()
    assert code == 0
    assert any(colour in out for colour in COLOURS)
    assert "the program sent" in out
    assert "Everything ended as it should" in out


def test_no_color_is_respected(run, monkeypatch, terminal):
    monkeypatch.setenv("NO_COLOR", "1")
    code, out, _ = run()
    assert code == 0
    assert not any(colour in out for colour in COLOURS)


def test_signs_that_the_terminal_lacks_are_spelt(run, monkeypatch):
    class Encoded:
        """Standard output with another encoding."""

        def __init__(self, stream):
            self._stream = stream
            self.encoding = "ascii"

        def __getattr__(self, name):
            return getattr(self._stream, name)

    monkeypatch.setattr(sys, "stdout", Encoded(sys.stdout))
    code, out, _ = run()
    assert code == 0
    assert "romeo -> juliet" in out
    assert "✓" not in out


def test_the_log_goes_nowhere_unless_it_is_asked_for(run):
    assert run()[2] == ""
    code, out, err = run("--verbose", "--json")
    assert code == 0
    assert json.loads(out)["summary"]["ok"]
    assert "slixmpp_e2e" in err


@pytest.mark.parametrize("server", SERVERS)
def test_nothing_is_left_on_the_disk(run, directory, server):
    assert run("--server", server)[0] == 0
    assert list(directory.iterdir()) == []


def test_an_attack_that_reaches_the_program_makes_the_demo_fail(run, monkeypatch):
    monkeypatch.setattr(attacks, "change_one_octet", lambda stanza: stanza)
    code, out, _ = run()
    assert code == 1
    assert "FAILED: One octet is changed: nothing of it reaches the program" in out
    assert "Everything ended as it should" not in out


def test_an_unexpected_reason_makes_the_demo_fail_and_is_named(document, monkeypatch):
    monkeypatch.setattr(attacks, "JULIET", "mallory@localhost/tomb")  # so the certificate names the sender
    code, found = document()
    assert code == 1
    assert found["summary"]["ok"] is False
    assert "A stranger claims to be Juliet: nothing of it reaches the program" in (found["summary"]["failed"])
    assert not attack_named(found, "A stranger claims to be Juliet")["ok"]


def test_text_on_the_wire_makes_the_demo_fail(document, monkeypatch):
    options = Certificates.options

    def in_clear(self, name, *, knows):
        return options(self, name, knows=knows) | {"policy": {"*": "off"}}

    monkeypatch.setattr(Certificates, "options", in_clear)
    monkeypatch.setattr(stage, "PATIENCE", 0.5)
    code, found = document()
    assert code == 1
    failed = "\n".join(found["summary"]["failed"])
    assert "A message: nothing of it can be read on the wire" in failed
    assert "A message: it is encrypted, signed, trusted and fresh" in failed
    assert "All in all: no text that was sent stands anywhere on the wire" in failed


def test_a_server_that_is_not_installed_is_said_so(run, monkeypatch):
    monkeypatch.setattr(prosody.shutil, "which", lambda *_, **__: None)
    code, out, err = run("--server", "prosody")
    assert code == 1
    assert not out
    assert "not installed" in err
    assert "apt install prosody" in err


def test_exactly_one_octet_is_changed_and_it_stays_base64():
    stanza = b"<message><e2e>Content-Transfer-Encoding: base64\n\nAAAA\nBBBB\n</e2e></message>"
    changed = change_one_octet(stanza)
    assert [(old, new) for old, new in zip(stanza, changed, strict=True) if old != new] == [
        (ord("B"), ord("A"))
    ]
    assert change_one_octet(b"<message/>") == b"<message/>"


def test_who_has_read_enough_hears_no_complaint():
    """As with `slixmpp-e2e demo | head -5`."""
    readable, writable = os.pipe()
    os.close(readable)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "slixmpp_e2e", "demo"],
            stdout=writable,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writable)
    assert (done.returncode, done.stderr) == (1, b"")
