"""Patients, for the front desk: finding them, adding one without an account, their record, and changing it."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from starlette.responses import Response

from webapp.appointments import queries as appointments
from webapp.appointments import separating
from webapp.appointments.exceptions import NoSuchAppointment
from webapp.auth.dependencies import DESK, require_confirmed, signed_in
from webapp.auth.schemas import Actor
from webapp.core.email_address import normal_email
from webapp.core.forms import Submission
from webapp.core.optimistic_lock import fingerprint
from webapp.core.pagination import clamp, cursor_of, neighbours, paginate
from webapp.core.parsing import parse_day, reference_in, whole_number
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, PathId, SentForm, local_path
from webapp.i18n import gettext as _
from webapp.patients import duplicates, records
from webapp.patients.exceptions import LikelyDuplicate
from webapp.patients.schemas import PatientNotes, PatientRecord, RecordDetails
from webapp.patients.search import PatientsFound, patients_by_id, search_patients
from webapp.staff.board.board_page import show_panel
from webapp.staff.patients import queries
from webapp.staff.patients.forms import NewPatientForm, PatientSearchForm, RecordForm
from webapp.staff.patients.new_patient_page import add_patient, show_form
from webapp.staff.patients.presenters import facts_of, likely_lines, patient_line

router = Router()

PAST_SIZE = 20
# The address of an appointment beside the board: its day and reference.
PANEL = re.compile(r"/board/([\d-]+)/appointments/([\w-]+)")


@router.get("/admin/patients")
def list_patients(page: CurrentPage) -> Response:
    """All patients by name, or those that match the search; front desk."""
    actor = signed_in(page, *DESK)
    query = page.request.query_params
    form = PatientSearchForm.of_address(query)
    text = query.get("q", "").strip()
    found = _by_reference(page, actor, text)
    if found is None:
        found = search_patients(
            page.session,
            text,
            cursor=cursor_of(before=whole_number(query.get("before")), after=whole_number(query.get("after"))),
        )
    ids = [patient.id for patient in found.patients]
    page.trace(records.note_listing, actor, ids, searched=bool(text), now=page.now)
    return page.render(
        "staff/patients/list.html",
        form=form,
        text=text,
        pairs=duplicates.count_pairs(page.session),
        patients=[patient_line(page, patient) for patient in found.patients],
        similar=found.similar,
        neighbours=neighbours(found.beside, "/admin/patients", q=text),
    )


@router.get("/admin/patients/new")
def show_new_patient(page: CurrentPage) -> Response:
    """The form for a patient without an account; front desk."""
    signed_in(page, *DESK)
    query = page.request.query_params
    return _new_page(page, NewPatientForm(data={"name": query.get("name", ""), "next": query.get("next", "")}))


@router.post("/admin/patients")
def create_patient(page: CurrentPage, sent: SentForm) -> Response:
    """Add a patient without an account, and warn once if they may have a record already; front desk."""
    return add_patient(page, signed_in(page, *DESK), sent, show=_new_page, onward=_onward)


@router.get("/admin/patients/{patient_id}")
def show_patient(page: CurrentPage, patient_id: PathId) -> Response:
    """A patient's record: contact details, who books for whom, appointments; front desk, and the reading is logged."""
    actor = signed_in(page, *DESK)
    record = records.get_record(page.session, patient_id)
    ahead = queries.list_appointments(page.session, actor, patient_id, upcoming=True, now=page.now)
    wanted = whole_number(page.request.query_params.get("page")) or 1
    past = queries.list_appointments(page.session, actor, patient_id, upcoming=False, now=page.now, limit=PAST_SIZE)
    number = clamp(wanted, past.total, PAST_SIZE)
    if number > 1:
        skip = (number - 1) * PAST_SIZE
        past = queries.list_appointments(
            page.session, actor, patient_id, upcoming=False, now=page.now, skip=skip, limit=PAST_SIZE
        )
    response = page.render(
        "staff/patients/patient.html",
        patient=record,
        facts=facts_of(page, record),
        joins=separating.list_joins(page.session, patient_id, now=page.now),
        others=duplicates.others_of(page.session, patient_id),
        upcoming=ahead.appointments,
        past=past.appointments,
        pages=paginate(f"/admin/patients/{patient_id}", number, past.total, PAST_SIZE),
    )
    _note_reading(page, actor, patient_id)
    return response


@router.get("/admin/patients/{patient_id}/edit")
def show_edit(page: CurrentPage, patient_id: PathId) -> Response:
    """The form for a patient's record; front desk, and the reading is logged."""
    actor = signed_in(page, *DESK)
    record = records.get_record(page.session, patient_id)
    details = records.saved_details(record.name, record.birth_date, record.phone, record.email)
    known = PatientNotes.model_construct(alert=record.alert, desk_note=record.desk_note)
    form = _edit_form(records.saved_record(details, known))
    form.back.data = page.request.query_params.get("back", "")
    response = _edit_page(page, record, form)
    _note_reading(page, actor, patient_id)
    return response


@router.post("/admin/patients/{patient_id}/edit")
def change_patient(page: CurrentPage, sent: SentForm, patient_id: PathId) -> Response:
    """Change a patient's record; front desk, who confirm who they are for the address that an account signs in with."""
    actor = signed_in(page, *DESK)
    form = RecordForm(sent)
    saved = records.get_record(page.session, patient_id)
    before = saved.email
    if saved.account is not None and normal_email(form.email.data or "") != before:
        # From then on the owner of another mailbox can sign in to the account.
        require_confirmed(page)
    with Submission(form, saved_form=_edit_form) as submission:
        command = submission.read(form.record)
        page.write(records.change_record, actor, patient_id, command, seen=form.seen.data or "", now=page.now)
        record = records.get_record(page.session, patient_id)
        said = _("The record is saved.")
        if record.account is not None and record.email != before:
            sentence = _("The record is saved. The patient now signs in as %(email)s, and is asked to confirm it.")
            said = sentence % {"email": record.email}
        back = _back(form, patient_id)
        beside = PANEL.fullmatch(back) if page.wants_fragment else None
        if beside is not None and (day := parse_day(beside[1])) is not None:
            response = show_panel(page, actor, day, beside[2], changed=True, said=said)
            response.headers.update({"hx-retarget": "#panel", "hx-reswap": "innerHTML"})
            return response
        return page.redirect(back, flash=said)
    return _edit_page(page, records.get_record(page.session, patient_id), form, status=submission.status)


# ----------------------------------------------------------------------------------- helpers of the pages


def _by_reference(page: Page, actor: Actor, text: str) -> PatientsFound | None:
    """The patient of the appointment with this reference; None if there is no such appointment: the text may be a
    name.
    """
    reference = reference_in(text)
    if reference is None:
        return None
    try:
        view = appointments.get_appointment(page.session, actor, reference)
    except NoSuchAppointment:
        return None
    return PatientsFound(patients_by_id(page.session, [view.patient_id]))


def _onward(form: NewPatientForm, patient_id: int) -> str:
    """The page that needed the patient, with their id in its address; otherwise the new record."""
    wanted = local_path(form.next.data or "", default="")
    if not wanted:
        return f"/admin/patients/{patient_id}"
    parts = urlsplit(wanted)
    keep = {name: value for name, value in parse_qsl(parts.query) if name != "patient"}
    return with_query(parts.path, **keep, patient=patient_id)


def _new_page(
    page: Page, form: NewPatientForm, *, likely: LikelyDuplicate | None = None, status: int = 200
) -> Response:
    lines = [line._replace(href=_onward(form, line.id)) for line in likely_lines(page, likely)]
    here = "/admin/patients"
    return show_form(page, form, lines, action=here, above=(here, _("Patients")), cancel=here, status=status)


def _edit_form(saved: RecordDetails) -> RecordForm:
    return RecordForm(data={**saved.model_dump(), "seen": fingerprint(saved)})


def _back(form: RecordForm, patient_id: int) -> str:
    return local_path(form.back.data or "", default=f"/admin/patients/{patient_id}")


def _edit_page(page: Page, record: PatientRecord, form: RecordForm, *, status: int = 200) -> Response:
    back = _back(form, record.id)
    return page.render(
        "staff/patients/edit.html",
        fragment="staff/patients/_edit_in_place.html",
        status=status,
        patient=record,
        form=form,
        back=back,
        beside=bool(PANEL.fullmatch(back)),
    )


def _note_reading(page: Page, actor: Actor, patient_id: int) -> None:
    page.trace(records.note_reading, actor, patient_id, now=page.now)
