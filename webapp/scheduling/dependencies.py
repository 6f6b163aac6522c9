"""Reads from the request who looks at free times, and for which patient."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from webapp.auth.dependencies import current_actor
from webapp.core.parsing import whole_number
from webapp.core.web import Page
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import NotFound
from webapp.patients import search
from webapp.patients import service as patients
from webapp.scheduling.viewer import Viewer


class OtherPatient(NamedTuple):
    """The patient for whom another person looks for a time."""

    id: int
    name: str


def current_viewer(page: Page, patient_id: int | None = None, *, moving: int | None = None) -> Viewer:
    """The viewer, for this patient and this move; without a patient id, patients look for themselves."""
    actor = current_actor(page)
    if patient_id is None and actor is not None and actor.role == "patient":
        return Viewer(user_id=actor.user_id, moving=moving)
    return Viewer(patient_id, moving=moving, by_staff=actor is not None and actor.is_staff)


def books_with(page: Page, doctor: DoctorRow) -> bool:
    """Whether the actor could book an appointment with this doctor: doctors book patients only with themselves."""
    actor = current_actor(page)
    if actor is None or actor.role != "doctor":
        return True
    with suppress(NotFound):
        return doctors.get_doctor_of_user(page.session, actor.user_id).id == doctor.id
    return False


def chosen_patient(page: Page) -> int | None:
    """The id of the patient in the address, if the actor may book for them; calendar links keep it."""
    actor = current_actor(page)
    wanted = whole_number(page.request.query_params.get("patient"))
    if actor is None or wanted is None:
        return None
    if actor.is_staff:
        return wanted
    mine = {choice.id for choice in patients.bookable_patients(page.session, actor)}
    return wanted if wanted in mine else None


def other_patient(page: Page, patient_id: int | None) -> OtherPatient | None:
    """The patient for whom times are looked for, unless that is the signed-in user."""
    actor = current_actor(page)
    if actor is None or patient_id is None:
        return None
    if actor.is_staff:
        found = search.patients_by_id(page.session, [patient_id])
        return OtherPatient(patient_id, found[0].name) if found else None
    choices = patients.bookable_patients(page.session, actor)
    others = {each.id: each.name for each in choices if not each.is_self}
    return OtherPatient(patient_id, others[patient_id]) if patient_id in others else None
