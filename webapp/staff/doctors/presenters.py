"""Texts of the pages of a doctor's hours and time off."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, NamedTuple

from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.day_hours import WEEKDAYS, Week, describe_hours
from webapp.core.local_time import first_instant
from webapp.doctors.extra_hours import ExtraDay
from webapp.doctors.hours import Period, PeriodHours
from webapp.doctors.time_off import TimeOffRow
from webapp.i18n import gettext as _
from webapp.staff.doctors.hours_access import HoursAccess


class PeriodLine(NamedTuple):
    """Working hours of one period: its dates, the days with their hours, and the address to change them."""

    dates: str
    state: Literal["over", "now", "ahead"]
    lines: list[tuple[str, str]]
    href: str


class ExtraLine(NamedTuple):
    """Extra hours of one day, and the address to remove them."""

    day: date
    hours: str
    remove: str


class TimeOffLine(NamedTuple):
    """One stretch of time off: when in words, why, whether it belongs to a series, and the address to remove it."""

    when: str
    reason: str
    repeats: bool
    remove: str


def period_line(owner: HoursAccess, saved: PeriodHours, clinic: Clinic, today: date) -> PeriodLine:
    """One period of working hours, as the list shows it."""
    first, last = saved.period
    state: Literal["over", "now", "ahead"] = "now"
    if last is not None and last < today:
        state = "over"
    elif first is not None and first > today:
        state = "ahead"
    return PeriodLine(
        dates=dates_in_words(saved.period, clinic),
        state=state,
        lines=group_days(saved.week),
        href=f"{owner.base}/hours/{saved.period.key}",
    )


def extra_line(owner: HoursAccess, extra: ExtraDay) -> ExtraLine:
    """The extra hours of a day, as the list shows them."""
    return ExtraLine(extra.day, describe_hours(extra.spans), f"{owner.base}/hours/extra/{extra.day}/removal")


def time_off_line(owner: HoursAccess, row: TimeOffRow, clinic: Clinic) -> TimeOffLine:
    """One stretch of time off, as the list shows it."""
    remove = f"{owner.base}/time-off/{row.id}/removal"
    return TimeOffLine(_when(row, clinic), row.reason, row.series is not None, remove)


def dates_in_words(period: Period, clinic: Clinic) -> str:
    """'Always', 'From 1 June 2026', 'Until 31 May 2026', '1 June 2026' or '1 June 2026 to 31 August 2026'."""
    words = {
        "first": formats.day_month_year(period.valid_from, clinic.zone) if period.valid_from else "",
        "last": formats.day_month_year(period.valid_until, clinic.zone) if period.valid_until else "",
    }
    if period.valid_from and period.valid_from == period.valid_until:
        return words["first"]
    if period.valid_from and period.valid_until:
        return _("%(first)s to %(last)s") % words
    if period.valid_from:
        return _("From %(first)s") % words
    return _("Until %(last)s") % words if period.valid_until else _("Always")


def list_days(week: Week) -> list[tuple[str, str]]:
    """Each day of the week with its hours in words; '' on a day off."""
    return [(str(name), describe_hours(spans)) for name, spans in zip(WEEKDAYS, week, strict=True)]


def group_days(week: Week) -> list[tuple[str, str]]:
    """The days that have hours; consecutive days with the same hours are joined: 'Monday to Friday'."""
    groups: list[tuple[int, int, str]] = []
    for number, spans in enumerate(week):
        text = describe_hours(spans)
        if groups and groups[-1][1] == number - 1 and groups[-1][2] == text:
            groups[-1] = (groups[-1][0], number, text)
        elif text:
            groups.append((number, number, text))
    return [(_days_in_words(first, last), text) for first, last, text in groups]


def _days_in_words(first: int, last: int) -> str:
    """'Monday', 'Monday and Tuesday' or 'Monday to Wednesday'."""
    names = {"first": WEEKDAYS[first], "last": WEEKDAYS[last]}
    if first == last:
        return str(WEEKDAYS[first])
    return (_("%(first)s and %(last)s") if last == first + 1 else _("%(first)s to %(last)s")) % names


def _when(row: TimeOffRow, clinic: Clinic) -> str:
    """'Monday 9 March 2026', '9 March to 13 March 2026' or 'Monday 9 March 2026, 09:00 to 12:00'."""
    zone = clinic.zone
    first = formats.local_date(row.starts_at, zone)
    last = formats.local_date(row.ends_at - timedelta(minutes=1), zone)
    begins_with_day = row.starts_at == first_instant(first, zone)
    ends_with_day = row.ends_at == first_instant(last + timedelta(days=1), zone)
    words = {
        "first": formats.day_full(first, zone),
        "last": formats.day_full(last, zone),
        "start": formats.clock(row.starts_at, zone),
        "end": formats.end_clock(row.ends_at, zone),
    }
    if begins_with_day and ends_with_day:
        return words["first"] if first == last else _("%(first)s to %(last)s") % words
    if first == last:
        return _("%(first)s, %(start)s to %(end)s") % words
    return _("%(first)s, %(start)s to %(last)s, %(end)s") % words
