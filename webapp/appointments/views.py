"""What several pages of visits show: a visit as a slip, the times nearest to one that is gone, and who looks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from webapp.appointments import calendar, service
from webapp.appointments.availability import Wish
from webapp.appointments.schemas import AppointmentView
from webapp.auth.dependencies import current_actor
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.addresses import with_query
from webapp.core.web import Page
from webapp.exceptions import AppError
from webapp.patients import service as patients


def viewer(page: Page) -> int | None:
    """The account whose own visits hide clashing times: a signed-in patient's."""
    actor = current_actor(page)
    return actor.user_id if actor is not None and actor.role == "patient" else None


def visit_of(wish: Wish, start: datetime) -> dict[str, Any]:
    """A visit that could be booked, in the shape that the templates' slip wants."""
    return {
        "starts_at": start,
        "ends_at": start + timedelta(minutes=wish.visit_type.minutes),
        "minutes": wish.visit_type.minutes,
        "doctor_name": wish.doctor.name,
        "doctor_tint": wish.doctor.tint,
        "specialty": wish.doctor.specialty,
        "room": wish.doctor.room,
        "visit_type": wish.visit_type.name,
        "preparation": wish.visit_type.preparation,
    }


def booked(view: AppointmentView) -> dict[str, Any]:
    """A booked visit in the shape that the templates want."""
    return {
        **view._asdict(),
        "minutes": view.minutes,
        "specialty": view.doctor_specialty,
        "room": view.doctor_room,
        "visit_type": view.visit_type_name,
    }


def faster_than(
    page: Page,
    wish: Wish,
    taken: datetime,
    back: str,
    *,
    patient_of_user: int | None,
    moving: AppointmentView | None = None,
) -> dict[str, Any]:
    """The three nearest free times: buttons that book on the booking page, links where a visit is moved."""
    near = calendar.nearest(
        page.session,
        current_clinic(page),
        wish,
        taken,
        now=page.now,
        patient_of_user=patient_of_user,
        ignoring=moving.id if moving else None,
    )
    path = f"/appointments/{moving.reference}/reschedule" if moving else None
    return {
        "taken": taken,
        "doctor_name": wish.doctor.name,
        "calendar_href": back,
        "alternatives": [
            {
                "starts_at": start,
                "difference": difference,
                "href": with_query(path, starts_at=formats.iso(start)) if path else None,
            }
            for start, difference in near
        ],
    }


def first_refusal(
    page: Page, actor: Actor, wish: Wish, start: datetime, *, ignoring: AppointmentView | None = None
) -> AppError | None:
    """What booking this would answer now, or None when it would succeed."""
    patient_id = ignoring.patient_id if ignoring else patients.find_own_patient(page.session, actor)
    try:
        service.require_bookable(
            page.session,
            current_clinic(page),
            wish,
            start,
            now=page.now,
            patient_id=patient_id,
            ignoring=ignoring.id if ignoring else None,
        )
    except AppError as error:
        return error
    return None


def week_of(start: datetime, clinic: Clinic) -> str:
    day = formats.local_date(start, clinic.zone)
    return calendar.week_name(day - timedelta(days=day.weekday()))


def change_until(start: datetime, clinic: Clinic, now: datetime) -> datetime | None:
    """Until when the patient may move or cancel, or None when that has passed already."""
    until = start - timedelta(minutes=clinic.change_until_minutes)
    return until if until >= now else None
