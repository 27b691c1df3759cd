"""The measurement of timing does what it says; what it measures is for people to read (docs/timing.md)."""

import random

import pytest

from tests.security import timing_whole_way
from tests.security.paired import Pair, compare, holm, median_interval, wilcoxon
from tests.security.timing_forgeries import KNOWN_TO_DIFFER, REPLAY, RIGHT, WRONG


async def test_every_forgery_is_refused_with_one_answer_and_all_pairs_are_compared(tmp_path) -> None:
    kinds, pairs, guesses = await timing_whole_way.run(2, tmp_path)
    reasons = {row[0]: row[1] for row in kinds.rows}
    assert reasons[RIGHT] == reasons[WRONG] == reasons["bad signature"] == "invalid"
    assert reasons["SignerInfo garbled"] == "malformed"
    assert reasons["no signature"] == "unsigned"
    assert reasons["unknown signer"] == "unknown-signer"
    assert reasons[REPLAY] == "seen"
    assert kinds.notes[0].startswith("2 rounds")
    chosen = len(reasons) - len(KNOWN_TO_DIFFER)
    assert chosen >= 11
    assert len(pairs.rows) == chosen * (chosen - 1) // 2
    assert {"good", "bad"} == {row[1] for row in guesses.rows}


def test_slices_of_other_kinds_are_not_mixed(tmp_path) -> None:
    samples = timing_whole_way.Samples(tmp_path)
    samples.add({"a": timing_whole_way.array("L", [1, 2]), "b": timing_whole_way.array("L", [3, 4])})
    samples.add({"a": timing_whole_way.array("L", [5]), "b": timing_whole_way.array("L", [6])})
    assert {name: list(each) for name, each in samples.load().items()} == {"a": [1, 2, 5], "b": [3, 4, 6]}
    samples.add({"a": timing_whole_way.array("L", [1])})
    with pytest.raises(ValueError, match="other kinds"):
        samples.load()


def test_wilcoxon_of_a_textbook_sample() -> None:
    """Ranks 1 to 10 of which 1, 4 and 5 are negative: W+ = 45, mean 27.5, variance 96.25."""
    differences = [-1, 2, 3, -4, -5, 6, 7, 8, 9, 10]
    assert wilcoxon(differences) == pytest.approx(0.0745, abs=0.0005)
    assert wilcoxon([0, *differences]) == wilcoxon(differences)
    assert wilcoxon([0, 0]) == 1
    assert wilcoxon([1, -1, 2, -2]) == 1
    assert wilcoxon(range(1, 101)) < 1e-15


def test_holm_multiplies_the_smallest_by_all_and_never_turns_the_order_round() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]


def test_the_interval_of_a_median_is_between_two_ranks() -> None:
    """Of 100, the 40th and the 61st (Conover, table A3 and the normal approximation)."""
    assert median_interval(range(1, 101), 0.95) == (40, 61)
    assert median_interval([7], 0.95) == (7, 7)


def test_a_difference_is_found_and_chance_is_not() -> None:
    random.seed(4)
    noise = [random.randrange(10_000) for _ in range(2000)]
    samples = {
        "one": [each + random.randrange(200) for each in noise],
        "same": [each + random.randrange(200) for each in noise],
        "later": [each + random.randrange(200) + 20 for each in noise],
    }
    same, later, _ = compare(samples)
    assert same.p > 0.05
    assert same.interval[0] < 0 < same.interval[1]
    assert later.p < 1e-6
    assert later.interval[0] < -20 < later.interval[1] < 0
    assert later.simultaneous[0] <= later.interval[0]
    assert later.bound == -later.simultaneous[0]


@pytest.mark.parametrize(
    ("p", "bound", "said"),
    [(0.2, 9000, "not significant"), (0.01, 4000, "below the bound"), (0.01, 6000, "ABOVE THE BOUND")],
)
def test_a_verdict(p: float, bound: float, said: str) -> None:
    assert timing_whole_way.verdict(Pair("a", "b", 0, (0, 0), (-bound, bound / 2), p)) == said
