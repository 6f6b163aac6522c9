"""Proof that the promise holds: `docket check` reads it out, and the readiness check asks for the guard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.clinic.models import VisitType
from webapp.clinic.service import get_clinic
from webapp.database import Database
from webapp.doctors import service as doctors
from webapp.doctors.models import Doctor
from webapp.notifications.delivery import HAS_EARLIER
from webapp.notifications.models import DEAD, UNDELIVERED, OutboxMessage
from webapp.patients.models import Patient
from webapp.scheduling.models import OCCUPIES, Appointment
from webapp.scheduling.rule_violations import HOURS_RULES, broken_rules, list_upcoming

# The bug that could corrupt a database in WAL mode was fixed in this release of SQLite.
SAFE_SQLITE = (3, 51, 3)
# Whatever waits for longer than this is not being looked after.
LOST_AFTER = timedelta(hours=1)


class _Undo(Exception):
    """Ends a trial transaction, so that nothing of it is kept."""


def guard_is_in_place(database: Database) -> bool:
    """Try to give one time twice, to a doctor and to a patient: the database itself must refuse both.

    The trial runs in a transaction that is rolled back, with ids below zero that no real row ever has.
    """
    refused: list[bool] = []

    def attempt(session: Session) -> None:
        _trial_rows(session)
        refused.append(_is_refused(session, doctor_id=-1, patient_id=-2))
        refused.append(_is_refused(session, doctor_id=-2, patient_id=-1))
        raise _Undo

    with suppress(_Undo):
        database.write(attempt)
    return all(refused)


def _trial_rows(session: Session) -> None:
    now = datetime.fromisoformat("2000-01-01T00:00:00Z")
    session.execute(sa.insert(VisitType).values(id=-1, name="trial of the guard", minutes=30))
    for number in (-1, -2):
        session.execute(
            sa.insert(Doctor).values(id=number, slug=f"trial{number}", name="Trial", specialty="Trial", languages=[])
        )
        session.execute(sa.insert(Patient).values(id=number, name="Trial", created_at=now))
    session.execute(sa.insert(Appointment).values(_trial_visit(-1, doctor_id=-1, patient_id=-1, later=0)))


def _trial_visit(number: int, *, doctor_id: int, patient_id: int, later: int) -> dict[str, Any]:
    start = datetime.fromisoformat("2000-01-03T10:00:00Z") + timedelta(minutes=later)
    end = start + timedelta(minutes=30)
    return {
        "id": number,
        "reference": f"TRIAL{number}",
        "doctor_id": doctor_id,
        "patient_id": patient_id,
        "visit_type_id": -1,
        "starts_at": start,
        "ends_at": end,
        "busy_from": start,
        "busy_until": end,
        "created_at": start,
        "updated_at": start,
    }


def _is_refused(session: Session, *, doctor_id: int, patient_id: int) -> bool:
    """Whether neither a new row nor the change of a cancelled one can take the time."""
    visit = _trial_visit(-2, doctor_id=doctor_id, patient_id=patient_id, later=10)
    new = [sa.insert(Appointment).values(visit)]
    changed = [
        sa.insert(Appointment).values(visit | {"status": "cancelled"}),
        sa.update(Appointment).where(Appointment.id == visit["id"]).values(status="scheduled"),
    ]
    return _fails(session, new) and _fails(session, changed)


def _fails(session: Session, statements: list[Any]) -> bool:
    try:
        with session.begin_nested() as attempt:
            for statement in statements:
                session.execute(statement)
            attempt.rollback()
    except IntegrityError:
        return True
    return False


def find_problems(database: Database, *, now: datetime) -> Iterator[str]:
    """Everything that should not be, as sentences; none at all is the proof."""
    if not guard_is_in_place(database):
        yield "The guard is missing: the database accepted two visits at one time."
    with database.reading() as session:
        yield from _overlaps(session, Appointment.doctor_id, Appointment.busy_from, Appointment.busy_until, "doctor")
        yield from _overlaps(session, Appointment.patient_id, Appointment.starts_at, Appointment.ends_at, "patient")
        yield from _outside_hours(session, now=now)
        yield from _lost_messages(session, now=now)


def warnings(database: Database) -> Iterator[str]:
    """What is not wrong but should be known."""
    with database.reading() as session:
        dead = session.scalar(sa.select(sa.func.count()).select_from(OutboxMessage).where(DEAD))
        version = str(session.scalar(sa.text("SELECT sqlite_version()"))) if database.is_sqlite else ""
    if dead:
        yield f"Messages that could not be delivered: {dead}. /admin/messages?state=dead shows them."
    if not version:
        return
    if tuple(int(part) for part in version.split(".")) < SAFE_SQLITE:
        yield (
            f"This SQLite is {version}. Releases before 3.51.3 have a rare bug that can damage a database with "
            "several writers; install the pysqlite3 package or a newer SQLite, or use PostgreSQL."
        )


def _overlaps(session: Session, who: Any, start: Any, end: Any, name: str) -> Iterator[str]:
    """Pairs of occupying visits of one doctor or patient that overlap, found in one pass over the table."""
    latest_end = sa.func.max(end).over(partition_by=who, order_by=(start, Appointment.id), rows=(None, -1))
    ordered = (
        sa.select(Appointment.reference, who.label("who"), start.label("start"), latest_end.label("latest_end"))
        .where(OCCUPIES)
        .subquery()
    )
    query = sa.select(ordered.c.reference, ordered.c.who).where(ordered.c.latest_end > ordered.c.start)
    for reference, owner in session.execute(query):
        yield f"Appointment {reference} overlaps an earlier one of {name} {owner}."


def _outside_hours(session: Session, *, now: datetime) -> Iterator[str]:
    """Visits ahead that closures, opening hours, working hours or time off would refuse, and nobody said so."""
    standing = list_upcoming(session, None, now=now)
    broken = broken_rules(session, get_clinic(session), standing, now=now)
    names = {
        doctor.id: doctor.name for doctor in doctors.list_by_ids(session, sorted({each.doctor_id for each in standing}))
    }
    for visit in standing:
        if visit.flagged_why or visit.override_reason:
            continue
        for code in broken.get(visit.id, ()):
            if code in HOURS_RULES:
                name = names[visit.doctor_id]
                yield f"Appointment {visit.reference} of {name} breaks the rule {code} and is not flagged."


def _lost_messages(session: Session, *, now: datetime) -> Iterator[str]:
    """Messages that nobody sends: due for long and neither delivered nor given up, nor in the hands of a worker.

    One that waits until its recipient has an earlier one is not lost, as long as that is being tried.
    """
    late = now - LOST_AFTER
    query = (
        sa.select(OutboxMessage.id, OutboxMessage.template, OutboxMessage.due_at)
        .where(UNDELIVERED, OutboxMessage.due_at < late, ~HAS_EARLIER)
        .where(sa.or_(OutboxMessage.status == "waiting", OutboxMessage.lease_until < late))
        .order_by(OutboxMessage.due_at, OutboxMessage.id)
    )
    for number, template, due_at in session.execute(query):
        yield f"Message {number} ({template}) was due at {due_at:%Y-%m-%d %H:%M} UTC and is not delivered."
