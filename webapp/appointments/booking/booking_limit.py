"""How often somebody may book and move online.

Each time the patient hears of it, and an address is only what somebody typed when they registered. Without an end to
it, strangers could have us fill the mailbox or the telephone of anybody.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from webapp.appointments.exceptions import TooManyChanges
from webapp.audit import queries as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic

# Four times as many as a patient may have visits ahead: far more than a family needs.
TIMES, WINDOW = 4, timedelta(hours=24)


def require_within_booking_limit(session: Session, actor: Actor, clinic: Clinic, *, now: datetime) -> None:
    """A patient has not booked and moved too often lately; staff may as often as they need to.

    Whoever holds the link to a visit is counted by the visit.

    Raises:
        TooManyChanges: as often as anybody may, within a day.
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
