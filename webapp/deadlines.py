"""How long a request may wait for its database: all noticeable waits together have five seconds.

A request that waits longer keeps a thread and a connection from others, and the person who sent it has probably left.
So everything that waits, for a connection, a lock or an answer, asks here how long it may wait, and reports how long it
did. Short waits are not counted, because work with many quick statements does not hang. Work without a deadline, such
as a migration or a worker, has the whole patience of its database at each wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

# Users get an answer within six seconds, even if something hangs.
REQUEST_SECONDS = 5.0
NOTICEABLE_SECONDS = 0.5
# A healthy database answers in this time. After one long wait, the rest of the work is still tried.
GRACE_SECONDS = 0.3


class Deadline:
    """The rest of a request's time for waiting; None after it was lifted."""

    __slots__ = ("left",)

    def __init__(self, seconds: float) -> None:
        self.left: float | None = seconds

    def lose(self, seconds: float) -> None:
        """Subtract a wait that has just ended."""
        if self.left is not None and seconds >= NOTICEABLE_SECONDS:
            self.left = max(self.left - seconds, 0.0)

    def lift(self) -> None:
        """Let the request take its time: it sends rows as it reads them."""
        self.left = None


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)
current_deadline = _current.get


@contextmanager
def waiting_at_most(seconds: float | None = None) -> Iterator[None]:
    """Limit the waits of a block, in this thread and in threads that get a copy of its context.

    By default the block has the time of a request.
    """
    token = _current.set(Deadline(REQUEST_SECONDS if seconds is None else seconds))
    try:
        yield
    finally:
        _current.reset(token)


def seconds_left(most: float) -> float:
    """How long the current work may wait now: `most`, or what is left until its deadline, and a moment in any case."""
    deadline = _current.get()
    return most if deadline is None or deadline.left is None else max(min(deadline.left, most), GRACE_SECONDS)


class counted_wait:  # noqa: N801 - it is used like a function.
    """Counts the time of the block as waiting. Each query enters it, so it is no generator."""

    __slots__ = ("_began", "_deadline")

    def __enter__(self) -> None:
        self._deadline, self._began = _current.get(), monotonic()

    def __exit__(self, *_error: object) -> None:
        if self._deadline is not None:
            self._deadline.lose(monotonic() - self._began)


def lift_deadline() -> None:
    """Let the current request take its time."""
    deadline = _current.get()
    if deadline is not None:
        deadline.lift()
