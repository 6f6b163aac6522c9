"""Every problem in the data that `docket check` prints: times given twice, broken rules, lost messages, odd values.

A value that cannot be read ends the check that reads it, and no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from webapp.appointments.impact.change_lists import LINE_KINDS
from webapp.appointments.models import PendingDecision
from webapp.auth.models import User
from webapp.clinic.models import ClinicSettings, OpeningHours, VisitType
from webapp.clinic.service import get_clinic
from webapp.clinic.settings import BookingRules, NewPatientRules, PrivacyRules, ReminderRules
from webapp.database import Database
from webapp.doctors import service as doctors
from webapp.integrity.declared_schema import find_faulty_triggers, find_lost_references
from webapp.integrity.declared_values import find_damage, find_unreadable
from webapp.integrity.guard_trial import prove
from webapp.notifications.delivery import HAS_EARLIER
from webapp.notifications.models import UNDELIVERED, OutboxMessage
from webapp.patients.models import Patient
from webapp.scheduling.busy_times import CONTENTS, BusyTime, expected
from webapp.scheduling.models import OCCUPIES, OCCUPYING, Appointment
from webapp.scheduling.promised_hours import find_broken
from webapp.scheduling.rule_violations import HOURS_RULES, broken_rules, list_upcoming
from webapp.scheduling.slots import to_datetime
from webapp.scheduling.suggested_types import FOR_NEW
from webapp.troubles import DatabaseTrouble, trouble_from

# Messages that have waited for longer than this are lost: no worker is delivering them.
LOST_AFTER = timedelta(hours=1)
# The page where an admin corrects promised hours.
PROMISED_HOURS = "/admin/appointments/promised-hours"
# Columns that hold one of these words, although no CHECK of the database lists them.
WORDS: tuple[tuple[Any, Collection[str]], ...] = (
    (Appointment.previous_status, (*OCCUPYING, "no_show", "cancelled")),
    (VisitType.suggested_for, FOR_NEW),
    (PendingDecision.kind, LINE_KINDS),
)
# The errors that values raise which a person wrote at a database console.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, SQLAlchemyError)
MISSING_GUARD = "The guard is missing: the database accepted two appointments at the same time."


def find_problems(database: Database, *, now: datetime) -> Iterator[str]:
    """Every problem as a sentence; empty if everything is in order."""
    try:
        if not prove(database, "check").guarded:
            yield MISSING_GUARD
    except DatabaseTrouble as trouble:
        yield f"Nothing can be written. {trouble}"
    except UNREADABLE as error:
        yield f"The guard could not be tried: {_in_words(error)}."
    with database.reading() as session:
        yield from _problems_in(session, now=now)


def problems_of_copy(session: Session, *, guarded: bool, now: datetime) -> Iterator[str]:
    """The problems of a copy, or of the snapshot that is copied; `guarded` says whether it refuses an overlap."""
    if not guarded:
        yield MISSING_GUARD
    yield from _problems_in(session, now=now)


def _problems_in(session: Session, *, now: datetime) -> Iterator[str]:
    checks = {
        "Triggers": _faulty_triggers(session),
        "Values": _unreadable(session),
        "The file": _damage(session),
        "The clinic’s settings": _settings(session),
        "References": _lost_references(session),
        "Overlaps of doctors": _doctors_overlaps(session),
        "Overlaps of patients": _patients_overlaps(session),
        "Guarded times": _strays(session),
        "Promised hours": _broken_promises(session, now=now),
        "Appointments outside hours": _outside_hours(session, now=now),
        "Messages": _lost_messages(session, now=now),
        "Email addresses": _two_addresses(session),
    }
    for name, problems in checks.items():
        try:
            # After an error PostgreSQL reads nothing more in the same transaction.
            with session.begin_nested():
                yield from problems
        except UNREADABLE as error:
            if isinstance(error, SQLAlchemyError) and (trouble := trouble_from(error)):
                raise trouble from error
            yield f"{name} could not be checked: {_in_words(error)}."


def _in_words(error: Exception) -> str:
    """The error in words, without the value: it may be a person's."""
    cause = error.orig if isinstance(error, IntegrityError) else None
    return f"a row is in the way ({cause})" if cause else f"a value cannot be read ({type(error).__name__})"


def _faulty_triggers(session: Session) -> Iterator[str]:
    for name in find_faulty_triggers(session):
        yield f"The trigger or function {name} is missing, disabled or changed."


def _unreadable(session: Session) -> Iterator[str]:
    for table, column, number in find_unreadable(session):
        yield f"Rows of {table} whose {column} cannot be read: {number}."
    for column, words in WORDS:
        if unknown := session.scalar(sa.select(sa.func.count()).where(column.not_in(words))):
            yield f"Rows of {column.class_.__tablename__} whose {column.key} has an unknown word: {unknown}."


def _damage(session: Session) -> Iterator[str]:
    for line in find_damage(session):
        yield f"SQLite says: {line}."


def _settings(session: Session) -> Iterator[str]:
    """Settings of the clinic that the database accepts, and that Docket cannot use."""
    row = session.execute(sa.select(*ClinicSettings.__table__.columns)).mappings().first()
    if row is None:
        # Saving anything about the clinic creates the row.
        if session.scalar(sa.select(OpeningHours.id).limit(1)) is not None:
            yield "The clinic’s settings are gone: Docket uses its defaults, even for the time zone."
        return
    try:
        ZoneInfo(row["time_zone"])
    except (LookupError, OSError, ValueError):
        yield "The clinic’s setting time_zone has an unknown value."
    rules: tuple[type[BaseModel], ...] = (BookingRules, ReminderRules, NewPatientRules, PrivacyRules)
    for each in rules:
        try:
            each.model_validate({name: row[name] for name in each.model_fields})
        except ValidationError as error:
            for wrong in error.errors():
                yield f"The clinic’s setting {wrong['loc'][0]} has an unknown value."


def _lost_references(session: Session) -> Iterator[str]:
    for table, column, other, number in find_lost_references(session):
        yield f"Rows of {table} whose {column} refers to no row of {other}: {number}."


def _doctors_overlaps(session: Session) -> Iterator[str]:
    """Overlaps of one doctor's time in the same lane, found in one pass over the table."""
    latest_end = sa.func.max(BusyTime.until_minute).over(
        partition_by=(BusyTime.doctor_id, BusyTime.lane), order_by=(BusyTime.from_minute, BusyTime.id), rows=(None, -1)
    )
    ordered = sa.select(
        BusyTime.doctor_id, BusyTime.from_minute, BusyTime.appointment_id, latest_end.label("latest_end")
    ).subquery()
    query = (
        sa.select(Appointment.reference, ordered.c.doctor_id)
        .outerjoin_from(ordered, Appointment, Appointment.id == ordered.c.appointment_id)
        .where(ordered.c.latest_end > ordered.c.from_minute)
        .order_by(ordered.c.doctor_id, ordered.c.from_minute)
    )
    for reference, doctor_id in session.execute(query):
        what = f"Appointment {reference}" if reference else "A busy time"
        yield f"{what} overlaps an earlier one of doctor {doctor_id}."


def _patients_overlaps(session: Session) -> Iterator[str]:
    """Overlaps of occupying appointments of one patient, found in one pass over the table."""
    latest_end = sa.func.max(Appointment.ends_at).over(
        partition_by=Appointment.patient_id, order_by=(Appointment.starts_at, Appointment.id), rows=(None, -1)
    )
    ordered = (
        sa.select(Appointment.reference, Appointment.patient_id, Appointment.starts_at, latest_end.label("latest_end"))
        .where(OCCUPIES)
        .subquery()
    )
    query = sa.select(ordered.c.reference, ordered.c.patient_id).where(ordered.c.latest_end > ordered.c.starts_at)
    for reference, patient_id in session.execute(query):
        yield f"Appointment {reference} overlaps an earlier one of patient {patient_id}."


def _strays(session: Session) -> Iterator[str]:
    """Differences between `busy_times` and what takes time: times without a guard, and guards without a cause."""
    for row in session.execute(sa.except_(expected(), CONTENTS)):
        yield f"{_busy_time_in_words(*row)} is not guarded: busy_times has no row for it."
    for row in session.execute(sa.except_(CONTENTS, expected())):
        yield f"{_busy_time_in_words(*row)} is taken in busy_times, but not by a matching appointment."


def _busy_time_in_words(doctor_id: int, lane: int, low: int, high: int, appointment_id: int | None) -> str:
    what = f"of appointment {appointment_id}" if appointment_id is not None else "of no appointment"
    try:
        times = f"{to_datetime(low):%Y-%m-%d %H:%M} to {to_datetime(high):%H:%M} UTC"
    except (OverflowError, TypeError):
        times = "at an impossible time"
    return f"The time {what}, {times} with doctor {doctor_id} in lane {lane},"


def _broken_promises(session: Session, *, now: datetime) -> Iterator[str]:
    """Appointments ahead for which the clinic's clock shows another hour than their patients were told."""
    clinic = get_clinic(session)
    _count, broken = find_broken(session, clinic, now=now)
    for each in broken:
        shown = each.starts_at.astimezone(clinic.zone)
        yield (
            f"Appointment {each.reference} was promised for {each.promised:%Y-%m-%d %H:%M}, but begins when the clock "
            f"shows {shown:%Y-%m-%d %H:%M}. {PROMISED_HOURS} puts it right."
        )


def _outside_hours(session: Session, *, now: datetime) -> Iterator[str]:
    """Upcoming appointments without a flag that closures, opening hours, working hours or time off would refuse."""
    upcoming = list_upcoming(session, None, now=now)
    doctor_ids = sorted({each.doctor_id for each in upcoming})
    names = {doctor.id: doctor.name for doctor in doctors.list_by_ids(session, doctor_ids)}
    # An appointment without its doctor cannot be compared with hours.
    upcoming = [each for each in upcoming if each.doctor_id in names]
    broken = broken_rules(session, get_clinic(session), upcoming, now=now)
    for appointment in upcoming:
        if appointment.flagged_why or appointment.override_reason:
            continue
        for code in broken.get(appointment.id, ()):
            if code in HOURS_RULES:
                name = names[appointment.doctor_id]
                yield f"Appointment {appointment.reference} of {name} breaks the rule {code} and is not flagged."


def _lost_messages(session: Session, *, now: datetime) -> Iterator[str]:
    """Messages that have been due for a long time and are neither delivered, given up nor claimed by a worker.

    A message that waits for an earlier one to the same recipient is not lost while that one is being tried.
    """
    late = now - LOST_AFTER
    query = (
        sa.select(OutboxMessage.id, OutboxMessage.template, OutboxMessage.due_at)
        .where(UNDELIVERED, OutboxMessage.due_at < late, ~HAS_EARLIER)
        .where(sa.or_(OutboxMessage.status == "waiting", OutboxMessage.lease_until < late))
        .order_by(OutboxMessage.due_at, OutboxMessage.id)
    )
    for number, template, due_at in session.execute(query):
        yield f"Message {number} ({template}) was due at {due_at:%Y-%m-%d %H:%M} UTC and has not been delivered."


def _two_addresses(session: Session) -> Iterator[str]:
    """Records with another address than their account: messages would go to one, and staff would see the other."""
    query = sa.select(Patient.id).join(User, User.id == Patient.user_id).where(Patient.email != User.email)
    for number in session.scalars(query.order_by(Patient.id)):
        yield f"Patient {number} has another email address on the record than on the account."
