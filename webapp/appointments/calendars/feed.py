"""The appointments of a calendar feed: those of the last weeks and all upcoming ones."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.calendars.ical import diary_event_of, event_of
from webapp.appointments.queries import visible_to
from webapp.auth.schemas import Actor
from webapp.clinic.models import VisitType
from webapp.clinic.service import Clinic
from webapp.core.calendar_events import CalendarEvent
from webapp.doctors.models import Doctor
from webapp.patients.models import Patient
from webapp.patients.names import shown_name_column
from webapp.scheduling.models import Appointment

BEHIND = timedelta(days=60)
# A feed lists a cancelled appointment for this long; by then every calendar should have removed it.
CANCELLED_SHOWN = timedelta(days=14)


class FeedAppointment(NamedTuple):
    """The details of an appointment that a calendar shows. Instants are UTC."""

    reference: str
    status: str
    starts_at: datetime
    ends_at: datetime
    version: int
    created_at: datetime
    updated_at: datetime
    doctor_name: str
    doctor_room: str
    patient_name: str
    patient_user_id: int | None
    visit_type_name: str
    named_in_messages: bool


def list_events(session: Session, actor: Actor, clinic: Clinic, *, base_url: str, now: datetime) -> list[CalendarEvent]:
    """The appointments of a patient and of the people they book for, or a doctor's own, as events; earliest first."""
    query: Any = (
        sa.select(
            Appointment.reference,
            Appointment.status,
            Appointment.starts_at,
            Appointment.ends_at,
            Appointment.version,
            Appointment.created_at,
            Appointment.updated_at,
            Doctor.name,
            Doctor.room,
            shown_name_column(),
            Patient.user_id,
            VisitType.name,
            VisitType.named_in_messages,
        )
        .join(Patient, Patient.id == Appointment.patient_id)
        .join(Doctor, Doctor.id == Appointment.doctor_id)
        .join(VisitType, VisitType.id == Appointment.visit_type_id)
        .where(
            visible_to(actor),
            Appointment.starts_at > now - BEHIND,
            sa.or_(Appointment.status != "cancelled", Appointment.updated_at > now - CANCELLED_SHOWN),
        )
        .order_by(Appointment.starts_at, Appointment.id)
    )
    appointments = [FeedAppointment(*row) for row in session.execute(query)]
    if actor.role == "doctor":
        return [diary_event_of(appointment, clinic, base_url=base_url) for appointment in appointments]
    return [
        event_of(appointment, clinic, base_url=base_url, whose=whose(appointment, actor))
        for appointment in appointments
    ]


def whose(appointment: FeedAppointment, actor: Actor) -> str:
    """The patient's name if the actor is another person, otherwise ''."""
    return "" if appointment.patient_user_id == actor.user_id else appointment.patient_name
