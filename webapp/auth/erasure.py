"""Deletes an account for good, and drafts with the name of a person who is erased."""

from __future__ import annotations

import json
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import security_events
from webapp.auth.login_throttle import CHANGING
from webapp.auth.models import Draft, FailedLogin, SignInCode, User
from webapp.auth.second_factor import service as second_factor
from webapp.auth.service import account_key
from webapp.events.kinds import AccountErased, PatientErased


def delete_account(session: Session, event: AccountErased, /, *, now: datetime) -> None:  # noqa: ARG001
    """Delete the account; foreign keys delete its sessions, tokens, links and stored answers."""
    key = account_key(event.email)
    accounts = (key, f"{CHANGING}:{event.user_id}", f"{second_factor.KIND}:{event.user_id}")
    session.execute(sa.delete(FailedLogin).where(FailedLogin.account.in_(accounts)))
    session.execute(sa.delete(Draft).where(Draft.account == key))
    session.execute(sa.delete(SignInCode).where(SignInCode.account == key))
    session.execute(sa.delete(SignInCode).where(SignInCode.account == key))
    security_events.forget_account(session, event.user_id, key)
    session.execute(sa.delete(User).where(User.id == event.user_id))


def forget_drafts(session: Session, event: PatientErased, /, *, now: datetime) -> None:  # noqa: ARG001
    """Delete the drafts of forms in which anyone typed something that names the person."""
    typed = sa.cast(Draft.fields, sa.Text)
    found = [typed.contains(spelling, autoescape=True) for spelling in _spellings(event.words)]
    if found:
        session.execute(sa.delete(Draft).where(sa.or_(*found)))


def _spellings(words: tuple[str, ...]) -> set[str]:
    """The words as they are, and as JSON escapes them."""
    return {spelling for word in words for spelling in (word, json.dumps(word)[1:-1])}
