"""Time arithmetic: the wall clock and instants, on days that have 23, 24, 25 and 24½ hours."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.scheduling.slots import (
    DAY,
    Span,
    day_number,
    grid_starts,
    instants_of,
    merge,
    number_to_day,
    pieces_of,
    starts_inside,
    starts_touching,
    subtract,
    to_datetime,
    to_minute,
    wall_of,
)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)

# Every change of the clocks in 2026, preceded by unusual ones: at midnight, where a day has no 00:00 (Beirut,
# Santiago), and by half an hour (Lord Howe).
CHANGES = [
    ("Europe/Amsterdam", SPRING, 23 * 60),
    ("Europe/Amsterdam", AUTUMN, 25 * 60),
    ("Europe/Amsterdam", date(2026, 6, 1), 24 * 60),
    ("America/Santiago", date(2026, 9, 6), 23 * 60),
    ("America/Santiago", date(2026, 4, 4), 25 * 60),
    ("Asia/Beirut", date(2026, 3, 29), 23 * 60),
    ("Asia/Beirut", date(2026, 10, 24), 25 * 60),
    ("Australia/Lord_Howe", date(2026, 10, 4), 23 * 60 + 30),
    ("Australia/Lord_Howe", date(2026, 4, 5), 24 * 60 + 30),
    ("UTC", date(2026, 3, 29), 24 * 60),
]


def minutes_of(spans: Iterable[Span]) -> set[int]:
    """The set of minutes in the spans."""
    return {minute for start, end in spans for minute in range(start, end)}


def minutes_that_show(zone: ZoneInfo, day: date) -> list[datetime]:
    """Every instant at which the wall clock shows this date, found by a slow and certain method."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    around = (noon + timedelta(minutes=offset) for offset in range(-36 * 60, 36 * 60))
    return [instant for instant in around if instant.astimezone(zone).date() == day]


# ------------------------------------------------------------------------------------ wall clock and instants


@pytest.mark.parametrize(("name", "day", "length"), CHANGES)
def test_the_instants_of_a_day_are_those_at_which_the_wall_clock_shows_it(name: str, day: date, length: int) -> None:
    zone = ZoneInfo(name)
    pieces = pieces_of(zone, day, day)
    midnight = day_number(day) * DAY
    expected = [to_minute(instant) for instant in minutes_that_show(zone, day)]
    assert sorted(minutes_of(instants_of(pieces, midnight, midnight + DAY))) == expected
    assert len(expected) == length


@pytest.mark.parametrize(("name", "day", "length"), CHANGES)
def test_the_wall_clock_shows_what_the_time_zone_database_says(name: str, day: date, length: int) -> None:
    zone = ZoneInfo(name)
    pieces = pieces_of(zone, day, day)
    for instant in minutes_that_show(zone, day):
        local = instant.astimezone(zone)
        assert divmod(wall_of(pieces, to_minute(instant)), DAY) == (day_number(day), local.hour * 60 + local.minute)


def test_a_local_time_that_the_clocks_skip_is_no_instant() -> None:
    pieces = pieces_of(AMSTERDAM, SPRING, SPRING)
    midnight = day_number(SPRING) * DAY
    assert list(instants_of(pieces, midnight + 120, midnight + 180)) == []
    [(start, end)] = merge(instants_of(pieces, midnight + 90, midnight + 210))
    assert (to_datetime(start), to_datetime(end)) == (
        datetime(2026, 3, 29, 0, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    )


def test_a_local_time_that_comes_twice_is_two_instants() -> None:
    pieces = pieces_of(AMSTERDAM, AUTUMN, AUTUMN)
    half_past_two = day_number(AUTUMN) * DAY + 150
    found = [to_datetime(start) for start, _ in instants_of(pieces, half_past_two, half_past_two + 1)]
    assert found == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)]


def test_a_day_without_a_midnight_begins_at_its_first_minute() -> None:
    day = date(2026, 9, 6)
    pieces = pieces_of(ZoneInfo("America/Santiago"), day, day)
    midnight = day_number(day) * DAY
    assert list(instants_of(pieces, midnight, midnight + 60)) == []
    [(start, _)] = instants_of(pieces, midnight, midnight + DAY)
    assert to_datetime(start).astimezone(ZoneInfo("America/Santiago")).strftime("%d %H:%M") == "06 01:00"


def test_an_instant_outside_the_prepared_window_is_an_error() -> None:
    pieces = pieces_of(AMSTERDAM, SPRING, SPRING)
    with pytest.raises(ValueError, match="outside"):
        wall_of(pieces, pieces[-1].end)


def test_pieces_join_without_gap_and_overlap() -> None:
    pieces = pieces_of(AMSTERDAM, date(2026, 1, 1), date(2026, 12, 31))
    assert [piece.offset for piece in pieces] == [60, 120, 60]
    assert [to_datetime(piece.start) for piece in pieces[1:]] == [
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
    ]
    assert [piece.end for piece in pieces[:-1]] == [piece.start for piece in pieces[1:]]


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - Hypothesis wants naive bounds.
def test_minutes_and_datetimes_convert_in_both_directions(moment: datetime) -> None:
    instant = moment.replace(tzinfo=UTC)
    assert to_datetime(to_minute(instant)) == instant.replace(second=0, microsecond=0)
    assert number_to_day(day_number(moment.date())) == moment.date()


# ------------------------------------------------------------------------------------------------- the grid


@pytest.mark.parametrize("step", [15, 30, 50, 7, 240])
@pytest.mark.parametrize(("name", "day", "length"), CHANGES)
def test_the_grid_counts_from_local_midnight_on_every_day(name: str, day: date, length: int, step: int) -> None:
    zone = ZoneInfo(name)
    pieces = pieces_of(zone, day, day)
    midnight = day_number(day) * DAY
    [*_, (_, high)] = instants_of(pieces, midnight, midnight + DAY)
    (low, _), *_ = instants_of(pieces, midnight, midnight + DAY)
    expected = [
        to_minute(instant)
        for instant in minutes_that_show(zone, day)
        if (instant.astimezone(zone).hour * 60 + instant.astimezone(zone).minute) % step == 0
    ]
    assert list(grid_starts(pieces, step, low, high)) == expected


def test_a_step_that_does_not_divide_the_day_starts_again_at_midnight() -> None:
    monday = date(2026, 6, 1)
    pieces = pieces_of(AMSTERDAM, monday, monday + timedelta(days=1))
    low = to_minute(datetime(2026, 6, 1, 21, 0, tzinfo=UTC))
    shown = [
        to_datetime(start).astimezone(AMSTERDAM).strftime("%a %H:%M")
        for start in grid_starts(pieces, 50, low, low + 180)
    ]
    assert shown == ["Mon 23:20", "Tue 00:00", "Tue 00:50", "Tue 01:40"]


def test_the_end_of_the_stretch_is_not_a_start() -> None:
    pieces = pieces_of(AMSTERDAM, SPRING, SPRING)
    low = to_minute(datetime(2026, 3, 29, 9, 0, tzinfo=UTC))
    assert list(grid_starts(pieces, 30, low, low + 60)) == [low, low + 30]
    assert list(grid_starts(pieces, 30, low + 1, low + 61)) == [low + 30, low + 60]
    assert list(grid_starts(pieces, 30, low, low)) == []


# ----------------------------------------------------------------------------------------- sets of minutes

SPANS = st.lists(st.tuples(st.integers(-60, 60), st.integers(-60, 60)), max_size=8)
ORDERED = st.lists(st.tuples(st.integers(-60, 60), st.integers(0, 40)).map(lambda s: (s[0], s[0] + s[1])), max_size=8)


@given(SPANS)
def test_merged_spans_have_the_same_minutes_in_order_and_do_not_touch(spans: list[Span]) -> None:
    merged = merge(spans)
    assert minutes_of(merged) == minutes_of(spans)
    assert all(start < end for start, end in merged)
    assert all(before[1] < after[0] for before, after in pairwise(merged))


@given(st.tuples(st.integers(-60, 60), st.integers(-60, 60)), SPANS)
def test_the_rest_is_the_window_without_the_spans(window: Span, spans: list[Span]) -> None:
    left = subtract(window, spans)
    assert minutes_of(left) == minutes_of([window]) - minutes_of(spans)
    assert left == merge(left)


@given(ORDERED, st.integers(1, 50))
def test_an_appointment_is_inside_when_all_of_its_minutes_are(spans: list[Span], minutes: int) -> None:
    there = minutes_of(spans)
    starts = minutes_of(starts_inside(spans, minutes))
    assert starts == {at for at in range(-60, 110) if there.issuperset(range(at, at + minutes))}


@settings(max_examples=50)
@given(ORDERED, st.integers(0, 10), st.integers(1, 20))
def test_an_appointment_touches_a_span_when_they_share_a_minute(spans: list[Span], before: int, after: int) -> None:
    real = [span for span in spans if span[0] < span[1]]
    there = minutes_of(real)
    starts = minutes_of(starts_touching(real, before=before, after=after))
    assert starts == {at for at in range(-90, 130) if not there.isdisjoint(range(at - before, at + after))}
