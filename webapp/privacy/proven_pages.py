"""Pages that ask for the password, or for a code if the account has no password, before they show or delete data."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from webapp.auth import service as auth
from webapp.auth.dependencies import signed_in
from webapp.core.forms import Submission
from webapp.core.web import Page
from webapp.privacy import erasure
from webapp.privacy.forms import DeletionForm, ProvenForm


def proven_page(page: Page, template: str, form: ProvenForm, after: Submission | None, **shown: Any) -> Response:
    """The page with its form; `after` is the error if it was sent and refused."""
    return page.render(
        template,
        status=200 if after is None else after.status,
        form=form,
        has_password=auth.has_password(page.session, signed_in(page).user_id),
        **shown,
    )


def deletion_page(
    page: Page, template: str, patient_id: int, form: DeletionForm, after: Submission | None = None
) -> Response:
    """The page of `proven_page`, with what deleting a patient's data would do, and whose data may go with it."""
    found = erasure.consequences(page.session, patient_id, now=page.now)
    form.offer([(person.id, person.name) for person in found.people])
    return proven_page(page, template, form, after, found=found, patient_id=patient_id)
