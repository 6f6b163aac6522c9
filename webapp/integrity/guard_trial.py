"""The trial of the guard: the database itself must refuse to give one time twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.clinic.models import VisitType
from webapp.database import Database
from webapp.doctors.models import Doctor
from webapp.heartbeats.service import ProcessKind, beat
from webapp.patients.models import Patient
from webapp.scheduling.busy_times import BusyTime
from webapp.scheduling.models import Appointment
from webapp.scheduling.slots import to_minute


class GuardTrial(NamedTuple):
    """The result of a trial: whether the guard is in place, and the time on the database's clock."""

    guarded: bool
    now: datetime


def prove(database: Database, kind: ProcessKind) -> GuardTrial:
    """Check that the database saves changes, and refuses to give one time twice. The first check commits a heartbeat of
    this process, so that a full or read-only disk is noticed.

    Raises:
        DatabaseTrouble: nothing can be written.
    """

    def attempt(session: Session) -> GuardTrial:
        return GuardTrial(_is_guarded(session), beat(session, kind))

    return database.write(attempt)


def guard_is_in_place(database: Database) -> bool:
    """Whether the database refuses to give one time twice."""
    return database.write(_is_guarded)


def _is_guarded(session: Session) -> bool:
    """Try to give one time twice, to a doctor and to a patient: the database itself must refuse both.

    The triggers must also maintain `busy_times`, which guards the doctor's time: refuse a change of a row there, and
    free the time of a deleted appointment. The trial is rolled back, and has negative ids that no real row has.
    """
    with session.begin_nested() as trial:
        _trial_rows(session)
        found = (
            _is_refused(session, doctor_id=-1, patient_id=-2),
            _is_refused(session, doctor_id=-2, patient_id=-1),
            _fails(session, _busy_times_that_come_to_overlap()),
            not _fails(session, _time_that_a_deletion_frees()),
        )
        trial.rollback()
    return all(found)


def _trial_rows(session: Session) -> None:
    now = datetime.fromisoformat("2000-01-01T00:00:00Z")
    session.execute(sa.insert(VisitType).values(id=-1, name="trial of the guard", minutes=30))
    for number in (-1, -2):
        session.execute(
            sa.insert(Doctor).values(id=number, slug=f"trial{number}", name="Trial", specialty="Trial", languages=[])
        )
        session.execute(sa.insert(Patient).values(id=number, name="Trial", created_at=now))
    session.execute(sa.insert(Appointment).values(_trial_appointment(-1, doctor_id=-1, patient_id=-1, later=0)))


def _trial_appointment(number: int, *, doctor_id: int, patient_id: int, later: int) -> dict[str, Any]:
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
        "promised_minute": to_minute(start),
        "busy_from": start,
        "busy_until": end,
        "created_at": start,
        "updated_at": start,
    }


def _is_refused(session: Session, *, doctor_id: int, patient_id: int) -> bool:
    """Whether neither a new row nor an update of a cancelled one can take the time."""
    appointment = _trial_appointment(-2, doctor_id=doctor_id, patient_id=patient_id, later=10)
    new = [sa.insert(Appointment).values(appointment)]
    changed = [
        sa.insert(Appointment).values(appointment | {"status": "cancelled"}),
        sa.update(Appointment).where(Appointment.id == appointment["id"]).values(status="scheduled"),
    ]
    return _fails(session, new) and _fails(session, changed)


def _busy_times_that_come_to_overlap() -> list[Any]:
    """Two appointments next to each other, then a change of the first one's row in `busy_times` alone."""
    later = _trial_appointment(-2, doctor_id=-1, patient_id=-2, later=30)
    return [
        sa.insert(Appointment).values(later),
        sa.update(BusyTime)
        .where(BusyTime.appointment_id == -1)
        .values(until_minute=BusyTime.until_minute + 1)
        .execution_options(synchronize_session=False),
    ]


def _time_that_a_deletion_frees() -> list[Any]:
    """A new appointment at the time of a deleted one."""
    return [
        sa.delete(Appointment).where(Appointment.id == -1).execution_options(synchronize_session=False),
        sa.insert(Appointment).values(_trial_appointment(-2, doctor_id=-1, patient_id=-2, later=0)),
    ]


def _fails(session: Session, statements: list[Any]) -> bool:
    try:
        with session.begin_nested() as attempt:
            for statement in statements:
                session.execute(statement)
            attempt.rollback()
    except IntegrityError:
        return True
    return False
