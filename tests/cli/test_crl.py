"""The program's commands for revocation lists in the store."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.certificates.building import LISTED, new_key, revocation_list
from tests.cli.test_trust import STORE
from tests.pki import MOMENT

CA = ("--ca", "ca.pem")
NOW = ("--now", f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}")


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch, pki):
    """Each test has a directory of its own with the CAs' certificates, and is in it."""
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").write_bytes(pki.root.pem + pki.intermediate.pem)
    return tmp_path


def write(name, der):
    Path(name).write_bytes(der)
    return name


def kept():
    store = SQLiteStore(Path("peers.db"))
    found = list(store.revocation_lists())
    store.close()
    return found


def test_what_a_ca_signed_is_kept_and_shown(run, pki):
    lists = [revocation_list(pki.root), revocation_list(pki.intermediate, pki["juliet"], number=7)]
    files = [write(f"{place}.crl", der) for place, der in enumerate(lists)]
    code, out, _ = run("crl", "import", *files, *CA, *STORE)
    assert (code, out.count("kept")) == (0, 2)
    assert kept() == lists
    code, out, _ = run("crl", "list", "--json", *NOW, *STORE)
    shown = json.loads(out)
    assert [(each["number"], each["entries"], each["state"]) for each in shown] == [
        (1, 0, "current"),
        (7, 1, "current"),
    ]
    code, out, _ = run("crl", "list", *NOW, *STORE)
    assert "list 7, 1 revoked" in out


def test_nothing_older_replaces_what_is_kept(run, pki):
    new = revocation_list(pki.intermediate, pki["juliet"], number=7)
    old = revocation_list(pki.intermediate, number=6)
    assert run("crl", "import", write("new.crl", new), *CA, *STORE)[0] == 0
    code, out, _ = run("crl", "import", write("old.crl", old), "new.crl", *CA, *STORE)
    assert (code, out.count("not kept: as new a list")) == (0, 2)
    assert kept() == [new]
    newer = revocation_list(pki.intermediate, number=8)
    assert run("crl", "import", write("newer.crl", newer), *CA, *STORE)[0] == 0
    assert kept() == [newer]


def test_what_nobody_signed_is_not_kept(run, pki):
    forged = write("forged.crl", revocation_list(pki.intermediate, key=new_key()))
    code, out, _ = run("crl", "import", forged, *CA, *STORE)
    assert (code, "none of the CAs signed it" in out, kept()) == (1, True, [])


def test_an_expired_one_is_shown_as_such(run, pki):
    old = write("old.crl", revocation_list(pki.intermediate, until=LISTED + timedelta(hours=1)))
    assert run("crl", "import", old, *CA, *STORE)[0] == 0
    (shown,) = json.loads(run("crl", "list", "--json", "--now", "2100-01-01T00:00:00Z", *STORE)[1])
    assert shown["state"] == "expired"


def test_a_file_that_is_none_and_a_store_that_is_missing_are_wrong_input(run):
    assert run("crl", "import", write("no.crl", b"no list"), *CA, *STORE)[0] == 2
    assert run("crl", "list", "--store", "nowhere.db")[0] == 2


def test_an_empty_store_says_so(run, pki):
    SQLiteStore(Path("peers.db")).close()
    assert run("crl", "list", *STORE)[1] == "No revocation list is kept.\n"
