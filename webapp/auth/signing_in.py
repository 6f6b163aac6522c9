"""The steps of a log-in, shared by the log-in page and the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from webapp.auth import login_throttle, service
from webapp.auth.exceptions import WrongCredentials
from webapp.auth.schemas import LogIn
from webapp.auth.service import VerifiedLogin
from webapp.database import Database

T = TypeVar("T")


def sign_in(
    database: Database, command: LogIn, finish: Callable[..., T], *, now: datetime, **more: Any
) -> tuple[VerifiedLogin, T]:
    """Admit and verify the attempt, then run `finish(session, attempt, verified, command, now=…)` in one transaction.

    The password is hashed, which is slow, while no lock and no connection is held: a page closes its session before.

    Raises:
        WrongCredentials, TooManyLogins, AttemptsUnderWay.
    """
    attempt = database.write(service.admit_login, command, now=now)
    with database.reading() as session:
        account = service.find_account(session, command.email)
    try:
        verified = service.verify_login(account, command.password)
        done = database.write(finish, attempt, verified, command, now=now, **more)
    except WrongCredentials:
        database.write(login_throttle.judge, attempt)
        raise
    return verified, done
