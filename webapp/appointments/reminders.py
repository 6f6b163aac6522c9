"""Reminders: some days before their visits people are reminded, each of all visits of a day in one message.

A reminder belongs to one recipient, one local day of visits, and one number of days before it. Its key says so, and
that is why it is written once, however often and by however many workers this is run.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments import telling
from webapp.appointments.models import ACTIVE, OPEN, Appointment
from webapp.appointments.telling import FACTS, REMINDER, Recipient, VisitFacts
from webapp.audit.models import AuditEvent
from webapp.clinic.service import Clinic, get_clinic
from webapp.clinic.settings import days_of
from webapp.core.local_time import first_instant
from webapp.database import rows, table_of
from webapp.notifications.service import Message, enqueue, written_already
from webapp.patients import service as patients

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
    visits: list[tuple[VisitFacts, Recipient]]


def enqueue_due(session: Session, *, now: datetime) -> int:
    """Write the reminders that are due today and not written yet; returns how many.

    At most `PORTION` are written: after that many the caller commits, and calls again. In the night nothing is
    written. What could not be written on its day is not written on the next.
    """
    clinic = get_clinic(session)
    if not telling.is_daytime(clinic, now):
        return 0
    written = 0
    for lead in days_of(clinic.reminder_days):
        if written < PORTION:
            written += _enqueue_for(session, clinic, lead, PORTION - written, now=now)
    return written


def _enqueue_for(session: Session, clinic: Clinic, lead: int, most: int, *, now: datetime) -> int:
    """Write at most so many reminders for the visits that are `lead` days ahead."""
    day = clinic.today(now) + timedelta(days=lead)
    span = {"first": first_instant(day, clinic.zone), "last": first_instant(day + timedelta(days=1), clinic.zone)}
    asked = {**span, "today": first_instant(clinic.today(now), clinic.zone)}
    found = _grouped(VisitFacts(*row) for row in rows(session, _OF_DAY, **asked))
    keys = {key: f"{REMINDER}:{day.isoformat()}:{lead}:{telling.short(key)}" for key in found}
    known = written_already(session, keys.values())
    open_keys = sorted(key for key, written in keys.items() if written not in known)[:most]
    if not open_keys:
        return 0
    # Whoever cancels or moves a visit holds its patient's lock: what is read after taking it is still so at the end.
    patient_ids = sorted({visit.patient_id for key in open_keys for visit, _recipient in found[key].visits})
    for patient_id in patient_ids:
        patients.lock_patient(session, patient_id)
    again = rows(session, _OF_DAY_AND_PATIENTS, **asked, patient_ids=patient_ids)
    found = _grouped(VisitFacts(*row) for row in again)
    return sum(
        enqueue(session, _message(clinic, keys[key], found[key], now=now), now=now) for key in open_keys if key in found
    )


def _grouped(visits: Iterable[VisitFacts]) -> dict[str, Reminder]:
    """The visits by the address that is reminded of them."""
    found: dict[str, Reminder] = {}
    for visit in visits:
        for recipient in telling.recipients_of(visit):
            reminder = found.setdefault(recipient.address, Reminder(recipient, []))
            reminder.visits.append((visit, recipient))
    return found


def _message(clinic: Clinic, key: str, reminder: Reminder, *, now: datetime) -> Message:
    recipient = reminder.recipient
    return Message(
        dedupe_key=key,
        channel=recipient.channel,
        recipient=recipient.address,
        template=REMINDER,
        values=telling.reminder_values(reminder.visits, clinic, now=now),
        subject=("patient", recipient.patient_id),
        expires_at=reminder.visits[0][0].starts_at,
    )
