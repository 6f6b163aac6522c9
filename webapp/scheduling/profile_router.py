"""A doctor's profile and the calendar of one week; both are public."""

from __future__ import annotations

from datetime import date
from functools import partial

from starlette.responses import Response

from webapp.clinic.dependencies import current_clinic
from webapp.core.parsing import whole_number
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow, VisitTypeRow
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.scheduling import presenters, week_calendar
from webapp.scheduling.dependencies import (
    CachedForVisitors,
    books_with,
    chosen_patient,
    current_viewer,
    other_patient,
)
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.suggested_types import doctors_seen, suggested_type
from webapp.scheduling.viewer import Viewer
from webapp.scheduling.week_calendar import booking_address

router = Router()


@router.get("/doctors/{slug}")
@CachedForVisitors
def profile(page: CurrentPage, slug: str) -> Response:
    """A doctor and the calendar of one week; everyone."""
    return _profile(page, slug, fragment=None)


@router.get("/doctors/{slug}/calendar")
@CachedForVisitors
def profile_calendar(page: CurrentPage, slug: str) -> Response:
    """The calendar alone for HTMX; other requests get the whole page."""
    return _profile(page, slug, fragment="scheduling/_calendar.html")


def _profile(page: Page, slug: str, *, fragment: str | None) -> Response:
    clinic = current_clinic(page)
    doctor = doctors.get_doctor(page.session, slug)
    week = _week(page)
    patient_id = chosen_patient(page)
    viewer = current_viewer(page, patient_id)
    wanted = page.request.query_params.get("visit_type")
    kind = _visit_type(page, doctor, wanted, viewer)
    if kind is None:
        # Every appointment with this doctor is booked by telephone; the page says so instead of showing a calendar.
        return page.render(
            "scheduling/profile.html",
            public=True,
            doctor=presenters.doctor_profile(doctor, None, clinic, now=page.now),
            for_whom=None,
            may_book=True,
            cancel_notice=clinic.change_until_minutes,
            banner=None,
            calendar=None,
        )
    may_book = books_with(page, doctor)
    place = _place(doctor, kind, viewer, patient_id, keep_type=bool(wanted))
    if not may_book:
        place = place._replace(slot_address="")
    calendar = week_calendar.week_calendar(
        page.session, clinic, BookingRequest(doctor, kind), place, week=week, now=page.now, viewer=viewer
    )
    shown = with_query(place.page, **place.keep, week=calendar.week)
    return page.render(
        "scheduling/profile.html",
        fragment=fragment,
        public=True,
        headers={"hx-push-url": shown} if fragment is not None and page.wants_fragment else None,
        doctor=presenters.doctor_profile(doctor, calendar.first_free, clinic, now=page.now),
        for_whom=other_patient(page, patient_id),
        may_book=may_book,
        cancel_notice=clinic.change_until_minutes,
        banner=calendar.banner,
        calendar=calendar,
        cached=partial(week_calendar.cached_calendar, page.session),
    )


def _week(page: Page) -> date | None:
    """The Monday of the week in the address, or None.

    Raises:
        NotFound: there is no such week.
    """
    text = page.request.query_params.get("week")
    week = week_calendar.parse_week(text or "")
    if text and week is None:
        raise NotFound(_("This week does not exist."))
    return week


def _visit_type(page: Page, doctor: DoctorRow, wanted: str | None, viewer: Viewer) -> VisitTypeRow | None:
    """The visit type in the address if the viewer may book it; otherwise the suggested one, or None."""
    number = whole_number(wanted) if wanted else None
    kind = doctor.visit_type(number) if number is not None else None
    if kind is not None and (kind.online or viewer.by_staff):
        return kind
    seen = doctors_seen(page.session, viewer, now=page.now)
    return suggested_type(doctor, seen, by_staff=viewer.by_staff)


def _place(
    doctor: DoctorRow, kind: VisitTypeRow, viewer: Viewer, patient_id: int | None, *, keep_type: bool
) -> week_calendar.CalendarPlace:
    """Where the profile's calendar is shown. Its links keep the patient, and the visit type if the address has one."""
    path = f"/doctors/{doctor.slug}"
    keep: dict[str, object] = {"visit_type": kind.id} if keep_type else {}
    if patient_id is not None:
        keep["patient"] = patient_id
    return week_calendar.CalendarPlace(
        page=path,
        fragment=f"{path}/calendar",
        slot_address=booking_address(doctor.slug, kind.id, patient_id),
        keep=keep,
        visit_types=[
            (each.id, each.name, each.minutes) for each in doctor.visit_types if each.online or viewer.by_staff
        ],
    )
