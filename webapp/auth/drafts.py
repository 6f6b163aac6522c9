"""Drafts: what a user typed into a form that could not be sent, or that they left to choose another time.

A draft is kept for an hour. The browser holds a random key in a cookie, and we store only the key's hash. A draft shows
itself to one account only: the one that wrote it, as far as we know; otherwise the first account that signs in or
registers on the way back to the form. Any other account that signs in with this browser deletes it, as does signing
out. So the next person at a shared computer reads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import Draft
from webapp.auth.tokens import hashed, new_secret
from webapp.core.text import PASSWORDS

LIFETIME = timedelta(hours=1)
# The longest form of one page. More would be a file, or an attack.
MOST_FIELDS, MOST_LETTERS = 100, 8_000
# Anyone can send a form without an account, so these drafts must not fill the database.
MOST_UNKNOWN = 200
# Fields that pages fill in themselves: a form with nothing else in it is not worth keeping.
UNTYPED = frozenset(
    {"version", "back", "next", "seen", "step", "to", "unsent"}
    # The answers of buttons.
    | {"status", "active", "access", "decision", "confidential"}
    | {"doctor", "starts_at", "visit_type", "patient", "shown_type", "alternative"}
)

Fields = list[tuple[str, str]]


class UnsentForm(NamedTuple):
    """A form that was not sent: where it is sent, the address to return to, and its fields in order."""

    action: str
    address: str
    fields: Fields

    def value(self, name: str) -> str:
        """The text of a field, or ''."""
        return next((text for field, text in self.fields if field == name), "")


def is_worth_keeping(fields: Sequence[tuple[str, str]]) -> bool:
    """Whether the user typed something that is not secret and fits into a draft."""
    letters = sum(len(name) + len(text) for name, text in fields)
    typed = any(text.strip() and name not in UNTYPED | PASSWORDS for name, text in fields)
    return typed and len(fields) <= MOST_FIELDS and letters <= MOST_LETTERS


def keep(session: Session, form: UnsentForm, *, account: str, previous: str, now: datetime) -> str | None:
    """Store a draft and return the key for the cookie; None if there are too many drafts of unknown accounts.

    `account` is the key of the account that wrote it, or ''. `previous` is the browser's last draft, which ends.
    """
    old = [Draft.created_at <= now - LIFETIME, Draft.key_hash == hashed(previous)]
    if account:
        old.append(Draft.account == account)
    session.execute(sa.delete(Draft).where(sa.or_(*old)))
    if not account:
        unknown = session.scalar(sa.select(sa.func.count(Draft.id)).where(Draft.account == ""))
        if (unknown or 0) >= MOST_UNKNOWN:
            return None
    key = new_secret()
    fields = [[name, text] for name, text in form.fields if name not in PASSWORDS]
    session.add(
        Draft(
            key_hash=hashed(key),
            account=account,
            action=form.action[:300],
            address=form.address[:1000],
            fields=fields,
            created_at=now,
        )
    )
    session.flush()
    return key


def find(session: Session, key: str, *, account: str, now: datetime) -> UnsentForm | None:
    """The draft with this key, if it belongs to this account and is not too old."""
    query = sa.select(Draft.action, Draft.address, Draft.fields).where(
        Draft.key_hash == hashed(key), Draft.account == account, Draft.created_at > now - LIFETIME
    )
    row = session.execute(query).one_or_none()
    return UnsentForm(row.action, row.address, [(name, text) for name, text in row.fields]) if row else None


def claim(session: Session, key: str, *, account: str, wanted: str) -> bool:
    """Give the browser's draft to the account that has just signed in, or delete it; return whether it was given.

    `wanted` is the address to which the user goes now.
    """
    own = sa.or_(Draft.account == account, sa.and_(Draft.account == "", Draft.address == wanted))
    given = sa.update(Draft).where(Draft.key_hash == hashed(key), own).values(account=account).returning(Draft.id)
    if session.execute(given).one_or_none() is not None:
        return True
    forget(session, key)
    return False


def forget(session: Session, key: str) -> None:
    """Delete the draft with this key."""
    session.execute(sa.delete(Draft).where(Draft.key_hash == hashed(key)))


def is_any_old(session: Session, *, now: datetime) -> bool:
    """Whether a draft is too old."""
    return session.scalar(sa.select(Draft.id).where(Draft.created_at <= now - LIFETIME).limit(1)) is not None


def forget_old(session: Session, *, now: datetime) -> None:
    """Delete the drafts that are too old."""
    session.execute(sa.delete(Draft).where(Draft.created_at <= now - LIFETIME))
