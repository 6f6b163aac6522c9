"""Confirming an e-mail address: the owner follows a link that was sent to it, and confirms on the page.

The link is the account and a stand-in for the address, signed. It is valid for two weeks at most, for as long as the
account has that address, or wants it, and allows nothing but this confirmation.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import former_users
from webapp.auth.exceptions import AddressNotConfirmable, TooManyConfirmations
from webapp.auth.models import User, UserSession
from webapp.auth.passwords import password_links
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import Actor, Role
from webapp.auth.tokens import hashed, new_secret
from webapp.notifications import outbox as notifications
from webapp.notifications.outbox import Message

TEMPLATE = "confirm_email"
PURPOSE = "confirm-email"
LINK_LIFETIME = timedelta(days=14)
MOST_MAILS, WINDOW = 3, timedelta(hours=1)


class Address(NamedTuple):
    """The address that a link confirms, and when it was confirmed; None: not yet.

    `wanted`: the account has another address until this one is confirmed.
    """

    user_id: int
    email: str
    role: Role
    confirmed_at: datetime | None
    wanted: bool


def send(
    session: Session,
    user_id: int,
    email: str,
    name: str,
    letterhead: dict[str, str],
    *,
    corrected: bool = False,
    now: datetime,
) -> None:
    """Write the mail that asks the owner to confirm the address; `corrected`: the clinic has entered it."""
    link = link_of(user_id, email, now=now)
    values = {
        "user_id": user_id,
        "link": link,
        "email": email,
        "name": name,
        "corrected": corrected,
        "clinic": letterhead,
    }
    message = Message(
        dedupe_key=f"{TEMPLATE}:{user_id}:{new_secret() if corrected else int(now.timestamp())}",
        channel="email",
        recipient=email,
        template=TEMPLATE,
        values=values,
        subject=("user", user_id),
    )
    notifications.enqueue(session, message, now=now)


def send_again(session: Session, actor: Actor, letterhead: dict[str, str], *, now: datetime) -> None:
    """Send the actor the confirmation mail again, unless the address is confirmed already.

    Raises:
        TooManyConfirmations: it was sent three times within the hour.
    """
    # Of two concurrent requests, the second counts the mail of the first.
    mine = sa.select(User.email_confirmed_at).where(User.id == actor.user_id).with_for_update(key_share=True)
    if session.scalar(mine) is not None:
        return
    recent = notifications.sent_since(session, actor.email, TEMPLATE, now - WINDOW)
    if len(recent) >= MOST_MAILS:
        until = recent[-MOST_MAILS] + WINDOW
        raise TooManyConfirmations(retry_after=max(1, int((until - now).total_seconds())))
    send(session, actor.user_id, actor.email, actor.name, letterhead, now=now)


def confirmed_at(session: Session, actor: Actor) -> datetime | None:
    """When the actor's address was confirmed; None: not yet."""
    return session.scalar(sa.select(User.email_confirmed_at).where(User.id == actor.user_id))


_UNCONFIRMED = sa.select(User.id).where(User.id == sa.bindparam("user_id"), User.email_confirmed_at.is_(None))
_LOCK_UNCONFIRMED = _UNCONFIRMED.with_for_update(key_share=True)


def is_unconfirmed(session: Session, actor: Actor, *, lock: bool = False) -> bool:
    """Whether the actor's account is not confirmed yet. With `lock`, its other changes then wait for this one."""
    query = _LOCK_UNCONFIRMED if lock else _UNCONFIRMED
    return session.execute(query, {"user_id": actor.user_id}).first() is not None


def find_address(session: Session, said: Any, *, now: datetime) -> Address:
    """The address that a link confirms; `said` is the content of the link's token.

    Raises:
        AddressNotConfirmable: none of our keys signed it, or the account neither has nor wants this address now, or is
            disabled.
    """
    match said:
        case [int(user_id), str(stand_in), int(until)] if now.timestamp() < until:
            found = _find(session, user_id, lambda email: _stand_in(email) == stand_in, now=now)
        case [int(user_id), str(sent_to)]:
            # Links that were sent before they had an end name the address.
            found = _find(session, user_id, lambda email: email == sent_to, now=now)
        case _:
            found = None
    if found is None:
        raise AddressNotConfirmable
    return found


def link_of(user_id: int, email: str, *, now: datetime) -> list[int | str]:
    """The content of the link that confirms this address, before it is signed: it does not name the address."""
    return [user_id, _stand_in(email), int((now + LINK_LIFETIME).timestamp())]


def _stand_in(email: str) -> str:
    return hashed(email)[:32]


def _find(session: Session, user_id: int, fits: Callable[[str], bool], *, now: datetime) -> Address | None:
    """The address of this active account that fits: the one that it has, or the one that it wants."""
    columns = (User.id, User.role, User.email, User.email_confirmed_at, User.new_email, User.new_email_until)
    row = session.execute(sa.select(*columns).where(User.id == user_id, User.active.is_(True))).one_or_none()
    if row is not None and fits(row.email):
        return Address(row.id, row.email, cast(Role, row.role), row.email_confirmed_at, False)
    if row is not None and row.new_email and fits(row.new_email) and row.new_email_until > now:
        return Address(row.id, row.new_email, cast(Role, row.role), None, True)
    return None


def confirm(session: Session, found: Address, *, address: str, now: datetime) -> None:
    """Store that the owner of the account's present address has followed its link. Repeating it changes nothing."""
    changed = session.execute(
        sa.update(User)
        .where(User.id == found.user_id, User.email == found.email, User.email_confirmed_at.is_(None))
        .values(email_confirmed_at=now)
        .returning(User.id)
    )
    if changed.one_or_none() is None:
        return
    audit.record(
        session,
        "email_confirmed",
        subject=("user", found.user_id),
        actor_user_id=found.user_id,
        actor_role=found.role,
        now=now,
        details={"by": "link"},
        address=address,
    )


def confirm_by_code(session: Session, user_id: int, *, known: bool, address: str, now: datetime) -> bool:
    """Store that the owner of the address has entered the code that was sent to it.

    An unconfirmed account may have been registered with another person's address. So its password, passkeys, sessions
    and links end with the confirmation, unless this browser is `known` to the account: then both are the same person.
    Staff keep theirs, because an admin made their account. Returns whether a password, a passkey or a session ended.
    """
    changed = sa.update(User).where(User.id == user_id, User.email_confirmed_at.is_(None))
    row = session.execute(changed.values(email_confirmed_at=now).returning(User.role, User.has_password)).one_or_none()
    if row is None:
        return False
    audit.record(
        session,
        "email_confirmed",
        subject=("user", user_id),
        actor_user_id=user_id,
        actor_role=cast(Role, row.role),
        now=now,
        details={"by": "code"},
        address=address,
    )
    if known or row.role != "patient":
        return False
    without = {"password_hash": passwords.unusable_hash(), "has_password": False, "calendar_secret": ""}
    session.execute(sa.update(User).where(User.id == user_id).values(**without, **password_links.NO_OTHER_ADDRESS))
    password_links.delete_password_links(session, user_id)
    had_passkey = former_users.end_passkeys(session, user_id)
    ended = session.execute(
        sa.delete(UserSession).where(UserSession.user_id == user_id).returning(UserSession.id)
    ).all()
    return bool(row.has_password or had_passkey or ended)
