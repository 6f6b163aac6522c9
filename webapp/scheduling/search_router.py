"""The search for a doctor and a free time: the home page and the list of doctors. Both are public."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from sqlalchemy.orm import Session
from starlette.responses import Response
from wtforms import SelectChoice  # type: ignore[attr-defined]

from webapp.clinic.dependencies import current_clinic
from webapp.core.pagination import clamp, paginate
from webapp.core.parsing import whole_number
from webapp.core.routing import Router
from webapp.core.web import CurrentPage
from webapp.doctors import search
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.i18n import gettext as _
from webapp.scheduling import presenters
from webapp.scheduling.dependencies import CachedForVisitors, books_with, chosen_patient, current_viewer, other_patient
from webapp.scheduling.facts import BookingRequest, FreeTime, next_free
from webapp.scheduling.forms import FinderForm
from webapp.scheduling.suggested_types import doctors_seen, suggested_type

router = Router()

PAGE_SIZE = 20
NEVER = float("inf")


@router.get("/")
@router.get("/doctors")
@CachedForVisitors
def find(page: CurrentPage) -> Response:
    """The doctors and their next free times; everyone."""
    clinic = current_clinic(page)
    form = FinderForm.of_address(page.request.query_params)
    listed = doctors.list_doctors(page.session)
    _fill_choices(form, listed)
    words = search.words_of(form.q.data or "")
    patient_id = chosen_patient(page)
    viewer = current_viewer(page, patient_id)
    seen = doctors_seen(page.session, viewer, now=page.now)
    requests = [
        request for doctor in listed if (request := _match(page.session, doctor, form, words, seen)) is not None
    ]
    number = clamp(whole_number(page.request.query_params.get("page")) or 1, len(requests), PAGE_SIZE)
    # If the page shows all doctors, the earliest time is among those on the page.
    days = presenters.DAYS_SHOWN if len(requests) <= PAGE_SIZE else None
    free = next_free(page.session, clinic, requests, now=page.now, days=days, viewer=viewer)
    first = {doctor_id: times[0] for doctor_id, times in free.items() if times}
    filtered = any(form.data.values())
    first_specialty = "" if filtered else clinic.first_specialty
    requests.sort(key=partial(_place_of, first, first_specialty))
    shown = requests[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    if days is None:
        free = next_free(page.session, clinic, shown, now=page.now, days=presenters.DAYS_SHOWN, viewer=viewer)
    earliest = None
    may_book = {each.doctor.id for each in requests if books_with(page, each.doctor)}
    soonest = next((each for each in requests if each.doctor.id in may_book), None)
    if soonest is not None and soonest.doctor.id in first:
        earliest = presenters.earliest_time(soonest, first[soonest.doctor.id], patient_id, clinic, now=page.now)
    return page.render(
        "scheduling/find.html",
        fragment="scheduling/_doctor_list.html",
        public=True,
        swapped=page.wants_fragment,
        earliest=earliest,
        for_whom=other_patient(page, patient_id),
        filters=form,
        filtered=filtered,
        first_specialty=first_specialty if any(each.doctor.specialty == first_specialty for each in shown) else "",
        known=search.suggestions(page.session),
        did_you_mean=search.did_you_mean(page.session, form.q.data) if form.q.data and not requests else None,
        count=len(requests),
        doctors=presenters.doctor_cards(shown, free, patient_id, clinic, may_book=may_book, now=page.now),
        may_book=len(may_book) == len(requests),
        pages=paginate("/doctors", number, len(requests), PAGE_SIZE, **form.data, patient=patient_id),
    )


def _place_of(first: Mapping[int, FreeTime], first_specialty: str, request: BookingRequest) -> tuple[bool, float]:
    """The doctor with the earliest free time comes first, but those of the clinic's first specialty before all others.

    Doctors without a free time come last, in the clinic's order.
    """
    time = first.get(request.doctor.id)
    return (request.doctor.specialty != first_specialty, time.start) if time is not None else (True, NEVER)


def _fill_choices(form: FinderForm, listed: list[DoctorRow]) -> None:
    specialties = sorted({doctor.specialty for doctor in listed})
    kinds = {kind.name for doctor in listed for kind in doctor.visit_types if kind.online}
    languages = sorted({language for doctor in listed for language in doctor.languages})
    form.specialty.choices = _choices(_("Any specialty"), specialties)
    form.visit_type.choices = _choices(_("Any visit type"), sorted(kinds))
    form.language.choices = _choices(_("Any language"), languages)


def _choices(nothing: str, names: list[str]) -> list[SelectChoice]:
    return [SelectChoice("", nothing), *(SelectChoice(name, name) for name in names)]


def _match(
    session: Session, doctor: DoctorRow, form: FinderForm, words: list[str], seen: Collection[int]
) -> BookingRequest | None:
    """The appointment to look for with this doctor, or None if a filter leaves the doctor out."""
    if not doctor.fits(specialty=form.specialty.data, language=form.language.data):
        return None
    found = search.find(session, doctor, words)
    if found is None:
        return None
    wanted = form.visit_type.data
    if wanted:
        kind = next((each for each in doctor.visit_types if each.online and each.name == wanted), None)
    else:
        kind = suggested_type(doctor, seen, among=found.kinds)
    return BookingRequest(doctor, kind) if kind is not None else None
