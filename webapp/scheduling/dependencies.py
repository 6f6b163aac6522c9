"""Reads from the request who looks at free times, and for which patient."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import update_wrapper
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from webapp.auth.dependencies import current_actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.schedule_versions import Versions, versions_seen, weight_of
from webapp.core.parsing import whole_number
from webapp.core.routing import CachingEndpoint
from webapp.core.web import Page, copy_of, open_page
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import NotFound
from webapp.i18n import language_tag
from webapp.patients import search
from webapp.patients import service as patients
from webapp.scheduling.slots import minute_reached
from webapp.scheduling.viewer import Viewer


class CachedForVisitors(CachingEndpoint):
    """A route that answers all visitors with the same bytes, made once for each state of all schedules and each minute.

    Every table that the route reads must raise the versions: see `clinic.schedule_versions`. Clients who send a cookie
    or a token are no visitors.
    """

    def __init__(self, answer: Callable[..., Response]) -> None:
        # FastAPI reads the parameters of the route from here.
        update_wrapper(self, answer)
        self._answer = answer

    def __call__(self, page: Page, **parameters: Any) -> Response:
        """Answer, and cache the answer if it is for all visitors."""
        # The route may end the snapshot before it returns.
        place = _place_of(page)
        made = self._answer(page, **parameters)
        # A cookie would be for this client alone.
        if place is None or made.status_code != 200 or "set-cookie" in made.headers:
            return made
        # Very long addresses are not cached: they may take more memory than the answer.
        size = len(made.body) + len(page.request.scope["path"]) + len(page.request.scope["query_string"])
        place.versions.answers.keep(place.key, place.state, made, weight=weight_of(size))
        return copy_of(made)

    async def find_cached_answer(self, request: Request) -> Response | None:
        """The cached answer for this address, or None; other clients than visitors get none."""
        return await run_in_threadpool(_cached_answer_in, open_page(request)) if _is_visitor(request) else None


class _Place(NamedTuple):
    """The place of an answer in the cache: its address, and the state of everything that it shows."""

    versions: Versions
    key: Hashable
    state: Hashable


def _is_visitor(request: Request) -> bool:
    return "cookie" not in request.headers and "authorization" not in request.headers


def _place_of(page: Page) -> _Place | None:
    """The place of the answer to a visitor; None for other clients."""
    request = page.request
    versions = versions_seen(page.session) if _is_visitor(request) else None
    if versions is None:
        return None
    key = language_tag(), page.wants_fragment, request.scope["path"], request.scope["query_string"]
    state = versions.of_all_doctors(), minute_reached(page.now), current_clinic(page).today(page.now)
    return _Place(versions, key, state)


def _cached_answer_in(page: Page) -> Response | None:
    place = _place_of(page)
    kept: Response | None = place.versions.answers.find(place.key, place.state) if place is not None else None
    if kept is None:
        return None
    page.close()
    return page.unless_known(copy_of(kept))


class OtherPatient(NamedTuple):
    """The patient for whom another person looks for a time."""

    id: int
    name: str


def current_viewer(page: Page, patient_id: int | None = None, *, moving: int | None = None) -> Viewer:
    """The viewer, for this patient and this move; without a patient id, patients look for themselves."""
    actor = current_actor(page)
    if patient_id is None and actor is not None and actor.role == "patient":
        return Viewer(user_id=actor.user_id, moving=moving)
    return Viewer(patient_id, moving=moving, by_staff=actor is not None and actor.is_staff)


def books_with(page: Page, doctor: DoctorRow) -> bool:
    """Whether the actor could book an appointment with this doctor: doctors book patients only with themselves."""
    actor = current_actor(page)
    if actor is None or actor.role != "doctor":
        return True
    with suppress(NotFound):
        return doctors.get_doctor_of_user(page.session, actor.user_id).id == doctor.id
    return False


def chosen_patient(page: Page) -> int | None:
    """The id of the patient in the address, if the actor may book for them; calendar links keep it."""
    actor = current_actor(page)
    wanted = whole_number(page.request.query_params.get("patient"))
    if actor is None or wanted is None:
        return None
    if actor.is_staff:
        return wanted
    mine = {choice.id for choice in patients.bookable_patients(page.session, actor)}
    return wanted if wanted in mine else None


def other_patient(page: Page, patient_id: int | None) -> OtherPatient | None:
    """The patient for whom times are looked for, unless that is the signed-in user."""
    actor = current_actor(page)
    if actor is None or patient_id is None:
        return None
    if actor.is_staff:
        found = search.patients_by_id(page.session, [patient_id])
        return OtherPatient(patient_id, found[0].name) if found else None
    choices = patients.bookable_patients(page.session, actor)
    others = {each.id: each.name for each in choices if not each.is_self}
    return OtherPatient(patient_id, others[patient_id]) if patient_id in others else None
