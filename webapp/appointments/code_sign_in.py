"""Signs in, or creates an account, with the code that was sent to an e-mail address.

It signs in to the account with that address, which is confirmed by this. Where there is no account yet, the browser may
create one without a password. In both cases the account joins the record that the clinic made for the person before;
see `joining`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments import joining
from webapp.auth import login_throttle, sessions
from webapp.auth import service as auth
from webapp.auth.addresses import confirmation
from webapp.auth.exceptions import AddressNotProved
from webapp.auth.models import User
from webapp.auth.schemas import Actor, Role
from webapp.auth.sign_in import sign_in_codes
from webapp.auth.sign_in.sign_in_codes import Verdict
from webapp.exceptions import Invalid
from webapp.patients import message_preferences, registration
from webapp.patients import service as patients
from webapp.patients.schemas import NewPatient, Origin


class EnteredCode(NamedTuple):
    """A code that was typed: in which browser, and for which address. `known`: this browser has signed in to the
    account before.
    """

    browser: str
    email: str
    code: str
    known: bool


class CodeResult(NamedTuple):
    """The result of a code. `secret` is the id of the session that it opened; '': there is no account yet.

    `over`: the account was not confirmed, so its earlier password or sessions have ended. `made`: the account is new.
    """

    verdict: Verdict
    secret: str = ""
    role: Role = "patient"
    over: bool = False
    made: bool = False


class RegistrationResult(NamedTuple):
    """The result of a program's code: the account that it created; 0 and '' for none."""

    verdict: Verdict
    user_id: int = 0
    name: str = ""


def enter_code(
    session: Session, typed: EnteredCode, origin: Origin, *, attempt_id: int, keys: Sequence[str], now: datetime
) -> CodeResult:
    """Sign in with a code that was typed, or count it as a failed attempt. The verdict says what it was."""
    verdict = _judge(session, typed, attempt_id, keys=keys, now=now)
    if verdict != "right":
        return CodeResult(verdict)
    kept = sign_in_codes.take_registration(session, typed.browser, typed.email)
    return (
        _open(session, typed, origin, now=now)
        or (_finish_registration(session, kept, typed, origin, now=now) if kept else None)
        or CodeResult("right")
    )


def confirm_registration(
    session: Session, typed: EnteredCode, origin: Origin, *, attempt_id: int, keys: Sequence[str], now: datetime
) -> RegistrationResult:
    """Create the account that a program registered, with the code, without signing in.

    Raises:
        EmailTaken: the address has an account, as its owner may know. Invalid: see `patients.service.register`.
    """
    verdict = _judge(session, typed, attempt_id, keys=keys, now=now)
    kept = sign_in_codes.take_registration(session, typed.browser, typed.email) if verdict == "right" else None
    if kept is None:
        return RegistrationResult(verdict)
    user_id = registration.finish(session, kept, typed.email, now=now)
    sign_in_codes.use_proof(session, typed.browser, typed.email, now=now)
    actor = Actor(user_id, 0, kept["name"], typed.email, "patient", origin.address)
    _confirm(session, actor, known=True, now=now)
    # The record that it joined may have another.
    name = session.scalars(sa.select(User.name).where(User.id == user_id)).one()
    return RegistrationResult(verdict, user_id, name)


def _judge(session: Session, typed: EnteredCode, attempt_id: int, *, keys: Sequence[str], now: datetime) -> Verdict:
    verdict = sign_in_codes.enter(session, typed.browser, typed.email, typed.code, keys=keys, now=now)
    if verdict == "right":
        login_throttle.forget(session, attempt_id)
        login_throttle.forget_account(session, auth.account_key(typed.email))
    else:
        login_throttle.mark_failed(session, attempt_id)
    return verdict


def _finish_registration(
    session: Session, kept: dict[str, Any], typed: EnteredCode, origin: Origin, *, now: datetime
) -> CodeResult | None:
    """Create the account that was registered before the code was sent, and sign in to it. None if the clinic has begun
    to ask for more meanwhile: the person is then asked again, without a password.
    """
    try:
        registration.finish(session, kept, typed.email, now=now)
    except Invalid:
        return None
    sign_in_codes.use_proof(session, typed.browser, typed.email, now=now)
    # The password was typed in this browser, by the owner of the mailbox.
    entered = _open(session, typed._replace(known=True), origin, now=now)
    return entered._replace(made=True) if entered else None


def create_account(
    session: Session, command: NewPatient, typed: EnteredCode, origin: Origin, *, now: datetime
) -> CodeResult:
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


def _open(session: Session, typed: EnteredCode, origin: Origin, *, now: datetime) -> CodeResult | None:
    """Sign in to the account with this address; None if there is no such account."""
    query = sa.select(User.id, User.name, User.role, User.active).where(User.email == typed.email)
    row = session.execute(query.with_for_update(key_share=True)).one_or_none()
    if row is None:
        return None
    if not row.active:
        return CodeResult("expired")
    role = cast(Role, row.role)
    actor = Actor(row.id, 0, row.name, typed.email, role, origin.address)
    over = _confirm(session, actor, known=typed.known, now=now)
    sessions.forget_session(session, origin.previous)
    secret = sessions.start_session(
        session, row.id, address=origin.address, user_agent=origin.user_agent, now=now, how=sign_in_codes.ENTERING
    )
    return CodeResult("right", secret, role, over)


def _confirm(session: Session, actor: Actor, *, known: bool, now: datetime) -> bool:
    """Confirm the address, and join the record that waits; returns whether this ended a password or a session."""
    over = confirmation.confirm_by_code(session, actor.user_id, known=known, address=actor.address, now=now)
    if actor.role == "patient":
        if over:
            message_preferences.stop_texts(session, actor)
        if not joining.join_waiting_record(session, actor, now=now):
            joining.note_records_with_address(session, actor.user_id, now=now)
    return over
