"""The errors that the service layer raises and that the pages, the API and the commands show.

An error is named after a fact. It carries the HTTP status, a stable code for programs and a sentence for people.
`field` names the form field that the sentence belongs to.
"""

from __future__ import annotations

from typing import Any, Self

from webapp.i18n import Sentence


class RetryStatus(int):
    """A status after which the same request may succeed, and in how many seconds.

    The two are one value, so that an answer with such a status always says when to try again.
    """

    retry_after: int

    def __new__(cls, status: int, *, retry_after: int) -> Self:
        made = super().__new__(cls, status)
        made.retry_after = retry_after
        return made


class AppError(Exception):
    """An error that is shown to the caller: `status` is HTTP's, `code` is for programs, `message` for people."""

    status = 500
    code = "error"
    # The title of the error page and the target of its link, if the defaults for the status are not specific enough.
    title: Sentence | None = None
    onward: tuple[tuple[Sentence, str], ...] = ()

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.field = field
        # Additional members for programs, such as other times that are free.
        self.members: dict[str, Any] = {}


class BadRequest(AppError):
    """The request itself is malformed; different form input would not help."""

    status = 400
    code = "bad_request"


class NotSignedIn(AppError):
    """The client is not signed in, and the page needs a sign-in."""

    status = 401
    code = "not_signed_in"


class Forbidden(AppError):
    """The actor is known and may not do this. The answer may reveal that the thing exists."""

    status = 403
    code = "forbidden"


class NotConfirmed(AppError):
    """The actor may do this, but has to prove again who they are; pages redirect to that proof, and back."""

    status = 403
    code = "not_confirmed"


class NotFound(AppError):
    """It does not exist, or the actor may not see it: the two look the same on purpose."""

    status = 404
    code = "not_found"


class Conflict(AppError):
    """The request clashes with the present state: another user was faster, or changed it meanwhile."""

    status = 409
    code = "conflict"


class WrongHost(AppError):
    """The request is for a name that is not ours."""

    status = 421
    code = "wrong_host"


class TooLarge(AppError):
    """The request is larger than any that our pages send."""

    status = 413
    code = "too_large"


class Invalid(AppError):
    """The input breaks a rule; the message says which one and what would be possible."""

    status = 422
    code = "invalid"


class TooManyAttempts(AppError):
    """Rate limited. `retry_after` is in seconds."""

    status = 429
    code = "too_many_attempts"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = RetryStatus(429, retry_after=retry_after)


class Unavailable(AppError):
    """The database is busy or cannot be reached; the same request may succeed in a moment."""

    status = RetryStatus(503, retry_after=2)
    code = "unavailable"
