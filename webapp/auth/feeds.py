"""The private address of somebody's calendar feed: whoever knows it reads their calendar, and needs no log-in.

The address holds the account and its secret, signed. Another secret makes the old address useless.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.exceptions import NoSuchFeed
from webapp.auth.models import User
from webapp.auth.schemas import Actor, Role
from webapp.auth.tokens import new_secret
from webapp.core.signing import sign, unsign

PURPOSE = "calendar"
# Admins have no visits of their own.
ROLES: tuple[Role, ...] = ("patient", "doctor")


def feed_path(session: Session, actor: Actor, keys: Sequence[str]) -> str | None:
    """The path of the actor's feed, signed with our `keys`; None where they have none."""
    secret = session.scalar(sa.select(User.calendar_secret).where(User.id == actor.user_id))
    return f"/calendar/{sign(keys, PURPOSE, [actor.user_id, secret])}.ics" if secret else None


def feed_owner(session: Session, token: str, keys: Sequence[str]) -> Actor:
    """Whose feed has this token in its address.

    Raises:
        NoSuchFeed: we did not sign it, another address took its place, or the account is disabled.
    """
    value = unsign(keys, PURPOSE, token)
    if value is None:
        raise NoSuchFeed
    user_id, secret = value
    query = sa.select(User.id, User.name, User.email, User.role).where(
        User.id == user_id, User.calendar_secret == secret, User.active.is_(True), User.role.in_(ROLES)
    )
    row = session.execute(query).one_or_none()
    if row is None or not secret:
        raise NoSuchFeed
    return Actor(row.id, 0, row.name, row.email, row.role)


def make_feed(session: Session, actor: Actor, *, now: datetime) -> None:
    """Give the actor's calendar an address, unless it has one."""
    query = sa.update(User).where(User.id == actor.user_id, User.calendar_secret == "")
    made = session.execute(query.values(calendar_secret=new_secret()).returning(User.id)).scalar()
    if made is not None:
        _record(session, actor, "calendar_feed_made", now=now)


def renew_feed(session: Session, actor: Actor, *, now: datetime) -> None:
    """Give the actor's calendar another address; the one before stops working at once."""
    session.execute(sa.update(User).where(User.id == actor.user_id).values(calendar_secret=new_secret()))
    _record(session, actor, "calendar_feed_renewed", now=now)


def remove_feed(session: Session, actor: Actor, *, now: datetime) -> None:
    """Take the address of the actor's calendar away; it stops working at once."""
    query = sa.update(User).where(User.id == actor.user_id, User.calendar_secret != "")
    removed = session.execute(query.values(calendar_secret="").returning(User.id)).scalar()
    if removed is not None:
        _record(session, actor, "calendar_feed_removed", now=now)


def _record(session: Session, actor: Actor, action: str, *, now: datetime) -> None:
    audit.record_by(session, actor, action, subject=("user", actor.user_id), now=now)
