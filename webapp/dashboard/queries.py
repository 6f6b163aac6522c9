"""What the admin sees first, read in a constant number of queries, each over a bounded stretch of an index."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.auth.models import User
from webapp.clinic.models import OpeningHours, VisitType
from webapp.clinic.service import Clinic
from webapp.dashboard.schemas import DoctorToday, Flagged, Setup, Today, Undelivered, Unreachable, Week
from webapp.doctors import service as doctors
from webapp.doctors.models import Doctor, WorkingHours
from webapp.notifications.models import DEAD, OutboxMessage
from webapp.patients.models import Patient
from webapp.scheduling.facts import BookingRequest, free_times, load_facts
from webapp.scheduling.models import FLAGGED, OCCUPIES, OCCUPYING, Appointment, status_is
from webapp.scheduling.slots import day_number, days_span, pieces_of, to_datetime

# Of a long list the overview shows the first few; the number tells how many there are.
SHOWN = 5
WEEKS = 8
REACH_DAYS = 14
# What was not delivered is told for so long; of more than this many, the newest.
DEAD_DAYS = 14
MOST_DEAD = 1000


def local_day(clinic: Clinic, day: date) -> tuple[datetime, datetime]:
    """The first instant of a local day and that of the next one, in UTC."""
    number = day_number(day)
    low, high = days_span(pieces_of(clinic.zone, day, day), number, number)
    return to_datetime(low), to_datetime(high)


def find_flagged(session: Session, *, now: datetime) -> tuple[int, list[Flagged]]:
    """How many visits ahead are flagged, and the next ones."""
    ahead = sa.and_(FLAGGED, OCCUPIES, Appointment.starts_at > now)
    query = (
        sa.select(
            Appointment.reference,
            Appointment.starts_at,
            Patient.name,
            Doctor.name,
            Appointment.flagged_why,
        )
        .join(Patient, Patient.id == Appointment.patient_id)
        .join(Doctor, Doctor.id == Appointment.doctor_id)
        .where(ahead)
        .order_by(Appointment.starts_at, Appointment.id)
        .limit(SHOWN)
    )
    count = session.scalar(sa.select(sa.func.count()).select_from(Appointment).where(ahead)) or 0
    return count, [Flagged(*row) for row in session.execute(query)]


def count_unconfirmed(session: Session, low: datetime, high: datetime) -> int:
    """How many visits that start in [low, high) nobody has confirmed."""
    query = sa.select(sa.func.count()).where(
        status_is("scheduled"), Appointment.starts_at >= low, Appointment.starts_at < high
    )
    return session.scalar(query) or 0


def find_unreachable(session: Session, *, now: datetime) -> tuple[int, list[Unreachable]]:
    """How many patients who come within `REACH_DAYS` have neither telephone nor e-mail, and the next ones.

    A patient for whom somebody else books is reached through that person.
    """
    first = sa.func.min(Appointment.starts_at).label("first")
    query = (
        sa.select(Patient.id, Patient.name, first)
        .join(Patient, Patient.id == Appointment.patient_id)
        .where(
            Patient.phone == "",
            Patient.email == "",
            Patient.managed_by_id.is_(None),
            OCCUPIES,
            Appointment.starts_at > now,
            Appointment.starts_at < now + timedelta(days=REACH_DAYS),
        )
        .group_by(Patient.id, Patient.name)
    )
    # The function's type is that of its column, so an instant comes back as one.
    counted = session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
    return counted, [Unreachable(*row) for row in session.execute(query.order_by(first, Patient.id).limit(SHOWN))]


def find_undelivered(session: Session, *, now: datetime) -> tuple[int, list[Undelivered]]:
    """How many patients come within `REACH_DAYS` whom no message reaches that they want, and the next ones.

    The last message to an address that the patient has now was given up, and nothing has reached this or another of
    their addresses since. It may have been about somebody for whom they book.
    """
    dead = (
        sa.select(OutboxMessage)
        .where(DEAD, OutboxMessage.finished_at > now - timedelta(days=DEAD_DAYS))
        .order_by(OutboxMessage.id.desc())
        .limit(MOST_DEAD)
        .subquery()
    )
    about, reader, later = aliased(Patient), aliased(Patient), aliased(OutboxMessage)
    email = sa.func.coalesce(User.email, reader.email)
    wanted = sa.or_(
        sa.and_(dead.c.channel == "email", reader.wants_email, dead.c.recipient == email),
        sa.and_(dead.c.channel == "sms", reader.wants_sms, dead.c.recipient == reader.phone),
    )
    reached = sa.exists().where(
        later.recipient.in_([email, reader.phone]),
        later.status.in_(["sent", "kept"]),
        later.created_at >= dead.c.created_at,
    )
    first = sa.func.min(Appointment.starts_at).label("first")
    query = (
        sa.select(reader.id, reader.name, sa.func.max(dead.c.recipient), sa.func.max(dead.c.last_error), first)
        .select_from(dead)
        .join(about, about.id == _patient_id_of(dead))
        .join(reader, sa.or_(reader.id == about.id, reader.id == about.managed_by_id))
        .outerjoin(User, User.id == reader.user_id)
        .join(Appointment, Appointment.patient_id == about.id)
        .where(wanted, ~reached, OCCUPIES, Appointment.starts_at > now)
        .where(Appointment.starts_at < now + timedelta(days=REACH_DAYS))
        .group_by(reader.id, reader.name)
    )
    counted = session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
    return counted, [Undelivered(*row) for row in session.execute(query.order_by(first, reader.id).limit(SHOWN))]


def _patient_id_of(message: sa.Subquery) -> sa.ColumnElement[int]:
    """The id of the patient: a message is about them, about a visit of theirs, or about their account."""
    visit, owner = aliased(Appointment), aliased(Patient)
    return sa.case(
        (message.c.subject_type == "patient", message.c.subject_id),
        (
            message.c.subject_type == "appointment",
            sa.select(visit.patient_id).where(visit.id == message.c.subject_id).scalar_subquery(),
        ),
        else_=sa.select(owner.id).where(owner.user_id == message.c.subject_id).scalar_subquery(),
    )


def read_today(session: Session, clinic: Clinic, *, now: datetime) -> Today:
    """The day in numbers: of the clinic and of each doctor who works or is visited."""
    today = clinic.today(now)
    low, high = local_day(clinic, today)
    of_doctor: dict[int, Counter[str]] = defaultdict(Counter)
    ends: dict[int, datetime] = {}
    due = 0
    query = sa.select(Appointment.doctor_id, Appointment.status, Appointment.starts_at, Appointment.ends_at).where(
        Appointment.starts_at >= low, Appointment.starts_at < high
    )
    for doctor_id, status, starts_at, ends_at in session.execute(query):
        of_doctor[doctor_id][status] += 1
        if status in OCCUPYING:
            ends[doctor_id] = max(ends.get(doctor_id, ends_at), ends_at)
            due += starts_at <= now
    active = doctors.list_doctors(session)
    requests = [BookingRequest(doctor, doctor.visit_types[0]) for doctor in active if doctor.visit_types]
    facts = load_facts(session, clinic, requests, today, today, now=now)
    free = {number: len(free_times(about)) for number, about in facts.items()}
    works = {number for number, about in facts.items() if about.working or about.extra}
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
    """How many appointments occupy their time: neither cancelled nor missed."""
    return sum(statuses[status] for status in OCCUPYING)


def read_weeks(session: Session, clinic: Clinic, *, now: datetime) -> list[Week]:
    """The last weeks and the present one, cancelled visits left out, counted by the database in one pass."""
    today = clinic.today(now)
    monday = today - timedelta(days=today.weekday())
    mondays = [monday - timedelta(weeks=WEEKS - 1 - at) for at in range(WEEKS + 1)]
    bounds = [local_day(clinic, day)[0] for day in mondays]
    # A week in which the clocks change is an hour longer or shorter, so weeks are told apart by where they begin.
    week = sa.case(*((Appointment.starts_at < end, at) for at, end in enumerate(bounds[1:])), else_=WEEKS)
    missed = Appointment.status == "no_show"
    query = (
        sa.select(week, missed, sa.func.count())
        .where(Appointment.starts_at >= bounds[0], Appointment.starts_at < bounds[-1])
        .where(Appointment.status != "cancelled")
        .group_by(week, missed)
    )
    counts = {(at, bool(is_missed)): count for at, is_missed, count in session.execute(query)}
    return [
        Week(mondays[at], counts.get((at, False), 0) + counts.get((at, True), 0), counts.get((at, True), 0))
        for at in range(WEEKS)
    ]


def read_setup(session: Session) -> Setup:
    """Whether everything is there that a first booking needs."""
    asked = (
        sa.exists().select_from(OpeningHours),
        sa.exists().select_from(VisitType).where(VisitType.active.is_(True)),
        sa.exists().select_from(Doctor).where(Doctor.active.is_(True)),
        sa.exists().select_from(WorkingHours),
    )
    return Setup(*(bool(found) for found in session.execute(sa.select(*asked)).one()))
