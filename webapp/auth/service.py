"""Accounts: creating them, logging in and out, and ending sessions.

A log-in has four steps, because verifying a password is slow and must hold neither a lock nor a connection:
`admit_login` counts and stores the attempt, `find_account` reads the hash, `verify_login` verifies the password, and
`finish_login` deletes the attempt and signs in, or `login_throttle.judge` marks it as failed. See `login_throttle`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.audit import security_events
from webapp.audit import service as audit
from webapp.auth import account_mails, login_throttle
from webapp.auth.exceptions import EmailTaken, WrongCredentials, WrongCurrentPassword
from webapp.auth.models import SignInRules, User, UserSession
from webapp.auth.passwords import password_links
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import Actor, ChangePassword, LogIn, Role, SessionRow
from webapp.auth.sign_in_rules import COLUMNS, NEW_CLINIC, StaffRules, get_rules, unended
from webapp.auth.tokens import hashed, new_secret
from webapp.core.email_address import normal_email
from webapp.database import rows, table_of
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

SESSION_LIFETIME = timedelta(days=30)
LAST_SEEN_EVERY = timedelta(minutes=5)
# A session of staff ends by its last-seen time, so that must be more exact.
STAFF_SEEN_EVERY = timedelta(minutes=1)
# How long a session waits for the second factor, and for how long a proof allows the most dangerous changes.
FACTOR_WITHIN = CONFIRMED_FOR = timedelta(minutes=10)


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
    """Admit an attempt to log in and return its id.

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
    forget_session(session, previous)
    return start_session(
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
    forget_session(session, previous)
    return start_session(session, user_id, address=address, user_agent=user_agent, now=now, how=how, proven=True)


def still_verified(session: Session, user_id: int, stored_hash: str) -> bool:
    """Lock the account, and return whether it is active and still has this hash."""
    mine = sa.select(User.active, User.password_hash).where(User.id == user_id).with_for_update(key_share=True)
    row = session.execute(mine).one_or_none()
    return row is not None and row.active and row.password_hash == stored_hash


def forget_session(session: Session, secret: str) -> None:
    """End the session with this secret id, if there is one: the browser that held it starts another."""
    if secret:
        session.execute(sa.delete(UserSession).where(UserSession.id_hash == hashed(secret)))


def start_session(
    session: Session,
    user_id: int,
    *,
    address: str,
    user_agent: str,
    now: datetime,
    how: str = "password",
    proven: bool = False,
    elsewhere: bool = False,
) -> str:
    """Open a session for a user and return its random id, which only the cookie will hold.

    `how` says for the security events what proved the user: see `security_events.signed_in`. Staff who have a second
    factor get a session that waits for it, unless it is `proven` already, or was `elsewhere`, by a provider that the
    clinic trusts. Their sessions end at the latest when the clinic's rules say so.
    """
    session.execute(sa.delete(UserSession).where(UserSession.expires_at < now))
    seen = sa.update(User).where(User.id == user_id).values(last_seen_at=now)
    role, factor_since = session.execute(seen.returning(User.role, User.factor_since)).one()
    waits = role != "patient" and factor_since is not None and not (proven or elsewhere)
    lifetime = SESSION_LIFETIME if role == "patient" else get_rules(session).lifetime
    secret = new_secret()
    session.add(
        UserSession(
            id_hash=hashed(secret),
            user_id=user_id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + (FACTOR_WITHIN if waits else lifetime),
            address=address[:45],
            user_agent=user_agent[:255],
            waits=waits,
            factor_at=None if waits else now,
            factor_elsewhere=elsewhere,
        )
    )
    session.flush()
    if not waits:
        security_events.signed_in(session, user_id, how=how, address=address, now=now)
    return secret


def renew_session(session: Session, session_id: int) -> str:
    """Give a session another secret id and return it: a copy of the old one opens nothing any more."""
    secret = new_secret()
    mine = sa.update(UserSession).where(UserSession.id == session_id)
    session.execute(mine.values(id_hash=hashed(secret)))
    return secret


Stage = Literal["open", "factor", "enrol"]


class SignedIn(NamedTuple):
    """The actor of a request, and whether the session's last-seen time is due to be written.

    `stage` says what the session opens: everything (open); only the page that asks for the second factor (factor); or
    only the pages that set one up (enrol), because the clinic requires one and the account has none. `factor_at` is
    when the actor last proved who they are; `has_factor`: by a second factor.
    """

    actor: Actor
    touch: bool
    stage: Stage
    factor_at: datetime | None
    has_factor: bool

    def is_confirmed(self, now: datetime) -> bool:
        """Whether the actor proved who they are just now, so that the most dangerous changes may follow."""
        return self.factor_at is not None and now - self.factor_at < CONFIRMED_FOR


# Built once, and from tables instead of mapped classes: every request of a signed-in user runs it.
_SESSION, _USER, _RULES = table_of(UserSession).c, table_of(User).c, table_of(SignInRules).c
_SIGNED_IN = (
    sa.select(
        _SESSION.id,
        _SESSION.created_at,
        _SESSION.last_seen_at,
        _SESSION.waits,
        _SESSION.factor_at,
        _SESSION.factor_elsewhere,
        _USER.id,
        _USER.name,
        _USER.email,
        _USER.role,
        _USER.factor_since,
        *(_RULES[name] for name in StaffRules.model_fields),
    )
    .select_from(
        table_of(UserSession)
        .join(table_of(User), _USER.id == _SESSION.user_id)
        .outerjoin(table_of(SignInRules), _RULES.id == 1)
    )
    .where(
        _SESSION.id_hash == sa.bindparam("id_hash"),
        _SESSION.expires_at > sa.bindparam("now"),
        _USER.active.is_(True),
    )
)


def find_actor(session: Session, secret: str, *, address: str, now: datetime) -> SignedIn | None:
    """The owner of this session id, read afresh at every request.

    None if it has ended, its user is disabled, or it opens only the pages of the second factor.
    """
    found = find_session(session, secret, address=address, now=now)
    return found if found is not None and found.stage == "open" else None


def find_session(session: Session, secret: str, *, address: str, now: datetime) -> SignedIn | None:
    """The same for the pages of the second factor: also a session that waits for it, or whose owner must set one up."""
    return _find(session, hashed(secret), address=address, now=now, of_page=True)


def find_actor_of_session(session: Session, session_hash: str, *, address: str, now: datetime) -> SignedIn | None:
    """The owner of an access token, which knows the session only by its hash. It has no idle time."""
    found = _find(session, session_hash, address=address, now=now, of_page=False)
    return found if found is not None and found.stage == "open" else None


def _find(session: Session, session_hash: str, *, address: str, now: datetime, of_page: bool) -> SignedIn | None:
    row = rows(session, _SIGNED_IN, id_hash=session_hash, now=now).one_or_none()
    if row is None:
        return None
    session_id, created_at, last_seen_at, waits, factor_at, elsewhere, *account = row
    user_id, name, email, role, factor_since, *rules = account
    unseen, has_factor = now - last_seen_at, False
    stage: Stage = "open"
    if role != "patient":
        saved = dict(zip(COLUMNS, rules, strict=True))
        of_staff = NEW_CLINIC if rules[0] is None else StaffRules.model_construct(**saved)
        if of_page and (unseen >= of_staff.idle or now - created_at >= of_staff.lifetime):
            return None
        has_factor = factor_since is not None
        enrols = not has_factor and not elsewhere and of_staff.needs_factor(role)
        stage = "factor" if waits else "enrol" if enrols else "open"
    elif waits:
        return None
    actor = Actor(user_id, session_id, name, email, cast(Role, role), address)
    touch = unseen >= (LAST_SEEN_EVERY if role == "patient" else STAFF_SEEN_EVERY)
    return SignedIn(actor, touch and not waits, stage, factor_at, has_factor)


def note_proof(session: Session, session_id: int, *, now: datetime) -> str:
    """Note that the owner of a session has just proved who they are, and return its new secret id."""
    session.execute(sa.update(UserSession).where(UserSession.id == session_id).values(factor_at=now))
    return renew_session(session, session_id)


def touch_session(session: Session, session_id: int, *, now: datetime) -> None:
    """Store that a session, and so its account, was just used."""
    used = sa.update(UserSession).where(UserSession.id == session_id).values(last_seen_at=now)
    user_id = session.scalar(used.returning(UserSession.user_id))
    session.execute(sa.update(User).where(User.id == user_id).values(last_seen_at=now))


def end_session(session: Session, actor: Actor, session_id: int, *, now: datetime) -> None:
    """End one of the actor's own sessions: this one, or that of another browser.

    Raises:
        NotFound: it is not the actor's, or it has ended already.
    """
    ended = session.execute(
        sa.delete(UserSession)
        .where(UserSession.id == session_id, UserSession.user_id == actor.user_id)
        .returning(UserSession.id)
    )
    if ended.one_or_none() is None:
        raise NotFound(_("That device is already signed out."))
    security_events.signed_out(session, actor.user_id, address=actor.address, now=now)


def end_other_sessions(session: Session, actor: Actor, *, now: datetime) -> int:
    """End all sessions of the actor but this one, and return how many there were."""
    others = UserSession.user_id == actor.user_id, UserSession.id != actor.session_id
    ended = len(session.execute(sa.delete(UserSession).where(*others).returning(UserSession.id)).all())
    if ended:
        subject, details = ("user", actor.user_id), {"count": ended}
        audit.record_by(session, actor, "sessions_ended", subject=subject, now=now, details=details)
        security_events.signed_out(session, actor.user_id, address=actor.address, now=now)
    return ended


def is_session(session: Session, session_id: int) -> bool:
    """Whether this session exists, of any account."""
    return session.scalar(sa.select(UserSession.id).where(UserSession.id == session_id)) is not None


def list_sessions(session: Session, actor: Actor, *, now: datetime) -> list[SessionRow]:
    """The actor's signed-in browsers, the most recently used first."""
    query = (
        sa.select(
            UserSession.id,
            UserSession.user_agent,
            UserSession.address,
            UserSession.created_at,
            UserSession.last_seen_at,
        )
        .where(UserSession.user_id == actor.user_id, unended(session, now=now))
        .order_by(UserSession.last_seen_at.desc(), UserSession.id.desc())
    )
    return [SessionRow(*row) for row in session.execute(query)]


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
    """Store the new hash, and end what the old password may have opened.

    These are every other session of the account, its links, to passwords and other addresses, its calendar feed, and
    the secret id of this session. `verified` is the hash that was verified.

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
    return ChangedPassword(renew_session(session, actor.session_id), bool(had_feed))
