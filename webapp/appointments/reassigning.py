"""Giving an appointment to the right patient, because it was booked for the wrong one.

The wrong patient is told that it is cancelled only if they knew of it: a message about it was sent, or they booked it.
Messages that still wait are withdrawn, and the links in earlier ones open nothing any more. The right patient gets the
message of a booking.
"""

from __future__ import annotations

import secrets
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments import queries
from webapp.appointments.booking.appointment_row import record, update_row
from webapp.appointments.exceptions import ChangedMeanwhile, NotActive, SamePatient
from webapp.appointments.messages import clinic_messages, notification_lists
from webapp.appointments.messages.appointment_messages import CANCELLED, Notice, enqueue, withdraw_reminders_of
from webapp.appointments.messages.notification_lines import SOON
from webapp.appointments.messages.recipients import FACTS, AppointmentFacts, addresses_of
from webapp.appointments.schemas import AppointmentView, GiveToPatient
from webapp.auth.schemas import Actor
from webapp.clinic.service import get_clinic
from webapp.database import rows, table_of
from webapp.doctors import service as doctors
from webapp.events.kinds import AppointmentReassigned
from webapp.events.publishing import publish
from webapp.exceptions import Forbidden
from webapp.i18n import gettext as _
from webapp.notifications import outbox
from webapp.notifications.models import OutboxMessage
from webapp.patients import records
from webapp.patients import service as patients
from webapp.scheduling import checks
from webapp.scheduling.exceptions import error_of
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.scheduling.viewer import Viewer

# The rules about the patient. The time itself was allowed when it was booked, and stays.
ABOUT_THE_PATIENT = {"patient_overlap", "patient_gap", "too_many_visits"}
_FACTS_OF_ID = FACTS.where(table_of(Appointment).c.id == sa.bindparam("appointment_id"))


def give_to_patient(session: Session, actor: Actor, reference: str, command: GiveToPatient, *, now: datetime) -> None:
    """Give an appointment to another patient; staff. Its reference and its time stay, a confirmation does not.

    Raises:
        PatientBusy: the right patient has another appointment at that time, or close to it and no reason was given.
        RuleBroken: that patient has too many appointments, and no reason was given (422).
        SamePatient, NotActive, ChangedMeanwhile: 409. NoSuchAppointment, NoSuchPatient: 404. Forbidden: for staff only.
    """
    if not actor.is_staff:
        raise Forbidden(_("Only clinic staff can give an appointment to another patient."))
    view = _lock(session, actor, reference, command)
    if view.status not in (*ACTIVE, "arrived"):
        raise NotActive(view.status)
    overridden = _overridden(session, view, command, now=now)
    _tell_wrong_patient(session, actor, view, now=now)
    values: dict[str, object] = {"status": "scheduled", "previous_status": None} if view.status in ACTIVE else {}
    if overridden:
        values["override_reason"] = command.override_reason
    with checks.guarded():
        update_row(session, view, now=now, patient_id=command.patient_id, link_key=secrets.token_urlsafe(16), **values)
    notification_lists.forget_appointment(session, view.id)
    details = {"from": str(view.patient_id), "to": str(command.patient_id)}
    record(session, actor, "given_to_patient", view.id, now, details)
    given = AppointmentReassigned(
        by=actor.done_by,
        appointment_id=view.id,
        doctor_id=view.doctor_id,
        patient_id=command.patient_id,
        # The patient who has arrived is the right one, and is at the clinic until the appointment.
        in_person=view.status == "arrived" and view.starts_at < now + SOON,
    )
    publish(session, given, now=now)


def _lock(session: Session, actor: Actor, reference: str, command: GiveToPatient) -> AppointmentView:
    """Lock the doctor, then both patients in the order of their ids, and read the appointment again."""
    seen = queries.get_appointment(session, actor, reference)
    if seen.patient_id == command.patient_id:
        raise SamePatient
    doctors.lock_doctor(session, doctor_id=seen.doctor_id)
    for patient_id in sorted((seen.patient_id, command.patient_id)):
        patients.lock_patient(session, patient_id)
    # A record that is closed takes no appointment, and one that does not exist is not found.
    records.lock_details(session, command.patient_id)
    view = queries.get_appointment(session, actor, reference)
    moved_on = (view.doctor_id, view.patient_id) != (seen.doctor_id, seen.patient_id)
    if moved_on or (command.version is not None and command.version != view.version):
        raise ChangedMeanwhile
    return view


def _overridden(session: Session, view: AppointmentView, command: GiveToPatient, *, now: datetime) -> list[str]:
    """The rules about the right patient that staff override with their reason."""
    doctor = doctors.get_doctor_by_id(session, view.doctor_id)
    request = checks.find_booking_request(session, doctor, view.visit_type_id)
    viewer = Viewer(command.patient_id, moving=view.id, by_staff=True, changing=True)
    clinic = get_clinic(session)
    found = checks.find_refusals(session, clinic, request, view.starts_at, now=now, viewer=viewer)
    about = sorted(
        (refusal for refusal in found if refusal.code in ABOUT_THE_PATIENT), key=lambda refusal: refusal.overridable
    )
    for refusal in about:
        if not (refusal.overridable and command.override_reason):
            raise error_of(refusal, by_staff=True)
    return [refusal.code for refusal in about]


def _tell_wrong_patient(session: Session, actor: Actor, view: AppointmentView, *, now: datetime) -> None:
    """Write a message about the cancellation to those who knew of the appointment, and withdraw their waiting
    messages.
    """
    facts = AppointmentFacts(*rows(session, _FACTS_OF_ID, appointment_id=view.id).one())
    known = _is_known(session, facts)
    for address in addresses_of(facts):
        outbox.withdraw_to(session, address, subject=("appointment", view.id))
        clinic_messages.withdraw_naming(session, address, {view.reference})
    withdraw_reminders_of(session, view.id, view.starts_at)
    if known:
        enqueue(session, view.id, Notice(CANCELLED, actor.done_by), now=now)


def _is_known(session: Session, facts: AppointmentFacts) -> bool:
    """Whether the patient, or the person who books for them, knows of an appointment."""
    sent = sa.select(OutboxMessage.id).where(
        OutboxMessage.subject_type == "appointment",
        OutboxMessage.subject_id == facts.id,
        OutboxMessage.recipient.in_(addresses_of(facts)),
        OutboxMessage.status.in_(("sending", "sent", "kept")),
    )
    accounts = [each for each in (facts.patient_user_id, facts.manager_user_id) if each is not None]
    own = sa.select(Appointment.id).where(Appointment.id == facts.id, Appointment.booked_by.in_(accounts))
    return session.scalar(sa.select(sa.or_(sent.exists(), own.exists()))) is True
