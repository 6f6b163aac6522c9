"""Sessions of the API: a program gets tokens for a password, and new ones for each refresh token, for a month.

A refresh token is used once and replaced. If one is used again, it was copied. Then the session ends, and newer tokens
end with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import security_events
from webapp.audit.security_events import ObservedEvent
from webapp.auth import login_throttle, service
from webapp.auth.exceptions import FactorMissing, FactorNeeded, RefreshTokenNotValid, WrongCredentials, WrongFactor
from webapp.auth.models import RefreshToken, User, UserSession
from webapp.auth.schemas import LogIn
from webapp.auth.second_factor import service as second_factor
from webapp.auth.service import VerifiedLogin
from webapp.auth.sessions import SESSION_LIFETIME
from webapp.auth.sign_in_rules import get_rules
from webapp.auth.tokens import hashed, new_secret
from webapp.core.networks import network_of
from webapp.exceptions import AppError, TooManyAttempts


class GrantedTokens(NamedTuple):
    """The parts of a new pair of tokens. The refresh token itself is not stored."""

    user_id: int
    session_hash: str
    refresh_token: str


def finish_login(
    session: Session,
    attempt_id: int,
    verified: VerifiedLogin,
    command: LogIn,
    *,
    code: str,
    letterhead: dict[str, str],
    keys: Sequence[str],
    now: datetime,
) -> GrantedTokens | AppError:
    """Sign in after a verified attempt, as `service.finish_login` does, and grant the first pair of tokens.

    `code` is a code of the second factor. If it is missing or wrong, the error is returned, and the caller raises it
    after the attempt is committed.

    Raises:
        WrongCredentials: the password was changed meanwhile, or the account disabled.
    """
    user_id, proven = verified.user_id, False
    if verified.role != "patient":
        if not service.still_verified(session, user_id, verified.stored_hash):
            raise WrongCredentials
        refusal, proven = _ask_factor(session, verified, command, code, letterhead, keys, now=now)
        if refusal is not None:
            login_throttle.forget(session, attempt_id)
            return refusal
    secret = service.finish_login(session, attempt_id, verified, command, now=now, proven=proven)
    return grant(session, user_id, secret, now=now)


def _ask_factor(
    session: Session,
    verified: VerifiedLogin,
    command: LogIn,
    code: str,
    letterhead: dict[str, str],
    keys: Sequence[str],
    *,
    now: datetime,
) -> tuple[AppError | None, bool]:
    """The error if the second factor refuses the program, and whether the factor was proven."""
    since = session.scalar(sa.select(User.factor_since).where(User.id == verified.user_id))
    if since is None:
        missing = get_rules(session).needs_factor(verified.role)
        return (FactorMissing() if missing else None), False
    if not code:
        return FactorNeeded(), False
    try:
        args = (verified.user_id, code, letterhead)
        proof = second_factor.prove(session, *args, keys=keys, address=command.address, now=now)
    except TooManyAttempts as error:
        return error, False
    return (None if proof else WrongFactor()), proof is not None


def grant(session: Session, user_id: int, secret: str, *, now: datetime) -> GrantedTokens:
    """Grant the first pair of tokens for a session that has just begun; `secret` is its secret id."""
    session_hash = hashed(secret)
    # Programs work at any time, so the limits of staff's sessions do not apply to them, only a month.
    mine = sa.update(UserSession).where(UserSession.id_hash == session_hash).values(expires_at=now + SESSION_LIFETIME)
    session_id = session.scalars(mine.returning(UserSession.id)).one()
    return GrantedTokens(user_id, session_hash, _next_token(session, session_id, now=now))


def rotate(session: Session, token: str, *, address: str = "", now: datetime) -> GrantedTokens | None:
    """Exchange a refresh token for the next pair. The session still ends a month after its password was entered.

    Returns None where the token was used before. That has ended the session, and the caller must commit it.

    Raises:
        RefreshTokenNotValid: the token is unknown, its session has ended, or its account is disabled.
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
        security_events.record(session, ObservedEvent("refresh_reused", user_id, network=network_of(address)), now=now)
        return None
    session.execute(sa.update(RefreshToken).where(RefreshToken.id == token_id).values(used_at=now))
    session.execute(sa.update(UserSession).where(UserSession.id == session_id).values(last_seen_at=now))
    session.execute(sa.update(User).where(User.id == user_id).values(last_seen_at=now))
    return GrantedTokens(user_id, session_hash, _next_token(session, session_id, now=now))


def _next_token(session: Session, session_id: int, *, now: datetime) -> str:
    token = new_secret()
    session.add(RefreshToken(token_hash=hashed(token), session_id=session_id, created_at=now))
    session.flush()
    return token
