"""From the first command to the stanza that arrives, for keys that come in pairs: Ed25519 and X25519."""

import json
from pathlib import Path

import pytest

from slixmpp_e2e.cli import main

JULIET, ROMEO = "juliet@example.com", "romeo@example.net"
MESSAGE = f"<message from='{JULIET}/balcony' to='{ROMEO}/orchard' id='m1'><body>Romeo?</body></message>"


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """Each test has a directory of its own, and is in it."""
    monkeypatch.chdir(tmp_path)
    Path("message.xml").write_text(MESSAGE)
    return tmp_path


@pytest.fixture
def run(capsysbinary):
    """Run a command that has to succeed; returns standard output."""

    def command(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsysbinary.readouterr()
        assert code == 0, captured.err.decode()
        return captured.out.decode()

    return command


def own(jid: str, ending: str = ".crt", *, second: bool = True) -> list[str]:
    found = ["--certificate", f"{jid}{ending}", "--key", f"{jid}.key"]
    if second:
        found += ["--encryption-certificate", f"{jid}.encryption{ending}"]
        found += ["--encryption-key", f"{jid}.encryption.key"]
    return found


def conversation(run, sender: list[str], receiver: list[str], known: list[str]) -> dict:
    Path("sealed.xml").write_text(run("seal", "message.xml", *sender, *known))
    return json.loads(run("open", "sealed.xml", *receiver, "--json"))


def check(found: dict) -> None:
    assert found["verdict"] == "authenticated"
    assert "Romeo?" in found["stanza"]
    report = found["report"]
    assert (report["signature_algorithm"], report["key_management_algorithm"]) == (
        "ed25519",
        "x25519-hkdf-sha256",
    )


def test_a_ca_certifies_both_keys(run):
    run("ca", "Verona CA", "--algorithm", "p-256", "--intermediate")
    for jid in (JULIET, ROMEO):
        run("request", jid, "--algorithm", "ed25519")
        run("sign", f"{jid}.csr", "--ca", "ca")
    anchors = ["--trust-anchors", "ca/ca.crt"]
    found = conversation(
        run,
        [*own(JULIET, ".chain.crt"), *anchors],
        [*own(ROMEO, ".chain.crt"), *anchors],
        ["--peer-certificates", f"{ROMEO}.encryption.chain.crt"],
    )
    check(found)


def test_peers_without_a_ca_pin_both_certificates(run):
    for jid in (JULIET, ROMEO):
        run("keygen", jid, "--algorithm", "ed25519")
    pins = [
        each
        for which in ("", ".encryption")
        for jid in (JULIET, ROMEO)
        for each in ("--pins", f"{jid}{which}.crt")
    ]
    check(conversation(run, [*own(JULIET), *pins], [*own(ROMEO), *pins], []))


def test_without_the_second_key_nothing_is_read(run, capsysbinary):
    for jid in (JULIET, ROMEO):
        run("keygen", jid, "--algorithm", "ed25519")
    pins = [
        each
        for jid in (JULIET, ROMEO)
        for each in ("--pins", f"{jid}.crt", "--pins", f"{jid}.encryption.crt")
    ]
    Path("sealed.xml").write_text(run("seal", "message.xml", *own(JULIET), *pins))
    assert main(["open", "sealed.xml", *own(ROMEO, second=False), *pins]) == 1
    assert "not encrypted to any of our keys" in capsysbinary.readouterr().err.decode()
