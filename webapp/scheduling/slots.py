"""Time arithmetic for free times: pure functions over whole minutes, without a database or a clock.

There are two axes. An *instant* is a number of minutes since 1970-01-01T00:00Z. A *wall minute* counts the same way
along the clinic's wall clock, so a local day is always 1440 wall minutes long and begins at a multiple of 1440. Pieces
of constant UTC offset join the two axes: a nonexistent local time maps to no instant, and a repeated one to two. Spans
are half-open: they include their first minute and exclude their last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

Minute: TypeAlias = int
Span: TypeAlias = tuple[int, int]

DAY = 1440
# '00:00' to '24:00', by the minute of a day.
CLOCK = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(DAY + 1)]
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Piece(NamedTuple):
    """A stretch of instants in which the clinic's wall clock runs `offset` minutes ahead of UTC."""

    start: Minute
    end: Minute
    offset: int


def to_minute(instant: datetime) -> Minute:
    """The minute in which an aware datetime lies; seconds are cut off."""
    return int(instant.timestamp()) // 60


def minute_reached(instant: datetime) -> Minute:
    """The first whole minute that is not before an aware datetime."""
    return -(-int(instant.timestamp()) // 60)


def to_datetime(minute: Minute) -> datetime:
    """The aware UTC datetime at the start of a minute."""
    return EPOCH + timedelta(minutes=minute)


def day_number(day: date) -> int:
    """Days since 1970-01-01; times 1440 it is the wall minute at which the day begins."""
    return day.toordinal() - EPOCH_ORDINAL


def number_to_day(number: int) -> date:
    """The date of a day number."""
    return date.fromordinal(number + EPOCH_ORDINAL)


@lru_cache(maxsize=512)
def pieces_of(zone: ZoneInfo, first: date, last: date) -> tuple[Piece, ...]:
    """The pieces of constant offset that cover the local days `first` to `last`, with a spare day on each side."""

    def offset_at(minute: Minute) -> int:
        offset = datetime.fromtimestamp(minute * 60, zone).utcoffset()
        return int(offset.total_seconds()) // 60 if offset is not None else 0

    end = (day_number(last) + 3) * DAY
    pieces = []
    start = here = (day_number(first) - 2) * DAY
    while here < end:
        ahead = min(here + DAY, end)
        if offset_at(here) != offset_at(ahead):
            transition = _first_minute_with(offset_at, here, ahead)
            pieces.append(Piece(start, transition, offset_at(here)))
            start = transition
        here = ahead
    pieces.append(Piece(start, end, offset_at(end - 1)))
    return tuple(pieces)


def _first_minute_with(offset_at: Callable[[Minute], int], low: Minute, high: Minute) -> Minute:
    """The minute in (low, high] from which the offset is that of `high`, found by bisection."""
    after = offset_at(high)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(middle) == after:
            high = middle
        else:
            low = middle
    return high


def instants_of(pieces: Iterable[Piece], wall_start: int, wall_end: int) -> Iterator[Span]:
    """All instants at which the wall clock shows a minute in [wall_start, wall_end)."""
    for start, end, offset in pieces:
        low, high = max(wall_start - offset, start), min(wall_end - offset, end)
        if low < high:
            yield low, high


def days_span(pieces: Sequence[Piece], first: int, last: int) -> Span:
    """From the first to the last instant of the local days with these numbers; empty for a day that was skipped."""
    spans = list(instants_of(pieces, first * DAY, last * DAY + DAY))
    return (spans[0][0], spans[-1][1]) if spans else (pieces[-1].start, pieces[-1].start)


def wall_of(pieces: Iterable[Piece], minute: Minute) -> int:
    """The wall minute at an instant."""
    for start, end, offset in pieces:
        if start <= minute < end:
            return minute + offset
    raise ValueError("The instant is outside the prepared window.")


def merge(spans: Iterable[Span]) -> list[Span]:
    """The same set of minutes as sorted spans that neither overlap nor touch."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        elif start < end:
            merged.append((start, end))
    return merged


def subtract(window: Span, spans: Iterable[Span]) -> list[Span]:
    """The rest of `window` without `spans`, in order."""
    left: list[Span] = []
    here, end = window
    for low, high in sorted(spans):
        if high <= here or low >= high:
            continue
        if low >= end:
            break
        if low > here:
            left.append((here, low))
        here = high
    if here < end:
        left.append((here, end))
    return left


def starts_inside(spans: Iterable[Span], minutes: int) -> list[Span]:
    """The starts from which an appointment of `minutes` lies wholly inside one of the spans."""
    return [(start, end - minutes + 1) for start, end in merge(spans) if end - start >= minutes]


def starts_touching(spans: Iterable[Span], *, before: int, after: int) -> list[Span]:
    """The starts s for which [s - before, s + after) overlaps one of the spans."""
    return [(start - after + 1, end + before) for start, end in spans]


def grid_starts(pieces: Iterable[Piece], step: int, low: Minute, high: Minute) -> Iterator[Minute]:
    """The instants in [low, high) at which the wall clock shows a multiple of `step` minutes since midnight."""
    return grid_starts_within(pieces, step, [(low, high)])


def grid_starts_within(pieces: Iterable[Piece], step: int, spans: Sequence[Span]) -> Iterator[Minute]:
    """The starts of the grid in many sorted spans that do not overlap: a doctor's busy month has about a hundred."""
    for start, end, offset in pieces:
        for low, high in spans:
            if low >= end:
                break
            if high <= start:
                continue
            first, last = low + offset, high + offset
            if low < start:
                first = start + offset
            if high > end:
                last = end + offset
            while first < last:
                midnight = first - first % DAY
                tomorrow = midnight + DAY
                wall = midnight - (midnight - first) // step * step
                yield from range(wall - offset, min(tomorrow, last) - offset, step)
                first = tomorrow
