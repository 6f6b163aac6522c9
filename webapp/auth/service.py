"""Accounts: creating them, logging in and out, and what ends a session.

A log-in has three steps, because verifying a password takes long and must not hold the database's write lock:
`note_attempt` writes down that somebody tries, `check_attempt` counts and verifies, `start_session` forgets the
attempt and signs in. An attempt is noted before it is judged, so a hundred guesses at once are counted too.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import passwords
from webapp.auth.exceptions import EmailTaken, TooManyLogins, WrongCredentials, WrongCurrentPassword
from webapp.auth.models import FailedLogin, User, UserSession
from webapp.auth.schemas import Actor, ChangePassword, LogIn, Role, SessionRow, normal_email
from webapp.database import rows, table_of
from webapp.exceptions import NotFound

SESSION_LIFETIME = timedelta(days=30)
LAST_SEEN_EVERY = timedelta(minutes=5)
THROTTLE_WINDOW = timedelta(minutes=15)
THROTTLE_LIMIT = 10


class VerifiedLogin(NamedTuple):
    """Who proved to be who, and a fresh hash where the stored one was made with older parameters."""

    user_id: int
    role: Role
    renewed_hash: str | None


def hashed(value: str) -> str:
    """SHA-256 in hex: enough for values that are random, or that only have to be unreadable."""
    return hashlib.sha256(value.encode()).hexdigest()


def account_key(email: str) -> str:
    """What stands for an account where its address must not be readable."""
    return hashed(normal_email(email))


def new_secret() -> str:
    """A random value that cannot be guessed, safe in cookies and addresses."""
    return secrets.token_urlsafe(32)


def create_user(session: Session, *, email: str, name: str, password_hash: str, role: Role, now: datetime) -> int:
    """Add an account and return its id. The hash is made beforehand, outside the transaction.

    Raises:
        EmailTaken: the address already has an account.
    """
    user = User(email=normal_email(email), name=name, password_hash=password_hash, role=role, created_at=now)
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:
        raise EmailTaken from error
    audit.record(
        session,
        "user_created",
        subject=("user", user.id),
        actor_user_id=user.id,
        actor_role=role,
        now=now,
        details={"role": role},
    )
    return user.id


def note_attempt(session: Session, command: LogIn, *, now: datetime) -> int:
    """Write down that somebody tries to log in; forget attempts that no longer count. Returns the row's id."""
    session.execute(sa.delete(FailedLogin).where(FailedLogin.at < now - THROTTLE_WINDOW))
    attempt = FailedLogin(
        account=account_key(command.email),
        address=network_of(command.address),
        device=command.known_device,
        at=now,
    )
    session.add(attempt)
    session.flush()
    return attempt.id


def check_attempt(session: Session, attempt_id: int, command: LogIn, *, now: datetime) -> VerifiedLogin:
    """Verify the password, unless there were too many wrong ones.

    An unknown address, a disabled account and a wrong password are one and the same answer, in words and in
    time. A browser that has logged in to this account before is counted by itself, so that nobody can lock a
    patient out by guessing.

    Raises:
        TooManyLogins: ten failures in fifteen minutes, of this network address or on this account.
        WrongCredentials: anything else that is wrong.
    """
    _throttle(session, attempt_id, command, now=now)
    query = sa.select(User.id, User.password_hash, User.active, User.role).where(
        User.email == normal_email(command.email)
    )
    row = session.execute(query).one_or_none()
    right, renewed = passwords.verify(command.password, row.password_hash if row else None)
    if row is None or not right or not row.active:
        raise WrongCredentials
    return VerifiedLogin(row.id, cast(Role, row.role), renewed)


def _throttle(session: Session, attempt_id: int, command: LogIn, *, now: datetime) -> None:
    """Refuse by three counts: the browser's own where we know it, else its network's and the account's.

    The account's count turns away only networks that have themselves failed on that account: a victim who logs
    in from home gets in while somebody else is guessing.
    """
    account, network = account_key(command.email), network_of(command.address)
    recent = sa.select(FailedLogin.at).where(FailedLogin.at > now - THROTTLE_WINDOW, FailedLogin.id != attempt_id)

    def refuse_if_many(*conditions: sa.ColumnElement[bool]) -> None:
        times = session.scalars(recent.where(*conditions).order_by(FailedLogin.at.desc()).limit(THROTTLE_LIMIT)).all()
        if len(times) >= THROTTLE_LIMIT:
            until = times[-1] + THROTTLE_WINDOW
            raise TooManyLogins(retry_after=max(1, int((until - now).total_seconds())))

    if command.known_device:
        refuse_if_many(FailedLogin.device == command.known_device)
        return
    refuse_if_many(FailedLogin.address == network, FailedLogin.device == "")
    on_account = FailedLogin.account == account
    failed_here = session.scalar(
        sa.select(sa.exists(recent.where(on_account, FailedLogin.address == network).subquery().select()))
    )
    if failed_here:
        refuse_if_many(on_account, FailedLogin.device == "")


def network_of(address: str) -> str:
    """The address to count by: an IPv4 address as it is, of IPv6 the /64 that one household or host owns."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:45]
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)


def forget_attempt(session: Session, attempt_id: int) -> None:
    """An attempt that was refused unjudged does not count as a failure."""
    session.execute(sa.delete(FailedLogin).where(FailedLogin.id == attempt_id))


def finish_login(session: Session, attempt_id: int, verified: VerifiedLogin, command: LogIn, *, now: datetime) -> str:
    """Sign in after a verified attempt; returns the random id for the cookie."""
    forget_attempt(session, attempt_id)
    if verified.renewed_hash:
        session.execute(sa.update(User).where(User.id == verified.user_id).values(password_hash=verified.renewed_hash))
    return start_session(session, verified.user_id, address=command.address, user_agent=command.user_agent, now=now)


def start_session(session: Session, user_id: int, *, address: str, user_agent: str, now: datetime) -> str:
    """Open a session for a user and return its random id, which only the cookie will hold."""
    session.execute(sa.delete(UserSession).where(UserSession.expires_at < now))
    secret = new_secret()
    session.add(
        UserSession(
            id_hash=hashed(secret),
            user_id=user_id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + SESSION_LIFETIME,
            address=address[:45],
            user_agent=user_agent[:255],
        )
    )
    session.flush()
    return secret


class SignedIn(NamedTuple):
    """The actor of a request, and whether the session's last-seen time is due to be written."""

    actor: Actor
    touch: bool


# Built once and of tables, not of mapped classes: every request of somebody signed in runs it.
_SESSION, _USER = table_of(UserSession).c, table_of(User).c
_SIGNED_IN = sa.select(_SESSION.id, _SESSION.last_seen_at, _USER.id, _USER.name, _USER.email, _USER.role).where(
    _USER.id == _SESSION.user_id,
    _SESSION.id_hash == sa.bindparam("id_hash"),
    _SESSION.expires_at > sa.bindparam("now"),
    _USER.active.is_(True),
)


def find_actor(session: Session, secret: str, *, address: str, now: datetime) -> SignedIn | None:
    """Who holds this session id, read afresh at every request; None when it ended or its user was disabled."""
    row = rows(session, _SIGNED_IN, id_hash=hashed(secret), now=now).one_or_none()
    if row is None:
        return None
    session_id, last_seen_at, user_id, name, email, role = row
    actor = Actor(user_id, session_id, name, email, cast(Role, role), address)
    return SignedIn(actor, now - last_seen_at >= LAST_SEEN_EVERY)


def touch_session(session: Session, session_id: int, *, now: datetime) -> None:
    """Write that a session was just used."""
    session.execute(sa.update(UserSession).where(UserSession.id == session_id).values(last_seen_at=now))


def end_session(session: Session, actor: Actor, session_id: int) -> None:
    """End one of the actor's own sessions: this one, or another browser's.

    Raises:
        NotFound: it is not the actor's, or it has ended already.
    """
    ended = session.execute(
        sa.delete(UserSession)
        .where(UserSession.id == session_id, UserSession.user_id == actor.user_id)
        .returning(UserSession.id)
    )
    if ended.one_or_none() is None:
        raise NotFound("That session has ended already.")


def list_sessions(session: Session, actor: Actor, *, now: datetime) -> list[SessionRow]:
    """The actor's signed-in browsers, the latest used first."""
    query = (
        sa.select(
            UserSession.id,
            UserSession.user_agent,
            UserSession.address,
            UserSession.created_at,
            UserSession.last_seen_at,
        )
        .where(UserSession.user_id == actor.user_id, UserSession.expires_at > now)
        .order_by(UserSession.last_seen_at.desc(), UserSession.id.desc())
    )
    return [SessionRow(*row) for row in session.execute(query)]


def prepare_password_change(session: Session, actor: Actor, command: ChangePassword) -> str:
    """Check both passwords and return the new hash; this takes long and writes nothing.

    Raises:
        WrongCurrentPassword, Invalid: with a sentence for the field.
    """
    stored = session.scalar(sa.select(User.password_hash).where(User.id == actor.user_id))
    if not passwords.verify(command.current, stored)[0]:
        raise WrongCurrentPassword
    passwords.require_good_password(command.new, about=[actor.name, actor.email], field="new")
    return passwords.hash_password(command.new)


def change_password(session: Session, actor: Actor, password_hash: str, *, now: datetime) -> None:
    """Store the new hash and end every other session of the account."""
    session.execute(sa.update(User).where(User.id == actor.user_id).values(password_hash=password_hash))
    session.execute(
        sa.delete(UserSession).where(UserSession.user_id == actor.user_id, UserSession.id != actor.session_id)
    )
    audit.record(
        session,
        "password_changed",
        subject=("user", actor.user_id),
        actor_user_id=actor.user_id,
        actor_role=actor.role,
        now=now,
        address=actor.address,
    )
