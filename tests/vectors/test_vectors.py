"""Every stanza that others made ends as its manifest says."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import judge
from .adapter import Adapter

HERE = Path(__file__).parent
#: RFC 3922 5.2.10 prints `<show>dnd</show>` for what the manifest would rather drop (ERRATA P06).
#: What nobody signed has no order: anybody may date it as he likes (docs/objenc.md).
OTHERWISE = {
    "xml-pidf-im-unknown": ["step 1: show 'dnd'"],
    "obj-b-seq-decreasing": ["step 2: delivered without a timestamp mark (want ['decreasing'])"],
}
#: Layouts of draft-miller-3923bis-02 that no option of the plugin makes it read (ERRATA B05); test_objenc.py does.
NOT_READ = ("obj-c-", "obj-d-")


def collection() -> Path:
    """Return the directory of the largest collection at hand."""
    candidates = [os.environ.get("E2E_VECTORS", ""), HERE.parents[2] / "shared" / "vectors"]
    return next((Path(each) for each in candidates if each and (Path(each) / "manifest.json").exists()), HERE)


BASE = collection()
MANIFEST = json.loads((BASE / "manifest.json").read_text())


VECTORS = MANIFEST["vectors"]
RESULTS: dict[str, dict] = {}


@pytest.fixture(scope="session")
def adapter() -> Iterator[Adapter]:
    built = Adapter(BASE)
    yield built
    built.close_receivers()
    built.loop.close()


def as_run(vector: dict) -> dict:
    """Return a vector with what it takes for granted: PKCS #1 v1.5 is read by policy only (ERRATA B06)."""
    asks = vector["id"].startswith("obj-") and (vector["id"].endswith("-pkcs1") or "-bb-" in vector["id"])
    return {**vector, "receiver": {**vector.get("receiver", {}), "allow_objenc_pkcs1": asks}}


def run(vector: dict, adapter: Adapter) -> dict:
    if vector["id"] not in RESULTS:
        RESULTS[vector["id"]] = judge.run_vector(adapter, MANIFEST, as_run(vector), BASE)
        adapter.close_receivers()
    return RESULTS[vector["id"]]


def test_there_are_as_many_vectors_as_there_should_be():
    assert len(VECTORS) >= 586


def assert_nothing_is_read(result: dict) -> None:
    """Assert that all is refused, and that nothing else is wrong with that."""
    assert not any(result["delivered"])
    assert all("not delivered" in each for each in result["fails"]), result


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_vector_ends_as_its_manifest_says(vector, adapter):
    result = run(vector, adapter)
    if vector["id"].startswith(NOT_READ):
        assert_nothing_is_read(result)
    elif vector["id"] in OTHERWISE:
        assert (result["status"], result["fails"]) == ("fail", OTHERWISE[vector["id"]])
    else:
        assert result["status"] == "pass", (vector["title"], result)


@pytest.mark.requirement("early-1", "early-2", "early-3", "early-4")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("early-msg-signenc", {"kind": "message", "body": "Wherefore art thou, Romeo?"}),
        ("early-pres-sign", {"kind": "presence", "show": "away", "status": "retired to the chamber"}),
    ],
)
def test_the_draft_of_2003_is_read_where_a_policy_allows_it(name, expected, adapter, tmp_path):
    vector = next(vector for vector in VECTORS if vector["id"] == name)
    for allowed in (True, False):
        state = tmp_path / str(allowed)
        state.mkdir()
        receiver = adapter.new({**judge.config(MANIFEST, vector), "early_draft": allowed}, state)
        step = vector["steps"][0]
        delivered = receiver.receive((BASE / step["file"]).read_bytes(), step["clock"])["delivered"]
        assert len(delivered) == allowed
        for found in delivered:
            assert (found["signer"], found["timestamp"]) == ("juliet@example.com", "ok")
            assert {key: found[key] for key in expected} == expected


@pytest.mark.requirement("6120-13.7.2-1")
@pytest.mark.parametrize(
    ("name", "crls", "check", "delivered"),
    [
        ("cert-revoked-nocrl", ["int", "root"], True, False),
        ("cert-revoked-nocrl", ["int"], True, False),
        ("cert-revoked-nocrl", ["root"], True, True),
        ("cert-revoked-nocrl", [], True, True),
        ("cert-revoked-nocrl", ["int"], False, True),
        ("cert-revoked-nocrl", ["int-stale"], True, True),
        ("cert-revoked-nocrl", ["int-stale", "int-forged", "int"], True, False),
        ("sign-sha256-lf", ["int-forged"], True, True),  # it names the good certificate
    ],
)
def test_a_certificate_is_refused_where_a_valid_list_names_it(
    name, crls, check, delivered, adapter, tmp_path
):
    """With the lists of the collection: true, old and forged ones."""
    vector = next(vector for vector in VECTORS if vector["id"] == name)
    config = judge.config(MANIFEST, vector)
    config["crls"] = [f"pki/{each}.crl" for each in crls]
    config["options"]["check_crl"] = check
    step = vector["steps"][0]
    found = adapter.new(config, tmp_path).receive((BASE / step["file"]).read_bytes(), step["clock"])
    assert len(found["delivered"]) == delivered
    assert found["why"].startswith("" if delivered else "revoked")


def test_no_negative_vector_passes_because_its_positive_control_fails_too(adapter):
    known = {vector["id"]: vector for vector in VECTORS}
    vacuous = [
        vector["id"]
        for vector in VECTORS
        if (control := known.get(vector.get("control", "")))
        and control["steps"][0]["expect"]["verdict"] == "accept"  # else it is an optional feature
        and not all(run(control, adapter)["delivered"])
    ]
    assert not vacuous


def test_enough_alternatives_of_ambiguous_formats_are_accepted(adapter):
    groups = defaultdict(list)
    for vector in VECTORS:
        if "alt_group" in vector:
            groups[vector["alt_group"]["name"], vector["alt_group"]["min_accept"]].append(vector)
    assert groups
    for (name, least), members in groups.items():
        accepted = [vector["id"] for vector in members if all(run(vector, adapter)["delivered"])]
        assert len(accepted) >= least, name


def test_every_failure_of_one_group_looks_the_same_to_the_network(adapter):
    groups = defaultdict(dict)
    for vector in VECTORS:
        if "oracle_group" in vector:
            result = run(vector, adapter)
            outcome = str((result["fp"][-1], result["delivered"][-1]))
            groups[vector["oracle_group"]].setdefault(outcome, []).append(vector["id"])
    assert groups["rfc3923-enc"]
    assert {name: outcomes for name, outcomes in groups.items() if len(outcomes) > 1} == {}
