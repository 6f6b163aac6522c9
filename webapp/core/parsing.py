"""Reading numbers and instants as addresses, forms and programs write them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, TypeAdapter

from webapp.core.local_time import instants_of
from webapp.core.strict_types import AS_WRITTEN
from webapp.exceptions import Invalid

# No calendar of ours reaches beyond these years, and near the ends of Python's own range arithmetic fails.
YEARS = range(2000, 2101)
# The largest id that an integer column of PostgreSQL holds.
MAX_ID = 2**31 - 1


def _near_instant(value: datetime) -> datetime:
    # Both years count: Python's arithmetic fails near the ends of its range, and what is read again is in UTC by then.
    if value.year in YEARS and (instant := value.astimezone(UTC)).year in YEARS:
        return instant
    raise ValueError("A visit lies between the years 2000 and 2100.")


Instant = Annotated[AwareDatetime, AS_WRITTEN, AfterValidator(_near_instant)]
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


def whole_number(value: str | None) -> int | None:
    """A number as addresses and hidden fields carry it; None for anything that no id of ours can be."""
    text = value or ""
    # The length is asked first: a very long text of digits takes long to be read as a number.
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID))
    return int(text) if is_number and int(text) <= MAX_ID else None


def parse_day(text: str) -> date | None:
    """A day of the calendar, such as 2026-03-03; None for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.year in YEARS else None


def instant(value: str | None) -> datetime | None:
    """An ISO 8601 instant with its offset, in UTC; None for anything else, naive times included."""
    try:
        return _INSTANT.validate_python(value or "")
    except ValueError:
        return None


def written_instants(time: str, zone: ZoneInfo) -> list[datetime]:
    """What a written time means: one instant, or two where the wall clock shows it twice.

    Raises:
        Invalid: it cannot be read, or the wall clock never shows it.
    """
    try:
        written = datetime.fromisoformat(time).replace(second=0, microsecond=0)
    except ValueError:
        raise Invalid(f"“{time}” is no time. Write it like 2026-12-01T09:30.") from None
    if written.year not in YEARS:
        raise Invalid(f"{time} lies too far away: a visit lies between the years {YEARS[0]} and {YEARS[-1]}.")
    if written.tzinfo is not None:
        return [written.astimezone(UTC)]
    real = instants_of(written, zone)
    if not real:
        raise Invalid(f"{time} does not exist in {zone.key}: the clocks skip it.")
    return real
