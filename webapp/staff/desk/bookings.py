"""Books for a caller, or lets a patient wait, who may be new: the record and the rest are one transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from webapp.appointments import walk_ins
from webapp.appointments.booking import service
from webapp.appointments.schemas import Booking
from webapp.appointments.walk_ins import Queue
from webapp.auth.schemas import Actor
from webapp.doctors import service as doctors
from webapp.patients import records
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.schemas import PatientDetails


def book_for_caller(
    session: Session,
    actor: Actor,
    command: Booking,
    *,
    new_patient: PatientDetails | None,
    anyway: bool,
    walk_in_id: int | None,
    now: datetime,
) -> str:
    """Book for the patient whom the command names, for a walk-in, or for a new patient, and return the reference.

    If the time is refused, no new record is created.

    Raises:
        LikelyDuplicate: the new patient may have a record already, and staff did not say `anyway`.
        The errors of `records.create_patient`, `service.book` and `walk_ins.take_in`.
    """
    if walk_in_id is not None:
        return walk_ins.take_in(session, actor, walk_in_id, command, now=now)
    if new_patient is not None:
        # Doctors are locked before patients.
        doctors.lock_doctor(session, slug=command.doctor)
        patient_id = records.create_patient(session, actor, new_patient, anyway=anyway, now=now)
        command = command.model_copy(update={"patient_id": patient_id})
    return service.book(session, actor, command, now=now)


def let_wait(
    session: Session,
    actor: Actor,
    queue: Queue,
    *,
    patient_id: int | None,
    new_patient: PatientDetails | None,
    anyway: bool,
    now: datetime,
) -> int:
    """Let a patient, or a new one, wait in a queue of today; returns the walk-in's id.

    Raises:
        LikelyDuplicate: as in `book_for_caller`. The errors of `records.create_patient` and `walk_ins.join`.
    """
    if new_patient is not None:
        patient_id = records.create_patient(session, actor, new_patient, anyway=anyway, now=now)
    if patient_id is None:
        raise NoSuchPatient
    return walk_ins.join(session, actor, patient_id, queue, now=now)
