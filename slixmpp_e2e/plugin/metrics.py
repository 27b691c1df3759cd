"""Numbers for whoever watches a program: what was done, and how much is remembered.

A monitoring system has to know which of them only grow (counters) and which are a state (gauges). The program
`examples/metrics.py` hands them to Prometheus; any other system does it the same way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Metric:
    """One number. It says nothing about whom it is about."""

    #: Words with underscores, as in `stats()`.
    name: str
    value: int
    #: `counter`: it never falls while the plugin is there; `gauge`: it does.
    kind: Literal["counter", "gauge"]


class MetricSource(Protocol):
    """What has metrics: the plugin, and whatever else a program wants to show beside it."""

    def metrics(self) -> Iterable[Metric]:
        """Return the numbers of this moment. Which counters there are may grow; it never waits, and never raises."""


def counters(counted: Mapping[str, int]) -> Iterable[Metric]:
    """Return counters."""
    return [Metric(name, value, "counter") for name, value in sorted(counted.items())]


def gauges(sizes: Mapping[str, int]) -> Iterable[Metric]:
    """Return gauges."""
    return [Metric(name, value, "gauge") for name, value in sizes.items()]
