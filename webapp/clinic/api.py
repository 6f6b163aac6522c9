"""The clinic in the API."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.clinic import closures, settings
from webapp.clinic.closures import SavedClosure
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import get_clinic
from webapp.clinic.settings import FieldRequirement, NewPatientRules
from webapp.core.api import LIST_HEADERS, ApiRouter, AskedPaging, answer_list, part_of
from webapp.core.api_hours import WeekdayHours, weekly_hours
from webapp.core.api_problems import problems
from webapp.core.entity_tags import ETAG_HEADER, NOT_MODIFIED, answer_unless_known
from webapp.core.web import CurrentPage, PathId

router = ApiRouter(tags=["Clinic"])


class ClinicOut(BaseModel):
    """The clinic and its booking rules."""

    name: Annotated[str, Field(examples=["Harbour Lane Clinic"])]
    address: str
    phone: Annotated[str, Field(description="In E.164.", examples=["+31201234567"])]
    country: Annotated[
        str,
        Field(
            description="Where phone numbers need no country code (ISO 3166); empty: that of the zone.", examples=["NL"]
        ),
    ]
    time_zone: Annotated[str, Field(description="An IANA time zone.", examples=["Europe/Amsterdam"])]
    emergency_phone: Annotated[str, Field(description="The number to call in an emergency.", examples=["112"])]
    emergency_text: Annotated[str, Field(description="The clinic's own words before it; empty: the usual ones.")]
    opening_hours: list[WeekdayHours]
    notice_minutes: Annotated[int, Field(description="Minimum notice for booking.")]
    horizon_days: Annotated[int, Field(description="Booking window: how many days ahead patients can book.")]
    change_until_minutes: Annotated[
        int, Field(description="Deadline for patients to move or cancel, before the start.")
    ]
    max_active_visits: Annotated[int, Field(description="Maximum number of upcoming appointments per patient.")]
    patient_gap_minutes: Annotated[int, Field(description="Minimum gap between two appointments of a patient.")]
    asks_birth_date: Annotated[
        FieldRequirement, Field(description="Whether new patients are asked for their date of birth.")
    ]
    asks_phone: Annotated[FieldRequirement, Field(description="Whether new patients are asked for their phone number.")]


class ClosureOut(BaseModel):
    """Days when the clinic is closed, the last one included."""

    id: int
    name: Annotated[str, Field(examples=["Summer break"])]
    starts_on: date
    ends_on: date


class OpeningHoursOut(BaseModel):
    """The weekly opening hours. Doctors' extra hours can be outside them."""

    opening_hours: list[WeekdayHours]


TAGGED: dict[str, Any] = {"headers": ETAG_HEADER}


@router.get("/clinic", summary="Read the clinic", responses={200: {"model": ClinicOut, **TAGGED}, **NOT_MODIFIED})
def read_clinic(page: CurrentPage) -> Response:
    """The clinic's name, time zone, opening hours and booking rules. Access: everyone."""
    return answer_unless_known(page, clinic_out(page.session))


@router.get(
    "/clinic/opening-hours",
    summary="Read the opening hours",
    responses={200: {"model": OpeningHoursOut, **TAGGED}, **NOT_MODIFIED},
)
def read_opening_hours(page: CurrentPage) -> Response:
    """The weekly opening hours. Access: everyone."""
    return answer_unless_known(page, opening_hours_out(page.session))


@router.get("/closures", summary="List closures", responses={200: {"model": list[ClosureOut], "headers": LIST_HEADERS}})
def list_closures(
    page: CurrentPage,
    paging: AskedPaging,
    over: Annotated[bool, Query(description="List past closures, latest first, instead of upcoming ones.")] = False,
) -> Response:
    """The days when the clinic is closed, soonest first. Access: everyone."""
    today = current_clinic(page).today(page.now)
    found = closures.list_past(page.session, today) if over else closures.list_ahead(page.session, today)
    shown = [closure_out(saved) for saved in part_of(found, paging)]
    return answer_list(page, ClosureOut, shown, total=len(found), paging=paging)


@router.get(
    "/closures/{closure_id}",
    summary="Read a closure",
    responses={200: {"model": ClosureOut, **TAGGED}, **NOT_MODIFIED, **problems(404)},
)
def read_closure(page: CurrentPage, closure_id: PathId) -> Response:
    """A closure. Access: everyone."""
    return answer_unless_known(page, closure_out(closures.get_closure(page.session, closure_id)))


def clinic_out(session: Session) -> ClinicOut:
    """The clinic as the API shows it."""
    clinic = get_clinic(session)
    return ClinicOut(
        name=clinic.name_shown,
        address=clinic.address,
        phone=clinic.phone,
        country=clinic.country,
        time_zone=clinic.time_zone,
        emergency_phone=clinic.emergency_number,
        emergency_text=clinic.emergency_text,
        opening_hours=weekly_hours(settings.get_opening_hours(session).days),
        notice_minutes=clinic.notice_minutes,
        horizon_days=clinic.horizon_days,
        change_until_minutes=clinic.change_until_minutes,
        max_active_visits=clinic.max_active_visits,
        patient_gap_minutes=clinic.patient_gap_minutes,
        **settings.get(session, NewPatientRules).model_dump(),
    )


def opening_hours_out(session: Session) -> OpeningHoursOut:
    """The opening hours as the API shows them."""
    return OpeningHoursOut(opening_hours=weekly_hours(settings.get_opening_hours(session).days))


def closure_out(saved: SavedClosure) -> ClosureOut:
    """A closure as the API shows it."""
    return ClosureOut(id=saved.id, **saved.details.model_dump())
