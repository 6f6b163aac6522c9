"""Why is this time not offered? For any doctor and minute, for the front desk; admins see where each rule is set."""

from __future__ import annotations

from starlette.responses import Response

from webapp.appointments.booking import listing
from webapp.appointments.pages.presenters import patient_summary
from webapp.auth.dependencies import DESK, signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.parsing import whole_number
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.doctors import service as doctors
from webapp.exceptions import Invalid, NotFound
from webapp.i18n import gettext as _
from webapp.patients import search
from webapp.patients.search import PatientRow
from webapp.scheduling import checks, explain
from webapp.staff.appointments import presenters
from webapp.staff.appointments.forms import WhyForm
from webapp.staff.appointments.presenters import ShownAnswer

router = Router()


@router.get("/admin/appointments/why")
def why(page: CurrentPage) -> Response:
    """Every rule that refuses a start, or that no rule does; front desk."""
    actor = signed_in(page, *DESK)
    form = WhyForm.of_address(page.request.query_params)
    choices = listing.find_choices(page.session)
    form.offer(choices)
    asked = bool(form.doctor.data or form.date.raw_data or form.time.raw_data)
    patient = _patient(page, form)
    answers: list[ShownAnswer] = []
    if asked:
        doctor_id = choices.doctor_id(form.doctor.data or "")
        answers = _answers(page, form, doctor_id, patient, actor)
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
    """The patient whose other appointments count, if one is named."""
    number = whole_number(form.patient.data)
    found = search.patients_by_id(page.session, [number]) if number is not None else []
    form.patient.data = str(found[0].id) if found else ""
    return found[0] if found else None


def _answers(
    page: Page, form: WhyForm, doctor_id: int | None, patient: PatientRow | None, actor: Actor
) -> list[ShownAnswer]:
    """An answer for each instant that the time means; empty after every error was put next to its field."""
    form.validate()
    if doctor_id is None:
        form.doctor.errors = [_("Choose a doctor.")]
    wall_clock = form.wall_clock
    if form.date.data is None and not form.date.errors:
        form.date.errors = [_("Enter the date.")]
    if form.time.data is None and not form.time.errors:
        form.time.errors = [_("Enter the time.")]
    if wall_clock is None or doctor_id is None:
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
            page.session, request, wall_clock, now=page.now, patient_id=patient_id, to_staff=True
        )
    except Invalid as error:
        form.time.errors = [error.message]
        return []
    return [presenters.shown_answer(answer, request, patient_id, actor=actor) for answer in answers]
