"""Whether an account's e-mail address is its owner's: they follow a link that was sent there, and say so.

The link is the account and the address, signed. It is good for as long as the account has that address, and nothing
but this can be done with it.
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
    """The address that a link would confirm, and when it was; None: not yet."""

    user_id: int
    email: str
    role: str
    confirmed_at: datetime | None


def send(session: Session, user_id: int, email: str, name: str, letterhead: dict[str, str], *, now: datetime) -> None:
    """Write the mail that asks whether the address is theirs."""
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
    """Send the actor that mail once more, unless the address is confirmed.

    Raises:
        TooManyConfirmations: it was sent three times within the hour.
    """
    # Of two requests at once the second one counts the mail of the first.
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
    """The address that a link confirms; `said` is what the link's token says.

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
    """Keep that the owner of the address has followed the link; doing so again changes nothing.

    Raises:
        AddressNotConfirmable: as `find_address`.
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
