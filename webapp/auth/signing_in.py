"""The steps of a log-in, for the log-in page and the API alike, and where it leads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from webapp.auth import login_throttle, service
from webapp.auth.exceptions import WrongCredentials
from webapp.auth.schemas import LogIn, Role
from webapp.auth.service import VerifiedLogin
from webapp.core.web import Page, local_path

T = TypeVar("T")

HOME: dict[Role, str] = {"patient": "/", "doctor": "/schedule", "admin": "/admin"}


def home_of(role: Role, wanted: str = "") -> str:
    """Where somebody goes after signing in: back to what they wanted, else to their role's first page."""
    return local_path(wanted, default=HOME[role]) if wanted else HOME[role]


def sign_in(page: Page, command: LogIn, finish: Callable[..., T], **more: Any) -> tuple[VerifiedLogin, T]:
    """Be admitted and judged, then `finish(session, attempt, verified, command, now=…)` in one transaction.

    The slow hash is computed while no lock and no connection is held.

    Raises:
        WrongCredentials, TooManyLogins, AttemptsUnderWay.
    """
    page.close()
    attempt = page.database.write(service.admit_login, command, now=page.now)
    account = service.find_account(page.session, command.email)
    page.close()
    try:
        verified = service.verify_login(account, command.password)
        done = page.database.write(finish, attempt, verified, command, now=page.now, **more)
    except WrongCredentials:
        page.database.write(login_throttle.judge, attempt)
        raise
    return verified, done
