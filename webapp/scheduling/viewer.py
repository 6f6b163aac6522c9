"""Who looks at free times, and for whom."""

from __future__ import annotations

from typing import Any

from webapp.auth.dependencies import current_actor
from webapp.core.parsing import whole_number
from webapp.core.web import Page
from webapp.patients import search
from webapp.patients import service as patients


def viewer(page: Page) -> int | None:
    """The account whose own visits hide clashing times: a signed-in patient's."""
    actor = current_actor(page)
    return actor.user_id if actor is not None and actor.role == "patient" else None


def chosen_patient(page: Page) -> int | None:
    """The patient whom the address names, where the actor may book for them; the calendars keep it along the way."""
    actor = current_actor(page)
    wanted = whole_number(page.request.query_params.get("patient"))
    if actor is None or wanted is None:
        return None
    if actor.is_staff:
        return wanted
    mine = {choice.id for choice in patients.bookable_patients(page.session, actor)}
    return wanted if wanted in mine else None


def for_whom(page: Page, patient_id: int | None) -> dict[str, Any] | None:
    """The patient whom times are looked for, in words, unless that is whoever looks."""
    actor = current_actor(page)
    if actor is None or patient_id is None:
        return None
    if actor.is_staff:
        found = search.patients_by_id(page.session, [patient_id])
        return {"id": patient_id, "name": found[0].name} if found else None
    choices = patients.bookable_patients(page.session, actor)
    others = {each.id: each.name for each in choices if not each.is_self}
    return {"id": patient_id, "name": others[patient_id]} if patient_id in others else None


def seen_by(page: Page, patient_id: int | None = None) -> dict[str, Any]:
    """Whose other visits hide times and whose rules hold for whoever looks, as the calendars take it."""
    actor = current_actor(page)
    if patient_id is None and viewer(page) is not None:
        return {"patient_of_user": viewer(page)}
    return {"patient_id": patient_id, "by_staff": actor is not None and actor.is_staff}
