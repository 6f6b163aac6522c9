"""Who may hear of changes: staff, as long as their sessions last."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import User, UserSession
from webapp.auth.sign_in_rules import needs_new_factor, unended


def still_signed_in(session: Session, session_ids: Collection[int], *, now: datetime) -> set[int]:
    """Which of these sessions have not ended, belong to active staff, and open more than setting up a second factor."""
    staff = sa.exists().where(User.id == UserSession.user_id, User.active.is_(True), User.role != "patient")
    asked = UserSession.id.in_(session_ids)
    is_open = sa.and_(unended(session, now=now), ~needs_new_factor(session))
    return set(session.scalars(sa.select(UserSession.id).where(asked, staff, is_open)))
