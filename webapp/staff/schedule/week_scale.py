"""The scale of a doctor's week and of the clinic's day: the rows of five minutes in which things are placed. Rows
follow the clinic's wall clock, so 10:00 is at the same height in each column, also when a clock changes. A place is
written as a few short classes, which static/css/scale.css turns into rows and lanes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

ROW = 5
ROWS_OF_HOUR = 60 // ROW
HOUR = 60
DAY_END = 24 * HOUR
# The scale of a week without hours and appointments.
USUAL_HOURS = (9, 17)
# Stylesheets draw at most this many things beside each other; the ones after that share the last lane.
MOST_LANES = 12


class GridPlace(NamedTuple):
    """The place of one thing: its first row as `hour` and `row` of that hour, and its length as `hours` and `rows`.

    `hour` counts from the first hour of the scale. Of `lanes` beside each other, it is in `lane`, from 1.
    """

    hour: int
    row: int
    hours: int
    rows: int
    lane: int = 1
    lanes: int = 1

    @property
    def classes(self) -> str:
        """The place as classes: 'h1 r6 v4', and 'k2 n2' if two are side by side."""
        start, length = self.hour * ROWS_OF_HOUR + self.row, self.hours * ROWS_OF_HOUR + self.rows
        return row_classes(start, length, self.lane, self.lanes)


class Scale(NamedTuple):
    """The hours of the wall clock that a week shows: from `first`, until before `last`."""

    first: int
    last: int
    zone: ZoneInfo

    def labels(self, day: date) -> list[datetime]:
        """The full hours of the scale, as instants of this day."""
        return [datetime.combine(day, time(hour), self.zone) for hour in range(self.first, self.last)]

    def places(self, day: date, spans: Sequence[tuple[datetime, datetime]]) -> list[GridPlace]:
        """The places of a day's things, in their order of time; overlapping ones are side by side."""
        rows = [self._rows(day, *span) for span in spans]
        return [
            GridPlace(*divmod(start, ROWS_OF_HOUR), *divmod(end - start, ROWS_OF_HOUR), lane, lanes)
            for (start, end), (lane, lanes) in zip(rows, lanes_of(rows), strict=True)
        ]

    def _rows(self, day: date, start: datetime, end: datetime) -> tuple[int, int]:
        return self.rows(wall_minute(start, day, self.zone), wall_minute(end, day, self.zone))

    def rows(self, start: int, end: int) -> tuple[int, int]:
        """The first row of a span of wall minutes and the one after the last; at least one, within the scale."""
        rows = (self.last - self.first) * ROWS_OF_HOUR
        low, high = (start - self.first * HOUR) // ROW, (end - self.first * HOUR) // ROW
        low = min(max(low, 0), rows - 1)
        return low, max(min(high, rows), low + 1)


def scale_of(spans: Iterable[tuple[date, datetime, datetime]], zone: ZoneInfo) -> Scale:
    """The scale from the earliest start to the latest end, in full hours; each span with its local day."""
    walls = [(wall_minute(start, day, zone), wall_minute(end, day, zone)) for day, start, end in spans]
    return scale_of_walls(walls, zone)


def scale_of_walls(walls: Sequence[tuple[int, int]], zone: ZoneInfo) -> Scale:
    """The scale of spans of wall minutes, from the earliest start to the latest end, in full hours."""
    if not walls:
        return Scale(*USUAL_HOURS, zone)
    first = min(min(low for low, _high in walls) // HOUR, DAY_END // HOUR - 1)
    last = -(-max(high for _low, high in walls) // HOUR)
    return Scale(first, max(last, first + 1), zone)


def wall_minute(instant: datetime, day: date, zone: ZoneInfo) -> int:
    """The minute of the wall clock on this day, from 0 to 1440."""
    local = instant.astimezone(zone)
    minute = (local.date() - day) // timedelta(days=1) * DAY_END + local.hour * HOUR + local.minute
    return min(max(minute, 0), DAY_END)


@lru_cache(maxsize=20_000)
def row_classes(start: int, length: int, lane: int = 1, lanes: int = 1) -> str:
    """The classes of a place: the hour and the row in it where it begins, and the hours and rows that it takes.

    Zeros, and a single lane, need no class.
    """
    numbers = zip("hruv", (*divmod(start, ROWS_OF_HOUR), *divmod(length, ROWS_OF_HOUR)), strict=True)
    classes = [f"{letter}{number}" for letter, number in numbers if number]
    return " ".join([*classes, *([f"k{lane}", f"n{lanes}"] if lanes > 1 else [])])


def lanes_of(rows: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """For each span, sorted by start: its lane, and how many lanes the group that it overlaps with has."""
    lanes: list[tuple[int, int]] = []
    group: list[int] = []
    ends: list[int] = []
    for start, end in rows:
        if ends and start >= max(ends):
            lanes += [(lane, len(ends)) for lane in group]
            group, ends = [], []
        free = next((number for number, until in enumerate(ends) if until <= start), len(ends))
        free = min(free, MOST_LANES - 1)
        ends[free : free + 1] = [max(end, *ends[free : free + 1])] if ends[free : free + 1] else [end]
        group.append(free + 1)
    return lanes + [(lane, len(ends)) for lane in group]
