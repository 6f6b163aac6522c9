"""The lines of a doctor's day: appointments with their buffers, gaps, breaks and time off, in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise
from typing import Literal, NamedTuple

from webapp.appointments.booking.schedule_queries import ScheduleAppointment
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
from webapp.staff.schedule.schedule_week import AppointmentCard, ScheduleWeek

# Shorter gaps between two appointments are useless.
SHORTEST_GAP = 5
RowKind = Literal["appointment", "buffer", "gap", "break", "off", "now"]


class DayRow(NamedTuple):
    """One line of the day, in order of time. Instants are UTC. `book` is the first start of free time that fits the
    doctor's grid, and `block` from when until when it can be blocked, on the clinic's wall clock. `beside` are the
    appointments that have a part of this one's time too.
    """

    kind: RowKind
    starts_at: datetime
    ends_at: datetime
    words: str = ""
    card: AppointmentCard | None = None
    book: datetime | None = None
    block: tuple[str, str] | None = None
    all_day: bool = False
    beside: tuple[DayRow, ...] = ()

    @property
    def minutes(self) -> int:
        """The duration in minutes."""
        return int((self.ends_at - self.starts_at).total_seconds()) // 60

    @property
    def identity(self) -> tuple[object, ...]:
        """The identity of the line within its day, also after changes, and when the time passes: only the current time
        and the beginning of a gap move on.
        """
        until = None if self.kind == "now" else self.ends_at
        return self.kind, until, self.card and self.card.appointment.id

    @property
    def cards(self) -> list[AppointmentCard]:
        """The appointments in the line."""
        return [row.card for row in (self, *self.beside) if row.card]


def rows_of(
    frame: ScheduleWeek,
    day: date,
    appointments: list[ScheduleAppointment],
    current: ScheduleAppointment | None,
    free: list[Span],
) -> Iterator[DayRow]:
    """All lines of a day except the current time; `place_of` gives their order."""
    for appointment in appointments:
        yield DayRow("appointment", appointment.starts_at, appointment.ends_at, card=frame.card(appointment, current))
        # The buffers of one that was squeezed in lie in the time of another.
        if appointment.occupies and not appointment.squeeze_reason:
            if appointment.busy_from < appointment.starts_at:
                yield DayRow("buffer", appointment.busy_from, appointment.starts_at)
            if appointment.ends_at < appointment.busy_until:
                yield DayRow("buffer", appointment.ends_at, appointment.busy_until)
    for gap in free:
        yield _gap(frame, gap)
    for start, end in _breaks(frame, day):
        yield DayRow("break", to_datetime(start), to_datetime(end))
    whole = frame.span_of(day)
    for since, until, words in frame.leave_on(day):
        all_day = (to_minute(since), to_minute(until)) == whole
        yield DayRow("off", since, until, words=words, all_day=all_day)


def place_of(row: DayRow) -> tuple[datetime, bool, datetime]:
    """The sort key of rows: in order of time; a squeezed-in appointment comes after the one that had the time."""
    return row.starts_at, row.card is not None and bool(row.card.appointment.squeeze_reason), row.ends_at


def free_spans(frame: ScheduleWeek, day: date) -> list[Span]:
    """The gaps of a day: hours minus closures, leave and appointments with their buffers; none on past days.

    Of today, only the rest of the day counts.
    """
    past = (0, minute_reached(frame.now))
    against = [*frame.time.closures, *frame.time.time_off, *frame.taken, past]
    return [gap for hours in frame.hours[day] for gap in subtract(hours, against) if gap[1] - gap[0] >= SHORTEST_GAP]


def _breaks(frame: ScheduleWeek, day: date) -> Iterator[Span]:
    """The gaps between a day's hours, minus appointments in them."""
    against = [*frame.time.closures, *frame.time.time_off, *frame.taken]
    for (_start, end), (start, _end) in pairwise(frame.hours[day]):
        yield from (rest for rest in subtract((end, start), against) if rest[1] - rest[0] >= SHORTEST_GAP)


def _gap(frame: ScheduleWeek, gap: Span) -> DayRow:
    """Free time, with what is needed to book it and to block it."""
    start, end = gap
    first = next(iter(grid_starts(frame.time.pieces, frame.doctor.slot_step, start, end)), None)
    book = None if first is None else to_datetime(first)
    block = (_wall_text(frame, start), _wall_text(frame, end))
    return DayRow("gap", to_datetime(start), to_datetime(end), book=book, block=block)


def _wall_text(frame: ScheduleWeek, minute: Minute) -> str:
    """'2026-03-03T11:30' on the clinic's wall clock, as date and time fields have it."""
    number, rest = divmod(wall_of(frame.time.pieces, minute), DAY)
    return f"{number_to_day(number)}T{rest // 60:02d}:{rest % 60:02d}"
