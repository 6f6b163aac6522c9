"""The answer that holds a copy of a patient's data."""

from __future__ import annotations

from starlette.responses import Response, StreamingResponse

from webapp.clinic.dependencies import current_clinic
from webapp.core.web import Page
from webapp.privacy import own_data
from webapp.privacy.presenters import sections_of


def answer_copy(page: Page, patient_id: int, *, back: str, as_json: bool) -> Response:
    """The copy of a patient's data, sent in pieces while it is read; no cache may keep it."""
    clinic = current_clinic(page)
    sections = own_data.copy_of(page.database, patient_id)
    if not as_json:
        shown = sections_of(sections, clinic)
        return page.stream("privacy/copy.html", sections=shown, back=back, made_at=page.now)
    page.close()
    pieces = own_data.as_json(sections, clinic.letterhead | {"name": clinic.name_shown}, now=page.now)
    name = f"my-data-{clinic.today(page.now):%Y-%m-%d}.json"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return StreamingResponse(own_data.in_batches(pieces), media_type="application/json", headers=headers)
