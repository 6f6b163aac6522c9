"""A doctor's day and week: appointments, buffers, gaps, breaks, leave and the now line.

A day costs a constant number of queries: the outline of its week, its appointments, the earlier ones of the next
patient, and the hours, leave and closures unless they are cached.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments.booking import schedule_queries, statuses
from webapp.appointments.booking.schedule_queries import EarlierAppointment, ScheduleAppointment
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.urls import with_query
from webapp.doctors.lateness import late_by
from webapp.doctors.service import DoctorRow
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.scheduling.models import ACTIVE
from webapp.scheduling.slots import (
    DAY,
    Minute,
    Span,
    grid_starts,
    minute_reached,
    number_to_day,
    subtract,
    to_datetime,
    to_minute,
    wall_of,
)
from webapp.scheduling.week_calendar import week_name
from webapp.staff.schedule.schedule_week import (
    Card,
    ScheduleWeek,
    count_not_cancelled,
    load_schedule_week,
    monday_of,
    shown_days,
)
from webapp.staff.schedule.week_scale import Place, Scale, scale_of

# Shorter holes between two appointments are of no use.
SHORTEST_GAP = 5
# After more than this the patient has gone home, and the appointment was never marked as completed.
LATEST_BEHIND = 180

Kind = Literal["appointment", "buffer", "gap", "break", "off", "now"]


class Row(NamedTuple):
    """One line of the day, in order of time. Instants are UTC; `book` and `block` are addresses where they make sense,
    else None. `beside` are the appointments that have a part of this one's time too."""

    kind: Kind
    starts_at: datetime
    ends_at: datetime
    words: str = ""
    card: Card | None = None
    book: str | None = None
    block: str | None = None
    all_day: bool = False
    beside: tuple[Row, ...] = ()

    @property
    def minutes(self) -> int:
        """The duration in minutes."""
        return int((self.ends_at - self.starts_at).total_seconds()) // 60


class StripDay(NamedTuple):
    """One day of the week's strip, with the number of appointments that are not cancelled."""

    day: date
    href: str
    appointments: int
    shown: bool
    today: bool


class Next(NamedTuple):
    """The next patient, or on a future day the first one, and their earlier appointments with this doctor."""

    card: Card
    label: str
    earlier: list[EarlierAppointment]


class Day(NamedTuple):
    """The data of the day's page. `now` is None unless the day is today; `closure` is the name of one, or ''.
    `late` is by how many minutes the doctor is running late."""

    day: date
    title: str
    today: bool
    now: datetime | None
    previous: str
    next: str
    week: str
    strip: list[StripDay]
    summary: str
    rows: list[Row]
    appointments: int
    coming: Next | None
    totals: list[tuple[str, str]]
    closure: str
    late: int


class WeekDay(NamedTuple):
    """One column of the week: its hours and closure, and the rows in order of time, each with its place on the scale.

    `open` has the places of the hours; a closed day has none.
    """

    day: date
    href: str
    today: bool
    hours: list[tuple[datetime, datetime]]
    open: list[Place]
    closure: str
    rows: list[tuple[Row, Place]]
    appointments: int


class Week(NamedTuple):
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


def build_day(session: Session, actor: Actor, clinic: Clinic, doctor: DoctorRow, day: date, *, now: datetime) -> Day:
    """The doctor's day with everything in it, in order of time."""
    monday = monday_of(day)
    frame = load_schedule_week(session, actor, clinic, doctor, monday, now=now, day=day)
    today = clinic.today(now)
    appointments = frame.appointments_on(day)
    current = _current(appointments, now) if day == today else None
    free = _free(frame, day)
    rows = _side_by_side(sorted(_rows(frame, day, appointments, current, free), key=_place_of))
    if day == today:
        rows = _with_now(rows, appointments, now)
    return Day(
        day=day,
        title=formats.day_full(day, clinic.zone),
        today=day == today,
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
    )


def build_week(
    session: Session, actor: Actor, clinic: Clinic, doctor: DoctorRow, monday: date, *, now: datetime
) -> Week:
    """The doctor's week as columns; a weekend without hours and appointments is left out."""
    frame = load_schedule_week(session, actor, clinic, doctor, monday, now=now)
    today = clinic.today(now)
    shown = shown_days(frame, monday)
    scale = scale_of(_worked_or_booked(frame, shown), clinic.zone)
    days = [_week_day(frame, day, today, scale) for day in shown]
    return Week(
        title=formats.days_between(monday, days[-1].day, clinic.zone),
        name=week_name(monday),
        this_week=monday == monday_of(today),
        present=f"/schedule/week/{week_name(monday_of(today))}",
        previous=f"/schedule/week/{week_name(monday - timedelta(days=7))}",
        next=f"/schedule/week/{week_name(monday + timedelta(days=7))}",
        scale=scale.labels(monday),
        days=days,
        appointments=sum(day.appointments for day in days),
    )


def _free(frame: ScheduleWeek, day: date) -> list[Span]:
    """The gaps of a day: hours minus closures, leave and appointments with their buffers; none on past days.

    Of today, only the rest of the day counts.
    """
    past = (0, minute_reached(frame.now))
    against = [*frame.time.closures, *frame.time.time_off, *frame.taken(), past]
    return [gap for hours in frame.hours[day] for gap in subtract(hours, against) if gap[1] - gap[0] >= SHORTEST_GAP]


def _breaks(frame: ScheduleWeek, day: date) -> Iterator[Span]:
    """The holes between a day's hours, minus what takes time there."""
    against = [*frame.time.closures, *frame.time.time_off, *frame.taken()]
    for (_start, end), (start, _end) in pairwise(frame.hours[day]):
        yield from (rest for rest in subtract((end, start), against) if rest[1] - rest[0] >= SHORTEST_GAP)


def _rows(
    frame: ScheduleWeek,
    day: date,
    appointments: list[ScheduleAppointment],
    current: ScheduleAppointment | None,
    free: list[Span],
) -> Iterator[Row]:
    for appointment in appointments:
        yield Row("appointment", appointment.starts_at, appointment.ends_at, card=frame.card(appointment, current))
        # The buffers of one that was squeezed in lie in the time of another.
        if appointment.occupies and not appointment.squeeze_reason:
            if appointment.busy_from < appointment.starts_at:
                yield Row("buffer", appointment.busy_from, appointment.starts_at)
            if appointment.ends_at < appointment.busy_until:
                yield Row("buffer", appointment.ends_at, appointment.busy_until)
    for gap in free:
        yield _gap(frame, gap)
    for start, end in _breaks(frame, day):
        yield Row("break", to_datetime(start), to_datetime(end))
    whole = frame.span_of(day)
    for since, until, words in frame.leave_on(day):
        all_day = (to_minute(since), to_minute(until)) == whole
        yield Row("off", since, until, words=words, all_day=all_day)


def _place_of(row: Row) -> tuple[datetime, bool, datetime]:
    """Rows are in order of time; what was squeezed in stands to the right of the appointment that had the time."""
    return row.starts_at, row.card is not None and bool(row.card.appointment.squeeze_reason), row.ends_at


def _side_by_side(rows: list[Row]) -> list[Row]:
    """The rows with appointments that were squeezed in beside those whose time they share, in one line."""
    lines: list[Row] = []
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


def _gap(frame: ScheduleWeek, gap: Span) -> Row:
    """Free time, with links to book it and to block it."""
    start, end = gap
    first = next(iter(grid_starts(frame.time.pieces, frame.doctor.slot_step, start, end)), None)
    book = None
    if first is not None:
        book = with_query("/book", doctor=frame.doctor.slug, starts_at=formats.iso(to_datetime(first)))
    wall = {"from": _wall_text(frame, start), "until": _wall_text(frame, end)}
    block = with_query("/schedule/time-off/new", **wall)
    return Row("gap", to_datetime(start), to_datetime(end), book=book, block=block)


def _wall_text(frame: ScheduleWeek, minute: Minute) -> str:
    """'2026-03-03T11:30' on the clinic's wall clock, as date and time fields have it."""
    number, rest = divmod(wall_of(frame.time.pieces, minute), DAY)
    return f"{number_to_day(number)}T{rest // 60:02d}:{rest % 60:02d}"


def _with_now(rows: list[Row], appointments: list[ScheduleAppointment], now: datetime) -> list[Row]:
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
    return [*rows[:place], Row("now", now, now, words=words), *rows[place:]]


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
    earlier = schedule_queries.list_earlier(
        session, doctor_id=frame.doctor.id, patient_id=appointment.patient_id, before=appointment.starts_at
    )
    return Next(frame.card(appointment), _("Next patient") if day == today else _("First patient"), earlier)


def _strip(frame: ScheduleWeek, monday: date, shown: date, today: date) -> list[StripDay]:
    days = shown_days(frame, monday, shown)
    return [
        StripDay(day, f"/schedule/{day}", count_not_cancelled(frame.outline_of(day)), day == shown, day == today)
        for day in days
    ]


def _worked_or_booked(frame: ScheduleWeek, days: list[date]) -> Iterator[tuple[date, datetime, datetime]]:
    """What the scale of a week must hold: the hours and the appointments of its days."""
    for day in days:
        yield from ((day, *start_and_end) for start_and_end in _instants(frame.hours[day]))
        yield from ((day, appointment.starts_at, appointment.ends_at) for appointment in frame.appointments_on(day))


def _instants(spans: list[Span]) -> list[tuple[datetime, datetime]]:
    return [(to_datetime(start), to_datetime(end)) for start, end in spans]


def _week_day(frame: ScheduleWeek, day: date, today: date, scale: Scale) -> WeekDay:
    appointments = frame.appointments_on(day)
    rows = [row for row in _rows(frame, day, appointments, None, _free(frame, day)) if row.kind != "buffer"]
    rows.sort(key=_place_of)
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


def _summary(doctor: DoctorRow, appointments: list[ScheduleAppointment], clinic: Clinic) -> str:
    """'Dr. Amara Okafor · Room 3 · 14 appointments · finishes 17:10'."""
    parts = [doctor.name, *([doctor.room] if doctor.room else [])]
    count = count_not_cancelled(appointments)
    parts.append(ngettext("%(n)d appointment", "%(n)d appointments", count) % {"n": count})
    ends = [appointment.ends_at for appointment in appointments if appointment.occupies]
    if ends:
        parts.append(_("finishes %(time)s") % {"time": formats.clock(max(ends), clinic.zone)})
    return " · ".join(parts)


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
