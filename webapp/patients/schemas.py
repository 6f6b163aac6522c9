"""Input and output types of patients."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, NamedTuple

from pydantic import BaseModel, StringConstraints

from webapp.auth.schemas import Email, PersonName, Role
from webapp.core.strict_types import BARE

# `core/phones.py` reads the number, for which it needs the clinic's country.
Phone = Annotated[str, StringConstraints(max_length=60), BARE]


class Register(BaseModel):
    """A new account for a patient."""

    name: PersonName
    email: Email
    password: str
    phone: Phone = ""
    birth_date: date | None = None


class NewPatient(BaseModel):
    """A new account for a patient who has proved that the address is theirs, and has no password."""

    name: PersonName
    email: Email
    phone: Phone = ""
    birth_date: date | None = None


class Origin(NamedTuple):
    """The browser that registers, and the secret of its previous session, if any."""

    address: str
    user_agent: str = ""
    previous: str = ""


class UpdateProfile(BaseModel):
    """A patient's own data, as the clinic should keep it."""

    name: PersonName
    phone: Phone = ""
    birth_date: date | None = None


class MessagePreferences(BaseModel):
    """Which messages about appointments a patient wants."""

    wants_email: bool
    wants_sms: bool


class PatientDetails(BaseModel):
    """A patient's data as staff keep it. The e-mail address is the account's where the patient has an account."""

    name: PersonName
    birth_date: date | None = None
    phone: Phone = ""
    email: Email | None = None


class PatientNotes(BaseModel):
    """The notes of staff about a patient: an alert in a word or two, and a note."""

    alert: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)] = ""
    desk_note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = ""


class RecordDetails(PatientDetails, PatientNotes):
    """A patient's data and notes as staff enter them."""


class RecordSnapshot(BaseModel):
    """A record as it was. Instants are UTC."""

    name: str
    birth_date: date | None
    phone: str
    email: str
    wants_email: bool
    wants_sms: bool
    alert: str
    desk_note: str
    managed_by_id: int | None
    managed_since: datetime | None
    managed_until: datetime | None
    managed_told_at: datetime | None
    created_at: datetime


class JoinSnapshot(BaseModel):
    """The changes of a joining: the record that is gone, the other one before and after, and what was moved.

    `account` is the account that moved, and the lists hold the ids of what moved with the record.
    """

    gone: RecordSnapshot
    before: RecordSnapshot
    after: RecordSnapshot
    account: int | None
    appointments: list[int]
    people: list[int]
    messages: list[int]
    # Joins of earlier releases lack it.
    walk_ins: list[int] = []


class Contact(NamedTuple):
    """How a patient is reached; '' where it is not known."""

    email: str
    phone: str


class Profile(NamedTuple):
    """A patient's own data."""

    name: str
    phone: str
    birth_date: date | None


class PatientChoice(NamedTuple):
    """A patient whom the actor may book for; `is_self` marks the actor's own record."""

    id: int
    name: str
    is_self: bool


class Person(NamedTuple):
    """A person whom the actor books for. A person with an account manages their own data.

    `managed_until` is when the actor stops booking for them, in UTC; None where that does not end by itself.
    """

    id: int
    name: str
    birth_date: date | None
    phone: str
    has_account: bool
    managed_until: datetime | None = None


class Account(NamedTuple):
    """The account that a patient signs in with. `new_email` is the address that its owner has still to confirm, or ''.

    `confirmed`: its owner has followed the link that was sent to the address.
    """

    user_id: int
    email: str
    active: bool
    role: Role
    confirmed: bool
    new_email: str


class PatientRecord(NamedTuple):
    """A patient as staff see them: who books for them, and whom they book for. Instants are UTC.

    `closed_at`: the record is locked and will be erased on `erase_on`; if that is None, it is erased already.
    """

    id: int
    name: str
    birth_date: date | None
    phone: str
    email: str
    created_at: datetime
    account: Account | None
    manager: Person | None
    people: list[Person]
    closed_at: datetime | None = None
    erase_on: date | None = None
    alert: str = ""
    desk_note: str = ""
