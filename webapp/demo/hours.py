"""When the demo clinic is open and its doctors work: rows of the tables of hours, as plain values."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

DAYS_AHEAD = 42
# Further ahead than patients may book, which is 90 days.
HOLIDAYS_AHEAD = 120
OPENING = [(weekday, 9 * 60, 17 * 60) for weekday in range(5)]

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY = range(6)


class Pattern(NamedTuple):
    """A working week: the same spans, in minutes of the day, on some weekdays."""

    weekdays: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


MORNINGS = Pattern((MONDAY, TUESDAY, WEDNESDAY, THURSDAY), ((540, 750),))
AFTERNOONS = Pattern((MONDAY, TUESDAY, THURSDAY, FRIDAY), ((780, 1020),))

# Every doctor works on at least three days, so that a holiday leaves a day in every week.
PATTERNS = (
    Pattern((MONDAY, TUESDAY, THURSDAY, FRIDAY), ((540, 750), (810, 960))),
    Pattern((MONDAY, WEDNESDAY, FRIDAY), ((540, 720), (780, 930))),
    Pattern((TUESDAY, WEDNESDAY, THURSDAY), ((570, 750), (810, 960))),
    MORNINGS,
    Pattern((WEDNESDAY, THURSDAY, FRIDAY), ((600, 780), (810, 990))),
    AFTERNOONS,
)
# In every dozen of doctors: those who change from mornings to afternoons, come on Saturdays, or take leave.
CHANGES_HOURS = {3}
SATURDAYS = {5, 6}
DAYS_OFF = {1: "Holiday", 4: "Conference", 10: "Holiday"}
HALF_DAY_OFF = {0: "Course", 7: "Dentist"}


def months_before(day: date, months: int) -> date:
    """The same day of an earlier month, or that month's last day if it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    following = date(year + month // 11, (month + 1) % 12 + 1, 1)
    return min(date(year, month + 1, 1) + timedelta(days=day.day - 1), following - timedelta(days=1))


def monday_of(day: date) -> date:
    """The first day of the week."""
    return day - timedelta(days=day.weekday())


def closures(first: date, today: date) -> list[dict[str, Any]]:
    """The public holidays of the Netherlands since `first`, and a training day of the team."""
    last = today + timedelta(days=HOLIDAYS_AHEAD)
    holidays = sorted(
        (starts_on, ends_on, name)
        for year in range(first.year, last.year + 1)
        for starts_on, ends_on, name in _holidays(year)
        if ends_on >= first and starts_on <= last
    )
    training = next(
        tuesday
        for tuesday in (monday_of(today) + timedelta(weeks=week, days=TUESDAY) for week in (2, 3, 4, 5))
        if not any(monday_of(starts_on) == monday_of(tuesday) for starts_on, _, _ in holidays)
    )
    rows = sorted([*holidays, (training, training, "Team training day")])
    return [{"name": name, "starts_on": starts_on, "ends_on": ends_on} for starts_on, ends_on, name in rows]


def _holidays(year: int) -> Iterator[tuple[date, date, str]]:
    easter = _easter(year)
    kings_day = date(year, 4, 27)
    yield date(year, 1, 1), date(year, 1, 1), "New Year’s Day"
    yield easter + timedelta(days=1), easter + timedelta(days=1), "Easter Monday"
    if kings_day.weekday() == SATURDAY + 1:
        kings_day -= timedelta(days=1)
    yield kings_day, kings_day, "King’s Day"
    yield easter + timedelta(days=39), easter + timedelta(days=39), "Ascension Day"
    yield easter + timedelta(days=50), easter + timedelta(days=50), "Whit Monday"
    yield date(year, 12, 25), date(year, 12, 26), "Christmas"


def _easter(year: int) -> date:
    """Easter Sunday, by the algorithm of Gauss, Meeus and Jones for the Gregorian calendar."""
    golden = year % 19
    century, rest = divmod(year, 100)
    correction = (8 * century + 13) // 25
    epact = (19 * golden + century - century // 4 - correction + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    shift = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * shift + 114, 31)
    return date(year, month, day + 1)


def working_hours(index: int, today: date) -> Iterator[dict[str, Any]]:
    """The weekly hours of the doctor at this index; some change from mornings to afternoons in three weeks."""
    pattern = PATTERNS[index % len(PATTERNS)]
    if index % 12 not in CHANGES_HOURS:
        yield from _weekly(pattern)
        return
    change = monday_of(today) + timedelta(weeks=3)
    yield from _weekly(MORNINGS, valid_until=change - timedelta(days=1))
    yield from _weekly(AFTERNOONS, valid_from=change)


def _weekly(
    pattern: Pattern, *, valid_from: date | None = None, valid_until: date | None = None
) -> Iterator[dict[str, Any]]:
    for weekday in pattern.weekdays:
        for start, end in pattern.spans:
            yield {
                "weekday": weekday,
                "start_minute": start,
                "end_minute": end,
                "valid_from": valid_from,
                "valid_until": valid_until,
            }


def extra_hours(index: int, first: date, today: date) -> Iterator[dict[str, Any]]:
    """Some doctors occasionally come on a Saturday morning: the one after next, and one a month ago."""
    if index % 12 not in SATURDAYS:
        return
    for weeks in (-4, 1):
        day = monday_of(today) + timedelta(weeks=weeks, days=SATURDAY)
        if day >= first:
            yield {"day": day, "start_minute": 540, "end_minute": 720}


def time_off(
    index: int, today: date, closed: list[dict[str, Any]], zone: ZoneInfo, rng: random.Random
) -> Iterator[dict[str, Any]]:
    """A few doctors are away in the coming weeks: for two days, or from noon on one day.

    Leave is in weeks without a closure, so that every week keeps some free times.
    """
    weeks = [monday_of(today) + timedelta(weeks=week) for week in range(1, 6)]
    shut = {monday_of(row["starts_on"]) for row in closed}
    quiet = [week for week in weeks if week not in shut] or weeks
    weekdays = PATTERNS[index % len(PATTERNS)].weekdays
    if reason := DAYS_OFF.get(index % 12):
        day = rng.choice(quiet) + timedelta(days=weekdays[0])
        last = day + timedelta(days=weekdays[1] - weekdays[0] + 1)
        yield {"starts_at": _at(day, 0, zone), "ends_at": _at(last, 0, zone), "reason": reason}
    if reason := HALF_DAY_OFF.get(index % 12):
        day = rng.choice(quiet) + timedelta(days=rng.choice(weekdays))
        yield {"starts_at": _at(day, 12, zone), "ends_at": _at(day, 18, zone), "reason": reason}


def _at(day: date, hour: int, zone: ZoneInfo) -> datetime:
    """A full hour of the wall clock as an instant."""
    return datetime.combine(day, time(hour), zone).astimezone(UTC)
