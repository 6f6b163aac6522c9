"""One doctor's column of the board: appointments, free time, breaks and time off on the scale of the day.

A day of thirty doctors has thousands of things, so everything here counts in whole minutes, and each thing is one flat
tuple that its template takes apart. A column depends on its `Outline` alone: see `Outline.state`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import date
from itertools import pairwise
from typing import Literal, NamedTuple

from webapp.appointments.booking import statuses
from webapp.appointments.booking.statuses import Wait
from webapp.appointments.messages.notification_lists import CallsToMake
from webapp.doctors.lateness import late_by
from webapp.doctors.service import DoctorRow
from webapp.i18n import Sentence
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.scheduling.models import ACTIVE, OCCUPYING
from webapp.scheduling.slots import CLOCK, DAY, Minute, Span, number_to_day, subtract
from webapp.staff.board.queries import BoardAppointment, DayHours, Taken
from webapp.staff.schedule.week_scale import Scale, lanes_of, row_classes

# Free time is cut into pieces of at least this length, each of which can be booked with one tap.
SHORTEST_PIECE = 15
# Shorter rests of time are useless.
SHORTEST_REST = 5
# In a place lower than this many rows, the second line does not fit.
ROWS_OF_TWO_LINES = 5

ItemKind = Literal["appointment", "free", "break", "off"]


class Item(NamedTuple):
    """One thing in a doctor's column, in order of time.

    `classes` are its place on the scale and how it looks. `start` and `end` are the clinic's clock. An appointment has
    its patient's name, its visit type as `words`, its status and flags; free time leads to `href`, where it is booked.
    `arriving`: the patient may be marked as arrived; `waiting` is for how long they have been here and not seen.
    """

    kind: ItemKind
    classes: str
    start: str
    end: str
    words: str = ""
    href: str = ""
    name: str = ""
    reference: str = ""
    version: int = 0
    status: str = ""
    flags: Sequence[tuple[str, Sentence | str]] = ()
    arriving: bool = False
    waiting: Wait | None = None


class Column(NamedTuple):
    """One doctor's day, in order. `open` and `buffers` are the classes of places; `late` is by how many minutes
    the doctor is running late; `calls` are still to be made because the doctor is away.
    """

    doctor: DoctorRow
    href: str
    booked: int
    open: list[str]
    buffers: list[str]
    items: list[Item]
    late: int = 0
    calls: CallsToMake | None = None


class Frame(NamedTuple):
    """The shared data of all columns of a day. `online` is when patients may book: from the minimum notice to the
    horizon.

    `now` is the first minute that is not past, `clock` the minute that the clock shows.
    """

    day: date
    today: bool
    span: Span
    now: Minute
    clock: Minute
    online: Span
    wall: Callable[[Minute], int]
    types: dict[int, str]


class Outline(NamedTuple):
    """The data of one column. `version` is that of the doctor's schedule, None if it is not known. `calls`: see
    `Column`.
    """

    frame: Frame
    scale: Scale
    doctor: DoctorRow
    hours: DayHours
    taken: Taken
    version: Hashable
    calls: CallsToMake | None = None

    @property
    def appointments(self) -> list[BoardAppointment]:
        """The appointments that begin on the day, including cancelled ones."""
        return [each for each in self.taken.appointments if each.start >= self.frame.span[0]]

    @property
    def state(self) -> Hashable:
        """All data that the column shows: the column is rendered once for each state.

        The time matters only when it passes a free time, and by the minute while patients wait.
        """
        begins, ends = self.frame.online
        minute = self.frame.clock if self.taken.statuses["arrived"] else None
        return (
            self.version,
            self.scale[:2],
            self._next_start(self.frame.now),
            self._next_start(begins),
            ends,
            (self.frame.today, minute, self.doctor.late_minutes, self.doctor.late_on, self.calls),
            self.taken.text,
        )

    def _next_start(self, minute: Minute) -> Minute:
        """The doctor's first start of the day from this minute on: the same until a start passes."""
        here = min(max(minute, self.frame.span[0]), self.frame.span[1])
        return _on_grid(self.frame, self.doctor, here)

    def column(self) -> Column:
        """The column with everything in it."""
        return _column(self)


def flags(appointment: BoardAppointment) -> list[tuple[str, Sentence | str]]:
    """The signs of an appointment that staff should notice: the name of each in board-cards.css, and its words."""
    found: list[tuple[str, Sentence | str]] = []
    if appointment.alert:
        found.append(("alert", _("alert: %(words)s") % {"words": appointment.alert}))
    if appointment.undecided and appointment.status in ACTIVE:
        found.append(("decide", _DECIDE))
    if appointment.excepted:
        found.append(("except", _EXCEPTED))
    if appointment.lane:
        found.append(("squeeze", _SQUEEZED))
    if appointment.arranged:
        found.append(("arrange", _ARRANGE))
    if appointment.noted:
        found.append(("note", _NOTED))
    return found


_DECIDE, _EXCEPTED = _l("needs a decision"), _l("exception")
_SQUEEZED, _ARRANGE, _NOTED = _l("squeezed in"), _l("to arrange"), _l("note")


def _column(of: Outline) -> Column:
    frame, scale, doctor, hours = of.frame, of.scale, of.doctor, of.hours
    wall, rows, appointments = frame.wall, scale.rows, of.appointments
    taken = [(each.busy_from, each.busy_until) for each in of.taken.appointments if each.status in OCCUPYING]
    against = [*hours.closures, *(span for span, _reason in hours.leave), *taken]
    # The rest of a missed appointment's time is free, but showing both in half the width would not help.
    missed = [(each.start, each.end) for each in appointments if each.status == "no_show"]
    things = [
        *_appointments(frame, appointments),
        *_free(frame, doctor, hours, [*against, *missed]),
        *_breaks(frame, hours, against),
        *_leave(frame, hours, [(each.start, each.end) for each in appointments if each.status != "cancelled"]),
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
        booked=sum(each.status != "cancelled" for each in appointments),
        open=[] if hours.closures else [place(*span) for span in hours.worked],
        buffers=[place(*span) for each in appointments if each.status in OCCUPYING for span in _buffers(each)],
        items=items,
        late=late_by(doctor, frame.day),
        calls=of.calls,
    )


_Thing = tuple[int, int, Item]


def _appointments(frame: Frame, appointments: Sequence[BoardAppointment]) -> Iterator[_Thing]:
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
            _end_clock(end),
            types[appointment.visit_type_id],
            name=appointment.patient_name,
            reference=appointment.reference,
            version=appointment.version,
            status=appointment.status,
            flags=flags(appointment),
            arriving=frame.today and appointment.status in ACTIVE,
            waiting=statuses.wait_of(appointment.status, appointment.arrived, frame.clock),
        )
        yield start, end, item


def _buffers(appointment: BoardAppointment) -> Iterator[Span]:
    if appointment.busy_from < appointment.start:
        yield appointment.busy_from, appointment.start
    if appointment.end < appointment.busy_until:
        yield appointment.end, appointment.busy_until


def _free(frame: Frame, doctor: DoctorRow, hours: DayHours, against: Sequence[Span]) -> Iterator[_Thing]:
    """Free time in pieces that can be booked; none in the past. Those that only staff may book look different."""
    if not doctor.active or frame.span[1] <= frame.now:
        return
    wall, step = frame.wall, doctor.slot_step
    piece = -(-SHORTEST_PIECE // step) * step
    begins, ends = frame.online if any(kind.online for kind in doctor.visit_types) else (0, 0)
    not_past = [*against, (0, frame.now)]
    for worked in hours.worked:
        for low, high in subtract(worked, not_past):
            here = _on_grid(frame, doctor, low)
            while here < high:
                start = wall(here)
                until = min(here + piece - start % piece, high)
                online = begins <= here < ends
                item = Item(
                    "free", "g" if online else "g in", CLOCK[start % DAY], _end_clock(wall(until)), href=_iso(here)
                )
                yield start, wall(until), item
                here = until


def _on_grid(frame: Frame, doctor: DoctorRow, minute: Minute) -> Minute:
    """The first minute from this one on at which the clinic's clock shows one of the doctor's start times."""
    return minute + -frame.wall(minute) % doctor.slot_step


def _end_clock(minute: int) -> str:
    """The end of a span on the wall clock: the end of the day is '24:00'."""
    return CLOCK[minute % DAY or DAY]


def _iso(minute: Minute) -> str:
    """'2026-03-03T08:30:00Z'."""
    number, rest = divmod(minute, DAY)
    return f"{number_to_day(number)}T{CLOCK[rest]}:00Z"


def _breaks(frame: Frame, hours: DayHours, against: Sequence[Span]) -> Iterator[_Thing]:
    wall = frame.wall
    for (_start, end), (start, _end) in pairwise(hours.worked):
        for low, high in subtract((end, start), against):
            if high - low >= SHORTEST_REST:
                yield wall(low), wall(high), Item("break", "r", CLOCK[wall(low)], _end_clock(wall(high)), _("Break"))


def _leave(frame: Frame, hours: DayHours, seen: Sequence[Span]) -> Iterator[_Thing]:
    """Time off in the whole width between the appointments; one that they cover entirely is shown beside them."""
    wall = frame.wall
    for whole, reason in hours.leave:
        words = _("Time off: %(reason)s") % {"reason": reason} if reason else _("Time off")
        pieces = [(low, high) for low, high in subtract(whole, seen) if high - low >= SHORTEST_REST]
        for low, high in pieces or [whole]:
            yield wall(low), wall(high), Item("off", "o", CLOCK[wall(low)], _end_clock(wall(high)), words)
