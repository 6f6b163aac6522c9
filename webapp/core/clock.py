"""Now, as an argument: the edges ask here once, everything below is handed the answer."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present instant in UTC, in whole seconds: that is the finest the database keeps."""
    return datetime.now(UTC).replace(microsecond=0)


def seconds_now() -> float:
    """The present as seconds since 1970, with their fractions, for libraries that count so."""
    return time.time()
