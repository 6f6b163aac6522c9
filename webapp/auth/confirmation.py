"""Confirming an e-mail address: the owner follows a link that was sent to it, and confirms on the page.

The link is the account and the address, signed. It is valid for as long as the account has that address, and allows
nothing but this confirmation.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.exceptions import AddressNotConfirmable, TooManyConfirmations
from webapp.auth.models import User
from webapp.auth.schemas import Actor
from webapp.notifications import outbox as notifications
from webapp.notifications.outbox import Message

TEMPLATE = "confirm_email"
PURPOSE = "confirm-email"
MOST_MAILS, WINDOW = 3, timedelta(hours=1)


class Address(NamedTuple):
    """The address that a link confirms, and when it was confirmed; None: not yet."""

    user_id: int
    email: str
    role: str
    confirmed_at: datetime | None


def send(session: Session, user_id: int, email: str, name: str, letterhead: dict[str, str], *, now: datetime) -> None:
    """Write the mail that asks the owner to confirm the address."""
    message = Message(
        dedupe_key=f"{TEMPLATE}:{user_id}:{int(now.timestamp())}",
        channel="email",
        recipient=email,
        template=TEMPLATE,
        values={"user_id": user_id, "email": email, "name": name, "clinic": letterhead},
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


def find_address(session: Session, said: Any) -> Address:
    """The address that a link confirms; `said` is the content of the link's token.

    Raises:
        AddressNotConfirmable: none of our keys signed it, or the account has another address now, or is disabled.
    """
    match said:
        case [int(user_id), str(email)]:
            query = sa.select(User.id, User.email, User.role, User.email_confirmed_at).where(
                User.id == user_id, User.email == email, User.active.is_(True)
            )
            row = session.execute(query).one_or_none()
            if row is not None:
                return Address(*row)
    raise AddressNotConfirmable


def confirm(session: Session, said: Any, *, address: str, now: datetime) -> None:
    """Store that the owner of the address has followed the link. Repeating it changes nothing.

    Raises:
        AddressNotConfirmable: as for `find_address`.
    """
    found = find_address(session, said)
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
