"""Counts of past months for the reports; a process computes them once.

Their appointments seldom change. When one does, the month gets a new version (`webapp.clinic.schedule_versions`), and
is counted again. A writing transaction has no versions and counts everything.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise

from sqlalchemy.orm import Session

from webapp.clinic.schedule_versions import cached_for_past, is_over
from webapp.clinic.service import Clinic
from webapp.dashboard import report_queries as queries
from webapp.dashboard.report_queries import GroupWithLeads, PeriodBounds
from webapp.dashboard.report_schemas import GroupCounts, ReportQuery


def count_appointments(
    session: Session, clinic: Clinic, asked: ReportQuery, bounds: PeriodBounds, *, now: datetime
) -> dict[int, GroupWithLeads]:
    """The counts by the number of the month, or by the id of the doctor or type."""
    # A count also depends on the roles of accounts, which may change.
    bookers = queries.find_bookers(session)
    also = (asked[2:], clinic.change_until_minutes, bookers)
    found: dict[int, GroupWithLeads] = {}
    for number, (start, end) in enumerate(pairwise([*bounds.months, bounds.end])):
        if start >= end:
            continue

        def count(start: datetime = start, end: datetime = end) -> dict[int, GroupWithLeads]:
            return queries.count_appointments(session, clinic, asked, bookers, start, end)

        of_month = cached_for_past(session, ("report", start, end, also), start, end, count, _weight_of, now=now)
        for key, counted in of_month.items():
            _add(found, number if asked.by == "month" else key, counted)
    return found


def _add(found: dict[int, GroupWithLeads], key: int, counted: GroupWithLeads) -> None:
    before = found.get(key)
    # Cached values are shared, so they are never changed.
    counts = before.counts.plus(counted.counts) if before else counted.counts
    found[key] = GroupWithLeads(counts, before.leads + counted.leads if before else counted.leads)


def _weight_of(counted: dict[int, GroupWithLeads]) -> int:
    return sum(10 + len(each.leads) for each in counted.values())


def count_before(session: Session, asked: ReportQuery, bounds: PeriodBounds, *, now: datetime) -> GroupCounts:
    """The counts of the same days before the period."""

    def count() -> GroupCounts:
        return queries.count_before(session, asked, bounds)

    start, end = bounds.before, bounds.before_end
    return cached_for_past(
        session, ("report before", start, end, asked[3:]), start, end, count, lambda _counts: 10, now=now
    )


def count_new_patients(session: Session, asked: ReportQuery, bounds: PeriodBounds, *, now: datetime) -> Counter[int]:
    """How many patients had their first appointment at the clinic, by the same keys, and by `BEFORE`.

    An appointment is the first one depending on all earlier ones.
    """
    over = max((each for each in [*bounds.months, bounds.end] if is_over(each, now=now)), default=bounds.before)

    def count(start: datetime = bounds.before, end: datetime = over) -> Counter[int]:
        return queries.count_new_patients(session, asked, bounds, start, end)

    key = ("report new", bounds, over, asked[2:])
    found = cached_for_past(session, key, None, over, count, lambda counted: 10 + len(counted), now=now)
    return found + count(over, bounds.end) if over < bounds.end else found
