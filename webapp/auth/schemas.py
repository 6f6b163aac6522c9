"""What the accounts domain is told and what it tells."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, StringConstraints

Role = Literal["patient", "doctor", "admin"]


def normal_email(value: str) -> str:
    """E-mail addresses are compared and kept in lower case, without spaces around them."""
    return value.strip().lower()


Email = Annotated[
    str,
    AfterValidator(normal_email),
    StringConstraints(max_length=254, pattern=r"^\s*[^@\s]+@[^@\s]+\.[^@\s.]+\s*$"),
]
PersonName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=2, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")
]


class Actor(NamedTuple):
    """Whoever is signed in, as read for this request. `address` is where the request came from."""

    user_id: int
    session_id: int
    name: str
    email: str
    role: Role
    address: str = ""


class LogIn(BaseModel):
    """An attempt to log in, from a network address and perhaps a browser that has logged in before."""

    email: str
    password: str
    address: str
    user_agent: str = ""
    known_device: str = ""


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
