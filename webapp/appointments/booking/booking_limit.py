"""How often a patient may book and move online.

Each booking or move sends a message, and the address is only what a person typed when they registered. Without a limit,
strangers could use Docket to flood any mailbox or telephone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from webapp.appointments.exceptions import TooManyChanges
from webapp.audit import queries as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic

# Four times as many as the upcoming appointments that a patient may have: far more than a family needs.
TIMES, WINDOW = 4, timedelta(hours=24)


def require_within_booking_limit(session: Session, actor: Actor, clinic: Clinic, *, now: datetime) -> None:
    """Check that a patient has not booked and moved too often lately. Staff have no limit.

    For the holder of a link, changes are counted per appointment.

    Raises:
        TooManyChanges: the limit within a day is reached.
    """
    if actor.is_staff:
        return
    appointment = None if actor.visit_id is None else ("appointment", actor.visit_id)
    first = audit.find_deed(
        session,
        ("booked", "moved"),
        actor_user_id=actor.account_id,
        subject=appointment,
        since=now - WINDOW,
        ago=TIMES * clinic.max_active_visits,
    )
    if first is not None:
        raise TooManyChanges(retry_after=max(1, int((first + WINDOW - now).total_seconds())))
