"""A patient's name as people read it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from webapp.i18n import gettext as _
from webapp.patients.models import Patient


def name_shown(name: str) -> str:
    """The name, or words for a record without one: its data was deleted."""
    return name or _("Deleted patient")


# The words are a parameter whose value is found at each run of a query, so they are in the language of its reader.
_WITHOUT_NAME = sa.bindparam("without_name", callable_=lambda: name_shown(""), type_=sa.String)


def shown_name_column(patient: Any = Patient) -> sa.Label[str]:
    """A column `name` with what `name_shown` returns. Queries of appointments need it: these outlive the data."""
    return sa.case((patient.name == sa.literal_column("''"), _WITHOUT_NAME), else_=patient.name).label("name")
