"""Links that set a password once: the first password of an account that staff made, or a new one after a reset.

The token in the address is as good as a password, so we store only its SHA-256, and a user has at most one link. Using
a link has steps, as a sign-in has: `find_password_link` finds the owner, the new password is checked and hashed while
no connection is held, and `use_password_link` stores it if the link is still valid.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import account_mails, former_users, login_throttle
from webapp.auth.exceptions import LinkNotValid
from webapp.auth.models import PasswordLink, User, UserSession
from webapp.auth.schemas import Role
from webapp.auth.tokens import hashed, new_secret

FIRST_PASSWORD_LIFETIME = timedelta(days=7)
# A change of address was asked for with the old password, so a new password ends it.
NO_OTHER_ADDRESS: dict[str, Any] = {"new_email": "", "new_email_until": None}


class LinkOwner(NamedTuple):
    """The user whose password a link sets, with the words that the password must not consist of."""

    user_id: int
    name: str
    email: str


def create_password_link(
    session: Session, user_id: int, *, now: datetime, lifetime: timedelta, token: str = "", made_by: int | None = None
) -> str:
    """Make a link that sets this user's password, delete the older ones, and return its token, which is not stored.

    `token` is a given one, for a link that a message carries; `made_by` is the account that made it for another. The
    caller has checked that the user exists and may have a link, and writes the audit row.
    """
    # Of two concurrent links, one must end the other.
    session.execute(sa.select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    delete_password_links(session, user_id)
    token = token or new_secret()
    until = now + lifetime
    link = PasswordLink(token_hash=hashed(token), user_id=user_id, created_at=now, expires_at=until, made_by=made_by)
    session.add(link)
    session.flush()
    return token


def delete_password_links(session: Session, user_id: int) -> None:
    """Delete every password link of this user."""
    session.execute(sa.delete(PasswordLink).where(PasswordLink.user_id == user_id))


def find_password_link(session: Session, token: str, *, now: datetime) -> LinkOwner:
    """The user whose password the link with this token sets.

    Raises:
        LinkNotValid: the link is unknown, used or expired, or the account is disabled; the error does not say which.
    """
    query = sa.select(User.id, User.name, User.email).where(
        User.id == PasswordLink.user_id,
        User.active.is_(True),
        PasswordLink.token_hash == hashed(token),
        PasswordLink.expires_at > now,
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise LinkNotValid
    return LinkOwner(*row)


def use_password_link(
    session: Session,
    token_hash: str,
    new_hash: str,
    letterhead: dict[str, str],
    *,
    now: datetime,
    address: str = "",
    previous: str = "",
) -> bool:
    """Store the new hash, and end the link, every session of the account, and the browser's `previous` session.

    The address of the account's calendar feed ends, too, and so does the link to an address that the account wants
    instead, and the passkeys of a patient whose address was never confirmed: a former user of the account, who may have
    registered with another person's e-mail address, can neither read it afterwards nor take it back. Returns whether
    there was a feed.

    Raises:
        LinkNotValid: as for `find_password_link`, and also where another request used the link at the same moment.
    """
    user, made_by = _lock_owner(session, token_hash, now=now)
    delete_password_links(session, user.id)
    changed = {"password_hash": new_hash, "has_password": True, "calendar_secret": ""}
    session.execute(sa.update(User).where(User.id == user.id).values(**changed, **NO_OTHER_ADDRESS))
    if user.email_confirmed_at is None:
        former_users.end_passkeys(session, user.id)
    session.execute(
        sa.delete(UserSession).where(sa.or_(UserSession.user_id == user.id, UserSession.id_hash == hashed(previous)))
    )
    audit.record(
        session,
        "password_changed",
        subject=("user", user.id),
        actor_user_id=user.id,
        actor_role=cast(Role, user.role),
        now=now,
        details={"by": "link"} if made_by is None else {"by": "link", "made_by": made_by},
        address=address,
    )
    # The owner of the mailbox no longer waits because others guessed the password.
    login_throttle.forget_account(session, hashed(user.email))
    account_mails.tell(session, user.id, "password", letterhead, now=now)
    return bool(user.calendar_secret)


def _lock_owner(session: Session, token_hash: str, *, now: datetime) -> tuple[Any, int | None]:
    """Lock the account of a link; returns it, and who made the link.

    Raises:
        LinkNotValid: there is no such link any more, or the account is disabled.
    """
    owner = sa.select(PasswordLink.user_id).where(PasswordLink.token_hash == token_hash)
    columns = (User.id, User.role, User.active, User.calendar_secret, User.email, User.email_confirmed_at)
    user = session.execute(sa.select(*columns).where(User.id.in_(owner)).with_for_update(key_share=True)).one_or_none()
    # Check again under the lock: another request may have used the link meanwhile.
    mine = (PasswordLink.token_hash == token_hash, PasswordLink.expires_at > now)
    held = session.execute(sa.select(PasswordLink.made_by).where(*mine)).one_or_none()
    if user is None or not user.active or held is None:
        raise LinkNotValid
    return user, held.made_by
