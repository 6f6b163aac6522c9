"""What happens when someone enters the code that was sent to an e-mail address.

It signs in to the account with that address, which is confirmed by this. Where there is no account yet, the browser may
create one without a password. In both cases the account joins the record that the clinic made for the person before;
see `joining`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments import joining
from webapp.auth import confirmation, login_throttle, sign_in_codes
from webapp.auth import service as auth
from webapp.auth.exceptions import AddressNotProved
from webapp.auth.models import User
from webapp.auth.schemas import Actor, Role
from webapp.auth.sign_in_codes import Verdict
from webapp.patients import message_preferences
from webapp.patients import service as patients
from webapp.patients.schemas import NewPatient, Origin


class Typed(NamedTuple):
    """A code that was typed: in which browser, for which address. `known`: it has signed in to the account before."""

    browser: str
    email: str
    code: str
    known: bool


class Entered(NamedTuple):
    """What a code did. `secret` is the id of the session that it opened; '': there is no account yet.

    `over`: the account was not confirmed, so a password or sessions that it had have ended.
    """

    verdict: Verdict
    secret: str = ""
    role: Role = "patient"
    over: bool = False


def enter_code(
    session: Session, typed: Typed, origin: Origin, *, attempt_id: int, keys: Sequence[str], now: datetime
) -> Entered:
    """Sign in with a code that was typed, or count it as a failed attempt. The verdict says what it was."""
    verdict = sign_in_codes.enter(session, typed.browser, typed.email, typed.code, keys=keys, now=now)
    if verdict != "right":
        login_throttle.judge(session, attempt_id)
        return Entered(verdict)
    login_throttle.forget(session, attempt_id)
    login_throttle.forget_account(session, auth.account_key(typed.email))
    return _open(session, typed, origin, now=now) or Entered("right")


def create_account(session: Session, command: NewPatient, typed: Typed, origin: Origin, *, now: datetime) -> Entered:
    """Create an account for the owner of the mailbox, who has just entered the code, and sign in.

    If the account exists by now, because the form was sent twice, this signs in to it.

    Raises:
        AddressNotProved: the code was entered too long ago. Invalid: see `patients.service.register`.
    """
    if not sign_in_codes.use_proof(session, typed.browser, typed.email, now=now):
        raise AddressNotProved
    entered = _open(session, typed, origin, now=now)
    if entered is None:
        patients.register_without_password(session, command, now=now)
        entered = _open(session, typed, origin, now=now)
    if entered is None or not entered.secret:
        raise AddressNotProved
    return entered


def _open(session: Session, typed: Typed, origin: Origin, *, now: datetime) -> Entered | None:
    """Sign in to the account with this address; None if there is none."""
    query = sa.select(User.id, User.name, User.role, User.active).where(User.email == typed.email)
    row = session.execute(query.with_for_update(key_share=True)).one_or_none()
    if row is None:
        return None
    if not row.active:
        return Entered("expired")
    role = cast(Role, row.role)
    over = confirmation.confirm_by_code(session, row.id, known=typed.known, address=origin.address, now=now)
    actor = Actor(row.id, 0, row.name, typed.email, role, origin.address)
    if role == "patient":
        if over:
            message_preferences.stop_texts(session, actor)
        if not joining.join_waiting_record(session, actor, now=now):
            joining.note_records_with_address(session, row.id, now=now)
    auth.forget_session(session, origin.previous)
    secret = auth.start_session(
        session, row.id, address=origin.address, user_agent=origin.user_agent, now=now, how=sign_in_codes.ENTERING
    )
    return Entered("right", secret, role, over)
