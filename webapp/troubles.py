"""Problems of a database that refuses or does not answer, and the sentences about them. They are not errors of ours:
the same request succeeds when the database works again. So people get a sentence that says so, a 503 and a time at
which to try again, and the operator gets the cause.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from webapp.causes import report
from webapp.exceptions import RetryStatus, Unavailable
from webapp.i18n import Sentence
from webapp.i18n import lazy_gettext as _l

logger = logging.getLogger(__name__)


class Trouble(NamedTuple):
    """One kind of trouble: its name for operators, and the title and sentence for people.

    `answers_reads` says whether other pages can still be shown.
    """

    name: str
    title: Sentence
    sentence: Sentence
    retry_after: int
    answers_reads: bool


_NO_ANSWER = (
    _l("Our booking system isn’t answering"),
    _l("Nothing has changed. Please try again in a few minutes, or call us."),
)
_NO_SAVING = (
    _l("We can’t save anything right now"),
    _l("Nothing has changed. You can still look at times. Please try again in a few minutes, or call us."),
)
_BUSY = (_l("We’re very busy"), _l("The booking system is very busy. Please try again in a moment."))

LOCKED = Trouble("locked", *_BUSY, retry_after=2, answers_reads=True)
NO_CONNECTION = Trouble("all connections in use", *_BUSY, retry_after=2, answers_reads=False)
SLOW = Trouble("not answering", *_NO_ANSWER, retry_after=10, answers_reads=False)
UNREACHABLE = Trouble("unreachable", *_NO_ANSWER, retry_after=10, answers_reads=False)
FULL = Trouble("disk full", *_NO_SAVING, retry_after=30, answers_reads=True)
READ_ONLY = Trouble("read-only", *_NO_SAVING, retry_after=30, answers_reads=True)
UNSURE = Trouble(
    "lost while saving",
    _l("We don’t know if that was saved"),
    _l("Our booking system stopped answering while it was saving. Check if your change is there before you try again."),
    retry_after=10,
    answers_reads=False,
)

# PostgreSQL's codes, by their beginnings; the first that fits counts.
_STATES = {
    "40001": LOCKED,
    "40P01": LOCKED,
    "55P03": LOCKED,
    "57014": SLOW,
    "25006": READ_ONLY,
    "25P03": SLOW,
    "53100": FULL,
    "53": UNREACHABLE,
    "08": UNREACHABLE,
    "57P": UNREACHABLE,
    "58": UNREACHABLE,
}
# SQLite's names, likewise.
_NAMES = {
    "SQLITE_BUSY": LOCKED,
    "SQLITE_LOCKED": LOCKED,
    "SQLITE_PROTOCOL": LOCKED,
    "SQLITE_FULL": FULL,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_INTERRUPT": SLOW,
    "SQLITE_IOERR": UNREACHABLE,
    "SQLITE_CANTOPEN": UNREACHABLE,
}


class DatabaseTrouble(Unavailable):
    """The database refuses or does not answer. `cause` is its message in one line, for the log."""

    def __init__(self, trouble: Trouble, cause: BaseException) -> None:
        super().__init__(str(trouble.sentence))
        self.trouble = trouble
        self.title = trouble.title
        self.status = RetryStatus(503, retry_after=trouble.retry_after)
        self.cause = cause_in_words(cause)

    def report(self) -> None:
        """Log it, once a minute for each cause."""
        kind = self.cause.partition(":")[0]
        report(logger, logging.WARNING, f"database {self.trouble.name} ({kind})", "%s", self)

    def __str__(self) -> str:
        return f"The database is {self.trouble.name}: {self.cause}"


def sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's five-letter error code, or None on SQLite."""
    return getattr(error.orig, "sqlstate", None)


def trouble_of(error: SQLAlchemyError, *, writing: bool) -> Trouble | None:
    """The problem of the database; None if the database works, and our statement is wrong.

    A write in a session for reading is refused too, and is an error of ours: `writing` tells the two apart.
    """
    if isinstance(error, PoolTimeoutError):
        return NO_CONNECTION
    if not isinstance(error, DBAPIError):
        return None
    state, name = sqlstate(error), getattr(error.orig, "sqlite_errorname", None)
    if state is not None:
        found = _first(_STATES, state)
        return None if found is READ_ONLY and not writing else found or _if_broken(error)
    if name is not None:
        return _first(_NAMES, name)
    return _if_broken(error)


def trouble_from(error: SQLAlchemyError) -> DatabaseTrouble | None:
    """The error to raise instead of that of a read; None if the database works."""
    trouble = trouble_of(error, writing=False)
    return DatabaseTrouble(trouble, error) if trouble is not None else None


def cause_in_words(error: BaseException) -> str:
    """The database's message in one line. These messages are about the server, so they contain no rows."""
    said = getattr(error, "orig", None) or error
    state = getattr(said, "sqlstate", None) or getattr(said, "sqlite_errorname", None)
    first_line = str(said).strip().partition("\n")[0]
    return f"{type(said).__name__}{f' {state}' if state else ''}: {first_line}"


def _first(known: dict[str, Trouble], word: str) -> Trouble | None:
    return next((trouble for beginning, trouble in known.items() if word.startswith(beginning)), None)


def _if_broken(error: DBAPIError) -> Trouble | None:
    """The problem if a connection cannot be opened, or broke: the drivers have no code for that."""
    if isinstance(error, OperationalError) and "locked" in str(error.orig):
        return LOCKED
    said = str(error.orig)
    if isinstance(error, OperationalError) and "in time" in said:
        return SLOW
    if error.connection_invalidated or (isinstance(error, OperationalError) and _is_of_connection(said)):
        return UNREACHABLE
    return None


def _is_of_connection(said: str) -> bool:
    return any(word in said for word in ("connection", "resolve host", "unable to open"))
