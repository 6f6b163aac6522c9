"""The queries of the reports: each counts in the database, in one pass over the appointments of the period.

An appointment belongs to the local day on which it begins. Its cancellation is the last change of its row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import User
from webapp.clinic.service import Clinic
from webapp.core.local_time import first_instant
from webapp.dashboard.report_schemas import GroupCounts, GroupedBy, ReportQuery
from webapp.database import rows, table_of
from webapp.doctors.models import Doctor
from webapp.patients.models import Patient
from webapp.scheduling.models import Appointment
from webapp.sql_functions import minute_of, numbers_joined

_VISIT, _USER = table_of(Appointment).c, table_of(User).c
_DOCTOR, _PATIENT = table_of(Doctor).c, table_of(Patient).c

BEFORE = -1
"""The key of the group of all appointments before the period."""

DAY_MINUTES = 24 * 60


class PeriodBounds(NamedTuple):
    """The instants at which the time before, the period, and each of its months begin, and the end."""

    before: datetime
    months: tuple[datetime, ...]
    before_end: datetime
    end: datetime


class GroupWithLeads(NamedTuple):
    """The counts of one group, and how many appointments were booked how many days ahead."""

    counts: GroupCounts
    leads: Counter[int]


# Accounts of staff and programs by id, with their roles.
Bookers = tuple[tuple[int, str], ...]

# The outcome of an appointment; the clinic's own reasons to cancel it, such as time off, do not count against the
# patient.
CANCELLED, CANCELLED_LATE, MISSED, UNMARKED, SEEN = range(5)
# The roles of the accounts that book, with the members of `GroupCounts`; deleted accounts are not counted anywhere.
BY_UNKNOWN, BY_PATIENT, BY_DESK, BY_DOCTOR, BY_PROGRAM = range(5)
_BOOKERS = ((BY_DESK, ("admin", "receptionist")), (BY_DOCTOR, ("doctor",)), (BY_PROGRAM, ("machine",)))
_WAYS = ("", "by_patient", "by_desk", "by_doctor", "by_program")
_SEEN = ("arrived", "completed")

# One number stands for a group: the days ahead, the key and the minutes, each times its factor here, and below them the
# outcome times ten and the way.
_OF_MINUTES, _OF_KEY, _OF_LEAD = 100, 10**7, 10**14


def count_appointments(
    session: Session, clinic: Clinic, asked: ReportQuery, bookers: Bookers, start: datetime, end: datetime
) -> dict[int, GroupWithLeads]:
    """The counts of a month or a part of it, by the id of the doctor or type; by month there is one, of number 0."""
    starts = sa.and_(_VISIT.starts_at >= start, _VISIT.starts_at < end)
    # Almost every appointment is the only one of its group, so counting here is quicker than sorting in the database,
    # and one text is quicker to fetch than rows.
    query = sa.select(numbers_joined(_packed(clinic, asked, bookers))).where(starts, *_filters(asked))
    groups = Counter((rows(session, query).scalar() or "").split())
    leads: dict[int, Counter[int]] = defaultdict(Counter)
    sums: dict[int, Counter[str]] = defaultdict(Counter)
    for packed, count in groups.items():
        lead, rest = divmod(int(packed), _OF_LEAD)
        key, rest = divmod(rest, _OF_KEY)
        minutes, code = divmod(rest, _OF_MINUTES)
        outcome, way = divmod(code, 10)
        of_key = sums[key]
        if outcome in (CANCELLED, CANCELLED_LATE):
            of_key["late"] += count if outcome == CANCELLED_LATE else 0
            continue
        # An appointment that was entered after its start was booked at the last moment.
        leads[key][max(lead, 0)] += count
        of_key["booked"] += count
        of_key["minutes"] += count * minutes
        of_key[_ENDS[outcome]] += count
        of_key[_WAYS[way]] += count
    return {
        key: GroupWithLeads(GroupCounts(**{name: of_key[name] for name in GroupCounts._fields}), leads[key])
        for key, of_key in sums.items()
    }


_ENDS = {MISSED: "no_shows", UNMARKED: "", SEEN: "seen"}


def _packed(clinic: Clinic, asked: ReportQuery, bookers: Bookers) -> sa.ColumnElement[int]:
    """The group of an appointment as one number: days ahead, doctor or type, minutes, outcome, who booked."""
    starts = minute_of(_VISIT.starts_at)
    late = sa.and_(_VISIT.cancellation_code == "", starts - minute_of(_VISIT.updated_at) < clinic.change_until_minutes)
    outcome = sa.case(
        (_VISIT.status.in_(_SEEN), _literal(SEEN)),
        (_VISIT.status == "no_show", _literal(MISSED)),
        (_VISIT.status != "cancelled", _literal(UNMARKED)),
        (late, _literal(CANCELLED_LATE)),
        else_=_literal(CANCELLED),
    )
    # Most are booked by patients, so they are tested first.
    way = sa.case(
        (_VISIT.booked_by.is_(None), _literal(BY_UNKNOWN)),
        (_VISIT.booked_by.not_in([number for number, _role in bookers]), _literal(BY_PATIENT)),
        *(
            (_VISIT.booked_by.in_([number for number, role in bookers if role in roles]), _literal(way))
            for way, roles in _BOOKERS
        ),
        else_=_literal(BY_PATIENT),
    )
    lead = sa.cast((starts - minute_of(_VISIT.created_at)) // DAY_MINUTES, sa.BigInteger)
    key = sa.cast(_literal(0) if asked.by == "month" else _key(asked.by, ()), sa.BigInteger)
    minutes = minute_of(_VISIT.busy_until) - minute_of(_VISIT.busy_from)
    packed = lead * _literal(_OF_LEAD) + key * _literal(_OF_KEY) + minutes * _literal(_OF_MINUTES)
    return packed + outcome * _literal(10) + way


def count_before(session: Session, asked: ReportQuery, bounds: PeriodBounds) -> GroupCounts:
    """The counts of the same days before the period, as far as an index alone gives them."""
    query = (
        sa.select(_VISIT.status, sa.func.count())
        .where(_VISIT.starts_at >= bounds.before, _VISIT.starts_at < bounds.before_end, *_filters(asked))
        .group_by(_VISIT.status)
    )
    found = Counter({row[0]: row[1] for row in rows(session, query)})
    booked = found.total() - found["cancelled"]
    return GroupCounts(booked, sum(found[status] for status in _SEEN), found["no_show"])


def _key(by: GroupedBy, months: Sequence[datetime]) -> sa.ColumnElement[int]:
    """The group of an appointment of the period, which has these months."""
    if by == "doctor":
        return _VISIT.doctor_id
    if by == "visit_type":
        return _VISIT.visit_type_id
    # Months begin at instants of the clinic's zone, which a database does not know.
    ends = [(_VISIT.starts_at < end, _literal(number)) for number, end in enumerate(months[1:])]
    last = _literal(len(ends))
    return sa.case(*ends, else_=last) if ends else last


def _literal(number: int) -> sa.ColumnElement[int]:
    """A number in the text of the query: PostgreSQL would take a parameter, repeated, for another expression."""
    return sa.literal_column(str(number), sa.BigInteger)


def _filters(asked: ReportQuery) -> list[sa.ColumnElement[bool]]:
    wanted = ((_VISIT.doctor_id, asked.doctor_id), (_VISIT.visit_type_id, asked.visit_type_id))
    return [column == value for column, value in wanted if value is not None]


def count_new_patients(
    session: Session, asked: ReportQuery, bounds: PeriodBounds, start: datetime, end: datetime
) -> Counter[int]:
    """How many patients had their first appointment at the clinic between two instants.

    The keys are the number of the month, or the id of the doctor or type, and `BEFORE`.
    """
    within = sa.and_(_VISIT.starts_at >= start, _VISIT.starts_at < end)
    period = sa.or_(_VISIT.starts_at >= bounds.months[0], _VISIT.starts_at < bounds.before_end)
    key = sa.case((_VISIT.starts_at < bounds.months[0], _literal(BEFORE)), else_=_key(asked.by, bounds.months))
    # The first appointment itself gives its key: a join with all appointments would take longer.
    first = (
        sa.select(sa.case((sa.and_(within, period, *_filters(asked)), key)))
        .where(_VISIT.patient_id == _PATIENT.id, _VISIT.status != "cancelled")
        .order_by(_VISIT.starts_at)
        .limit(1)
        .scalar_subquery()
    )
    query = sa.select(first.label("key"), sa.func.count()).select_from(table_of(Patient)).group_by(sa.text("key"))
    if start > bounds.before:
        # Only patients with an appointment in this part of the period can have had their first one there.
        other = table_of(Appointment).alias("other").c
        there = sa.select(other.patient_id).where(other.starts_at >= start, other.starts_at < end)
        query = query.where(_PATIENT.id.in_(there))
    return Counter({row[0]: row[1] for row in rows(session, query) if row[0] is not None})


class Presence(NamedTuple):
    """When a doctor had appointments for the first and for the last time, and whether they still take bookings."""

    doctor_id: int
    name: str
    active: bool
    first: datetime | None
    last: datetime | None


def find_presence(session: Session, doctor_id: int | None) -> list[Presence]:
    """All doctors or one, in the clinic's order, with their first and last appointments."""
    ends = (
        sa.select(pick(_VISIT.starts_at)).where(_VISIT.doctor_id == _DOCTOR.id).scalar_subquery()
        for pick in (sa.func.min, sa.func.max)
    )
    query = sa.select(_DOCTOR.id, _DOCTOR.name, _DOCTOR.active, *ends).order_by(
        _DOCTOR.position, _DOCTOR.sort_name, _DOCTOR.id
    )
    if doctor_id is not None:
        query = query.where(_DOCTOR.id == doctor_id)
    return [Presence(*row) for row in rows(session, query)]


def find_bookers(session: Session) -> Bookers:
    """The accounts of staff and programs with their roles, which distinguish the ways of booking."""
    query = sa.select(_USER.id, _USER.role).where(_USER.role != "patient").order_by(_USER.id)
    return tuple((number, role) for number, role in rows(session, query))


def find_first_start(session: Session) -> datetime | None:
    """The start of the clinic's first appointment."""
    return rows(session, sa.select(sa.func.min(_VISIT.starts_at))).scalar()


def bounds_of(clinic: Clinic, before: tuple[date, date], months: Sequence[date], end: date) -> PeriodBounds:
    """The instants of these local days; the ends are the first days that no longer belong to it."""
    start, before_end = (first_instant(day, clinic.zone) for day in before)
    return PeriodBounds(
        start, tuple(first_instant(day, clinic.zone) for day in months), before_end, first_instant(end, clinic.zone)
    )
