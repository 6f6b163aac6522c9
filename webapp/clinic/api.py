"""The clinic, as programs read it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from webapp.clinic import settings
from webapp.clinic.dependencies import current_clinic
from webapp.core.api import answer
from webapp.core.day_hours import Week, format_minute
from webapp.core.web import CurrentPage

router = APIRouter(tags=["Clinic"])

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ClockTime = Annotated[
    str,
    StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"),
    Field(description="On the clinic's wall clock; 24:00 is the end of the day.", examples=["09:00"]),
]


class WeekdayHours(BaseModel):
    """A span of a weekday; several a day make breaks."""

    weekday: Weekday
    start: ClockTime
    end: ClockTime


class ClinicOut(BaseModel):
    """The clinic and its booking rules."""

    name: Annotated[str, Field(examples=["Harbour Lane Clinic"])]
    address: str
    phone: str
    time_zone: Annotated[str, Field(description="An IANA time zone.", examples=["Europe/Amsterdam"])]
    opening_hours: list[WeekdayHours]
    notice_minutes: Annotated[int, Field(description="How long before a visit it can be booked at the latest.")]
    horizon_days: Annotated[int, Field(description="How many days ahead visits can be booked.")]
    change_until_minutes: Annotated[
        int, Field(description="How long before a visit its patient may move or cancel it at the latest.")
    ]
    max_active_visits: Annotated[int, Field(description="How many visits a patient may have ahead.")]
    patient_gap_minutes: Annotated[int, Field(description="How long lies between two visits of a patient at least.")]


def weekly_hours(week: Week) -> list[WeekdayHours]:
    """A week of spans, from Monday on, as the API writes it."""
    return [
        WeekdayHours(weekday=name, start=format_minute(start), end=format_minute(end))
        for name, spans in zip(WEEKDAYS, week, strict=True)
        for start, end in spans
    ]


@router.get("/clinic", summary="Read the clinic", responses={200: {"model": ClinicOut}})
def read_clinic(page: CurrentPage) -> Response:
    """The clinic's name, time zone, opening hours and booking rules; everybody."""
    clinic = current_clinic(page)
    opening = settings.get_opening_hours(page.session)
    shown = ClinicOut(
        name=clinic.name,
        address=clinic.address,
        phone=clinic.phone,
        time_zone=clinic.time_zone,
        opening_hours=weekly_hours(opening.days),
        notice_minutes=clinic.notice_minutes,
        horizon_days=clinic.horizon_days,
        change_until_minutes=clinic.change_until_minutes,
        max_active_visits=clinic.max_active_visits,
        patient_gap_minutes=clinic.patient_gap_minutes,
    )
    return answer(page, ClinicOut, shown)
