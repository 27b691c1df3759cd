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
#: Belong to later work: delayed delivery in full, the 2003 draft, revocation and path rules, objenc.
LATER = ("time-delay", "opt-early", "neg-cert", "objenc")


def collection() -> Path:
    """Return the directory of the largest collection at hand."""
    candidates = [os.environ.get("E2E_VECTORS", ""), HERE.parents[2] / "shared" / "vectors"]
    return next((Path(each) for each in candidates if each and (Path(each) / "manifest.json").exists()), HERE)


BASE = collection()
MANIFEST = json.loads((BASE / "manifest.json").read_text())


def is_message(vector: dict) -> bool:
    """Tell whether all its outer stanzas are messages."""
    steps = [step for step in vector["steps"] if "file" in step]
    return all(
        judge.re.search(rb"<(?:\w+:)?(message|presence|iq)\b", read(step))[1] == b"message" for step in steps
    )


def read(step: dict) -> bytes:
    return (BASE / step["file"]).read_bytes()


VECTORS = [
    vector for vector in MANIFEST["vectors"] if not vector["area"].startswith(LATER) and is_message(vector)
]
RESULTS: dict[str, dict] = {}


@pytest.fixture(scope="session")
def adapter() -> Iterator[Adapter]:
    built = Adapter(BASE)
    yield built
    built.close_receivers()
    built.loop.close()


def run(vector: dict, adapter: Adapter) -> dict:
    if vector["id"] not in RESULTS:
        RESULTS[vector["id"]] = judge.run_vector(adapter, MANIFEST, vector, BASE)
        adapter.close_receivers()
    return RESULTS[vector["id"]]


def test_there_are_as_many_vectors_as_there_should_be():
    assert len(VECTORS) >= 320


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_vector_ends_as_its_manifest_says(vector, adapter):
    result = run(vector, adapter)
    assert result["status"] == "pass", (vector["title"], result)


def test_no_negative_vector_passes_because_its_positive_control_fails_too(adapter):
    known = {vector["id"]: vector for vector in VECTORS}
    vacuous = [
        vector["id"]
        for vector in VECTORS
        if (control := known.get(vector.get("control", ""))) and not all(run(control, adapter)["delivered"])
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
