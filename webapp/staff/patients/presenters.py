"""Texts of the pages of patients, for the front desk: a line of a list, and one patient's record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from webapp.appointments.booking.schedule_queries import age_on
from webapp.appointments.joining import Difference
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats, phones
from webapp.core.web import Page
from webapp.i18n import gettext as _
from webapp.patients import duplicates
from webapp.patients.duplicates import Pair
from webapp.patients.exceptions import LikelyDuplicate
from webapp.patients.presenters import PersonLine, person_line
from webapp.patients.schemas import PatientRecord
from webapp.patients.search import PatientRow, patients_by_id


def date_in_words(page: Page, day: date | None) -> str:
    """'27 March 1984', or '' if the date is not known."""
    return formats.day_month_year(day, current_clinic(page).zone) if day else ""


class PatientLine(NamedTuple):
    """A patient as lists show them: see `PatientRow`. `born` is '27 March 1984', or '' if the date is not known."""

    id: int
    name: str
    born: str
    phone: str
    email: str
    has_account: bool
    active: bool | None
    managed_by: str | None
    href: str


class PatientFacts(NamedTuple):
    """Additions to the record for a patient's page: its dates in words, and the age in years. `born` and `age` are ''
    and None if the birth date is not known; `since` is when the record was made, and `erase_on` when a closed one is
    erased, or ''.
    """

    born: str
    since: str
    age: int | None
    people: list[PersonLine]
    erase_on: str


def patient_line(page: Page, patient: PatientRow) -> PatientLine:
    """A patient as lists show them; the name links to the record."""
    return PatientLine(
        id=patient.id,
        name=patient.name,
        born=date_in_words(page, patient.birth_date),
        phone=patient.phone,
        email=patient.email,
        has_account=patient.has_account,
        active=patient.active,
        managed_by=patient.managed_by,
        href=f"/admin/patients/{patient.id}",
    )


class PairLine(NamedTuple):
    """Two records that may be of one person. `born` and `other_born` may be ''; `shared` is what both have."""

    patient_id: int
    name: str
    born: str
    other_id: int
    other_name: str
    other_born: str
    shared: str
    noted_at: datetime


def pair_line(page: Page, pair: Pair) -> PairLine:
    """A pair as the list shows it."""
    shared = [
        (pair.birth_date is not None and pair.birth_date == pair.other_birth_date, _("date of birth")),
        (pair.same_phone, _("phone")),
        (pair.same_email, _("email address")),
    ]
    return PairLine(
        pair.patient_id,
        pair.name,
        date_in_words(page, pair.birth_date),
        pair.other_id,
        pair.other_name,
        date_in_words(page, pair.other_birth_date),
        ", ".join(words for is_same, words in shared if is_same) or _("name"),
        pair.noted_at,
    )


class ChoiceLine(NamedTuple):
    """A detail in which two records differ: its name in the form, its label, and both in words.

    `wins` is the id of the record that is chosen at first.
    """

    name: str
    label: str
    values: tuple[str, str]
    wins: int


def choice_lines(page: Page, choices: Sequence[Difference]) -> list[ChoiceLine]:
    """The choices of staff when they join two records."""
    country = current_clinic(page).home_country

    def words(name: str, value: Any) -> str:
        if name == "birth_date":
            return date_in_words(page, value)
        return phones.shown(value, country) if name == "phone" else str(value)

    labels = {
        "name": _("Name"),
        "birth_date": _("Date of birth"),
        "phone": _("Phone"),
        "email": _("Email address"),
    }
    return [
        ChoiceLine(name, labels[name], (words(name, first), words(name, second)), wins)
        for name, first, second, wins in choices
    ]


def are_unlike(one: PatientRecord, other: PatientRecord) -> bool:
    """Whether two records have quite different names, or different birth dates: they are seldom of one person."""
    return not duplicates.alike(one.name, other.name) or duplicates.differ(one.birth_date, other.birth_date)


def likely_lines(page: Page, warning: LikelyDuplicate | None) -> list[PatientLine]:
    """Patients who may be the same as the new one; empty without a warning."""
    found = patients_by_id(page.session, warning.ids) if warning else []
    return [patient_line(page, patient) for patient in found]


def facts_of(page: Page, record: PatientRecord) -> PatientFacts:
    """The additions to the record for a patient's page."""
    clinic = current_clinic(page)
    return PatientFacts(
        born=date_in_words(page, record.birth_date),
        since=date_in_words(page, formats.local_date(record.created_at, clinic.zone)),
        age=age_on(clinic.today(page.now), record.birth_date),
        people=[person_line(page, person) for person in record.people],
        erase_on=date_in_words(page, record.erase_on),
    )
