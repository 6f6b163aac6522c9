"""The event handlers that notify patients: each handles one kind of event and writes messages into the outbox."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.messages import clinic_messages
from webapp.appointments.messages.appointment_messages import (
    BOOKED,
    CANCELLED,
    CLOCK,
    MOVED,
    RESTORED,
    Notice,
    enqueue,
    former_of,
    withdraw_lateness,
    withdraw_reminders_of,
)
from webapp.appointments.messages.redirection import redirect
from webapp.events.kinds import (
    AccountAddressChanged,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentHourChanged,
    AppointmentHourKept,
    AppointmentMoved,
    AppointmentReassigned,
    AppointmentStatusChanged,
    ContactChanged,
)
from webapp.patients.models import Patient
from webapp.scheduling.models import ACTIVE


def announce_booking(session: Session, event: AppointmentBooked, /, *, now: datetime) -> None:
    """Write the messages about a new appointment, unless the patient hears of it at the desk."""
    if not event.in_person:
        enqueue(session, event.appointment_id, Notice(BOOKED, event.by), now=now)


def announce_move(session: Session, event: AppointmentMoved, /, *, now: datetime) -> None:
    """Write the messages about an appointment that got another start, doctor or visit type."""
    clinic_messages.withdraw_about(session, event.appointment_id)
    was = former_of(session, event.former_doctor_id, event.former_visit_type_id, event.former_minutes)
    notice = Notice(MOVED, event.by, before=event.before, why=event.why, was=was)
    enqueue(session, event.appointment_id, notice, now=now)


def announce_hour(session: Session, event: AppointmentHourChanged, /, *, now: datetime) -> None:
    """Write the messages about an appointment for which the clinic's clock shows another hour than it did."""
    clinic_messages.withdraw_about(session, event.appointment_id)
    enqueue(session, event.appointment_id, Notice(MOVED, event.by, before=event.before, why=CLOCK), now=now)


def withdraw_reminders(session: Session, event: AppointmentHourKept, /, *, now: datetime) -> None:  # noqa: ARG001
    """Withdraw waiting reminders of an appointment whose instant moved; they are written again with the new one.

    Messages in the clinic's words, which name the old instant, are not: the notification list asks for a call.
    """
    clinic_messages.withdraw_about(session, event.appointment_id)
    withdraw_reminders_of(session, event.appointment_id, event.before)


def announce_cancellation(session: Session, event: AppointmentCancelled, /, *, now: datetime) -> None:
    """Write the messages about an appointment that was cancelled, unless the patient hears of it at the desk."""
    clinic_messages.withdraw_about(session, event.appointment_id)
    if not event.in_person:
        enqueue(session, event.appointment_id, Notice(CANCELLED, event.by, why=event.why), now=now)


def announce_to_right_patient(session: Session, event: AppointmentReassigned, /, *, now: datetime) -> None:
    """Write the messages about an appointment to the patient who got it, as if it had just been booked."""
    if not event.in_person:
        enqueue(session, event.appointment_id, Notice(BOOKED, event.by), now=now)


def announce_return(session: Session, event: AppointmentStatusChanged, /, *, now: datetime) -> None:
    """Write the messages about an appointment whose cancellation was undone; other statuses are not announced.

    Patients who have arrived or missed the appointment are no longer told that the doctor is late.
    """
    if event.before == "cancelled":
        enqueue(session, event.appointment_id, Notice(RESTORED, event.by), now=now)
    elif event.after not in ACTIVE:
        withdraw_lateness(session, [event.appointment_id])


def follow_account(session: Session, event: AccountAddressChanged, /, *, now: datetime) -> None:
    """Let undelivered messages reach the account's new address."""
    patient_id = session.scalar(sa.select(Patient.id).where(Patient.user_id == event.user_id))
    if patient_id is not None:
        redirect(session, patient_id, "email", event.before, now=now)


def follow_contact(session: Session, event: ContactChanged, /, *, now: datetime) -> None:
    """Let undelivered messages reach the patient's new address or telephone number."""
    redirect(session, event.patient_id, event.channel, event.before, now=now)
