"""The board: all doctors of a day side by side on one scale, as typed values for its templates.

A day of thirty doctors has thousands of things, so everything here counts in whole minutes, and each thing is one flat
tuple that its template takes apart. Reading it costs a constant number of queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments.booking import statuses
from webapp.clinic.service import Clinic, find_closures
from webapp.core import formats
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.i18n import Sentence, ngettext
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.scheduling.models import ACTIVE, OCCUPYING
from webapp.scheduling.slots import (
    DAY,
    Minute,
    Piece,
    Span,
    day_number,
    days_span,
    minute_reached,
    number_to_day,
    pieces_of,
    subtract,
    wall_of,
)
from webapp.staff.board.queries import BoardAppointment, DayHours, list_appointments, load_hours
from webapp.staff.schedule.week_scale import HOUR, ROW, Scale, lanes_of, row_classes, scale_of_walls

# Free time is cut into pieces of at least this length, each of which can be booked with one tap.
SHORTEST_PIECE = 15
# Shorter rests of time are of no use.
SHORTEST_REST = 5
# In a place lower than this many rows, the second line does not fit.
ROWS_OF_TWO_LINES = 5

Kind = Literal["appointment", "free", "break", "off"]
CLOCK = [f"{minute // HOUR:02d}:{minute % HOUR:02d}" for minute in range(DAY)]


class Item(NamedTuple):
    """One thing in a doctor's column, in order of time.

    `classes` are its place on the scale and how it looks. `start` and `end` are the clinic's clock. An appointment has
    its patient's name, its visit type as `words`, its status and flags; free time leads to `href`, where it is booked.
    """

    kind: Kind
    classes: str
    start: str
    end: str
    words: str = ""
    href: str = ""
    name: str = ""
    reference: str = ""
    version: int = 0
    status: str = ""
    flags: Sequence[tuple[str, Sentence]] = ()


class Column(NamedTuple):
    """One doctor's day. `open` and `buffers` are the classes of places.

    `appointment_ids` are the ids of the appointments, of which `booked` are not cancelled.
    """

    doctor: DoctorRow
    href: str
    open: list[str]
    buffers: list[str]
    items: list[Item]
    booked: int
    appointment_ids: list[int]


class Day(NamedTuple):
    """The board's day. `now` is the class of the now line's row, or '' if it is not on the scale.

    `away` are the doctors who neither work nor have appointments on the day.
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
    columns: list[Column]
    away: list[DoctorRow]


class _Frame(NamedTuple):
    """What all columns of a day share. `online` is when patients may book: from the minimum notice to the horizon."""

    clinic: Clinic
    day: date
    span: Span
    now: Minute
    online: Span
    wall: Callable[[Minute], int]
    types: dict[int, str]


def flags(appointment: BoardAppointment) -> list[tuple[str, Sentence]]:
    """What staff should notice about an appointment: the name of a sign (static/css/board.css), and its words."""
    found: list[tuple[str, Sentence]] = []
    if appointment.undecided and appointment.status in ACTIVE:
        found.append(("decide", _DECIDE))
    if appointment.excepted:
        found.append(("except", _EXCEPTED))
    if appointment.arranged:
        found.append(("arrange", _ARRANGE))
    return found


_DECIDE, _EXCEPTED, _ARRANGE = _l("needs a decision"), _l("exception"), _l("something to arrange")


def build_board(
    session: Session,
    clinic: Clinic,
    shown: Sequence[DoctorRow] | None,
    day: date,
    *,
    why_off: bool = False,
    now: datetime,
) -> Day:
    """The day of these doctors; of all who work or have appointments on it, if `shown` is None.

    With `why_off` it says why they take time off, which is for admins.
    """
    frame = _frame_of(session, clinic, day, now)
    everyone = doctors.list_doctors(session, inactive=True) if shown is None else list(shown)
    appointments = list_appointments(session, frame.span, None if shown is None else [doctor.id for doctor in everyone])
    if shown is None:
        everyone = [doctor for doctor in everyone if doctor.active or doctor.id in appointments]
    hours = load_hours(session, clinic, [doctor.id for doctor in everyone], day, frame.span)
    if not why_off:
        hours = {number: each.without_reasons() for number, each in hours.items()}
    of_day = {
        doctor.id: [
            appointment for appointment in appointments.get(doctor.id, ()) if appointment.start >= frame.span[0]
        ]
        for doctor in everyone
    }
    scale = _scale(frame, hours, of_day)
    today = clinic.today(now)
    closure = next((each.name for each in find_closures(session, day, day)), "")
    away = [doctor for doctor in everyone if shown is None and not (hours[doctor.id].worked or of_day[doctor.id])]
    columns = [
        _column(frame, scale, doctor, hours[doctor.id], of_day[doctor.id], appointments.get(doctor.id, ()))
        for doctor in everyone
        if doctor not in away
    ]
    row = (frame.wall(frame.now) - scale.first * HOUR) // ROW if day == today else -1
    on_scale = 0 <= row < (scale.last - scale.first) * HOUR // ROW
    return Day(
        day=day,
        title=formats.day_full(day, clinic.zone),
        today=day == today,
        past=day < today,
        href=f"/board/{day}",
        previous=f"/board/{day - timedelta(days=1)}",
        next=f"/board/{day + timedelta(days=1)}",
        summary=_summary([appointment for each in of_day.values() for appointment in each]),
        closure=closure,
        hours=[CLOCK[hour * HOUR] for hour in range(scale.first, scale.last)],
        first_hour=scale.first,
        now=row_classes(row, 0) if on_scale else "",
        now_minute=frame.wall(frame.now),
        now_text=formats.clock(now, clinic.zone),
        columns=columns,
        away=away,
    )


def _frame_of(session: Session, clinic: Clinic, day: date, now: datetime) -> _Frame:
    pieces = pieces_of(clinic.zone, day, day)
    span = days_span(pieces, day_number(day), day_number(day))
    today = clinic.today(now)
    last = today + timedelta(days=clinic.horizon_days)
    this_minute = minute_reached(now)
    # The horizon ends at midnight, so a whole day is within it or beyond it.
    online = (this_minute + clinic.notice_minutes, span[1] if day <= last else span[0])
    types = {number: kind.name for number, kind in doctors.visit_types_by_id(session).items()}
    return _Frame(clinic, day, span, this_minute, online, _wall_clock(pieces, span), types)


def _wall_clock(pieces: Sequence[Piece], span: Span) -> Callable[[Minute], int]:
    """What the clock shows at an instant, in minutes of this day."""
    midnight = wall_of(pieces, span[0])
    midnight -= midnight % DAY
    whole = next((piece for piece in pieces if piece.start <= span[0] and span[1] <= piece.end), None)
    if whole is not None:
        shift = whole.offset - midnight
        return lambda minute: min(max(minute + shift, 0), DAY)
    return lambda minute: wall_of(pieces, min(max(minute, span[0]), span[1])) - midnight


def _scale(frame: _Frame, hours: dict[int, DayHours], appointments: dict[int, list[BoardAppointment]]) -> Scale:
    """The scale of all columns: from the first to the last thing of the day, in full hours."""
    wall = frame.wall
    walls = [(wall(start), wall(end)) for each in hours.values() for start, end in each.worked]
    walls += [
        (wall(appointment.start), wall(appointment.end)) for each in appointments.values() for appointment in each
    ]
    return scale_of_walls(walls, frame.clinic.zone)


def _column(
    frame: _Frame,
    scale: Scale,
    doctor: DoctorRow,
    hours: DayHours,
    appointments: Sequence[BoardAppointment],
    taking: Sequence[BoardAppointment],
) -> Column:
    """One doctor's day; `taking` are the appointments that may take time of it."""
    wall, rows = frame.wall, scale.rows
    taken = [
        (appointment.busy_from, appointment.busy_until) for appointment in taking if appointment.status in OCCUPYING
    ]
    against = [*hours.closures, *(span for span, _reason in hours.leave), *taken]
    things = [
        *_appointments(frame, appointments),
        *_free(frame, doctor, hours, against),
        *_breaks(frame, hours, against),
        *_leave(frame, hours),
    ]
    things.sort(key=lambda thing: (thing[0], thing[1]))
    places = [rows(start, end) for start, end, _item in things]
    items = [
        item._replace(
            classes=f"{item.classes} {row_classes(low, high - low, *lane)}"
            + (" s" if high - low < ROWS_OF_TWO_LINES else "")
        )
        for (_start, _end, item), (low, high), lane in zip(things, places, lanes_of(places), strict=True)
    ]

    def place(start: Minute, end: Minute) -> str:
        low, high = rows(wall(start), wall(end))
        return row_classes(low, high - low)

    return Column(
        doctor=doctor,
        href=f"/board/{frame.day}?doctor={doctor.slug}",
        open=[] if hours.closures else [place(*span) for span in hours.worked],
        buffers=[
            place(*span)
            for appointment in appointments
            if appointment.status in OCCUPYING
            for span in _buffers(appointment)
        ],
        items=items,
        booked=sum(appointment.status != "cancelled" for appointment in appointments),
        appointment_ids=[appointment.id for appointment in appointments],
    )


_Thing = tuple[int, int, Item]


def _appointments(frame: _Frame, appointments: Sequence[BoardAppointment]) -> Iterator[_Thing]:
    """The appointments; cancelled ones are counted, but their time may belong to others by now."""
    wall, types = frame.wall, frame.types
    for appointment in appointments:
        if appointment.status == "cancelled":
            continue
        start, end = wall(appointment.start), wall(appointment.end)
        item = Item(
            "appointment",
            "a",
            CLOCK[start],
            CLOCK[end % DAY],
            types[appointment.visit_type_id],
            name=appointment.patient_name,
            reference=appointment.reference,
            version=appointment.version,
            status=appointment.status,
            flags=flags(appointment) if appointment.undecided or appointment.excepted or appointment.arranged else (),
        )
        yield start, end, item


def _buffers(appointment: BoardAppointment) -> Iterator[Span]:
    if appointment.busy_from < appointment.start:
        yield appointment.busy_from, appointment.start
    if appointment.end < appointment.busy_until:
        yield appointment.end, appointment.busy_until


def _free(frame: _Frame, doctor: DoctorRow, hours: DayHours, against: Sequence[Span]) -> Iterator[_Thing]:
    """Free time in pieces that can be booked; none in the past. Those that only staff may book look different."""
    if not doctor.active or frame.span[1] <= frame.now:
        return
    wall, step = frame.wall, doctor.slot_step
    piece = -(-SHORTEST_PIECE // step) * step
    begins, ends = frame.online if any(kind.online for kind in doctor.visit_types) else (0, 0)
    not_past = [*against, (0, frame.now)]
    for worked in hours.worked:
        for low, high in subtract(worked, not_past):
            here = low + -wall(low) % step
            while here < high:
                start = wall(here)
                until = min(here + piece - start % piece, high)
                online = begins <= here < ends
                item = Item(
                    "free", "g" if online else "g in", CLOCK[start % DAY], CLOCK[wall(until) % DAY], href=_iso(here)
                )
                yield start, wall(until), item
                here = until


def _iso(minute: Minute) -> str:
    """'2026-03-03T08:30:00Z'."""
    number, rest = divmod(minute, DAY)
    return f"{number_to_day(number)}T{CLOCK[rest]}:00Z"


def _breaks(frame: _Frame, hours: DayHours, against: Sequence[Span]) -> Iterator[_Thing]:
    wall = frame.wall
    for (_start, end), (start, _end) in pairwise(hours.worked):
        for low, high in subtract((end, start), against):
            if high - low >= SHORTEST_REST:
                yield wall(low), wall(high), Item("break", "r", CLOCK[wall(low)], CLOCK[wall(high) % DAY], _("Break"))


def _leave(frame: _Frame, hours: DayHours) -> Iterator[_Thing]:
    wall = frame.wall
    for (low, high), reason in hours.leave:
        words = _("Time off: %(reason)s") % {"reason": reason} if reason else _("Time off")
        yield wall(low), wall(high), Item("off", "o", CLOCK[wall(low)], CLOCK[wall(high) % DAY], words)


def _summary(appointments: Sequence[BoardAppointment]) -> str:
    """'64 appointments · 3 arrived · 23 seen · 2 no-show · 1 cancelled'."""
    numbers = dict.fromkeys(("arrived", "completed", "no_show", "cancelled"), 0)
    for appointment in appointments:
        if appointment.status in numbers:
            numbers[appointment.status] += 1
    booked = len(appointments) - numbers["cancelled"]
    parts = [ngettext("%(n)d appointment", "%(n)d appointments", booked) % {"n": booked}]
    parts += [
        f"{number} {statuses.word_of(status, staff=True).lower()}" for status, number in numbers.items() if number
    ]
    return " · ".join(parts)
