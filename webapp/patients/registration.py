"""The steps of a registration, for the page and the API alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from webapp.auth import login_throttle, passwords
from webapp.auth.exceptions import EmailTaken
from webapp.core.web import Page
from webapp.exceptions import AppError
from webapp.patients.schemas import Register

T = TypeVar("T")


def register(page: Page, command: Register, finish: Callable[..., T], *more: object) -> T:
    """Be admitted, then `finish(session, command, password_hash, *more, attempt_id=…, now=…)` in one transaction.

    The slow hash is computed while no lock and no connection is held. Weak passwords and wrong dates do not count as
    attempts.

    Raises:
        TooManyRegistrations, AttemptsUnderWay, EmailTaken. Invalid: the password or the date of birth.
    """
    page.close()
    attempt = page.database.write(login_throttle.admit_registration, address=page.address, now=page.now)
    try:
        passwords.require_good_password(command.password, about=[command.name, command.email], field="password")
        password_hash = passwords.hash_password(command.password)
        return page.database.write(finish, command, password_hash, *more, attempt_id=attempt, now=page.now)
    except EmailTaken:
        page.database.write(login_throttle.judge, attempt)
        raise
    except AppError:
        page.database.write(login_throttle.forget, attempt)
        raise
