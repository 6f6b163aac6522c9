"""Dates and times for people."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from babel.dates import format_date

from webapp.core import formats


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (date(2026, 3, 9), date(2026, 3, 13), "9 to 13 March 2026"),
        (date(2026, 11, 30), date(2026, 12, 4), "30 November to 4 December 2026"),
        (date(2026, 12, 28), date(2027, 1, 1), "28 December 2026 to 1 January 2027"),
        # The same month of two years.
        (date(2026, 3, 31), date(2027, 3, 1), "31 March 2026 to 1 March 2027"),
    ],
)
def test_days_between_two_dates_name_what_differs(first: date, last: date, words: str) -> None:
    assert formats.days_between(first, last, ZoneInfo("Europe/Amsterdam")) == words


@pytest.mark.parametrize(
    ("zone", "instant", "words"),
    [
        ("Europe/Amsterdam", "2026-10-24T23:59:00Z", "01:59"),
        ("Europe/Amsterdam", "2026-10-25T00:00:00Z", "02:00 CEST"),
        ("Europe/Amsterdam", "2026-10-25T01:59:00Z", "02:59 CET"),
        ("Europe/Amsterdam", "2026-10-25T02:00:00Z", "03:00"),
        # The instants beside an hour that is skipped.
        ("Europe/Amsterdam", "2026-03-29T00:59:00Z", "01:59"),
        ("Europe/Amsterdam", "2026-03-29T01:00:00Z", "03:00"),
        # Half an hour is repeated here.
        ("Australia/Lord_Howe", "2026-04-04T14:59:00Z", "01:59 UTC+11"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z", "01:30 UTC+10:30"),
    ],
)
def test_a_time_that_clocks_show_twice_has_the_name_of_its_zone(zone: str, instant: str, words: str) -> None:
    assert formats.clock(datetime.fromisoformat(instant), ZoneInfo(zone)) == words


def test_a_span_that_ends_with_its_day_ends_at_24_00() -> None:
    zone = ZoneInfo("Europe/Amsterdam")
    assert formats.end_clock(datetime(2026, 3, 10, 22, 59, tzinfo=UTC), zone) == "23:59"
    assert formats.end_clock(datetime(2026, 3, 10, 23, 0, tzinfo=UTC), zone) == "24:00"
    # Here the day after this night begins at 01:00.
    assert formats.end_clock(datetime(2026, 4, 23, 22, 0, tzinfo=UTC), ZoneInfo("Africa/Cairo")) == "24:00"


def test_a_line_of_facts_breaks_after_a_dot_only() -> None:
    assert formats.dotted(["Room 3", "14 appointments", "5 cancelled"]) == (
        "Room 3\u00a0· 14\u00a0appointments\u00a0· 5\u00a0cancelled"
    )


def test_days_are_written_in_english_as_babel_writes_them() -> None:
    zone = ZoneInfo("Europe/Amsterdam")
    written = {
        formats.day_full: "EEEE d MMMM y",
        formats.day_brief: "EEE d MMM",
        formats.day_brief_and_year: "EEE d MMM y",
        formats.month_and_year_short: "MMM y",
    }
    for number in range(366):
        day = date(2028, 1, 1) + timedelta(days=number)
        for write, pattern in written.items():
            assert write(day, zone) == format_date(day, pattern, locale="en_GB")
