"""What samples that were taken in turns say: the difference of two kinds, how sure it is, and whether it is chance.

As the analysis of the Marvin attack does it (Kario, 2023): every round takes one sample of each kind in a random
order, so that what disturbs the machine disturbs both, and only differences within a round are looked at. The
Wilcoxon signed-rank test says how likely it is that they are chance; Holm's correction takes into account how many
pairs were tested. The interval of the median difference is the one that no assumption about the distribution is
needed for: between two of the sorted differences (Conover, Practical Nonparametric Statistics, 3.2).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Final

_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Pair:
    """The comparison of two kinds; differences are first minus second, in the unit of the samples."""

    first: str
    second: str
    #: The median of the differences.
    difference: float
    #: The interval in which it lies with a probability of 95 %.
    interval: tuple[float, float]
    #: The one in which it lies with that probability for all pairs at once (Bonferroni).
    simultaneous: tuple[float, float]
    #: Of the Wilcoxon signed-rank test, after Holm's correction.
    p: float

    @property
    def bound(self) -> float:
        """How far apart they may be, whatever the direction, with all pairs taken into account."""
        return max(map(abs, self.simultaneous))


def compare(samples: Mapping[str, Sequence[int]]) -> list[Pair]:
    """Compare every kind with every other one; there is one sample of each in each round."""
    names = list(combinations(samples, 2))
    differences = [
        sorted(a - b for a, b in zip(samples[first], samples[second], strict=True)) for first, second in names
    ]
    corrected = holm([wilcoxon(each) for each in differences])
    return [
        Pair(
            *pair,
            _median(each),
            median_interval(each, _CONFIDENCE),
            median_interval(each, 1 - (1 - _CONFIDENCE) / len(names)),
            p,
        )
        for pair, each, p in zip(names, differences, corrected, strict=True)
    ]


def wilcoxon(differences: Sequence[float]) -> float:
    """Return the two-sided p of the signed-rank test (Wilcoxon 1945), with the normal approximation.

    Zeros are left out (Wilcoxon's own way), and ties have the mean of their ranks.
    """
    order = sorted((abs(each), each > 0) for each in differences if each)
    count = len(order)
    positive = ties = 0.0
    at = 0
    while at < count:
        end = at
        above = 0
        while end < count and order[end][0] == order[at][0]:
            above += order[end][1]
            end += 1
        tied = end - at
        positive += above * (at + end + 1) / 2  # the mean of ranks at+1 ... end
        ties += tied**3 - tied
        at = end
    variance = count * (count + 1) * (2 * count + 1) / 24 - ties / 48
    if not variance:
        return 1.0
    z = (positive - count * (count + 1) / 4) / math.sqrt(variance)
    return math.erfc(abs(z) / math.sqrt(2))


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm 1979)."""
    corrected = [0.0] * len(values)
    highest = 0.0
    for rank, at in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, values[at] * (len(values) - rank)))
        corrected[at] = highest
    return corrected


def median_interval(ordered: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return the interval of the median of sorted values: of so many, between two ranks."""
    count = len(ordered)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(count) / 2
    low = max(0, math.floor(count / 2 - reach) - 1)
    high = min(count - 1, math.ceil(count / 2 + reach))
    return ordered[low], ordered[high]


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
