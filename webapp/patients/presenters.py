"""What the account's pages show of the people a patient books for."""

from __future__ import annotations

from typing import Any

from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.web import Page
from webapp.patients.schemas import Person


def person_line(page: Page, person: Person) -> dict[str, Any]:
    """Somebody whom a patient books for, as the account shows them."""
    zone = current_clinic(page).zone
    return {
        **person._asdict(),
        "born": formats.day_month_year(person.birth_date, zone) if person.birth_date else "",
    }
