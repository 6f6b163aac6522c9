"""A doctor's week: a column for each day, with its hours and the lines of its day on one scale."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.doctors.service import DoctorRow
from webapp.scheduling.slots import Span, to_datetime
from webapp.scheduling.week_calendar import week_name
from webapp.staff.schedule.day_rows import DayRow, free_spans, place_of, rows_of
from webapp.staff.schedule.schedule_week import (
    ScheduleWeek,
    count_not_cancelled,
    load_schedule_week,
    monday_of,
    shown_days,
)
from webapp.staff.schedule.week_scale import GridPlace, Scale, scale_of


class WeekDay(NamedTuple):
    """One column of the week: its hours and closure, and the rows in order of time, each with its place on the scale.

    `open` has the places of the hours; a closed day has none.
    """

    day: date
    href: str
    today: bool
    hours: list[tuple[datetime, datetime]]
    open: list[GridPlace]
    closure: str
    rows: list[tuple[DayRow, GridPlace]]
    appointments: int


class DoctorWeek(NamedTuple):
    """The data of the week's page; `scale` has the full hours at its side."""

    title: str
    name: str
    this_week: bool
    present: str
    previous: str
    next: str
    scale: list[datetime]
    days: list[WeekDay]
    appointments: int
    live_version: str


def build_week(
    session: Session, actor: Actor, clinic: Clinic, doctor: DoctorRow, monday: date, *, now: datetime
) -> DoctorWeek:
    """The doctor's week as columns; a weekend without hours and appointments is left out."""
    frame = load_schedule_week(session, actor, clinic, doctor, monday, now=now)
    today = clinic.today(now)
    shown = shown_days(frame, monday)
    scale = scale_of(_worked_or_booked(frame, shown), clinic.zone)
    days = [_week_day(frame, day, today, scale) for day in shown]
    return DoctorWeek(
        title=formats.days_between(monday, days[-1].day, clinic.zone),
        name=week_name(monday),
        this_week=monday == monday_of(today),
        present=f"/schedule/week/{week_name(monday_of(today))}",
        previous=f"/schedule/week/{week_name(monday - timedelta(days=7))}",
        next=f"/schedule/week/{week_name(monday + timedelta(days=7))}",
        scale=scale.labels(monday),
        days=days,
        appointments=sum(day.appointments for day in days),
        live_version=frame.diary.live_version,
    )


def _week_day(frame: ScheduleWeek, day: date, today: date, scale: Scale) -> WeekDay:
    appointments = frame.appointments_on(day)
    rows = [row for row in rows_of(frame, day, appointments, None, free_spans(frame, day)) if row.kind != "buffer"]
    rows.sort(key=place_of)
    hours, closure = _instants(frame.hours[day]), frame.closures.get(day, "")
    return WeekDay(
        day=day,
        href=f"/schedule/{day}",
        today=day == today,
        hours=hours,
        open=[] if closure else scale.places(day, hours),
        closure=closure,
        rows=list(zip(rows, scale.places(day, [(row.starts_at, row.ends_at) for row in rows]), strict=True)),
        appointments=count_not_cancelled(appointments),
    )


def _worked_or_booked(frame: ScheduleWeek, days: list[date]) -> Iterator[tuple[date, datetime, datetime]]:
    """The spans that the scale of a week must contain: the hours and the appointments of its days."""
    for day in days:
        yield from ((day, *start_and_end) for start_and_end in _instants(frame.hours[day]))
        yield from ((day, appointment.starts_at, appointment.ends_at) for appointment in frame.appointments_on(day))


def _instants(spans: list[Span]) -> list[tuple[datetime, datetime]]:
    return [(to_datetime(start), to_datetime(end)) for start, end in spans]
