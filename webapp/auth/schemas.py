"""What the accounts domain is told and what it tells."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, StringConstraints

from webapp.events.kinds import DoneBy

Role = Literal["patient", "doctor", "admin"]


def normal_email(value: str) -> str:
    """E-mail addresses are compared and kept in lower case, without spaces around them."""
    return value.strip().lower()


# Control and format characters (bidi overrides, zero widths), halves of pairs, line and paragraph separators.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = "\u200c\u200d"


def readable_name(value: str) -> str:
    """Names are shown to others: they have a letter and nothing unseen, but for the joiners that some scripts need.

    Raises:
        ValueError: it cannot be shown as what it is.
    """
    if not any(letter.isalpha() for letter in value):
        raise ValueError("A name has a letter.")
    for place, letter in enumerate(value):
        joins = letter in JOINERS and 0 < place < len(value) - 1
        if unicodedata.category(letter) in UNSEEN and not joins:
            raise ValueError("A name has no unseen characters.")
    return value


def seen_address(value: str) -> str:
    """E-mail addresses have no unseen characters either, and none that mail programs read as others.

    Raises:
        ValueError: this one has.
    """
    if "=?" in value or any(unicodedata.category(letter) in UNSEEN for letter in value):
        raise ValueError("An e-mail address has no unseen characters.")
    return value


Email = Annotated[
    str,
    AfterValidator(normal_email),
    AfterValidator(seen_address),
    StringConstraints(max_length=254, pattern=r"^[^@\s,;\"<>()\\]+@[^@\s,;\"'<>()\\]+\.[^@\s.,;\"'<>()\\]+$"),
]
PersonName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=2, max_length=120), AfterValidator(readable_name)
]


# No account has this id. None would be equal to the account of everybody who has none.
NO_ACCOUNT = 0


class Actor(NamedTuple):
    """Whoever is signed in, as read for this request. `address` is where the request came from.

    With `visit_id` it is nobody with an account, but whoever holds the link to that one visit that was sent to `email`
    (which may be a telephone number): a patient for whom no other visit, and no patient's record, exists. The address
    is that of the patient `patient_id`, and `user_id` is `NO_ACCOUNT`.
    """

    user_id: int
    session_id: int
    name: str
    email: str
    role: Role
    address: str = ""
    visit_id: int | None = None
    patient_id: int | None = None

    @property
    def by_link(self) -> bool:
        """Whether this is whoever holds a link that was sent to somebody."""
        return self.visit_id is not None

    @property
    def account_id(self) -> int | None:
        """The account as it is written down with a deed; whoever holds a link acts without one."""
        return None if self.by_link else self.user_id

    @property
    def done_by(self) -> DoneBy:
        """The actor, as events name who did it."""
        return DoneBy(self.account_id, self.role, self.name, self.patient_id if self.by_link else None)

    @property
    def is_staff(self) -> bool:
        """Whether this is somebody who works at the clinic."""
        return self.role != "patient"


class LogIn(BaseModel):
    """An attempt to log in, from a network address and perhaps a browser that has logged in before."""

    email: str
    password: str
    address: str
    user_agent: str = ""
    known_device: str = ""


class ForgottenPassword(BaseModel):
    """Somebody cannot log in any more, and says with which address they did."""

    email: Email


class ChangePassword(BaseModel):
    """The current password proves who asks; every other session of the account ends."""

    current: str
    new: str


class SessionRow(NamedTuple):
    """One signed-in browser of an account, as its owner sees it. Instants are UTC."""

    id: int
    user_agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime
