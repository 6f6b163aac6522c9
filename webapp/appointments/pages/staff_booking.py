"""Booking by staff: they choose the patient, then see the appointment with every rule that refuses it.

Rules that may be overridden need a written reason. A clash with another appointment cannot be overridden, but if the
doctor allows it, staff can squeeze an appointment in at a taken time, also with a reason. Date, time and visit type are
in the same form as the reason and the note, so looking at another time keeps the typed text.
"""

from __future__ import annotations

from datetime import datetime

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.booking import service
from webapp.appointments.exceptions import OtherDoctorsAppointment
from webapp.appointments.pages import presenters
from webapp.appointments.pages.forms import GIVE_REASON, StaffBookForm
from webapp.auth.drafts import UnsentForm
from webapp.auth.pages.draft_dependencies import drop_draft
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.fields import searched
from webapp.core.pagination import PageEnds, cursor_of, neighbours
from webapp.core.parsing import instant, whole_number
from webapp.core.urls import with_query
from webapp.core.web import Page
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Conflict, Invalid, NotFound, Unavailable
from webapp.i18n import gettext as _
from webapp.patients import records, search
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.search import PatientRow
from webapp.patients.search_parser import is_blank
from webapp.scheduling import checks
from webapp.scheduling.dependencies import current_viewer
from webapp.scheduling.exceptions import Refused, RuleBroken
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.presenters import appointment_preview


def show(page: Page, actor: Actor, kept: UnsentForm | None) -> Response:
    """The appointment that an address names, once its patient is chosen."""
    query = page.request.query_params
    if not query.get("doctor") and actor.sees_all:
        return page.redirect(with_query("/desk/booking", patient=query.get("patient")))
    form = StaffBookForm.of_address(query)
    request = _request_of(page, actor, form)
    clinic = current_clinic(page)
    if not (form.starts_at.data or form.date.data):
        # No time was chosen yet, for example on the way from a patient's page.
        chosen = {"visit_type": whole_number(form.visit_type.data), "patient": whole_number(form.patient.data)}
        return page.redirect(with_query(f"/doctors/{request.doctor.slug}", **chosen))
    requested = presenters.requested_start(form, form.starts_at.data, clinic)
    if not form.patient.data:
        return _patient_page(page, actor, request, requested.start)
    patient_id = whole_number(form.patient.data)
    if patient_id is not None and search.patients_by_id(page.session, [patient_id]):
        # The page shows the patient's name and contact details.
        page.trace(records.note_reading, actor, patient_id, now=page.now)
    if kept is not None:
        for field in (form.reason, form.notes, form.override_reason, form.squeeze_reason):
            field.data = kept.value(field.name)
    return _summary(page, form, request, requested, restored=kept is not None)


def book(page: Page, actor: Actor, sent: FormData) -> Response:
    """Book the appointment, or show it again if the form asks for that or names another one than the page showed."""
    form = StaffBookForm(sent)
    if sent.get("alternative"):
        # A button that names another time takes precedence.
        form.starts_at.data, form.date.data, form.time.data = str(sent["alternative"]), None, None
    request = _request_of(page, actor, form)
    clinic = current_clinic(page)
    fine = form.validate()
    try:
        requested = presenters.requested_start(form, form.starts_at.data, clinic)
    except Invalid as error:
        return _unreadable_time(page, form, request, error)
    if not form.patient.data:
        return _patient_page(page, actor, request, requested.start, status=422)
    if sent.get("step") == "look" or _is_another(form, requested.start):
        return _summary(page, form, request, requested, status=200 if fine else 422)
    form.starts_at.data = formats.iso(requested.start)
    command = form.command() if fine else None
    if command is None:
        return _summary(page, form, request, requested, status=422)
    page.close()
    try:
        reference: str | None = page.database.write(service.book, actor, command, now=page.now)
    except (Conflict, Invalid, NotFound, Unavailable) as error:
        # If the same form was sent before, the appointment exists.
        reference = queries.find_same_booking(page.session, actor, command)
        if reference is None:
            return _summary(page, form, request, requested, error)
    response = page.redirect(f"/appointments/{reference}?booked=1")
    drop_draft(page, response)
    return response


def _request_of(page: Page, actor: Actor, form: StaffBookForm) -> BookingRequest:
    """The doctor and the visit type; doctors book with themselves.

    Raises:
        NotFound: no such doctor or visit type. OtherDoctorsAppointment: a doctor books with another doctor.
    """
    own = doctors.get_doctor_of_user(page.session, actor.user_id) if actor.role == "doctor" else None
    doctor = own if own and not form.doctor.data else doctors.get_doctor(page.session, form.doctor.data or "")
    if own is not None and own.id != doctor.id:
        raise OtherDoctorsAppointment
    if form.visit_type.data and whole_number(form.visit_type.data) is None:
        raise RuleBroken(_("Visit type not found."), code="visit_type_not_offered")
    request = checks.find_booking_request(page.session, doctor, whole_number(form.visit_type.data), by_staff=True)
    form.doctor.data = doctor.slug
    form.offer_types(doctor.visit_types if request.offered else [*doctor.visit_types, request.visit_type])
    return request


def _is_another(form: StaffBookForm, start: datetime) -> bool:
    """Whether the form names another appointment than the page showed."""
    shown = instant(form.starts_at.data)
    return (shown is not None and shown != start) or form.names_another_type


def _patient_page(page: Page, actor: Actor, request: BookingRequest, start: datetime, *, status: int = 200) -> Response:
    """The choice of the patient: a search, and the way to add a new patient."""
    query = page.request.query_params
    text = searched(query.get("q"))
    chosen = {"doctor": request.doctor.slug, "visit_type": request.visit_type.id, "starts_at": formats.iso(start)}
    found = None
    if not is_blank(text):
        cursor = cursor_of(before=whole_number(query.get("before")), after=whole_number(query.get("after")))
        found = search.search_patients(page.session, text, cursor=cursor)
        page.trace(records.note_listing, actor, [row.id for row in found.patients], now=page.now)
    clinic = current_clinic(page)
    new_patient = "/admin/patients/new" if actor.sees_all else "/schedule/patients/new"
    return page.render(
        "appointments/pages/choose_patient.html",
        status=status,
        appointment=appointment_preview(request, start),
        chosen=chosen,
        q=text,
        searched=found is not None,
        similar=found is not None and found.similar,
        patients=[
            presenters.patient_summary(row, clinic, href=with_query("/book", **chosen, patient=row.id))
            for row in (found.patients if found else [])
        ],
        neighbours=neighbours(found.beside if found else PageEnds(), "/book", **chosen, q=text),
        new_href=with_query(new_patient, next=with_query("/book", **chosen)),
        calendar_href=presenters.calendar_href(request, start, clinic),
    )


def _unreadable_time(page: Page, form: StaffBookForm, request: BookingRequest, error: Invalid) -> Response:
    """The page as it was before an impossible date or time was typed; if there was no page before, an error."""
    shown = instant(form.starts_at.data)
    if shown is None or not form.patient.data:
        raise error
    if not (form.date.errors or form.time.errors):
        form.time.errors = [*form.time.errors, error.message]
    return _summary(page, form, request, presenters.RequestedStart(shown, []), status=422)


def _summary(
    page: Page,
    form: StaffBookForm,
    request: BookingRequest,
    requested: presenters.RequestedStart,
    error: AppError | None = None,
    *,
    restored: bool = False,
    status: int = 200,
) -> Response:
    """The appointment, what refuses it, and the form; with an error the typed text is kept."""
    clinic = current_clinic(page)
    start = requested.start
    patient = _patient(page, form)
    viewer = current_viewer(page, patient.id)
    refused = presenters.staff_refusals(page, request, start, viewer)
    if error is not None and not (isinstance(error, Refused) and refused.errors):
        form.add_error(error)
    elif error is not None and refused.overridable:
        form.override_reason.errors = [GIVE_REASON]
    near = presenters.nearest_times(page, request, start, None, viewer) if refused.clash is not None else []
    if not (form.date.errors or form.time.errors):
        form.show(start, clinic.zone)
    form.starts_at.data = formats.iso(start)
    form.visit_type.data = form.shown_type.data = str(request.visit_type.id)
    chosen = {"doctor": request.doctor.slug, "visit_type": request.visit_type.id}
    return page.render(
        "appointments/pages/book_for_patient.html",
        status=error.status if error else max(status, refused.status),
        appointment=appointment_preview(request, start),
        patient=presenters.patient_summary(patient, clinic),
        form=form,
        refused=refused,
        restored=restored,
        near=near,
        twice=presenters.repeated_times(requested.both, start, clinic, "/book", **chosen, patient=patient.id),
    )


def _patient(page: Page, form: StaffBookForm) -> PatientRow:
    """The patient whom the form names.

    Raises:
        NoSuchPatient: no patient has this id.
    """
    patient_id = whole_number(form.patient.data)
    found = search.patients_by_id(page.session, [patient_id]) if patient_id is not None else []
    if not found:
        raise NoSuchPatient
    return found[0]
