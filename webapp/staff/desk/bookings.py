"""Booking for a caller, who may be new: the patient's record and the appointment are one transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from webapp.appointments.booking import service
from webapp.appointments.schemas import Booking
from webapp.auth.schemas import Actor
from webapp.doctors import service as doctors
from webapp.patients import records
from webapp.patients.schemas import PatientDetails


def book_for_caller(
    session: Session,
    actor: Actor,
    command: Booking,
    *,
    new_patient: PatientDetails | None = None,
    anyway: bool = False,
    now: datetime,
) -> str:
    """Book for the patient whom the command names, or for a new one, and return the reference.

    Where the time is refused, no new record is left behind.

    Raises:
        LikelyDuplicate: the new patient may have a record already, and staff did not say `anyway`.
        What `records.create_patient` and `service.book` raise.
    """
    if new_patient is not None:
        # Doctors are locked before patients.
        doctors.lock_doctor(session, slug=command.doctor)
        patient_id = records.create_patient(session, actor, new_patient, anyway=anyway, now=now)
        command = command.model_copy(update={"patient_id": patient_id})
    return service.book(session, actor, command, now=now)
