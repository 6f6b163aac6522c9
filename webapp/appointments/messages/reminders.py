"""Reminders: some days before their visits people are reminded, each of all visits of a day in one message.

A reminder belongs to one recipient, one local day of visits, and one number of days before it. Its key says so, and
that is why it is written once, however often and by however many workers this is run.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.messages import visit_messages
from webapp.appointments.messages.visit_messages import FACTS, REMINDER, AppointmentFacts, Recipient
from webapp.audit.models import AuditEvent
from webapp.clinic.service import Clinic, get_clinic
from webapp.clinic.settings import days_of
from webapp.core.local_time import first_instant
from webapp.database import rows, table_of
from webapp.notifications.outbox import Message, enqueue, written_already
from webapp.patients import service as patients
from webapp.scheduling.models import ACTIVE, OPEN, Appointment

# On SQLite nobody can book while these are written, so they come in portions.
PORTION = 100

_VISIT, _EVENT = table_of(Appointment).c, table_of(AuditEvent).c
_NEWS = sa.exists().where(
    _EVENT.subject_type == "appointment",
    _EVENT.subject_id == _VISIT.id,
    _EVENT.action.in_(("moved", "undone")),
    _EVENT.at >= sa.bindparam("today"),
)
# Whoever booked or moved a visit on the day of its reminder has just read about it.
_OF_DAY = FACTS.where(
    OPEN,
    _VISIT.status.in_(ACTIVE),
    _VISIT.starts_at >= sa.bindparam("first"),
    _VISIT.starts_at < sa.bindparam("last"),
    _VISIT.created_at < sa.bindparam("today"),
    sa.or_(_VISIT.updated_at < sa.bindparam("today"), ~_NEWS),
).order_by(_VISIT.starts_at, _VISIT.id)
_OF_DAY_AND_PATIENTS = _OF_DAY.where(_VISIT.patient_id.in_(sa.bindparam("patient_ids", expanding=True)))


class Reminder(NamedTuple):
    """The visits of one day that one recipient is reminded of."""

    recipient: Recipient
    visits: list[tuple[AppointmentFacts, Recipient]]


class Day(NamedTuple):
    """A local day whose visits are so many days ahead; `asked` are the parameters of its queries."""

    lead: int
    date: date
    asked: dict[str, datetime]

    def key(self, address: str) -> str:
        """The key of the reminder of this day's visits for one recipient."""
        return f"{REMINDER}:{self.date.isoformat()}:{self.lead}:{visit_messages.short(address)}"


def is_any_due(session: Session, *, now: datetime) -> bool:
    """Whether `enqueue_due` would write something. It only reads, so nobody's booking waits for the answer."""
    clinic = get_clinic(session)
    return any(_unwritten(session, day) for day in _days(clinic, now))


def enqueue_due(session: Session, *, now: datetime) -> int:
    """Write the reminders that are due today and not written yet; returns how many.

    At most `PORTION` are written: after that many the caller commits, and calls again. In the night nothing is
    written. What could not be written on its day is not written on the next.
    """
    clinic = get_clinic(session)
    written = 0
    for day in _days(clinic, now):
        unwritten = sorted(_unwritten(session, day).items())[: PORTION - written]
        written += _enqueue(session, clinic, day, dict(unwritten), now=now)
    return written


def _days(clinic: Clinic, now: datetime) -> list[Day]:
    """The days whose visits are reminded of today; in the night none."""
    if not visit_messages.is_daytime(clinic, now):
        return []
    today = clinic.today(now)
    return [_day(clinic, lead, today) for lead in days_of(clinic.reminder_days)]


def _day(clinic: Clinic, lead: int, today: date) -> Day:
    day = today + timedelta(days=lead)
    asked = {"first": day, "last": day + timedelta(days=1), "today": today}
    return Day(lead, day, {name: first_instant(each, clinic.zone) for name, each in asked.items()})


def _unwritten(session: Session, day: Day) -> dict[str, list[int]]:
    """Who is still to be reminded of that day's visits, by address, and the patients whose visits they are."""
    found = _grouped(AppointmentFacts(*row) for row in rows(session, _OF_DAY, **day.asked))
    known = written_already(session, [day.key(address) for address in found])
    return {
        address: [appointment.patient_id for appointment, _recipient in reminder.visits]
        for address, reminder in found.items()
        if day.key(address) not in known
    }


def _enqueue(session: Session, clinic: Clinic, day: Day, unwritten: dict[str, list[int]], *, now: datetime) -> int:
    """Write these reminders of that day, where their visits still stand.

    Whoever cancels or moves a visit holds its patient's lock: what is read after taking it is still so at the end.
    """
    if not unwritten:
        return 0
    patient_ids = sorted({patient_id for ids in unwritten.values() for patient_id in ids})
    for patient_id in patient_ids:
        patients.lock_patient(session, patient_id)
    upcoming = rows(session, _OF_DAY_AND_PATIENTS, **day.asked, patient_ids=patient_ids)
    found = _grouped(AppointmentFacts(*row) for row in upcoming)
    return sum(
        enqueue(session, _message(clinic, day.key(address), found[address], now=now), now=now)
        for address in unwritten
        if address in found
    )


def _grouped(appointments: Iterable[AppointmentFacts]) -> dict[str, Reminder]:
    """The visits by the address that is reminded of them."""
    found: dict[str, Reminder] = {}
    for appointment in appointments:
        for recipient in visit_messages.recipients_of(appointment):
            reminder = found.setdefault(recipient.address, Reminder(recipient, []))
            reminder.visits.append((appointment, recipient))
    return found


def _message(clinic: Clinic, key: str, reminder: Reminder, *, now: datetime) -> Message:
    recipient = reminder.recipient
    return Message(
        dedupe_key=key,
        channel=recipient.channel,
        recipient=recipient.address,
        template=REMINDER,
        values=visit_messages.reminder_values(reminder.visits, clinic, now=now),
        subject=("patient", recipient.patient_id),
        expires_at=reminder.visits[0][0].starts_at,
    )
