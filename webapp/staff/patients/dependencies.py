"""Which patient a page is about."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from webapp.core.parsing import MAX_ID

PatientId = Annotated[int, Path(ge=1, le=MAX_ID)]
