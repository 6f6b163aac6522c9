"""Why requests fail, for the operator: each cause is logged once a minute, with the number of repetitions.

If the database is away, every request fails. A line for each of them would fill the disk and hide the line with the
reason. The request's own line in the log repeats the name of the cause.
"""

from __future__ import annotations

import logging
import secrets
import threading
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from weakref import WeakSet

MINUTE = 60.0
# Causes beyond this number, in one minute, are counted together.
MOST_CAUSES = 200
OTHERS = "other causes"
PACKAGE = Path(__file__).resolve().parent
DATABASE = {str(PACKAGE / "database.py"), str(PACKAGE / "engines.py")}


class Trace:
    """A request in progress: its id, the pattern of its route, and the name of the cause of its failure."""

    __slots__ = ("cause", "id", "route")

    def __init__(self, number: str) -> None:
        self.id = number
        self.route = ""
        self.cause = ""


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)
# The middleware that logs requests sets it; threads that work for a request inherit it.
begin_trace, end_trace = _current.set, _current.reset


def new_request_id() -> str:
    """An id that can be read out on the telephone."""
    return secrets.token_hex(5)


def request_id() -> str | None:
    """The id of the request that is being answered here; None outside of requests."""
    trace = _current.get()
    return trace.id if trace is not None else None


def note_route(pattern: str) -> None:
    """Remember the pattern of the route that answers. Unlike the path, it has no reference or secret in it."""
    trace = _current.get()
    if trace is not None:
        trace.route = pattern


def note_cause(cause: str) -> None:
    """Remember why the request fails, for its own line in the log."""
    trace = _current.get()
    if trace is not None:
        trace.cause = cause


class OncePerMinute:
    """Lets the first of many equal events of a minute through, and reports the number of the others at its end.

    `later` calls a function after a minute.
    """

    def __init__(self, later: Callable[[Callable[[], None]], None] | None = None) -> None:
        self._later = later or _after_a_minute
        self._more: dict[str, int] = {}
        self._lock = threading.Lock()
        _all.add(self)

    def is_first(self, cause: str, say_more: Callable[[str, int], None]) -> bool:
        """Whether this event is the first of its cause. `say_more` gets the number of the others, once a minute."""
        with self._lock:
            if cause not in self._more and len(self._more) >= MOST_CAUSES:
                cause = OTHERS
            if cause in self._more:
                self._more[cause] += 1
                return False
            self._more[cause] = 0
        self._later(lambda: self._end_minute(cause, say_more))
        return True

    def _end_minute(self, cause: str, say_more: Callable[[str, int], None]) -> None:
        with self._lock:
            more = self._more.pop(cause, 0)
            if more:
                self._more[cause] = 0
        if more:
            say_more(cause, more)
            # The cause continues, so the next minute has only such a line.
            self._later(lambda: self._end_minute(cause, say_more))

    def forget(self) -> None:
        """Forget earlier events: the next event counts as the first of its cause."""
        with self._lock:
            self._more.clear()


_all: WeakSet[OncePerMinute] = WeakSet()
_running: set[threading.Timer] = set()


def _after_a_minute(function: Callable[[], None]) -> None:
    def end() -> None:
        _running.discard(timer)
        function()

    timer = threading.Timer(MINUTE, end)
    timer.daemon = True
    _running.add(timer)
    timer.start()


_said = OncePerMinute()


def end_minutes() -> None:
    """Log the numbers of the present minutes now, and nothing later, because the process is about to end."""
    for timer in list(_running):
        timer.cancel()
        timer.function()
    forget_causes()


def forget_causes() -> None:
    """Forget earlier events without reporting them, so that each test starts a new minute."""
    for timer in list(_running):
        timer.cancel()
    _running.clear()
    for once in list(_all):
        once.forget()


def report(
    logger: logging.Logger, level: int, cause: str, message: str, *values: object, error: BaseException | None = None
) -> None:
    """Log why requests or other work fail: the first time in a minute with this message, then with a number.

    `cause` names the kind of failure: all failures with the same reason have the same one.
    """
    note_cause(cause)

    def say_more(cause: str, more: int) -> None:
        logger.log(level, "… and %d more in the last minute: %s", more, cause)

    if _said.is_first(f"{logger.name} {cause}", lambda _name, more: say_more(cause, more)):
        logger.log(level, message, *values, exc_info=error)


def cause_of(error: BaseException) -> str:
    """The name of an unexpected error: its type, the database's code if it has one, and where it happened."""
    said = getattr(error, "orig", None)
    code = getattr(said, "sqlstate", None) or getattr(said, "sqlite_errorname", None)
    return f"{type(error).__name__}{f' {code}' if code else ''} at {place_of(error)}"


def place_of(error: BaseException) -> str:
    """The innermost line of ours in a traceback, else the innermost of all: 'core/web.py:90'."""
    frames = traceback.extract_tb(error.__traceback__)
    # Every query passes through the database's modules, so these lines say nothing about the place.
    ours = [frame for frame in frames if frame.filename.startswith(str(PACKAGE)) and frame.filename not in DATABASE]
    if not frames:
        return "an unknown place"
    innermost = (ours or frames)[-1]
    return f"{innermost.filename.removeprefix(f'{PACKAGE}/')}:{innermost.lineno}"


class OncePerMinuteFilter(logging.Filter):
    """Lets warnings and errors of libraries through once a minute. Our own loggers limit themselves."""

    def __init__(self) -> None:
        super().__init__()
        self._said = OncePerMinute()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it."""
        if record.levelno < logging.WARNING or record.name.partition(".")[0] in {"webapp", "docket"}:
            return True
        error = record.exc_info[1] if record.exc_info else None
        cause = f"{str(record.msg).partition(chr(10))[0][:200]}{f' ({cause_of(error)})' if error else ''}"
        if getattr(record, "is_number", False):
            return True

        def say_more(cause: str, more: int) -> None:
            line = "… and %d more in the last minute: %s"
            logging.getLogger(record.name).log(record.levelno, line, more, cause, extra={"is_number": True})

        return self._said.is_first(cause, say_more)
