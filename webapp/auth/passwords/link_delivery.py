"""How a link to a password reaches the person whose account it opens: by mail, and past the admin who makes it.

A link on an admin's screen would let the admin sign in as that person. So it goes to the person's mailbox; both are
told by mail, and the audit log says who made it. Only if no mail server is set, the admin sees it, with a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.models import User
from webapp.auth.passwords import password_links
from webapp.auth.passwords.password_links import FIRST_PASSWORD_LIFETIME
from webapp.auth.schemas import Actor
from webapp.auth.tokens import new_secret
from webapp.core import signing
from webapp.notifications import outbox as notifications
from webapp.notifications.outbox import Message

INVITATION, NOTE = "password_invitation", "password_link_note"
# The same purpose as for a reset: both links open the same page.
PURPOSE = "password"


class LinkDelivery(NamedTuple):
    """Whether mail is sent, our keys, and the details of the clinic for the messages."""

    mailed: bool
    keys: Sequence[str]
    letterhead: dict[str, str]


def hand_over(session: Session, actor: Actor, user_id: int, how: LinkDelivery, *, now: datetime) -> str:
    """Make a link for another person's account, and notify both. Returns its token if the admin must hand it over.

    The caller has checked that the account may have a link.
    """
    owner = session.execute(sa.select(User.name, User.email).where(User.id == user_id)).one()
    nonce = new_secret()
    token = signing.sign(how.keys, PURPOSE, nonce)
    lifetime = FIRST_PASSWORD_LIFETIME
    password_links.create_password_link(
        session, user_id, now=now, lifetime=lifetime, token=token, made_by=actor.user_id
    )
    said = {"name": owner.name, "by": actor.name, "clinic": how.letterhead}
    if how.mailed:
        values = {**said, "nonce": nonce}
        _tell(session, INVITATION, owner.email, user_id, values, expires_at=now + lifetime, now=now)
    else:
        _tell(session, NOTE, owner.email, user_id, {**said, "own": True}, now=now)
    if actor.email != owner.email:
        _tell(session, NOTE, actor.email, user_id, {**said, "own": False}, now=now)
    action = "password_link_mailed" if how.mailed else "password_link_shown"
    audit.record_by(session, actor, action, subject=("user", user_id), now=now)
    return "" if how.mailed else token


def _tell(
    session: Session,
    template: str,
    recipient: str,
    user_id: int,
    values: dict[str, object],
    *,
    expires_at: datetime | None = None,
    now: datetime,
) -> None:
    message = Message(
        dedupe_key=f"{template}:{user_id}:{new_secret()}",
        channel="email",
        recipient=recipient,
        template=template,
        values=values,
        subject=("user", user_id),
        expires_at=expires_at,
    )
    notifications.enqueue(session, message, now=now)
