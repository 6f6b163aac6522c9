"""The times in a request to the API: instants with an offset, or local days of the clinic."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, PlainValidator, TypeAdapter, ValidationError, WithJsonSchema

from webapp.clinic.service import Clinic
from webapp.core.local_time import first_instant
from webapp.core.parsing import YEARS

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
_UNREADABLE = "Give a day such as 2026-12-01, or an instant with its offset such as 2026-12-01T09:00:00+01:00."


def _read(value: Any) -> date | datetime:
    text = str(value)
    if not _DAY.match(text):
        raise ValueError(_UNREADABLE)
    found: date
    if _DAY.fullmatch(text):
        found = date.fromisoformat(text)
    else:
        try:
            # In a query string, a plus that was not escaped arrives as a space.
            found = _INSTANT.validate_python(re.sub(r" (?=\d{2}:?\d{2}$)", "+", text))
        except ValidationError as error:
            raise ValueError(_UNREADABLE) from error
    if found.year not in YEARS:
        raise ValueError("Give a time between the years 2000 and 2100.")
    return found


When = Annotated[
    date | datetime,
    PlainValidator(_read),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}),
]
"""An instant with an offset, or a local day of the clinic."""


def start_of(when: date | datetime, clinic: Clinic) -> datetime:
    """The instant, or the start of the local day; in UTC."""
    return when.astimezone(UTC) if isinstance(when, datetime) else first_instant(when, clinic.zone)


def end_of(when: date | datetime, clinic: Clinic) -> datetime:
    """The instant, or the end of the local day, so that the last day is included; in UTC."""
    return start_of(when if isinstance(when, datetime) else when + timedelta(days=1), clinic)
