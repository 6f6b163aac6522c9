"""What the pages of patients show, for admins: a line of a list, and one patient's record."""

from __future__ import annotations

from datetime import date
from typing import Any

from webapp.appointments.booking.schedule_queries import age_on
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.web import Page
from webapp.patients.exceptions import LikelyDuplicate
from webapp.patients.schemas import PatientRecord
from webapp.patients.search import PatientRow, patients_by_id


def written(page: Page, day: date | None) -> str:
    """'27 March 1984', or '' where nobody knows."""
    return formats.day_month_year(day, current_clinic(page).zone) if day else ""


def patient_line(page: Page, patient: PatientRow) -> dict[str, Any]:
    """A patient as lists show them."""
    return {**patient._asdict(), "has_account": patient.has_account, "born": written(page, patient.birth_date)}


def likely_lines(page: Page, warning: LikelyDuplicate | None) -> list[dict[str, Any]]:
    """Who may be the new patient, with where their record stands; nobody without a warning."""
    found = patients_by_id(page.session, warning.ids) if warning else []
    return [{**patient_line(page, patient), "href": f"/admin/patients/{patient.id}"} for patient in found]


def facts_of(page: Page, record: PatientRecord) -> dict[str, Any]:
    """A patient's record in the shape that the templates want."""
    return {
        "patient": record,
        "born": written(page, record.birth_date),
        "since": written(page, formats.local_date(record.created_at, current_clinic(page).zone)),
        "age": age_on(current_clinic(page).today(page.now), record.birth_date),
        "people": [{**person._asdict(), "born": written(page, person.birth_date)} for person in record.people],
    }
