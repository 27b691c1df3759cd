"""A slice of `make fuzz-readers`, without atheris: no reader raises anything but what it says."""

import os
import random
import re
import time
from pathlib import Path

import pytest

from slixmpp_e2e.cms.asn1 import Reader, ber_to_der, sequence
from tests.fuzz.corpora import Corpus
from tests.fuzz.der import places
from tests.fuzz.mutations import Mutator
from tests.fuzz.readers import _SEEDS, Readers, Target
from tests.fuzz.running import LONGEST, FindingError, run_target
from tests.pki import PKI

EXECUTIONS = int(os.environ.get("E2E_FUZZ_READERS", "100"))


@pytest.fixture(scope="module")
def targets(pki: PKI, corpus: Corpus) -> dict[str, Target]:
    return Readers(pki, corpus).targets


@pytest.mark.parametrize("name", _SEEDS)
def test_no_input_makes_a_reader_raise_anything_but_its_own_errors_or_take_long(targets, name):
    run = run_target(targets[name], EXECUTIONS)
    assert run.executions == EXECUTIONS
    assert run.slowest < LONGEST


@pytest.mark.parametrize("name", _SEEDS)
def test_a_reader_has_something_to_start_from(targets, name):
    assert len(targets[name].seeds) >= 2


def test_make_fuzz_runs_every_file_with_properties():
    root = Path(__file__).parents[2]
    (command,) = re.findall(r"^fuzz:.*\n\t((?:.*\\\n)*.*)", (root / "Makefile").read_text(), re.MULTILINE)
    named = [root / word for word in command.split() if word.startswith("tests/")]
    properties = re.compile(r"^ *@given", re.MULTILINE)
    found = [each for each in root.glob("tests/**/test_*.py") if properties.search(each.read_text())]
    assert len(found) > 40
    assert all(each.exists() for each in named)
    assert [each for each in found if not any(each.is_relative_to(name) for name in named)] == []


class TestHarness:
    """It notices, and it does the same for the same seed."""

    def test_an_unexpected_exception_is_a_finding_with_its_input(self):
        def read(data: bytes) -> None:
            assert b"b" not in data

        with pytest.raises(FindingError, match="YWJj") as caught:
            run_target(Target("x", read, (b"abc",)), 0)
        assert caught.value.data == b"abc"

    def test_a_slow_input_is_a_finding(self, monkeypatch):
        monkeypatch.setattr("tests.fuzz.running.LONGEST", 0.001)

        def read(_data: bytes) -> None:
            begin = time.process_time()
            while time.process_time() - begin < 0.01:
                pass

        with pytest.raises(FindingError, match="seconds"):
            run_target(Target("x", read, (b"abc",)), 0)

    def test_the_same_seed_draws_the_same_inputs(self, corpus):
        drawn = [
            [Mutator(corpus["signed"][:5], random.Random(seed)).draw() for _ in range(50)]
            for seed in (1, 1, 2)
        ]
        assert drawn[0] == drawn[1] != drawn[2]

    def test_most_of_what_is_drawn_differs_and_much_of_it_is_still_der(self, corpus):
        seeds = corpus["certificate"]
        drawn = [mutator.draw() for mutator in [Mutator(seeds, random.Random(1))] for _ in range(500)]
        assert sum(each in seeds for each in drawn) < 50
        assert sum(bool(places(each)) for each in drawn) > 200

    def test_a_value_is_replaced_with_the_lengths_around_it(self):
        data = sequence(sequence(b"\x04\x03abc"), b"\x02\x01\x05")
        (inner,) = (each for each in places(data) if data[each.start] == 0x04)
        changed = inner.replace(data, b"\x04\x82\x01\x00" + bytes(256))
        assert ber_to_der(changed) == (changed, len(changed))
        assert Reader(changed).enter().enter().contents(0x04) == bytes(256)
