"""Redirects undelivered messages when a patient's address or telephone number changes.

When an address is corrected, messages to the wrong one have often failed already. Those that are still true are sent to
the new one. Reminders are only withdrawn: the next run writes them for the new address while they are due. So are
messages in the clinic's own words, which may name several people's appointments: the notification list then asks for
a call.
"""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.appointments.messages import appointment_messages, clinic_messages
from webapp.appointments.messages.appointment_messages import BOOKED, CANCELLED, LATE, MOVED, REMINDER, RESTORED
from webapp.appointments.messages.daytime import next_daytime
from webapp.appointments.messages.recipients import FACTS, AppointmentFacts, Recipient, recipients_of, short
from webapp.clinic.service import Clinic, get_clinic
from webapp.core import formats
from webapp.database import rows, table_of
from webapp.notifications import outbox
from webapp.notifications.models import OutboxMessage
from webapp.notifications.outbox import LIFETIME, Channel
from webapp.patients.models import Patient
from webapp.scheduling.models import ACTIVE, Appointment

NEWS = (BOOKED, MOVED, CANCELLED, RESTORED, LATE)

_APPOINTMENT = table_of(Appointment).c
_OF_PATIENTS = FACTS.where(
    _APPOINTMENT.patient_id.in_(sa.bindparam("patient_ids", expanding=True)),
    _APPOINTMENT.starts_at > sa.bindparam("now"),
)


def redirect(session: Session, patient_id: int, channel: Channel, before: str, *, now: datetime) -> None:
    """Let undelivered messages to a patient's old address reach the new one, for them and those they book for."""
    if not before:
        return
    clinic = get_clinic(session)
    managed = aliased(Patient)
    own = sa.select(managed.id).where(sa.or_(managed.id == patient_id, managed.managed_by_id == patient_id))
    patient_ids = list(session.scalars(own))
    session.execute(
        sa.delete(OutboxMessage).where(
            OutboxMessage.recipient == before,
            OutboxMessage.template == REMINDER,
            OutboxMessage.subject_type == "patient",
            OutboxMessage.subject_id == patient_id,
            OutboxMessage.status == "waiting",
        )
    )
    unread: set[str] = set()
    for row in rows(session, _OF_PATIENTS, patient_ids=patient_ids, now=now):
        facts = AppointmentFacts(*row)
        recipients = list(recipients_of(facts))
        # The old address may still be the one of someone else who is told about this appointment.
        if all(each.address != before for each in recipients):
            unread.add(facts.reference)
            new = next((each for each in recipients if (each.channel, each.patient_id) == (channel, patient_id)), None)
            for message in _undelivered(session, facts, before):
                _redirect(session, message, facts, new, clinic, now=now)
    clinic_messages.withdraw_naming(session, before, unread)


def withdraw_from(
    session: Session, patient_id: int, guardian_id: int, email: str, phone: str, *, now: datetime
) -> None:
    """Let no undelivered message about a patient reach a guardian who may not read it any more.

    Messages that the patient has not had go to the patient. Reminders are written again without the appointments that
    the guardian may not see.
    """
    channels: tuple[tuple[Channel, str], ...] = (("email", email), ("sms", phone))
    for channel, address in channels:
        if address:
            outbox.withdraw(
                session,
                REMINDER,
                subject_type="patient",
                subject_ids=[guardian_id],
                recipients=[address],
                keys_beginning=f"{REMINDER}:",
            )
            redirect(session, patient_id, channel, address, now=now)


def _undelivered(session: Session, facts: AppointmentFacts, before: str) -> list[OutboxMessage]:
    query = sa.select(OutboxMessage).where(
        OutboxMessage.recipient == before,
        OutboxMessage.subject_type == "appointment",
        OutboxMessage.subject_id == facts.id,
        OutboxMessage.template.in_(NEWS),
        OutboxMessage.status.in_(("waiting", "dead")),
    )
    return list(session.scalars(query.order_by(OutboxMessage.id).with_for_update()))


def _redirect(
    session: Session,
    message: OutboxMessage,
    facts: AppointmentFacts,
    new: Recipient | None,
    clinic: Clinic,
    *,
    now: datetime,
) -> None:
    """Address the message again if it is still true; otherwise withdraw it, or leave it among those given up."""
    stem = f"{message.template}:{facts.id}:{facts.version}"
    if message.template == LATE:
        stem = message.dedupe_key.rpartition(":")[0]
    key = f"{stem}:{short(new.address) if new else ''}"
    known = sa.select(OutboxMessage.id).where(OutboxMessage.dedupe_key == key)
    if new is None or not _is_true(message, facts) or session.scalar(known) is not None:
        if message.status == "waiting":
            session.delete(message)
        return
    if message.status == "dead":
        message.due_at = now if new.channel == "email" else next_daytime(clinic, now)
        message.expires_at = min(message.due_at + LIFETIME, facts.starts_at)
        message.status, message.tries, message.last_error, message.finished_at = "waiting", 0, "", None
    message.dedupe_key, message.recipient, message.message_id = key, new.address, uuid.uuid4().hex
    message.values = message.values | appointment_messages.addressed_values(
        facts, new, clinic, message.template, now=now
    )
    session.flush()


def _is_true(message: OutboxMessage, facts: AppointmentFacts) -> bool:
    if message.template == LATE and message.status == "dead":
        # A delay that was true when the message was given up says little about now.
        return False
    is_true = facts.status == "cancelled" if message.template == CANCELLED else facts.status in ACTIVE
    told: str = message.values["visit"]["starts_at"]
    return is_true and told == formats.iso(facts.starts_at)
