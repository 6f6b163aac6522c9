"""The data of the reports: the query, and the figures of months, doctors or visit types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Literal, NamedTuple

GroupedBy = Literal["month", "doctor", "visit_type"]

# A share of fewer appointments says more about chance than about the clinic.
FEWEST_FOR_SHARES = 10


class ReportQuery(NamedTuple):
    """The query of a report: local days, both included, and perhaps one doctor or one visit type, by id."""

    first: date
    last: date
    by: GroupedBy = "month"
    doctor_id: int | None = None
    visit_type_id: int | None = None


class GroupCounts(NamedTuple):
    """The database's counts of appointments in one group. `minutes` are the minutes that they take."""

    booked: int = 0
    seen: int = 0
    no_shows: int = 0
    late: int = 0
    minutes: int = 0
    by_patient: int = 0
    by_desk: int = 0
    by_doctor: int = 0
    by_program: int = 0

    def plus(self, other: Iterable[int]) -> GroupCounts:
        """The counts of this group and another one together."""
        return GroupCounts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Figures(NamedTuple):
    """The figures of one group. `offered` are minutes; `lead` is the median in days, None without appointments."""

    counts: GroupCounts
    lead: float | None
    offered: int
    new_patients: int

    @property
    def utilisation(self) -> float | None:
        """The part of the offered minutes that was booked; more than 1 if appointments were outside the hours."""
        return self.counts.minutes / self.offered if self.offered else None

    @property
    def unrecorded(self) -> int:
        """How many appointments were neither marked as seen nor as missed."""
        return self.counts.booked - self.counts.seen - self.counts.no_shows

    @property
    def by_unknown(self) -> int:
        """How many were booked by an account that was deleted since."""
        counts = self.counts
        return counts.booked - counts.by_patient - counts.by_desk - counts.by_doctor - counts.by_program

    def share(self, part: int) -> float | None:
        """The share that `part` has in the booked appointments; None if these are so few that it would mislead."""
        return part / self.counts.booked if self.counts.booked >= FEWEST_FOR_SHARES else None


class ReportRow(NamedTuple):
    """One line of the report: a month (its first day), a doctor or a visit type, by name."""

    name: date | str
    figures: Figures


class NextFree(NamedTuple):
    """In how many days a doctor's third free time is, None if there are fewer; 0 is today."""

    doctor: str
    days: int | None


class Report(NamedTuple):
    """All figures of the period, the counts of the same days before it, and the lines of the table."""

    asked: ReportQuery
    total: Figures
    before: Figures
    rows: list[ReportRow]
    third_next: list[NextFree]


def median(histogram: Counter[int]) -> float | None:
    """The median of the values, each as often as it occurs; of an even number, midway between the middle two."""
    number = histogram.total()
    if not number:
        return None
    return (_nth(histogram, (number - 1) // 2) + _nth(histogram, number // 2)) / 2


def _nth(histogram: Counter[int], place: int) -> int:
    """The value at this place, from 0, when all are in order."""
    values = iter(sorted(histogram.items()))
    value, many = next(values)
    while place >= many:
        place -= many
        value, many = next(values)
    return value
