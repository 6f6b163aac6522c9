"""The current time. Only the edges of the program read it here; everything below takes `now` as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current instant in UTC, in whole seconds, which is the precision of the database."""
    return datetime.now(UTC).replace(microsecond=0)


def seconds_now() -> float:
    """The current time as seconds since 1970, with fractions, for libraries that want it so."""
    return time.time()
