"""How many text messages patients may cause in a day.

Each of them costs the clinic money, and a telephone number is only what a person typed. A number or an account that has
reached its limit gets e-mails only. Reminders and messages that the clinic causes have no limit.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.events.kinds import DoneBy
from webapp.notifications import outbox
from webapp.notifications.models import OutboxMessage
from webapp.patients.models import Patient
from webapp.scheduling.models import Appointment

WINDOW = timedelta(hours=24)
# A family books and moves a few appointments a day.
MOST_TO_NUMBER, MOST_OF_ACCOUNT = 10, 20


def has_room(session: Session, by: DoneBy, number: str, *, now: datetime) -> bool:
    """Whether one more text message may go to this number, because of what `by` has done."""
    if by.is_staff:
        return True
    since = now - WINDOW
    if outbox.count_sent_to(session, number, since) >= MOST_TO_NUMBER:
        return False
    return by.account_id is None or _count_of_account(session, by.account_id, since) < MOST_OF_ACCOUNT


def _count_of_account(session: Session, user_id: int, since: datetime) -> int:
    """The text messages about appointments of the account's owner, and of those whom they book for, to any number."""
    own = aliased(Patient)
    mine = sa.select(own.id).where(own.user_id == user_id).scalar_subquery()
    theirs = sa.select(Patient.id).where(sa.or_(Patient.id == mine, Patient.managed_by_id == mine))
    about = sa.select(Appointment.id).where(Appointment.patient_id.in_(theirs), Appointment.updated_at > since)
    query = sa.select(sa.func.count(OutboxMessage.id)).where(
        OutboxMessage.subject_type == "appointment",
        OutboxMessage.subject_id.in_(about),
        OutboxMessage.channel == "sms",
        OutboxMessage.created_at > since,
    )
    return session.scalar(query) or 0
