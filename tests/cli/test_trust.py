"""The program's commands for people who decide about certificates: fingerprint, trust."""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.store import CERTIFICATES_PER_JID
from slixmpp_e2e.certificates.trust import Authority, UntrustedError
from slixmpp_e2e.cli import fingerprints
from slixmpp_e2e.cli.peer_store import store_path
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection
from slixmpp_e2e.report import Trust
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.pki import MOMENT

ROOT = Path(__file__).parent.parent.parent
JULIET = "juliet@example.com"
ROMEO = "romeo@example.net"
STORE = ("--store", "sqlite:///peers.db")
OTHER = ("--store", "other.db")
NOW = ("--now", f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}")


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch, pki):
    """Each test has a directory of its own with certificates, and is in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("juliet", "romeo", "p-256"):
        Path(f"{name}.crt").write_bytes(pki[name].pem + pki.intermediate.pem)
    return tmp_path


@pytest.fixture
def print_(pki):
    return pki["juliet"].parsed.fingerprint.hex()


def kept(path="peers.db"):
    store = SQLiteStore(Path(path))
    found = {(jid, fingerprint.hex()): trust for jid, fingerprint, trust in store.all_decisions()}
    store.close()
    return found


def learn(pki, name="juliet", jid=JULIET, path="peers.db"):
    """Let a store learn a certificate, as the plugin does it."""
    store = SQLiteStore(Path(path))
    store.add_certificate(jid, (pki[name].der, pki.intermediate.der))
    store.close()


class TestFingerprint:
    def test_it_is_printed_in_groups_and_as_a_uri(self, run, print_):
        code, output, errors = run("fingerprint", "juliet.crt")
        assert (code, errors) == (0, "")
        jid, first, second, uri = output.splitlines()
        assert (jid, uri) == (JULIET, f"xmpp:{JULIET}?e2e;sha256={print_}")
        assert re.fullmatch(r"  ([0-9A-F]{4} ){7}[0-9A-F]{4}", first)
        assert (first + second).replace(" ", "").lower() == print_

    def test_the_uri_of_a_jid_in_another_alphabet_is_ascii_and_reads_back(self):
        jid = "j\u00fcliet#1@v\u00e9rone.example"
        uri = fingerprints.fingerprint_uri(jid, bytes(32))
        assert uri.isascii()
        assert uri.startswith("xmpp:j%C3%BCliet%231@xn--")
        assert fingerprints.read_fingerprint_uri(uri) == (jid, bytes(32))

    @pytest.mark.parametrize(
        "uri",
        [
            f"xmpp:{JULIET}",
            f"xmpp:{JULIET}?message;sha256={'0' * 64}",
            f"xmpp:{JULIET}?e2e;sha256={'0' * 63}",
            f"xmpp:{JULIET}?e2e;sha256={'0' * 64};sha256={'1' * 64}",
            f"im:{JULIET}?e2e;sha256={'0' * 64}",
            f"xmpp:?e2e;sha256={'0' * 64}",
        ],
    )
    def test_a_uri_of_another_form_is_none(self, uri):
        with pytest.raises(ValueError, match=r"form|digits|address|URI"):
            fingerprints.read_fingerprint_uri(uri)

    def test_a_certificate_that_names_somebody_else_is_refused(self, run):
        assert run("fingerprint", "juliet.crt", "--jid", ROMEO)[0] == 1
        assert run("fingerprint", "juliet.crt", "--jid", f"{JULIET}/balcony")[0] == 0

    def test_a_qr_code_has_the_uri_in_it(self, run, print_):
        import segno

        code, output, _ = run("fingerprint", "juliet.crt", "--qr")
        drawn = [line for line in output.splitlines() if set(line) <= set(" \u2580\u2584\u2588") and line]
        halves = {" ": (1, 1), "\u2580": (0, 1), "\u2584": (1, 0), "\u2588": (0, 0)}
        rows = [[halves[each][half] for each in line] for line in drawn for half in (0, 1)]
        assert code == 0
        expected = [list(map(int, row)) for row in
                    segno.make_qr(f"xmpp:{JULIET}?e2e;sha256={print_}").matrix_iter(border=4)]  # fmt: skip
        assert rows[: len(expected)] == expected

    def test_a_terminal_without_blocks_gets_it_in_colours(self):
        done = subprocess.run(
            [sys.executable, "-m", "slixmpp_e2e", "fingerprint", "juliet.crt", "--qr"],
            env={"PYTHONPATH": ":".join([str(ROOT), *sys.path]), "PYTHONIOENCODING": "ascii"},
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0
        assert b"\x1b[7m" in done.stdout
        assert b"\\u2588" not in done.stdout

    def test_without_the_library_it_says_what_to_install_and_prints_nothing(self, run, monkeypatch):
        monkeypatch.setitem(sys.modules, "segno", None)
        code, output, errors = run("fingerprint", "juliet.crt", "--qr")
        assert (code, output) == (2, "")
        assert "pip install 'slixmpp_e2e[demo]'" in errors

    @given(
        st.binary(min_size=32, max_size=32),
        st.sampled_from(["", " ", ":", "-", "\n  ", ". "]),
        st.integers(1, 64),
    )
    def test_every_grouping_is_the_same_fingerprint(self, fingerprint, separator, size):
        for digits in (fingerprint.hex(), fingerprint.hex().upper()):
            text = separator.join(digits[at : at + size] for at in range(0, 64, size))
            assert fingerprints.read_fingerprint(text) == fingerprint
            assert fingerprints.read_fingerprint(fingerprints.grouped(fingerprint)) == fingerprint
            for wrong in (text[:-1], f"{text}0", f"{text[:-1]}g"):
                with pytest.raises(ValueError, match="64 hexadecimal digits"):
                    fingerprints.read_fingerprint(wrong)


class TestSeeing:
    def test_list_shows_decisions_and_what_was_only_learned(self, run, pki, print_):
        learn(pki)
        run("trust", "distrust", ROMEO, "ab" * 32, *STORE)
        code, output, _ = run("trust", "list", *STORE, *NOW)
        assert code == 0
        assert output.startswith(f"{JULIET}\n  -          ")
        assert "distrusted ABAB ABAB" in output
        assert "valid until" in output
        assert "the certificate itself is not known" in output
        found = json.loads(run("trust", "list", *STORE, "--json")[1])
        assert [(each["jid"], each["decision"], each["known"]) for each in found] == [
            (JULIET, None, True),
            (ROMEO, "distrusted", False),
        ]
        assert found[0]["sha256"] == print_

    def test_list_says_what_is_expired(self, run, pki):
        learn(pki)
        assert "EXPIRED" in run("trust", "list", *STORE, "--now", "2099-01-01T00:00:00Z")[1]
        assert "not valid before" in run("trust", "list", *STORE, "--now", "1999-01-01T00:00:00Z")[1]

    def test_an_empty_store_is_said_to_be_empty(self, run):
        SQLiteStore(Path("peers.db")).close()
        assert run("trust", "list", *STORE)[:2] == (0, "Nothing is decided, and no certificate is known.\n")
        assert run("trust", "list", *STORE, "--json")[1] == "[]\n"
        assert run("trust", "show", JULIET, *STORE)[0] == 1

    def test_show_has_fingerprint_decision_and_certificate(self, run, pki, print_):
        learn(pki)
        run("trust", "verify", JULIET, print_, *STORE)
        code, output, _ = run("trust", "show", JULIET, *STORE, "--qr")
        assert code == 0
        for part in (f"?e2e;sha256={print_}", "decided: verified", "\u2588", "for signing"):
            assert part in output

    @pytest.mark.parametrize("command", [("list",), ("show", JULIET), ("verify", JULIET, "ab" * 32)])
    def test_a_store_that_is_not_there_is_an_error_and_is_not_made(self, run, command):
        code, _, errors = run("trust", *command, *STORE)
        assert code == 2
        assert "There is no store peers.db" in errors
        assert not Path("peers.db").exists()
        assert run("trust", *command)[0] == 2
        assert run("trust", *command, "--store", "postgresql://somewhere")[0] == 2
        status, _, complaint = run("trust", *command, "--store", "postgresql://e2e:SECRET@somewhere/e2e")
        assert status == 2
        assert "can't wait" in complaint
        assert "SECRET" not in complaint

    def test_the_store_beside_a_key_is_the_one_that_the_plugin_makes(self, pki):
        Path("juliet.key").write_bytes(pki["juliet"].key_pem)
        options = {"certificate": "juliet.crt", "private_key": "juliet.key", "trust": "tofu"}
        build_protection({**DEFAULTS, **options}).store.close()
        assert store_path(None, Path("juliet.key")).exists()


class TestDeciding:
    @pytest.mark.parametrize(
        "form",
        [
            lambda digits: [digits],
            lambda digits: [":".join(re.findall("..", digits.upper()))],
            lambda digits: re.findall("....", digits),
            lambda digits: [f"xmpp:{JULIET}?e2e;sha256={digits}"],
        ],
        ids=["digits", "colons", "groups", "URI"],
    )
    def test_verify_takes_the_whole_fingerprint_in_any_form(self, run, pki, print_, form):
        learn(pki)
        code, output, _ = run("trust", "verify", JULIET, *form(print_), *STORE)
        assert code == 0
        assert "nothing decided -> verified" in output
        assert kept() == {(JULIET, print_): Trust.VERIFIED}

    def test_verify_takes_no_part_of_it_and_no_other(self, run, pki, print_):
        learn(pki)
        for text in (print_[:63], print_ + "0", print_[:16], "x" * 64, f"xmpp:{ROMEO}?e2e;sha256={print_}"):
            assert run("trust", "verify", JULIET, text, *STORE)[0] == 2
        code, _, errors = run("trust", "verify", JULIET, "ab" * 32, *STORE)
        assert code == 1
        assert print_[:4].upper() in errors  # what is known, to compare with
        assert run("trust", "verify", ROMEO, print_, *STORE)[0] == 1
        assert kept() == {}

    def test_a_fingerprint_that_is_only_pinned_can_not_be_verified(self, run):
        assert run("trust", "pin", JULIET, "ab" * 32, *STORE)[0] == 0
        assert run("trust", "verify", JULIET, "ab" * 32, *STORE)[0] == 1
        assert kept() == {(JULIET, "ab" * 32): Trust.PINNED}

    def test_what_is_pinned_from_a_file_is_believed_from_then_on(self, run, pki, print_):
        code, output, errors = run("trust", "pin", JULIET, "juliet.crt", *STORE)
        assert (code, errors) == (0, "")
        assert "-> pinned" in output
        assert stat.S_IMODE(Path("peers.db").stat().st_mode) == 0o600
        store = SQLiteStore(Path("peers.db"))
        judged = Authority(store).judge(JULIET, pki["juliet"].parsed, at=MOMENT, purpose="sign")
        assert judged.trust is Trust.PINNED
        assert store.certificates(JULIET) == ((pki["juliet"].der, pki.intermediate.der),)
        store.close()

    def test_a_fingerprint_is_pinned_before_its_certificate_is_known(self, run, print_):
        code, _, errors = run("trust", "pin", JULIET, print_, *STORE)
        assert code == 0
        assert "no certificate" in errors

    def test_nothing_is_pinned_for_whom_the_certificate_does_not_name(self, run):
        code, _, errors = run("trust", "pin", JULIET, "romeo.crt", *STORE)
        assert code == 1
        assert ROMEO in errors
        code, _, errors = run("trust", "pin", JULIET, "missing.crt", *STORE)
        assert code == 2
        assert "neither a file nor" in errors
        assert not Path("peers.db").exists()

    def test_what_is_distrusted_stays_so_until_it_is_forgotten(self, run, pki, print_):
        learn(pki)
        assert run("trust", "distrust", JULIET, print_, *STORE)[0] == 0
        store = SQLiteStore(Path("peers.db"))
        with pytest.raises(UntrustedError, match="distrusted"):
            Authority(store).judge(JULIET, pki["juliet"].parsed, at=MOMENT, purpose="sign")
        store.close()
        for command in ("verify", "pin"):
            code, _, errors = run("trust", command, JULIET, print_, *STORE)
            assert code == 1
            assert "trust forget" in errors
        assert run("trust", "pin", JULIET, "juliet.crt", *STORE)[0] == 1
        assert kept() == {(JULIET, print_): Trust.DISTRUSTED}
        assert "distrusted -> nothing decided" in run("trust", "forget", JULIET, print_, *STORE)[1]
        assert kept() == {}
        assert run("trust", "forget", JULIET, print_, *STORE)[0] == 1
        assert run("trust", "verify", JULIET, print_, *STORE)[0] == 0

    @pytest.mark.parametrize("command", ["distrust", "forget"])
    def test_who_is_no_longer_pinned_is_named(self, run, print_, command):
        for digits in (print_, "ab" * 32):
            run("trust", "pin", JULIET, digits, *STORE)
        assert "Note:" not in run("trust", command, JULIET, print_, *STORE)[2]
        assert "nothing is pinned any more" in run("trust", command, JULIET, "ab" * 32, *STORE)[2]

    def test_who_is_verified_is_no_longer_pinned_and_told_so(self, run, print_):
        run("trust", "pin", JULIET, "juliet.crt", *STORE)
        code, _, errors = run("trust", "verify", JULIET, print_, *STORE)
        assert (code, "nothing is pinned any more" in errors) == (0, True)
        assert "Note:" not in run("trust", "verify", JULIET, print_, *STORE)[2]

    def test_others_that_are_believed_beside_the_pinned_one_are_named(self, run, print_):
        assert "Note: one of" not in run("trust", "pin", JULIET, "juliet.crt", *STORE)[2]
        assert "Note: one of" not in run("trust", "pin", JULIET, print_, *STORE)[2]
        run("trust", "verify", JULIET, print_, *STORE)
        errors = run("trust", "pin", JULIET, "ab" * 32, *STORE)[2]
        assert "that was verified before is believed as well" in errors
        run("trust", "distrust", JULIET, print_, *STORE)
        assert "Note: one of" not in run("trust", "pin", JULIET, "ab" * 32, *STORE)[2]


class TestFile:
    @pytest.fixture
    def exported(self, run, pki, print_):
        learn(pki)
        run("trust", "verify", JULIET, print_, *STORE)
        run("trust", "distrust", ROMEO, "ab" * 32, *STORE)
        assert run("trust", "export", "peers.json", *STORE)[0] == 0
        return json.loads(Path("peers.json").read_text())

    def test_what_was_exported_is_the_same_after_its_import(self, run, pki, exported, print_):
        assert stat.S_IMODE(Path("peers.json").stat().st_mode) == 0o600
        assert exported["format"] == "slixmpp-e2e trust 1"
        assert exported["peers"][0]["decisions"] == {print_: "verified"}
        code, output, _ = run("trust", "import", "peers.json", *OTHER)
        assert code == 0
        assert output.endswith("decisions: 2 changed, 0 kept back; certificates: 1 added\n")
        assert kept("other.db") == kept()
        assert run("trust", "export", "-", *OTHER)[1] == Path("peers.json").read_text()
        assert "decisions: 0 changed" in run("trust", "import", "peers.json", *OTHER)[1]

    def test_export_replaces_no_file_unless_told_to(self, run, exported):
        assert run("trust", "export", "peers.json", *STORE)[0] == 1
        assert run("trust", "export", "peers.json", *STORE, "--force")[0] == 0

    def test_a_dry_run_changes_nothing(self, run, exported):
        assert run("trust", "import", "peers.json", *OTHER, "--dry-run")[0] == 2  # and makes no store
        SQLiteStore(Path("other.db")).close()
        code, output, _ = run("trust", "import", "peers.json", *OTHER, "--dry-run")
        assert code == 0
        assert "decisions: 2 would be changed" in output
        assert kept("other.db") == {}

    @pytest.mark.parametrize(
        ("before", "after", "merged"),
        [
            ("distrusted", "verified", "distrusted"),
            ("distrusted", "tofu", "distrusted"),
            ("verified", "tofu", "verified"),
            ("verified", "pinned", "verified"),
            ("pinned", "verified", "pinned"),
            ("tofu", "verified", "verified"),
            ("tofu", "pinned", "pinned"),
            ("verified", "distrusted", "distrusted"),
            ("pinned", "distrusted", "distrusted"),
        ],
    )
    def test_the_more_careful_decision_counts_unless_forced(self, run, print_, before, after, merged):
        self.write({print_: after})
        self.decide(print_, before)
        code, output, _ = run("trust", "import", "peers.json", *STORE)
        assert code == int(merged == before)
        assert (f"stays {before}" in output) is (merged == before)
        assert kept() == {(JULIET, print_): merged}
        assert run("trust", "import", "peers.json", *STORE, "--force")[0] == 0
        assert kept() == {(JULIET, print_): after}

    @pytest.mark.parametrize(
        ("before", "after", "is_taken"),
        [
            ("pinned", "verified", False),
            ("pinned", "tofu", False),
            ("verified", "tofu", False),
            ("verified", "pinned", True),
            ("distrusted", "tofu", True),
            ("pinned", "distrusted", True),
        ],
    )
    def test_another_certificate_is_not_believed_beside_a_pinned_one(self, run, before, after, is_taken):
        self.write({"cd" * 32: after})
        self.decide("ab" * 32, before)
        assert run("trust", "import", "peers.json", *STORE)[0] == int(not is_taken)
        assert ((JULIET, "cd" * 32) in kept()) is is_taken

    def test_a_first_use_is_not_raised_beside_a_pinned_certificate(self, run, print_):
        self.write({print_: "verified"})
        self.decide(print_, "tofu")
        self.decide("ab" * 32, "pinned")
        assert run("trust", "import", "peers.json", *STORE)[0] == 1
        assert kept()[JULIET, print_] is Trust.TOFU

    def test_no_certificate_has_to_go_for_one_of_the_file(self, run, pki, exported):
        store = SQLiteStore(Path("other.db"))
        for number in range(CERTIFICATES_PER_JID):
            store.add_certificate(JULIET, (bytes([0x30, 1, number]),))
        before = store.certificates(JULIET)
        run("trust", "import", "peers.json", *OTHER)
        assert store.certificates(JULIET) == before
        store.close()

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (lambda file: file.update(format="slixmpp-e2e trust 2"), "format"),
            (lambda file: file.update(more=1), "members"),
            (lambda file: file.update(peers={}), "no list"),
            (lambda file: file["peers"].append(file["peers"][0]), "twice"),
            (lambda file: file["peers"][0].update(jid="Juliet@example.com"), "bare JID"),
            (lambda file: file["peers"][0].update(jid=ROMEO), "does not name"),
            (lambda file: file["peers"][0].update(decisions=[]), "no object"),
            (lambda file: file["peers"][0].update(decisions={"ab": "verified"}), "64"),
            (lambda file: file["peers"][0].update(decisions={"ab" * 32: "pkix"}), "decided"),
            (lambda file: file["peers"][0].update(decisions={"ab" * 32: ["verified"]}), "verified"),
            (lambda file: file["peers"][0].update(certificates=["", ""]), "PEM"),
            (lambda file: file["peers"][0].update(certificates=[1]), "PEM"),
            (lambda file: file["peers"][0]["certificates"].extend(file["peers"][0]["certificates"] * 8), "more"),
            (lambda file: file["peers"][0].pop("decisions"), "a peer has"),
        ],
    )  # fmt: skip
    def test_a_file_that_is_not_what_it_must_be_changes_nothing(self, run, exported, change, problem):
        exported["peers"] = exported["peers"][:1]
        change(exported)
        Path("peers.json").write_text(json.dumps(exported))
        code, output, errors = run("trust", "import", "peers.json", *OTHER)
        assert (code, output) == (2, "")
        assert problem in errors
        assert not Path("other.db").exists()

    @pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", '{"a": 1, "a": 2}', "\udcff"])
    def test_what_is_no_such_json_is_refused(self, run, text):
        Path("peers.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        assert run("trust", "import", "peers.json", *OTHER)[0] == 2

    def write(self, decisions):
        peers = [{"jid": JULIET, "decisions": decisions, "certificates": []}]
        Path("peers.json").write_text(json.dumps({"format": "slixmpp-e2e trust 1", "peers": peers}))

    def decide(self, digits, trust):
        store = SQLiteStore(Path("peers.db"))
        store.decide(JULIET, bytes.fromhex(digits), Trust(trust))
        store.close()


def test_each_command_has_its_help(run):
    for command in ("list", "show", "verify", "pin", "distrust", "forget", "export", "import"):
        assert run("trust", command, "--help")[0] == 0


def test_the_page_names_every_command():
    page = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
    for word in (
        "fingerprint",
        "trust",
        "doctor",
        "list",
        "show JID",
        "forget JID FINGERPRINT",
        "import FILE",
    ):
        assert f"`{word}`" in page
