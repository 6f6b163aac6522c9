"""Booking an appointment: patients for themselves and the people they book for, staff for any patient."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.booking import service
from webapp.appointments.booking.booking_limit import require_confirmed_address
from webapp.appointments.booking.neutral_refusals import refusal_for_reader
from webapp.appointments.exceptions import ConfirmFirst, NotAPatient
from webapp.appointments.pages import presenters, staff_booking
from webapp.appointments.pages.forms import CHOOSE_PATIENT, NO_TIME, BookForm, StaffBookForm, TypedForm
from webapp.auth.dependencies import signed_in
from webapp.auth.drafts import UnsentForm
from webapp.auth.pages.draft_dependencies import drop_draft, find_draft, keep_draft, typed_fields
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.errors import error_page, lead_back_to
from webapp.core.parsing import instant, whole_number
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Conflict, Invalid, NotFound, Unavailable
from webapp.i18n import gettext as _
from webapp.patients import service as patients
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.guardianship import find_guardian
from webapp.patients.schemas import PatientChoice
from webapp.scheduling import checks
from webapp.scheduling.dependencies import current_viewer
from webapp.scheduling.exceptions import RuleBroken, SlotTaken
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.presenters import appointment_preview
from webapp.scheduling.viewer import Viewer

router = Router()

# The fields for typed text in the forms for booking; they are kept if the user chooses another time.
TYPED = {"reason", "notes", "override_reason", "squeeze_reason"}
# These refuse one patient but not another, so a user who books for several people may choose another one.
ABOUT_THE_PATIENT = {"patient_overlap", "patient_busy", "patient_gap", "too_many_visits"}
# These may refuse a time for one visit type but not for another, which is shorter or has other buffers.
ABOUT_THE_LENGTH = {
    "closure",
    "clinic_closed",
    "outside_working_hours",
    "time_off",
    "slot_taken",
    "patient_overlap",
    "patient_gap",
}


@router.get("/book")
def show_booking(page: CurrentPage) -> Response:
    """The appointment that would be booked, and the form; everyone. A visitor is asked to sign in and then returns
    here.
    """
    actor = signed_in(page)
    kept = find_draft(page, actor)
    if kept is not None and kept.action != "/appointments":
        kept = None
    if actor.is_staff:
        return staff_booking.show(page, actor, kept)
    query = page.request.query_params
    choices = patients.bookable_patients(page.session, actor)
    patient = _chosen_patient(choices, query.get("patient"))
    form = BookForm(
        data={
            "doctor": query.get("doctor", ""),
            "visit_type": query.get("visit_type", ""),
            "starts_at": query.get("starts_at", ""),
            "patient": str(patient.id),
            **{name: kept.value(name) if kept else "" for name in ("reason", "notes")},
        }
    )
    request, start = _request_in(page, form)
    booked = queries.find_booked_reference(page.session, actor, patient.id, request.doctor.id, start)
    if booked is not None:
        # A patient who returns to this page after booking sees the appointment instead of an error about it.
        return page.redirect(f"/appointments/{booked}")
    error = _confirm_first(page, actor) or presenters.first_refusal(page, request, start, Viewer(patient.id))
    error = _refusal_for_reader(page, actor, patient, request, start, error)
    return _booking_page(page, form, choices, request, start, error, restored=kept is not None)


@router.post("/book/draft")
def keep_booking(page: CurrentPage, sent: SentForm) -> Response:
    """Keep what was typed while the user chooses another time or patient; everyone who may book."""
    lead_back_to(page.request, _way_back(sent))
    actor = signed_in(page)
    form = StaffBookForm(sent) if actor.is_staff else BookForm(sent)
    if actor.is_staff and sent.get("to") == "patient":
        chosen = {name: sent.get(name) for name in ("doctor", "visit_type", "starts_at")}
        address = with_query("/book", **chosen)
    else:
        try:
            request, start = _request_in(page, form, by_staff=actor.is_staff)
            own = [str(choice.id) for choice in patients.bookable_patients(page.session, actor) if choice.is_self]
            patient = None if form.patient.data in own else whole_number(form.patient.data)
            address = presenters.calendar_href(request, start, current_clinic(page), patient)
        except (Invalid, NotFound):
            address = "/"
    typed = [(name, text) for name, text in typed_fields(sent) if name in TYPED]
    response = page.redirect(address)
    keep_draft(page, response, actor, UnsentForm("/appointments", page.request.url.path, typed))
    return response


@router.post("/appointments")
def book(page: CurrentPage, sent: SentForm) -> Response:
    """Book an appointment; patients for themselves and those they book for, doctors with themselves, admins for all."""
    lead_back_to(page.request, _way_back(sent))
    actor = signed_in(page)
    if actor.is_staff:
        return staff_booking.book(page, actor, sent)
    form = BookForm(sent)
    if sent.get("alternative"):
        form.starts_at.data = str(sent["alternative"])
    # Another visit type than the page showed is shown first, and booked afterwards.
    looks = sent.get("step") == "look" or form.names_another_type
    fine = form.validate()
    command = form.command() if fine and not looks else None
    error: AppError | None = None
    if command is not None:
        page.close()
        try:
            reference: str | None = page.database.write(service.book, actor, command, now=page.now)
        except (Conflict, Invalid, NotFound, Unavailable) as refusal:
            error = refusal
            # The same form was sent before, so the appointment exists.
            reference = queries.find_same_booking(page.session, actor, command)
        if reference is not None:
            response = page.redirect(f"/appointments/{reference}?booked=1")
            drop_draft(page, response)
            return response
    try:
        choices = patients.bookable_patients(page.session, actor)
        patient = _chosen_patient(choices, form.patient.data)
        request, start = _request_in(page, form)
    except (Invalid, NotFound) as refusal:
        return _nothing_to_book(page, form, refusal)
    if looks:
        error = presenters.first_refusal(page, request, start, Viewer(patient.id))
        error = _refusal_for_reader(page, actor, patient, request, start, error)
    status = 200 if looks and fine else 422
    return _booking_page(page, form, choices, request, start, error, other_type=looks, status=status)


def _confirm_first(page: Page, actor: Actor) -> AppError | None:
    """The error of a patient who has to confirm the address before booking another appointment."""
    try:
        require_confirmed_address(page.session, actor, now=page.now)
    except ConfirmFirst as error:
        return error
    return None


def _refusal_for_reader(
    page: Page, actor: Actor, patient: PatientChoice, request: BookingRequest, start: datetime, error: AppError | None
) -> AppError | None:
    """The error without what the actor must not know: the patient may have a confidential appointment then."""
    if error is None:
        return None
    return refusal_for_reader(page.session, actor, current_clinic(page), patient.id, request, start, error)


def _way_back(sent: FormData) -> str:
    """The address of the page that showed the form."""
    names = ("doctor", "visit_type", "starts_at", "patient", "date", "time")
    return with_query("/book", **{name: sent.get(name) for name in names})


def _chosen_patient(choices: list[PatientChoice], wanted: str | None) -> PatientChoice:
    """The patient whom the appointment is for; without a choice, the user.

    Raises:
        NotAPatient: the account has no patient's record. NoSuchPatient: the actor does not book for that patient.
        RuleBroken: the value is not a patient's id.
    """
    if not choices:
        raise NotAPatient
    if not wanted:
        return choices[0]
    number = whole_number(wanted)
    if number is None:
        raise RuleBroken(CHOOSE_PATIENT, code="no_patient")
    for choice in choices:
        if choice.id == number:
            return choice
    raise NoSuchPatient


def _nothing_to_book(page: Page, form: BookForm, error: AppError) -> Response:
    """The form names no appointment that is possible: show the error, the typed text and the way to choose again."""
    actions = [(_("Find a time"), "/")]
    with suppress(NotFound):
        doctor = doctors.get_doctor(page.session, form.doctor.data or "")
        actions = [(_("Choose another time"), f"/doctors/{doctor.slug}"), *actions]
    return error_page(page, error, actions=actions)


def _request_in(page: Page, form: TypedForm, *, by_staff: bool = False) -> tuple[BookingRequest, datetime]:
    """The appointment that a booking form or address names.

    Raises:
        NotFound: no such doctor or visit type. Invalid: the start is not an instant.
    """
    doctor = doctors.get_doctor(page.session, form.doctor.data or "")
    if form.visit_type.data and whole_number(form.visit_type.data) is None:
        raise RuleBroken(_("Visit type not found."), code="visit_type_not_offered")
    request = checks.find_booking_request(page.session, doctor, whole_number(form.visit_type.data), by_staff=by_staff)
    start = instant(form.starts_at.data)
    if start is None:
        raise RuleBroken(NO_TIME, code="no_time")
    kinds = [kind for kind in doctor.visit_types if kind.online or kind.id == request.visit_type.id]
    form.offer_types(kinds if request.offered else [*kinds, request.visit_type])
    return request, start


def _booking_page(
    page: Page,
    form: BookForm,
    choices: list[PatientChoice],
    request: BookingRequest,
    start: datetime,
    error: AppError | None,
    *,
    restored: bool = False,
    other_type: bool = False,
    status: int = 200,
) -> Response:
    """The booking form; with an error it keeps the typed text and says what is possible instead.

    `other_type`: the patient has just chosen this visit type, so the error may come from its length.
    """
    clinic = current_clinic(page)
    patient = _chosen_patient(choices, form.patient.data)
    taken = None if error is None else _explain(page, form, patient, request, start, error, other_type=other_type)
    form.starts_at.data = formats.iso(start)
    form.visit_type.data = form.shown_type.data = str(request.visit_type.id)
    form.patient.data = str(patient.id)
    form.offer(choices)
    for_another = error is not None and len(choices) > 1 and error.code in ABOUT_THE_PATIENT
    chosen = {"doctor": form.doctor.data, "visit_type": form.visit_type.data, "starts_at": form.starts_at.data}
    return page.render(
        "appointments/pages/book.html",
        status=error.status if error else status,
        appointment=appointment_preview(request, start),
        form=form,
        patient_name=patient.name,
        several=len(choices) > 1,
        bookable=error is None or isinstance(error, Unavailable),
        for_another=for_another,
        restored=restored,
        confirm_first=with_query("/book", **chosen) if isinstance(error, ConfirmFirst) else None,
        taken=taken,
        guardian=find_guardian(page.session, signed_in(page)),
        cancel_until=presenters.change_until(start, clinic, page.now),
    )


def _explain(
    page: Page,
    form: BookForm,
    patient: PatientChoice,
    request: BookingRequest,
    start: datetime,
    error: AppError,
    *,
    other_type: bool,
) -> presenters.TakenTime | None:
    """Put the error into the form; if another time would do, return what is free instead."""
    clinic = current_clinic(page)
    back = presenters.calendar_href(request, start, clinic, None if patient.is_self else patient.id)
    if other_type and error.code in ABOUT_THE_LENGTH:
        form.form_errors.append(_does_not_fit(request, start, clinic))
        return presenters.taken_time(page, request, start, back, current_viewer(page, patient.id), explained=True)
    if isinstance(error, SlotTaken):
        return presenters.taken_time(page, request, start, back, current_viewer(page, patient.id))
    form.add_error(presenters.about_patient(error, patient))
    return None


def _does_not_fit(request: BookingRequest, start: datetime, clinic: Clinic) -> str:
    """Why the visit type that was just chosen cannot be booked at the time that was shown."""
    values = {
        "name": request.visit_type.name,
        "length": formats.minutes(request.visit_type.minutes),
        "time": formats.clock(start, clinic.zone),
    }
    return _("%(name)s takes %(length)s, which isn’t free at %(time)s. Choose another time or visit type.") % values
