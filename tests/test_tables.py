"""Maps that never grow for good."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.tables import Recent, SharedTable, Table


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


def shared(size: int, seconds: float = 10) -> tuple[SharedTable[str, int], Clock]:
    clock = Clock()
    return SharedTable(seconds, size, clock), clock


def test_who_fills_a_shared_table_pushes_out_what_is_his_own():
    entries, _ = shared(size=10)
    entries.put("honest 1", 1, "honest")
    entries.put("honest 2", 2, "honest")
    for number in range(100):
        entries.put(str(number), number, "mallory")
    assert (len(entries), entries.get("honest 1"), entries.get("honest 2")) == (10, 1, 2)
    assert [entries.get(str(number)) for number in (91, 92, 99)] == [None, 92, 99]
    for number in range(4):  # whoever comes later finds room
        entries.put(f"late {number}", number, f"late {number}")
    assert [entries.get(f"late {number}") for number in range(4)] == [0, 1, 2, 3]
    assert (len(entries), entries.get("honest 1"), entries.get("95"), entries.get("96")) == (10, 1, None, 96)


def test_of_those_who_hold_as_many_he_loses_something_who_was_there_longest_ago():
    entries, _ = shared(size=2)
    entries.put("a", 1, "a")
    entries.put("b", 2, "b")
    entries.put("a", 3, "a")
    entries.put("c", 4, "c")
    assert [entries.get(key) for key in "abc"] == [3, None, 4]


def test_an_entry_belongs_to_who_put_it_in_last():
    entries, _ = shared(size=2)
    entries.put("a", 1, "mallory")
    entries.put("a", 2, "honest")
    entries.put("b", 3, "mallory")
    entries.put("c", 4, "mallory")
    assert [entries.get(key) for key in "abc"] == [2, None, 4]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "get", "pop"]),
            st.sampled_from("abcdefgh"),
            st.sampled_from("xyz"),
            st.integers(0, 4),
        ),
        max_size=80,
    ),
    st.integers(0, 5),
)
def test_a_shared_table_does_what_plain_lists_would(actions, size):
    entries, clock = shared(size, seconds=6)
    model: dict[str, tuple[float, int, str]] = {}  # the oldest first
    since: dict[str, int] = {}  # when somebody last came to hold more, less, or the same once more
    for number, (action, key, holder, wait) in enumerate(actions):
        clock.time += wait
        if action != "get" and key in model and (action == "pop" or model[key][2] != holder):
            since[model[key][2]] = 10 * number
        alive = model[key][1] if key in model and model[key][0] > clock.time else None
        if action == "put":
            entries.put(key, number, holder)
            model.pop(key, None)
            model[key] = clock.time + 6, number, holder
            since[holder] = 10 * number + 1
            for each in [each for each, (end, _, _) in model.items() if end <= clock.time]:
                since[model[each][2]] = 10 * number + 2 + list(model).index(each)
                del model[each]
            while len(model) > size:
                held = [each[2] for each in model.values()]
                largest = min(held, key=lambda each: (-held.count(each), since[each]))
                del model[next(each for each in model if model[each][2] == largest)]
                since[largest] = 10 * number + 9
        elif action == "pop":
            assert entries.pop(key) == alive
            model.pop(key, None)
        else:
            assert entries.get(key) == alive
        assert len(entries) == len(model) <= size
        for each, (end, value, _) in model.items():
            assert entries.get(each) == (value if end > clock.time else None)
