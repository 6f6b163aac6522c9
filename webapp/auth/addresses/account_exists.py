"""Tells the owner of an account that someone tried to create another one with its address: perhaps they forgot that
they have one.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import User
from webapp.auth.tokens import new_secret
from webapp.notifications import outbox as notifications
from webapp.notifications.outbox import Message

TEMPLATE = "account_exists"
MOST_MAILS, WINDOW = 2, timedelta(hours=24)


def tell_owner(
    session: Session, email: str, letterhead: dict[str, str], *, made_before: datetime, now: datetime
) -> None:
    """Send that mail, twice a day at most, if an active account has this address and was made before then."""
    query = sa.select(User.id).where(User.email == email, User.active.is_(True), User.created_at < made_before)
    user_id = session.scalar(query)
    if user_id is None or len(notifications.sent_since(session, email, TEMPLATE, now - WINDOW)) >= MOST_MAILS:
        return
    message = Message(
        dedupe_key=f"{TEMPLATE}:{user_id}:{new_secret()}",
        channel="email",
        recipient=email,
        template=TEMPLATE,
        values={"clinic": letterhead},
        subject=("user", user_id),
    )
    notifications.enqueue(session, message, now=now)
