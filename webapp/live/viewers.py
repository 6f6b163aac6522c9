"""The sessions that may learn of changes: those of staff, as long as they last."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import User, UserSession
from webapp.auth.sign_in_rules import get_rules, needs_new_factor, unended


def time_left(session: Session, session_ids: Collection[int], *, now: datetime) -> dict[int, timedelta]:
    """How soon each of these sessions ends if its owner does nothing. Sessions that have ended, do not belong to active
    staff, or only allow setting up a second factor are left out.
    """
    staff = sa.exists().where(User.id == UserSession.user_id, User.active.is_(True), User.role != "patient")
    asked = UserSession.id.in_(session_ids)
    is_open = sa.and_(unended(session, now=now), ~needs_new_factor(session))
    found = session.execute(sa.select(UserSession.id, UserSession.last_seen_at).where(asked, staff, is_open))
    idle = get_rules(session).idle
    return {number: seen_at + idle - now for number, seen_at in found}
