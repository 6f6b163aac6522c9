"""Reminders: people are reminded some days before their appointments, with one message for all appointments of a day.

A reminder belongs to one recipient, one local day of appointments, and one number of days before it. Its key says so,
which ensures that it is written once, no matter how often and by how many workers this runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.messages import appointment_messages
from webapp.appointments.messages.appointment_messages import REMINDER
from webapp.appointments.messages.daytime import is_daytime
from webapp.appointments.messages.recipients import FACTS, AppointmentFacts, Recipient, recipients_of, short
from webapp.audit.models import AuditEvent
from webapp.clinic.service import Clinic, get_clinic
from webapp.clinic.settings import days_of
from webapp.core.local_time import first_instant, wall_minute
from webapp.database import rows, table_of
from webapp.notifications.outbox import Message, enqueue, keys_in_outbox
from webapp.patients import service as patients
from webapp.scheduling.models import ACTIVE, OPEN, Appointment

# On SQLite no booking can be written at the same time, so reminders are written in batches.
PORTION = 100

_APPOINTMENT, _EVENT = table_of(Appointment).c, table_of(AuditEvent).c
_NEWS = sa.exists().where(
    _EVENT.subject_type == "appointment",
    _EVENT.subject_id == _APPOINTMENT.id,
    _EVENT.action.in_(("moved", "undone")),
    _EVENT.at >= sa.bindparam("today"),
)
# People who booked or moved an appointment on the day of its reminder have just read about it.
_OF_DAY = FACTS.where(
    OPEN,
    _APPOINTMENT.status.in_(ACTIVE),
    _APPOINTMENT.starts_at >= sa.bindparam("first"),
    _APPOINTMENT.starts_at < sa.bindparam("last"),
    _APPOINTMENT.created_at < sa.bindparam("today"),
    sa.or_(_APPOINTMENT.updated_at < sa.bindparam("today"), ~_NEWS),
).order_by(_APPOINTMENT.starts_at, _APPOINTMENT.id)
_OF_DAY_AND_PATIENTS = _OF_DAY.where(_APPOINTMENT.patient_id.in_(sa.bindparam("patient_ids", expanding=True)))


class Reminder(NamedTuple):
    """The appointments of one day of which one recipient is reminded."""

    recipient: Recipient
    appointments: list[tuple[AppointmentFacts, Recipient]]


class ReminderDay(NamedTuple):
    """A local day whose appointments are this many days ahead; `asked` are the parameters of its queries."""

    lead: int
    date: date
    asked: dict[str, datetime]

    def key(self, address: str) -> str:
        """The key of one recipient's reminder for this day."""
        return f"{REMINDER}:{self.date.isoformat()}:{self.lead}:{short(address)}"


def is_any_due(session: Session, *, now: datetime) -> bool:
    """Whether `enqueue_due` would write anything. It only reads, so no booking waits for it."""
    clinic = get_clinic(session)
    return any(_unwritten(session, clinic, day) for day in _days(clinic, now))


def enqueue_due(session: Session, *, now: datetime) -> int:
    """Write the reminders that are due today and not written yet; returns how many.

    At most `PORTION` are written; then the caller commits and calls again. Nothing is written at night. Reminders that
    could not be written on their day are not written later.
    """
    clinic = get_clinic(session)
    written = 0
    for day in _days(clinic, now):
        unwritten = sorted(_unwritten(session, clinic, day).items())[: PORTION - written]
        written += _enqueue(session, clinic, day, dict(unwritten), now=now)
    return written


def _days(clinic: Clinic, now: datetime) -> list[ReminderDay]:
    """The days for which reminders are due today; none at night."""
    if not is_daytime(clinic, now):
        return []
    today = clinic.today(now)
    return [_day(clinic, lead, today) for lead in days_of(clinic.reminder_days)]


def _day(clinic: Clinic, lead: int, today: date) -> ReminderDay:
    day = today + timedelta(days=lead)
    asked = {"first": day, "last": day + timedelta(days=1), "today": today}
    return ReminderDay(lead, day, {name: first_instant(each, clinic.zone) for name, each in asked.items()})


def _unwritten(session: Session, clinic: Clinic, day: ReminderDay) -> dict[str, list[int]]:
    """The missing reminders for that day: the patients whose appointments they are about, by address."""
    found = _grouped(clinic, (AppointmentFacts(*row) for row in rows(session, _OF_DAY, **day.asked)))
    known = keys_in_outbox(session, [day.key(address) for address in found])
    return {
        address: [appointment.patient_id for appointment, _recipient in reminder.appointments]
        for address, reminder in found.items()
        if day.key(address) not in known
    }


def _enqueue(
    session: Session, clinic: Clinic, day: ReminderDay, unwritten: dict[str, list[int]], *, now: datetime
) -> int:
    """Write these reminders for that day, if their appointments are still active.

    Cancelling and moving take the patient's lock, so data that is read after taking it stays true until the end.
    """
    if not unwritten:
        return 0
    patient_ids = sorted({patient_id for ids in unwritten.values() for patient_id in ids})
    for patient_id in patient_ids:
        patients.lock_patient(session, patient_id)
    upcoming = rows(session, _OF_DAY_AND_PATIENTS, **day.asked, patient_ids=patient_ids)
    found = _grouped(clinic, (AppointmentFacts(*row) for row in upcoming))
    return sum(
        enqueue(session, _message(clinic, day.key(address), found[address], now=now), now=now)
        for address in unwritten
        if address in found
    )


def _grouped(clinic: Clinic, appointments: Iterable[AppointmentFacts]) -> dict[str, Reminder]:
    """The appointments by the address that is reminded of them.

    If the clock no longer shows the promised hour, a reminder would name the wrong one. It waits until the clinic has
    corrected that.
    """
    found: dict[str, Reminder] = {}
    doubtful: set[str] = set()
    for appointment in appointments:
        is_doubtful = appointment.promised_minute != wall_minute(appointment.starts_at, clinic.zone)
        for recipient in recipients_of(appointment):
            reminder = found.setdefault(recipient.address, Reminder(recipient, []))
            reminder.appointments.append((appointment, recipient))
            if is_doubtful:
                doubtful.add(recipient.address)
    return {address: reminder for address, reminder in found.items() if address not in doubtful}


def _message(clinic: Clinic, key: str, reminder: Reminder, *, now: datetime) -> Message:
    recipient = reminder.recipient
    return Message(
        dedupe_key=key,
        channel=recipient.channel,
        recipient=recipient.address,
        template=REMINDER,
        values=appointment_messages.reminder_values(reminder.appointments, clinic, now=now),
        subject=("patient", recipient.patient_id),
        expires_at=reminder.appointments[0][0].starts_at,
    )
