"""Appointments of a patient who is forgotten: time, doctor, type and status stay, for the guard and for statistics."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.messages.appointment_messages import CLINIC_MESSAGE, REMINDER
from webapp.appointments.models import Call, FormerNote, NotificationLine, NotificationList, PendingDecision, WalkIn
from webapp.database import UtcDateTime, table_of
from webapp.events.kinds import AccountErased, PatientErased
from webapp.notifications import erasure as notifications
from webapp.notifications.models import OutboxMessage
from webapp.scheduling.models import Appointment

# The database requires a reason for squeezing in. The fact alone says nothing about the patient.
NO_WORDS = "-"


def blank_appointments(session: Session, event: PatientErased, /, *, now: datetime) -> None:
    """Delete all texts of the patient's appointments and the values that an undo would restore, and end their links."""
    theirs = sa.select(Appointment.id).where(Appointment.patient_id == event.patient_id)
    line = NotificationLine
    lists = list(session.scalars(sa.select(line.list_id).where(line.appointment_id.in_(theirs))))
    for table in (PendingDecision, Call, FormerNote, line):
        about = sa.delete(table).where(table.appointment_id.in_(theirs))
        session.execute(about.execution_options(synchronize_session=False))
    gone = sa.delete(WalkIn).where(WalkIn.patient_id == event.patient_id)
    session.execute(gone.execution_options(synchronize_session=False))
    # If a list was about this patient alone, its text may say something about them.
    of = NotificationList
    empty = sa.delete(of).where(of.id.in_(lists), of.id.not_in(sa.select(line.list_id)))
    session.execute(empty.execution_options(synchronize_session=False))
    session.execute(
        sa.update(Appointment)
        .where(Appointment.patient_id == event.patient_id)
        .values(
            reason="",
            notes="",
            cancellation_reason="",
            cancellation_code="",
            private_note="",
            note_doctor_id=None,
            desk_note="",
            flagged_why="",
            override_reason="",
            squeeze_reason=sa.case((Appointment.squeeze_reason != "", NO_WORDS), else_=""),
            previous_status=None,
            links_ended_at=sa.func.coalesce(Appointment.links_ended_at, sa.literal(now, UtcDateTime())),
            version=Appointment.version + 1,
        )
        .execution_options(synchronize_session=False)
    )


def forget_messages_naming(session: Session, event: PatientErased, /, *, now: datetime) -> None:  # noqa: ARG001
    """Forget what those who booked for the patient were told about several appointments at once.

    Such a message is about its recipient, and names the patient of each appointment.
    """
    theirs = set(session.scalars(sa.select(Appointment.reference).where(Appointment.patient_id == event.patient_id)))
    of = table_of(OutboxMessage).c
    query = sa.select(of.id, of["values"]).where(of.template.in_((REMINDER, CLINIC_MESSAGE)))
    found = session.execute(query.execution_options(yield_per=notifications.IDS_AT_ONCE))
    notifications.forget_messages(
        session,
        [number for number, values in found if any(each["reference"] in theirs for each in values.get("visits", ()))],
    )


def forget_booker(session: Session, event: AccountErased, /, *, now: datetime) -> None:  # noqa: ARG001
    """Forget which appointments this account booked."""
    session.execute(
        sa.update(Appointment)
        .where(Appointment.booked_by == event.user_id)
        .values(booked_by=None)
        .execution_options(synchronize_session=False)
    )
