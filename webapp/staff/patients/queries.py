"""A patient's appointments, as their record shows them to staff."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

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


class PatientAppointments(NamedTuple):
    """Some of a patient's appointments, and how many there are in all."""

    appointments: list[PatientAppointment]
    total: int


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
    ahead = sa.and_(Appointment.ends_at > now, Appointment.status.in_((*ACTIVE, "arrived")))
    condition = sa.and_(visible_to(actor), Appointment.patient_id == patient_id, ahead if upcoming else ~ahead)
    query = (
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
        .where(condition)
        .order_by(Appointment.starts_at.asc() if upcoming else Appointment.starts_at.desc(), Appointment.id)
        .offset(skip)
        .limit(limit)
    )
    total = session.scalar(sa.select(sa.func.count()).select_from(Appointment).where(condition))
    return PatientAppointments([PatientAppointment(*row) for row in session.execute(query)], total or 0)
