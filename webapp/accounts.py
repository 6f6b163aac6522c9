"""Creating an account of any role, for the command line: it knows patients as well as users."""

from __future__ import annotations

from datetime import datetime

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from webapp.auth import passwords
from webapp.auth import service as auth
from webapp.auth.schemas import Email, PersonName, Role
from webapp.database import Database
from webapp.exceptions import Invalid
from webapp.patients import service as patients
from webapp.patients.schemas import Register


def create_account(database: Database, *, role: Role, email: str, name: str, password: str, now: datetime) -> int:
    """Create a user, for a patient with the patient's record, and return the user's id.

    Raises:
        Invalid: the address, the name or the password will not do. EmailTaken: the account exists.
    """
    try:
        email, name = TypeAdapter(Email).validate_python(email), TypeAdapter(PersonName).validate_python(name)
    except ValidationError as error:
        raise Invalid("Give an e-mail address like name@example.org and a name of 2 to 120 characters.") from error
    passwords.require_good_password(password, about=[name, email], field="password")
    password_hash = passwords.hash_password(password)

    def create(session: Session) -> int:
        if role == "patient":
            command = Register(name=name, email=email, password=password)
            return patients.register(session, command, password_hash, now=now)
        return auth.create_user(session, email=email, name=name, password_hash=password_hash, role=role, now=now)

    return database.write(create)
