"""The data of a doctor's day and week: the appointments, hours, leave and closures of one week.

Reading it costs one query for any number of appointments, and two more when the hours of the week are not cached.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments.booking import schedule_queries, statuses
from webapp.appointments.booking.schedule_queries import (
    AppointmentOutline,
    Diary,
    Past,
    ScheduleAppointment,
    TimeOffSpan,
)
from webapp.appointments.booking.statuses import Wait
from webapp.auth.schemas import Actor
from webapp.clinic.schedule_versions import cached_for_doctor
from webapp.clinic.service import Clinic, find_closures
from webapp.core import formats
from webapp.doctors.service import DoctorRow
from webapp.i18n import gettext as _
from webapp.scheduling.facts import WorkingTime, load_working_time
from webapp.scheduling.models import ACTIVE, OCCUPYING
from webapp.scheduling.slots import Span, day_number, days_span, merge, to_datetime, to_minute

WORKDAYS = 5


class AppointmentCard(NamedTuple):
    """One appointment in the day, with the actions that it allows.

    `folded` appointments are over and need one line; the `current` one runs now. `primary` is the status that one tap
    sets, `others` are those in the menu; `changeable` says that it can be moved and cancelled, and `squeeze` that
    another one may be squeezed in at its time. `waiting` is for how long the patient has been here and not seen.
    """

    appointment: ScheduleAppointment
    age: int | None
    current: bool
    folded: bool
    primary: str | None
    others: list[str]
    may_undo: bool
    changeable: bool
    squeeze: bool
    waiting: Wait | None


@dataclass(frozen=True)
class ScheduleWeek:
    """The shared data of both pages, for the days of one week.

    `hours` says when the doctor sees patients on each day, before closures and leave. The `outline` has all
    appointments of the week, `appointments` those of the days that are shown.
    """

    actor: Actor
    clinic: Clinic
    doctor: DoctorRow
    now: datetime
    time: WorkingTime
    hours: dict[date, list[Span]]
    leave: list[TimeOffSpan]
    closures: dict[date, str]
    spans: dict[date, Span]
    diary: Diary

    def span_of(self, day: date) -> Span:
        """From the first to the last instant of a local day of the week."""
        return self.spans[day]

    def appointments_on(self, day: date) -> list[ScheduleAppointment]:
        """The appointments that start on a local day, in order; they must have been read in full."""
        low, high = map(to_datetime, self.span_of(day))
        return [appointment for appointment in self.diary.appointments if low <= appointment.starts_at < high]

    def outline_of(self, day: date) -> Sequence[AppointmentOutline]:
        """The appointments of any local day of the week, in outline."""
        low, high = self.span_of(day)
        outline = self.diary.outline
        # They are sorted by their first member, the start.
        return outline[bisect_left(outline, (low,)) : bisect_left(outline, (high,))]

    @cached_property
    def taken(self) -> list[Span]:
        """The time that the week's appointments take, with their buffers."""
        return [appointment.busy for appointment in self.diary.outline if appointment.status in OCCUPYING]

    def leave_on(self, day: date) -> Iterator[tuple[datetime, datetime, str]]:
        """The leave that touches a local day: its start and end within that day, and its reason in words."""
        low, high = (to_datetime(minute) for minute in self.span_of(day))
        for leave in self.leave:
            start, end = max(leave.starts_at, low), min(leave.ends_at, high)
            reason = _("Time off: %(reason)s") % {"reason": leave.reason} if leave.reason else _("Time off")
            if (start, end) == (low, high):
                yield start, end, _("%(reason)s, all day") % {"reason": reason}
            elif start < end == high:
                yield start, end, _("%(reason)s, rest of the day") % {"reason": reason}
            elif start < end:
                until = formats.end_clock(end, self.clinic.zone)
                yield start, end, _("%(reason)s, until %(time)s") % {"reason": reason, "time": until}

    def card(self, appointment: ScheduleAppointment, current: ScheduleAppointment | None = None) -> AppointmentCard:
        """An appointment with the actions that it allows now."""
        day = formats.local_date(appointment.starts_at, self.clinic.zone)
        possible = statuses.possible_statuses(appointment, self.actor, self.clinic, self.now)
        primary = possible[0] if possible else None
        return AppointmentCard(
            appointment=appointment,
            age=schedule_queries.age_on(day, appointment.patient_birth_date),
            current=appointment is current,
            folded=appointment.status not in (*ACTIVE, "arrived"),
            primary=primary,
            others=possible[1:],
            may_undo=statuses.may_undo(appointment, self.actor),
            changeable=appointment.status in ACTIVE,
            squeeze=self._may_squeeze(appointment),
            waiting=statuses.wait_since(appointment, self.now),
        )

    def _may_squeeze(self, appointment: ScheduleAppointment) -> bool:
        is_due = appointment.status in (*ACTIVE, "arrived") and appointment.ends_at > self.now
        if not (self.doctor.squeeze_ins and is_due):
            return False
        start = to_minute(appointment.starts_at)
        return sum(low <= start < high for low, high in self.taken) <= self.doctor.squeeze_ins


class _Hours(NamedTuple):
    """The hours of one week: when the doctor sees patients on each day, before closures and leave; and the leave.

    `spans` says from when until when each day lasts.
    """

    time: WorkingTime
    spans: dict[date, Span]
    worked: dict[date, list[Span]]
    leave: list[TimeOffSpan]


def load_schedule_week(
    session: Session,
    actor: Actor,
    clinic: Clinic,
    doctor: DoctorRow,
    monday: date,
    *,
    now: datetime,
    day: date | None = None,
    past: Past | None = None,
) -> ScheduleWeek:
    """Read the week that begins on this Monday; with `day`, only the appointments of that day are read in full.

    A patient's `past` with the doctor is read with it.
    """
    sunday = monday + timedelta(days=6)
    # The caller may have read the clinic before this snapshot began, with another time zone.
    key = ("week", clinic.time_zone, monday)
    hours = cached_for_doctor(session, doctor.id, key, lambda: _load_hours(session, clinic, doctor.id, monday))
    closures = {
        each: closure.name
        for closure in find_closures(session, monday, sunday)
        for each in days_from(max(closure.starts_on, monday), min(closure.ends_on, sunday))
    }
    window = hours.time.window
    days = window if day is None else hours.spans[day]
    diary = schedule_queries.read_diary(session, doctor.id, days, window, past=past)
    return ScheduleWeek(actor, clinic, doctor, now, hours.time, hours.worked, hours.leave, closures, hours.spans, diary)


def _load_hours(session: Session, clinic: Clinic, doctor_id: int, monday: date) -> _Hours:
    time = load_working_time(session, clinic, doctor_id, monday, monday + timedelta(days=6))
    days = list(days_from(monday, monday + timedelta(days=6)))
    spans = {day: days_span(time.pieces, day_number(day), day_number(day)) for day in days}
    low, high = time.window
    leave = schedule_queries.list_leave(session, doctor_id, to_datetime(low), to_datetime(high))
    return _Hours(time, spans, {day: worked_on(time, day) for day in days}, leave)


def worked_on(time: WorkingTime, day: date) -> list[Span]:
    """When the doctor sees patients on a local day, before closures and leave."""
    open_hours, own_hours = merge([*time.opening, *time.extra]), merge([*time.working, *time.extra])
    span = days_span(time.pieces, day_number(day), day_number(day))
    return [both for hours in own_hours for both in _overlaps(hours, open_hours, span)]


def shown_days(frame: ScheduleWeek, monday: date, shown: date | None = None) -> list[date]:
    """Monday to Friday, and the weekend up to the last day that has hours or appointments or is shown."""
    used = [day for day in days_from(monday, monday + timedelta(days=6)) if _is_used(frame, day) or day == shown]
    return list(days_from(monday, max([*used, monday + timedelta(days=WORKDAYS - 1)])))


def _is_used(frame: ScheduleWeek, day: date) -> bool:
    return bool(frame.hours[day] or frame.outline_of(day))


def count_not_cancelled(appointments: Iterable[ScheduleAppointment | AppointmentOutline]) -> int:
    """How many are not cancelled."""
    return sum(appointment.status != "cancelled" for appointment in appointments)


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
