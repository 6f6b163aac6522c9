"""A patient's data on request, for admins: a copy of everything, and deleting it."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import require_factor, signed_in
from webapp.auth.pages.password_dependencies import require_password
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.i18n import gettext as _
from webapp.patients import records
from webapp.privacy import erasure, own_data
from webapp.privacy.copy_page import answer_copy
from webapp.privacy.forms import DeletionForm, ProvenForm
from webapp.privacy.proven_pages import deletion_page, proven_page

router = Router()

DELETION = "privacy/patient_deletion.html"


@router.get("/admin/patients/{patient_id}/data")
def show_patient_data(page: CurrentPage, patient_id: PathId) -> Response:
    """Describe the copy of a patient's data, with the form to get it; admins."""
    signed_in(page, "admin")
    return _copy_form(page, patient_id, ProvenForm())


@router.post("/admin/patients/{patient_id}/data")
def copy_patient_data(page: CurrentPage, sent: SentForm, patient_id: PathId) -> Response:
    """A copy of all data about a patient, after the admin's password and second factor; admins, and it is logged."""
    actor = signed_in(page, "admin")
    require_factor(page)
    form = ProvenForm(sent)
    with Submission(form) as submission:
        records.get_record(page.session, patient_id)
        require_password(page, actor, submission.read(form.command))
        page.write(own_data.note_copy, actor, patient_id, now=page.now)
        back = f"/admin/patients/{patient_id}"
        return answer_copy(page, patient_id, back=back, as_json=sent.get("format") == "json")
    return _copy_form(page, patient_id, form, submission)


def _copy_form(page: Page, patient_id: int, form: ProvenForm, after: Submission | None = None) -> Response:
    record = records.get_record(page.session, patient_id)
    return proven_page(page, "privacy/patient_data.html", form, after, patient=record)


@router.get("/admin/patients/{patient_id}/deletion")
def show_deletion(page: CurrentPage, patient_id: PathId) -> Response:
    """Describe the consequences of deleting a patient's data on request, and ask; admins."""
    signed_in(page, "admin")
    return deletion_page(page, DELETION, patient_id, DeletionForm())


@router.post("/admin/patients/{patient_id}/deletion")
def delete_patient(page: CurrentPage, sent: SentForm, patient_id: PathId) -> Response:
    """Delete a patient's data on request, after the admin's password and factor; admins, and it is logged."""
    actor = signed_in(page, "admin")
    require_factor(page)
    form = DeletionForm(sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        erasure.consequences(page.session, patient_id, now=page.now)
        require_password(page, actor, command)
        people = form.people.data or ()
        erased = page.write(erasure.forget_patient, actor, patient_id, people=people, now=page.now)
        page.database.empty_log()
        if erased:
            return page.redirect("/admin/patients", flash=_("The patient’s data is deleted."))
        said = _("The record is closed. It is deleted when the law allows it.")
        return page.redirect(f"/admin/patients/{patient_id}", flash=said)
    return deletion_page(page, DELETION, patient_id, form, submission)
