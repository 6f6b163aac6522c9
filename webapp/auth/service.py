"""Accounts: creating them, signing in, and changing the password. `sessions` has what follows a sign-in.

A sign-in has four steps, because verifying a password is slow and must hold neither a lock nor a connection:
`admit_login` counts and stores the attempt, `find_account` reads the hash, `verify_login` verifies the password, and
`finish_login` deletes the attempt and signs in, or `login_throttle.mark_failed` marks it as failed. See
`login_throttle`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import account_mails, login_throttle, sessions
from webapp.auth.exceptions import EmailTaken, WrongCredentials, WrongCurrentPassword
from webapp.auth.models import User, UserSession
from webapp.auth.passwords import password_links
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import Actor, ChangePassword, LogIn, Role
from webapp.auth.tokens import hashed
from webapp.core.email_address import normal_email


class KnownAccount(NamedTuple):
    """An account, as verifying a password needs it."""

    user_id: int
    role: Role
    active: bool
    password_hash: str


class VerifiedLogin(NamedTuple):
    """A verified user and the stored hash; `renewed_hash` replaces one that was made with older parameters."""

    user_id: int
    role: Role
    stored_hash: str
    renewed_hash: str | None


def account_key(email: str) -> str:
    """A hash that stands for an account where its address must not be readable."""
    return hashed(normal_email(email))


def create_user(
    session: Session,
    *,
    email: str,
    name: str,
    password_hash: str,
    role: Role,
    now: datetime,
    created_by: Actor | None = None,
    has_password: bool = True,
) -> int:
    """Add an account and return its id. The caller computes the hash before the transaction.

    Without `created_by` the user registered, or the account was made on the command line. `has_password` is false for
    a hash that matches no password.

    Raises:
        EmailTaken: the address already has an account.
    """
    user = User(
        email=normal_email(email),
        name=name,
        password_hash=password_hash,
        role=role,
        created_at=now,
        has_password=has_password,
    )
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:
        raise EmailTaken from error
    audit.record(
        session,
        "user_created",
        subject=("user", user.id),
        actor_user_id=created_by.user_id if created_by else user.id,
        actor_role=created_by.role if created_by else role,
        now=now,
        details={"role": role},
        address=created_by.address if created_by else "",
    )
    return user.id


def create_invited_user(session: Session, actor: Actor, email: str, name: str, role: Role, *, now: datetime) -> int:
    """Add an account for another person, and return its id; `link_delivery` hands over the link to its first password.

    Until then no password works: the stored hash matches none.

    Raises:
        EmailTaken: the address already has an account.
    """
    return create_user(
        session,
        email=email,
        name=name,
        password_hash=passwords.unusable_hash(),
        role=role,
        now=now,
        created_by=actor,
        has_password=False,
    )


def admit_login(session: Session, command: LogIn, *, now: datetime) -> int:
    """Admit an attempt to sign in and return its id.

    Raises:
        TooManyLogins, AttemptsUnderWay: see `login_throttle.admit_login`.
    """
    return login_throttle.admit_login(
        session,
        account=account_key(command.email),
        address=command.address,
        device=command.known_device,
        client=login_throttle.API if command.by_api else login_throttle.PAGES,
        now=now,
    )


def find_account(session: Session, email: str) -> KnownAccount | None:
    """The account of an e-mail address, with what verifying its password needs."""
    query = sa.select(User.id, User.role, User.active, User.password_hash).where(User.email == normal_email(email))
    row = session.execute(query).one_or_none()
    return KnownAccount(row.id, cast(Role, row.role), row.active, row.password_hash) if row else None


def verify_login(account: KnownAccount | None, password: str) -> VerifiedLogin:
    """Verify the password; this is slow and needs no database.

    An unknown address, a disabled account and a wrong password get the same answer, in the same words and time.

    Raises:
        WrongCredentials: any of these is the case.
    """
    right, renewed = passwords.verify(password, account.password_hash if account else None)
    if account is None or not right or not account.active:
        raise WrongCredentials
    return VerifiedLogin(account.user_id, account.role, account.password_hash, renewed)


def finish_login(
    session: Session,
    attempt_id: int,
    verified: VerifiedLogin,
    command: LogIn,
    *,
    now: datetime,
    previous: str = "",
    proven: bool = False,
) -> str:
    """Sign in after a verified attempt, end the browser's `previous` session, and return the id for the cookie.

    Verifying is slow, so the account may have changed: it is locked and compared with what was verified.

    Raises:
        WrongCredentials: the password was changed meanwhile, or the account disabled.
    """
    if not still_verified(session, verified.user_id, verified.stored_hash):
        raise WrongCredentials
    login_throttle.forget(session, attempt_id)
    if verified.renewed_hash:
        session.execute(sa.update(User).where(User.id == verified.user_id).values(password_hash=verified.renewed_hash))
    sessions.forget_session(session, previous)
    return sessions.start_session(
        session,
        verified.user_id,
        address=command.address,
        user_agent=command.user_agent,
        now=now,
        how="api" if command.by_api else "password",
        proven=proven,
    )


def sign_in_proven(
    session: Session, user_id: int, *, how: str, address: str, user_agent: str, previous: str, now: datetime
) -> str:
    """Sign in after a proof that needs no second one, end the browser's `previous` session, and return the new id."""
    sessions.forget_session(session, previous)
    return sessions.start_session(
        session, user_id, address=address, user_agent=user_agent, now=now, how=how, proven=True
    )


def still_verified(session: Session, user_id: int, stored_hash: str) -> bool:
    """Lock the account, and return whether it is active and still has this hash."""
    mine = sa.select(User.active, User.password_hash).where(User.id == user_id).with_for_update(key_share=True)
    row = session.execute(mine).one_or_none()
    return row is not None and row.active and row.password_hash == stored_hash


def stored_hash(session: Session, actor: Actor) -> str:
    """The hash of the actor's current password, to be verified after the connection is released."""
    return session.scalars(sa.select(User.password_hash).where(User.id == actor.user_id)).one()


def has_password(session: Session, user_id: int) -> bool:
    """Whether the account can sign in with a password."""
    return bool(session.scalar(sa.select(User.has_password).where(User.id == user_id)))


def prepare_password_change(stored: str, actor: Actor, command: ChangePassword, *, clinic: Sequence[str] = ()) -> str:
    """Check both passwords and return the new hash; this is slow and needs no database. `clinic`: words about it.

    Raises:
        WrongCurrentPassword, Invalid: with a sentence for the field.
    """
    if not passwords.verify(command.current, stored)[0]:
        raise WrongCurrentPassword
    passwords.require_good_password(command.new, about=[actor.name, actor.email], clinic=clinic, field="new")
    return passwords.hash_password(command.new)


class ChangedPassword(NamedTuple):
    """The new secret id of the session that changed the password, and whether the account had a calendar feed."""

    secret: str
    feed_ended: bool


def change_password(
    session: Session,
    actor: Actor,
    letterhead: dict[str, str],
    *,
    attempt_id: int,
    verified: str,
    new_hash: str,
    now: datetime,
) -> ChangedPassword:
    """Store the new hash, and end all access that the old password may have given: every other session of the account,
    its links to passwords and other addresses, its calendar feed, and the secret id of this session. `verified` is the
    hash that was verified.

    Raises:
        WrongCurrentPassword: the password was changed meanwhile, so it is no longer that hash.
    """
    if not still_verified(session, actor.user_id, verified):
        raise WrongCurrentPassword
    login_throttle.forget(session, attempt_id)
    had_feed = session.scalar(sa.select(User.calendar_secret).where(User.id == actor.user_id))
    changed = {"password_hash": new_hash, "calendar_secret": "", **password_links.NO_OTHER_ADDRESS}
    session.execute(sa.update(User).where(User.id == actor.user_id).values(changed))
    password_links.delete_password_links(session, actor.user_id)
    session.execute(
        sa.delete(UserSession).where(UserSession.user_id == actor.user_id, UserSession.id != actor.session_id)
    )
    audit.record_by(session, actor, "password_changed", subject=("user", actor.user_id), now=now)
    account_mails.tell(session, actor.user_id, "password", letterhead, now=now)
    return ChangedPassword(sessions.renew_session(session, actor.session_id), bool(had_feed))
