"""The steps of a registration, shared by the page and the API.

The page never reveals who has an account: each registration is kept until the code that goes to its address is entered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from webapp.audit.security_events import ObservedEvent
from webapp.auth import login_throttle
from webapp.auth.addresses import account_exists
from webapp.auth.exceptions import EmailTaken
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import AskForCode
from webapp.auth.sign_in import sign_in_codes
from webapp.auth.sign_in.sign_in_codes import AskingBrowser
from webapp.clinic.service import get_clinic
from webapp.core.networks import network_of
from webapp.database import Database
from webapp.exceptions import AppError, Invalid
from webapp.patients import service
from webapp.patients.schemas import Register

T = TypeVar("T")

# Within this time, a second registration with the same address and password is the same form again.
JUST_MADE = timedelta(minutes=30)


def register(
    database: Database, command: Register, finish: Callable[..., T], *more: object, address: str, now: datetime
) -> T:
    """Admit the attempt, then finish it in one transaction.

    `finish(session, command, password_hash, *more, attempt_id=…, now=…)` gives the result.

    The password is hashed, which is slow, while no lock and no connection is held: a page closes its session before.
    Weak passwords and wrong dates count as attempts, and are refused before anything is hashed.

    Raises:
        TooManyRegistrations, AttemptsUnderWay, EmailTaken. Invalid: the password or the date of birth.
    """
    seen = ObservedEvent("registration_throttled", network=network_of(address))
    attempt = login_throttle.admitted(database, login_throttle.admit_registration, seen, now, address=address, now=now)
    try:
        with database.reading() as session:
            clinic = get_clinic(session)
            # Data that the database would refuse afterwards must not cost a hash.
            service.require_details(command, clinic)
            service.checked(session, command, now=now)
        about, words = [command.name, command.email], [clinic.name, clinic.address]
        passwords.require_good_password(command.password, about=about, clinic=words, field="password")
        password_hash = passwords.hash_password(command.password)
        return database.write(finish, command, password_hash, *more, attempt_id=attempt, now=now)
    except EmailTaken:
        database.write(_refuse, attempt, command.email, now=now)
        raise
    except Invalid:
        database.write(login_throttle.mark_failed, attempt)
        raise
    except AppError:
        database.write(login_throttle.forget, attempt)
        raise


def _refuse(session: Session, attempt_id: int, email: str, *, now: datetime) -> None:
    """Count the attempt, and tell the owner of the account, unless the same form made it a moment ago."""
    login_throttle.mark_failed(session, attempt_id)
    letterhead = get_clinic(session).letterhead
    account_exists.tell_owner(session, email, letterhead, made_before=now - JUST_MADE, now=now)


def ask_for_code(
    session: Session,
    command: Register,
    password_hash: str,
    asked: AskingBrowser,
    letterhead: dict[str, str],
    keys: Sequence[str],
    *,
    attempt_id: int,
    now: datetime,
) -> None:
    """Keep the registration until the code that this sends to its address is entered; the same for every address.

    Raises:
        TooManyCodes: too many codes were requested from this network.
    """
    login_throttle.count(session, attempt_id)
    shown = get_clinic(session).privacy_document
    kept = command.model_dump(mode="json", exclude={"email", "password"}) | {"hash": password_hash, "shown": shown}
    wanted = AskForCode(email=command.email)
    sign_in_codes.send(session, wanted, asked, letterhead, keys=keys, now=now, registration=kept)


def finish(session: Session, kept: dict[str, Any], email: str, *, now: datetime) -> int:
    """Create the account of a registration that was kept, now that the code was right; returns the user's id.

    Raises:
        EmailTaken, Invalid: see `patients.service.register`.
    """
    command = Register(email=email, password="", **{name: kept[name] for name in ("name", "phone", "birth_date")})
    return service.register_confirmed(session, command, kept["hash"], shown=kept["shown"], now=now)
