"""Adds a patient from a separate form; the front desk and doctors have different pages for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.auth.schemas import Actor
from webapp.core.forms import Submission
from webapp.core.web import Page
from webapp.i18n import gettext as _
from webapp.patients import records
from webapp.patients.exceptions import LikelyDuplicate
from webapp.staff.patients.forms import NewPatientForm
from webapp.staff.patients.presenters import PatientLine


class ShowForm(Protocol):
    """Shows the form again, with the patients who may be the new one."""

    def __call__(
        self, page: Page, form: NewPatientForm, *, likely: LikelyDuplicate | None = None, status: int = 200
    ) -> Response: ...


def show_form(
    page: Page,
    form: NewPatientForm,
    likely: Sequence[PatientLine],
    *,
    action: str,
    above: tuple[str, str],
    cancel: str,
    status: int,
) -> Response:
    """The page with the form; its template says what the values are."""
    return page.render(
        "staff/patients/new.html", status=status, form=form, likely=likely, action=action, above=above, cancel=cancel
    )


def add_patient(
    page: Page, actor: Actor, sent: FormData, *, show: ShowForm, onward: Callable[[NewPatientForm, int], str]
) -> Response:
    """Add the patient and go on to the page that needed them; warn once if they may have a record already.

    A form that was sent twice leads to the patient whom it has added.
    """
    form = NewPatientForm(sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        try:
            patient_id = page.write(
                records.create_patient, actor, command, anyway=sent.get("anyway") == "yes", now=page.now
            )
        except LikelyDuplicate as warning:
            known = records.find_just_added(page.session, actor, command, now=page.now)
            if known is None:
                return show(page, form, likely=warning, status=warning.status)
            patient_id = known
        return page.redirect(onward(form, patient_id), flash=_("The patient is added."))
    return show(page, form, status=submission.status)
