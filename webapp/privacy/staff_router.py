"""A patient's data on request, for admins: a copy of everything, and deleting it."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth import service as auth
from webapp.auth.dependencies import require_factor, signed_in
from webapp.auth.pages.password_dependencies import require_password
from webapp.core.errors import headers_of
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.i18n import gettext as _
from webapp.patients import records
from webapp.privacy import erasure, own_data
from webapp.privacy.copy_page import answer_copy
from webapp.privacy.forms import DeletionForm, ProvenForm

router = Router()


@router.get("/admin/patients/{patient_id}/data")
def show_patient_data(page: CurrentPage, patient_id: PathId) -> Response:
    """What a copy of a patient's data holds, and the form to get it; admins."""
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
    return _copy_form(page, patient_id, form, status=submission.status, headers=headers_of(submission.error))


def _copy_form(
    page: Page, patient_id: int, form: ProvenForm, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    record = records.get_record(page.session, patient_id)
    has_password = auth.has_password(page.session, signed_in(page).user_id)
    return page.render(
        "privacy/patient_data.html",
        status=status,
        headers=headers,
        patient=record,
        form=form,
        has_password=has_password,
    )


@router.get("/admin/patients/{patient_id}/deletion")
def show_deletion(page: CurrentPage, patient_id: PathId) -> Response:
    """What happens when a patient's data is deleted on request, and the question; admins."""
    signed_in(page, "admin")
    return _deletion_page(page, patient_id, DeletionForm())


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
    return _deletion_page(page, patient_id, form, status=submission.status, headers=headers_of(submission.error))


def _deletion_page(
    page: Page, patient_id: int, form: DeletionForm, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    found = erasure.consequences(page.session, patient_id, now=page.now)
    form.offer([(person.id, person.name) for person in found.people])
    return page.render(
        "privacy/patient_deletion.html",
        status=status,
        headers=headers,
        form=form,
        found=found,
        patient_id=patient_id,
        has_password=auth.has_password(page.session, signed_in(page).user_id),
    )
