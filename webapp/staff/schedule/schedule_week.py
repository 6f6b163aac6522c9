"""The data of a doctor's day and week: the appointments, hours, leave and closures of one week.

Reading it costs four queries, for any number of appointments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments.booking import schedule_queries, statuses
from webapp.appointments.booking.schedule_queries import Leave, ScheduleAppointment
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic, find_closures
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.doctors.service import DoctorRow
from webapp.scheduling.facts import WorkingTime, load_working_time
from webapp.scheduling.models import ACTIVE
from webapp.scheduling.slots import Span, day_number, days_span, merge, to_datetime, to_minute

WORKDAYS = 5


class Card(NamedTuple):
    """One appointment in the day, with the actions that it allows.

    `folded` appointments are over and need one line; the `current` one runs now. `primary` is the status that one tap
    sets, `others` are those in the menu; `changeable` says that it can be moved and cancelled.
    """

    visit: ScheduleAppointment
    age: int | None
    current: bool
    folded: bool
    primary: str | None
    others: list[str]
    may_undo: bool
    changeable: bool


@dataclass(frozen=True)
class ScheduleWeek:
    """The shared data of both pages, for the days of one week."""

    actor: Actor
    clinic: Clinic
    doctor: DoctorRow
    now: datetime
    time: WorkingTime
    visits: list[ScheduleAppointment]
    leave: list[Leave]
    closures: dict[date, str]

    def span_of(self, day: date) -> Span:
        """From the first to the last instant of a local day."""
        return days_span(self.time.pieces, day_number(day), day_number(day))

    def visits_on(self, day: date) -> list[ScheduleAppointment]:
        """The appointments that start on a local day, in order."""
        low, high = self.span_of(day)
        return [visit for visit in self.visits if low <= to_minute(visit.starts_at) < high]

    def worked(self, day: date) -> list[Span]:
        """When the doctor sees patients on that day, before closures and leave."""
        span = self.span_of(day)
        open_hours = merge([*self.time.opening, *self.time.extra])
        own_hours = merge([*self.time.working, *self.time.extra])
        return [both for hours in own_hours for both in _overlaps(hours, open_hours, span)]

    def leave_on(self, day: date) -> Iterator[tuple[datetime, datetime, str]]:
        """The leave that touches a local day: its start and end within that day, and its reason in words."""
        low, high = (to_datetime(minute) for minute in self.span_of(day))
        for leave in self.leave:
            start, end = max(leave.starts_at, low), min(leave.ends_at, high)
            reason = _("Time off: %(reason)s") % {"reason": leave.reason} if leave.reason else _("Time off")
            if (start, end) == (low, high):
                yield start, end, _("%(reason)s, all day") % {"reason": reason}
            elif start < end:
                until = formats.clock(end, self.clinic.zone)
                yield start, end, _("%(reason)s, until %(time)s") % {"reason": reason, "time": until}

    def card(self, visit: ScheduleAppointment, current: ScheduleAppointment | None = None) -> Card:
        """An appointment with the actions that it allows now."""
        day = formats.local_date(visit.starts_at, self.clinic.zone)
        possible = statuses.possible_statuses(visit, self.actor, self.clinic, self.now)
        primary = possible[0] if possible else None
        return Card(
            visit=visit,
            age=schedule_queries.age_on(day, visit.patient_birth_date),
            current=visit is current,
            folded=visit.status not in (*ACTIVE, "arrived"),
            primary=primary,
            others=possible[1:],
            may_undo=statuses.may_undo(visit, self.actor),
            changeable=visit.status in ACTIVE,
        )


def load_schedule_week(
    session: Session, actor: Actor, clinic: Clinic, doctor: DoctorRow, monday: date, *, now: datetime
) -> ScheduleWeek:
    """Read the week that begins on this Monday."""
    sunday = monday + timedelta(days=6)
    time = load_working_time(session, clinic, doctor.id, monday, sunday)
    low, high = to_datetime(time.window[0]), to_datetime(time.window[1])
    closures = {
        day: closure.name
        for closure in find_closures(session, monday, sunday)
        for day in days_from(max(closure.starts_on, monday), min(closure.ends_on, sunday))
    }
    return ScheduleWeek(
        actor,
        clinic,
        doctor,
        now,
        time,
        schedule_queries.list_appointments(session, doctor.id, low, high),
        schedule_queries.list_leave(session, doctor.id, low, high),
        closures,
    )


def shown_days(frame: ScheduleWeek, monday: date, shown: date | None = None) -> list[date]:
    """Monday to Friday, and the weekend up to the last day that has hours or appointments or is shown."""
    used = [day for day in days_from(monday, monday + timedelta(days=6)) if _is_used(frame, day) or day == shown]
    return list(days_from(monday, max([*used, monday + timedelta(days=WORKDAYS - 1)])))


def _is_used(frame: ScheduleWeek, day: date) -> bool:
    return bool(frame.worked(day) or frame.visits_on(day))


def count_not_cancelled(visits: Iterable[ScheduleAppointment]) -> int:
    """How many are not cancelled."""
    return sum(visit.status != "cancelled" for visit in visits)


def _overlaps(hours: Span, others: list[Span], span: Span) -> Iterator[Span]:
    """The parts of `hours` that lie in one of the others and in `span`."""
    for low, high in others:
        start, end = max(hours[0], low, span[0]), min(hours[1], high, span[1])
        if start < end:
            yield start, end


def days_from(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())
