"""Maps that never grow for good."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.tables import Recent, Table


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def table(seconds: float = 10, size: int = 3) -> tuple[Table[str, int], Clock]:
    clock = Clock()
    return Table(seconds, size, clock), clock


def test_what_was_put_in_comes_out_until_its_time_is_over():
    entries, clock = table()
    entries.put("a", 1)
    clock.time = 9.999
    assert entries.get("a") == 1
    clock.time = 10
    assert entries.get("a") is None
    assert entries.pop("a") is None
    assert len(entries) == 0


def test_what_is_not_there_is_none():
    entries, _ = table()
    assert entries.get("a") is None
    assert entries.pop("a") is None
    assert len(entries) == 0


def test_what_is_popped_is_gone():
    entries, _ = table()
    entries.put("a", 1)
    assert entries.pop("a") == 1
    assert entries.get("a") is None


def test_putting_it_in_again_makes_it_live_longer():
    entries, clock = table()
    entries.put("a", 1)
    entries.put("b", 1)
    clock.time = 5
    entries.put("a", 2)
    assert (entries.get("a"), entries.get("b")) == (2, 1)
    clock.time = 12
    assert (entries.get("a"), entries.get("b")) == (2, None)


def test_the_oldest_goes_when_there_are_too_many():
    entries, _ = table()
    for number, key in enumerate("abcd"):
        entries.put(key, number)
    assert [entries.get(key) for key in "abcd"] == [None, 1, 2, 3]
    entries.put("b", 9)  # now it is the newest
    entries.put("e", 4)
    assert [entries.get(key) for key in "bcde"] == [9, None, 3, 4]


def test_what_is_over_makes_room_when_something_is_put_in():
    entries, clock = table(size=100)
    for number in range(50):
        entries.put(str(number), number)
    clock.time = 10
    entries.put("new", 1)
    assert len(entries) == 1


def test_a_table_without_room_keeps_nothing():
    entries, _ = table(size=0)
    entries.put("a", 1)
    assert len(entries) == 0


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "pop"]), st.sampled_from("abcdef"), st.integers(0, 4)),
    max_size=60,
)


@given(ACTIONS, st.integers(0, 4))
def test_it_does_what_a_plain_list_of_entries_would(actions, size):
    entries, clock = table(seconds=6, size=size)
    model: OrderedDict[str, tuple[float, int]] = OrderedDict()
    for number, (action, key, wait) in enumerate(actions):
        clock.time += wait
        alive = model[key][1] if key in model and model[key][0] > clock.time else None
        match action:
            case "put":
                entries.put(key, number)
                model.pop(key, None)
                model[key] = clock.time + 6, number
                for old in [each for each, (end, _) in model.items() if end <= clock.time]:
                    del model[old]
                while len(model) > size:
                    model.popitem(last=False)
            case "get":
                assert entries.get(key) == alive
            case "pop":
                assert entries.pop(key) == alive
                model.pop(key, None)
        assert len(entries) <= size


def test_of_what_is_kept_by_use_that_goes_which_was_used_longest_ago():
    entries: Recent[str, int] = Recent(2)
    entries.put("a", 1)
    entries.put("b", 2)
    assert entries.get("a") == 1
    entries.put("c", 3)
    assert "b" not in entries
    assert list(entries) == ["a", "c"]
    assert (entries.pop("c"), entries.pop("c")) == (3, None)


@given(ACTIONS, st.integers(1, 4))
def test_what_is_kept_by_use_does_what_a_plain_list_of_entries_would(actions, size):
    entries: Recent[str, int] = Recent(size)
    model: list[tuple[str, int]] = []
    for number, (action, key, _) in enumerate(actions):
        kept = dict(model).get(key)
        match action:
            case "put" | "update":
                entries.put(key, number)
                model = [*(each for each in model if each[0] != key), (key, number)][-size:]
            case "get":
                assert entries.get(key) == kept
                if kept is not None:
                    model = [*(each for each in model if each[0] != key), (key, kept)]
            case "pop":
                assert entries.pop(key) == kept
                model = [each for each in model if each[0] != key]
        assert list(entries) == [each[0] for each in model]
