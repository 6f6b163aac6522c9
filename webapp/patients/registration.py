"""The steps of a registration, shared by the page and the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from webapp.auth import login_throttle, passwords
from webapp.auth.exceptions import EmailTaken
from webapp.database import Database
from webapp.exceptions import AppError
from webapp.patients.schemas import Register

T = TypeVar("T")


def register(
    database: Database, command: Register, finish: Callable[..., T], *more: object, address: str, now: datetime
) -> T:
    """Admit it, then run `finish(session, command, password_hash, *more, attempt_id=…, now=…)` in one transaction.

    The password is hashed, which is slow, while no lock and no connection is held: a page closes its session before.
    Weak passwords and wrong dates do not count as attempts.

    Raises:
        TooManyRegistrations, AttemptsUnderWay, EmailTaken. Invalid: the password or the date of birth.
    """
    attempt = database.write(login_throttle.admit_registration, address=address, now=now)
    try:
        passwords.require_good_password(command.password, about=[command.name, command.email], field="password")
        password_hash = passwords.hash_password(command.password)
        return database.write(finish, command, password_hash, *more, attempt_id=attempt, now=now)
    except EmailTaken:
        database.write(login_throttle.judge, attempt)
        raise
    except AppError:
        database.write(login_throttle.forget, attempt)
        raise
