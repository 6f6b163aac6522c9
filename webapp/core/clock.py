"""Now, as an argument: the edges ask here once, everything below is handed the answer."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present instant in UTC, in whole seconds: that is the finest the database keeps."""
    return datetime.now(UTC).replace(microsecond=0)
