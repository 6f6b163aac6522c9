"""Mails that tell the owner of an account what has changed about signing in, so that a change by another person is
noticed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import User
from webapp.auth.tokens import new_secret
from webapp.auth.user_agents import names_in
from webapp.notifications import outbox as notifications
from webapp.notifications.outbox import Message

TEMPLATE = "account_changed"
AccountChange = Literal[
    "password",
    "app_added",
    "app_removed",
    "passkey_added",
    "passkey_removed",
    "codes_renewed",
    "code_used",
    "factor_reset",
    "new_browser",
    "identity_linked",
    "identity_unlinked",
]


def tell(
    session: Session,
    user_id: int,
    what: AccountChange,
    letterhead: dict[str, str],
    *,
    now: datetime,
    name: str = "",
    user_agent: str = "",
    left: int = 0,
) -> None:
    """Write the mail to the account's own address.

    `name` is that of a passkey or a provider, `user_agent` what a browser calls itself, `left` the number of recovery
    codes.
    """
    browser, system = names_in(user_agent)
    values: dict[str, Any] = {"what": what, "name": name, "browser": browser, "system": system, "left": left}
    values |= {"at": now.isoformat(), "clinic": letterhead}
    message = Message(
        dedupe_key=f"{TEMPLATE}:{user_id}:{new_secret()}",
        channel="email",
        recipient=session.scalars(sa.select(User.email).where(User.id == user_id)).one(),
        template=TEMPLATE,
        values=values,
        subject=("user", user_id),
    )
    notifications.enqueue(session, message, now=now)
