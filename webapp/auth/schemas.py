"""Input and output types of accounts."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, StringConstraints

from webapp.core.email_address import mailable, normal_email
from webapp.core.strict_types import ONE_LINE
from webapp.events.kinds import DoneBy

# From the least to the most that a role may see; `receptionist` is the front desk on pages.
Role = Literal["patient", "receptionist", "doctor", "admin"]
# A program with an API token is no person: it has no password, no session and no pages.
MACHINE: Literal["machine"] = "machine"
ActorRole = Role | Literal["machine"]


# Control and format characters (bidi overrides, zero widths), surrogates, line and paragraph separators.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = "\u200c\u200d"


def readable_name(value: str) -> str:
    """A name is shown to others: it needs a letter and no invisible characters, except joiners that some scripts need.

    Raises:
        ValueError: the name would not look like what it is.
    """
    if not any(letter.isalpha() for letter in value):
        raise ValueError("A name needs at least one letter.")
    for place, letter in enumerate(value):
        joins = letter in JOINERS and 0 < place < len(value) - 1
        if unicodedata.category(letter) in UNSEEN and not joins:
            raise ValueError("A name must not contain invisible characters.")
    return value


def seen_address(value: str) -> str:
    """An e-mail address has no invisible characters, and no sequence that mail programs decode into another address.

    Raises:
        ValueError: this address has one, or no such domain can exist.
    """
    if "=?" in value or any(unicodedata.category(letter) in UNSEEN for letter in value):
        raise ValueError("An email address must not contain invisible characters.")
    mailable(value)
    return value


Email = Annotated[
    str,
    AfterValidator(normal_email),
    AfterValidator(seen_address),
    StringConstraints(max_length=254, pattern=r"^[^@\s,;\"<>()\\]+@[^@\s,;\"'<>()\\]+\.[^@\s.,;\"'<>()\\]+$"),
]
PersonName = Annotated[str, StringConstraints(min_length=2, max_length=120), ONE_LINE, AfterValidator(readable_name)]


# No account has this id. None would match every record without an account.
NO_ACCOUNT = 0


class Actor(NamedTuple):
    """The user who makes a request, as read for this request. `address` is the network address of the client.

    A program that acts with an API token has the role `machine`, and the name of the token.

    With `appointment_id` it is a client with the link to one appointment, instead of an account. The link was sent to
    `email` (which may be a telephone number) of the patient `patient_id`. For this actor only that appointment exists,
    and no patient's record; `user_id` is `NO_ACCOUNT`.
    """

    user_id: int
    session_id: int
    name: str
    email: str
    role: ActorRole
    address: str = ""
    appointment_id: int | None = None
    patient_id: int | None = None

    @property
    def by_link(self) -> bool:
        """Whether the actor is a client with a link from a message, instead of an account."""
        return self.appointment_id is not None

    @property
    def account_id(self) -> int | None:
        """The account id to store with an action; None for a client with a link."""
        return None if self.by_link else self.user_id

    @property
    def done_by(self) -> DoneBy:
        """The actor, as events name who did something."""
        return DoneBy(self.account_id, self.role, self.name, self.patient_id if self.by_link else None)

    @property
    def is_staff(self) -> bool:
        """Whether the actor works at the clinic, or for it."""
        return self.role != "patient"

    @property
    def sees_all(self) -> bool:
        """Whether all patients and appointments exist for the actor: the front desk, an admin, or a program."""
        return self.role == "receptionist" or self.manages

    @property
    def manages(self) -> bool:
        """Whether the actor sees and does what admins do: an admin, or a program within the scopes of its token."""
        return self.role in {"admin", MACHINE}


class LogIn(BaseModel):
    """An attempt to sign in, from a network address and perhaps from a browser that has signed in before.

    `by_api` says that it came through the API instead of our page: the two are counted apart.
    """

    email: str
    password: str
    address: str
    user_agent: str = ""
    known_device: str = ""
    by_api: bool = False


class PasswordResetRequest(BaseModel):
    """A request for a password reset, with the e-mail address of the account."""

    email: Email


class AskForCode(BaseModel):
    """A request for a code that signs in, with the e-mail address to which it goes."""

    email: Email


class ChangePassword(BaseModel):
    """A change of password. The current password proves who the user is; every other session of the account ends."""

    current: str
    new: str


class ChangeEmail(BaseModel):
    """A request for another e-mail address. The current password proves who the user is."""

    current: str
    email: Email


class SessionRow(NamedTuple):
    """One signed-in browser of an account, as its owner sees it. Instants are UTC."""

    id: int
    user_agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime
