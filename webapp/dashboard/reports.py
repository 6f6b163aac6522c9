"""The figures of the clinic by month, doctor or visit type, and those of the same days before.

Everything is counted by the clinic's local days, up to yesterday, because today's appointments may still change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from webapp.clinic.service import Clinic
from webapp.dashboard import report_months
from webapp.dashboard import report_queries as queries
from webapp.dashboard.report_queries import BEFORE, GroupWithLeads, Presence
from webapp.dashboard.report_schemas import Figures, GroupCounts, NextFree, Report, ReportQuery, ReportRow, median
from webapp.doctors import service as doctors
from webapp.scheduling.facts import FIRST_LOOK_DAYS, BookingRequest, FreeTime, next_free
from webapp.scheduling.offered_minutes import offered_minutes
from webapp.scheduling.slots import day_number
from webapp.scheduling.suggested_types import suggested_type

MONTHS = 12
MOST_MONTHS = 36
THIRD = 3


def month_of(day: date) -> date:
    """The first day of the month."""
    return day.replace(day=1)


def months_later(day: date, months: int) -> date:
    """The same day `months` months later, or the last of a shorter month."""
    years, month = divmod(day.month - 1 + months, 12)
    first = date(day.year + years, month + 1, 1)
    after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return min(first.replace(day=1) + timedelta(days=day.day - 1), after - timedelta(days=1))


def months_between(first: date, last: date) -> list[date]:
    """The first days of all months from one day to another."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [months_later(month_of(first), number) for number in range(count)]


def months_with_figures(session: Session, clinic: Clinic, *, now: datetime) -> list[date]:
    """The months from the first appointment to today, the newest first; empty if nothing has happened yet."""
    first = queries.find_first_start(session)
    if first is None or clinic.today(first) >= clinic.today(now):
        return []
    return months_between(clinic.today(first), clinic.today(now))[::-1]


def make_report(session: Session, clinic: Clinic, asked: ReportQuery, *, now: datetime) -> Report:
    """The report. The number of queries does not depend on the clinic's size."""
    end = min(asked.last + timedelta(days=1), clinic.today(now))
    months = months_between(asked.first, asked.last)
    before = months_later(asked.first, -len(months)), months_later(end, -len(months))
    bounds = queries.bounds_of(clinic, before, months, end)
    counted = report_months.count_appointments(session, clinic, asked, bounds, now=now)
    new = report_months.count_new_patients(session, asked, bounds, now=now)
    present = queries.find_presence(session, asked.doctor_id)
    offered = _offered(session, clinic, present, asked.first, end)
    keys = _keys(session, asked, months, counted, present)
    minutes = _minutes_by_key(asked, keys, offered)
    nothing = GroupWithLeads(GroupCounts(), Counter())
    rows = [
        ReportRow(name, _figures([counted.get(key, nothing)], minutes[key], new[key])) for key, name in keys.items()
    ]
    return Report(
        asked,
        _figures(counted.values(), _total(offered), new.total() - new[BEFORE]),
        Figures(report_months.count_before(session, asked, bounds, now=now), None, 0, new[BEFORE]),
        rows,
        _third_next(session, clinic, asked, now=now),
    )


def _figures(counted: Iterable[GroupWithLeads], offered: int, new: int) -> Figures:
    counts, leads = GroupCounts(), Counter[int]()
    for about in counted:
        counts = counts.plus(about.counts)
        leads += about.leads
    return Figures(counts, median(leads), offered, new)


def _keys(
    session: Session,
    asked: ReportQuery,
    months: Sequence[date],
    counted: dict[int, GroupWithLeads],
    present: Sequence[Presence],
) -> dict[int, date | str]:
    """The keys of the lines, with their names: every month, and the doctors or types that had appointments."""
    if asked.by == "month":
        return dict(enumerate(months))
    if asked.by == "doctor":
        names = {each.doctor_id: each.name for each in present}
    else:
        kinds = doctors.visit_types_by_id(session)
        names = {kind.id: kind.name for kind in sorted(kinds.values(), key=lambda kind: kind.name)}
    return {key: name for key, name in names.items() if key in counted}


# ------------------------------------------------------------------------------------------ offered minutes

# The minutes that each doctor offered, by the local day.
Offered = dict[int, dict[date, int]]


def _offered(session: Session, clinic: Clinic, present: Sequence[Presence], first: date, end: date) -> Offered:
    """The minutes that doctors offered before `end`.

    No hours are stored for the past, so the present hours of each weekday count for it, from the doctor's first
    appointment on. A doctor who takes no bookings any more counts until the last appointment.
    """
    last = end - timedelta(days=1)
    ids = [each.doctor_id for each in present if each.first is not None]
    if not ids or last < first:
        return {}
    found = offered_minutes(session, clinic, ids, first, last)
    days = [first + timedelta(days=number) for number in range((end - first).days)]
    offered: Offered = {}
    for each in present:
        if each.first is not None and each.last is not None:
            came, left = clinic.today(each.first), last if each.active else clinic.today(each.last)
            of_days = zip(days, found[each.doctor_id], strict=True)
            offered[each.doctor_id] = {day: minutes for day, minutes in of_days if minutes and came <= day <= left}
    return offered


def _minutes_by_key(asked: ReportQuery, keys: Mapping[int, date | str], offered: Offered) -> dict[int, int]:
    """The offered minutes of each line; for a visit type, these are all offered minutes."""
    if asked.by == "doctor":
        return {key: sum(offered.get(key, {}).values()) for key in keys}
    if asked.by == "visit_type":
        return dict.fromkeys(keys, _total(offered))
    by_month: Counter[date | str] = Counter()
    for of_days in offered.values():
        for day, count in of_days.items():
            by_month[month_of(day)] += count
    return {key: by_month[month] for key, month in keys.items()}


def _total(offered: Offered) -> int:
    return sum(sum(of_days.values()) for of_days in offered.values())


# ------------------------------------------------------------------------------------- third next available


def _third_next(session: Session, clinic: Clinic, asked: ReportQuery, *, now: datetime) -> list[NextFree]:
    """In how many days the third free time is that patients can book: of every doctor who takes bookings online."""
    requests = []
    for doctor in doctors.list_doctors(session):
        kind = doctor.visit_type(asked.visit_type_id) if asked.visit_type_id else suggested_type(doctor, ())
        if kind is not None and kind.online and asked.doctor_id in (None, doctor.id):
            requests.append(BookingRequest(doctor, kind))
    found = next_free(session, clinic, requests, now=now, count=THIRD)
    few = [request for request in requests if 0 < len(found[request.doctor.id]) < THIRD]
    if few and clinic.horizon_days > FIRST_LOOK_DAYS:
        found |= next_free(session, clinic, few, now=now, count=THIRD, look_days=clinic.horizon_days)
    today = day_number(clinic.today(now))
    return [NextFree(each.doctor.name, _third(found[each.doctor.id], today)) for each in requests]


def _third(times: Sequence[FreeTime], today: int) -> int | None:
    return times[THIRD - 1].day - today if len(times) >= THIRD else None


def middle_of(days: Sequence[int | None]) -> int | None:
    """The median of the doctors' days; None if half of them or more have fewer than three free times."""
    from statistics import median_low

    never = 10**6
    middle = median_low([never if each is None else each for each in days]) if days else never
    return None if middle == never else middle
