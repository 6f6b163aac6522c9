"""The work of `docket user`: creates and manages accounts, and their ties to patients and doctors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from webapp.auth import queries, roles
from webapp.auth import service as auth
from webapp.auth.models import User
from webapp.auth.passwords import service as passwords
from webapp.auth.queries import UserFilter, UserRow
from webapp.auth.schemas import Email, PersonName, Role
from webapp.clinic.service import get_clinic
from webapp.core.email_address import normal_email
from webapp.database import Database
from webapp.doctors.models import Doctor
from webapp.exceptions import Conflict, Invalid, NotFound
from webapp.i18n import gettext as _
from webapp.patients import service as patients
from webapp.patients.schemas import Register

T = TypeVar("T")


def create_account(
    database: Database,
    *,
    role: Role,
    email: str,
    name: str,
    password: str,
    now: datetime,
    doctor: str | None = None,
) -> int:
    """Create a user, and a patient's record for a patient; bind a doctor's account to the doctor. Return the user's id.

    `doctor` is the doctor's slug. Without it the account is bound to no doctor, and its day view says what is missing.

    Raises:
        Invalid: the address, the name or the password is not acceptable, or the role and `doctor` do not match.
        EmailTaken: the account exists. NotFound, Conflict: there is no such doctor, or they have an account.
    """
    try:
        email, name = TypeAdapter(Email).validate_python(email), TypeAdapter(PersonName).validate_python(name)
    except ValidationError as error:
        raise Invalid(_("Enter an email address like name@example.org and a name of 2 to 120 characters.")) from error
    if role != "doctor" and doctor:
        raise Invalid(_("Only an account with the role doctor can have a doctor."))
    with database.reading() as session:
        clinic = get_clinic(session)
    words = [clinic.name, clinic.address]
    passwords.require_good_password(password, about=[name, email], clinic=words, field="password")
    password_hash = passwords.hash_password(password)

    def create(session: Session) -> int:
        if role == "patient":
            command = Register(name=name, email=email, password=password)
            return patients.register(session, command, password_hash, now=now)
        doctor_id = _lock_doctor_without_account(session, doctor) if doctor else None
        user_id = auth.create_user(session, email=email, name=name, password_hash=password_hash, role=role, now=now)
        if doctor_id is not None:
            session.execute(sa.update(Doctor).where(Doctor.id == doctor_id).values(user_id=user_id))
        return user_id

    return database.write(create)


def _lock_doctor_without_account(session: Session, slug: str) -> int:
    """Take the lock of a doctor who has no account yet, and return the id."""
    query = sa.select(Doctor.id, Doctor.user_id).where(Doctor.slug == slug).with_for_update(key_share=True)
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound(_("No doctor has the name %(slug)s in their address.") % {"slug": slug})
    if row.user_id is not None:
        raise Conflict(_("The doctor %(slug)s already has an account.") % {"slug": slug})
    return int(row.id)


def list_accounts(database: Database, wanted: UserFilter) -> list[UserRow]:
    """All accounts that match, the oldest first."""
    with database.reading() as session:
        return queries.list_users(session, wanted, limit=None)[::-1]


def set_active(database: Database, email: str, *, active: bool, now: datetime) -> bool:
    """Enable or disable an account as an admin would; returns whether that changed anything.

    Raises:
        NotFound: no account has this address. LastAdmin: no other admin could sign in.
    """

    def change(session: Session, user_id: int) -> bool:
        before = session.scalar(sa.select(User.active).where(User.id == user_id))
        (roles.enable_account if active else roles.disable_account)(session, None, user_id, now=now)
        return before is not active

    return _with_account(database, email, change)


def make_password_link(database: Database, email: str, *, now: datetime) -> str:
    """A new link with which the owner of the account chooses a password: its path. Older links end.

    Raises:
        NotFound: no account has this address. AccountDisabled.
    """

    def make(session: Session, user_id: int) -> str:
        return f"/password/reset/{roles.renew_password_link(session, None, user_id, now=now)}"

    return _with_account(database, email, make)


def reset_factor(database: Database, email: str, *, now: datetime) -> None:
    """Remove every second factor of an account whose owner lost the device, as another admin would.

    Raises:
        NotFound: no account has this address. NoFactor: it has no second factor.
    """

    def reset(session: Session, user_id: int) -> None:
        roles.reset_factor(session, None, user_id, get_clinic(session).letterhead, now=now)

    _with_account(database, email, reset)


def _with_account(database: Database, email: str, work: Callable[[Session, int], T]) -> T:
    """Run `work` with the id of the account with this address, in one transaction."""

    def run(session: Session) -> T:
        account = auth.find_account(session, email)
        if account is None:
            raise NotFound(_("No account has the email address %(email)s.") % {"email": normal_email(email)})
        return work(session, account.user_id)

    return database.write(run)
