"""Changes of other accounts by admins: roles, access, sessions and links. At least one admin always remains. Only
admins who can sign in count: active, and with a password or with an earlier sign-in, because a code, a passkey and an
identity provider work without a password. An invited admin who has not signed in yet does not count.

Every change here first locks all of these admins, in the order of their ids. So two admins who demote each other at the
same time do it one after the other, and the second finds that no other admin is left.

Without an `actor`, the operator of the server did it on the command line.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.exceptions import AccountDisabled, LastAdmin, NoFactor, OwnFactor
from webapp.auth.models import User, UserSession
from webapp.auth.passwords import link_delivery, password_links
from webapp.auth.passwords.link_delivery import LinkDelivery
from webapp.auth.schemas import MACHINE, Actor, Role
from webapp.auth.second_factor import service as second_factor
from webapp.exceptions import Forbidden, NotFound
from webapp.i18n import gettext as _


class LockedAccount(NamedTuple):
    """An account under its lock. `admins` are the ids of the admins who can sign in, which are locked too."""

    user_id: int
    name: str
    email: str
    role: Role
    active: bool
    admins: tuple[int, ...]

    @property
    def is_last_admin(self) -> bool:
        """Whether this is the only admin who can sign in."""
        return self.admins == (self.user_id,)


def lock_account(session: Session, actor: Actor | None, user_id: int) -> LockedAccount:
    """Lock an account and all admins who can sign in. Doctors are locked before this, patients after it.

    Raises:
        NotFound: no person has this account. LastAdmin, Forbidden: the actor was demoted or disabled meanwhile.
    """
    can_sign_in = sa.or_(User.has_password.is_(True), User.last_seen_at.is_not(None))
    is_admin = sa.and_(User.role == "admin", User.active.is_(True), can_sign_in)
    query = (
        sa.select(User.id, User.name, User.email, User.role, User.active, is_admin.label("is_admin"))
        .where(sa.or_(User.id == user_id, is_admin))
        .order_by(User.id)
        .with_for_update(key_share=True)
    )
    found = session.execute(query).all()
    admins = tuple(row.id for row in found if row.is_admin)
    wanted = next((row for row in found if row.id == user_id), None)
    if wanted is None or wanted.role == MACHINE:
        raise NotFound(_("Account not found."))
    account = LockedAccount(wanted.id, wanted.name, wanted.email, cast(Role, wanted.role), wanted.active, admins)
    if actor is not None and actor.user_id not in admins:
        # Of two admins who demote each other, the second is told that no admin would be left.
        raise LastAdmin if account.is_last_admin else Forbidden(_("You are no longer an admin."))
    return account


def set_role(
    session: Session, actor: Actor | None, account: LockedAccount, role: Role, *, by: str = "", now: datetime
) -> None:
    """Give a locked account another role; it counts from the account's next request. `by` names a provider that did it.

    Patients sign in without a second factor, and for a month. So a user who becomes staff has to sign in again.

    Raises:
        LastAdmin: no other account is an admin who can sign in.
    """
    if account.is_last_admin and role != "admin":
        raise LastAdmin
    session.execute(sa.update(User).where(User.id == account.user_id).values(role=role))
    if account.role == "patient" and role != "patient":
        _end_sessions(session, account.user_id)
    details = {"from": account.role, "to": role} | ({"by": by} if by else {})
    _record(session, actor, "role_changed", account.user_id, now=now, details=details)


def disable_account(session: Session, actor: Actor | None, user_id: int, *, now: datetime) -> None:
    """Disable an account: it cannot sign in, and its sessions end immediately. Nothing else changes.

    Raises:
        NotFound, LastAdmin.
    """
    account = lock_account(session, actor, user_id)
    if account.is_last_admin:
        raise LastAdmin
    if account.active:
        session.execute(sa.update(User).where(User.id == user_id).values(active=False))
        _end_sessions(session, user_id)
        password_links.delete_password_links(session, user_id)
        _record(session, actor, "user_disabled", user_id, now=now)


def enable_account(session: Session, actor: Actor | None, user_id: int, *, now: datetime) -> None:
    """Enable an account again, with the password that it had.

    Raises:
        NotFound: the account does not exist.
    """
    if not lock_account(session, actor, user_id).active:
        session.execute(sa.update(User).where(User.id == user_id).values(active=True))
        _record(session, actor, "user_enabled", user_id, now=now)


def end_sessions(session: Session, actor: Actor, user_id: int, *, now: datetime) -> int:
    """Sign an account out everywhere, and return on how many devices it was signed in.

    Raises:
        NotFound: the account does not exist.
    """
    lock_account(session, actor, user_id)
    ended = _end_sessions(session, user_id)
    if ended:
        _record(session, actor, "sessions_ended", user_id, now=now, details={"count": ended})
    return ended


def renew_password_link(
    session: Session, actor: Actor | None, user_id: int, *, how: LinkDelivery | None = None, now: datetime
) -> str:
    """Make a new password link. Older links end; the current password works until it is used.

    On the command line there is no actor, and the token is returned. An actor says `how` the link goes to its owner,
    and gets its token only where no mail is sent; otherwise it is ''.

    Raises:
        NotFound: the account does not exist. AccountDisabled: it could not sign in with the new password.
    """
    if not lock_account(session, actor, user_id).active:
        raise AccountDisabled
    if actor is not None and how is not None:
        return link_delivery.hand_over(session, actor, user_id, how, now=now)
    token = password_links.create_password_link(
        session, user_id, now=now, lifetime=password_links.FIRST_PASSWORD_LIFETIME
    )
    _record(session, actor, "password_link_created", user_id, now=now)
    return token


def reset_factor(
    session: Session, actor: Actor | None, user_id: int, letterhead: dict[str, str], *, now: datetime
) -> None:
    """Remove every second factor of an account whose owner lost the device, end its sessions, and tell the owner.

    Raises:
        NotFound: the account does not exist. OwnFactor: admins change their own on their account page. NoFactor.
    """
    if actor is not None and actor.user_id == user_id:
        raise OwnFactor
    lock_account(session, actor, user_id)
    if not second_factor.reset(session, user_id, letterhead, now=now):
        raise NoFactor
    _record(session, actor, "factor_reset", user_id, now=now)


def _end_sessions(session: Session, user_id: int) -> int:
    ended = session.execute(sa.delete(UserSession).where(UserSession.user_id == user_id).returning(UserSession.id))
    return len(ended.all())


def _record(
    session: Session,
    actor: Actor | None,
    action: str,
    user_id: int,
    *,
    now: datetime,
    details: dict[str, Any] | None = None,
) -> None:
    subject = ("user", user_id)
    if actor is not None:
        audit.record_by(session, actor, action, subject=subject, now=now, details=details)
        return
    said = {"by": "command line", **(details or {})}
    audit.record(session, action, subject=subject, actor_user_id=None, actor_role="system", now=now, details=said)
