"""Hours of a day and of a week as the API writes them: `{"weekday": "monday", "start": "09:00", "end": "12:00"}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from webapp.core.day_hours import MAX_SPANS, Spans, Week, format_minute, in_order

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ClockTime = Annotated[
    str,
    StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"),
    Field(description="In the clinic's time zone; 24:00 is the end of the day.", examples=["09:00"]),
]


class DayHours(BaseModel):
    """A period of a day."""

    start: ClockTime
    end: Annotated[ClockTime, Field(examples=["12:00"])]


class WeekdayHours(DayHours):
    """A period of a weekday; the time between periods is a break."""

    weekday: Weekday


def daily_hours(spans: Spans) -> list[DayHours]:
    """The spans of a day, as the API writes them."""
    return [DayHours(start=format_minute(start), end=format_minute(end)) for start, end in spans]


def weekly_hours(week: Week) -> list[WeekdayHours]:
    """A week of spans, from Monday on, as the API writes it."""
    return [
        WeekdayHours(weekday=name, start=format_minute(start), end=format_minute(end))
        for name, spans in zip(WEEKDAYS, week, strict=True)
        for start, end in spans
    ]


def spans_of(hours: Sequence[DayHours]) -> Spans:
    """The spans of a day in a request, in order.

    Raises:
        UnreadableHours: a span ends before it starts, two overlap, or there are too many.
    """
    return in_order([(_minute(each.start), _minute(each.end)) for each in hours])


def week_of(hours: Sequence[WeekdayHours]) -> Week:
    """The week in a request.

    Raises:
        UnreadableHours: a span ends before it starts, two overlap, or there are too many on one day.
    """
    return tuple(spans_of([each for each in hours if each.weekday == name]) for name in WEEKDAYS)


def _minute(text: str) -> int:
    hour, _colon, minute = text.partition(":")
    return int(hour) * 60 + int(minute)


def _readable_day(hours: list[DayHours]) -> list[DayHours]:
    spans_of(hours)
    return hours


def _readable_week(hours: list[WeekdayHours]) -> list[WeekdayHours]:
    week_of(hours)
    return hours


HoursOfDay = Annotated[list[DayHours], Field(min_length=1, max_length=MAX_SPANS), AfterValidator(_readable_day)]
"""The hours of one day in a request: at least one span, without overlaps."""

HoursOfWeek = Annotated[list[WeekdayHours], Field(max_length=7 * MAX_SPANS), AfterValidator(_readable_week)]
"""The hours of a week in a request; a weekday that is not named has none."""
