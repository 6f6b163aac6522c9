"""The steps of a sign-in, shared by the sign-in page and the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from webapp.audit.security_events import ObservedEvent
from webapp.auth import login_throttle, service
from webapp.auth.exceptions import WrongCredentials
from webapp.auth.schemas import LogIn
from webapp.auth.service import VerifiedLogin
from webapp.core.networks import network_of
from webapp.database import Database
from webapp.exceptions import Unavailable

T = TypeVar("T")


def admit(database: Database, command: LogIn, *, now: datetime) -> int:
    """Admit an attempt to sign in. A refusal is a security event of the network that was refused.

    Raises:
        TooManyLogins, AttemptsUnderWay.
    """
    how = "api" if command.by_api else "password"
    seen = ObservedEvent("sign_in_throttled", about=how, network=network_of(command.address))
    return login_throttle.admitted(database, service.admit_login, seen, now, command, now=now)


def sign_in(
    database: Database, command: LogIn, finish: Callable[..., T], *, now: datetime, **more: Any
) -> tuple[VerifiedLogin, T]:
    """Admit and verify the attempt, then run `finish(session, attempt, verified, command, now=…)` in one transaction.

    The password is hashed, which is slow, while no lock and no connection is held: a page closes its session before.

    Raises:
        WrongCredentials, TooManyLogins, AttemptsUnderWay, TooManyPasswords.
    """
    attempt = admit(database, command, now=now)
    with database.reading() as session:
        account = service.find_account(session, command.email)
    try:
        verified = service.verify_login(account, command.password)
        done = database.write(finish, attempt, verified, command, now=now, **more)
    except WrongCredentials:
        database.write(login_throttle.mark_failed, attempt, user_id=account.user_id if account else 0)
        raise
    except Unavailable:
        database.write(login_throttle.forget, attempt)
        raise
    return verified, done
