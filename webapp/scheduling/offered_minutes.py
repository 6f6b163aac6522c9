"""How many minutes doctors offered on each local day, for many doctors and long periods at once.

It is the time in which a patient could have come: within opening and working hours or extra hours, outside closures and
time off. Most days of a doctor are like other days of the same weekday, so they are counted once for each weekday; only
days with exceptions, and those on which the clocks change, are computed span by span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from sqlalchemy.orm import Session

from webapp.clinic.service import Clinic
from webapp.scheduling.facts_queries import Hours, load_hours
from webapp.scheduling.slots import (
    DAY,
    Piece,
    Span,
    day_number,
    days_span,
    instants_of,
    merge,
    pieces_of,
    subtract,
    wall_of,
)


def offered_minutes(
    session: Session, clinic: Clinic, doctor_ids: Sequence[int], first: date, last: date
) -> dict[int, list[int]]:
    """The minutes that each doctor offered on each of the local days `first` to `last`, in one query.

    They follow from the hours as they are stored now.
    """
    pieces = pieces_of(clinic.zone, first, last)
    days = range(day_number(first), day_number(last) + 1)
    asked = set(days)
    window = days_span(pieces, days[0], days[-1])
    hours = load_hours(session, list(doctor_ids), first, last, window)
    of_clinic = hours[None]
    closed = {number for start, end in of_clinic.closures for number in range(day_number(start), day_number(end) + 1)}
    changes = {number for piece in pieces for number in _days_of_change(pieces, piece)}
    found = {}
    for doctor_id in doctor_ids:
        own = hours[doctor_id]
        special = changes | {day_number(day) for day, _start, _end in own.extra} | set(_days_off(own, pieces, window))
        minutes = _ordinary(of_clinic, own, days)
        for number in (special | closed) & asked:
            minutes[number - days[0]] = 0 if number in closed else _exactly(of_clinic, own, pieces, number)
        found[doctor_id] = minutes
    return found


def _days_of_change(pieces: Sequence[Piece], piece: Piece) -> Iterator[int]:
    """The days around the change of the clocks with which a piece begins; the first piece begins without one."""
    if piece is not pieces[0]:
        for offset in (-1, 0, 1):
            yield (piece.start + piece.offset) // DAY + offset


def _days_off(own: Hours, pieces: Sequence[Piece], window: Span) -> Iterator[int]:
    """The days that time off touches."""
    for start, end in own.time_off:
        low, high = max(start, window[0]), min(end, window[1])
        if low < high:
            yield from range(wall_of(pieces, low) // DAY, wall_of(pieces, high - 1) // DAY + 1)


def _ordinary(of_clinic: Hours, own: Hours, days: range) -> list[int]:
    """The minutes of every day by the weekly hours alone, without changes of the clocks."""
    same: dict[int, int] = {}
    for weekday in range(7):
        if not any(first or last for _start, _end, first, last in own.weekly.get(weekday, ())):
            same[weekday] = _weekly_minutes(of_clinic, own, days[0] + (weekday - days[0] - 3) % 7)
    minutes = []
    for number in days:
        known = same.get((number + 3) % 7)
        minutes.append(_weekly_minutes(of_clinic, own, number) if known is None else known)
    return minutes


def _weekly_minutes(of_clinic: Hours, own: Hours, number: int) -> int:
    return sum(end - start for start, end in _common(_weekly(of_clinic, number), _weekly(own, number)))


def _weekly(hours: Hours, number: int) -> list[Span]:
    """The weekly hours that are valid on a day, in minutes of that day; 1970-01-01 was a Thursday."""
    return merge(
        (start, end)
        for start, end, first, last in hours.weekly.get((number + 3) % 7, ())
        if (first is None or day_number(first) <= number) and (last is None or number <= day_number(last))
    )


def _exactly(of_clinic: Hours, own: Hours, pieces: Sequence[Piece], number: int) -> int:
    """The minutes of one day with its extra hours, its time off, and the hour that the clocks skip or repeat."""
    extra = [(start, end) for day, start, end in own.extra if day_number(day) == number]
    spans = _common(merge([*_weekly(of_clinic, number), *extra]), merge([*_weekly(own, number), *extra]))
    midnight = number * DAY
    return sum(
        end - start
        for low, high in spans
        for instants in instants_of(pieces, midnight + low, midnight + high)
        for start, end in subtract(instants, own.time_off)
    )


def _common(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """The minutes that are in both of two lists of merged spans."""
    both = ((max(a, c), min(b, d)) for a, b in some for c, d in others)
    return [(start, end) for start, end in both if start < end]
