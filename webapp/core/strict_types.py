"""Types that accept values in JSON only in their proper form, and text without invisible characters.

By default, pydantic takes a number for a day or an instant (as seconds since 1970), 0 for false and "30" for 30.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Strict

from webapp.core.text import bare, tidy_line

_BEGINS_LIKE_A_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _refuse_numbers(value: Any) -> Any:
    if isinstance(value, (int, float)) or (isinstance(value, str) and not _BEGINS_LIKE_A_DAY.match(value.strip())):
        raise ValueError("Write it like 2026-12-01, or with a time and an offset like 2026-12-01T09:30:00+01:00.")
    return value


AS_WRITTEN = BeforeValidator(_refuse_numbers)
"""For a day or an instant: refuses a number, and text that is one."""

Day = Annotated[date, AS_WRITTEN, Field(ge=date(2000, 1, 1), le=date(2100, 12, 31))]
"""A day of the calendar, between the dates beyond which no calendar in Docket goes."""

Whole = Annotated[int, Strict()]
"""A whole number, neither text nor true."""

YesNo = Annotated[bool, Strict()]
"""True or false, not 1 or 0."""

ONE_LINE = BeforeValidator(lambda value: tidy_line(value) if isinstance(value, str) else value)
"""For a name, a title, an address: text of one line (see `core/text.py`)."""

BARE = BeforeValidator(lambda value: bare(value) if isinstance(value, str) else value)
"""For a number or a code, of which nothing is unseen."""
