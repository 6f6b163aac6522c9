"""Password reset: a link that sets a new password goes to the account's own address.

The answer reveals nothing: an unknown address, a disabled account and an account that has been sent enough mails get
the same answer after the same work. For an unknown address the same rows are written, and rolled back before the
transaction ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import login_throttle
from webapp.auth.models import PasswordLink, User
from webapp.auth.schemas import PasswordResetRequest
from webapp.auth.tokens import hashed, new_secret
from webapp.core import signing
from webapp.notifications import outbox as notifications
from webapp.notifications.outbox import Message

RESET_LIFETIME = timedelta(hours=1)
# Protects a mailbox from being flooded by someone who knows its address.
MOST_MAILS, WINDOW = 3, timedelta(hours=1)
TEMPLATE = "password_reset"
PURPOSE = "password"


def request_link(
    session: Session,
    command: PasswordResetRequest,
    letterhead: dict[str, str],
    *,
    keys: Sequence[str],
    address: str,
    now: datetime,
) -> None:
    """Send a link that sets a new password within the hour, if there is an active account with this address.

    Older links stay valid: a user who asks twice may use the first mail, and a request cannot undo a link that an admin
    has handed out. Using any of them ends all.

    Raises:
        TooManyResets: too many links were requested from this network.
    """
    login_throttle.note_reset(session, address=address, now=now)
    # For an unknown address the first account stands in, so that the same statements run.
    either = sa.or_(User.email == command.email, User.id == sa.select(sa.func.min(User.id)).scalar_subquery())
    found = session.execute(sa.select(User.id, User.email, User.name, User.active).where(either)).all()
    account = next((row for row in found if row.email == command.email), None)
    recent = notifications.sent_since(session, command.email, TEMPLATE, now - WINDOW)
    wanted = account is not None and account.active and len(recent) < MOST_MAILS
    with session.begin_nested() as trial:
        for row in found[:1] if account is None else [account]:
            _send_link(session, row.id, command.email, row.name, letterhead, keys, now=now)
            audit.record(
                session,
                "password_link_requested",
                subject=("user", row.id),
                # The client is unknown: anyone may ask.
                actor_user_id=None,
                actor_role="system",
                now=now,
                address=address,
            )
        if not wanted:
            trial.rollback()


def _send_link(
    session: Session,
    user_id: int,
    email: str,
    name: str,
    letterhead: dict[str, str],
    keys: Sequence[str],
    *,
    now: datetime,
) -> None:
    """Write the link and the message that carries it. The message holds only the nonce from which the token is made."""
    nonce = new_secret()
    token_hash = hashed(signing.sign(keys, PURPOSE, nonce))
    session.execute(sa.delete(PasswordLink).where(PasswordLink.user_id == user_id, PasswordLink.expires_at <= now))
    until = now + RESET_LIFETIME
    session.execute(
        sa.insert(PasswordLink).values(token_hash=token_hash, user_id=user_id, created_at=now, expires_at=until)
    )
    message = Message(
        dedupe_key=f"{TEMPLATE}:{token_hash}",
        channel="email",
        recipient=email,
        template=TEMPLATE,
        values={"nonce": nonce, "name": name, "clinic": letterhead},
        subject=("user", user_id),
        expires_at=until,
    )
    notifications.enqueue(session, message, now=now)
