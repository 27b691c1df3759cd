"""Timestamps: the grammar, a clock that never repeats, the window, and what a replay record makes of them."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slixmpp_e2e.errors import BAD_TIMESTAMP, TimestampError
from slixmpp_e2e.freshness import (
    MICROSECOND,
    SECOND,
    WINDOW,
    Admission,
    Freshness,
    MemoryReplayRecord,
    MonotoneClock,
    assess,
    check_window,
    format_date_time,
    from_datetime,
    judge_archived,
    parse_date_time,
    to_datetime,
)

NOW = from_datetime(datetime(2026, 3, 1, 12, tzinfo=UTC))
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# a day at either end is left out: in UTC it would be another year than there is
AWARE = st.builds(
    lambda days, seconds, micros, zone: datetime(1, 1, 3, tzinfo=zone) + timedelta(days, seconds, micros),
    st.integers(0, 3_652_050),
    st.integers(0, 86_399),
    st.integers(0, 999_999),
    ZONES,
)
MOMENTS = st.integers(
    from_datetime(datetime(1, 1, 1, tzinfo=UTC)), from_datetime(datetime(9999, 12, 31, tzinfo=UTC))
)


class TestReading:
    @given(AWARE)
    def test_every_moment_that_python_can_write_is_read(self, moment):
        assert parse_date_time(moment.isoformat()) == from_datetime(moment)

    @pytest.mark.requirement("3339-5.6-1")
    @given(AWARE, st.sampled_from("Tt"), st.sampled_from("Zz"))
    def test_letters_may_be_small(self, moment, separator, zone):
        utc = moment.astimezone(UTC)
        written = f"{utc:%Y-%m-%d}{separator}{utc:%H:%M:%S}{zone}"
        assert parse_date_time(written.zfill(20)) == from_datetime(utc.replace(microsecond=0))

    @pytest.mark.requirement("3923-6.9-2")
    @given(MOMENTS)
    @example(0)
    @example(-1)
    def test_what_we_write_is_read(self, moment):
        written = format_date_time(moment)
        assert parse_date_time(written) == moment // MICROSECOND * MICROSECOND
        assert to_datetime(moment) == datetime.fromisoformat(written)
        assert from_datetime(to_datetime(moment)) == moment // MICROSECOND * MICROSECOND

    @pytest.mark.requirement("3339-5.6-1")
    @given(st.integers(0, 10**9 - 1), st.integers(1, 9), st.text("0123456789", max_size=55))
    def test_fractions_count_to_the_nanosecond_and_anything_finer_is_rounded_up(
        self, fraction, digits, finer
    ):
        written = f"{fraction:09}"[:digits]
        whole = int(written.ljust(9, "0"))
        assert parse_date_time(f"1970-01-01T00:00:00.{written}Z") == whole
        rest = f"{fraction:09}{finer}"
        assert parse_date_time(f"1970-01-01T00:00:00.{rest}Z") == fraction + (1 if finer.strip("0") else 0)

    def test_a_fraction_has_64_digits_at_the_most(self):
        assert parse_date_time(f"1970-01-01T00:00:00.{'0' * 63}1Z") == 1

    @pytest.mark.requirement("3339-4.3-1", "3339-5.6-1")
    @pytest.mark.parametrize(
        ("text", "same"),
        [
            ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000000000000Z"),
            ("2026-03-01T12:00:00+00:00", "2026-03-01T12:00:00-00:00"),
            ("2026-03-01T17:00:00+05:00", "2026-03-01T12:00:00Z"),
            ("2026-03-01T02:00:00-10:00", "2026-03-01T12:00:00Z"),
            ("2026-03-01T11:59:60Z", "2026-03-01T12:00:00Z"),
            ("2026-12-31T23:59:60.5Z", "2027-01-01T00:00:00.5Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999+00:00"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.0Z"),
        ],
    )
    def test_two_spellings_of_a_moment_are_one_moment(self, text, same):
        assert parse_date_time(text) == parse_date_time(same)

    @pytest.mark.requirement("3339-5.6-1")
    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "2026-03-01",
            "20260301T115958Z",
            "+2026-03-01T11:59:58Z",
            "2026-W09-7T11:59:58Z",
            "Sun, 01 Mar 2026 11:59:58 GMT",
            "2026-03-01T11:59:58Z x",
            "2026-03-01T11:59:58Z\n",
            " 2026-03-01T11:59:58Z",
            "2026-03-01 11:59:58Z",
            "2026-03-01T11:59:58",  # ERRATA E19: a guess of the zone would shift the window
            "2026-03-01T11:59Z",
            "2026-03-01T11:60:00Z",
            "2026-03-01T11:59:61Z",
            "2026-03-01T24:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "9999-12-31T23:59:60Z",
            "9999-12-31T23:59:59.9999999991Z",
            "٢٠٢٦-٠٣-٠١T١١:٥٩:٥٨Z",
            "2026-03-01T11:59:58٫٥Z",
            "2026-03-01T11:59:58.Z",
            "2026-03-01T11:59:58,5Z",
            "2026-03-01T11:59:58.5.5Z",
            f"2026-03-01T11:59:58.{'1' * 65}Z",
            f"2026-03-01T11:59:58.{'1' * 4000}Z",
            "2026-03-01T11:59:58+99:99",
            "2026-03-01T11:59:58+24:00",
            "2026-03-01T11:59:58+00:60",
            "2026-03-01T11:59:58+0000",
            "2026-03-01T11:59:58+05",
            "2026-03-01T11:59:58Z+00:00",
            "12026-03-01T11:59:58Z",
            "-2026-03-01T11:59:58Z",
            "2026-3-1T11:59:58Z",
        ],
    )
    def test_anything_else_is_no_timestamp(self, text):
        with pytest.raises(TimestampError) as caught:
            parse_date_time(text)
        assert (caught.value.reason, caught.value.answer, caught.value.skew) == (
            "missing",
            BAD_TIMESTAMP,
            None,
        )

    @given(st.text(st.sampled_from("0123456789-:.+TZtz "), max_size=40))
    def test_whatever_it_is_it_is_a_moment_or_none(self, text):
        try:
            moment = parse_date_time(text)
        except TimestampError:
            return
        assert (
            abs((to_datetime(moment) - datetime.fromisoformat(format_date_time(moment))).total_seconds()) == 0
        )


class TestWriting:
    @pytest.mark.requirement("3923-6.9-2", "3923-6.9-3", "3923-6.9-4")
    def test_it_is_utc_with_microseconds_and_z(self):
        assert format_date_time(NOW) == "2026-03-01T12:00:00.000000Z"
        assert format_date_time(NOW + 1_234_567) == "2026-03-01T12:00:00.001234Z"

    @given(AWARE, AWARE)
    def test_moments_stand_in_the_order_of_their_datetimes(self, first, second):
        assert (from_datetime(first) < from_datetime(second)) == (first < second)


class TestMonotoneClock:
    def clock(self, *moments: int, seen: list[float] | None = None) -> MonotoneClock:
        return MonotoneClock(iter(moments).__next__, [].append if seen is None else seen.append)

    def test_it_says_what_time_it_is_in_whole_microseconds(self):
        assert self.clock(NOW + 1_999).next() == NOW + 1_000

    @pytest.mark.requirement("3923-6.9-5", "bis-6-4")
    def test_it_never_repeats(self):
        clock = self.clock(NOW, NOW, NOW + 1, NOW + MICROSECOND)
        assert [clock.next() - NOW for _ in range(4)] == [0, 1000, 2000, 3000]

    def test_it_goes_on_when_the_clock_was_set_back_a_little(self):
        seen: list[float] = []
        clock = self.clock(NOW, NOW - 60 * SECOND, NOW - SECOND, NOW + SECOND, seen=seen)
        assert [clock.next() - NOW for _ in range(4)] == [0, 1000, 2000, SECOND]
        assert seen == []

    def test_it_follows_when_the_clock_was_set_back_by_more_than_a_minute_and_says_so(self):
        seen: list[float] = []
        clock = self.clock(NOW, NOW - 61 * SECOND, NOW - 61 * SECOND, seen=seen)
        assert [(clock.next() - NOW) // MICROSECOND for _ in range(3)] == [0, -61_000_000, -60_999_999]
        assert seen == [61.0]

    def test_many_small_steps_back_are_a_large_one(self):
        seen: list[float] = []
        clock = self.clock(*(NOW - step * 50 * SECOND for step in range(4)), seen=seen)
        assert [(clock.next() - NOW) // SECOND for _ in range(4)] == [0, 0, -100, -100]
        assert seen == [pytest.approx(100)]

    def test_nobody_has_to_listen(self):
        clock = MonotoneClock(iter([NOW, NOW - 100 * SECOND]).__next__)
        assert [clock.next(), clock.next()] == [NOW, NOW - 100 * SECOND]

    @pytest.mark.requirement("3923-6.9-5")
    @given(st.lists(st.integers(-90, 90), max_size=30))
    def test_it_goes_back_only_if_it_says_so(self, steps):
        moments, adjustments = [NOW], []
        for step in steps:
            moments.append(moments[-1] + step * SECOND)
        clock = MonotoneClock(iter(moments).__next__, adjustments.append)
        stamps = [clock.next() for _ in moments]
        back = [(old - new) / SECOND for old, new in pairwise(stamps) if new <= old]
        assert back == adjustments
        assert all(seconds > 60 for seconds in back)
        # never more than a minute (and a few microseconds) away from the clock that it follows
        assert all(abs(stamp - moment) <= 60 * SECOND + len(moments) * MICROSECOND
                   for stamp, moment in zip(stamps, moments, strict=True))  # fmt: skip


class TestWindow:
    @pytest.mark.parametrize("seconds", [-300, -299, 0, 60, 300])
    def test_five_minutes_either_way_are_let_through(self, seconds):
        assert check_window(NOW + seconds * SECOND, NOW) == seconds

    @pytest.mark.requirement("3923-6.9-6")
    @pytest.mark.parametrize(("offset", "reason"), [(-WINDOW - 1, "old"), (WINDOW + 1, "future")])
    def test_one_nanosecond_more_is_too_much(self, offset, reason):
        with pytest.raises(TimestampError) as caught:
            check_window(NOW + offset, NOW)
        assert caught.value.reason == reason
        assert caught.value.skew == pytest.approx(offset / SECOND)
        assert caught.value.answer == BAD_TIMESTAMP

    def test_another_window_may_be_asked_for(self):
        assert check_window(NOW - 5 * SECOND, NOW, window=5 * SECOND) == -5
        with pytest.raises(TimestampError):
            check_window(NOW - 5 * SECOND - 1, NOW, window=5 * SECOND)

    def test_when_our_server_stored_it_counts_instead_of_now(self):
        stored = NOW - 7200 * SECOND
        assert check_window(stored - 10 * SECOND, NOW, delayed_since=stored) == -10
        assert check_window(stored + 300 * SECOND, NOW, delayed_since=stored) == 300

    @pytest.mark.parametrize("offset", [-WINDOW - 1, WINDOW + 1])
    def test_it_must_have_been_fresh_when_it_was_stored(self, offset):
        stored = NOW - 7200 * SECOND
        with pytest.raises(TimestampError) as caught:
            check_window(stored + offset, NOW, delayed_since=stored)
        assert caught.value.reason == "old"
        assert caught.value.skew == pytest.approx(offset / SECOND)

    def test_a_delay_never_makes_the_future_fresh(self):
        later = NOW + 7200 * SECOND
        with pytest.raises(TimestampError) as caught:
            check_window(later, NOW, delayed_since=later)
        assert caught.value.reason == "future"

    def test_a_delay_does_not_matter_where_it_is_fresh_now(self):
        assert check_window(NOW - SECOND, NOW, delayed_since=NOW - 86_400 * SECOND) == -1


class Recorder:
    """A record that says what it was told to say, and what it was asked."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.asked: list[tuple[object, ...]] = []

    def admit(self, *arguments: object) -> Admission:
        self.asked.append(arguments)
        return self.admission


def admitted(record, offset: int = 0, **options) -> Freshness:
    skew = check_window(NOW + offset, NOW, **options)
    answer = record.admit("juliet@example.com", b"d", NOW + offset, NOW)
    return assess(answer, NOW + offset, NOW, skew=skew, **options)


class TestAdmission:
    def test_what_is_fresh_and_new_is_ok(self):
        record = Recorder(Admission(seen=False, highest=None))
        assert admitted(record, -SECOND) == Freshness("ok", -1.0, "live")
        assert record.asked == [("juliet@example.com", b"d", NOW - SECOND, NOW)]

    @pytest.mark.requirement("3923-6.9-7", "3923-6.9-8")
    @pytest.mark.parametrize(("highest", "state"), [(-1, "ok"), (0, "decreasing"), (1, "decreasing")])
    def test_what_is_not_greater_than_what_came_before_is_decreasing(self, highest, state):
        assert admitted(Recorder(Admission(seen=False, highest=NOW + highest))).state == state

    def test_what_was_stored_is_never_decreasing(self):
        record = Recorder(Admission(seen=False, highest=NOW))
        found = admitted(record, -7200 * SECOND, delayed_since=NOW - 7200 * SECOND)
        assert found == Freshness("ok", 0.0, "delayed")

    def test_what_was_stored_but_is_fresh_all_the_same_counts_as_not_stored(self):
        record = Recorder(Admission(seen=False, highest=NOW))
        assert admitted(record, -SECOND, delayed_since=NOW) == Freshness("decreasing", -1.0, "live")

    def test_at_the_very_edge_of_the_window_it_is_fresh_whatever_a_server_says(self):
        record = Recorder(Admission(seen=False, highest=NOW))
        assert admitted(record, -WINDOW, delayed_since=NOW - WINDOW) == Freshness(
            "decreasing", -300.0, "live"
        )

    def test_what_was_seen_is_refused(self):
        with pytest.raises(TimestampError) as caught:
            admitted(Recorder(Admission(seen=True, highest=None)), SECOND)
        assert (caught.value.reason, caught.value.skew) == ("seen", 1.0)

    def test_what_is_dated_ahead_as_too_many_are_is_from_the_future_and_no_replay(self):
        with pytest.raises(TimestampError, match="9 seconds ahead") as caught:
            admitted(Recorder(Admission(seen=True, highest=NOW, ahead=True)), 9 * SECOND)
        assert (caught.value.reason, caught.value.skew) == ("future", 9.0)

    @pytest.mark.parametrize("offset", [-WINDOW - 1, WINDOW + 1])
    def test_what_fails_the_window_is_not_recorded(self, offset):
        record = Recorder(Admission(seen=False, highest=None))
        with pytest.raises(TimestampError):
            admitted(record, offset)  # ERRATA E33
        assert record.asked == []

    def test_the_memory_starts_with_the_process(self):
        record = MemoryReplayRecord(started=NOW - SECOND)
        with pytest.raises(TimestampError) as caught:
            admitted(record, -SECOND)
        assert caught.value.reason == "seen"
        assert admitted(record, -SECOND + 1).state == "ok"


class TestArchived:
    @pytest.mark.parametrize(
        ("offset", "state"),
        [(0, "ok"), (-WINDOW, "ok"), (WINDOW, "ok"), (-WINDOW - 1, "old"), (WINDOW + 1, "future")],
    )
    def test_it_is_compared_with_when_it_was_stored(self, offset, state):
        stored = NOW - 86_400 * SECOND
        found = judge_archived(stored + offset, stored, NOW)
        assert found == Freshness(state, offset / SECOND, "archived")

    def test_without_that_it_is_compared_with_now(self):
        assert judge_archived(NOW - WINDOW - 1, None, NOW).state == "old"
        assert judge_archived(NOW - SECOND, None, NOW) == Freshness("ok", -1.0, "archived")

    def test_another_window_may_be_asked_for(self):
        assert judge_archived(NOW - 2, NOW, NOW, window=1).state == "old"
        assert judge_archived(NOW + 2, NOW, NOW, window=1).state == "future"
        assert judge_archived(NOW + 1, NOW, NOW, window=0).state == "future"
