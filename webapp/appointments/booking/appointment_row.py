"""The row of an appointment: it is locked and read again before a change, written, recorded and announced.

Every use case that changes an appointment begins with `lock_for_change` and ends with `update_row` and `record`.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Protocol, TypedDict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments import queries
from webapp.appointments.exceptions import ChangedMeanwhile
from webapp.appointments.schemas import AppointmentView
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core.local_time import wall_minute
from webapp.database import rows, table_of
from webapp.doctors import service as doctors
from webapp.doctors.service import VisitTypeRow
from webapp.events.kinds import TimeFreed
from webapp.events.publishing import publish
from webapp.patients import service as patients
from webapp.scheduling.models import Appointment

# Without letters and digits that are easily confused when a reference is read out on the telephone.
REFERENCE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def new_reference() -> str:
    """A random public reference such as K7QM-2F9X, out of about a million million."""
    letters = "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def lock_for_change(
    session: Session, actor: Actor, reference: str, version: int | None, *, to_doctor: int | None = None
) -> AppointmentView:
    """Lock an appointment's doctor and patient, then read it again and check that it is still what the actor saw.

    `to_doctor` is the doctor who gets it: both doctors are locked in the order of their ids, before the patient.
    """
    seen = queries.get_appointment(session, actor, reference)
    if to_doctor is None or to_doctor == seen.doctor_id:
        doctors.lock_doctor(session, doctor_id=seen.doctor_id)
    else:
        doctors.lock_doctors(session, [seen.doctor_id, to_doctor])
    patients.lock_patient(session, seen.patient_id)
    view = queries.get_appointment(session, actor, reference)
    # It may have got another doctor or patient meanwhile, whose locks are not held.
    is_elsewhere = (view.doctor_id, view.patient_id) != (seen.doctor_id, seen.patient_id)
    if is_elsewhere or (version is not None and version != view.version):
        raise ChangedMeanwhile
    return view


class ChangeableRow(Protocol):
    """The parts of a row that are needed to change it."""

    @property
    def id(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def doctor_id(self) -> int: ...
    @property
    def busy_from(self) -> datetime: ...
    @property
    def busy_until(self) -> datetime: ...


_APPOINTMENTS = table_of(Appointment)
# The columns to set are the names of the values. One statement for all calls, because a thousand may follow each other.
_UPDATE = (
    sa.update(_APPOINTMENTS)
    .where(_APPOINTMENTS.c.id == sa.bindparam("its_id"), _APPOINTMENTS.c.version == sa.bindparam("seen"))
    .returning(_APPOINTMENTS.c.id)
)


def update_row(session: Session, view: ChangeableRow, *, now: datetime, **values: object) -> None:
    """Update the row if its version has not changed since it was read."""
    values |= {"version": view.version + 1, "updated_at": now}
    if rows(session, _UPDATE, its_id=view.id, seen=view.version, **values).one_or_none() is None:
        raise ChangedMeanwhile


class Times(TypedDict):
    """The columns that follow from the start of an appointment."""

    starts_at: datetime
    ends_at: datetime
    promised_minute: int
    busy_from: datetime
    busy_until: datetime


def times_of(starts_at: datetime, kind: VisitTypeRow, clinic: Clinic) -> Times:
    """The columns of an appointment of this type that is promised for this start."""
    ends_at = starts_at + timedelta(minutes=kind.minutes)
    return {
        "starts_at": starts_at,
        "ends_at": ends_at,
        "promised_minute": wall_minute(starts_at, clinic.zone),
        "busy_from": starts_at - timedelta(minutes=kind.buffer_before),
        "busy_until": ends_at + timedelta(minutes=kind.buffer_after),
    }


def record(
    session: Session,
    actor: Actor,
    action: str,
    appointment_id: int,
    now: datetime,
    details: dict[str, str],
    *,
    visible: bool = True,
) -> None:
    """Write an audit row about the appointment in the same transaction; the patient can read those that are `visible`.

    For a link in a message the row says only that a link was used, not to whom it was sent.
    """
    audit.record_by(
        session,
        actor,
        action,
        subject=("appointment", appointment_id),
        now=now,
        visible=visible,
        details={**details, "by": "link"} if actor.by_link else details,
    )


def publish_freed_time(
    session: Session,
    actor: Actor,
    view: ChangeableRow,
    *,
    still_busy: tuple[datetime, datetime] | None = None,
    now: datetime,
) -> None:
    """Announce that the appointment's time, as it was read, is free again, except for the time in `still_busy`."""
    kept_from, kept_until = still_busy or (view.busy_until, view.busy_until)
    for busy_from, busy_until in (
        (view.busy_from, min(view.busy_until, kept_from)),
        (max(view.busy_from, kept_until), view.busy_until),
    ):
        if busy_from < busy_until:
            freed = TimeFreed(by=actor.done_by, doctor_id=view.doctor_id, busy_from=busy_from, busy_until=busy_until)
            publish(session, freed, now=now)
