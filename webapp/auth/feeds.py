"""The private address of a calendar feed: anyone who knows it can read the calendar without signing in.

The address holds the account and its secret, signed. A new secret invalidates the old address.
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
# Admins have no appointments.
ROLES: tuple[Role, ...] = ("patient", "doctor")


def feed_path(session: Session, actor: Actor, keys: Sequence[str]) -> str | None:
    """The path of the actor's feed, signed with our `keys`; None where they have no feed."""
    secret = session.scalar(sa.select(User.calendar_secret).where(User.id == actor.user_id))
    return f"/calendar/{sign(keys, PURPOSE, [actor.user_id, secret])}.ics" if secret else None


def feed_owner(session: Session, token: str, keys: Sequence[str]) -> Actor:
    """The owner of the feed whose address has this token.

    Raises:
        NoSuchFeed: we did not sign it, another address has replaced it, or the account is disabled.
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
    """Replace the address of the actor's calendar; the old one stops working immediately."""
    session.execute(sa.update(User).where(User.id == actor.user_id).values(calendar_secret=new_secret()))
    _record(session, actor, "calendar_feed_renewed", now=now)


def remove_feed(session: Session, actor: Actor, *, now: datetime) -> None:
    """Remove the address of the actor's calendar; it stops working immediately."""
    query = sa.update(User).where(User.id == actor.user_id, User.calendar_secret != "")
    removed = session.execute(query.values(calendar_secret="").returning(User.id)).scalar()
    if removed is not None:
        _record(session, actor, "calendar_feed_removed", now=now)


def note_reading(session: Session, owner: Actor, *, address: str, now: datetime) -> None:
    """Log that the calendar of a member of staff was fetched, from this network address."""
    _record(session, owner._replace(address=address), "calendar_read", now=now)


def _record(session: Session, actor: Actor, action: str, *, now: datetime) -> None:
    audit.record_by(session, actor, action, subject=("user", actor.user_id), now=now)
