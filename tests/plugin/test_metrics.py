"""Everything that is remembered is bounded, and its size is in `stats()`."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from slixmpp_e2e import Metric, MetricSource
from slixmpp_e2e.tables import Recent, Table
from tests.plugin.test_filters import Filtered, carry
from tests.server.protected import PKI, make_pki

SIZES = {
    "exchanges",
    "unacknowledged",
    "parked",
    "waiting",
    "answered_lately",
    "peers",
    "certificates",
    "mirrored",
}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


def reachable(start: Any) -> Iterator[tuple[str, Any]]:
    """Yield everything of ours that hangs on an object, with its place."""
    seen: set[int] = set()
    waiting = [("plugin", start)]
    while waiting:
        place, found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, dict):
            waiting += [(f"{place}[{key!r}]", value) for key, value in found.items()]
        elif isinstance(found, (list, tuple, set, frozenset)):
            waiting += [(f"{place}[]", each) for each in found]
        elif hasattr(found, "__self__"):  # a method
            waiting.append((place, found.__self__))
        elif type(found).__module__.startswith("slixmpp_e2e"):
            yield place, found
            names = {name for kind in type(found).__mro__ for name in getattr(kind, "__slots__", ())}
            for name in names | set(getattr(found, "__dict__", {})):
                if name not in {"xmpp", "__weakref__"} and hasattr(found, name):
                    waiting.append((f"{place}.{name}", getattr(found, name)))


async def test_every_table_has_its_size_in_the_statistics(pki, tmp_path):
    """And there is no other kind of table: one that a stranger could fill would be a `Recent` or a `Table`."""
    juliet = Filtered(pki, "juliet", "romeo", crls=tmp_path)
    tables = [(place, each) for place, each in reachable(juliet.plugin) if isinstance(each, (Recent, Table))]
    assert len(tables) > 20
    for place, table in tables:
        before = Counter(juliet.plugin.stats())
        table.put(("somebody",), None)
        changed = Counter(juliet.plugin.stats()) - before
        assert list(changed.values()) == [1], place
        assert changed.keys() <= SIZES, place
        table.pop(("somebody",))


async def test_counters_are_told_from_sizes(pki):
    romeo, juliet = Filtered(pki, "romeo", "juliet"), Filtered(pki, "juliet", "romeo")
    outer = romeo.seal(romeo.message("juliet@localhost/juliet", "hello"))
    juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    source: MetricSource = juliet.plugin
    found = {each.name: each for each in source.metrics()}
    assert found["opened"] == Metric("opened", 1, "counter")
    assert found["refused_seen"] == Metric("refused_seen", 1, "counter")
    assert {name for name, each in found.items() if each.kind == "gauge"} == SIZES
    assert juliet.plugin.stats() == {name: each.value for name, each in found.items()}
