"""The scale of a doctor's week."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from webapp.staff.schedule.week_scale import MOST_LANES, GridPlace, Scale, scale_of

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
DAY = date(2026, 3, 3)


def at(wall: str, day: date = DAY) -> datetime:
    """An instant that the clock in Amsterdam shows on this day."""
    return datetime.fromisoformat(f"{day} {wall}").replace(tzinfo=AMSTERDAM).astimezone(UTC)


def test_the_scale_goes_from_the_earliest_start_to_the_latest_end_in_full_hours() -> None:
    other = date(2026, 3, 4)
    scale = scale_of([(DAY, at("08:40"), at("12:00")), (other, at("13:00", other), at("17:05", other))], AMSTERDAM)
    assert (scale.first, scale.last) == (8, 18)
    assert scale_of([], AMSTERDAM)[:2] == (9, 17)
    midnight = datetime(2026, 3, 3, 23, 30, tzinfo=UTC)
    assert scale_of([(DAY, at("23:50"), midnight)], AMSTERDAM)[:2] == (23, 24)


def test_a_clock_that_changes_moves_no_row() -> None:
    scale = Scale(8, 18, AMSTERDAM)
    for day in (date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 25)):
        assert scale.places(day, [(at("10:10", day), at("10:25", day))]) == [GridPlace(2, 2, 0, 3)]


def test_spans_outside_the_scale_are_cut_and_keep_one_row() -> None:
    scale = Scale(9, 17, AMSTERDAM)
    assert scale.places(DAY, [(at("00:00"), at("23:59"))]) == [GridPlace(0, 0, 8, 0)]
    assert scale.places(DAY, [(at("06:00"), at("07:00"))]) == [GridPlace(0, 0, 0, 1)]
    assert scale.places(DAY, [(at("20:00"), at("21:00"))]) == [GridPlace(7, 11, 0, 1)]


def test_overlapping_spans_are_side_by_side_and_the_others_are_wide() -> None:
    scale = Scale(9, 17, AMSTERDAM)
    spans = [("09:00", "10:00"), ("09:30", "09:45"), ("09:45", "10:15"), ("10:15", "10:30")]
    places = scale.places(DAY, [(at(start), at(end)) for start, end in spans])
    assert [(place.lane, place.lanes) for place in places] == [(1, 2), (2, 2), (2, 2), (1, 1)]
    # Twelve minutes after each other share a row of five minutes, and still no lane.
    places = scale.places(DAY, [(at("09:00"), at("09:12")), (at("09:12"), at("09:24"))])
    assert [(place.lane, place.lanes) for place in places] == [(1, 1), (1, 1)]


def test_more_than_the_stylesheet_draws_side_by_side_shares_the_last_lane() -> None:
    places = Scale(9, 17, AMSTERDAM).places(DAY, [(at("09:00"), at("10:00"))] * (MOST_LANES + 2))
    assert [place.lane for place in places] == [*range(1, MOST_LANES + 1), MOST_LANES, MOST_LANES]
    assert {place.lanes for place in places} == {MOST_LANES}


def test_a_place_is_written_as_a_few_classes() -> None:
    assert GridPlace(2, 6, 0, 3).classes == "h2 r6 v3"
    assert GridPlace(0, 0, 1, 0, 2, 2).classes == "u1 k2 n2"
