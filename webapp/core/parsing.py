"""Reading numbers and instants from addresses, forms and programs."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, TypeAdapter

from webapp.core.local_time import instants_of
from webapp.core.strict_types import AS_WRITTEN
from webapp.core.text import bare
from webapp.exceptions import Invalid

# No date of ours lies outside these years, and date arithmetic fails near the ends of Python's own range.
YEARS = range(2000, 2101)
# The largest id that an integer column of PostgreSQL holds.
MAX_ID = 2**31 - 1
# An appointment's public reference, as people type it or read it out.
_REFERENCE = re.compile(r"([0-9A-Z]{4})([- ]?)([0-9A-Z]{4})", re.ASCII)


def _near_instant(value: datetime) -> datetime:
    # Check the year in both zones: the value is read again in UTC later.
    if value.year in YEARS and (instant := value.astimezone(UTC)).year in YEARS:
        return instant
    raise ValueError("Give a time between the years 2000 and 2100.")


Instant = Annotated[AwareDatetime, AS_WRITTEN, AfterValidator(_near_instant)]
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


def whole_number(value: str | None) -> int | None:
    """A number in an address or a hidden field; None for anything that cannot be an id of ours."""
    text = bare(value or "")
    # Check the length first: converting a very long text of digits is slow.
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID))
    return int(text) if is_number and int(text) <= MAX_ID else None


def parse_day(text: str) -> date | None:
    """A calendar date such as 2026-03-03; None for anything else."""
    try:
        day = date.fromisoformat(bare(text))
    except ValueError:
        return None
    return day if day.year in YEARS else None


def instant(value: str | None) -> datetime | None:
    """An ISO 8601 instant with its offset, in UTC; None for anything else, naive times included."""
    try:
        return _INSTANT.validate_python(bare(value or ""))
    except ValueError:
        return None


def reference_in(text: str, *, surely: bool = False) -> str | None:
    """'K7QM-2F9X' for a reference in any way of typing it, else None; with `surely`, also for a possible name."""
    typed = _REFERENCE.fullmatch(bare(text).upper())
    if typed is None or (surely and typed[2] != "-" and (typed[1] + typed[3]).isalpha()):
        return None
    return f"{typed[1]}-{typed[3]}"


def typed_instants(time: str, zone: ZoneInfo) -> list[datetime]:
    """The instants that a typed time means: one, or two if the wall clock shows the time twice.

    Raises:
        Invalid: it cannot be read, or the wall clock never shows it.
    """
    try:
        written = datetime.fromisoformat(time).replace(second=0, microsecond=0)
    except ValueError:
        raise Invalid(f"“{time}” is not a time. Write it like 2026-12-01T09:30.") from None
    if written.year not in YEARS:
        raise Invalid(f"{time} is too far away. Give a time between the years {YEARS[0]} and {YEARS[-1]}.")
    if written.tzinfo is not None:
        return [written.astimezone(UTC)]
    real = instants_of(written, zone)
    if not real:
        raise Invalid(f"{time} does not exist in {zone.key}: the clocks skip it.")
    return real
