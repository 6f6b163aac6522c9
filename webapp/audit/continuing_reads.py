"""Continuing readings: a page that shows changes by itself is read as long as it is open.

Such a reading is logged when it begins, when it shows what it did not show before, and once an hour. Each process
remembers for itself what it has logged; after many others it forgets, and logs again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable
from datetime import datetime, timedelta
from threading import Lock

LOGGED_EVERY = timedelta(hours=1)
MOST = 2000


class ContinuingReads:
    """The readings of one process. It is thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._logged: OrderedDict[Hashable, tuple[datetime, frozenset[int]]] = OrderedDict()

    def is_logged(self, reading: Hashable, ids: Collection[int], *, automatic: bool, now: datetime) -> bool:
        """Whether this reading, which shows these rows, is logged already; if not, the caller logs it now.

        Requests of a person are always logged; `automatic` is true for a request of the open page.
        """
        with self._lock:
            since, known = self._logged.get(reading, (None, frozenset[int]()))
            if automatic and since is not None and now - since < LOGGED_EVERY and known.issuperset(ids):
                return True
            self._logged[reading] = now, frozenset(ids)
            self._logged.move_to_end(reading)
            while len(self._logged) > MOST:
                self._logged.popitem(last=False)
            return False
