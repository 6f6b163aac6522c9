"""The steps of a registration, shared by the page and the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy.orm import Session

from webapp.audit.security_events import Seen
from webapp.auth import account_exists, login_throttle, passwords
from webapp.auth import service as auth
from webapp.auth.exceptions import EmailTaken, WrongCredentials
from webapp.auth.schemas import LogIn
from webapp.auth.service import VerifiedLogin
from webapp.auth.signing_in import sign_in
from webapp.clinic.service import get_clinic
from webapp.core.networks import network_of
from webapp.database import Database
from webapp.exceptions import AppError, Invalid, TooManyAttempts
from webapp.patients import service
from webapp.patients.schemas import Register

T = TypeVar("T")

# Within this time, a second registration with the same address and password is the same form again.
JUST_MADE = timedelta(minutes=30)


def register(
    database: Database, command: Register, finish: Callable[..., T], *more: object, address: str, now: datetime
) -> T:
    """Admit it, then run `finish(session, command, password_hash, *more, attempt_id=…, now=…)` in one transaction.

    The password is hashed, which is slow, while no lock and no connection is held: a page closes its session before.
    Weak passwords and wrong dates count as attempts, and are refused before anything is hashed.

    Raises:
        TooManyRegistrations, AttemptsUnderWay, EmailTaken. Invalid: the password or the date of birth.
    """
    seen = Seen("registration_throttled", network=network_of(address))
    attempt = login_throttle.admitted(database, login_throttle.admit_registration, seen, now, address=address, now=now)
    try:
        with database.reading() as session:
            clinic = get_clinic(session)
            # What the database would refuse afterwards must not cost a hash.
            service.checked(session, command, now=now)
        about, words = [command.name, command.email], [clinic.name, clinic.address]
        passwords.require_good_password(command.password, about=about, clinic=words, field="password")
        password_hash = passwords.hash_password(command.password)
        return database.write(finish, command, password_hash, *more, attempt_id=attempt, now=now)
    except EmailTaken:
        database.write(_refuse, attempt, command.email, now=now)
        raise
    except Invalid:
        database.write(login_throttle.judge, attempt)
        raise
    except AppError:
        database.write(login_throttle.forget, attempt)
        raise


def _refuse(session: Session, attempt_id: int, email: str, *, now: datetime) -> None:
    """Count the attempt, and tell the owner of the account, unless the same form made it a moment ago."""
    login_throttle.judge(session, attempt_id)
    letterhead = get_clinic(session).letterhead
    account_exists.tell_owner(session, email, letterhead, made_before=now - JUST_MADE, now=now)


def sign_in_again(database: Database, login: LogIn, *, previous: str, now: datetime) -> str | None:
    """Sign in to the account that the same form made a moment ago, and return the session's secret id, or None.

    To tell no more than the log-in does, it counts and takes as long as an attempt to log in, also where the account is
    older and stays closed.
    """
    try:
        return sign_in(database, login, _finish, previous=previous, now=now)[1]
    except (WrongCredentials, TooManyAttempts):
        return None


def _finish(
    session: Session, attempt_id: int, verified: VerifiedLogin, login: LogIn, *, now: datetime, previous: str
) -> str | None:
    if verified.role != "patient" or not auth.is_made_since(session, verified.user_id, now - JUST_MADE):
        login_throttle.forget(session, attempt_id)
        return None
    return auth.finish_login(session, attempt_id, verified, login, now=now, previous=previous)
