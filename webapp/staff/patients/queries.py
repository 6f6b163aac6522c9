"""A patient's appointments, as their record shows them to staff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.queries import visible_to
from webapp.auth.schemas import Actor
from webapp.clinic.models import VisitType
from webapp.doctors.models import Doctor
from webapp.scheduling.models import ACTIVE, Appointment


class PatientAppointment(NamedTuple):
    """One appointment in a patient's record. Instants are UTC."""

    reference: str
    status: str
    starts_at: datetime
    doctor_name: str
    visit_type: str
    flagged_why: str


class NextAppointment(NamedTuple):
    """A patient's next appointment, as a list of patients shows it."""

    reference: str
    starts_at: datetime
    doctor_name: str


class PatientAppointments(NamedTuple):
    """Some of a patient's appointments, and how many there are in all."""

    appointments: list[PatientAppointment]
    total: int


_LINES: Any = (
    sa.select(
        Appointment.reference,
        Appointment.status,
        Appointment.starts_at,
        Doctor.name,
        VisitType.name,
        Appointment.flagged_why,
    )
    .join(Doctor, Doctor.id == Appointment.doctor_id)
    .join(VisitType, VisitType.id == Appointment.visit_type_id)
)


def _ahead(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(Appointment.ends_at > now, Appointment.status.in_((*ACTIVE, "arrived")))


def list_appointments(
    session: Session,
    actor: Actor,
    patient_id: int,
    *,
    upcoming: bool,
    now: datetime,
    skip: int = 0,
    limit: int | None = None,
) -> PatientAppointments:
    """One patient's future appointments, soonest first; or those that are over or cancelled, latest first."""
    ahead = _ahead(now)
    condition = sa.and_(visible_to(actor), Appointment.patient_id == patient_id, ahead if upcoming else ~ahead)
    query = (
        _LINES.where(condition)
        .order_by(Appointment.starts_at.asc() if upcoming else Appointment.starts_at.desc(), Appointment.id)
        .offset(skip)
        .limit(limit)
    )
    total = session.scalar(sa.select(sa.func.count()).select_from(Appointment).where(condition))
    return PatientAppointments([PatientAppointment(*row) for row in session.execute(query)], total or 0)


def has_appointment(session: Session, actor: Actor, patient_id: int) -> bool:
    """Whether the actor may see any appointment of a patient, past or future."""
    query = sa.select(Appointment.id).where(visible_to(actor), Appointment.patient_id == patient_id)
    return session.scalar(query.limit(1)) is not None


def find_last(session: Session, actor: Actor, patient_id: int, *, now: datetime) -> PatientAppointment | None:
    """One patient's latest appointment that is over and was not cancelled, or None."""
    query = _LINES.where(
        visible_to(actor),
        Appointment.patient_id == patient_id,
        Appointment.starts_at <= now,
        Appointment.status != "cancelled",
        # The current one is listed with the upcoming ones.
        ~_ahead(now),
    )
    row = session.execute(query.order_by(Appointment.starts_at.desc(), Appointment.id).limit(1)).one_or_none()
    return PatientAppointment(*row) if row is not None else None


def find_next(
    session: Session, actor: Actor, patient_ids: Sequence[int], *, now: datetime
) -> dict[int, NextAppointment]:
    """The next appointment of each of these patients, by id; patients without one are left out."""
    query = (
        sa.select(Appointment.patient_id, Appointment.reference, Appointment.starts_at, Doctor.name)
        .join(Doctor, Doctor.id == Appointment.doctor_id)
        .where(visible_to(actor), Appointment.patient_id.in_(list(patient_ids)), _ahead(now))
        .order_by(Appointment.starts_at.desc(), Appointment.id.desc())
    )
    # The soonest comes last, so it is the one that is kept.
    return {row[0]: NextAppointment._make(row[1:]) for row in session.execute(query)}
