"""Why is this time not offered? For any doctor and minute, with the way to where each rule is set; admins."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from webapp.appointments.booking import listing
from webapp.appointments.pages.presenters import patient_summary
from webapp.auth.dependencies import signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.core.parsing import whole_number
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.doctors import service as doctors
from webapp.exceptions import Invalid, NotFound
from webapp.patients import search
from webapp.patients.search import PatientRow
from webapp.scheduling import checks, explain
from webapp.scheduling.explain import Answer
from webapp.scheduling.facts import BookingRequest
from webapp.staff.appointments.forms import WhyForm

router = APIRouter()


@router.get("/admin/appointments/why")
def why(page: CurrentPage) -> Response:
    """Every rule that refuses a start, or that none does; admins."""
    signed_in(page, "admin")
    form = WhyForm(page.request.query_params)
    choices = listing.find_choices(page.session)
    form.offer(choices)
    asked = bool(form.doctor.data or form.date.raw_data or form.time.raw_data)
    patient = _patient(page, form)
    answers: list[dict[str, Any]] = []
    if asked:
        doctor_id = choices.doctor_id(form.doctor.data or "")
        answers = _answers(page, form, doctor_id, patient)
    clinic = current_clinic(page)
    return page.render(
        "staff/appointments/why.html",
        status=422 if form.errors else 200,
        form=form,
        answers=answers,
        patient=patient_summary(patient, clinic) if patient else None,
        without_patient=with_query(
            "/admin/appointments/why",
            doctor=form.doctor.data,
            date=form.date.data,
            time=f"{form.time.data:%H:%M}" if form.time.data else None,
            visit_type=form.visit_type.data,
        ),
    )


def _patient(page: Page, form: WhyForm) -> PatientRow | None:
    """The patient whose other visits count, if one is named."""
    number = whole_number(form.patient.data)
    found = search.patients_by_id(page.session, [number]) if number is not None else []
    form.patient.data = str(found[0].id) if found else ""
    return found[0] if found else None


def _answers(page: Page, form: WhyForm, doctor_id: int | None, patient: PatientRow | None) -> list[dict[str, Any]]:
    """An answer for each instant that is meant, or none after every error was put next to its field."""
    form.validate()
    if doctor_id is None:
        form.doctor.errors = [_("Choose a doctor.")]
    written = form.written
    if form.date.data is None and not form.date.errors:
        form.date.errors = [_("Enter the date.")]
    if form.time.data is None and not form.time.errors:
        form.time.errors = [_("Enter the time.")]
    if written is None or doctor_id is None:
        return []
    doctor = doctors.get_doctor_by_id(page.session, doctor_id)
    try:
        request = checks.find_booking_request(page.session, doctor, whole_number(form.visit_type.data), by_staff=True)
    except NotFound as error:
        form.visit_type.errors = [error.message]
        return []
    try:
        patient_id = patient.id if patient else None
        answers = explain.explain_request(
            page.session, request, written, now=page.now, patient_id=patient_id, to_staff=True
        )
    except Invalid as error:
        form.time.errors = [error.message]
        return []
    return [_shown(answer, request, patient) for answer in answers]


def _shown(answer: Answer, request: BookingRequest, patient: PatientRow | None) -> dict[str, Any]:
    """An answer with the way to where each rule is set, and to the booking."""
    rules = []
    for code, sentence in answer.refusals:
        place = _place(code, request)
        visits = [(reference, f"/appointments/{reference}") for reference in answer.in_the_way.get(code, [])]
        rules.append({"sentence": sentence, "place": place, "visits": visits})
    book = with_query(
        "/book",
        doctor=request.doctor.slug,
        visit_type=request.visit_type.id,
        starts_at=formats.iso(answer.starts_at),
        patient=patient.id if patient else None,
    )
    return {"title": answer.title.rstrip(":"), "rules": rules, "book_href": book}


def _place(code: str, request: BookingRequest) -> tuple[str, str] | None:
    """Where a rule is set: (words, address); None for the rules of time itself."""
    doctor = f"/admin/doctors/{request.doctor.slug}"
    rules = (_("Booking rules"), "/admin/clinic/rules")
    places = {
        "doctor_inactive": (_("The doctor"), doctor),
        "visit_type_not_offered": (_("Kinds of visit of the doctor"), doctor),
        "visit_type_not_online": (_("Visit types"), "/admin/visit-types"),
        "off_grid": (_("The doctor’s step"), doctor),
        "too_soon": rules,
        "too_far_ahead": rules,
        "patient_gap": rules,
        "too_many_visits": rules,
        "closure": (_("Closures"), "/admin/closures"),
        "clinic_closed": (_("Opening hours"), "/admin/clinic/opening-hours"),
        "outside_working_hours": (_("Working hours"), f"{doctor}/hours"),
        "time_off": (_("Time off"), f"{doctor}/time-off"),
    }
    return places.get(code)
