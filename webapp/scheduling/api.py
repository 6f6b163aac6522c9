"""Free times, as programs read them: exactly those that can be booked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, NamedTuple

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from webapp.auth.programs.api_access import MaybeCaller
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.api import JSON_TYPE, LIST_HEADERS, ApiRouter, Moment, QueryId
from webapp.core.api_problems import problems
from webapp.core.web import CurrentPage, Page, PathId
from webapp.doctors import service as doctors
from webapp.doctors.api import Words, visible_doctor
from webapp.doctors.service import DoctorRow
from webapp.exceptions import Invalid, NotSignedIn
from webapp.i18n import gettext as _
from webapp.patients import service as patients
from webapp.scheduling import checks
from webapp.scheduling.dependencies import CachedForVisitors, current_viewer
from webapp.scheduling.facts import BookingRequest, load_facts
from webapp.scheduling.free_times_json import json_of_many, json_of_one, starts_between
from webapp.scheduling.slots import Minute
from webapp.scheduling.time_parameters import When, end_of, start_of

router = ApiRouter(tags=["Free times"])

COUNTED = {"X-Total-Count": LIST_HEADERS["X-Total-Count"]}
DEFAULT_DAYS = 7
MOST_DAYS = 92

From = Annotated[
    When | None,
    Query(
        alias="from",
        description="The earliest start: a time with an offset, or a day in the clinic's time zone. Default: now.",
        examples=["2026-12-01"],
    ),
]
To = Annotated[
    When | None,
    Query(
        alias="to",
        description="The end of the search: a time with an offset, or the last day in the clinic's time zone. "
        f"Default: {DEFAULT_DAYS} days after `from`. Maximum: {MOST_DAYS} days after `from`.",
        examples=["2026-12-07"],
    ),
]
ForPatient = Annotated[
    QueryId | None,
    Query(
        description="The patient: times that conflict with their other appointments are left out. Patients send their "
        "own id, which is the default, or that of a person they book for; staff send any id."
    ),
]


class FreeTimeOut(BaseModel):
    """A time that can be booked."""

    starts_at: Moment
    ends_at: Moment


class DoctorsFreeTimeOut(FreeTimeOut):
    """A time that can be booked with this doctor."""

    doctor_id: Annotated[int, Field(examples=[1])]


@router.get(
    "/doctors/{doctor_id}/availability",
    summary="List the free times of a doctor",
    responses={200: {"model": list[FreeTimeOut], "headers": COUNTED}, **problems(401, 404)},
)
@CachedForVisitors
def list_free_times_of_doctor(
    page: CurrentPage,
    actor: MaybeCaller,
    doctor_id: PathId,
    since: From = None,
    until: To = None,
    visit_type_id: Annotated[QueryId | None, Query(description="Default: the doctor's default type.")] = None,
    patient_id: ForPatient = None,
) -> Response:
    """All times at which an appointment with a doctor can be booked, in order. Access: everyone.

    A time is in the list if and only if booking it would succeed. Patients who are signed in do not get
    times that conflict with their own appointments.
    """
    doctor = visible_doctor(page, actor, doctor_id)
    window = _window(page, since, until)
    request = _request_for(doctor, visit_type_id, actor)
    if request is None and visit_type_id is None:
        # Every appointment with this doctor is booked by telephone.
        return _answer(page, json_of_one([], 0), total=0)
    request = request or checks.find_booking_request(page.session, doctor, visit_type_id)
    starts = _starts(page, actor, [request], window, patient_id)[doctor.id]
    return _answer(page, json_of_one(starts, request.visit_type.minutes), total=len(starts))


@router.get(
    "/availability",
    summary="List the free times of all doctors",
    responses={200: {"model": list[DoctorsFreeTimeOut], "headers": COUNTED}, **problems(401, 404)},
)
@CachedForVisitors
def list_free_times(
    page: CurrentPage,
    actor: MaybeCaller,
    since: From = None,
    until: To = None,
    specialty: Annotated[Words, Query(description="Only doctors of this specialty.", examples=["Dermatology"])] = "",
    language: Annotated[Words, Query(description="Only doctors who speak this language.")] = "",
    visit_type_id: Annotated[
        QueryId | None, Query(description="Only doctors who offer it. Default: each doctor's default type.")
    ] = None,
    patient_id: ForPatient = None,
    limit: Annotated[
        int | None, Query(ge=1, le=100_000, description="Only this many of the first times. Default: all.")
    ] = None,
) -> Response:
    """The times at which an appointment with any doctor can be booked, by start, then by end. Access: everyone.

    The list is not paginated: it holds all times between `from` and `to`, or the first `limit` of them.
    """
    window = _window(page, since, until)
    fitting = [
        doctor for doctor in doctors.list_doctors(page.session) if doctor.fits(specialty=specialty, language=language)
    ]
    requests = [request for doctor in fitting if (request := _request_for(doctor, visit_type_id, actor)) is not None]
    starts = _starts(page, actor, requests, window, patient_id)
    found = [(request.doctor.id, request.visit_type.minutes, starts[request.doctor.id]) for request in requests]
    return _answer(page, json_of_many(found, limit), total=sum(map(len, starts.values())))


class _Window(NamedTuple):
    """The instants between which starts are requested."""

    since: datetime
    until: datetime


def _window(page: Page, since: date | None, until: date | None) -> _Window:
    """The window that `from` and `to` describe, with defaults for what is missing.

    Raises:
        Invalid: they are in the wrong order, or too far apart.
    """
    clinic = current_clinic(page)
    first = start_of(since, clinic) if since is not None else page.now
    end = end_of(until, clinic) if until is not None else first + timedelta(days=DEFAULT_DAYS)
    if end < first:
        raise Invalid(_("“to” is before “from”."), code="wrong_order")
    # One day more, because the clocks may make the days of the window an hour longer.
    if end - first > timedelta(days=MOST_DAYS + 1):
        message = _("Ask for at most %(most)d days.") % {"most": MOST_DAYS}
        raise Invalid(message, code="window_too_long")
    return _Window(first, end)


def _request_for(doctor: DoctorRow, visit_type_id: int | None, actor: Actor | None) -> BookingRequest | None:
    """The appointment to look for: of this visit type, or of the default. None if the doctor does not offer it."""
    kind = checks.visit_type_for(doctor, visit_type_id, by_staff=actor is not None and actor.is_staff)
    return BookingRequest(doctor, kind) if kind is not None else None


def _starts(
    page: Page, actor: Actor | None, requests: Sequence[BookingRequest], window: _Window, patient_id: int | None
) -> dict[int, list[Minute]]:
    """The starts that can be booked, by doctor's id: the same as in the calendars."""
    if patient_id is not None:
        _require_bookable(page, actor, patient_id)
    clinic = current_clinic(page)
    facts = load_facts(
        page.session,
        clinic,
        requests,
        formats.local_date(window.since, clinic.zone),
        formats.local_date(window.until, clinic.zone),
        now=page.now,
        viewer=current_viewer(page, patient_id),
    )
    page.close()
    return {doctor_id: starts_between(about, window.since, window.until) for doctor_id, about in facts.items()}


def _require_bookable(page: Page, actor: Actor | None, patient_id: int) -> None:
    """Check that the actor may book for this patient.

    Raises:
        NotSignedIn: the client is not signed in. NoSuchPatient: the patient does not exist, or the actor may not book
        for them.
    """
    if actor is None:
        raise NotSignedIn(_("Sign in to see the free times for a patient."))
    patients.require_bookable_patient(page.session, actor, patient_id)


def _answer(page: Page, body: bytes, *, total: int) -> Response:
    page.close()
    return Response(body, 200, {"x-total-count": str(total)}, JSON_TYPE)
