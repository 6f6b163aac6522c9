"""Booking for a caller: patient, doctor and time on one screen, and the next one of a family after it.

The choices are in the address. Private text (names, contact details, the reason) is only sent in the body: then the
page is the answer to the form.
"""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.appointments import queries, walk_ins
from webapp.appointments.pages.forms import CHOOSE_PATIENT
from webapp.appointments.schemas import Booking
from webapp.appointments.walk_ins import Queue
from webapp.auth.dependencies import STAFF, signed_in
from webapp.auth.pages.draft_dependencies import drop_draft
from webapp.clinic.dependencies import current_clinic
from webapp.core.errors import lead_back_to
from webapp.core.parsing import parse_day, whole_number
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.exceptions import AppError, Conflict, Invalid, NotFound, Unavailable
from webapp.patients import records
from webapp.patients.exceptions import LikelyDuplicate
from webapp.patients.schemas import PatientDetails
from webapp.staff.desk.booking_forms import HERE, CallForm, PickedTime
from webapp.staff.desk.booking_page import NOTHING_FOUND, PARTS, DeskCall
from webapp.staff.desk.booking_presenters import FoundPatients
from webapp.staff.desk.bookings import book_for_caller, let_wait
from webapp.staff.desk.walk_ins_forms import waits_in_words

router = Router()


@router.get(HERE, name="desk_booking")
def show_booking(page: CurrentPage) -> Response:
    """The whole booking on one page; the front desk, and doctors for their own calendar."""
    actor = signed_in(page, *STAFF)
    query = page.request.query_params
    form = CallForm.of_address(query)
    form.validate()
    call = DeskCall(page, actor, form)
    return call.whole(call.family(), call.usual_time())


@router.post(HERE)
def book(page: CurrentPage, sent: SentForm) -> Response:
    """Book the time whose button was pressed, or show the page for the typed text; the front desk and doctors."""
    form = CallForm(sent)
    form.step.data = "squeeze" if sent.get("squeeze") else ""
    if sent.get("another"):
        form.patient.data = ""
    if day := parse_day(str(sent.get("whole_day", ""))):
        form.look_at(day)
    lead_back_to(page.request, form.address())
    actor = signed_in(page, *STAFF)
    fine = form.validate()
    call = DeskCall(page, actor, form)
    if sent.get("queue") and not form.unsent:
        return _let_wait(call, sent) if fine else call.whole(call.found(), status=422)
    chosen = PickedTime.read(str(sent.get("squeeze") or sent.get("time", "")))
    if chosen is None or form.unsent:
        return _look(call)
    return _book(call, chosen, sent) if fine else call.whole(call.found(), chosen, status=422)


def _look(call: DeskCall) -> Response:
    """Look up the typed text. If exactly one patient matches, that patient is chosen, and the address then has all the
    choices.
    """
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


def _book(call: DeskCall, chosen: PickedTime, sent: FormData) -> Response:
    """Book the chosen time for the chosen patient, or for a new one."""
    page, form = call.page, call.form
    command, new_patient = form.booking(chosen), _new_patient(form)
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
            walk_in_id=form.walk_in_id,
            now=page.now,
        )
    except (Conflict, Invalid, NotFound, Unavailable) as refusal:
        error = refusal
        reference = _booked_before(call, command, new_patient)
    if reference is None:
        return call.whole(_found_after(call, error), chosen, error=error)
    there = f"/appointments/{reference}?booked=1"
    if call.walk_in is not None and current_clinic(page).today(chosen.starts_at) == call.walk_in.day:
        there = f"/board/{call.walk_in.day}/appointments/{reference}"
    return _finish(page, there)


def _let_wait(call: DeskCall, sent: FormData) -> Response:
    """Let the chosen patient, or a new one, wait in a queue of today."""
    page, form = call.page, call.form
    queue, new_patient = form.queue(), _new_patient(form)
    if queue is None or (new_patient is None and not form.patient.data):
        return call.whole(call.found(), status=422)
    page.close()
    try:
        page.database.write(
            let_wait,
            call.actor,
            queue,
            patient_id=whole_number(form.patient.data),
            new_patient=new_patient,
            anyway=sent.get("anyway") == "yes",
            now=page.now,
        )
    except (Conflict, Invalid, Unavailable) as refusal:
        if _sentence_about_wait(call, queue, new_patient) is None:
            return call.whole(_found_after(call, refusal), error=refusal)
    return _finish(page, "/board", said=_sentence_about_wait(call, queue, new_patient))


def _found_after(call: DeskCall, error: AppError) -> FoundPatients:
    return call.likely(error) if isinstance(error, LikelyDuplicate) else call.found()


def _new_patient(form: CallForm) -> PatientDetails | None:
    """The typed new patient, if no patient is chosen; without either, the form gets an error."""
    if form.patient.data:
        return None
    if form.new_patient_typed:
        return form.new_patient()
    form.form_errors.append(CHOOSE_PATIENT)
    return None


def _finish(page: Page, there: str, *, said: str | None = None) -> Response:
    response = page.redirect(there, flash=said)
    drop_draft(page, response)
    return response


def _booked_before(call: DeskCall, command: Booking, new_patient: PatientDetails | None) -> str | None:
    """The appointment that the same form has booked before, for a patient whom it may have added; None otherwise."""
    if new_patient is not None:
        patient_id = _just_added(call, new_patient)
        if patient_id is None:
            return None
        command = command.model_copy(update={"patient_id": patient_id})
    return queries.find_same_booking(call.page.session, call.actor, command)


def _sentence_about_wait(call: DeskCall, queue: Queue, new_patient: PatientDetails | None) -> str | None:
    """A sentence about the wait, also if the same form was sent before; None if the patient does not wait in this
    queue.
    """
    patient_id = whole_number(call.form.patient.data) if new_patient is None else _just_added(call, new_patient)
    if patient_id is None:
        return None
    view = walk_ins.find_waiting(call.page.session, patient_id, queue, now=call.page.now)
    return None if view is None else waits_in_words(view)


def _just_added(call: DeskCall, new_patient: PatientDetails) -> int | None:
    return records.find_just_added(call.page.session, call.actor, new_patient, now=call.page.now)
