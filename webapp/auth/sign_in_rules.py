"""The clinic's rules about how staff sign in: how long their sessions last, and who needs a second factor."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.models import RefreshToken, SignInRules, User, UserSession
from webapp.auth.schemas import Actor, ActorRole, Role
from webapp.core.optimistic_lock import require_unchanged
from webapp.core.strict_types import Whole
from webapp.database import table_of
from webapp.sql_functions import insert_into


class StaffRules(BaseModel):
    """The rules as they are saved. The defaults are those of a new clinic."""

    idle_minutes: Annotated[Whole, Field(ge=5, le=240)] = 30
    staff_hours: Annotated[Whole, Field(ge=1, le=24)] = 12
    factor_doctors: bool = True
    factor_admins: bool = True
    factor_desk: bool = True

    def needs_factor(self, role: ActorRole) -> bool:
        """Whether accounts with this role need a second factor."""
        return {"doctor": self.factor_doctors, "receptionist": self.factor_desk, "admin": self.factor_admins}.get(
            role, False
        )

    @property
    def idle(self) -> timedelta:
        """How long a session of staff lasts without a request."""
        return timedelta(minutes=self.idle_minutes)

    @property
    def lifetime(self) -> timedelta:
        """How long a session of staff lasts in any case."""
        return timedelta(hours=self.staff_hours)


NEW_CLINIC = StaffRules()
COLUMNS = tuple(StaffRules.model_fields)
STAFF_ROLES: tuple[Role, ...] = ("receptionist", "doctor", "admin")


def get_rules(session: Session) -> StaffRules:
    """The present rules."""
    query = sa.select(*(getattr(SignInRules, name) for name in COLUMNS)).where(SignInRules.id == 1)
    row = session.execute(query).one_or_none()
    return StaffRules.model_construct(**dict(zip(COLUMNS, row, strict=True))) if row else NEW_CLINIC


def change_rules(session: Session, actor: Actor, command: StaffRules, *, seen: str, now: datetime) -> None:
    """Save the rules. They apply from the next request of all staff, also of those who are signed in already.

    Raises:
        EditedMeanwhile: another user saved different ones after `seen` was read.
    """
    _lock(session)
    saved = get_rules(session)
    require_unchanged(saved, seen, wanted=command)
    changed = sorted(name for name in COLUMNS if getattr(saved, name) != getattr(command, name))
    if changed:
        session.execute(sa.update(SignInRules).where(SignInRules.id == 1).values(**command.model_dump()))
        details = {"changed": changed}
        audit.record_by(session, actor, "sign_in_rules_changed", subject=("clinic", 1), now=now, details=details)


def unended(session: Session, *, now: datetime) -> sa.ColumnElement[bool]:
    """The condition of sessions that are still signed in.

    Sessions of the API have no idle time: a program may ask once a day. They end with their refresh tokens.
    """
    rules = get_rules(session)
    of_staff = sa.exists().where(User.id == UserSession.user_id, User.role != "patient")
    of_api = sa.exists().where(RefreshToken.session_id == UserSession.id)
    too_old = sa.or_(UserSession.last_seen_at <= now - rules.idle, UserSession.created_at <= now - rules.lifetime)
    ended = sa.and_(of_staff, ~of_api, too_old)
    return sa.and_(UserSession.expires_at > now, UserSession.waits.is_(False), ~ended)


def needs_new_factor(session: Session) -> sa.ColumnElement[bool]:
    """The condition of sessions whose owner must first set up a second factor, because the rules ask for one."""
    rules = get_rules(session)
    asked = [role for role in STAFF_ROLES if rules.needs_factor(role)]
    lacking = sa.exists().where(User.id == UserSession.user_id, User.role.in_(asked), User.factor_since.is_(None))
    return sa.and_(lacking, UserSession.factor_elsewhere.is_(False))


def _lock(session: Session) -> None:
    """Take the lock of the row, which is created from the defaults if it does not exist."""
    row = insert_into(table_of(SignInRules), session.get_bind().dialect.name).values(id=1, **NEW_CLINIC.model_dump())
    session.execute(row.on_conflict_do_nothing())
    session.execute(sa.select(SignInRules.id).where(SignInRules.id == 1).with_for_update(key_share=True))
