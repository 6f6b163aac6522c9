"""Sessions of the API: what a program gets for a password, and for each refresh token it hands back.

A refresh token is used once and replaced. One that is used again was copied, so its session ends for whoever holds
the newer ones, too.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth import service
from webapp.auth.exceptions import RefreshTokenNotValid
from webapp.auth.models import RefreshToken, User, UserSession
from webapp.auth.schemas import LogIn
from webapp.auth.service import SESSION_LIFETIME, VerifiedLogin
from webapp.auth.tokens import hashed, new_secret


class Granted(NamedTuple):
    """What a new pair of tokens is made of. The refresh token is kept nowhere."""

    user_id: int
    session_hash: str
    refresh_token: str


def finish_login(
    session: Session, attempt_id: int, verified: VerifiedLogin, command: LogIn, *, now: datetime
) -> Granted:
    """Sign in after a verified attempt, as `service.finish_login` does, and grant the first pair.

    Raises:
        WrongCredentials: the password was changed meanwhile, or the account disabled.
    """
    secret = service.finish_login(session, attempt_id, verified, command, now=now)
    return grant(session, verified.user_id, secret, now=now)


def grant(session: Session, user_id: int, secret: str, *, now: datetime) -> Granted:
    """The first pair for the session with this secret id, which has just begun."""
    session_hash = hashed(secret)
    session_id = session.scalars(sa.select(UserSession.id).where(UserSession.id_hash == session_hash)).one()
    return Granted(user_id, session_hash, _next_token(session, session_id, now=now))


def rotate(session: Session, token: str, *, now: datetime) -> Granted | None:
    """The next pair for a refresh token, which is used up with it; the session lives on for another month.

    None: the token was used before. Its session has ended, which the caller must commit.

    Raises:
        RefreshTokenNotValid: it is unknown, or its session has ended, or its account is disabled.
    """
    mine = (
        sa.select(RefreshToken.id, RefreshToken.used_at, UserSession.id, UserSession.id_hash, User.id)
        .join(UserSession, UserSession.id == RefreshToken.session_id)
        .join(User, User.id == UserSession.user_id)
        .where(RefreshToken.token_hash == hashed(token), UserSession.expires_at > now, User.active.is_(True))
        .with_for_update(of=RefreshToken)
    )
    row = session.execute(mine).one_or_none()
    if row is None:
        raise RefreshTokenNotValid
    token_id, used_at, session_id, session_hash, user_id = row
    if used_at is not None:
        session.execute(sa.delete(UserSession).where(UserSession.id == session_id))
        return None
    session.execute(sa.update(RefreshToken).where(RefreshToken.id == token_id).values(used_at=now))
    # A session may live for years, and nobody could tell any more who used what is older.
    old = (RefreshToken.session_id == session_id, RefreshToken.used_at < now - SESSION_LIFETIME)
    session.execute(sa.delete(RefreshToken).where(*old).execution_options(synchronize_session=False))
    session.execute(
        sa.update(UserSession)
        .where(UserSession.id == session_id)
        .values(last_seen_at=now, expires_at=now + SESSION_LIFETIME)
    )
    return Granted(user_id, session_hash, _next_token(session, session_id, now=now))


def _next_token(session: Session, session_id: int, *, now: datetime) -> str:
    token = new_secret()
    session.add(RefreshToken(token_hash=hashed(token), session_id=session_id, created_at=now))
    session.flush()
    return token
