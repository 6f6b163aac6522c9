"""Booking for a caller: patient, doctor and time on one screen, and the next one of a family after it.

The choices are in the address. What is private (names, contact details, why the patient comes) is only ever sent in
the body: then the page is the answer to the form.
"""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.pages.forms import WHOM
from webapp.appointments.schemas import Booking
from webapp.auth.dependencies import STAFF, signed_in
from webapp.auth.pages.draft_dependencies import drop_draft
from webapp.core.errors import lead_back_to
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, SentForm
from webapp.exceptions import AppError, Conflict, Invalid, NotFound, Unavailable
from webapp.patients import records
from webapp.patients.exceptions import LikelyDuplicate
from webapp.patients.schemas import PatientDetails
from webapp.staff.desk.booking_forms import HERE, CallForm, Chosen
from webapp.staff.desk.booking_page import NOTHING_FOUND, PARTS, Call
from webapp.staff.desk.bookings import book_for_caller

router = Router()


@router.get(HERE, name="desk_booking")
def show_booking(page: CurrentPage) -> Response:
    """The whole booking on one page; the front desk, and doctors for their own calendar."""
    actor = signed_in(page, *STAFF)
    query = page.request.query_params
    form = CallForm.of_address(query)
    form.validate()
    call = Call(page, actor, form)
    return call.whole(call.family(), call.usual_time())


@router.post(HERE)
def book(page: CurrentPage, sent: SentForm) -> Response:
    """Book the time whose button was pressed, or show the page for what was typed; the same people."""
    form = CallForm(sent)
    form.step.data = "squeeze" if sent.get("squeeze") else ""
    lead_back_to(page.request, form.address())
    actor = signed_in(page, *STAFF)
    fine = form.validate()
    call = Call(page, actor, form)
    chosen = Chosen.read(str(sent.get("squeeze") or sent.get("time", "")))
    if chosen is None or form.unsent:
        return _look(call)
    return _book(call, chosen, sent) if fine else call.whole(call.found(), chosen, status=422)


def _look(call: Call) -> Response:
    """Look up what was typed. A patient who alone fits is chosen, and the address then has all the choices."""
    page, form = call.page, call.form
    target = page.request.headers.get("hx-target", "")
    if target in PARTS:
        return call.part(PARTS[target])
    found = call.found()
    if found.is_certain:
        form.patient.data, found = str(found.patients[0].patient.id), NOTHING_FOUND
    if form.errors or form.unsent or form.is_private or found.searched:
        return call.whole(found, call.usual_time(), status=422 if form.errors else 200)
    return page.redirect(form.address())


def _book(call: Call, chosen: Chosen, sent: FormData) -> Response:
    """Book the chosen time for the chosen patient, or for a new one."""
    page, form = call.page, call.form
    command = form.booking(chosen)
    new_patient = None
    if not form.patient.data:
        if form.new_patient_typed:
            new_patient = form.new_patient()
        else:
            form.form_errors.append(WHOM)
    if command is None or (new_patient is None and not form.patient.data):
        return call.whole(call.found(), chosen, status=422)
    page.close()
    error: AppError
    reference: str | None
    try:
        reference = page.database.write(
            book_for_caller,
            call.actor,
            command,
            new_patient=new_patient,
            anyway=sent.get("anyway") == "yes",
            now=page.now,
        )
    except (Conflict, Invalid, NotFound, Unavailable) as refusal:
        error = refusal
        reference = _sent_before(call, command, new_patient)
    if reference is None:
        found = call.likely(error) if isinstance(error, LikelyDuplicate) else call.found()
        return call.whole(found, chosen, error=error)
    response = page.redirect(f"/appointments/{reference}?booked=1")
    drop_draft(page, response)
    return response


def _sent_before(call: Call, command: Booking, new_patient: PatientDetails | None) -> str | None:
    """The appointment that the same form has booked before, for a patient whom it may have added; None otherwise."""
    session = call.page.session
    if new_patient is not None:
        patient_id = records.find_just_added(session, call.actor, new_patient, now=call.page.now)
        if patient_id is None:
            return None
        command = command.model_copy(update={"patient_id": patient_id})
    return queries.find_same_booking(session, call.actor, command)
