"""A doctor's profile and the calendar of a week; both are public."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from webapp.auth.dependencies import current_actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.i18n import gettext as _
from webapp.core.parsing import whole_number
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import NotFound
from webapp.scheduling import week_calendar
from webapp.scheduling.dependencies import chosen_patient, current_viewer, other_patient
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.week_calendar import booking_address

router = APIRouter()


@router.get("/doctors/{slug}")
def profile(page: CurrentPage, slug: str) -> Response:
    """A doctor, and the calendar of a week; everybody."""
    return _profile(page, slug, fragment=None)


@router.get("/doctors/{slug}/calendar")
def profile_calendar(page: CurrentPage, slug: str) -> Response:
    """The calendar alone for HTMX, which gets the address of the whole page to show; else the whole page."""
    return _profile(page, slug, fragment="scheduling/_calendar.html")


def _profile(page: Page, slug: str, *, fragment: str | None) -> Response:
    clinic = current_clinic(page)
    doctor = doctors.get_doctor(page.session, slug)
    query = page.request.query_params
    week = week_calendar.parse_week(query.get("week", ""))
    if query.get("week") and week is None:
        raise NotFound(_("There is no such week in the calendar."))
    wanted = query.get("visit_type")
    kind = doctor.visit_type(whole_number(wanted) if wanted else None)
    actor = current_actor(page)
    by_staff = actor is not None and actor.is_staff
    if kind is None or not (kind.online or by_staff):
        kind = doctor.visit_type(None)
    if kind is None and by_staff and doctor.visit_types:
        kind = doctor.visit_types[0]
    if kind is None:
        # Every visit with this doctor is booked by telephone; the page says so in place of a calendar.
        return page.render(
            "scheduling/profile.html",
            public=True,
            doctor=_about(doctor, None),
            for_whom=None,
            cancel_notice=clinic.change_until_minutes,
            banner=None,
            calendar=None,
        )
    path = f"/doctors/{doctor.slug}"
    patient_id = chosen_patient(page)
    keep: dict[str, object] = {"visit_type": kind.id} if wanted else {}
    if patient_id is not None:
        keep["patient"] = patient_id
    view = week_calendar.week_calendar(
        page.session,
        clinic,
        BookingRequest(doctor, kind),
        week_calendar.Place(
            page=path,
            fragment=f"{path}/calendar",
            slot_address=booking_address(doctor.slug, kind.id, patient_id),
            keep=keep,
            visit_types=[(each.id, each.name, each.minutes) for each in doctor.visit_types if each.online or by_staff],
        ),
        week=week,
        now=page.now,
        viewer=current_viewer(page, patient_id),
    )
    next_words = None
    if view.first_free is not None:
        words = week_calendar.words_for(view.first_free, clinic, now=page.now).removeprefix("on ")
        next_words = words[:1].upper() + words[1:]
    shown = with_query(path, **keep, week=view.week)
    return page.render(
        "scheduling/profile.html",
        fragment=fragment,
        public=True,
        headers={"hx-push-url": shown} if fragment is not None and page.wants_fragment else None,
        doctor=_about(doctor, next_words),
        for_whom=other_patient(page, patient_id),
        cancel_notice=clinic.change_until_minutes,
        banner=view.banner,
        calendar=view,
    )


def _about(doctor: DoctorRow, next_words: str | None) -> dict[str, Any]:
    return {
        "name": doctor.name,
        "tint": doctor.tint,
        "specialty": doctor.specialty,
        "bio": doctor.bio,
        "room": doctor.room,
        "languages": ", ".join(doctor.languages),
        "next_free": next_words,
    }
