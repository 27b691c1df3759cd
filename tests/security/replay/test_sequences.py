"""Clocks and timestamps in any order: the plugin says of each stanza what the model of section 6.9 says."""

from collections import Counter

import pytest

from tests.security.replay.section_6_9 import SECOND, Arrival, Model, Object, Verdict
from tests.security.replay.sequences import run_sequences
from tests.security.replay.world import make_world

NOW = 1_772_366_400 * SECOND
SEQUENCES = 150


@pytest.mark.requirement("3923-6.9-6", "3923-6.9-7", "3923-6.9-8")
async def test_plugin_and_model_agree_on_every_stanza_of_random_sequences():
    with make_world() as world:
        verdicts: Counter[str] = await run_sequences(world, range(SEQUENCES))
    for mark in ("ok", "decreasing", "old", "future", "seen", "ok (delayed)", "old (archived)", "start"):
        assert verdicts[mark] >= 20, verdicts


async def test_a_model_that_forgets_is_told_from_the_plugin(monkeypatch):
    right = Model._take_in
    monkeypatch.setattr(Model, "_take_in", lambda *asked: right(*asked) and "")  # it forgets what it has seen
    with make_world() as world, pytest.raises(AssertionError, match="sequence 0, event"):
        await run_sequences(world, range(1))


class TestModel:
    """The model against the words of section 6.9 and of the decisions; nothing of the plugin is in it."""

    def receive(
        self, model: Model, number: int, seconds: float, *, at: float = 0, stamp: float | None = None
    ) -> Verdict:
        what = Object(number, "juliet@example.com", NOW + int(seconds * SECOND), "message", encrypted=False)
        stored = None if stamp is None else NOW + int(stamp * SECOND)
        return model.receive(what, Arrival(NOW + int(at * SECOND), "juliet@example.com/x", stored))

    @pytest.fixture
    def model(self) -> Model:
        return Model(300 * SECOND, 1000, 1000)

    def test_five_minutes_either_way(self, model):
        assert [self.receive(model, number, seconds).mark for number, seconds in enumerate((-301, 301))] == [
            "old",
            "future",
        ]
        assert [self.receive(model, number, seconds).mark for number, seconds in enumerate((-300, 300))] == [
            "ok",
            "ok",
        ]

    def test_ten_minutes_back(self, model):
        assert self.receive(model, 0, 5).mark == "ok"
        assert self.receive(model, 1, 5).mark == "decreasing"
        assert self.receive(model, 2, 306, at=606).mark == "ok"

    def test_delays_relax_old_and_nothing_else(self, model):
        assert self.receive(model, 0, -900, stamp=-800) == Verdict(True, "ok", -100.0, True, "delayed")
        assert self.receive(model, 1, -900, stamp=-500).mark == "old"
        assert self.receive(model, 2, 900, stamp=900).mark == "future"

    def test_not_more_than_half_may_be_dated_far_ahead(self):
        model = Model(300 * SECOND, 1000, 2)
        dated = [("nurse@example.com", 200), ("romeo@example.net", 200), ("romeo@example.net", 5)]
        whats = [
            Object(each, who, NOW + at * SECOND, "message", False) for each, (who, at) in enumerate(dated)
        ]
        marks = [model.receive(each, Arrival(NOW, f"{each.signer}/x", None)).mark for each in whats]
        assert marks == ["ok", "future", "ok"]
        assert self.receive(model, 3, 6).mark == "future"  # as many as may be are ahead
        assert self.receive(model, 4, 5).mark == "seen"  # and this would be at the floor
        assert self.receive(model, 5, 6, at=1).mark == "ok"
        assert model.floor == NOW + 5 * SECOND

    def test_once(self, model):
        assert [self.receive(model, 0, 0).mark for _ in range(2)] == ["ok", "seen"]
        model.restart(NOW)
        assert self.receive(model, 0, 0).mark == "seen"
