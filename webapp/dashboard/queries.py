"""Queries of the overview: a constant number, each over a limited range of an index."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.appointments.models import PendingDecision
from webapp.auth.models import User
from webapp.clinic.models import OpeningHours, VisitType
from webapp.clinic.schedule_versions import cached_for_past
from webapp.clinic.service import Clinic
from webapp.dashboard.schemas import (
    DoctorToday,
    FlaggedAppointment,
    GrownUpPatient,
    OverviewCounts,
    SetupState,
    Today,
    UndeliveredMessage,
    Unreachable,
    UnreadablePhone,
    WeekCounts,
)
from webapp.database import UtcDateTime, rows
from webapp.doctors import service as doctors
from webapp.doctors.models import Doctor, WorkingHours
from webapp.notifications import queries as outbox
from webapp.notifications.models import DEAD, OutboxMessage
from webapp.patients import duplicates
from webapp.patients.guardianship import last_told_of
from webapp.patients.models import UNREADABLE_PHONE, Patient
from webapp.scheduling.facts import BookingRequest, free_times, load_facts
from webapp.scheduling.models import OCCUPIES, OCCUPYING, UNDECIDED, Appointment, status_is
from webapp.scheduling.slots import day_number, days_span, pieces_of, to_datetime
from webapp.sql_functions import fixed, planned_once

# The overview shows the first few of a long list, and how many there are.
SHOWN = 5
WEEKS = 8
# The days before today that are counted each time. Earlier ones are counted once: triggers note when they change (see
# `is_over`).
DAYS_COUNTED = 3
REACH_DAYS = 14
# For how many days an undelivered message is shown. Only the newest `MOST_DEAD` are read.
DEAD_DAYS = 14
MOST_DEAD = 1000
# For how long after a guardian lost access the young person's missing contact details are shown.
LATELY = timedelta(weeks=8)


def local_day(clinic: Clinic, day: date) -> tuple[datetime, datetime]:
    """The first instant of a local day and that of the next one, in UTC."""
    number = day_number(day)
    low, high = days_span(pieces_of(clinic.zone, day, day), number, number)
    return to_datetime(low), to_datetime(high)


# Each query is built once, on first use: building one takes longer than running it. Besides the few rows that are
# shown, a query counts all rows that it finds, so that the database searches only once.
_NOW = sa.bindparam("now", type_=UtcDateTime)
_LOW, _HIGH = sa.bindparam("low", type_=UtcDateTime), sa.bindparam("high", type_=UtcDateTime)
_REACH = sa.bindparam("reach", type_=UtcDateTime)
_IN_ALL = sa.func.count().over()


def _first_few(
    session: Session, query: sa.Select[*tuple[Any, ...]], **values: object
) -> tuple[int, list[sa.Row[*tuple[Any, ...]]]]:
    """How many rows there are in all, from the last column of each row, and the first few rows."""
    found = rows(session, query, **values).all()
    return (found[0][-1], list(found)) if found else (0, [])


@cache
def _flagged() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            Appointment.reference,
            Appointment.starts_at,
            Patient.name,
            Doctor.name,
            Appointment.flagged_why,
            _IN_ALL,
        )
        .join(Patient, Patient.id == Appointment.patient_id)
        .join(Doctor, Doctor.id == Appointment.doctor_id)
        .where(UNDECIDED, Appointment.starts_at > _NOW)
        .order_by(Appointment.starts_at, Appointment.id)
        .limit(fixed(SHOWN))
    )


def find_flagged(session: Session, *, now: datetime) -> tuple[int, list[FlaggedAppointment]]:
    """How many future appointments are flagged, and the next ones."""
    count, found = _first_few(session, _flagged(), now=now)
    return count, [FlaggedAppointment._make(row[:-1]) for row in found]


@cache
def _unconfirmed() -> sa.Select[*tuple[Any, ...]]:
    return sa.select(sa.func.count()).where(
        status_is("scheduled"), Appointment.starts_at >= _LOW, Appointment.starts_at < _HIGH
    )


@cache
def _unreachable() -> sa.Select[*tuple[Any, ...]]:
    # min() keeps the type of its column, so an instant comes back as one.
    first = sa.func.min(Appointment.starts_at).label("first")
    return (
        sa.select(Patient.id, Patient.name, first, _IN_ALL)
        .join(Patient, Patient.id == Appointment.patient_id)
        .where(
            Patient.phone == "",
            Patient.email == "",
            Patient.managed_by_id.is_(None),
            OCCUPIES,
            Appointment.starts_at > _NOW,
            Appointment.starts_at < _REACH,
        )
        .group_by(Patient.id, Patient.name)
        .order_by(first, Patient.id)
        .limit(fixed(SHOWN))
    )


def find_unreachable(session: Session, *, now: datetime) -> tuple[int, list[Unreachable]]:
    """How many patients with an appointment within `REACH_DAYS` have neither telephone nor e-mail, and the next ones.

    A patient for whom someone else books is reached through that person.
    """
    count, found = _first_few(session, _unreachable(), now=now, reach=now + timedelta(days=REACH_DAYS))
    return count, [Unreachable._make(row[:-1]) for row in found]


@cache
def _unreadable() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(Patient.id, Patient.name, Patient.phone, _IN_ALL)
        .where(UNREADABLE_PHONE)
        .order_by(Patient.id)
        .limit(fixed(SHOWN))
    )


def find_unreadable(session: Session) -> tuple[int, list[UnreadablePhone]]:
    """How many patients have a telephone number that cannot be called, as it was typed long ago, and some of them."""
    count, found = _first_few(session, _unreadable())
    return count, [UnreadablePhone._make(row[:-1]) for row in found]


@cache
def _grown_up() -> sa.Select[*tuple[Any, ...]]:
    guardian = aliased(Patient)
    theirs = sa.func.coalesce(User.email, guardian.email, "")
    return (
        sa.select(Patient.id, Patient.name, Patient.managed_until, _IN_ALL)
        .outerjoin(guardian, guardian.id == Patient.managed_by_id)
        .outerjoin(User, User.id == guardian.user_id)
        .where(
            Patient.managed_until > sa.bindparam("since", type_=UtcDateTime),
            Patient.managed_until <= _REACH,
            Patient.user_id.is_(None),
            Patient.closed_at.is_(None),
            sa.or_(Patient.email == "", Patient.email == theirs),
        )
        .order_by(Patient.managed_until, Patient.id)
        .limit(fixed(SHOWN))
    )


def find_grown_up(session: Session, *, now: datetime) -> tuple[int, list[GrownUpPatient]]:
    """How many young people, whose guardian loses access soon or has lost it lately, have no e-mail address, and some.

    They could not be told, and the clinic can no longer reach them.
    """
    count, found = _first_few(session, _grown_up(), since=now - LATELY, reach=last_told_of(session, now=now))
    return count, [GrownUpPatient._make(row[:-1]) for row in found]


@cache
def _undelivered() -> sa.Select[*tuple[Any, ...]]:
    dead = (
        sa.select(
            OutboxMessage.subject_type,
            OutboxMessage.subject_id,
            OutboxMessage.channel,
            OutboxMessage.recipient,
            OutboxMessage.created_at,
            OutboxMessage.last_error,
        )
        .where(DEAD, OutboxMessage.finished_at > sa.bindparam("since", type_=UtcDateTime))
        .order_by(OutboxMessage.id.desc())
        .limit(fixed(MOST_DEAD))
        .subquery()
    )
    reader = aliased(Patient)
    email = sa.func.coalesce(User.email, reader.email)
    wanted = sa.or_(
        sa.and_(dead.c.channel == "email", reader.wants_email, dead.c.recipient == email),
        sa.and_(dead.c.channel == "sms", reader.wants_sms, dead.c.recipient == reader.phone),
    )
    reached = sa.exists().where(
        OutboxMessage.recipient.in_([email, reader.phone]),
        OutboxMessage.status.in_(["sent", "kept"]),
        OutboxMessage.created_at >= dead.c.created_at,
    )
    first = sa.func.min(Appointment.starts_at).label("first")
    return (
        sa.select(reader.id, reader.name, sa.func.max(dead.c.recipient), sa.func.max(dead.c.last_error), first, _IN_ALL)
        .select_from(dead)
        .join(Patient, Patient.id == _patient_id_of(dead))
        .join(reader, sa.or_(reader.id == Patient.id, reader.id == Patient.managed_by_id))
        .outerjoin(User, User.id == reader.user_id)
        .join(Appointment, Appointment.patient_id == Patient.id)
        .where(wanted, ~reached, OCCUPIES, Appointment.starts_at > _NOW)
        .where(Appointment.starts_at < _REACH)
        .group_by(reader.id, reader.name)
        .order_by(first, reader.id)
        .limit(fixed(SHOWN))
    )


def find_undelivered(session: Session, *, now: datetime) -> tuple[int, list[UndeliveredMessage]]:
    """How many patients with an appointment within `REACH_DAYS` no wanted message reaches, and the next ones.

    The last message to one of the patient's current addresses failed for good, and nothing has reached any of their
    addresses since. It may have been about a person for whom they book.
    """
    count, found = _first_few(
        session,
        _undelivered(),
        now=now,
        since=now - timedelta(days=DEAD_DAYS),
        reach=now + timedelta(days=REACH_DAYS),
    )
    return count, [UndeliveredMessage._make(row[:-1]) for row in found]


def _patient_id_of(message: sa.Subquery) -> sa.ColumnElement[int]:
    """The id of the patient: a message is about them, about an appointment of theirs, or about their account."""
    # The query around them joins appointments and patients too.
    of_appointment = sa.select(Appointment.patient_id).where(Appointment.id == message.c.subject_id).correlate(message)
    of_account = sa.select(Patient.id).where(Patient.user_id == message.c.subject_id).correlate(message)
    return sa.case(
        (message.c.subject_type == "patient", message.c.subject_id),
        (message.c.subject_type == "appointment", of_appointment.scalar_subquery()),
        else_=of_account.scalar_subquery(),
    )


@cache
def _appointments_between() -> sa.Select[*tuple[Any, ...]]:
    begun = sa.func.sum(sa.case((Appointment.starts_at <= _NOW, 1), else_=0))
    return (
        sa.select(Appointment.doctor_id, Appointment.status, sa.func.count(), begun, sa.func.max(Appointment.ends_at))
        .where(Appointment.starts_at >= planned_once(_LOW), Appointment.starts_at < planned_once(_HIGH))
        .group_by(Appointment.doctor_id, Appointment.status)
    )


def read_today(session: Session, clinic: Clinic, *, now: datetime) -> Today:
    """Today in numbers: of the clinic, and of each doctor who works or has appointments."""
    today = clinic.today(now)
    low, high = local_day(clinic, today)
    of_doctor: dict[int, Counter[str]] = defaultdict(Counter)
    ends: dict[int, datetime] = {}
    due = 0
    found = rows(session, _appointments_between(), low=low, high=high, now=now)
    for doctor_id, status, count, begun, ends_at in found:
        of_doctor[doctor_id][status] = count
        if status in OCCUPYING:
            ends[doctor_id] = max(ends.get(doctor_id, ends_at), ends_at)
            due += begun
    active = doctors.list_doctors(session)
    requests = [BookingRequest(doctor, doctor.visit_types[0]) for doctor in active if doctor.visit_types]
    facts = load_facts(session, clinic, requests, today, today, now=now)
    free = {number: len(free_times(about)) for number, about in facts.items()}
    # The facts hold the hours of the next day, too, for appointments that go over midnight.
    works = {
        number
        for number, about in facts.items()
        if any(start < about.window[1] for start, _end in (*about.working, *about.extra))
    }
    each = [
        DoctorToday(
            doctor.slug,
            doctor.name,
            doctor.tint,
            _count_occupying(of_doctor[doctor.id]),
            of_doctor[doctor.id]["completed"],
            of_doctor[doctor.id]["arrived"],
            free.get(doctor.id, 0),
            ends.get(doctor.id),
        )
        for doctor in active
        if doctor.id in works or doctor.id in ends
    ]
    whole = sum(of_doctor.values(), Counter())
    return Today(
        _count_occupying(whole),
        whole["completed"],
        due,
        whole["arrived"],
        whole["no_show"],
        whole["cancelled"],
        sum(free.values()),
        each,
    )


def _count_occupying(statuses: Counter[str]) -> int:
    """How many appointments occupy their time: neither cancelled nor no-shows."""
    return sum(statuses[status] for status in OCCUPYING)


@cache
def _weeks() -> sa.Select[*tuple[Any, ...]]:
    bounds = [sa.bindparam(f"bound{at}", type_=UtcDateTime) for at in range(WEEKS + 1)]
    # A week in which the clocks change is an hour longer or shorter, so weeks are identified by their first instant.
    week = sa.case(*((Appointment.starts_at < end, at) for at, end in enumerate(bounds[1:])), else_=WEEKS)
    missed = Appointment.status == "no_show"
    # Group by the labels: PostgreSQL would take the same parameters, repeated in GROUP BY, for another expression.
    return (
        sa.select(week.label("week"), missed.label("missed"), sa.func.count())
        .where(Appointment.starts_at >= planned_once(_LOW), Appointment.starts_at < planned_once(_HIGH))
        .where(Appointment.status != "cancelled")
        .group_by(sa.text("week"), sa.text("missed"))
    )


def read_weeks(session: Session, clinic: Clinic, *, now: datetime) -> list[WeekCounts]:
    """The last weeks and the current one without cancelled appointments. Days that are over are counted once."""
    today = clinic.today(now)
    monday = today - timedelta(days=today.weekday())
    mondays = [monday - timedelta(weeks=WEEKS - 1 - at) for at in range(WEEKS + 1)]
    bounds = [local_day(clinic, day)[0] for day in mondays]
    values = {f"bound{at}": bound for at, bound in enumerate(bounds)}

    def count(low: datetime, high: datetime) -> Counter[tuple[int, bool]]:
        found = rows(session, _weeks(), **values, low=low, high=high)
        return Counter({(at, bool(is_missed)): number for at, is_missed, number in found})

    over = local_day(clinic, today - timedelta(days=DAYS_COUNTED))[0]
    key = ("weeks", *bounds, over)
    of_past = cached_for_past(session, key, bounds[0], over, lambda: count(bounds[0], over), len, now=now)
    counts = of_past + count(over, bounds[-1])
    return [WeekCounts(mondays[at], counts[at, False] + counts[at, True], counts[at, True]) for at in range(WEEKS)]


@cache
def _counts() -> sa.Select[*tuple[Any, ...]]:
    return sa.select(
        sa.exists().select_from(OpeningHours),
        sa.exists().select_from(VisitType).where(VisitType.active.is_(True)),
        sa.exists().select_from(Doctor).where(Doctor.active.is_(True)),
        sa.exists().select_from(WorkingHours),
        sa.exists().select_from(PendingDecision),
        _unconfirmed().scalar_subquery(),
        outbox.count_dead(MOST_DEAD).scalar_subquery(),
        duplicates.COUNT_PAIRS.scalar_subquery(),
    )


def read_counts(session: Session, clinic: Clinic, *, now: datetime) -> OverviewCounts:
    """The figures that are only counted, in one query."""
    low, high = local_day(clinic, clinic.today(now) + timedelta(days=1))
    since = now - timedelta(days=DEAD_DAYS)
    found = rows(session, _counts(), low=low, high=high, since=since).one()
    return OverviewCounts(SetupState(*map(bool, found[:4])), bool(found[4]), *found[5:])
