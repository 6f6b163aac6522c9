"""Accounts without a password: setting the first one, and other changes that usually need the current password.

For these accounts the proof is a code: they can only sign in with one, so a very recent sign-in is enough for these
changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import account_mails, sessions
from webapp.auth.exceptions import StaleSession
from webapp.auth.models import User, UserSession
from webapp.auth.passwords import password_links
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import Actor

FRESH_FOR = timedelta(minutes=15)


class OwnerProof(NamedTuple):
    """How the owner of an account proves who they are: with the password, or with a `fresh` session."""

    has_password: bool
    fresh: bool


def proof_of(session: Session, actor: Actor, *, now: datetime) -> OwnerProof:
    """How the actor proves who they are."""
    has_password = sa.select(User.has_password).where(User.id == actor.user_id)
    fresh = sa.select(UserSession.id).where(
        UserSession.id == actor.session_id, UserSession.created_at > now - FRESH_FOR
    )
    return OwnerProof(bool(session.scalar(has_password)), session.scalar(fresh) is not None)


def require_fresh(session: Session, actor: Actor, *, now: datetime) -> None:
    """Require that an account without a password has just been signed in to.

    Raises:
        StaleSession: it has a password by now, or signed in too long ago.
    """
    if proof_of(session, actor, now=now) != OwnerProof(has_password=False, fresh=True):
        raise StaleSession


def prepare(actor: Actor, password: str, clinic: Sequence[str]) -> str:
    """Check the new password, which is not made of the clinic's words, and return its hash; slow, without a database.

    Raises:
        Invalid: with a sentence for the field.
    """
    passwords.require_good_password(password, about=[actor.name, actor.email], clinic=clinic, field="new")
    return passwords.hash_password(password)


def set_first_password(
    session: Session, actor: Actor, letterhead: dict[str, str], new_hash: str, *, now: datetime
) -> str:
    """Store the first password of the actor's account, end its other sessions, and tell the owner by mail.

    Returns the new secret id of this session, as any change of password does.

    Raises:
        StaleSession: see `require_fresh`.
    """
    session.execute(sa.select(User.id).where(User.id == actor.user_id).with_for_update(key_share=True))
    require_fresh(session, actor, now=now)
    changed = {"password_hash": new_hash, "has_password": True, **password_links.NO_OTHER_ADDRESS}
    session.execute(sa.update(User).where(User.id == actor.user_id).values(changed))
    password_links.delete_password_links(session, actor.user_id)
    others = sa.delete(UserSession).where(UserSession.user_id == actor.user_id, UserSession.id != actor.session_id)
    session.execute(others)
    audit.record_by(session, actor, "password_changed", subject=("user", actor.user_id), now=now)
    account_mails.tell(session, actor.user_id, "password", letterhead, now=now)
    return sessions.renew_session(session, actor.session_id)
