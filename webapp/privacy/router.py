"""Patients' own data: a copy of everything, and deleting it."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import DEVICE_COOKIE, clear_session_cookie, signed_in
from webapp.auth.pages.password_dependencies import require_password
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.i18n import gettext as _
from webapp.patients.service import patient_of_user
from webapp.privacy import erasure, own_data
from webapp.privacy.copy_page import answer_copy
from webapp.privacy.forms import DeletionForm, ProvenForm
from webapp.privacy.proven_pages import deletion_page, proven_page

router = Router()


@router.get("/account/data")
def show_own_data(page: CurrentPage) -> Response:
    """Describe the copy of the patient's data, with the form to get it; patients."""
    signed_in(page, "patient")
    return _copy_form(page, ProvenForm())


@router.post("/account/data")
def copy_own_data(page: CurrentPage, sent: SentForm) -> Response:
    """A copy of all data about the actor, as a page or as JSON, after the password; patients, of themselves."""
    actor = signed_in(page, "patient")
    form = ProvenForm(sent)
    with Submission(form) as submission:
        require_password(page, actor, submission.read(form.command))
        patient_id = patient_of_user(page.session, actor.user_id)
        page.write(own_data.note_copy, actor, patient_id, now=page.now)
        return answer_copy(page, patient_id, back="/account/data", as_json=sent.get("format") == "json")
    return _copy_form(page, form, submission)


def _copy_form(page: Page, form: ProvenForm, after: Submission | None = None) -> Response:
    return proven_page(page, "privacy/own_data.html", form, after)


@router.get("/account/deletion")
def show_deletion(page: CurrentPage) -> Response:
    """Describe the consequences of deleting the account, and ask; patients."""
    signed_in(page, "patient")
    return _deletion_page(page, DeletionForm())


@router.post("/account/deletion")
def delete_account(page: CurrentPage, sent: SentForm) -> Response:
    """Delete the actor's account and data, after the password; patients, of themselves."""
    actor = signed_in(page, "patient")
    form = DeletionForm(sent)
    with Submission(form) as submission:
        require_password(page, actor, submission.read(form.command))
        patient_id = patient_of_user(page.session, actor.user_id)
        erased = page.write(erasure.forget_patient, actor, patient_id, people=form.people.data or (), now=page.now)
        page.database.empty_log()
        said = _("Your account and your data are deleted.")
        if not erased:
            said = _(
                "Your account is deleted. The clinic keeps your record for as long as the law asks, and no longer."
            )
        response = page.redirect("/", flash=said, tone="info")
        clear_session_cookie(page, response)
        response.delete_cookie(page.cookie_name(DEVICE_COOKIE), path="/", secure=page.settings.secure_cookies)
        return response
    return _deletion_page(page, form, submission)


def _deletion_page(page: Page, form: DeletionForm, after: Submission | None = None) -> Response:
    patient_id = patient_of_user(page.session, signed_in(page).user_id)
    return deletion_page(page, "privacy/deletion.html", patient_id, form, after)
