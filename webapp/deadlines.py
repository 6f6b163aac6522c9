"""How long a request may wait for its database: all of its waits together have five seconds.

A request that waits longer keeps a thread and a connection from others, and the person who sent it has gone away. So
everything that waits, for a connection, a lock or an answer, asks here how long it may. Work without a deadline, such
as a migration or a worker, has the whole patience of its database at each wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

# From the first wait of a request to its last. A person is answered within six seconds, come what may.
REQUEST_SECONDS = 5.0


class Deadline:
    """The end of a request's waiting. It is set when the request first waits, and may be lifted."""

    __slots__ = ("_ends", "_seconds")

    def __init__(self, seconds: float = REQUEST_SECONDS) -> None:
        self._seconds: float | None = seconds
        self._ends = 0.0

    def left(self) -> float | None:
        """How many seconds are left, at least 0; None if it was lifted."""
        if self._seconds is None:
            return None
        now = monotonic()
        if not self._ends:
            self._ends = now + self._seconds
        return max(self._ends - now, 0.0)

    def lift(self) -> None:
        """Let the request take its time: it sends rows as it reads them."""
        self._seconds = None


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def waiting_at_most(seconds: float = REQUEST_SECONDS) -> Iterator[Deadline]:
    """Bound the waits of a block, in this thread and in those that it hands its context on to."""
    deadline = Deadline(seconds)
    token = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(token)


def seconds_left(most: float | None = None) -> float | None:
    """How long the current work may wait: until its deadline, and `most`; None if nothing bounds it."""
    deadline = _current.get()
    left = deadline.left() if deadline is not None else None
    if left is None or most is None:
        return most if left is None else left
    return min(left, most)


def lift_deadline() -> None:
    """Let the current request take its time."""
    deadline = _current.get()
    if deadline is not None:
        deadline.lift()
