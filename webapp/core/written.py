"""Days and instants as people and programs write them. Pydantic would take a number, too: as seconds since 1970."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BeforeValidator

_BEGINS_LIKE_A_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _refuse_numbers(value: Any) -> Any:
    if isinstance(value, (int, float)) or (isinstance(value, str) and not _BEGINS_LIKE_A_DAY.match(value.strip())):
        raise ValueError("Write it like 2026-12-01, or with a time and an offset like 2026-12-01T09:30:00+01:00.")
    return value


AS_WRITTEN = BeforeValidator(_refuse_numbers)
"""For a day or an instant: a number, or text that is one, is none."""
