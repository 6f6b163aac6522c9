"""A doctor's day and week, to work with and to print."""

from __future__ import annotations

from datetime import date
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from webapp.appointments.booking import statuses
from webapp.audit import service as audit
from webapp.auth.dependencies import signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.errors import headers_of
from webapp.core.i18n import gettext as _
from webapp.core.parsing import YEARS
from webapp.core.web import CurrentPage, Page
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import AppError, NotFound
from webapp.scheduling.week_calendar import parse_week
from webapp.staff.schedule.days import Day, build_day, build_week

router = APIRouter()


@router.get("/schedule")
def today(page: CurrentPage) -> Response:
    """Today's visits, or with `?day=` the way to another day's; doctors, their own."""
    actor = signed_in(page, "doctor")
    wanted = page.request.query_params.get("day")
    if wanted:
        return page.redirect(f"/schedule/{_require_day(wanted)}")
    return _read_day(page, actor, current_clinic(page).today(page.now))


@router.get("/schedule/{day}")
def some_day(page: CurrentPage, day: str) -> Response:
    """The visits of a day; doctors, their own."""
    actor = signed_in(page, "doctor")
    return _read_day(page, actor, _require_day(day))


@router.get("/schedule/week/{week}")
def some_week(page: CurrentPage, week: str) -> Response:
    """The visits of a week; doctors, their own."""
    actor = signed_in(page, "doctor")
    monday = parse_week(week)
    if monday is None:
        raise NotFound(_("There is no such week in the calendar."))
    doctor = doctors.get_doctor_of_user(page.session, actor.user_id)
    shown = build_week(page.session, actor, current_clinic(page), doctor, monday, now=page.now)
    response = page.render(
        "staff/schedule/week.html",
        fragment="staff/schedule/_week.html",
        doctor=doctor,
        week=shown,
        words=statuses.WORDS,
    )
    _record_reading(page, actor, doctor.id, {"week": shown.name})
    return response


def parse_day(text: str) -> date | None:
    """A day of the calendar, such as 2026-03-03; None when the text is none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.year in YEARS else None


def show_day(
    page: Page, doctor: DoctorRow, actor: Actor, day: date, *, changed: str = "", error: AppError | None = None
) -> Response:
    """The day's page, or the day alone for HTMX; that it was read is written down.

    `changed` is the reference of a visit whose status has just changed: the page says so, and offers to undo it.
    """
    shown = build_day(page.session, actor, current_clinic(page), doctor, day, now=page.now)
    response = page.render(
        "staff/schedule/day.html",
        fragment="staff/schedule/_day.html",
        status=error.status if error else 200,
        headers=headers_of(error) if error else None,
        doctor=doctor,
        day=shown,
        said=_said(shown, changed) if error is None else None,
        problem=error.message if error else None,
        words=statuses.WORDS,
    )
    _record_reading(page, actor, doctor.id, {"day": str(day)})
    return response


def _said(day: Day, reference: str) -> dict[str, Any] | None:
    """'Joanna Hartley: arrived', with the card that says whether it can be undone."""
    card = next((row.card for row in day.rows if row.card and row.card.visit.reference == reference), None)
    if card is None:
        return None
    words = {"name": card.visit.patient_name, "status": statuses.word_of(card.visit.status).lower()}
    return {"text": _("%(name)s: %(status)s") % words, "card": card}


def _read_day(page: Page, actor: Actor, day: date) -> Response:
    doctor = doctors.get_doctor_of_user(page.session, actor.user_id)
    return show_day(page, doctor, actor, day, changed=page.request.query_params.get("changed", ""))


def _record_reading(page: Page, actor: Actor, doctor_id: int, details: dict[str, str]) -> None:
    """Who reads a day reads reasons and notes of everybody in it; nothing is shown before that is written down."""
    page.database.write(
        audit.record,
        "schedule_read",
        subject=("doctor", doctor_id),
        actor_user_id=actor.user_id,
        actor_role=actor.role,
        now=page.now,
        details=details,
        address=actor.address,
    )


def _require_day(text: str) -> date:
    day = parse_day(text)
    if day is None:
        raise NotFound(_("There is no such day in the calendar."))
    return day
