"""A doctor's day and week, to work with and to print."""

from __future__ import annotations

from datetime import date

from starlette.responses import Response

from webapp.appointments.booking import statuses
from webapp.audit.service import MOST_IDS
from webapp.auth.dependencies import signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.parsing import parse_day
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page
from webapp.doctors import service as doctors
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.scheduling.week_calendar import parse_week
from webapp.staff.schedule.day_page import record_reading, show_day
from webapp.staff.schedule.weeks import build_week

router = Router()


@router.get("/schedule")
def today(page: CurrentPage) -> Response:
    """Today's appointments, or with `?day=` a redirect to another day; doctors, their own."""
    actor = signed_in(page, "doctor")
    wanted = page.request.query_params.get("day")
    if wanted:
        return page.redirect(f"/schedule/{_require_day(wanted)}")
    return _read_day(page, actor, current_clinic(page).today(page.now))


@router.get("/schedule/{day}")
def some_day(page: CurrentPage, day: str) -> Response:
    """The appointments of a day; doctors, their own."""
    actor = signed_in(page, "doctor")
    return _read_day(page, actor, _require_day(day))


@router.get("/schedule/week/{week}")
def some_week(page: CurrentPage, week: str) -> Response:
    """The appointments of a week; doctors, their own."""
    actor = signed_in(page, "doctor")
    monday = parse_week(week)
    if monday is None:
        raise NotFound(_("This week does not exist."))
    doctor = doctors.get_doctor_of_user(page.session, actor.user_id)
    shown = build_week(page.session, actor, current_clinic(page), doctor, monday, now=page.now)
    response = page.render(
        "staff/schedule/week.html",
        fragment="staff/schedule/_week.html",
        doctor=doctor,
        week=shown,
        now=page.now,
        words=statuses.STAFF_WORDS,
    )
    ids = [row.card.appointment.id for column in shown.days for row, _place in column.rows if row.card]
    record_reading(page, actor, doctor.id, {"week": shown.name, "appointments": ids[:MOST_IDS]})
    return response


def _read_day(page: Page, actor: Actor, day: date) -> Response:
    doctor = doctors.get_doctor_of_user(page.session, actor.user_id)
    return show_day(page, doctor, actor, day, changed=page.request.query_params.get("changed", ""))


def _require_day(text: str) -> date:
    day = parse_day(text)
    if day is None:
        raise NotFound(_("This day does not exist."))
    return day
