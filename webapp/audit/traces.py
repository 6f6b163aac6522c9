"""Traces that are written after the answer was sent, by each process for itself: reads by staff, and refusals.

A reader must not wait for the write lock, and an attacker must not hold it: a page that is read or refused only leaves
its trace here, in memory. The next answer takes all traces to the database in one transaction, at most once a second.
Traces that could not be written wait for the next time. A process that is killed loses those of its last second; so
sign-ins are not recorded here, but with the session that they open.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from time import monotonic

from sqlalchemy.orm import Session

from webapp.audit.security_events import ObservedEvent, record_counted, tally
from webapp.database import Database
from webapp.exceptions import AppError

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000
# At most this many different refusals wait at the same time; of further ones only the number is kept.
MOST_DIFFERENT = 1000
SECONDS_BETWEEN = 1.0

Work = Callable[[Session], object]


class Traces:
    """The traces of one process. It is thread-safe; `every` is the least number of seconds between two transactions."""

    def __init__(self, database: Database, *, every: float = SECONDS_BETWEEN) -> None:
        self.every = every
        self._database = database
        self._lock, self._writing = Lock(), Lock()
        self._works: deque[Work] = deque(maxlen=MOST_WAITING)
        self._seen: Counter[tuple[ObservedEvent, datetime]] = Counter()
        self._tried = float("-inf")

    def put(self, work: Work) -> None:
        """Keep a trace; `work` writes it. If far too many wait, because nothing can be written, the oldest are lost."""
        with self._lock:
            self._works.append(work)

    def saw(self, seen: ObservedEvent, *, now: datetime) -> None:
        """Count a security event of this minute."""
        minute = now.replace(second=0, microsecond=0)
        tally.note(seen, 1, minute)
        with self._lock:
            if (seen, minute) not in self._seen and len(self._seen) >= MOST_DIFFERENT:
                seen = ObservedEvent(seen.action)
            self._seen[seen, minute] += 1

    @property
    def waiting(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._works or self._seen)

    @property
    def due(self) -> bool:
        """Whether there is anything to write, and the last transaction was long enough ago."""
        return self.waiting and monotonic() - self._tried >= self.every

    def flush(self) -> None:
        """Write what waits, unless another thread is writing. No error leaves this function."""
        if not self._writing.acquire(blocking=False):
            return
        try:
            self._tried = monotonic()
            works, seen = self._take()
            if works or seen:
                self._write(works, seen)
        finally:
            self._writing.release()

    def _take(self) -> tuple[list[Work], Counter[tuple[ObservedEvent, datetime]]]:
        with self._lock:
            works, seen = list(self._works), self._seen
            self._works.clear()
            self._seen = Counter()
        return works, seen

    def _write(self, works: list[Work], seen: Counter[tuple[ObservedEvent, datetime]]) -> None:
        def all_of_them(session: Session) -> None:
            for work in works:
                work(session)
            record_counted(session, [(each, minute, count) for (each, minute), count in seen.items()])

        try:
            self._database.write(all_of_them)
        except AppError:
            self._keep(works, seen)
            logger.warning("%d traces could not be written yet", len(works) + seen.total())
        except Exception:
            if len(works) + bool(seen) == 1:
                logger.exception("A trace is lost")
                return
            # The database refuses one of them forever, and with it all that are written in the same transaction.
            for work in works:
                self._write([work], Counter())
            if seen:
                self._write([], seen)

    def _keep(self, works: list[Work], seen: Counter[tuple[ObservedEvent, datetime]]) -> None:
        """Let these traces wait for the next time, before those that came meanwhile."""
        with self._lock:
            room = MOST_WAITING - len(self._works)
            self._works.extendleft(reversed(works[-room:] if room > 0 else []))
            self._seen.update(seen)
