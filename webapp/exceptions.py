"""The family of errors that the service layer raises and the faces (pages, API, commands) show.

An error is named as a fact and carries the HTTP status it means, a stable code for programs and a
sentence for people. `field` names the form field that the sentence belongs to.
"""

from __future__ import annotations

from typing import Any

from webapp.core.i18n import Sentence


class AppError(Exception):
    """Something the caller can be told: `status` is HTTP's, `code` is for programs, `message` for people."""

    status = 500
    code = "error"
    # What its page says above the sentence, and where the page leads, where others with this status say too little.
    title: Sentence | None = None
    onward: tuple[tuple[Sentence, str], ...] = ()

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.field = field
        # What programs read beside the sentence, such as other times that are free.
        self.members: dict[str, Any] = {}


class BadRequest(AppError):
    """The request itself is malformed; typing something else into a form would not help."""

    status = 400
    code = "bad_request"


class NotSignedIn(AppError):
    """Nobody is signed in, and the page is for somebody."""

    status = 401
    code = "not_signed_in"


class Forbidden(AppError):
    """The actor is known and may not do this, and knowing that it exists gives nothing away."""

    status = 403
    code = "forbidden"


class NotFound(AppError):
    """It does not exist, or it is a stranger's: the two look the same on purpose."""

    status = 404
    code = "not_found"


class Conflict(AppError):
    """The request clashes with the present state: somebody was faster, or edited it meanwhile."""

    status = 409
    code = "conflict"


class TooLarge(AppError):
    """The request is larger than any that our pages send."""

    status = 413
    code = "too_large"


class Invalid(AppError):
    """The input breaks a rule; the message says which and what would be possible."""

    status = 422
    code = "invalid"


class TooManyAttempts(AppError):
    """Throttled. `retry_after` is in seconds."""

    status = 429
    code = "too_many_attempts"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(AppError):
    """The database is busy or away; the same request may succeed in a moment."""

    status = 503
    code = "unavailable"
    retry_after = 2
