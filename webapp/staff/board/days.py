"""The board: all doctors of a day side by side on one scale. Reading it costs a constant number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments.booking import statuses
from webapp.appointments.messages.notification_lists import CallsToMake, OpenCalls
from webapp.clinic.schedule_versions import versions_seen
from webapp.clinic.service import Clinic, find_closures
from webapp.core import formats
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.i18n import ngettext
from webapp.scheduling.slots import (
    CLOCK,
    DAY,
    Minute,
    Piece,
    Span,
    day_number,
    days_span,
    minute_reached,
    pieces_of,
    to_minute,
    wall_of,
)
from webapp.staff.board.columns import Frame, Outline
from webapp.staff.board.queries import (
    NOTHING_TAKEN,
    DayHours,
    Taken,
    find_ends,
    joint_ends,
    list_appointments,
    load_hours,
)
from webapp.staff.schedule.week_scale import HOUR, ROW, Scale, row_classes, scale_of_walls

# In the order in which the summary names them.
COUNTED = ("arrived", "completed", "no_show", "cancelled")


class BoardDay(NamedTuple):
    """The board's day. `now` is the class of the now line's row, or '' if it is not on the scale.

    `away` are the doctors who neither work nor have appointments on the day. `appointment_ids` are those of all others.
    `waiting`: patients are waiting, so that minutes pass on the board. `calls` are still to be made about a closure or
    another change of the day: see `OpenCalls`.
    """

    day: date
    title: str
    today: bool
    past: bool
    href: str
    previous: str
    next: str
    summary: str
    closure: str
    hours: list[str]
    first_hour: int
    now: str
    now_minute: int
    now_text: str
    columns: list[Outline]
    away: list[DoctorRow]
    appointment_ids: list[int]
    waiting: bool
    calls: Sequence[CallsToMake] = ()


def build_board(
    session: Session,
    clinic: Clinic,
    shown: Sequence[DoctorRow] | None,
    day: date,
    *,
    why_off: bool,
    calls: OpenCalls,
    now: datetime,
) -> BoardDay:
    """The day of these doctors; of all who work or have appointments on it, if `shown` is None.

    `calls` are still to be made about doctors who are away, and about changes of the day.

    With `why_off` it says why they take time off, which is for admins. The scale is the same for any choice of doctors,
    so that one column can take the place of another.
    """
    frame = _frame_of(session, clinic, day, now)
    known = doctors.list_doctors(session, inactive=True)
    taking = list_appointments(session, frame.span, None if shown is None else [doctor.id for doctor in shown])
    hours = load_hours(session, clinic, [doctor.id for doctor in known], day, frame.span)
    at_work = [hours[doctor.id] for doctor in known if doctor.active]
    ends = find_ends(session, frame.span) if shown is not None else _ends_of(taking.values())
    scale = _scale(frame, clinic, at_work, ends)
    everyone = [doctor for doctor in known if doctor.active or doctor.id in taking] if shown is None else list(shown)
    if not why_off:
        hours = {number: each.without_reasons() for number, each in hours.items()}
    here = [doctor for doctor in everyone if shown is not None or hours[doctor.id].worked or doctor.id in taking]
    versions = versions_seen(session)
    columns = [
        Outline(
            frame,
            scale,
            doctor,
            hours[doctor.id],
            taking.get(doctor.id, NOTHING_TAKEN),
            versions and versions.of_doctor(doctor.id),
            calls.away.get(doctor.id),
        )
        for doctor in here
    ]
    closure = next((each.name for each in find_closures(session, day, day)), "")
    away = [doctor for doctor in everyone if doctor not in here]
    return _day_of(clinic, frame, scale, columns, away, closure, now=now)._replace(calls=calls.changes)


def _day_of(
    clinic: Clinic,
    frame: Frame,
    scale: Scale,
    columns: list[Outline],
    away: list[DoctorRow],
    closure: str,
    *,
    now: datetime,
) -> BoardDay:
    """The day with these columns, in words and on its scale."""
    day, today = frame.day, clinic.today(now)
    row = (frame.wall(frame.clock) - scale.first * HOUR) // ROW if day == today else -1
    on_scale = 0 <= row < (scale.last - scale.first) * HOUR // ROW
    statuses_of_day = sum((outline.taken.statuses for outline in columns), Counter[str]())
    return BoardDay(
        day=day,
        title=formats.day_full(day, clinic.zone),
        today=day == today,
        past=day < today,
        href=f"/board/{day}",
        previous=f"/board/{day - timedelta(days=1)}",
        next=f"/board/{day + timedelta(days=1)}",
        summary=_summary(statuses_of_day),
        closure=closure,
        hours=[CLOCK[hour * HOUR] for hour in range(scale.first, scale.last)],
        first_hour=scale.first,
        now=row_classes(row, 0) if on_scale else "",
        now_minute=frame.wall(frame.clock),
        now_text=formats.clock(now, clinic.zone),
        columns=columns,
        away=away,
        appointment_ids=[number for outline in columns for number in outline.taken.ids],
        waiting=day == today and statuses_of_day["arrived"] > 0,
    )


def _frame_of(session: Session, clinic: Clinic, day: date, now: datetime) -> Frame:
    pieces = pieces_of(clinic.zone, day, day)
    span = days_span(pieces, day_number(day), day_number(day))
    last = clinic.today(now) + timedelta(days=clinic.horizon_days)
    this_minute = minute_reached(now)
    # The horizon ends at midnight, so a whole day is within it or beyond it.
    online = (this_minute + clinic.notice_minutes, span[1] if day <= last else span[0])
    types = {number: kind.name for number, kind in doctors.visit_types_by_id(session).items()}
    today, wall = day == clinic.today(now), _wall_clock(pieces, span)
    return Frame(day, today, span, this_minute, to_minute(now), online, wall, types)


def _wall_clock(pieces: Sequence[Piece], span: Span) -> Callable[[Minute], int]:
    """The time on the clock at an instant, in minutes of this day."""
    midnight = wall_of(pieces, span[0])
    midnight -= midnight % DAY
    whole = next((piece for piece in pieces if piece.start <= span[0] and span[1] <= piece.end), None)
    if whole is not None:
        shift = whole.offset - midnight
        return lambda minute: min(max(minute + shift, 0), DAY)
    return lambda minute: wall_of(pieces, min(max(minute, span[0]), span[1])) - midnight


def _ends_of(taken: Iterable[Taken]) -> Span | None:
    return joint_ends([each.ends for each in taken if each.ends is not None])


def _scale(frame: Frame, clinic: Clinic, hours: Sequence[DayHours], ends: Span | None) -> Scale:
    """The scale of all columns: from the first to the last thing of the clinic's day, in full hours."""
    spans = [span for each in hours for span in each.worked] + ([ends] if ends else [])
    return scale_of_walls([(frame.wall(start), frame.wall(end)) for start, end in spans], clinic.zone)


def _summary(numbers: Counter[str]) -> str:
    """'64 appointments · 3 arrived · 23 seen · 2 no-show · 1 cancelled'."""
    booked = numbers.total() - numbers["cancelled"]
    parts = [ngettext("%(n)d appointment", "%(n)d appointments", booked) % {"n": booked}]
    parts += [f"{numbers[each]} {statuses.word_of(each, staff=True).lower()}" for each in COUNTED if numbers[each]]
    return formats.dotted(parts)
