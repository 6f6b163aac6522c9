"""Pages to be printed: the day of the clinic, and the day or the week of one doctor."""

from __future__ import annotations

from datetime import date, timedelta

from starlette.responses import Response

from webapp.appointments.booking import status_service
from webapp.auth.dependencies import DESK, signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.parsing import parse_day
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.doctors import service as doctors
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.scheduling.week_calendar import parse_week, week_name
from webapp.staff.sheets.sheets import list_sheets

router = Router()

WEEK = timedelta(days=7)


@router.get("/board/{day}/sheets")
def clinics_day(page: CurrentPage, day: str) -> Response:
    """A sheet for each doctor of the day, or with `?doctor=` for one; the front desk and admins."""
    actor = signed_in(page, *DESK)
    first = _require_day(day)
    doctor_id = _chosen(page)
    also = with_query("", doctor=page.request.query_params.get("doctor"))
    beside = (f"/board/{first - timedelta(days=1)}/sheets{also}", f"/board/{first + timedelta(days=1)}/sheets{also}")
    week = f"/board/week/{_week_of(first)}/sheets{also}"
    return _show(page, actor, (first, first), beside, f"/board/{first}{also}", week, doctor_id=doctor_id)


@router.get("/board/week/{week}/sheets")
def clinics_week(page: CurrentPage, week: str) -> Response:
    """The week of each doctor, or with `?doctor=` of one; the front desk and admins."""
    actor = signed_in(page, *DESK)
    first = _require_week(week)
    doctor_id = _chosen(page)
    also = with_query("", doctor=page.request.query_params.get("doctor"))
    beside = tuple(f"/board/week/{week_name(monday)}/sheets{also}" for monday in (first - WEEK, first + WEEK))
    last = first + timedelta(days=6)
    return _show(page, actor, (first, last), beside, f"/board/{first}{also}", doctor_id=doctor_id)


@router.get("/schedule/{day}/sheet")
def own_day(page: CurrentPage, day: str) -> Response:
    """The sheet of a day; doctors, their own."""
    actor = signed_in(page, "doctor")
    first = _require_day(day)
    own = doctors.get_doctor_of_user(page.session, actor.user_id).id
    beside = tuple(f"/schedule/{first + timedelta(days=step)}/sheet" for step in (-1, 1))
    week = f"/schedule/week/{_week_of(first)}/sheet"
    return _show(page, actor, (first, first), beside, f"/schedule/{first}", week, doctor_id=own)


@router.get("/schedule/week/{week}/sheet")
def own_week(page: CurrentPage, week: str) -> Response:
    """The sheets of a week; doctors, their own."""
    actor = signed_in(page, "doctor")
    first = _require_week(week)
    own = doctors.get_doctor_of_user(page.session, actor.user_id).id
    beside = tuple(f"/schedule/week/{week_name(monday)}/sheet" for monday in (first - WEEK, first + WEEK))
    back = f"/schedule/week/{week_name(first)}"
    return _show(page, actor, (first, first + timedelta(days=6)), beside, back, doctor_id=own)


def _show(
    page: Page,
    actor: Actor,
    days: tuple[date, date],
    beside: tuple[str, ...],
    back: str,
    week: str = "",
    *,
    doctor_id: int | None,
) -> Response:
    """The page of some days; the reading is logged, because sheets hold what patients told the doctor.

    `beside` are the sheets before and after, `back` is the page that leads here, and `week` the sheets of a day's week.
    """
    clinic = current_clinic(page)
    first, last = days
    sheets = list_sheets(page.session, actor, clinic, first, last, doctor_id=doctor_id)
    is_day = first == last
    response = page.render(
        "staff/sheets/sheets.html",
        title=formats.day_full(first, clinic.zone) if is_day else formats.days_between(first, last, clinic.zone),
        is_day=is_day,
        sheets=sheets,
        previous=beside[0],
        next=beside[1],
        back=back,
        week=week,
    )
    ids = [line.id for sheet in sheets for each in sheet.days for line in each.lines]
    page.trace(status_service.record_listing, actor, ids, now=page.now)
    return response


def _chosen(page: Page) -> int | None:
    """The id of the requested doctor."""
    slug = page.request.query_params.get("doctor", "")
    return doctors.get_doctor(page.session, slug).id if slug else None


def _week_of(day: date) -> str:
    return week_name(day - timedelta(days=day.weekday()))


def _require_day(text: str) -> date:
    day = parse_day(text)
    if day is None:
        raise NotFound(_("This day does not exist."))
    return day


def _require_week(text: str) -> date:
    monday = parse_week(text)
    if monday is None:
        raise NotFound(_("This week does not exist."))
    return monday
