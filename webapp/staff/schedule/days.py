"""A doctor's day: its lines with the now line, the strip of its week, the next patient and the totals.

A day costs a constant number of queries: one for its appointments, the outline of its week and the earlier ones of the
next patient, one more if the next patient is another one than last time, and those for hours, leave and closures unless
they are cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments.booking import schedule_queries, statuses
from webapp.appointments.booking.schedule_queries import EarlierAppointment, Past, ScheduleAppointment
from webapp.auth.schemas import Actor
from webapp.clinic.schedule_versions import versions_seen
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.doctors.lateness import late_by
from webapp.doctors.service import DoctorRow
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.scheduling.models import ACTIVE
from webapp.scheduling.slots import Span
from webapp.scheduling.week_calendar import week_name
from webapp.staff.schedule.day_rows import DayRow, free_spans, place_of, rows_of
from webapp.staff.schedule.schedule_week import (
    AppointmentCard,
    ScheduleWeek,
    count_not_cancelled,
    load_schedule_week,
    monday_of,
    shown_days,
)

# After more than this the patient has gone home, and the appointment was never marked as completed.
LATEST_BEHIND = 180


class StripDay(NamedTuple):
    """One day of the week's strip, with the number of appointments that are not cancelled."""

    day: date
    href: str
    appointments: int
    shown: bool
    today: bool


class Next(NamedTuple):
    """The next patient, or on a future day the first one, and their earlier appointments with this doctor."""

    card: AppointmentCard
    label: str
    earlier: Sequence[EarlierAppointment]


class DoctorDay(NamedTuple):
    """The data of the day's page. `now` is None unless the day is today; `closure` is the name of one, or ''.
    `late` is by how many minutes the doctor is running late. `live_version` is that of `live.feed`.
    """

    day: date
    title: str
    today: bool
    past: bool
    now: datetime | None
    previous: str
    next: str
    week: str
    strip: list[StripDay]
    summary: str
    rows: list[DayRow]
    appointments: int
    coming: Next | None
    totals: list[tuple[str, str]]
    closure: str
    late: int
    live_version: str


def build_day(
    session: Session, actor: Actor, clinic: Clinic, doctor: DoctorRow, day: date, *, now: datetime
) -> DoctorDay:
    """The doctor's day with everything in it, in order of time."""
    monday = monday_of(day)
    past = _expected_past(session, doctor, day)
    frame = load_schedule_week(session, actor, clinic, doctor, monday, now=now, day=day, past=past)
    today = clinic.today(now)
    appointments = frame.appointments_on(day)
    current = _current(appointments, now) if day == today else None
    free = free_spans(frame, day)
    rows = _side_by_side(sorted(rows_of(frame, day, appointments, current, free), key=place_of))
    if day == today:
        rows = _with_now(rows, appointments, now)
    return DoctorDay(
        day=day,
        title=formats.day_full(day, clinic.zone),
        today=day == today,
        past=day < today,
        now=now if day == today else None,
        previous=f"/schedule/{day - timedelta(days=1)}",
        next=f"/schedule/{day + timedelta(days=1)}",
        week=f"/schedule/week/{week_name(monday)}",
        strip=_strip(frame, monday, day, today),
        summary=_summary(doctor, appointments, clinic),
        rows=rows,
        appointments=len(appointments),
        coming=_coming(session, frame, appointments, current, day, today),
        totals=_totals(appointments, [span for span in free if day >= today], day, today, now),
        closure=frame.closures.get(day, ""),
        late=late_by(doctor, day),
        live_version=frame.diary.live_version,
    )


def _side_by_side(rows: list[DayRow]) -> list[DayRow]:
    """The rows with appointments that were squeezed in beside those whose time they share, in one line."""
    lines: list[DayRow] = []
    place, until = 0, None
    for row in rows:
        if row.card is None or not row.card.appointment.occupies:
            lines.append(row)
        elif until is not None and row.starts_at < until:
            lines[place] = lines[place]._replace(beside=(*lines[place].beside, row))
            until = max(until, row.ends_at)
        else:
            place, until = len(lines), row.ends_at
            lines.append(row)
    return lines


def _with_now(rows: list[DayRow], appointments: list[ScheduleAppointment], now: datetime) -> list[DayRow]:
    """The rows with the now line between those that have begun and the rest."""
    place = sum(row.starts_at < now for row in rows)
    late = [
        int((now - appointment.ends_at).total_seconds()) // 60
        for appointment in appointments
        if appointment.status == "arrived"
    ]
    behind = max((minutes for minutes in late if 0 < minutes <= LATEST_BEHIND), default=0)
    words = _("Now")
    if behind:
        words = ngettext("Now, %(n)d minute behind", "Now, %(n)d minutes behind", behind) % {"n": behind}
    return [*rows[:place], DayRow("now", now, now, words=words), *rows[place:]]


def _current(appointments: list[ScheduleAppointment], now: datetime) -> ScheduleAppointment | None:
    """The current appointment: the first one due whose patient has arrived, else the one whose time it is."""
    begun = [appointment for appointment in appointments if appointment.starts_at <= now]
    here = (appointment for appointment in begun if appointment.status == "arrived")
    due = (appointment for appointment in begun if appointment.status in ACTIVE and appointment.ends_at > now)
    return next(here, None) or next(due, None)


def _coming(
    session: Session,
    frame: ScheduleWeek,
    appointments: list[ScheduleAppointment],
    current: ScheduleAppointment | None,
    day: date,
    today: date,
) -> Next | None:
    """The next patient; on a future day the first one; on a past day None."""
    waiting = (
        appointment
        for appointment in appointments
        if appointment is not current
        and (appointment.status == "arrived" or (appointment.status in ACTIVE and appointment.ends_at > frame.now))
    )
    appointment = next(waiting, None) if day >= today else None
    if appointment is None:
        return None
    earlier = _earlier(session, frame, day, Past(appointment.patient_id, appointment.starts_at))
    return Next(frame.card(appointment), _("Next patient") if day == today else _("First patient"), earlier)


def _expected_past(session: Session, doctor: DoctorRow, day: date) -> Past | None:
    """The past of the patient who was next when the day was last shown, which is then read with the appointments."""
    versions = versions_seen(session)
    return versions.cache.find(("next patient", doctor.id, day), None) if versions else None


def _earlier(session: Session, frame: ScheduleWeek, day: date, past: Past) -> Sequence[EarlierAppointment]:
    """The earlier appointments of the next patient, who may not be the expected one."""
    if past == frame.diary.past:
        return frame.diary.earlier
    versions = versions_seen(session)
    if versions is not None:
        versions.cache.keep(("next patient", frame.doctor.id, day), None, past)
    return schedule_queries.list_earlier(
        session, doctor_id=frame.doctor.id, patient_id=past.patient_id, before=past.before
    )


def _strip(frame: ScheduleWeek, monday: date, shown: date, today: date) -> list[StripDay]:
    days = shown_days(frame, monday, shown)
    return [
        StripDay(day, f"/schedule/{day}", count_not_cancelled(frame.outline_of(day)), day == shown, day == today)
        for day in days
    ]


def _summary(doctor: DoctorRow, appointments: list[ScheduleAppointment], clinic: Clinic) -> str:
    """'Dr. Amara Okafor · Room 3 · 14 appointments · finishes 17:10'."""
    parts = [doctor.name, *([doctor.room] if doctor.room else [])]
    count = count_not_cancelled(appointments)
    parts.append(ngettext("%(n)d appointment", "%(n)d appointments", count) % {"n": count})
    ends = [appointment.ends_at for appointment in appointments if appointment.occupies]
    if ends:
        parts.append(_("finishes %(time)s") % {"time": formats.end_clock(max(ends), clinic.zone)})
    return formats.dotted(parts)


def _totals(
    appointments: list[ScheduleAppointment], free: list[Span], day: date, today: date, now: datetime
) -> list[tuple[str, str]]:
    """The day in numbers, as (label, words): those that make sense on this day."""
    count = {
        status: sum(appointment.status == status for appointment in appointments) for status in statuses.STAFF_WORDS
    }
    in_all = count_not_cancelled(appointments)
    active = [appointment for appointment in appointments if appointment.status in ACTIVE]
    coming = sum(appointment.ends_at > now for appointment in active)
    numbers = []
    if day <= today:
        numbers.append((_("Seen"), _("%(n)d of %(all)d") % {"n": count["completed"], "all": in_all}))
        numbers.append((_("Arrived"), str(count["arrived"])))
    if day >= today:
        numbers.append((_("Still to come"), str(coming)))
    if coming < len(active):
        numbers.append((_("Not marked yet"), str(len(active) - coming)))
    numbers.append((_("No-shows"), str(count["no_show"])))
    numbers.append((_("Cancelled"), str(count["cancelled"])))
    if day >= today:
        numbers.append((_("Free"), _free_words(free)))
    return numbers


def _free_words(free: list[Span]) -> str:
    """'1 hour 50 minutes in 4 gaps'."""
    if not free:
        return _("None")
    words = formats.minutes(sum(end - start for start, end in free))
    gaps = ngettext("%(words)s in %(n)d gap", "%(words)s in %(n)d gaps", len(free))
    return gaps % {"words": words, "n": len(free)}
