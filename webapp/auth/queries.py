"""Queries about accounts, for admins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import PasswordLink, User, UserSession
from webapp.auth.schemas import MACHINE, ActorRole, Role
from webapp.auth.sign_in_rules import unended
from webapp.core.pagination import FIRST_PAGE, Cursor
from webapp.database import seek
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

# More words would only make a search slower.
MOST_WORDS = 5


class UserFilter(NamedTuple):
    """Which accounts: `text` is searched in names and e-mail addresses; None and '' match every account."""

    text: str = ""
    role: Role | None = None
    active: bool | None = None


class UserRow(NamedTuple):
    """An account in a list. `last_seen_at` is None if it has never signed in.

    `has_password` is false until the link to the first password is used: until then it cannot sign in.
    """

    id: int
    name: str
    email: str
    role: Role
    active: bool
    created_at: datetime
    last_seen_at: datetime | None
    has_password: bool


class UserFacts(NamedTuple):
    """An account in full. `sessions` counts its signed-in browsers; `link_until` is when an unused link expires."""

    id: int
    name: str
    email: str
    role: Role
    active: bool
    created_at: datetime
    last_seen_at: datetime | None
    has_password: bool
    sessions: int
    link_until: datetime | None


class UserName(NamedTuple):
    """The name, e-mail address and role of an account."""

    name: str
    email: str
    role: ActorRole


def list_users(
    session: Session, wanted: UserFilter, *, cursor: Cursor[int] = FIRST_PAGE, limit: int | None
) -> list[UserRow]:
    """People's accounts from a cursor, in reading order: the newest first, unless backwards. Without a limit, all."""
    query = sa.select(*(getattr(User, name) for name in UserRow._fields))
    here = None if cursor.place is None else (cursor.place,)
    query = seek(
        query.where(*_conditions(wanted), User.role != MACHINE), (User.id,), here, falling=not cursor.backwards
    )
    return [UserRow(*row) for row in session.execute(query.limit(limit))]


def find_user_ids(session: Session, text: str, *, limit: int) -> list[int]:
    """The ids of accounts, those of API tokens included, that match a text, at most `limit`."""
    query = sa.select(User.id).where(*_conditions(UserFilter(text))).order_by(User.id.desc()).limit(limit)
    return list(session.scalars(query))


def names_of(session: Session, user_ids: Sequence[int]) -> dict[int, UserName]:
    """The names of these accounts; deleted ones are left out."""
    query = sa.select(User.id, User.name, User.email, User.role).where(User.id.in_(set(user_ids)))
    return {row.id: UserName(row.name, row.email, cast(ActorRole, row.role)) for row in session.execute(query)}


def get_user(session: Session, user_id: int, *, now: datetime) -> UserFacts:
    """One account in full.

    Raises:
        NotFound: no person's account has this id.
    """
    sessions = sa.select(sa.func.count(UserSession.id)).where(UserSession.user_id == user_id, unended(session, now=now))
    link = sa.select(PasswordLink.expires_at).where(PasswordLink.user_id == user_id, PasswordLink.expires_at > now)
    query = sa.select(
        User.id,
        User.name,
        User.email,
        User.role,
        User.active,
        User.created_at,
        User.last_seen_at,
        User.has_password,
        sessions.scalar_subquery(),
        link.limit(1).scalar_subquery(),
    ).where(User.id == user_id, User.role != MACHINE)
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound(_("Account not found."))
    return UserFacts(*row)


def _conditions(wanted: UserFilter) -> list[sa.ColumnElement[bool]]:
    """Every word of the text must occur in the name or the e-mail address."""
    found: list[sa.ColumnElement[bool]] = []
    if wanted.role is not None:
        found.append(User.role == wanted.role)
    if wanted.active is not None:
        found.append(User.active.is_(wanted.active))
    for word in wanted.text.split()[:MOST_WORDS]:
        in_name, in_email = User.name.icontains(word, autoescape=True), User.email.icontains(word, autoescape=True)
        found.append(sa.or_(in_name, in_email))
    return found
