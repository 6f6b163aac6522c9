"""The alert and the note about a patient; the front desk, and the doctors of that patient."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import STAFF, signed_in
from webapp.auth.schemas import Actor
from webapp.core.forms import Submission
from webapp.core.optimistic_lock import fingerprint
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm, local_path
from webapp.i18n import gettext as _
from webapp.patients import notes, records
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.schemas import PatientNotes
from webapp.staff.patients import queries
from webapp.staff.patients.notes_forms import PatientNotesForm

router = Router()


@router.get("/admin/patients/{patient_id}/notes")
def show_notes(page: CurrentPage, patient_id: PathId) -> Response:
    """The form for the alert and the note; the front desk and the patient's doctors, and the reading is logged."""
    actor = _reader(page, patient_id)
    form = _form(notes.get_notes(page.session, patient_id))
    form.back.data = page.request.query_params.get("back", "")
    response = _notes_page(page, actor, patient_id, form)
    page.trace(records.note_reading, actor, patient_id, now=page.now)
    return response


@router.post("/admin/patients/{patient_id}/notes")
def write_notes(page: CurrentPage, sent: SentForm, patient_id: PathId) -> Response:
    """Save the alert and the note; the front desk and the patient's doctors."""
    actor = _reader(page, patient_id)
    form = PatientNotesForm(sent)
    with Submission(form, saved_form=_form) as submission:
        command = submission.read(form.command)
        page.write(notes.write_notes, actor, patient_id, command, seen=form.seen.data or "", now=page.now)
        return page.redirect(_back(actor, patient_id, form), flash=_("The alert and the note are saved."))
    return _notes_page(page, actor, patient_id, form, status=submission.status)


def _reader(page: Page, patient_id: int) -> Actor:
    """The actor, who may read the notes about this patient.

    Raises:
        NoSuchPatient: a doctor asks for a patient who has no appointment with them.
    """
    actor = signed_in(page, *STAFF)
    if not actor.sees_all and not queries.has_appointment(page.session, actor, patient_id):
        raise NoSuchPatient
    return actor


def _form(saved: PatientNotes) -> PatientNotesForm:
    return PatientNotesForm(data={**saved.model_dump(), "seen": fingerprint(saved)})


def _back(actor: Actor, patient_id: int, form: PatientNotesForm) -> str:
    default = f"/admin/patients/{patient_id}" if actor.sees_all else "/schedule"
    return local_path(form.back.data or "", default=default)


def _notes_page(page: Page, actor: Actor, patient_id: int, form: PatientNotesForm, *, status: int = 200) -> Response:
    return page.render(
        "staff/patients/notes.html",
        status=status,
        patient=records.get_record(page.session, patient_id),
        form=form,
        back=_back(actor, patient_id, form),
    )
